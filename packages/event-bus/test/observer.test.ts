/** Subscriptions that only look on: nobody else can tell that they are there. */
import { assert, describe, it } from "@effect/vitest"
import { EventBus } from "@openwatch/event-bus"
import { Effect, Exit, Logger, Metric, Scope, Stream } from "effect"
import { Ping, ping, Pong, pong, settle } from "./fixture.ts"

const makeBus = EventBus.make({ name: "test", events: [Ping, Pong] })

describe("an observer", () => {
  it.effect("receives its events, and counts them for itself alone", () =>
    Effect.gen(function*() {
      const bus = yield* makeBus
      const observer = yield* bus.subscribe({ kinds: ["Ping", "Pong"], observer: true, bufferSize: 2 })
      const other = yield* bus.subscribe({ kinds: ["Pong"] })
      yield* bus.publishAll([ping(1), pong(2), ping(3)])
      const { delivered, dropped, offered, pending } = yield* observer.snapshot
      assert.deepStrictEqual({ delivered, dropped, offered, pending }, {
        delivered: 2,
        dropped: 1,
        offered: 3,
        pending: 2
      })
      assert.deepStrictEqual(yield* bus.metrics, {
        publishedCount: 3,
        deliveredCount: 1,
        droppedCount: 0,
        noSubscribersCount: 2,
        publishedByKind: { Ping: 2, Pong: 1 }
      })
      assert.deepStrictEqual((yield* bus.subscriptions).map(({ name }) => name), ["Pong"])
      const reported = (yield* Metric.snapshot).flatMap(({ attributes }) =>
        attributes?.["bus"] === "test" ? attributes["subscription"] ?? [] : []
      )
      assert.deepStrictEqual(Array.from(new Set(reported)), ["Pong"])
      yield* other.unsubscribe
      yield* observer.unsubscribe
      assert.strictEqual((yield* bus.metrics).deliveredCount, 1)
    }).pipe(Effect.provideService(Metric.MetricRegistry, new Map())))

  it.effect("with a where does not match for others either", () =>
    Effect.gen(function*() {
      const bus = yield* makeBus
      const observer = yield* bus.subscribe({ kinds: ["Ping"], where: { n: 1 }, observer: true })
      yield* bus.publish(ping(1))
      assert.strictEqual((yield* bus.metrics).noSubscribersCount, 1)
      const one = yield* bus.subscribe({ kinds: ["Ping"], where: { n: 1 } })
      yield* bus.publish(ping(1))
      assert.strictEqual((yield* bus.metrics).noSubscribersCount, 1)
      yield* one.unsubscribe
      yield* bus.publish(ping(1))
      assert.strictEqual((yield* bus.metrics).noSubscribersCount, 2)
      assert.strictEqual((yield* observer.snapshot).pending, 3)
    }))

  it.effect("counts others again when they come and go", () =>
    Effect.gen(function*() {
      const bus = yield* makeBus
      yield* bus.subscribe({ kinds: ["Ping"], observer: true })
      const first = yield* bus.subscribe({ kinds: ["Ping"] })
      const second = yield* bus.subscribe({ kinds: ["Ping"] })
      yield* first.unsubscribe
      yield* bus.publish(ping(1))
      assert.strictEqual((yield* bus.metrics).noSubscribersCount, 0)
      yield* second.unsubscribe
      yield* bus.publish(ping(2))
      assert.strictEqual((yield* bus.metrics).noSubscribersCount, 1)
    }))

  it.effect("ends with its bus, after what is pending, and keeps nobody from being idle", () =>
    Effect.gen(function*() {
      const bus = yield* makeBus
      const observer = yield* bus.subscribe({ kinds: ["Ping"], observer: true })
      yield* bus.publish(ping(1))
      yield* bus.awaitIdle
      yield* bus.shutdown
      assert.strictEqual((yield* Stream.runCollect(observer.stream)).length, 1)
    }))

  it.effect("with a handler is closed with its bus, although only subscribe has the option", () =>
    Effect.gen(function*() {
      const scope = yield* Scope.make()
      const bus = yield* Scope.provide(makeBus, scope)
      const options = { name: "inspector", observer: true }
      const handle = yield* bus.on("Ping", () => Effect.never, options)
      yield* bus.publish(ping(1))
      yield* settle
      yield* Scope.close(scope, Exit.void)
      assert.deepInclude(yield* handle.snapshot, { state: "closed", interrupted: 1 })
    }).pipe(Effect.provide(Logger.layer([]))))
})
