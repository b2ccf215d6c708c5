import { assert, describe, it } from "@effect/vitest"
import { Alert, type AlertStore, hostIdFromName } from "@openwatch/openwatch"
import { DateTime, Option } from "effect"
import { formatTable, parseSince } from "../../src/cli/alertsList.ts"

const web = hostIdFromName("web")

const stored = (title: string, more: Partial<AlertStore.StoredAlert> = {}): AlertStore.StoredAlert => ({
  alert: new Alert.Alert({
    id: "01936b0e-0000-7000-8000-000000000001",
    type: "host_unreachable",
    severity: "critical",
    hostId: web,
    dedupKey: `host_unreachable|${web}|`,
    title,
    tags: {},
    occurredAt: DateTime.makeUnsafe("2026-11-23T22:00:59Z")
  }),
  state: "resolved",
  silencedUntil: undefined,
  resolvedAt: undefined,
  repeats: 0,
  deliveries: [],
  ...more
})

const kolkata = DateTime.zoneMakeNamedUnsafe("Asia/Kolkata")

describe("alerts list", () => {
  it("shows times in local time with the zone, and how often an alert was raised", () => {
    assert.deepStrictEqual(formatTable([stored("web is unreachable", { repeats: 2 })], kolkata), [
      "TIME                    ID            STATE         SEVERITY  ALERT",
      "2026-11-24 03:30+05:30  000000000001  resolved      critical  3x web is unreachable"
    ])
  })

  it("says until when an alert is silenced", () => {
    const silencedUntil = DateTime.makeUnsafe("2026-11-24T00:00:00Z")
    assert.deepStrictEqual(
      formatTable([stored("web is unreachable", { state: "silenced", silencedUntil })], kolkata)[1],
      "2026-11-24 03:30+05:30  000000000001  silenced      critical  web is unreachable (silenced until 2026-11-24 05:30+05:30)"
    )
  })

  it("names the channels that do not have an alert, and why", () => {
    const lines = formatTable([
      stored("web is unreachable", {
        deliveries: [
          { channel: "console", state: "delivered", attempts: 1, lastError: undefined },
          { channel: "ops", state: "given_up", attempts: 8, lastError: "the receiver answered with status 500" },
          { channel: "slack", state: "pending", attempts: 1, lastError: "no end after 10s" },
          { channel: "night", state: "held", attempts: 0, lastError: undefined },
          { channel: "day", state: "withheld", attempts: 0, lastError: undefined }
        ]
      })
    ], kolkata)
    assert.deepStrictEqual(lines.slice(2), [
      "  ops: given up after 8 attempts: the receiver answered with status 500",
      "  slack: pending, 1 attempt: no end after 10s",
      "  night: not sent while it is silenced, or its host in maintenance",
      "  day: never sent, as it was over before silence or maintenance was"
    ])
  })

  it("fits the terminal where there is one, whatever hosts, channels and errors are called", () => {
    const long = "x".repeat(200)
    const delivery = { channel: long, state: "given_up", attempts: 8, lastError: long } as const
    for (const line of formatTable([stored(long, { repeats: 12_345, deliveries: [delivery] })], kolkata, 80)) {
      assert.isAtMost(line.length, 80)
    }
    assert.include(formatTable([stored(long)], kolkata)[1], long)
  })

  it("--since is a time span back from now, a time with a zone, or a local date or time", () => {
    const now = DateTime.makeUnsafe("2026-11-23T22:00:00Z")
    const since = (text: string) =>
      Option.getOrUndefined(Option.map(parseSince(text), (at) => DateTime.formatIso(at(now))))
    assert.strictEqual(since("36h"), "2026-11-22T10:00:00.000Z")
    assert.strictEqual(since("2d"), "2026-11-21T22:00:00.000Z")
    assert.strictEqual(since("2026-01-31T12:00+02:00"), "2026-01-31T10:00:00.000Z")
    assert.strictEqual(since("2026-01-31"), new Date(2026, 0, 31).toISOString())
    assert.strictEqual(since("2026-01-31 12:30"), new Date(2026, 0, 31, 12, 30).toISOString())
    for (const text of ["", "yesterday", "5", "5x", "2026-13-45", "2026-01-31T99:00"]) {
      assert.isUndefined(since(text), text)
    }
  })
})
