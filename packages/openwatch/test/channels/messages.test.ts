/**
 * What people and programs are told, in words.
 */
import { assert, describe, it } from "@effect/vitest"
import { Alert, AlertEnded, hostIdFromName, PagerDutyChannel, SlackChannel, TeamsChannel } from "@openwatch/openwatch"
import { DateTime } from "effect"
import * as Message from "../../src/channels/Message.ts"

let ids = 0

const alert = (
  name: string,
  type: Alert.AlertType,
  title: string,
  more: Partial<Pick<Alert.Alert, "resolves" | "supersedes" | "link" | "drift" | "reason">> & {
    readonly rule?: string
  } = {}
) => {
  const hostId = hostIdFromName(name)
  const { rule = "", ...fields } = more
  return new Alert.Alert({
    id: `01936b0e-0000-7000-8000-${String(++ids).padStart(12, "0")}`,
    type,
    severity: Alert.severityOf[type],
    hostId,
    host: { name, address: `${name}:22` },
    title,
    dedupKey: `${type}|${hostId}|${rule}`,
    tags: { host: name },
    occurredAt: DateTime.makeUnsafe("2026-11-23T22:00:00Z"),
    ...fields
  })
}

const raised = (alert: Alert.Alert): Message.Told => ({ _tag: "AlertRaised", alert })
const down = (name: string) => raised(alert(name, "host_unreachable", `${name} is unreachable: timed out`))
const ended = (alert: Alert.Alert, how: AlertEnded["how"], why: string) =>
  new AlertEnded({ alert, how, who: "openwatch", why, channels: [], occurredAt: DateTime.makeUnsafe(0) })

const headlines = (...told: ReadonlyArray<Message.Told>) => Message.make(told).sections.map(({ headline }) => headline)

const again = ({ alert }: Message.Told, why: Alert.Again = "reminder") =>
  raised(Alert.again(alert, why, DateTime.makeUnsafe("2026-11-24T02:00:00Z")))

describe("a message", () => {
  it("of what is still open says so, apart from what is new", () => {
    assert.deepStrictEqual(headlines(again(down("a"))), ["Still open: a is unreachable: timed out"])
    assert.deepStrictEqual(
      headlines(down("a"), again(down("b")), again(down("c")), down("d"), again(down("e"), "maintenance")),
      [
        "2 hosts are unreachable: a, d",
        "Still open: 2 hosts are unreachable: b, c",
        "Still open after maintenance: e is unreachable: timed out"
      ]
    )
    assert.strictEqual(
      Message.make([again(down("b")), again(down("c"))]).subject,
      "Still open: 2 hosts are unreachable"
    )
  })

  it("of one alert says what the alert says", () => {
    assert.deepStrictEqual(headlines(down("web")), ["web is unreachable: timed out"])
    assert.strictEqual(Message.make([down("web")]).subject, "web is unreachable: timed out")
  })

  it("of many hosts names the first twenty", () => {
    const many = Array.from({ length: 300 }, (_, n) => down(`host-${n}`))
    const names = Array.from({ length: 20 }, (_, n) => `host-${n}`).join(", ")
    assert.deepStrictEqual(headlines(...many), [`300 hosts are unreachable: ${names} and 280 more`])
    assert.strictEqual(Message.make(many).subject, "300 hosts are unreachable")
    assert.deepStrictEqual(headlines(...many.slice(0, 21)), [`21 hosts are unreachable: ${names} and 1 more`])
    assert.deepStrictEqual(headlines(down("a"), down("b")), ["2 hosts are unreachable: a, b"])
  })

  it("of several kinds has a line for each, the most urgent first, and says what is over already", () => {
    const a = alert("a", "host_unreachable", "a is unreachable")
    const told = [
      raised(a),
      down("b"),
      raised(alert("a", "host_recovered", "a is reachable again", { resolves: a.id })),
      raised(alert("c", "drift_minor", "c drifted (minor)", { rule: "os/cis" })),
      raised(alert("c", "drift_minor", "c drifted (minor)", { rule: "os/stig" })),
      raised(alert("d", "host_unreachable", "d is flapping", { rule: "flapping" }))
    ]
    assert.deepStrictEqual(headlines(...told), [
      "2 hosts are unreachable: a (over), b",
      "d is flapping",
      "c drifted (minor) in 2 series",
      "a is reachable again"
    ])
    const { severity, subject } = Message.make(told)
    assert.strictEqual(severity, "high")
    assert.strictEqual(subject, "2 hosts are unreachable; d is flapping; 1 host drifted (minor); a is reachable again")
  })

  it("of a host that went twice says what it is now", () => {
    assert.deepStrictEqual(
      headlines(down("a"), raised(alert("a", "host_unreachable", "a is unreachable: no route"))),
      ["a is unreachable: no route"]
    )
  })

  it("of ends says why", () => {
    const [a, b] = [
      alert("a", "host_unreachable", "a is unreachable"),
      alert("b", "host_unreachable", "b is unreachable")
    ]
    assert.deepStrictEqual(headlines(ended(a, "removed", "a is not watched any more")), [
      "a is not watched any more; this is over: a is unreachable"
    ])
    assert.deepStrictEqual(headlines(ended(a, "removed", ""), ended(b, "removed", "")), [
      "2 hosts are not watched any more: a, b"
    ])
  })

  it("has the link of its host, or that of all", () => {
    const link = (name: string) => `https://watch.example.org/#/hosts/${hostIdFromName(name)}`
    const at = (name: string) => raised(alert(name, "host_unreachable", "", { link: link(name) }))
    assert.strictEqual(Message.make([at("a"), at("a")]).link, link("a"))
    assert.strictEqual(Message.make([at("a"), at("b")]).link, "https://watch.example.org/")
    assert.isUndefined(Message.make([down("a")]).link)
  })
})

