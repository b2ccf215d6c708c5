import { assert, describe, it } from "@effect/vitest"
import { EventBus, type Overflow } from "@openwatch/event-bus"
import { Cause, Effect, Exit } from "effect"
import { Ping, ping, Pong, pong, settle } from "./fixture.ts"

const makeBus = EventBus.make({ name: "test", events: [Ping, Pong], replay: 3 })

describe("replay", () => {
  it.effect("puts the last matching events, in order, before the live ones", () =>
    Effect.gen(function*() {
      const bus = yield* makeBus
      yield* bus.publishAll([ping(1), pong(2), ping(3), pong(4), ping(5), ping(6)])
      const both = yield* bus.subscribe({ kinds: ["Pong", "Ping"], replay: 3 })
      const pongs = yield* bus.subscribe({ kinds: ["Pong"], replay: 3 })
      yield* bus.publishAll([ping(7), pong(8)])
      assert.deepStrictEqual(yield* both.takeAll, [pong(4), ping(5), ping(6), ping(7), pong(8)])
      assert.deepStrictEqual(yield* pongs.takeAll, [pong(2), pong(4), pong(8)])
    }))

  it.effect("keeps the last events of each kind: a flood of one does not push out the other", () =>
    Effect.gen(function*() {
      const bus = yield* makeBus
      yield* bus.publish(pong(0))
      yield* bus.publishAll(Array.from({ length: 100 }, (_, n) => ping(n)))
      const subscription = yield* bus.subscribe({ kinds: ["Pong"], replay: 1 })
      assert.deepStrictEqual(yield* subscription.takeAll, [pong(0)])
    }))

  it.effect("counts in offered and delivered, not in published", () =>
    Effect.gen(function*() {
      const bus = yield* makeBus
      yield* bus.publishAll([ping(1), ping(2)])
      const subscription = yield* bus.subscribe({ kinds: ["Ping"], replay: 2 })
      assert.deepInclude(yield* subscription.snapshot, { offered: 2, delivered: 2, pending: 2, taken: 0, dropped: 0 })
      assert.deepInclude(yield* bus.metrics, { publishedCount: 2, deliveredCount: 2, noSubscribersCount: 2 })
    }))

  for (
    const [overflow, kept] of [["dropping", [2, 3, 4]], ["sliding", [4, 5, 6]]] satisfies ReadonlyArray<
      [Overflow, Array<number>]
    >
  ) {
    it.effect(`replayed events fill a ${overflow} buffer as any other`, () =>
      Effect.gen(function*() {
        const bus = yield* makeBus
        yield* bus.publishAll([1, 2, 3].map(ping))
        const subscription = yield* bus.subscribe({ kinds: ["Ping"], replay: 2, bufferSize: 3, overflow })
        yield* bus.publishAll([4, 5, 6].map(ping))
        assert.deepStrictEqual((yield* subscription.takeAll).map((event) => event.n), kept)
        assert.strictEqual((yield* subscription.snapshot).dropped, 2)
      }))
  }

  it.effect("reaches a handler before what is published after on returned", () =>
    Effect.gen(function*() {
      const bus = yield* makeBus
      yield* bus.publishAll([1, 2].map(ping))
      const handled: Array<number> = []
      yield* bus.on("Ping", (event) => Effect.sync(() => handled.push(event.n)), { replay: 2 })
      assert.deepStrictEqual(handled, [])
      yield* bus.publish(ping(3))
      yield* settle
      assert.deepStrictEqual(handled, [1, 2, 3])
    }))

  it.effect("gives nothing any more once the bus is shut down", () =>
    Effect.gen(function*() {
      const bus = yield* makeBus
      yield* bus.publishAll([1, 2].map(ping))
      yield* bus.shutdown
      const late = yield* bus.subscribe({ kinds: ["Ping"], replay: 2 })
      const { discarded, offered, state } = yield* late.snapshot
      assert.deepStrictEqual([state, offered, discarded], ["closed", 0, 0])
    }))

  it.effect("is refused by a bus that keeps none, as one does that was not told to", () =>
    Effect.gen(function*() {
      const bus = yield* EventBus.make({ name: "test", events: [Ping, Pong] })
      const exit = yield* Effect.exit(bus.subscribe({ kinds: ["Ping"], replay: 1 }))
      assert.include(
        Exit.isFailure(exit) ? Cause.pretty(exit.cause) : "",
        "replay must be an integer from 0 to 0 (the bus keeps 0 of each kind, the buffer holds 1024), but is 1"
      )
    }))

  for (const [replay, bufferSize] of [[4, 10], [3, 2], [-1, 10], [1.5, 10], [Number.NaN, 10]] as const) {
    it.effect(`${replay} for a buffer of ${bufferSize} is refused, and nothing is registered`, () =>
      Effect.gen(function*() {
        const bus = yield* makeBus
        const exit = yield* Effect.exit(bus.subscribe({ kinds: ["Ping"], replay, bufferSize }))
        assert.isTrue(Exit.isFailure(exit) && Cause.hasDies(exit.cause))
        assert.match(
          Exit.isFailure(exit) ? Cause.pretty(exit.cause) : "",
          new RegExp(
            `EventBus "test": replay must be an integer from 0 to ${Math.min(3, bufferSize)} .*but is ${replay}`
          )
        )
        assert.deepStrictEqual(yield* bus.subscriptions, [])
      }))
  }
})
