import { assert, describe, it } from "@effect/vitest"
import { type Inspector, InspectorApi, type OutboxView } from "@openwatch/inspector"
import { DateTime, Effect, Exit, Layer, Redacted, Stream } from "effect"
import { FetchHttpClient, HttpClient, HttpClientRequest } from "effect/http"
import { HttpApiClient } from "effect/http-api"
import { TestClock } from "effect/testing"
import { networkInterfaces } from "node:os"
import { durableServer, serveBroken, TestOutbox } from "./durable.ts"
import { ping, pong, port, request, server } from "./fixture.ts"

const client = Effect.gen(function*() {
  const url = `http://127.0.0.1:${yield* port}`
  const { outboxes } = yield* HttpApiClient.make(InspectorApi.InspectorApi, {
    transformClient: HttpClient.mapRequest(HttpClientRequest.prependUrl(url))
  }).pipe(Effect.provide(FetchHttpClient.layer))
  return outboxes
})

const outbox = "test/Outbox"
const listed = Effect.flatMap(client, (client) => client.deadLetters({ query: { outbox } }))

describe("the API of durable events", () => {
  it.effect("tells how each consumer is doing", () =>
    Effect.gen(function*() {
      const durable = yield* TestOutbox
      yield* Effect.scoped(durable.on(["Ping", "Pong"], () => Effect.void, { consumer: "away" }))
      yield* serveBroken("broken", { order: "key", afterDeath: "hold" })
      yield* durable.publishAll([ping("a"), ping("a"), pong()])
      yield* TestClock.adjust("90 seconds")
      yield* durable.awaitIdle
      const [state, ...others] = yield* (yield* client).list()
      assert.deepStrictEqual(others, [])
      assert.deepInclude(state, { name: outbox, problem: null })
      const [away, broken] = state!.consumers
      assert.deepInclude(away, {
        name: "away",
        kinds: ["Ping", "Pong"],
        order: "all",
        partitions: 1,
        lag: { events: 3, seconds: 90 },
        dead: 0,
        owners: {}
      })
      assert.deepInclude(broken, { name: "broken", lag: { events: 0, seconds: 0 }, dead: 1, held: 1, retrying: 0 })
      assert.deepStrictEqual(Object.values(broken!.owners), [16])
    }).pipe(Effect.scoped, Effect.provide(durableServer())))

  it.effect("lists dead letters with event, cause, attempts and times", () =>
    Effect.gen(function*() {
      const durable = yield* TestOutbox
      yield* serveBroken("broken")
      yield* durable.publish(ping("a"), { id: "one" })
      yield* durable.awaitIdle
      const { letters } = yield* listed
      assert.deepStrictEqual(letters.map(({ diedAt: _, publishedAt: __, ...letter }) => letter), [{
        consumer: "broken",
        kind: "Ping",
        id: "one",
        json: JSON.stringify({ _tag: "Ping", text: "a", occurredAt: "2026-01-01T00:00:00.000Z" }),
        cause: "no way to handle a",
        attempts: 1
      }])
    }).pipe(Effect.scoped, Effect.provide(durableServer())))

  it.effect("lists the first hundred, of one consumer or of all, and cuts long texts off", () =>
    Effect.gen(function*() {
      const durable = yield* TestOutbox
      yield* serveBroken("a")
      yield* serveBroken("b")
      yield* durable.publishAll(["x".repeat(20_000), ...Array.from({ length: 119 }, (_, n) => String(n))].map(ping))
      yield* durable.awaitIdle
      const { letters } = yield* listed
      assert.strictEqual(letters.length, 100)
      assert.strictEqual(letters[0]!.json.length, 10_001)
      const ofB = yield* (yield* client).deadLetters({ query: { outbox, consumer: "b" } })
      assert.deepStrictEqual(new Set(ofB.letters.map(({ consumer }) => consumer)), new Set(["b"]))
    }).pipe(Effect.scoped, Effect.provide(durableServer())))

  it.effect("requeues one dead letter, and discards another", () =>
    Effect.gen(function*() {
      const durable = yield* TestOutbox
      const broken = yield* serveBroken("broken")
      for (const text of ["a", "b", "c"]) yield* durable.publish(ping(text), { id: text })
      yield* durable.awaitIdle
      broken.isMended = true
      const { requeue, discard } = yield* client
      const { at } = yield* listed
      const choice = (id: string) => ({
        payload: { outbox, consumer: "broken", letter: { kind: "Ping", id }, diedUntil: at }
      })
      assert.deepStrictEqual(yield* requeue(choice("b")), { count: 1 })
      assert.deepStrictEqual(yield* discard(choice("a")), { count: 1 })
      assert.deepStrictEqual(yield* discard(choice("a")), { count: 0 })
      yield* durable.awaitIdle
      assert.deepStrictEqual(broken.handled, ["b"])
      assert.deepStrictEqual((yield* listed).letters.map(({ id }) => id), ["c"])
      // Whoever asks next is not told what was true before.
      assert.strictEqual((yield* (yield* client).list())[0]!.consumers[0]!.dead, 1)
    }).pipe(Effect.scoped, Effect.provide(durableServer())))

  it.effect("requeues all of a consumer, however many, but none that has died since they were looked at", () =>
    Effect.gen(function*() {
      const durable = yield* TestOutbox
      const broken = yield* serveBroken("broken")
      yield* serveBroken("other")
      yield* durable.publishAll(Array.from({ length: 250 }, (_, n) => ping(n)))
      yield* durable.awaitIdle
      const { at } = yield* listed
      yield* TestClock.adjust("1 second")
      yield* durable.publish(ping("unseen"))
      yield* durable.awaitIdle
      broken.isMended = true
      const changed = yield* (yield* client).requeue({ payload: { outbox, consumer: "broken", diedUntil: at } })
      assert.deepStrictEqual(changed, { count: 250 })
      yield* durable.awaitIdle
      assert.strictEqual(broken.handled.length, 250)
      const left = yield* Stream.runCollect(durable.deadLetters())
      assert.deepStrictEqual(left.filter(({ consumer }) => consumer === "broken").map(({ event }) => event), [
        ping("unseen")
      ])
      assert.strictEqual(left.length, 252)
    }).pipe(Effect.scoped, Effect.provide(durableServer())))

  it.effect("names an outbox that there is not", () =>
    Effect.gen(function*() {
      const error = yield* Effect.flip((yield* client).deadLetters({ query: { outbox: "no such" } }))
      assert.strictEqual(error._tag, "OutboxNotFound")
      assert.include(error.message, `"no such"`)
    }).pipe(Effect.scoped, Effect.provide(durableServer())))

  it.effect("has nothing to say where there are no outboxes", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* (yield* client).list(), [])
      assert.include((yield* request("/api/bus")).text, `"hasOutboxes":false`)
    }).pipe(Effect.provide(server())))

  const away = { message: "The database cannot be used" }
  const view = (consumers: OutboxView["consumers"]): OutboxView => ({
    name: outbox,
    consumers,
    deadLetters: () => Stream.fail(away),
    requeue: () => Effect.fail(away),
    discard: () => Effect.fail(away)
  })

  it.effect("says that a database is away, and shows the others", () =>
    Effect.gen(function*() {
      const [first, second] = yield* (yield* client).list()
      assert.deepInclude(first, { consumers: [], problem: away.message })
      assert.deepInclude(second, { name: "other", problem: null })
      for (const path of ["/api/dead-letters?outbox=test/Outbox"]) {
        assert.strictEqual((yield* request(path)).status, 503)
      }
      const error = yield* Effect.flip(
        (yield* client).requeue({ payload: { outbox, consumer: "a", diedUntil: DateTime.makeUnsafe(0) } })
      )
      assert.deepInclude(error, { _tag: "OutboxUnavailable", message: away.message })
    }).pipe(
      Effect.provide(server({ outboxes: [view(Effect.fail(away)), { ...view(Effect.succeed([])), name: "other" }] }))
    ))

  it.effect("does not wait for a database that does not answer", () =>
    Effect.gen(function*() {
      const asking = yield* Effect.forkChild((yield* client).list())
      yield* Effect.repeat(TestClock.adjust("1 second"), { until: () => asking.pollUnsafe() !== undefined })
      const exit = asking.pollUnsafe()!
      assert.include((exit as Exit.Success<any>).value[0].problem, "does not respond within 4 seconds")
    }).pipe(Effect.provide(server({ outboxes: [view(Effect.never)] }))))

  it.effect("asks a database once for all who ask within two seconds", () => {
    let asked = 0
    const counted = view(Effect.sync(() => {
      asked++
      return []
    }))
    return Effect.gen(function*() {
      const { list } = yield* client
      yield* Effect.all(Array.from({ length: 5 }, () => list()), { concurrency: "unbounded" })
      assert.strictEqual(asked, 1)
      yield* TestClock.adjust("3 seconds")
      yield* list()
      assert.strictEqual(asked, 2)
    }).pipe(Effect.provide(server({ outboxes: [counted] })))
  })

  it.effect("two outboxes of one name are a defect", () =>
    Effect.gen(function*() {
      const outboxes: Inspector.Options["outboxes"] = [view(Effect.succeed([])), view(Effect.succeed([]))]
      const exit = yield* Effect.exit(Effect.scoped(Layer.build(server({ outboxes }))))
      assert.include(String(Exit.isFailure(exit) ? exit.cause : ""), "an outbox is \"test/Outbox\", expected no two")
    }))
})