describe("slack", () => {
  it("has a line for each kind, and a link", () => {
    const link = "https://watch.example.org/#/hosts/x?a&b"
    const { text } = JSON.parse(SlackChannel.format(Message.make([
      raised(alert("a", "host_unreachable", "a is unreachable", { link })),
      raised(alert("a", "host_recovered", "a <is> back", { link }))
    ])))
    assert.strictEqual(
      text,
      ":red_circle: *high* a is unreachable\n:large_green_circle: *info* a &lt;is&gt; back " +
        "(<!date^1795471200^{date_short_pretty} {time_secs}|2026-11-23T22:00:00.000Z>) " +
        "<https://watch.example.org/#/hosts/x?a&amp;b|Look>"
    )
  })
})

describe("teams", () => {
  it("posts a card with the facts of an alert, its keys and a link", () => {
    const told = alert("web_1", "host_unreachable", "web_1 is *unreachable*", {
      link: "https://watch.example.org/#/hosts/x",
      reason: { code: "TimedOut", text: "timed out" },
      supersedes: "01936b0e-0000-7000-8000-ffffffffffff"
    })
    const { attachments, type } = JSON.parse(TeamsChannel.format(Message.make([raised(told)])))
    assert.strictEqual(type, "message")
    const [{ content, contentType }] = attachments
    assert.strictEqual(contentType, "application/vnd.microsoft.card.adaptive")
    assert.deepInclude(content, { type: "AdaptiveCard", version: "1.4" })
    const [line, { facts }] = content.body
    assert.deepInclude(line, { text: String.raw`**high** web\_1 is \*unreachable\*`, color: "attention", wrap: true })
    assert.deepStrictEqual(facts.map(({ title, value }: { title: string; value: string }) => [title, value]), [
      ["Host", String.raw`web\_1`],
      ["Address", String.raw`web\_1:22`],
      ["Reason", "timed out"],
      ["Alert", told.id.replaceAll("-", String.raw`\-`)],
      ["Key", told.dedupKey.replaceAll(/[-_]/g, String.raw`\$&`)],
      ["In place of", String.raw`01936b0e\-0000\-7000\-8000\-ffffffffffff`],
      ["Time", "{{DATE(2026-11-23T22:00:00Z,SHORT)}} {{TIME(2026-11-23T22:00:00Z)}}"]
    ])
    assert.deepStrictEqual(content.actions, [
      { type: "Action.OpenUrl", title: "Look", url: "https://watch.example.org/#/hosts/x" }
    ])
  })

  it("takes less than the 28 KB that Teams takes, whatever hosts are called", () => {
    const long = (n: number) => `${String(n).padStart(3, "0")}-${"x".repeat(249)}`
    const told = Alert.AllAlertTypes.flatMap((type) =>
      Array.from({ length: 100 }, (_, n) => raised(alert(long(n), type, `${long(n)} ${type}`)))
    )
    assert.isBelow(Buffer.byteLength(TeamsChannel.format(Message.make(told))), 28 * 1_024)
  })
})

