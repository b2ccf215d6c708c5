import { assert, describe, layer, vi } from "@effect/vitest"
import type { FleetView } from "@openwatch/inspector"
import { DateTime, Effect, Exit, Layer, Redacted, Scope } from "effect"
import * as Http from "node:http"
import type { AddressInfo } from "node:net"
import type { Page } from "playwright-core"
import { Ping, ping, Pong, port, request, server, TestBus } from "../fixture.ts"
import { violations } from "./axe.ts"
import { Browser, isMissing, openPage, see } from "./browser.ts"
import { fleet } from "./scene.ts"

/** Counters are read and events come. */
const seeLive = (page: Page): Effect.Effect<void> => see(page, ".status", "Live")

// Waits end as soon as what they wait for is there; a busy machine is given time.
vi.setConfig({ testTimeout: 60_000 })

const token = "correct horse battery staple"

/** The same in the dark, for what is the same test otherwise. */
const violationsInDark = (page: Page) =>
  Effect.promise(() => page.emulateMedia({ colorScheme: "dark" })).pipe(
    Effect.andThen(violations(page)),
    Effect.tap(Effect.promise(() => page.emulateMedia({ colorScheme: "light" })))
  )

const url = Effect.map(port, (port) => `http://127.0.0.1:${port}/`)
const text = (page: Page, selector: string) => Effect.promise(() => page.locator(selector).allInnerTexts())
const click = (page: Page, name: RegExp) => Effect.promise(() => page.getByRole("button", { name }).click())
const now = Effect.map(DateTime.now, (occurredAt) => (text: string) => new Ping({ text, occurredAt }))

// Pages of a headless browser are never hidden.
const setHidden = (page: Page, hidden: boolean) =>
  Effect.promise(() =>
    page.evaluate(`
      Object.defineProperty(document, "hidden", { configurable: true, value: ${hidden} })
      document.dispatchEvent(new Event("visibilitychange"))
    `)
  )

/** Hides the page, the only one, and waits until the server has noticed. */
const hide = (page: Page) =>
  Effect.andThen(
    setHidden(page, true),
    Effect.repeat(request("/api/bus"), { until: ({ text }) => JSON.parse(text).clients === 0 })
  )

const show = (page: Page) => setHidden(page, false)

/** What an image of the page, a chart, has drawn. */
const drawing = (page: Page, name: RegExp) =>
  Effect.promise(() =>
    page.getByRole("img", { name }).locator("canvas").evaluate((canvas) =>
      (canvas as unknown as { readonly toDataURL: () => string }).toDataURL()
    )
  )

/** Runs a server until it is stopped, or the scope closes. */
const run = Effect.fnUntraced(function*(at?: number) {
  const scope = yield* Scope.fork(yield* Effect.scope)
  const context = yield* Layer.buildWithScope(server({}, at === undefined ? {} : { port: at }), scope)
  return {
    port: yield* Effect.provide(port, context),
    bus: yield* Effect.provide(TestBus, context),
    stop: Scope.close(scope, Exit.void)
  }
})

