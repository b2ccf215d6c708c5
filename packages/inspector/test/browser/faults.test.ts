/**
 * What people have stumbled over, each once.
 */
import { assert, describe, layer, vi } from "@effect/vitest"
import type { FleetView } from "@openwatch/inspector"
import { DateTime, Effect } from "effect"
import type { Page } from "playwright-core"
import { ping, port, server, TestBus } from "../fixture.ts"
import { violations } from "./axe.ts"
import { Browser, isMissing, openPage, see } from "./browser.ts"

vi.setConfig({ testTimeout: 60_000 })

type Host = Effect.Success<FleetView["Service"]["hosts"]>[number]
type Alert = Effect.Success<FleetView["Service"]["openAlerts"]>[number]

const host = (n: number, change: Partial<Host> = {}): Host => ({
  id: `host-${n}`,
  name: `web-${n}`,
  endpoint: "192.0.2.1:22",
  state: "reachable",
  since: null,
  reason: null,
  responseTimeMs: null,
  score: null,
  ...change
})

const alert = (n: number, change: Partial<Alert> = {}): Alert => ({
  id: String(n),
  type: "host_unreachable",
  severity: "high",
  hostId: `host-${n}`,
  title: `web-${n} is unreachable`,
  occurredAt: DateTime.makeUnsafe(Date.now() - 12.5 * 60_000),
  ...change
})

const fleetOf = (
  hosts: () => ReadonlyArray<Host>,
  alerts: () => ReadonlyArray<Alert> = () => [],
  days: ReadonlyArray<string> = []
): FleetView["Service"] => ({
  hosts: Effect.sync(hosts),
  openAlerts: Effect.sync(alerts),
  scores: () =>
    Effect.succeed(days.map((day, n) => ({ scanId: `${n}`, profile: "cis", score: 90, at: DateTime.makeUnsafe(day) })))
})

const open = Effect.fnUntraced(
  function*(address = "", viewport = { width: 1400, height: 1000 }, prepare?: (page: Page) => Promise<unknown>) {
    const { page } = yield* openPage(`http://127.0.0.1:${yield* port}/${address}`, { viewport }, prepare)
    yield* see(page, ".status", "Live")
    return page
  }
)

const count = (page: Page, selector: string) => Effect.promise(() => page.locator(selector).count())

/** As a bus of twelve kinds has it. */
const withTwelveKinds = async (page: Page) => {
  const kinds = Array.from({ length: 12 }, (_, n) => `KindOfEventNumber${n}`)
  await page.route("**/api/bus", async (route) => {
    const response = await route.fetch()
    await route.fulfill({ response, json: { ...await response.json(), kinds } })
  })
  await page.route("**/api/subscriptions", async (route) => {
    const response = await route.fetch()
    const [first] = await response.json() as ReadonlyArray<object>
    await route.fulfill({ response, json: [{ ...first, name: "all", kinds }] })
  })
}

/** Notes in the page what its charts write. */
const withNotes = (page: Page) =>
  page.addInitScript(`
    globalThis.written = []
    const { fillText } = CanvasRenderingContext2D.prototype
    CanvasRenderingContext2D.prototype.fillText = function(text, ...rest) {
      if (text !== "") globalThis.written.push(text)
      return fillText.call(this, text, ...rest)
    }
  `)