describe("pagerduty", () => {
  const drift = {
    priorScore: 90,
    currentScore: 70,
    scoreDelta: -20,
    becameFailing: { critical: 0, high: 1, medium: 1, low: 0 },
    becamePassing: { critical: 0, high: 0, medium: 0, low: 0 },
    rules: { becameFailing: [{ id: "r1", title: "No telnet", severity: "high" as const }], becamePassing: [] }
  }

  it("triggers an incident for a problem, with all that is known of it", () => {
    const told = alert("web", "drift_major", "web drifted (major)", {
      rule: "os/cis",
      drift,
      link: "https://watch.example.org/#/hosts/x"
    })
    const event = PagerDutyChannel.eventOf(raised(told)) as Record<string, unknown>
    assert.deepStrictEqual(event, {
      event_action: "trigger",
      dedup_key: `drift|${hostIdFromName("web")}|os/cis`,
      client: "OpenWatch",
      client_url: "https://watch.example.org/#/hosts/x",
      links: [{ href: "https://watch.example.org/#/hosts/x", text: "The host in OpenWatch" }],
      payload: {
        summary: "web drifted (major)",
        source: "web",
        severity: "error",
        timestamp: "2026-11-23T22:00:00.000Z",
        class: "drift_major",
        custom_details: {
          Host: "web",
          Address: "web:22",
          "Rules that fail now": "2: No telnet and 1 more",
          Alert: told.id,
          Key: told.dedupKey,
          tags: { host: "web" }
        }
      }
    })
  })

  it("is told that an alert is acknowledged, and closes the incident of one that is silenced", () => {
    const fall = alert("web", "drift_major", "", { rule: "os/cis", drift })
    const events = (["acknowledged", "silenced"] as const).map((to) =>
      PagerDutyChannel.eventOf({ _tag: "AlertChanged", alert: fall, to })
    )
    const dedup_key = `drift|${hostIdFromName("web")}|os/cis`
    assert.deepStrictEqual(events, [
      { event_action: "acknowledge", dedup_key },
      { event_action: "resolve", dedup_key }
    ])
  })

  it("keys of series that are the same for 300 characters are not, and no longer than PagerDuty takes", () => {
    const keys = ["a", "b"].map((end) =>
      PagerDutyChannel.keyOf(alert("web", "drift_major", "", { rule: `${"ä".repeat(300)}${end}` }))
    )
    assert.notStrictEqual(keys[0], keys[1])
    for (const key of keys) assert.match(key, /^[\x21-\x7e]{1,255}$/)
  })

  it("a title is cut between characters", () => {
    const event = PagerDutyChannel.eventOf(down(`x${"😀".repeat(600)}`))
    assert.isTrue(JSON.stringify(event).isWellFormed())
    assert.notMatch(JSON.stringify(event), /\\ud/)
  })

  it("one problem is one incident: flapping, a deeper fall and the end have its key", () => {
    const keyOf = (told: Message.Told) => {
      const event = PagerDutyChannel.eventOf(told)
      return event === undefined ? undefined : `${String(event["event_action"])} ${String(event["dedup_key"])}`
    }
    const web = hostIdFromName("web")
    const unreachable = alert("web", "host_unreachable", "")
    const fall = alert("web", "drift_minor", "", { rule: "os/cis", drift })
    assert.strictEqual(keyOf(raised(unreachable)), `trigger unreachable|${web}`)
    assert.strictEqual(
      keyOf(raised(alert("web", "host_unreachable", "", { rule: "flapping", supersedes: unreachable.id }))),
      `trigger unreachable|${web}`
    )
    assert.strictEqual(keyOf(raised(alert("web", "host_recovered", ""))), `resolve unreachable|${web}`)
    assert.strictEqual(keyOf(ended(unreachable, "removed", "")), `resolve unreachable|${web}`)
    assert.strictEqual(
      keyOf(raised(alert("web", "drift_major", "", { rule: "os/cis", drift, supersedes: fall.id }))),
      `trigger drift|${web}|os/cis`
    )
    assert.strictEqual(
      keyOf(raised(alert("web", "drift_improvement", "", { rule: "os/cis", drift, resolves: fall.id }))),
      `resolve drift|${web}|os/cis`
    )
    assert.isUndefined(keyOf(raised(alert("web", "drift_improvement", "", { rule: "os/cis", drift }))))
  })
})
