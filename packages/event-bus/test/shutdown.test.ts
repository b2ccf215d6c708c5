import { assert, describe, it } from "@effect/vitest"
import { EventBus } from "@openwatch/event-bus"
import { Cause, Effect, Exit, Fiber, Latch, Metric, Schedule, Scheduler, Scope, Stream } from "effect"
import { TestClock } from "effect/testing"
import { Ping, ping, Pong, settle } from "./fixture.ts"

const makeBus = EventBus.make({ name: "test", events: [Ping, Pong] })

const isDone = (exit: Exit.Exit<unknown, Cause.Done>) => Exit.isFailure(exit) && Cause.isDone(Cause.squash(exit.cause))

describe("shutdown", () => {
  it.effect("lets subscribers take what was accepted, then ends them", () =>
    Effect.gen(function*() {
      const bus = yield* makeBus
      const subscription = yield* bus.subscribe({ kinds: ["Ping"] })
      yield* bus.publishAll([ping(1), ping(2)])
      yield* bus.shutdown
      yield* bus.publish(ping(3))
      assert.strictEqual((yield* subscription.snapshot).state, "draining")
      assert.deepStrictEqual(yield* subscription.take, ping(1))
      assert.deepStrictEqual(yield* subscription.takeUpTo(9), [ping(2)])
      assert.strictEqual((yield* subscription.snapshot).state, "closed")
      for (
        const take of [
          subscription.take,
          subscription.takeAll,
          subscription.takeUpTo(1),
          subscription.takeBetween(1, 2)
        ]
      ) {
        assert.isTrue(isDone(yield* Effect.exit<unknown, Cause.Done, never>(take)))
      }
      assert.deepInclude(yield* bus.metrics, { publishedCount: 2, deliveredCount: 2, noSubscribersCount: 0 })
    }))

  it.effect("a subscription is closed once its last event is taken, by a take that waited for nothing or by one that waited", () =>
    Effect.gen(function*() {
      const bus = yield* makeBus
      const [taking, waiting] = [yield* bus.subscribe({ kinds: ["Ping"] }), yield* bus.subscribe({ kinds: ["Ping"] })]
      const taker = yield* Effect.forkChild(waiting.take, { startImmediately: true })
      yield* bus.publish(ping(1))
      yield* bus.shutdown
      yield* taking.take
      yield* Fiber.join(taker)
      assert.strictEqual((yield* taking.snapshot).state, "closed")
      assert.strictEqual((yield* waiting.snapshot).state, "closed")
      assert.deepStrictEqual(yield* bus.subscriptions, [])
    }))

  it.effect("releases takers that wait, and streams", () =>
    Effect.gen(function*() {
      const bus = yield* makeBus
      const subscription = yield* bus.subscribe({ kinds: ["Ping"] })
      const takers = yield* Effect.forEach([1, 2, 3], () => Effect.forkChild(Effect.exit(subscription.take)))
      const other = yield* bus.subscribe({ kinds: ["Ping"] })
      const collecting = yield* Effect.forkChild(Stream.runCollect(other.stream))
      yield* settle
      yield* bus.shutdown
      for (const taker of takers) assert.isTrue(isDone(yield* Fiber.join(taker)))
      assert.deepStrictEqual(yield* Fiber.join(collecting), [])
    }))

  it.effect("an event published before it reaches a taker that waited", () =>
    Effect.gen(function*() {
      const bus = yield* makeBus
      const subscription = yield* bus.subscribe({ kinds: ["Ping"] })
      const taker = yield* Effect.forkChild(subscription.take)
      yield* settle
      yield* bus.publish(ping(1))
      yield* bus.shutdown
      assert.deepStrictEqual(yield* Fiber.join(taker), ping(1))
    }))

  it.effect("takeBetween gives what there is when the bus ends before its minimum", () =>
    Effect.gen(function*() {
      const bus = yield* makeBus
      const subscription = yield* bus.subscribe({ kinds: ["Ping"] })
      const taker = yield* Effect.forkChild(subscription.takeBetween(3, 5))
      yield* settle
      yield* bus.publishAll([ping(1), ping(2)])
      yield* settle
      yield* bus.shutdown
      assert.deepStrictEqual(yield* Fiber.join(taker), [ping(1), ping(2)])
    }))

  it.effect("takeUpTo takes what is pending, although a taker waits that has not been woken yet", () =>
    Effect.gen(function*() {
      const bus = yield* makeBus
      const subscription = yield* bus.subscribe({ kinds: ["Ping"] })
      const taker = yield* Effect.forkChild(Effect.exit(subscription.take))
      yield* settle
      yield* bus.publish(ping(1))
      yield* bus.shutdown
      assert.deepStrictEqual(yield* subscription.takeUpTo(10), [ping(1)])
      assert.isTrue(isDone(yield* Fiber.join(taker)))
    }))

  it.effect("a subscription made after it has already ended", () =>
    Effect.gen(function*() {
      const bus = yield* makeBus
      yield* bus.shutdown
      const subscription = yield* bus.subscribe({ kinds: ["Ping"] })
      assert.isTrue(isDone(yield* Effect.exit(subscription.take)))
      assert.deepStrictEqual(yield* Stream.runCollect(subscription.stream), [])
      const handle = yield* bus.on("Ping", () => Effect.die("never"), { drain: "1 second" })
      yield* settle
      assert.strictEqual((yield* handle.snapshot).state, "closed")
      assert.deepStrictEqual(yield* bus.subscriptions, [])
    }))

  it.effect("awaitShutdown completes then, and at once afterwards", () =>
    Effect.gen(function*() {
      const bus = yield* makeBus
      const waiting = yield* Effect.forkChild(bus.awaitShutdown)
      yield* settle
      assert.isUndefined(waiting.pollUnsafe())
      yield* bus.shutdown
      yield* Fiber.join(waiting)
      yield* bus.awaitShutdown
    }))

  it.effect("whoever awaits it finds subscriptions ended, also where the fiber that shuts down gives way after a few steps", () =>
    Effect.gen(function*() {
      const bus = yield* makeBus
      const subscription = yield* bus.subscribe({ kinds: ["Ping"] })
      const waiting = yield* Effect.forkChild(Effect.andThen(bus.awaitShutdown, subscription.snapshot), {
        startImmediately: true
      })
      yield* Effect.provideService(bus.shutdown, Scheduler.MaxOpsBeforeYield, 4)
      assert.strictEqual((yield* Fiber.join(waiting)).state, "closed")
    }))

  const orders: ReadonlyArray<ReadonlyArray<"shutdown" | "unsubscribe" | "scope">> = [
    ["shutdown", "shutdown"],
    ["unsubscribe", "unsubscribe"],
    ["shutdown", "unsubscribe"],
    ["unsubscribe", "shutdown"],
    ["scope", "unsubscribe", "shutdown", "scope"],
    ["shutdown", "scope", "unsubscribe"]
  ]
  for (const order of orders) {
    for (const together of [false, true]) {
      it.effect(`${order.join(", ")}${together ? " side by side" : ""}: defined and idempotent`, () =>
        Effect.gen(function*() {
          const bus = yield* makeBus
          const scope = yield* Scope.make()
          const subscription = yield* bus.subscribe({ kinds: ["Ping"] }).pipe(Scope.provide(scope))
          const handle = yield* bus.on("Ping", () => Effect.never).pipe(Scope.provide(scope))
          const taker = yield* Effect.forkChild(Effect.exit(subscription.takeBetween(4, 4)))
          yield* settle
          yield* bus.publishAll([ping(1), ping(2)])
          yield* settle
          const actions = order.map((action) =>
            action === "shutdown"
              ? bus.shutdown
              : action === "scope"
              ? Scope.close(scope, Exit.void)
              : Effect.all([subscription.unsubscribe, handle.unsubscribe], { concurrency: "unbounded" })
          )
          yield* Effect.all(actions, { concurrency: together ? "unbounded" : 1 })
          yield* Effect.all([handle.unsubscribe, bus.shutdown])
          yield* Fiber.join(taker)
          for (const snapshot of [yield* subscription.snapshot, yield* handle.snapshot]) {
            assert.strictEqual(snapshot.state, "closed")
            assert.strictEqual(snapshot.delivered, snapshot.taken + snapshot.discarded)
            assert.strictEqual(snapshot.delivered, 2)
          }
          assert.deepStrictEqual(yield* bus.subscriptions, [])
          assert.deepInclude(yield* bus.metrics, { publishedCount: 2, deliveredCount: 4, droppedCount: 0 })
        }))
    }
  }
})

