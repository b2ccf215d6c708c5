/** Nothing stays behind in a scope that lives long. */
import { assert, describe, it } from "@effect/vitest"
import { EventBus } from "@openwatch/event-bus"
import { Deferred, Effect, Exit, PubSub, Scope, Stream } from "effect"
import { setFlagsFromString } from "node:v8"
import { runInNewContext } from "node:vm"
import { Ping, ping, Pong } from "./fixture.ts"

setFlagsFromString("--expose-gc")
const collectGarbage: () => void = runInNewContext("gc")

const makeBus = EventBus.make({ name: "test", events: [Ping, Pong] })

const heapUsed = Effect.sync(() => {
  collectGarbage()
  return process.memoryUsage().heapUsed
})

/** Bytes that each of four thousand rounds leaves behind, after a thousand that warm up. */
const leftBehind = <E, R>(round: Effect.Effect<unknown, E, R>) =>
  Effect.gen(function*() {
    yield* Effect.repeat(round, { times: 1_000 })
    const before = yield* heapUsed
    yield* Effect.repeat(round, { times: 4_000 })
    return ((yield* heapUsed) - before) / 4_000
  })

/** Bytes. One more entry in a scope's finalizers takes far more. */
const nothing = 60

describe("in a scope that lives long, nothing is left of", () => {
  it.live("subscriptions to a bus that is shut down", () =>
    Effect.gen(function*() {
      const bus = yield* makeBus
      yield* bus.shutdown
      assert.isBelow(yield* leftBehind(bus.subscribe({ kinds: ["Ping"] })), nothing)
    }), 60_000)

  it.live("handlers of a bus that is shut down", () =>
    Effect.gen(function*() {
      const bus = yield* makeBus
      yield* bus.shutdown
      assert.isBelow(yield* leftBehind(Effect.andThen(bus.on("Ping", () => Effect.void), Effect.yieldNow)), nothing)
    }), 60_000)

  it.live("subscriptions that ended with their bus", () =>
    Effect.gen(function*() {
      const subscribeAndEnd = Effect.gen(function*() {
        const scope = yield* Scope.make()
        const bus = yield* Scope.provide(makeBus, scope)
        yield* bus.subscribe({ kinds: ["Ping"] })
        yield* bus.on("Pong", () => Effect.void)
        yield* Scope.close(scope, Exit.void)
        yield* Effect.yieldNow
      })
      assert.isBelow(yield* leftBehind(subscribeAndEnd), nothing)
    }), 60_000)

  it.live("handlers that were unsubscribed", () =>
    Effect.gen(function*() {
      const bus = yield* makeBus
      const round = Effect.andThen(
        Effect.flatMap(bus.on("Ping", () => Effect.void), (handle) => handle.unsubscribe),
        Effect.yieldNow
      )
      assert.isBelow(yield* leftBehind(round), nothing)
    }), 60_000)

  it.live("subscriptions that were unsubscribed", () =>
    Effect.gen(function*() {
      const bus = yield* makeBus
      const round = Effect.flatMap(bus.subscribe({ kinds: ["Ping"] }), (subscription) => subscription.unsubscribe)
      assert.isBelow(yield* leftBehind(round), nothing)
    }), 60_000)

  it.live("subscriptions to a PubSub of the bus that were left", () =>
    Effect.gen(function*() {
      const bus = yield* makeBus
      const hub = yield* bus.asPubSub({ kinds: ["Ping"] })
      assert.isBelow(yield* leftBehind(Effect.scoped(PubSub.subscribe(hub))), nothing)
    }), 60_000)

  it.live("streams and losses that were read for a while", () =>
    Effect.gen(function*() {
      const bus = yield* makeBus
      const subscription = yield* bus.subscribe({ kinds: ["Ping"], bufferSize: 1 })
      const round = Effect.gen(function*() {
        yield* bus.publishAll([ping(1), ping(2)])
        yield* Stream.runDrain(Stream.take(subscription.stream, 1))
        yield* Stream.runDrain(Stream.take(subscription.losses, 1))
      })
      assert.isBelow(yield* leftBehind(round), nothing)
    }), 60_000)

  it.live("callbacks that were ended, and iterators that were left", () =>
    Effect.gen(function*() {
      const callbacks = yield* EventBus.toCallbacks(yield* makeBus)
      const round = Effect.gen(function*() {
        callbacks.subscribe("Ping", () => {})()
        const events = callbacks.events("Ping")
        yield* Effect.promise(() => events.return())
      })
      assert.isBelow(yield* leftBehind(round), nothing)
    }), 60_000)

  it.live("callbacks of a bus that is shut down", () =>
    Effect.gen(function*() {
      const bus = yield* makeBus
      yield* bus.shutdown
      const callbacks = yield* EventBus.toCallbacks(bus)
      const { signal } = new AbortController()
      const round = Effect.sync(() => {
        callbacks.subscribe("Ping", () => {}, { signal })
        callbacks.events("Ping")
      })
      assert.isBelow(yield* leftBehind(round), nothing)
    }), 60_000)

  it.live("what handlers acquired", () =>
    Effect.gen(function*() {
      const bus = yield* makeBus
      let handled: Deferred.Deferred<void>
      yield* bus.on("Ping", () =>
        Effect.andThen(
          Effect.acquireRelease(Effect.sync(() => Array.from({ length: 100 })), () => Effect.void),
          Effect.suspend(() => Deferred.succeed(handled, undefined))
        ))
      const round = Effect.gen(function*() {
        handled = yield* Deferred.make<void>()
        yield* bus.publish(ping(1))
        yield* Deferred.await(handled)
      })
      assert.isBelow(yield* leftBehind(round), nothing)
    }), 60_000)
})
