import { assert, describe, it } from "@effect/vitest"
import { type Inspector, InspectorApi } from "@openwatch/inspector"
import { Cause, DateTime, Effect, Exit, Layer, Redacted, Stream } from "effect"
import { FetchHttpClient, HttpClient, HttpClientRequest } from "effect/http"
import { HttpApiClient } from "effect/http-api"
import { ping, pong, port, request, server, TestBus } from "./fixture.ts"

const client = Effect.gen(function*() {
  const url = `http://127.0.0.1:${yield* port}`
  return yield* HttpApiClient.make(InspectorApi.InspectorApi, {
    transformClient: HttpClient.mapRequest(HttpClientRequest.prependUrl(url))
  }).pipe(Effect.provide(FetchHttpClient.layer))
})

describe("the API", () => {
  it.effect("tells the bus's counters", () =>
    Effect.gen(function*() {
      const bus = yield* TestBus
      yield* bus.subscribe({ kinds: ["Ping"], bufferSize: 1 })
      yield* bus.publishAll([ping(1), ping(2), pong()])
      const state = yield* (yield* client).bus.state()
      assert.deepStrictEqual(
        { ...state, start: "", startedAt: DateTime.formatIso(state.startedAt), at: DateTime.formatIso(state.at) },
        {
          name: "test/Bus",
          title: "Doors",
          kinds: ["Ping", "Pong"],
          start: "",
          startedAt: "1970-01-01T00:00:00.000Z",
          at: "1970-01-01T00:00:00.000Z",
          published: 3,
          publishedByKind: { Ping: 2, Pong: 1 },
          delivered: 1,
          dropped: 1,
          unmatched: 1,
          clients: 0,
          isShutdown: false,
          hasFleet: false,
          canChangeAlerts: false,
          hasOutboxes: false,
          hasToken: false
        }
      )
    }).pipe(Effect.scoped, Effect.provide(server({ title: "Doors" }))))

  it.effect("tells that the bus has shut down, once the last event is numbered, and still has its last events", () =>
    Effect.gen(function*() {
      const bus = yield* TestBus
      const { bus: api } = yield* client
      yield* bus.publish(ping("the last"))
      yield* bus.shutdown
      const events = yield* Effect.flatMap(api.events({ headers: {}, query: {} }), Stream.runCollect)
      assert.deepStrictEqual(events.map(({ data }) => JSON.parse(data).text), ["the last"])
      assert.isTrue((yield* api.state()).isShutdown)
    }).pipe(Effect.scoped, Effect.provide(server())))

  it.effect("tells each subscription's counters, and nothing of its own", () =>
    Effect.gen(function*() {
      const bus = yield* TestBus
      const slow = yield* bus.subscribe({ kinds: ["Ping"], name: "slow", bufferSize: 2, overflow: "sliding" })
      yield* bus.publishAll([ping(1), ping(2), ping(3)])
      const states = yield* (yield* client).bus.subscriptions()
      assert.deepStrictEqual(states.map(({ name }) => name), ["slow"])
      assert.deepStrictEqual(states[0], yield* slow.snapshot)
      assert.strictEqual(states[0]!.dropped, 1)
    }).pipe(Effect.scoped, Effect.provide(server())))

  it.effect("tells what became of the events that a handler took", () =>
    Effect.gen(function*() {
      const bus = yield* TestBus
      const handle = yield* bus.on("Ping", () => Effect.fail("no"), { where: { text: "1" } })
      yield* bus.publish(ping(1))
      yield* bus.awaitIdle
      const states = yield* (yield* client).bus.subscriptions()
      assert.deepStrictEqual(states, [yield* handle.snapshot])
      assert.strictEqual(states[0]!.settled, 1)
    }).pipe(Effect.scoped, Effect.provide(server())))

  it.effect("tells of a subscription to what is not a number", () =>
    Effect.gen(function*() {
      // Of a field of numbers the types allow it.
      yield* (yield* TestBus).subscribe({ kinds: ["Ping"], where: { text: NaN as never } })
      const { text } = yield* request("/api/subscriptions")
      assert.deepStrictEqual(JSON.parse(text)[0].where, { text: "NaN" })
    }).pipe(Effect.scoped, Effect.provide(server())))

  it.effect("goes on after an event that cannot be read any more", () =>
    Effect.gen(function*() {
      const bus = yield* TestBus
      const { proxy, revoke } = Proxy.revocable(ping(1), {})
      const events = yield* (yield* client).bus.events({ headers: {}, query: {} })
      yield* bus.publishAll([proxy, ping(2)])
      revoke()
      const frames = yield* Stream.runCollect(Stream.take(events, 2))
      assert.match(frames[0]!.data, /cannot be read/)
      assert.match(frames[1]!.data, /"text":"2"/)
    }).pipe(Effect.scoped, Effect.provide(server())))

  it.effect("streams events to its own client, gaps and losses too", () =>
    Effect.gen(function*() {
      const bus = yield* TestBus
      const events = yield* (yield* client).bus.events({ headers: { "last-event-id": "zz-1" }, query: {} })
      const frames = yield* Stream.runCollect(Stream.take(
        Stream.tap(events, ({ event }) =>
          event === "gap" ? bus.publishAll(Array.from({ length: 1500 }, (_, n) => ping(n))) : Effect.void),
        3
      ))
      assert.deepStrictEqual(frames.slice(0, 2), [
        { id: "0-0", event: "gap", data: JSON.stringify({ missed: null }) },
        // It has no id of its own: who comes back goes on behind the last one.
        { id: "0-0", event: "lost", data: JSON.stringify({ missed: 1500 - 1024 }) }
      ])
      assert.strictEqual(frames[2]!.id, "0-477")
    }).pipe(Effect.scoped, Effect.provide(server())))

  it.effect("is scraped by Prometheus", () =>
    Effect.gen(function*() {
      yield* (yield* TestBus).publish(ping(1))
      const answer = yield* request("/metrics")
      assert.match(answer.headers["content-type"]!, /^text\/plain; version=0\.0\.4/)
      assert.include(answer.text.split("\n"), `event_bus_published_total{bus="test/Bus",kind="Ping"} 1`)
    }).pipe(Effect.provide(server())))

  it.effect("says that it is well", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* (yield* client).access.health(), { status: "ok" })
    }).pipe(Effect.provide(server())))

  it.effect("says that it is ready, where it has no parts", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* (yield* client).access.ready(), { status: "ready", parts: {} })
    }).pipe(Effect.provide(server())))

  it.effect("says which part of the application does not work, with the status 503", () => {
    let pager: string | null = "takes nothing"
    const readiness = Effect.sync(() => ({ database: null, pager }))
    return Effect.gen(function*() {
      const { ready } = (yield* client).access
      assert.strictEqual((yield* request("/ready")).status, 503)
      const error = yield* Effect.flip(ready())
      assert.isTrue(error._tag === "NotReady")
      assert.deepInclude(error, { status: "not ready", parts: { database: null, pager: "takes nothing" } })
      pager = null
      assert.deepStrictEqual(yield* ready(), { status: "ready", parts: { database: null, pager: null } })
    }).pipe(Effect.provide(server({ readiness })))
  })

  it.effect("serves what the application measures when it is scraped, behind what the process counts", () => {
    let scrapes = 0
    const metrics = Effect.sync(() => `doors_open ${++scrapes}\n`)
    return Effect.gen(function*() {
      assert.match((yield* request("/metrics")).text, /^event_bus_delivered_total[^]*\ndoors_open 1\n$/m)
      assert.match((yield* request("/metrics")).text, /\ndoors_open 2\n$/)
    }).pipe(Effect.provide(server({ metrics })))
  })

  it.effect("describes itself, with the prefix in every path", () =>
    Effect.gen(function*() {
      const document = JSON.parse((yield* request("/bus/api/openapi.json")).text)
      assert.deepStrictEqual(Object.keys(document.paths).toSorted(), [
        "/bus/api/bus",
        "/bus/api/dead-letters",
        "/bus/api/dead-letters/discard",
        "/bus/api/dead-letters/requeue",
        "/bus/api/events",
        "/bus/api/fleet/alerts",
        "/bus/api/fleet/alerts/change",
        "/bus/api/fleet/alerts/{alertId}/history",
        "/bus/api/fleet/hosts",
        "/bus/api/fleet/hosts/{hostId}/past",
        "/bus/api/fleet/hosts/{hostId}/scores",
        "/bus/api/fleet/maintenance",
        "/bus/api/outboxes",
        "/bus/api/session",
        "/bus/api/subscriptions",
        "/bus/health",
        "/bus/metrics",
        "/bus/ready"
      ])
    }).pipe(Effect.provide(server({ prefix: "/bus" }))))

  it.effect("joins a server that has routes of its own, and leaves those alone", () =>
    Effect.gen(function*() {
      assert.strictEqual((yield* request("/bus/health")).status, 200)
      const own = yield* request("/own", { headers: { host: "anything.example" } })
      assert.strictEqual(own.text, "its own")
      assert.isUndefined(own.headers["content-security-policy"])
    }).pipe(Effect.provide(server({ prefix: "/bus" }))))

  it.effect("has no host where no fleet is watched", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* (yield* client).fleet.hosts(), [])
      const answer = yield* request("/api/fleet/hosts/x/scores")
      assert.strictEqual(answer.status, 404)
      assert.include(answer.text, "No host has the id x")
    }).pipe(Effect.provide(server())))
})