describe("closing the bus's scope", () => {
  it.effect("drains the handlers that asked for it, interrupts the others, and waits for both", () =>
    Effect.gen(function*() {
      const busScope = yield* Scope.make()
      const bus = yield* Scope.provide(makeBus, busScope)
      const drained: Array<number> = []
      let interrupted = 0
      const slow = yield* bus.on(
        "Ping",
        (event) => Effect.andThen(Effect.sleep("1 second"), Effect.sync(() => drained.push(event.n))),
        { name: "slow", drain: "1 minute" }
      )
      const stuck = yield* bus.on(
        "Ping",
        () => Effect.onInterrupt(Effect.never, () => Effect.sync(() => interrupted++)),
        { name: "stuck" }
      )
      const tooSlow = yield* bus.on("Ping", () => Effect.sleep("1 hour"), { name: "too slow", drain: "5 seconds" })
      const reader = yield* bus.subscribe({ kinds: ["Ping"], name: "reader" })
      const publisher = yield* Effect.forkChild(
        Effect.forever(Effect.andThen(bus.publish(ping(9)), Effect.sleep("1 second")))
      )
      yield* bus.publishAll([ping(1), ping(2)])
      yield* settle
      const closing = yield* Effect.forkChild(Scope.close(busScope, Exit.void))
      yield* settle
      assert.strictEqual(interrupted, 1)
      yield* TestClock.adjust("10 seconds")
      yield* Fiber.join(closing)
      yield* Fiber.interrupt(publisher)
      assert.deepStrictEqual(drained, [1, 2, 9])
      assert.deepInclude(yield* slow.snapshot, { state: "closed", taken: 3, discarded: 0 })
      assert.deepInclude(yield* stuck.snapshot, { state: "closed", taken: 1, discarded: 2 })
      assert.deepInclude(yield* tooSlow.snapshot, { state: "closed", taken: 1, discarded: 2 })
      // The reader's own scope is open: what it accepted is still there.
      assert.strictEqual((yield* reader.takeAll).length, 3)
      assert.deepInclude(yield* bus.metrics, { publishedCount: 3, deliveredCount: 12, droppedCount: 0 })
      assert.deepStrictEqual(yield* bus.subscriptions, [])
    }))

  it.effect("leaves no fiber behind, with handlers busy, retries and warnings waiting", () => {
    let active = 0
    const counting: Metric.FiberRuntimeMetricsService = {
      recordFiberStart: () => {
        active++
      },
      recordFiberEnd: () => {
        active--
      }
    }
    return Effect.gen(function*() {
      const before = active
      const busScope = yield* Scope.make()
      const gate = yield* Latch.make()
      const bus = yield* Scope.provide(EventBus.make({ events: [Ping, Pong], bufferSize: 4 }), busScope)
      const reader = yield* bus.subscribe({ kinds: ["Ping"] })
      for (let i = 0; i < 20; i++) {
        yield* bus.on("Ping", () => i === 0 ? Effect.fail("again") : gate.await, {
          concurrency: 1 + i % 3,
          drain: i % 2 === 0 ? undefined : "2 seconds",
          retry: Schedule.spaced("1 second")
        })
      }
      yield* bus.publishAll(Array.from({ length: 50 }, (_, n) => ping(n)))
      yield* settle
      assert.isAtLeast(active - before, 7 * 1 + 7 * 2 + 6 * 3)
      const closing = yield* Effect.forkChild(Scope.close(busScope, Exit.void))
      yield* TestClock.adjust("2 seconds")
      yield* Fiber.join(closing)
      yield* settle
      assert.strictEqual(active - before, 0)
      const { deliveredCount, droppedCount, publishedCount } = yield* bus.metrics
      assert.strictEqual(deliveredCount + droppedCount, 21 * publishedCount)
      assert.strictEqual((yield* reader.takeAll).length, 4)
    }).pipe(Effect.provideService(Metric.FiberRuntimeMetrics, counting))
  })
})