describe.skipIf(isMissing)("what people have stumbled over", () => {
  layer(Browser.layer, { excludeTestServices: true })((it) => {
    it.effect("a host of another process is called by its name in its alert", () =>
      Effect.gen(function*() {
        const page = yield* open()
        yield* see(page, ".alerts li", "elsewhere, 12 min ago")
        assert.strictEqual(yield* count(page, ".alerts a"), 0)
      }).pipe(
        Effect.scoped,
        Effect.provide(server({
          fleet: fleetOf(() => [host(1)], () => [alert(7, { host: { name: "elsewhere" }, title: "It is unreachable" })])
        }))
      ))

    it.effect("a time is told as how long ago it was, and in full, with its zone, by its title", () =>
      Effect.gen(function*() {
        const page = yield* open()
        yield* see(page, ".alerts time", "12 min ago")
        const title = yield* Effect.promise(() => page.locator(".alerts time").getAttribute("title"))
        assert.match(title ?? "", /^\w+day, \w+ \d+, \d{4} at \d\d:\d\d:\d\d \S+/)
      }).pipe(Effect.scoped, Effect.provide(server({ fleet: fleetOf(() => [host(1)], () => [alert(1)]) }))))

    it.effect("that nothing is wrong is not red", () =>
      Effect.gen(function*() {
        const page = yield* open()
        yield* see(page, ".choice.muted", "0 unreachable")
        assert.strictEqual(yield* count(page, ".choice.unreachable, .glance.bad"), 0)
      }).pipe(Effect.scoped, Effect.provide(server({ fleet: fleetOf(() => [host(1)]) }))))

    it.effect("tiles are all of one height, whatever is in them, and an open alert shows on its tile", () =>
      Effect.gen(function*() {
        const page = yield* open("", { width: 360, height: 800 })
        yield* see(page, ".tile", "a-long-name")
        yield* see(page, ".tile .badge", "2 alerts")
        yield* see(page, ".tile", "web-2")
        const heights = (selector: string) =>
          Effect.promise(() =>
            page.locator(selector).evaluateAll((all) => Array.from(new Set(all.map((one: any) => one.offsetHeight))))
          )
        for (const part of [".tile", ".tile .name", ".tile .of"]) assert.lengthOf(yield* heights(part), 1)
        assert.deepStrictEqual(yield* violations(page), [])
      }).pipe(
        Effect.scoped,
        Effect.provide(server({
          fleet: fleetOf(
            () => [
              host(1, {
                name: `a-long-name-${"x".repeat(300)}`,
                state: "unreachable",
                reason: "no answer ".repeat(30)
              }),
              host(2)
            ],
            () => [alert(1), alert(1, { id: "other" })]
          )
        }))
      ))

    it.effect("the worst hosts come first: those that are down, by their alerts, then those with alerts", () =>
      Effect.gen(function*() {
        const page = yield* open()
        yield* see(page, ".tile", "web-5")
        assert.deepStrictEqual(yield* Effect.promise(() => page.locator(".tile .name").allInnerTexts()), [
          "▲ web-4",
          "▲ web-3",
          "● web-2",
          "? web-6",
          "● web-5",
          "● web-1"
        ])
      }).pipe(
        Effect.scoped,
        Effect.provide(server({
          fleet: fleetOf(
            () => [
              host(1, { score: 90 }),
              host(2),
              host(3, { state: "unreachable" }),
              host(4, { state: "unreachable" }),
              host(5, { score: 20 }),
              host(6, { state: "unknown" })
            ],
            () => [alert(2, { severity: "medium" }), alert(4)]
          )
        }))
      ))

    it.effect("hosts are found by tag, and by the address of those that were", () =>
      Effect.gen(function*() {
        const page = yield* open("#/?tag=site%3Dberlin&text=web")
        yield* see(page, ".found", "1 of 2 hosts found")
        yield* Effect.promise(() => page.getByLabel("Tag").selectOption("site=paris"))
        yield* see(page, ".tile", "web-2")
        assert.strictEqual(yield* count(page, ".tile"), 1)
        assert.strictEqual(new URL(page.url()).hash, "#/?tag=site%3Dparis&text=web")
      }).pipe(
        Effect.scoped,
        Effect.provide(server({
          fleet: fleetOf(() => [host(1, { tags: { site: "berlin" } }), host(2, { tags: { site: "paris" } })])
        }))
      ))

    it.effect("the alerts are within five tabs, however many there are", () =>
      Effect.gen(function*() {
        const page = yield* open()
        yield* see(page, ".alerts li", "web-0")
        const visited: Array<string> = []
        for (let n = 0; n < 5; n++) {
          yield* Effect.promise(() => page.keyboard.press("Tab"))
          visited.push(
            yield* Effect.promise(() =>
              page.evaluate<string>("document.activeElement.closest('section')?.className ?? ''")
            )
          )
        }
        assert.include(visited, "panel alerts")
      }).pipe(
        Effect.scoped,
        Effect.provide(server({
          fleet: fleetOf(() => Array.from({ length: 240 }, (_, n) => host(n)), () =>
            Array.from({ length: 240 }, (_, n) => alert(n)))
        }))
      ))

    it.effect("a new alert is announced", () => {
      const alerts = [alert(1)]
      return Effect.gen(function*() {
        const page = yield* open()
        yield* see(page, ".alerts li", "web-1 is unreachable")
        assert.deepStrictEqual(yield* Effect.promise(() => page.locator(".summary [role=status]").allInnerTexts()), [
          ""
        ])
        alerts.push(alert(2))
        yield* (yield* TestBus).publish(ping("something has happened"))
        yield* see(page, ".summary [role=status]", "New alert: web-2 is unreachable")
      }).pipe(Effect.scoped, Effect.provide(server({ fleet: fleetOf(() => [host(1), host(2)], () => alerts.slice()) })))
    })

    it.effect("all hosts are printed", () =>
      Effect.gen(function*() {
        const page = yield* open()
        yield* see(page, ".tile", "web-0")
        yield* Effect.promise(() => page.evaluate("dispatchEvent(new Event('beforeprint'))"))
        assert.strictEqual(yield* count(page, ".tile"), 500)
        yield* Effect.promise(() => page.evaluate("dispatchEvent(new Event('afterprint'))"))
        assert.isBelow(yield* count(page, ".tile"), 200)
      }).pipe(
        Effect.scoped,
        Effect.provide(server({ fleet: fleetOf(() => Array.from({ length: 500 }, (_, n) => host(n))) }))
      ))

    it.effect("a host that is not watched any more is said to be so", () =>
      Effect.gen(function*() {
        const page = yield* open("#/hosts/gone")
        yield* see(page, ".host", "No host with the id gone is watched here.")
        yield* Effect.promise(() => page.getByRole("link", { name: "Back to all hosts" }).click())
        yield* see(page, ".tile", "web-1")
      }).pipe(Effect.scoped, Effect.provide(server({ fleet: fleetOf(() => [host(1)]) }))))

    it.effect("the ticks of a chart are all different, with one scan and with several on a day", () =>
      Effect.gen(function*() {
        const page = yield* open("#/hosts/host-1", undefined, withNotes)
        yield* see(page, ".scores", "3 scans as a table")
        const written = yield* Effect.promise(() =>
          page.evaluate<Array<string>>("written.filter((text) => /[A-Z]/.test(text))")
        )
        assert.isNotEmpty(written)
        // Drawn once or twice, as the place for it was measured; next to one another never twice.
        assert.deepStrictEqual(written.filter((text, n) => text === written[n - 1]), [])
      }).pipe(
        Effect.scoped,
        Effect.provide(server({
          fleet: fleetOf(() => [host(1)], undefined, [
            "2026-01-01T10:00:00Z",
            "2026-01-01T12:00:00Z",
            "2026-01-02T12:00:00Z"
          ])
        }))
      ))

    it.effect("twelve kinds have lines that can be told apart, and a table that can be read", () =>
      Effect.gen(function*() {
        const bus = yield* TestBus
        yield* bus.on("Ping", () => Effect.void, { name: "all" })
        const page = yield* open("#/bus", { width: 1024, height: 800 }, withTwelveKinds)
        yield* see(page, ".legend li", "7 other kinds")
        yield* see(page, ".subscriptions td", "KindOfEventNumber2 and 9 more")
        const swatches = yield* Effect.promise(() =>
          page.locator(".legend .swatch").evaluateAll((all) => all.map((one: any) => one.className))
        )
        assert.strictEqual(new Set(swatches).size, swatches.length)
        const height = yield* Effect.promise(() =>
          page.locator(".subscriptions tbody tr").evaluate((row: any) => row.offsetHeight)
        )
        assert.isBelow(height, 200)
      }).pipe(Effect.scoped, Effect.provide(server())))

    it.effect("two hundred subscriptions on a telephone are a page that can be scrolled, and all can be shown", () =>
      Effect.gen(function*() {
        const bus = yield* TestBus
        yield* Effect.forEach(
          Array.from({ length: 200 }),
          (_, n) => bus.on("Ping", () => Effect.void, { name: `subscription-${n}` })
        )
        const page = yield* open("", { width: 360, height: 800 })
        yield* see(page, ".subscriptions .more", "175 more are not shown.")
        const height = yield* Effect.promise(() => page.evaluate<number>("document.documentElement.scrollHeight"))
        assert.isBelow(height, 10_000)
        yield* Effect.promise(() => page.getByRole("button", { name: "Show all 200" }).click())
        yield* see(page, ".subscriptions th", "subscription-199")
      }).pipe(Effect.scoped, Effect.provide(server())))
  })
})
