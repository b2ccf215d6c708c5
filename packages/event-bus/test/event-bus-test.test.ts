import { assert, describe, it } from "@effect/vitest"
import { EventBusTest } from "@openwatch/event-bus/testing"
import { Cause, DateTime, Effect, Exit, Fiber } from "effect"
import { TestClock } from "effect/testing"
import { ping, pong, settle, TestBus } from "./fixture.ts"

describe("EventBusTest", () => {
  it.effect("records what was published, in order, with the time", () =>
    Effect.gen(function*() {
      const bus = yield* TestBus
      yield* bus.publish(ping(1))
      yield* TestClock.adjust("5 seconds")
      yield* bus.publishAll([pong(2), ping(3)])
      bus.publishUnsafe(ping(4))
      yield* bus.shutdown
      yield* bus.publish(ping(5))
      const published = yield* EventBusTest.published(TestBus)
      assert.deepStrictEqual(published.map(({ at, event }) => [event, DateTime.toEpochMillis(at)]), [
        [ping(1), 0],
        [pong(2), 5000],
        [ping(3), 5000],
        [ping(4), 5000]
      ])
    }).pipe(Effect.provide(EventBusTest.layer(TestBus))))

  it.effect("records only on its own layer", () =>
    Effect.gen(function*() {
      const exit = yield* Effect.exit(EventBusTest.published(TestBus))
      assert.isTrue(Exit.isFailure(exit))
      assert.include(
        Exit.isFailure(exit) ? Cause.pretty(exit.cause) : "",
        "EventBus \"test/Bus\" records nothing: provide EventBusTest.layer instead of its own layer"
      )
    }).pipe(Effect.provide(TestBus.layer)))

  it.effect("awaitIdle waits for handlers, for what they publish, and for takers", () =>
    Effect.gen(function*() {
      const bus = yield* TestBus
      const seen: Array<string> = []
      yield* bus.on("Ping", (event) =>
        Effect.gen(function*() {
          yield* Effect.yieldNow
          yield* bus.publish(pong(event.n * 10))
        }), { concurrency: 2 })
      yield* bus.on("Pong", (event) =>
        Effect.andThen(Effect.yieldNow, Effect.sync(() => seen.push(`handler ${event.n}`))))
      const subscription = yield* bus.subscribe({ kinds: ["Pong"] })
      const taker = yield* Effect.forkChild(Effect.andThen(
        subscription.take,
        Effect.sync(() =>
          seen.push("taker")
        )
      ))
      yield* settle
      yield* EventBusTest.awaitIdle(TestBus)
      assert.deepStrictEqual(seen, [])
      yield* bus.publishAll([ping(1), ping(2)])
      yield* EventBusTest.awaitIdle(TestBus)
      assert.deepStrictEqual(seen.toSorted(), ["handler 10", "handler 20", "taker"])
      yield* Fiber.join(taker)
    }).pipe(Effect.provide(TestBus.layer)))

  it.effect("awaitIdle is not there while a handler waits for the clock", () =>
    Effect.gen(function*() {
      const bus = yield* TestBus
      yield* bus.on("Ping", () => Effect.sleep("1 minute"))
      yield* bus.publishAll([ping(1), ping(2)])
      const idle = yield* Effect.forkChild(EventBusTest.awaitIdle(TestBus))
      yield* TestClock.adjust("90 seconds")
      assert.isUndefined(idle.pollUnsafe())
      yield* TestClock.adjust("30 seconds")
      yield* Fiber.join(idle)
    }).pipe(Effect.provide(EventBusTest.layer(TestBus))))

  it.effect("awaitIdle is there while a taker waits for more than is pending", () =>
    Effect.gen(function*() {
      const bus = yield* TestBus
      const subscription = yield* bus.subscribe({ kinds: ["Ping"] })
      yield* Effect.forkScoped(subscription.takeBetween(3, 3))
      yield* settle
      yield* bus.publish(ping(1))
      yield* EventBusTest.awaitIdle(TestBus)
      assert.strictEqual((yield* subscription.snapshot).pending, 1)
    }).pipe(Effect.provide(TestBus.layer)))

  it.effect("awaitIdle does not wait for a handler that was unsubscribed", () =>
    Effect.gen(function*() {
      const bus = yield* TestBus
      const handle = yield* bus.on("Ping", () => Effect.never)
      yield* bus.publish(ping(1))
      const idle = yield* Effect.forkChild(EventBusTest.awaitIdle(TestBus))
      yield* settle
      assert.isUndefined(idle.pollUnsafe())
      yield* handle.unsubscribe
      yield* Fiber.join(idle)
    }).pipe(Effect.provide(TestBus.layer)))
})
