import { assert, describe, layer, vi } from "@effect/vitest"
import { type FleetView, InspectorApi } from "@openwatch/inspector"
import { DateTime, Effect } from "effect"
import type { Page } from "playwright-core"
import { port, server } from "../fixture.ts"
import { violations } from "./axe.ts"
import { Browser, isMissing, openPage, see } from "./browser.ts"

vi.setConfig({ testTimeout: 60_000 })

const hostsIn = (...states: ReadonlyArray<"reachable" | "unreachable" | "unjudged" | "unknown">) =>
  states.map((state, n) => ({
    id: `host-${n}`,
    name: `web-${n}`,
    endpoint: `192.0.2.${n % 250}:22`,
    state,
    since: null,
    reason: null,
    responseTimeMs: null,
    score: null
  }))

const alertsOf = (count: number) =>
  Array.from({ length: count }, (_, n) => ({
    id: String(n),
    type: "host_unreachable",
    severity: "high" as const,
    hostId: `host-${n}`,
    title: `Alert number ${n}`,
    occurredAt: DateTime.makeUnsafe(0)
  }))

const fleetOf = (
  hosts: ReadonlyArray<ReturnType<typeof hostsIn>[number]>,
  alerts: ReturnType<typeof alertsOf> = []
): FleetView["Service"] => ({
  hosts: Effect.succeed(hosts),
  openAlerts: Effect.succeed(alerts),
  scores: () => Effect.succeed([])
})

const answers = { answered: 2, failed: 1, p50: 5, p95: 12, p99: 12 }
const past: typeof InspectorApi.HostPast.Type = {
  uptimes: [
    { hours: 24, percent: 99.306, judgedSeconds: 86_400, unreachableSeconds: 600 },
    { hours: 2_160, percent: null, judgedSeconds: 0, unreachableSeconds: 0 }
  ],
  responseTimes: answers,
  days: [{ ...answers, day: "2026-11-26" }],
  probes: [5, null, 12].map((responseTimeMs, n) => ({ at: DateTime.makeUnsafe(n * 300_000), responseTimeMs })),
  scans: [{
    scanId: "scan",
    profile: "cis",
    at: DateTime.makeUnsafe(0),
    score: 90,
    failing: [{ id: "rule_root_login", title: "Root cannot log in", severity: "high" }]
  }],
  alerts: [{
    id: "1",
    type: "host_unreachable",
    severity: "high",
    title: "Host is unreachable",
    occurredAt: DateTime.makeUnsafe(0),
    state: "resolved",
    endedAt: DateTime.makeUnsafe(600_000)
  }]
}

const open = Effect.gen(function*() {
  const { page, problems } = yield* openPage(`http://127.0.0.1:${yield* port}/`)
  yield* see(page, ".status", "Live")
  return { page, problems }
})

const texts = (page: Page, selector: string) => Effect.promise(() => page.locator(selector).allInnerTexts())
const press = (page: Page, key: string) => Effect.promise(() => page.keyboard.press(key))
const find = (page: Page, what: string) => Effect.promise(() => page.getByLabel("Find a host").fill(what))
const click = (page: Page, name: string) => Effect.promise(() => page.getByRole("button", { name }).click())
const link = (page: Page, name: string) => Effect.promise(() => page.getByRole("link", { name }).first().click())
const focused = (page: Page) => Effect.promise(() => page.evaluate<string>("document.activeElement.innerText"))

