import { assert, describe, layer, vi } from "@effect/vitest"
import { Effect, Redacted, Stream } from "effect"
import type { Page } from "playwright-core"
import { durableServer, serveBroken, TestOutbox } from "../durable.ts"
import { ping, port } from "../fixture.ts"
import { violations } from "./axe.ts"
import { Browser, isMissing, openPage, see } from "./browser.ts"
import { fleet } from "./scene.ts"

// Waits end as soon as what they wait for is there; a busy machine is given time.
vi.setConfig({ testTimeout: 60_000 })

const url = Effect.map(port, (port) => `http://127.0.0.1:${port}/`)
const press = (page: Page, name: string) =>
  Effect.promise(() => page.getByRole("button", { name, exact: true }).click())
const dialog = (page: Page) => page.getByRole("dialog")
const confirm = (page: Page, name: string) =>
  Effect.promise(() => dialog(page).getByRole("button", { name, exact: true }).click())

/** The ids of what is a dead letter now. */
const dead = Effect.gen(function*() {
  const letters = yield* Stream.runCollect((yield* TestOutbox).deadLetters())
  return letters.map(({ consumer, id }) => `${consumer} ${id}`)
})

/** A consumer with the dead letters `a`, `b` and `c`, of which the page shows the first. */
const withDeadLetters = Effect.gen(function*() {
  const outbox = yield* TestOutbox
  const mailer = yield* serveBroken("mailer")
  for (const id of ["a", "b", "c"]) yield* outbox.publish(ping(`order ${id}`), { id })
  yield* outbox.awaitIdle
  return mailer
})