describe.skipIf(isMissing)("the page", () => {
  layer(Browser.layer, { excludeTestServices: true })((it) => {
    it.effect("shows an event as it is published", () =>
      Effect.gen(function*() {
        const bus = yield* TestBus
        const { page, problems } = yield* openPage(yield* url)
        yield* seeLive(page)
        yield* bus.publish((yield* now)("the door is open"))
        yield* see(page, ".events li", "the door is open")
        yield* see(page, ".total", /Published\s*1/)
        assert.deepStrictEqual(problems, [])
      }).pipe(Effect.scoped, Effect.provide(server())))

    for (const width of [360, 1200]) {
      it.effect(`shows the fields of an event however long the name of its kind is, ${width} px`, () =>
        Effect.gen(function*() {
          const bus = yield* TestBus
          const { page } = yield* openPage(yield* url, { viewport: { width, height: 900 } })
          yield* seeLive(page)
          yield* bus.publish((yield* now)("the door is open"))
          yield* see(page, ".events li", "the door is open")
          yield* Effect.promise(() =>
            page.locator(".events .kind").evaluate((kind: { textContent: string }) =>
              kind.textContent = "SomethingThatHappened".repeat(4)
            )
          )
          const [line, kind, fields] = yield* Effect.promise(() =>
            Promise.all(
              [".events li", ".events .kind", ".events .fields"].map((one) => page.locator(one).boundingBox())
            )
          )
          assert.isAtMost(kind!.x + kind!.width, line!.x + line!.width)
          assert.isAbove(fields!.width, 100)
        }).pipe(Effect.scoped, Effect.provide(server())))
    }

    it.effect("is not live before its events come, whatever else is answered", () =>
      Effect.gen(function*() {
        const held = Promise.withResolvers<void>()
        const { page } = yield* openPage(yield* url, {}, (page) =>
          page.route("**/api/events*", async (route) => {
            await held.promise
            await route.continue()
          }))
        yield* see(page, ".totals", "Published")
        const at = Effect.promise(() => page.waitForResponse("**/api/subscriptions"))
        yield* Effect.andThen(at, at)
        assert.deepStrictEqual(yield* text(page, ".status"), ["Connecting…"])
        held.resolve()
        yield* seeLive(page)
      }).pipe(Effect.scoped, Effect.provide(server())))

    it.effect("lets go of its events while it is hidden, and misses none", () =>
      Effect.gen(function*() {
        const bus = yield* TestBus
        const { page } = yield* openPage(yield* url)
        yield* bus.publish(ping("before"))
        yield* see(page, ".events li", "before")
        yield* hide(page)
        yield* bus.publish(ping("meanwhile"))
        yield* see(page, ".total", /Published\s*2/)
        assert.notInclude((yield* text(page, ".events li")).join(), "meanwhile")
        yield* show(page)
        yield* see(page, ".events li", "meanwhile")
        yield* seeLive(page)
        assert.deepStrictEqual(yield* text(page, ".kind"), ["Ping", "Ping"])
        assert.deepStrictEqual(yield* text(page, ".notice"), [])
      }).pipe(Effect.scoped, Effect.provide(server())))

    it.effect("that had seen no event when it was hidden is told what it missed", () =>
      Effect.gen(function*() {
        const bus = yield* TestBus
        const { page } = yield* openPage(yield* url)
        yield* seeLive(page)
        yield* hide(page)
        yield* Effect.forEach(Array.from({ length: 1500 }, (_, n) => ping(n)), (event) =>
          Effect.andThen(bus.publish(event), Effect.yieldNow), { discard: true })
        yield* show(page)
        yield* see(page, ".events li", "1499")
        assert.deepStrictEqual(yield* text(page, ".notice"), [
          "500 events happened while this page was away and are no longer kept"
        ])
      }).pipe(Effect.scoped, Effect.provide(server())))

    it.effect("is whole under a prefix, and asks nobody but its own server", () =>
      Effect.gen(function*() {
        const { page } = yield* openPage(`${yield* url}some/where`)
        const asked: Array<string> = []
        page.on("request", (request) => asked.push(request.url()))
        yield* Effect.promise(() => page.reload())
        yield* seeLive(page)
        yield* see(page, ".totals", "Published")
        const own = yield* url
        assert.isAbove(asked.length, 4)
        assert.deepStrictEqual(asked.filter((one) => !one.startsWith(`${own}some/where/`)), [])
      }).pipe(Effect.scoped, Effect.provide(server({ prefix: "/some/where" }))))

    it.effect("shows text as text, whatever it says", () =>
      Effect.gen(function*() {
        const attack = `<img src=x onerror="document.title='owned'"><script>document.title='owned'</script>{{7*7}}`
        const evil: FleetView["Service"] = {
          hosts: Effect.succeed([{
            id: "\"><img src=x>",
            name: attack,
            endpoint: attack,
            state: "reachable",
            since: null,
            reason: null,
            responseTimeMs: null,
            score: 1
          }]),
          openAlerts: Effect.succeed([{
            id: "1",
            type: attack,
            severity: "high",
            hostId: attack,
            title: attack,
            occurredAt: DateTime.makeUnsafe(0)
          }]),
          scores: () => Effect.succeed([{ scanId: attack, profile: attack, score: 50, at: DateTime.makeUnsafe(0) }])
        }
        yield* Effect.gen(function*() {
          const bus = yield* TestBus
          yield* bus.subscribe({ kinds: ["Ping"], name: attack })
          yield* bus.publish(ping(attack))
          const { page, problems } = yield* openPage(yield* url)
          yield* see(page, ".alerts li", attack)
          yield* see(page, ".events li", attack)
          yield* Effect.promise(() => page.locator(".events summary").first().click())
          yield* see(page, ".events pre", "onerror")
          yield* Effect.promise(() => page.locator(".tile").click())
          yield* Effect.promise(() => page.locator(".scores summary").click())
          yield* see(page, ".scores table", attack)
          yield* Effect.promise(() => page.getByRole("link", { name: "Bus" }).click())
          yield* see(page, ".subscriptions th", attack)
          assert.strictEqual(yield* Effect.promise(() => page.locator("#app img, #app script, #app iframe").count()), 0)
          assert.strictEqual(yield* Effect.promise(() => page.title()), attack)
          assert.deepStrictEqual(problems, [])
        }).pipe(Effect.provide(server({ fleet: evil, title: attack })))
      }).pipe(Effect.scoped))

    it.effect("has no way left to turn text into markup, or to run or style by attribute", () =>
      Effect.gen(function*() {
        const { page } = yield* openPage(yield* url)
        yield* seeLive(page)
        const tried = yield* Effect.promise(() =>
          page.evaluate(`(() => {
            const tried = []
            try { document.body.innerHTML = "<b>x</b>"; tried.push("innerHTML") } catch {}
            const script = document.createElement("script")
            try { script.text = "document.title = 'owned'"; document.body.append(script) } catch {}
            if (document.title === "owned") tried.push("inline script")
            const button = document.createElement("button")
            try { button.setAttribute("onclick", "document.title = 'owned'"); document.body.append(button); button.click() } catch {}
            if (document.title === "owned") tried.push("inline handler")
            const styled = document.createElement("p")
            styled.setAttribute("style", "position: fixed")
            document.body.append(styled)
            if (getComputedStyle(styled).position === "fixed") tried.push("inline style")
            return tried
          })()`)
        )
        assert.deepStrictEqual(tried, [])
      }).pipe(Effect.scoped, Effect.provide(server())))

    it.effect("gives a page of another site nothing: no answer, no stream, no frame", () =>
      Effect.gen(function*() {
        const target = yield* url
        const { page } = yield* openPage(`http://localhost:${yield* port}/own`)
        const framed = page.waitForResponse(target)
        const got = yield* Effect.promise(() =>
          page.evaluate(`(async () => {
            const got = []
            await fetch("${target}api/bus").then(() => got.push("answer"), () => {})
            await fetch("${target}metrics", { mode: "no-cors" }).then(() => got.push("opaque answer"), () => {})
            const stream = new EventSource("${target}api/events")
            await new Promise((resolve) => {
              stream.onopen = () => resolve(got.push("stream"))
              stream.onerror = resolve
            })
            stream.close()
            const frame = document.createElement("iframe")
            frame.src = "${target}"
            await new Promise((resolve) => {
              frame.onload = resolve
              document.body.append(frame)
            })
            return got
          })()`)
        )
        assert.deepStrictEqual(got, [])
        assert.strictEqual((yield* Effect.promise(() => framed)).status(), 403)
        assert.deepStrictEqual(page.frames().map((frame) => frame.url().startsWith(target)), [false, false])
      }).pipe(Effect.scoped, Effect.provide(server())))

    it.effect("shows a stuck subscription as slow, on top and in words", () =>
      Effect.gen(function*() {
        const bus = yield* TestBus
        yield* bus.subscribe({ kinds: ["Pong"], name: "idle" })
        yield* bus.on("Ping", () => Effect.void, { name: "quick" })
        yield* bus.on("Ping", () => Effect.never, { name: "stuck-one" })
        const { page } = yield* openPage(yield* url)
        yield* see(page, ".subscriptions", "stuck-one")
        yield* bus.publishAll([ping(1), ping(2)])
        yield* see(page, "tr.slow", "slow: stuck")
        assert.match((yield* text(page, ".subscriptions tbody tr"))[0]!, /^stuck-one/)
        assert.strictEqual((yield* text(page, "tr.slow")).length, 1)
      }).pipe(Effect.scoped, Effect.provide(server())))

    it.effect("shows a subscription that loses events as slow, and the failures of another", () =>
      Effect.gen(function*() {
        const bus = yield* TestBus
        yield* bus.subscribe({ kinds: ["Ping"], name: "small", bufferSize: 2, overflow: "sliding" })
        yield* bus.on("Pong", () => Effect.fail("no"), { name: "failing" })
        const { page } = yield* openPage(yield* url)
        yield* see(page, ".subscriptions", "small")
        yield* bus.publishAll([ping(1), ping(2), ping(3), new Pong({ text: "", occurredAt: yield* DateTime.now })])
        yield* see(page, "tr.slow", "slow: losing events")
        yield* see(page, "tr.slow", "2 of 2 pending")
        yield* see(page, "tr:not(.slow) td[data-label=Failures].bad", "1")
      }).pipe(Effect.scoped, Effect.provide(server())))

    it.effect("draws throughput and drops, and says them in words", () =>
      Effect.gen(function*() {
        const bus = yield* TestBus
        const { page } = yield* openPage(yield* url)
        yield* see(page, ".legend", "Ping")
        const published = /Events published each second/
        const before = yield* drawing(page, published)
        yield* Effect.forkScoped(Effect.forever(Effect.andThen(bus.publish(ping(1)), Effect.sleep("20 millis"))))
        yield* Effect.promise(() =>
          page.getByRole("img", { name: /Events published each second.*Now: Ping [1-9]/ }).waitFor()
        )
        yield* Effect.promise(() => page.getByRole("img", { name: /Events dropped each second.*Now: 0/ }).waitFor())
        yield* Effect.repeat(drawing(page, published), { until: (now) => now !== before })
      }).pipe(Effect.scoped, Effect.provide(server())))

    it.effect("filters the events by kind and holds them, by keyboard", () =>
      Effect.gen(function*() {
        const bus = yield* TestBus
        const { page } = yield* openPage(yield* url)
        yield* bus.publishAll([ping("a ping"), new Pong({ text: "a pong", occurredAt: yield* DateTime.now })])
        yield* see(page, ".events li", "a pong")

        yield* Effect.promise(() => page.getByRole("checkbox", { name: "Ping" }).focus())
        yield* Effect.promise(() => page.keyboard.press("Space"))
        assert.deepStrictEqual(yield* text(page, ".kind"), ["Pong"])
        yield* Effect.promise(() => page.keyboard.press("Space"))
        assert.deepStrictEqual(yield* text(page, ".kind"), ["Pong", "Ping"])

        yield* Effect.promise(() => page.keyboard.press("Shift+Tab"))
        yield* Effect.promise(() => page.keyboard.press("Enter"))
        yield* bus.publish(ping("later"))
        yield* see(page, "button[aria-pressed=true]", "Resume (1 newer)")
        assert.strictEqual((yield* text(page, ".kind")).length, 2)
        yield* Effect.promise(() => page.keyboard.press("Enter"))
        yield* see(page, ".events li", "later")
      }).pipe(Effect.scoped, Effect.provide(server())))

    it.effect("picks a restarted server up again, and says what happens meanwhile", () =>
      Effect.gen(function*() {
        const first = yield* run()
        const { page } = yield* openPage(`http://127.0.0.1:${first.port}/`)
        yield* first.bus.publish(ping("before"))
        yield* see(page, ".events li", "before")
        yield* first.stop
        yield* see(page, ".status", "Reconnecting: the server does not answer, last heard at")
        assert.match(yield* Effect.promise(() => page.title()), /^\(offline\)/)
        assert.deepStrictEqual(yield* violations(page), [])
        assert.deepStrictEqual(yield* violationsInDark(page), [])
        const second = yield* run(first.port)
        yield* seeLive(page)
        yield* see(page, ".notice", "The server was restarted")
        yield* Effect.andThen(setHidden(page, true), show(page))
        yield* seeLive(page)
        yield* second.bus.publish(ping("after"))
        yield* see(page, ".events li", "after")
        yield* see(page, ".events li", "before")
        assert.lengthOf(yield* text(page, ".notice"), 1)
      }).pipe(Effect.scoped))

    it.effect("says that the bus has shut down where the server answers still, and shows its last events", () =>
      Effect.gen(function*() {
        const bus = yield* TestBus
        const asked: Array<string> = []
        const { page } = yield* openPage(yield* url, {}, (page) => {
          page.on("request", (request) => asked.push(new URL(request.url()).pathname))
          return page.addInitScript(`
            globalThis.said = []
            setInterval(() => {
              const text = document.querySelector(".status")?.textContent
              if (text !== undefined && text !== said.at(-1)) said.push(text)
            }, 5)
          `)
        })
        yield* seeLive(page)
        yield* bus.publish(ping("the last"))
        yield* see(page, ".events li", "the last")
        yield* bus.shutdown
        yield* see(page, ".status", /^The bus has shut down$/)
        assert.strictEqual(yield* Effect.promise(() => page.title()), "(shut down) test/Bus")
        assert.deepStrictEqual(yield* violations(page), [])
        assert.deepStrictEqual(yield* violationsInDark(page), [])
        // Once it is known that nothing more will come, the rest is asked for once.
        const polled = Effect.promise(() => page.waitForResponse("**/api/bus"))
        yield* Effect.andThen(polled, polled)
        assert.lengthOf(asked.filter((path) => path === "/api/events"), 2)
        const said = yield* Effect.promise(() => page.evaluate<Array<string>>("said"))
        assert.strictEqual(said.at(-1), "The bus has shut down")
        assert.notInclude(said.join(), "does not answer")
        // Who comes later sees the same.
        yield* Effect.promise(() => page.reload())
        yield* see(page, ".events li", "the last")
        yield* see(page, ".status", /^The bus has shut down$/)
      }).pipe(Effect.scoped, Effect.provide(server())))

    it.effect("says of a bus that has shut down when its server is gone, too, and when both are there again", () =>
      Effect.gen(function*() {
        const first = yield* run()
        const { page } = yield* openPage(`http://127.0.0.1:${first.port}/`)
        yield* seeLive(page)
        yield* first.bus.shutdown
        yield* see(page, ".status", "The bus has shut down")
        yield* first.stop
        yield* see(page, ".status", "Reconnecting: the server does not answer, last heard at")
        const second = yield* run(first.port)
        yield* seeLive(page)
        yield* second.bus.publish(ping("after"))
        yield* see(page, ".events li", "after")
      }).pipe(Effect.scoped))

    it.effect("is called by its title before anybody has signed in, and after", () =>
      Effect.gen(function*() {
        const { page } = yield* openPage(yield* url)
        yield* see(page, ".status", "Signed out")
        const names = Effect.all([text(page, "h1"), Effect.promise(() => page.title())])
        assert.deepStrictEqual(yield* names, [["Doors & <b>windows</b>"], "Doors & <b>windows</b>"])
        yield* Effect.promise(async () => {
          await page.getByLabel("Token").fill(token)
          await page.keyboard.press("Enter")
        })
        yield* seeLive(page)
        yield* click(page, /Sign out/)
        yield* see(page, ".status", "Signed out")
        assert.deepStrictEqual(yield* names, [["Doors & <b>windows</b>"], "Doors & <b>windows</b>"])
      }).pipe(
        Effect.scoped,
        Effect.provide(server({ token: Redacted.make(token), title: "Doors & <b>windows</b>" }))
      ))

    it.effect("asks for the token, refuses a wrong one, and keeps the session from scripts", () =>
      Effect.gen(function*() {
        const { page, problems } = yield* openPage(yield* url)
        yield* see(page, ".status", "Signed out")
        const submit = (token: string) =>
          Effect.promise(async () => {
            await page.getByLabel("Token").fill(token)
            await page.keyboard.press("Enter")
          })
        const focused = Effect.promise(() => page.evaluate("document.activeElement.id"))
        assert.strictEqual(yield* focused, "token")
        yield* submit("wrong")
        yield* see(page, "[role=alert]", "This token is wrong.")
        assert.deepStrictEqual(yield* violations(page), [])
        assert.deepStrictEqual(yield* violationsInDark(page), [])
        assert.deepStrictEqual(yield* text(page, ".subscriptions"), [])
        yield* submit(token)
        yield* seeLive(page)
        assert.strictEqual(yield* focused, "main")
        assert.strictEqual(yield* Effect.promise(() => page.evaluate("document.cookie")), "")
        yield* (yield* TestBus).publish(ping("for those who may see"))
        yield* see(page, ".events li", "for those who may see")
        yield* click(page, /Sign out/)
        yield* see(page, ".status", "Signed out")
        assert.deepStrictEqual(yield* text(page, ".events"), [])
        yield* submit(token)
        yield* see(page, ".events li", "for those who may see")
        // As when the session has run out, or the server was given another token.
        yield* Effect.promise(() => page.context().clearCookies())
        yield* see(page, ".status", "Signed out")
        assert.deepStrictEqual(problems, [])
      }).pipe(Effect.scoped, Effect.provide(server({ token: Redacted.make(token) }))))

    it.effect("says why a login is refused, as behind a proxy that leaves the port out of Host", () =>
      Effect.gen(function*() {
        const own = yield* port
        const proxy = Http.createServer((incoming, outgoing) => {
          const { headers, method, url: path } = incoming
          const onward = { host: "127.0.0.1", port: own, path, method, headers: { ...headers, host: "127.0.0.1" } }
          incoming.pipe(Http.request(onward, (answer) => {
            outgoing.writeHead(answer.statusCode!, answer.headers)
            answer.pipe(outgoing)
          }))
        })
        yield* Effect.acquireRelease(
          Effect.callback<void>((resume) => void proxy.listen(0, "127.0.0.1", () => resume(Effect.void))),
          () =>
            Effect.sync(() => {
              proxy.close()
              proxy.closeAllConnections()
            })
        )
        const { page } = yield* openPage(`http://127.0.0.1:${(proxy.address() as AddressInfo).port}/`)
        yield* see(page, ".status", "Signed out")
        yield* Effect.promise(async () => {
          await page.getByLabel("Token").fill(token)
          await page.keyboard.press("Enter")
        })
        yield* see(page, "[role=alert]", /\(403: Requests from .* A proxy between the two has to pass on the Host/)
      }).pipe(Effect.scoped, Effect.provide(server({ token: Redacted.make(token) }))))

    it.effect("asks for the token on a machine that paints later than the server answers", () =>
      Effect.gen(function*() {
        const { page } = yield* openPage(yield* url, {}, (page) =>
          page.addInitScript(`
            const setTimer = setTimeout
            setTimeout = (callback, delay, ...values) => setTimer(callback, delay < 100 ? 1000 : delay, ...values)
            requestAnimationFrame = () => 0
          `))
        yield* see(page, ".status", "Signed out")
        yield* Effect.promise(() => page.getByLabel("Token").waitFor())
      }).pipe(Effect.scoped, Effect.provide(server({ token: Redacted.make(token) }))))

    it.effect("stays signed in while the server cannot be told otherwise", () =>
      Effect.gen(function*() {
        const { page, problems } = yield* openPage(yield* url)
        yield* Effect.promise(async () => {
          await page.getByLabel("Token").fill(token)
          await page.keyboard.press("Enter")
        })
        yield* seeLive(page)
        yield* Effect.promise(() => page.route("**/api/session", (route) => route.abort()))
        const failed = page.waitForEvent("requestfailed", (request) => request.method() === "DELETE")
        yield* click(page, /Sign out/)
        yield* Effect.promise(() => failed)
        yield* Effect.promise(() => page.waitForResponse("**/api/bus"))
        yield* seeLive(page)
        assert.deepStrictEqual(problems, [])
      }).pipe(Effect.scoped, Effect.provide(server({ token: Redacted.make(token) }))))

    it.effect("leads those without a mouse past its head, and shows where they are", () =>
      Effect.gen(function*() {
        const { page } = yield* openPage(yield* url)
        yield* seeLive(page)
        yield* Effect.promise(() => page.keyboard.press("Tab"))
        yield* see(page, "a:focus", "Skip to content")
        yield* Effect.promise(() => page.keyboard.press("Enter"))
        yield* Effect.promise(() => page.locator("#main:focus").waitFor())
        const visited = yield* Effect.promise(async () => {
          const visited: Array<unknown> = []
          for (let n = 0; n < 4; n++) {
            await page.keyboard.press("Tab")
            visited.push(
              await page.evaluate(`(() => {
                const element = document.activeElement
                const name = element.getAttribute("aria-label") ?? element.labels?.[0]?.innerText ?? element.innerText
                return [name.trim(), getComputedStyle(element).outlineStyle]
              })()`)
            )
          }
          return visited
        })
        assert.deepStrictEqual(visited, [
          ["Table of subscriptions", "solid"],
          ["Pause", "solid"],
          ["Ping", "solid"],
          ["Pong", "solid"]
        ])
      }).pipe(Effect.scoped, Effect.provide(server())))

    for (const colorScheme of ["light", "dark"] as const) {
      for (const width of [360, 1600]) {
        it.effect(`has nothing for axe to find and nothing outside the window: ${colorScheme}, ${width} px`, () =>
          Effect.gen(function*() {
            const bus = yield* TestBus
            yield* bus.subscribe({ kinds: ["Ping"], name: "a-rather-long-name-of-a-subscription", bufferSize: 2 })
            const { page } = yield* openPage(yield* url, { colorScheme, viewport: { width, height: 800 } })
            const isFine = Effect.gen(function*() {
              assert.deepStrictEqual(yield* violations(page), [])
              const overflow = yield* Effect.promise(() =>
                page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
              )
              assert.strictEqual(overflow, 0)
            })
            yield* see(page, ".tile", "web-01")
            yield* bus.publishAll(["x".repeat(300), "b", "c", "d"].map(ping))
            yield* see(page, ".events li", "xxx")
            yield* Effect.promise(() => page.locator(".events summary").first().click())
            yield* isFine
            yield* Effect.promise(() => page.getByRole("link", { name: /web-01/ }).first().click())
            yield* see(page, ".scores", "scans as a table")
            yield* isFine
            yield* Effect.promise(() => page.getByRole("link", { name: "Bus" }).click())
            yield* see(page, ".subscriptions", "a-rather-long-name")
            yield* bus.publishAll(["x".repeat(300), "b", "c", "d"].map(ping))
            yield* see(page, "tr.slow", "losing events")
            yield* isFine
          }).pipe(Effect.scoped, Effect.provide(server({ fleet }))))
      }
    }
  })
})