describe.skipIf(isMissing)("the fleet on the page", () => {
  layer(Browser.layer, { excludeTestServices: true })((it) => {
    it.effect("finds hosts by their state, and says when none is found", () =>
      Effect.gen(function*() {
        const { page } = yield* open
        yield* find(page, "reachable")
        yield* see(page, ".found", "2 of 3 hosts found")
        yield* find(page, "web unreach")
        yield* see(page, ".found", "1 of 3 hosts found")
        assert.deepStrictEqual(yield* texts(page, ".grid .name"), ["▲ web-1"])
        yield* find(page, "mail")
        yield* see(page, ".hosts", "No host has “mail” in its name, address, tags, reason or state.")
        assert.deepStrictEqual(yield* violations(page), [])
      }).pipe(
        Effect.scoped,
        Effect.provide(server({ fleet: fleetOf(hostsIn("reachable", "unreachable", "reachable")) }))
      ))

    it.effect("finds a number whole, as that of a host: web-1 is not web-10", () =>
      Effect.gen(function*() {
        const { page } = yield* open
        yield* find(page, "web-1")
        yield* see(page, ".found", "1 of 12 hosts found.")
        yield* find(page, "192.0.2.1")
        yield* see(page, ".found", "1 of 12 hosts found.")
        yield* find(page, "eb-")
        yield* see(page, ".found", "12 of 12 hosts found.")
        yield* find(page, "")
        yield* Effect.promise(() => page.getByLabel("Find alerts").fill("web-1"))
        yield* see(page, ".found", "1 of 12 alerts found.")
      }).pipe(
        Effect.scoped,
        Effect.provide(server({
          fleet: fleetOf(hostsIn(...Array.from({ length: 12 }, () => "unreachable" as const)), alertsOf(12))
        }))
      ))

    it.effect("shows since when a host is down, however long the reason is", () =>
      Effect.gen(function*() {
        const { page } = yield* open
        yield* see(page, ".tile", "connected, but")
        const edges = yield* Effect.promise(() =>
          page.locator(".tile").evaluate((tile) =>
            [tile.querySelector("time")!, tile].map((element) => element.getBoundingClientRect().right)
          )
        )
        assert.isBelow(edges[0], edges[1])
      }).pipe(
        Effect.scoped,
        Effect.provide(server({
          fleet: {
            ...fleetOf([]),
            hosts: Effect.succeed(
              hostsIn("unreachable").map((host) =>
                Object.assign(host, {
                  since: DateTime.makeUnsafe(0),
                  reason: "connected, but no SSH banner within 5s, and then the connection was reset ".repeat(3)
                })
              )
            )
          }
        }))
      ))

    it.effect("has alerts changed in a dialog, by the keyboard alone, with why", () => {
      type Alert = Effect.Success<FleetView["Service"]["openAlerts"]>[number]
      let alerts: ReadonlyArray<Alert> = alertsOf(2)
      const changes: Array<unknown> = []
      const fleet: FleetView["Service"] = {
        hosts: Effect.succeed(hostsIn("unreachable", "unreachable")),
        openAlerts: Effect.sync(() => alerts),
        scores: () => Effect.succeed([]),
        alertHistory: () =>
          Effect.succeed([{
            from: "active",
            to: "acknowledged",
            at: DateTime.makeUnsafe(0),
            who: "grace",
            why: "mine",
            until: null
          }]),
        changeAlerts: (change) =>
          Effect.suspend(() => {
            changes.push(change)
            if (change.action === "dismiss") {
              return new InspectorApi.AlertsNotChanged({ message: "alert 1 is resolved already" })
            }
            if (change.action === "resolve") {
              alerts = alerts.filter(({ id }) => id !== "1")
              return Effect.succeed([{ id: "1", from: "active", to: "resolved" }])
            }
            const silencedUntil = DateTime.makeUnsafe("2100-01-01T12:00:00Z")
            const [first, ...others] = alerts
            alerts = [{ ...first!, state: "silenced" as const, silencedUntil }, ...others]
            return Effect.succeed([{ id: "0", from: "active", to: "silenced" }])
          })
      }
      return Effect.gen(function*() {
        const { page, problems } = yield* open
        const ask = (n: number) =>
          Effect.promise(() => page.getByRole("button", { name: `Change: Alert number ${n}` }).press("Enter"))
        const label = () => Effect.promise(() => page.evaluate<string>("document.activeElement.ariaLabel"))

        // Escape closes, and the button has the focus again.
        yield* ask(0)
        yield* see(page, "dialog", "What becomes of this alert?")
        yield* see(page, "dialog .past", /acknowledged by grace, .*: mine/)
        // It is a line, and has not the columns of the alerts around it.
        assert.strictEqual(
          yield* Effect.promise(() =>
            page.evaluate<string>(`getComputedStyle(document.querySelector("dialog .past li")).display`)
          ),
          "list-item"
        )
        assert.deepStrictEqual(yield* violations(page), [])
        yield* press(page, "Escape")
        yield* Effect.promise(() => page.locator("dialog").waitFor({ state: "detached" }))
        assert.strictEqual(yield* label(), "Change: Alert number 0")
        assert.deepStrictEqual(changes, [])

        yield* ask(0)
        yield* Effect.promise(() => page.getByRole("radio", { name: /^Silence/ }).press(" "))
        yield* Effect.promise(() => page.getByRole("combobox", { name: "For" }).selectOption("2 hours"))
        yield* Effect.promise(() => page.getByLabel("Why").fill("a new disk"))
        yield* Effect.promise(() => page.getByLabel("Why").press("Enter"))
        yield* see(page, ".alerts .outcome", "The alert is silenced.")
        yield* see(page, ".alerts li:first-of-type", /silenced until Jan 1, 2100/)
        assert.deepStrictEqual(changes, [
          { ids: ["0"], action: "silence", why: "a new disk", seconds: 7_200, who: "this machine" }
        ])
        assert.strictEqual(yield* label(), "Change: Alert number 0")

        // What is refused is said where it was asked, and nothing that was typed is lost.
        yield* ask(1)
        yield* Effect.promise(() => page.getByRole("radio", { name: /^Dismiss/ }).press(" "))
        yield* Effect.promise(() => page.getByLabel("Why").fill("none"))
        yield* Effect.promise(() => page.getByLabel("Why").press("Enter"))
        yield* see(page, "dialog [role=alert]", "Not changed (409: alert 1 is resolved already).")
        assert.strictEqual(yield* Effect.promise(() => page.getByLabel("Why").inputValue()), "none")
        assert.deepStrictEqual(yield* violations(page), [])

        // The button goes with an alert that is over: the heading has the focus then.
        yield* Effect.promise(() => page.getByRole("radio", { name: /^Resolve/ }).press(" "))
        yield* Effect.promise(() => page.getByLabel("Why").press("Enter"))
        yield* see(page, ".alerts h2", /1$/)
        assert.match(yield* focused(page), /^Open alerts/)
        // The browser notes the status 409 itself.
        assert.deepStrictEqual(problems.filter((problem) => !problem.includes("409")), [])
      }).pipe(Effect.scoped, Effect.provide(server({ fleet })))
    })

    it.effect("has many alerts changed at once, by the keyboard alone: those that are found, and says which are not", () => {
      let alerts: ReadonlyArray<Effect.Success<FleetView["Service"]["openAlerts"]>[number]> = alertsOf(130).map(
        (alert, n) => Object.assign(alert, { type: n < 10 ? "drift_minor" : "host_unreachable" })
      )
      const sizes: Array<number> = []
      let isAway = false
      const fleet: FleetView["Service"] = {
        hosts: Effect.succeed(hostsIn(...Array.from({ length: 130 }, () => "unreachable" as const))),
        openAlerts: Effect.sync(() => alerts),
        scores: () => Effect.succeed([]),
        changeAlerts: Effect.fnUntraced(function*({ ids }) {
          sizes.push(ids.length)
          if (ids.includes("70") && !isAway) {
            return yield* new InspectorApi.AlertsNotChanged({ message: "alert 70 is resolved already", ids: ["70"] })
          }
          if (isAway && sizes.length > 1) {
            return yield* new InspectorApi.AlertsUnavailable({ message: "the database is away" })
          }
          alerts = alerts.map((alert) =>
            ids.includes(alert.id) ? Object.assign({}, alert, { state: "acknowledged" as const }) : alert
          )
          return ids.map((id) => ({ id, from: "active", to: "acknowledged" }))
        })
      }
      return Effect.gen(function*() {
        const { page, problems } = yield* open
        const ask = (name: string) => Effect.promise(() => page.getByRole("button", { name }).press("Enter"))
        const look = (words: string) => Effect.promise(() => page.getByLabel("Find alerts").fill(words))
        const confirm = (name: string) =>
          Effect.promise(async () => {
            await page.getByRole("button", { name, exact: true }).focus()
            await page.keyboard.press("Enter")
          })

        yield* look("host_unreachable")
        yield* see(page, ".found", "120 of 130 alerts found.")
        assert.strictEqual(new URL(page.url()).hash, "#/?alerts=host_unreachable")
        assert.deepStrictEqual(yield* violations(page), [])
        yield* ask("Change these 120…")
        yield* see(page, "dialog", "What becomes of these 120 alerts?")
        yield* see(page, "dialog", "and 115 more")
        assert.deepStrictEqual(yield* violations(page), [])
        yield* confirm("Acknowledge 120 alerts")
        yield* see(
          page,
          ".alerts .outcome",
          "119 alerts are acknowledged. Not changed: 1, as alert 70 is resolved already."
        )
        assert.deepStrictEqual(sizes, [50, 50, 50, 19])

        // What only some of them can become is said before it is done.
        yield* look("")
        yield* see(page, ".alerts li", "acknowledged")
        yield* ask("Change all 130…")
        yield* see(page, "dialog", "Acknowledge 11 of them: you look after them")
        sizes.length = 0
        isAway = true
        yield* Effect.promise(() => page.getByRole("radio", { name: /^Silence/ }).press(" "))
        yield* confirm("Silence 130 alerts")
        // Of 130 that were there when it was asked, the first 50 are done.
        yield* see(
          page,
          ".alerts .outcome",
          /^50 alerts are acknowledged\. Not changed: 80 \(503: the database is away\)\.$/
        )
        // The browser notes the statuses 409 and 503 itself.
        assert.deepStrictEqual(problems, [])
      }).pipe(Effect.scoped, Effect.provide(server({ fleet })))
    })

    it.effect("has no buttons where alerts cannot be changed", () =>
      Effect.gen(function*() {
        const { page } = yield* open
        yield* see(page, ".alerts li:first-of-type", "Alert number 0")
        assert.strictEqual(yield* Effect.promise(() => page.getByRole("button", { name: /^Change/ }).count()), 0)
      }).pipe(Effect.scoped, Effect.provide(server({ fleet: fleetOf(hostsIn("unreachable"), alertsOf(1)) }))))

    it.effect("counts and finds the hosts that could not be judged apart from all others", () =>
      Effect.gen(function*() {
        const { page } = yield* open
        yield* see(page, ".legend .unjudged", /1\s+unjudged/)
        yield* see(page, ".tile.unjudged", "web-1")
        yield* see(page, ".summary", "1 could not be judged")
        yield* find(page, "unjudged")
        yield* see(page, ".found", "1 of 3 hosts found")
        assert.deepStrictEqual(yield* violations(page), [])
      }).pipe(
        Effect.scoped,
        Effect.provide(server({ fleet: fleetOf(hostsIn("reachable", "unjudged", "unknown")) }))
      ))

    it.effect("marks the hosts that are in maintenance, on tile, alert and in the host's view, with what is planned", () => {
      const maintenance = (isOn: boolean, hostIds: ReadonlyArray<string>, who: string | null) => ({
        subjects: ["site=berlin"],
        hostIds,
        isOn,
        since: DateTime.makeUnsafe("2100-01-01T12:00:00Z"),
        until: DateTime.makeUnsafe("2100-01-02T12:00:00Z"),
        who,
        why: "a new disk"
      })
      const fleet: FleetView["Service"] = {
        ...fleetOf(hostsIn("unreachable", "unreachable", "reachable"), alertsOf(2)),
        maintenance: Effect.succeed([
          maintenance(true, ["host-0", "host-2"], "ada"),
          maintenance(false, ["host-1"], null)
        ])
      }
      return Effect.gen(function*() {
        const { page, problems } = yield* open
        yield* see(page, ".summary", "of 3 hosts; 2 in maintenance, of which 1 down")
        // Those that nobody works on come first.
        assert.deepStrictEqual(yield* texts(page, ".grid .name"), ["▲ web-1", "▲‖ web-0", "●‖ web-2"])
        yield* see(page, ".tile.maintained.unreachable", /web-0.*unreachable, in maintenance until Jan 2/s)
        assert.match(
          (yield* Effect.promise(() => page.locator(".tile.maintained").first().getAttribute("title")))!,
          /^web-0: unreachable\nIn maintenance until Jan 2, 2100, .*, by ada: a new disk$/
        )
        yield* see(page, ".alerts li:first-of-type", "in maintenance until Jan 2,")
        yield* see(page, ".maintenance li", /^site=berlin \(2 hosts\) until Jan 2, 2100, .*, by ada: a new disk$/)
        yield* see(page, ".maintenance li", /from Jan 1, 2100, .* planned in the configuration: a new disk$/)
        yield* Effect.promise(() => page.locator(".choice.maintenance").click())
        yield* see(page, ".found", "2 of 3 hosts found")
        assert.strictEqual(new URL(page.url()).hash, "#/?state=maintenance")
        assert.deepStrictEqual(yield* violations(page), [])
        yield* link(page, "web-0")
        yield* see(page, ".condition", /Maintenance\s*until Jan 2, 2100, .*, by ada: a new disk/)
        assert.deepStrictEqual(yield* violations(page), [])
        assert.deepStrictEqual(problems, [])
      }).pipe(Effect.scoped, Effect.provide(server({ fleet })))
    })

    it.effect("says how many of the alerts are not shown, and shows them", () =>
      Effect.gen(function*() {
        const { page } = yield* open
        yield* see(page, ".alerts .more", "240 more are not shown.")
        yield* click(page, "Show all 300")
        yield* see(page, ".alerts li", "Alert number 299")
        yield* click(page, "Show fewer")
        yield* see(page, ".alerts .more", "240 more are not shown.")
      }).pipe(
        Effect.scoped,
        Effect.provide(
          server({
            fleet: fleetOf(hostsIn(...Array.from({ length: 250 }, () => "unreachable" as const)), alertsOf(300))
          })
        )
      ))

    it.effect("says that all is well only where it is", () =>
      Effect.gen(function*() {
        const { page } = yield* open
        yield* see(page, ".alerts", "None.")
        assert.deepStrictEqual(yield* texts(page, ".alerts p.muted"), ["None."])
      }).pipe(Effect.scoped, Effect.provide(server({ fleet: fleetOf(hostsIn("reachable", "unreachable")) }))))

    it.effect("says that all is well where every host is reachable", () =>
      Effect.gen(function*() {
        const { page } = yield* open
        yield* see(page, ".alerts p", "None. All is as it should be.")
      }).pipe(Effect.scoped, Effect.provide(server({ fleet: fleetOf(hostsIn("reachable", "reachable")) }))))

    it.effect("shows the bus, and says what is wrong, where the fleet cannot be read", () =>
      Effect.gen(function*() {
        const { page, problems } = yield* open
        yield* see(page, ".unread", "Hosts and alerts cannot be read now. The log of the server says why.")
        // What is not known is not said to be nothing.
        assert.strictEqual(yield* Effect.promise(() => page.locator(".summary, .alerts").count()), 0)
        assert.notInclude((yield* texts(page, ".hosts")).join(), "No host is watched yet")
        yield* link(page, "Bus")
        yield* see(page, ".total", /Published\s*0/)
        assert.deepStrictEqual(problems, [])
      }).pipe(
        Effect.scoped,
        Effect.provide(server({ fleet: { ...fleetOf([]), hosts: Effect.die(new Error("the database is away")) } }))
      ))

    it.effect("is one stop of the tabulator, with arrow keys inside, and Escape closes a host", () =>
      Effect.gen(function*() {
        const { page } = yield* open
        yield* see(page, ".grid", "web-2")
        yield* Effect.promise(() => page.getByLabel("Find a host").focus())
        yield* press(page, "Tab")
        assert.include(yield* focused(page), "web-0")
        yield* press(page, "ArrowRight")
        assert.include(yield* focused(page), "web-1")
        yield* press(page, "End")
        assert.include(yield* focused(page), "web-2")
        yield* press(page, "ArrowRight")
        assert.include(yield* focused(page), "web-2")
        yield* press(page, "Enter")
        yield* see(page, "h2:focus", "web-2")
        yield* press(page, "Escape")
        yield* see(page, ".tile:focus", "web-2")
        yield* press(page, "Tab")
        assert.notInclude(yield* focused(page), "web-")
      }).pipe(
        Effect.scoped,
        Effect.provide(server({ fleet: fleetOf(hostsIn("reachable", "reachable", "reachable")) }))
      ))

    it.effect("has all of two thousand hosts within reach, and a screenful of them in the document", () =>
      Effect.gen(function*() {
        const { page } = yield* open
        yield* see(page, ".tile", "web-0")
        const inDocument = Effect.promise(() => page.locator(".tile").count())
        assert.isBelow(yield* inDocument, 200)
        yield* Effect.promise(() => page.locator(".tiles").evaluate((box) => (box as any).scrollTop = 1e9))
        yield* see(page, ".tile", "web-1999")
        assert.isBelow(yield* inDocument, 200)
        assert.strictEqual(
          yield* Effect.promise(() =>
            page.getByRole("listitem").filter({ hasText: "web-1999" }).getAttribute("aria-posinset")
          ),
          "2000"
        )
        yield* Effect.promise(() => page.locator(".tiles").evaluate((box) => (box as any).scrollTop = 0))
        yield* see(page, ".tile", "web-0")
        yield* Effect.promise(() => page.locator(".grid [tabindex='0']").focus())
        yield* press(page, "End")
        yield* see(page, ".tile:focus", "web-1999")
        assert.deepStrictEqual(yield* violations(page), [])
      }).pipe(
        Effect.scoped,
        Effect.provide(
          server({ fleet: fleetOf(hostsIn(...Array.from({ length: 2_000 }, () => "reachable" as const))) })
        )
      ))

    it.effect("what is looked at has an address, which outlives a reload and is gone back to", () =>
      Effect.gen(function*() {
        const { page } = yield* open
        const address = Effect.sync(() => new URL(page.url()).hash)
        yield* Effect.promise(() => page.locator(".choice.unreachable").click())
        yield* see(page, ".found", "1 of 3 hosts found")
        assert.strictEqual(yield* address, "#/?state=unreachable")
        yield* Effect.promise(() => page.reload())
        yield* see(page, ".found", "1 of 3 hosts found")
        yield* link(page, "web-1")
        yield* see(page, ".host h2", "web-1")
        assert.strictEqual(yield* address, "#/hosts/host-1")
        yield* Effect.promise(() => page.reload())
        yield* see(page, ".host h2", "web-1")
        yield* Effect.promise(() => page.goBack())
        yield* see(page, ".found", "1 of 3 hosts found")
        yield* link(page, "Bus")
        yield* see(page, ".totals", "Published")
        assert.strictEqual(yield* address, "#/bus")
        yield* Effect.promise(() => page.goBack())
        yield* see(page, ".found", "1 of 3 hosts found")
      }).pipe(
        Effect.scoped,
        Effect.provide(server({ fleet: fleetOf(hostsIn("reachable", "unreachable", "reachable")) }))
      ))

    it.effect("is not sent again while nothing has changed", () =>
      Effect.gen(function*() {
        const { page } = yield* open
        const again = yield* Effect.promise(() =>
          page.waitForResponse((response) =>
            response.url().endsWith("/api/fleet/hosts") && response.request().headers()["if-none-match"] !== undefined
          )
        )
        assert.strictEqual(again.status(), 304)
        yield* see(page, ".grid", "web-0")
      }).pipe(Effect.scoped, Effect.provide(server({ fleet: fleetOf(hostsIn("reachable")) }))))

    it.effect("shows the past of a host: uptime, response times, rules that fail and alerts that are over", () =>
      Effect.gen(function*() {
        const { page, problems } = yield* open
        yield* Effect.promise(() => page.evaluate(`location.hash = "#/hosts/host-0"`))
        yield* see(page, ".uptime", /24 hours\s*99\.30 %\s*10 min\s*24 h/)
        yield* see(page, ".uptime", /90 days\s*not known/)
        yield* see(page, ".responses", "Of the last 3 probes, 1 was not answered.")
        yield* see(page, ".failing", "Root cannot log in")
        yield* see(page, ".past-alerts", /resolved .*Host is unreachable/s)
        assert.deepStrictEqual(yield* violations(page), [])
        assert.deepStrictEqual(problems, [])
      }).pipe(
        Effect.scoped,
        Effect.provide(server({ fleet: { ...fleetOf(hostsIn("reachable")), past: () => Effect.succeed(past) } }))
      ))

    it.effect("says that a host has never answered, where no response times are known", () =>
      Effect.gen(function*() {
        const { page } = yield* open
        yield* Effect.promise(() => page.evaluate(`location.hash = "#/hosts/host-0"`))
        yield* see(page, ".responses", "No probe was answered.")
      }).pipe(
        Effect.scoped,
        Effect.provide(server({
          fleet: {
            ...fleetOf(hostsIn("unreachable")),
            past: () =>
              Effect.succeed({
                ...past,
                responseTimes: { answered: 0, failed: 1, p50: null, p95: null, p99: null },
                probes: [{ at: DateTime.makeUnsafe(0), responseTimeMs: null }]
              })
          }
        }))
      ))

    it.effect("says that the past of a host cannot be read, apart from what can", () =>
      Effect.gen(function*() {
        const { page } = yield* open
        yield* Effect.promise(() => page.evaluate(`location.hash = "#/hosts/host-0"`))
        yield* see(page, ".host [role=alert]", "Its past could not be read.")
        yield* see(page, ".scores", "This host was never scanned.")
      }).pipe(
        Effect.scoped,
        Effect.provide(
          server({
            fleet: { ...fleetOf(hostsIn("reachable")), past: () => Effect.die(new Error("the database is away")) }
          })
        )
      ))
  })
})