describe("takeBetween", () => {
  it.effect("loses nothing when it is interrupted before its minimum is there", () =>
    Effect.gen(function*() {
      const bus = yield* makeBus
      const subscription = yield* bus.subscribe({ kinds: ["Ping"] })
      const taker = yield* Effect.forkChild(subscription.takeBetween(3, 5))
      yield* settle
      yield* bus.publishAll([ping(1), ping(2)])
      yield* settle
      yield* Fiber.interrupt(taker)
      assert.deepInclude(yield* subscription.snapshot, { taken: 0, pending: 2 })
      assert.deepStrictEqual(yield* subscription.takeUpTo(9), [ping(1), ping(2)])
    }))

  it.effect("waits for nothing where nothing is asked for: its minimum is 0 or less, or more than its maximum", () =>
    Effect.gen(function*() {
      const bus = yield* makeBus
      const subscription = yield* bus.subscribe({ kinds: ["Ping"] })
      assert.deepStrictEqual(yield* subscription.takeBetween(0, 2), [])
      assert.deepStrictEqual(yield* subscription.takeBetween(-1, 2), [])
      yield* bus.publishAll([ping(1), ping(2), ping(3)])
      assert.deepStrictEqual(yield* subscription.takeBetween(2, 1), [])
      assert.deepStrictEqual(yield* subscription.takeBetween(0, 2), [ping(1), ping(2)])
    }))

  it.effect("collects more than the buffer holds", () =>
    Effect.gen(function*() {
      const bus = yield* makeBus
      const subscription = yield* bus.subscribe({ kinds: ["Ping"], bufferSize: 2 })
      const taker = yield* Effect.forkChild(subscription.takeBetween(3, 5))
      yield* settle
      for (const n of [1, 2, 3, 4]) {
        yield* bus.publish(ping(n))
        yield* settle
      }
      assert.deepStrictEqual(yield* Fiber.join(taker), [ping(1), ping(2), ping(3)])
      assert.deepStrictEqual(yield* subscription.takeUpTo(9), [ping(4)])
    }))
})