describe("the page", () => {
  it.effect("is served with a slash at the end, which its relative addresses need", () =>
    Effect.gen(function*() {
      const bare = yield* request("/bus")
      assert.strictEqual(bare.status, 302)
      assert.strictEqual(bare.headers.location, "/bus/")
      const page = yield* request("/bus/")
      assert.strictEqual(page.status, 200)
      assert.strictEqual(page.headers["content-type"], "text/html; charset=utf-8")
      const script = /src="\.(\/assets\/[^"]+\.js)"/.exec(page.text)![1]!
      const answer = yield* request(`/bus${script}`)
      assert.strictEqual(answer.headers["content-type"], "text/javascript; charset=utf-8")
      assert.strictEqual(answer.headers["cache-control"], "public, max-age=31536000, immutable")
    }).pipe(Effect.provide(server({ prefix: "/bus" }))))
})

describe("wrong options", () => {
  const defect = (options: Inspector.Options) =>
    Effect.gen(function*() {
      const exit = yield* Effect.exit(Effect.scoped(Layer.build(server(options))))
      assert.isTrue(Exit.isFailure(exit))
      return Exit.isFailure(exit) ? String(Cause.squash(exit.cause)) : ""
    })

  it.effect("a prefix that ends with a slash", () =>
    Effect.gen(function*() {
      assert.include(
        yield* defect({ prefix: "/bus/" }),
        `Inspector: prefix is "/bus/", expected path segments such as "/bus"`
      )
    }))

  it.effect("a token that can be guessed", () =>
    Effect.gen(function*() {
      const message = yield* defect({ token: Redacted.make("hunter2") })
      assert.include(message, "Inspector: token is 7 characters long, expected at least 16")
      assert.notInclude(message, "hunter2")
    }))

  it.effect("a host with a scheme", () =>
    Effect.gen(function*() {
      assert.include(
        yield* defect({ hosts: ["https://watch.example"] }),
        `Inspector: a host is "https://watch.example"`
      )
    }))
})