// -----------------------------------------------------------------------------
// Attacks, on the wire
// -----------------------------------------------------------------------------

const token = "correct horse battery staple"
const changes = ["/api/dead-letters/requeue", "/api/dead-letters/discard"] as const

/** A server with one dead letter that can be requeued and discarded. */
const attacked = <A, E, R>(attack: Effect.Effect<A, E, R>) =>
  Effect.gen(function*() {
    const durable = yield* TestOutbox
    yield* serveBroken("broken")
    yield* durable.publish(ping("a"), { id: "one" })
    yield* durable.awaitIdle
    yield* attack
    assert.strictEqual((yield* Stream.runCollect(durable.deadLetters())).length, 1)
  })

const post = (path: string, headers: Record<string, string> = {}, host?: string) =>
  request(path, {
    method: "POST",
    headers: { "content-type": "application/json", ...headers },
    body: JSON.stringify({
      outbox,
      consumer: "broken",
      letter: { kind: "Ping", id: "one" },
      diedUntil: "2026-01-01T00:00:00.000Z"
    }),
    ...(host === undefined ? {} : { host })
  })

describe("requeue and discard", () => {
  it.effect("are refused to a page of another site, by Origin, Sec-Fetch-Site and Host", () =>
    attacked(Effect.gen(function*() {
      for (const path of changes) {
        assert.strictEqual((yield* post(path, { origin: "https://evil.example" })).status, 403)
        assert.strictEqual((yield* post(path, { origin: "null" })).status, 403)
        assert.strictEqual((yield* post(path, { "sec-fetch-site": "cross-site" })).status, 403)
        assert.strictEqual((yield* post(path, { host: "evil.example" })).status, 421)
      }
    })).pipe(Effect.scoped, Effect.provide(durableServer())))

  it.effect("are refused to a form, and to a link", () =>
    attacked(Effect.gen(function*() {
      for (const path of changes) {
        for (const contentType of ["text/plain", "application/x-www-form-urlencoded"]) {
          const answer = yield* post(path, { "content-type": contentType })
          assert.include([400, 415], answer.status, `${path} ${contentType}`)
        }
        assert.strictEqual((yield* request(path)).status, 404)
      }
    })).pipe(Effect.scoped, Effect.provide(durableServer())))

  it.effect("are refused without the token, also from this machine", () =>
    attacked(Effect.gen(function*() {
      for (const path of changes) {
        assert.strictEqual((yield* post(path)).status, 401)
        assert.strictEqual((yield* post(path, { authorization: "Bearer wrong" })).status, 401)
        assert.strictEqual(
          (yield* post(path, { cookie: `inspector-session=${encodeURIComponent(token)}` })).status,
          401
        )
      }
      for (const path of ["/api/outboxes", "/api/dead-letters?outbox=test/Outbox"]) {
        assert.strictEqual((yield* request(path)).status, 401, path)
      }
    })).pipe(Effect.scoped, Effect.provide(durableServer({ token: Redacted.make(token) }))))

  it.effect("are done with the token", () =>
    Effect.gen(function*() {
      const durable = yield* TestOutbox
      yield* serveBroken("broken")
      yield* durable.publish(ping("a"), { id: "one" })
      yield* durable.awaitIdle
      const answer = yield* post(changes[1], { authorization: `Bearer ${token}` })
      assert.deepStrictEqual([answer.status, answer.text], [200, `{"count":1}`])
    }).pipe(Effect.scoped, Effect.provide(durableServer({ token: Redacted.make(token) }))))

  const address = Object.values(networkInterfaces()).flat().find((one) => one?.family === "IPv4" && !one.internal)
    ?.address
  it.effect.skipIf(address === undefined)(
    "are refused to the network where no token is set",
    () =>
      attacked(Effect.gen(function*() {
        for (const path of changes) {
          assert.strictEqual((yield* post(path, { host: "localhost" }, address)).status, 403)
          const forwarded = { host: "localhost", "x-forwarded-for": "127.0.0.1" }
          assert.strictEqual((yield* post(path, forwarded, address)).status, 403)
        }
      })).pipe(Effect.scoped, Effect.provide(durableServer({}, { host: "0.0.0.0" })))
  )

  it.effect("are told what is wrong with what is no choice of dead letters", () =>
    attacked(Effect.gen(function*() {
      const headers = { "content-type": "application/json" }
      for (
        const body of ["{", "[]", "{}", `{"outbox":"test/Outbox","consumer":"broken"}`, JSON.stringify({ outbox: 1 })]
      ) {
        for (const path of changes) {
          assert.strictEqual((yield* request(path, { method: "POST", headers, body })).status, 400, body)
        }
      }
      const large = JSON.stringify({ outbox, consumer: "x".repeat(40_000), diedUntil: "2026-01-01T00:00:00Z" })
      assert.strictEqual((yield* request(changes[0], { method: "POST", headers, body: large })).status, 413)
    })).pipe(Effect.scoped, Effect.provide(durableServer())))
})