describe.skipIf(isMissing)("the page of durable events", () => {
  layer(Browser.layer, { excludeTestServices: true })((it) => {
    it.effect("shows each consumer: how far it is behind, its dead letters, and who serves it", () =>
      Effect.gen(function*() {
        const outbox = yield* TestOutbox
        yield* withDeadLetters
        yield* Effect.scoped(outbox.on("Ping", () => Effect.void, { consumer: "away" }))
        yield* outbox.publish(ping("late"))
        const { page, problems } = yield* openPage(yield* url)
        yield* see(page, ".durable tr", /^away Ping1 event, \d+ s000nobody/)
        yield* see(page, ".durable tr", /^mailer Pingup to date0041 process/)
        assert.deepStrictEqual(problems, [])
      }).pipe(Effect.scoped, Effect.provide(durableServer())))

    it.effect("shows a dead letter with its cause, its attempts and its event", () =>
      Effect.gen(function*() {
        yield* withDeadLetters
        const { page } = yield* openPage(yield* url)
        yield* see(page, ".letters li", /^Ping ano way to handle order aGiven up .* after 1 attempt/)
        yield* Effect.promise(() => page.locator(".letters summary").first().click())
        yield* see(page, ".letters pre", /"text": "order a"/)
      }).pipe(Effect.scoped, Effect.provide(durableServer())))

    it.effect("requeues a dead letter once that is confirmed", () =>
      Effect.gen(function*() {
        const mailer = yield* withDeadLetters
        mailer.isMended = true
        const { page, problems } = yield* openPage(yield* url)
        yield* press(page, "Requeue Ping b")
        yield* see(page, "dialog", "Requeue Ping b of mailer?")
        assert.deepStrictEqual(yield* dead, ["mailer a", "mailer b", "mailer c"])
        yield* confirm(page, "Requeue")
        yield* see(page, ".outcome", "1 of mailer requeued.")
        yield* (yield* TestOutbox).awaitIdle
        assert.deepStrictEqual(yield* dead, ["mailer a", "mailer c"])
        assert.deepStrictEqual(mailer.handled, ["order b"])
        yield* Effect.promise(() => page.getByRole("button", { name: "Requeue Ping b" }).waitFor({ state: "detached" }))
        assert.deepStrictEqual(problems, [])
      }).pipe(Effect.scoped, Effect.provide(durableServer())))

    it.effect("discards a dead letter once that is confirmed", () =>
      Effect.gen(function*() {
        yield* withDeadLetters
        const { page } = yield* openPage(yield* url)
        yield* press(page, "Discard Ping a")
        yield* see(page, "dialog", /Discard Ping a of mailer\?.*will never handle it/)
        yield* confirm(page, "Discard")
        yield* see(page, ".outcome", "1 of mailer discarded.")
        assert.deepStrictEqual(yield* dead, ["mailer b", "mailer c"])
        yield* see(page, ".durable tr", /^mailer Pingup to date0021 process/)
      }).pipe(Effect.scoped, Effect.provide(durableServer())))

    it.effect("changes nothing when that is not confirmed, by button or by Escape", () =>
      Effect.gen(function*() {
        yield* withDeadLetters
        const { page } = yield* openPage(yield* url)
        const changes: Array<string> = []
        page.on("request", (request) => request.method() === "POST" && changes.push(request.url()))
        yield* press(page, "Discard Ping a")
        // What has the focus does no harm.
        yield* Effect.promise(() => page.locator("dialog button:focus", { hasText: "Cancel" }).waitFor())
        yield* confirm(page, "Cancel")
        yield* Effect.promise(() => dialog(page).waitFor({ state: "detached" }))
        yield* press(page, "Requeue all of mailer")
        yield* Effect.promise(async () => {
          await dialog(page).waitFor()
          await page.keyboard.press("Escape")
          await dialog(page).waitFor({ state: "detached" })
        })
        assert.deepStrictEqual(changes, [])
        assert.strictEqual((yield* dead).length, 3)
      }).pipe(Effect.scoped, Effect.provide(durableServer())))

    it.effect("keeps its dialog while a change is made: Escape is no way back then", () =>
      Effect.gen(function*() {
        yield* withDeadLetters
        const { page } = yield* openPage(yield* url)
        const goOn = Promise.withResolvers<void>()
        yield* Effect.promise(() =>
          page.route("**/api/dead-letters/discard", async (route) => {
            await goOn.promise
            await route.continue()
          })
        )
        yield* press(page, "Discard Ping a")
        yield* confirm(page, "Discard")
        yield* Effect.promise(async () => {
          await page.locator("dialog button:disabled", { hasText: "Discard" }).waitFor()
          await page.keyboard.press("Escape")
        })
        assert.strictEqual(yield* Effect.promise(() => page.locator("dialog[open]").count()), 1)
        goOn.resolve()
        yield* see(page, ".outcome", "1 of mailer discarded.")
        yield* Effect.promise(() => dialog(page).waitFor({ state: "detached" }))
      }).pipe(Effect.scoped, Effect.provide(durableServer())))

    it.effect("discards all of a consumer once that is confirmed, signed in by a token", () => {
      const token = "correct horse battery staple"
      return Effect.gen(function*() {
        yield* withDeadLetters
        yield* serveBroken("other")
        yield* (yield* TestOutbox).publish(ping("both"), { id: "d" })
        yield* (yield* TestOutbox).awaitIdle
        const { page, problems } = yield* openPage(yield* url)
        yield* Effect.promise(async () => {
          await page.getByLabel("Token").fill(token)
          await page.keyboard.press("Enter")
        })
        yield* press(page, "Discard all of mailer")
        yield* see(page, "dialog", "Discard all 4 dead letters of mailer?")
        yield* confirm(page, "Discard")
        yield* see(page, ".outcome", "4 of mailer discarded.")
        assert.deepStrictEqual(yield* dead, ["other d"])
        assert.deepStrictEqual(problems, [])
      }).pipe(Effect.scoped, Effect.provide(durableServer({ token: Redacted.make(token) })))
    })

    it.effect("says so when somebody else was there before", () =>
      Effect.gen(function*() {
        const outbox = yield* TestOutbox
        yield* withDeadLetters
        const { page } = yield* openPage(yield* url)
        yield* press(page, "Requeue Ping a")
        yield* outbox.discard([{ consumer: "mailer", kind: "Ping", id: "a" }])
        yield* confirm(page, "Requeue")
        yield* see(page, ".outcome.problem", "Nothing was requeued: somebody else was there before.")
      }).pipe(Effect.scoped, Effect.provide(durableServer())))

    it.effect("shows text as text, whatever an event, its id or its cause says", () => {
      const attack = `<img src=x onerror="document.title='owned'"><script>document.title='owned'</script>`
      return Effect.gen(function*() {
        const outbox = yield* TestOutbox
        yield* serveBroken(attack)
        yield* outbox.publish(ping(attack), { id: attack })
        yield* outbox.awaitIdle
        const { page, problems } = yield* openPage(yield* url)
        yield* see(page, ".letters .cause", attack)
        yield* Effect.promise(() => page.locator(".letters summary").click())
        yield* see(page, ".letters pre", "onerror")
        yield* press(page, `Discard Ping ${attack}`)
        yield* see(page, "dialog", attack)
        assert.strictEqual(yield* Effect.promise(() => page.locator("#app img, #app script").count()), 0)
        assert.deepStrictEqual(problems, [])
      }).pipe(Effect.scoped, Effect.provide(durableServer()))
    })

    for (const colorScheme of ["light", "dark"] as const) {
      for (const width of [360, 1280]) {
        it.effect(`has nothing for axe to find and nothing outside the window: ${colorScheme}, ${width} px`, () =>
          Effect.gen(function*() {
            const outbox = yield* TestOutbox
            yield* withDeadLetters
            yield* Effect.scoped(
              outbox.on(["Ping", "Pong"], () => Effect.void, { consumer: "a-rather-long-name-of-a-consumer" })
            )
            yield* outbox.publish(ping("x".repeat(300)), { id: "y".repeat(200) })
            yield* outbox.awaitIdle
            const { page } = yield* openPage(yield* url, { colorScheme, viewport: { width, height: 900 } })
            yield* see(page, ".undelivered", "4 deliveries were given up.")
            yield* Effect.promise(() => page.getByRole("link", { name: "See the dead letters" }).click())
            yield* see(page, ".letters li", "yyyy")
            yield* Effect.promise(() => page.locator(".letters summary").first().click())
            const overflow = Effect.promise(() =>
              page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
            )
            assert.deepStrictEqual(yield* violations(page), [])
            assert.strictEqual(yield* overflow, 0)
            yield* press(page, "Discard all of mailer")
            yield* see(page, "dialog", "Discard all")
            assert.deepStrictEqual(yield* violations(page), [])
            assert.strictEqual(yield* overflow, 0)
          }).pipe(Effect.scoped, Effect.provide(durableServer({ fleet }))))
      }
    }
  })
})
