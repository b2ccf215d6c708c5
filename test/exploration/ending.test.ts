/**
 * Unsubscribing, closing scopes and shutting down, beside those who publish and take: everything ends, and what was accepted is
 * taken or said to be discarded.
 */
import { assert, describe, it } from "@effect/vitest"
import { Cause, Effect, Exit, Fiber, Scope, Stream } from "effect"
import { everySchedule, onBus, ping, pong } from "./everySchedule.ts"

/** Whether it brought something, or learned of the end. Anything else is a defect. */
const outcome = <A>(take: Effect.Effect<A, Cause.Done>): Effect.Effect<"something" | "the end"> =>
  Effect.flatMap(Effect.exit(take), (exit) => {
    if (Exit.isSuccess(exit)) return Effect.succeed("something")
    return Cause.isDone(Cause.squash(exit.cause)) ? Effect.succeed("the end") : Effect.die(exit.cause)
  })

describe("unsubscribing", () => {
  it.effect("beside a publisher", () =>
    everySchedule(onBus(({ bus, lawful, subscribe }) =>
      Effect.gen(function*() {
        const subscription = yield* subscribe()
        const publisher = yield* Effect.forkChild(Effect.andThen(bus.publish(ping(1)), bus.publish(ping(2))))
        yield* subscription.unsubscribe
        const { discarded, offered, state } = yield* subscription.snapshot
        assert.deepStrictEqual([state, discarded], ["closed", offered])
        yield* Fiber.join(publisher)
        yield* lawful
        assert.strictEqual((yield* subscription.snapshot).offered, offered)
        assert.strictEqual((yield* bus.metrics).noSubscribersCount, 2 - offered)
      })
    )))

  it.effect("beside a take, and a publisher", () =>
    everySchedule(onBus(({ bus, subscribe }) =>
      Effect.gen(function*() {
        const subscription = yield* subscribe()
        const taker = yield* Effect.forkChild(outcome(subscription.take))
        const publisher = yield* Effect.forkChild(bus.publish(ping(1)))
        yield* subscription.unsubscribe
        const { taken } = yield* subscription.snapshot
        yield* Fiber.join(publisher)
        assert.strictEqual(yield* Fiber.join(taker), taken === 1 ? "something" : "the end")
      })
    )))

  it.effect("beside a takeAll, and a publisher", () =>
    everySchedule(onBus(({ bus, subscribe }) =>
      Effect.gen(function*() {
        const subscription = yield* subscribe()
        const taker = yield* Effect.forkChild(outcome(subscription.takeAll))
        const publisher = yield* Effect.forkChild(bus.publish(ping(1)))
        yield* subscription.unsubscribe
        const { taken } = yield* subscription.snapshot
        yield* Fiber.join(publisher)
        assert.strictEqual(yield* Fiber.join(taker), taken === 1 ? "something" : "the end")
      })
    )))

  it.effect("beside a takeBetween that waits for more", () =>
    everySchedule(onBus(({ bus, subscribe }) =>
      Effect.gen(function*() {
        const subscription = yield* subscribe()
        const taker = yield* Effect.forkChild(outcome(subscription.takeBetween(2, 2)))
        const publisher = yield* Effect.forkChild(bus.publish(ping(1)))
        yield* subscription.unsubscribe
        yield* Fiber.join(publisher)
        assert.strictEqual(yield* Fiber.join(taker), "the end")
        assert.strictEqual((yield* subscription.snapshot).taken, 0)
      })
    )))

  it.effect("beside a stream", () =>
    everySchedule(onBus(({ bus, subscribe }) =>
      Effect.gen(function*() {
        const subscription = yield* subscribe()
        const reader = yield* Effect.forkChild(Stream.runCount(subscription.stream))
        yield* bus.publish(ping(1))
        yield* subscription.unsubscribe
        assert.strictEqual(yield* Fiber.join(reader), (yield* subscription.snapshot).taken)
      })
    )))

  it.effect("beside itself", () =>
    everySchedule(onBus(({ bus, subscribe }) =>
      Effect.gen(function*() {
        const subscription = yield* subscribe()
        yield* bus.publish(ping(1))
        const other = yield* Effect.forkChild(subscription.unsubscribe)
        yield* subscription.unsubscribe
        assert.deepStrictEqual(yield* bus.subscriptions, [])
        yield* Fiber.join(other)
        assert.strictEqual((yield* subscription.snapshot).discarded, 1)
      })
    )))

  it.effect("one of two costs the other nothing", () =>
    everySchedule(onBus(({ bus, subscribe }) =>
      Effect.gen(function*() {
        const [leaving, staying] = [yield* subscribe(), yield* subscribe()]
        const taker = yield* Effect.forkChild(staying.takeBetween(2, 2))
        const publisher = yield* Effect.forkChild(Effect.andThen(bus.publish(ping(1)), bus.publish(ping(2))))
        yield* leaving.unsubscribe
        yield* Fiber.join(publisher)
        assert.deepStrictEqual((yield* Fiber.join(taker)).map(({ n }) => n), [1, 2])
      })
    )))

  it.effect("of a full one, beside a publisher", () =>
    everySchedule(onBus(({ bus, lawful, subscribe }) =>
      Effect.gen(function*() {
        const subscription = yield* subscribe({ bufferSize: 1, overflow: "sliding" })
        yield* bus.publish(ping(1))
        const publisher = yield* Effect.forkChild(bus.publish(ping(2)))
        yield* subscription.unsubscribe
        yield* Fiber.join(publisher)
        yield* lawful
        const { discarded, dropped, offered } = yield* subscription.snapshot
        assert.deepStrictEqual([discarded, dropped], [1, offered - 1])
      })
    )))
})

describe("closing the subscriber's scope", () => {
  it.effect("beside takers and a publisher", () =>
    everySchedule(onBus(({ bus, subscribe }) =>
      Effect.gen(function*() {
        const scope = yield* Scope.make()
        const subscription = yield* Scope.provide(subscribe(), scope)
        const first = yield* Effect.forkChild(outcome(subscription.take))
        const publisher = yield* Effect.forkChild(bus.publish(ping(1)))
        yield* Scope.close(scope, Exit.void)
        yield* Fiber.join(publisher)
        const { taken } = yield* subscription.snapshot
        assert.strictEqual(yield* Fiber.join(first), taken === 1 ? "something" : "the end")
        assert.strictEqual(yield* outcome(subscription.take), "the end")
      })
    )))

  it.effect("beside the bus's", () =>
    everySchedule(onBus(({ bus, subscribe }) =>
      Effect.gen(function*() {
        const scope = yield* Scope.make()
        const subscription = yield* Scope.provide(subscribe(), scope)
        const taker = yield* Effect.forkChild(outcome(subscription.take))
        const closing = yield* Effect.forkChild(Scope.close(scope, Exit.void))
        yield* bus.publish(ping(1))
        yield* bus.shutdown
        yield* Fiber.join(taker)
        yield* Fiber.join(closing)
      })
    )))
})

describe("shutting down", () => {
  it.effect("beside a publisher: what was accepted is taken", () =>
    everySchedule(onBus(({ bus, subscribe }) =>
      Effect.gen(function*() {
        const subscription = yield* subscribe()
        const publisher = yield* Effect.forkChild(Effect.andThen(bus.publish(ping(1)), bus.publish(ping(2))))
        yield* bus.shutdown
        const { publishedCount } = yield* bus.metrics
        const taken = yield* Stream.runCount(subscription.stream)
        yield* Fiber.join(publisher)
        assert.strictEqual(taken, publishedCount)
        assert.strictEqual((yield* bus.metrics).publishedCount, publishedCount)
      })
    )))

  it.effect("beside a publisher of a batch: all of it is taken, or nothing", () =>
    everySchedule(onBus(({ bus, subscribe }) =>
      Effect.gen(function*() {
        const subscription = yield* subscribe()
        const publisher = yield* Effect.forkChild(bus.publishAll([ping(1), pong(2)]))
        yield* bus.shutdown
        const taken = yield* Stream.runCount(subscription.stream)
        yield* Fiber.join(publisher)
        assert.include([0, 2], taken)
      })
    )))

  it.effect("beside takers: those who wait are released", () =>
    everySchedule(
      onBus(({ bus, subscribe }) =>
        Effect.gen(function*() {
          const subscription = yield* subscribe()
          const takers = [
            yield* Effect.forkChild(outcome(subscription.take)),
            yield* Effect.forkChild(outcome(subscription.takeAll)),
            yield* Effect.forkChild(outcome(subscription.takeBetween(1, 2)))
          ]
          yield* bus.shutdown
          assert.deepStrictEqual(yield* Fiber.joinAll(takers), ["the end", "the end", "the end"])
        }), {}),
      { preemptions: 1 }
    ))

  it.effect("beside a takeBetween: it gets what there is", () =>
    everySchedule(onBus(({ bus, subscribe }) =>
      Effect.gen(function*() {
        const subscription = yield* subscribe()
        const taker = yield* Effect.forkChild(subscription.takeBetween(2, 2))
        yield* bus.publish(ping(1))
        yield* bus.shutdown
        assert.deepStrictEqual((yield* Fiber.join(taker)).map(({ n }) => n), [1])
      })
    )))

  it.effect("beside itself: all who wait for it learn of it", () =>
    everySchedule(onBus(({ bus }) =>
      Effect.gen(function*() {
        const waiting = yield* Effect.forkChild(bus.awaitShutdown)
        const other = yield* Effect.forkChild(bus.shutdown)
        yield* bus.shutdown
        yield* bus.awaitShutdown
        yield* Fiber.joinAll([waiting, other])
      })
    )))

  it.effect("beside one who no longer waits for it", () =>
    everySchedule(onBus(({ bus }) =>
      Effect.gen(function*() {
        const leaving = yield* Effect.forkChild(bus.awaitShutdown)
        const staying = yield* Effect.forkChild(bus.awaitShutdown)
        const shuttingDown = yield* Effect.forkChild(bus.shutdown)
        yield* Fiber.interrupt(leaving)
        yield* Fiber.joinAll([staying, shuttingDown])
      })
    )))

  it.effect("beside a newcomer: it has ended, or will", () =>
    everySchedule(onBus(({ bus, subscribe }) =>
      Effect.gen(function*() {
        const newcomer = yield* Effect.forkChild(Effect.flatMap(subscribe(), ({ stream }) => Stream.runCount(stream)))
        yield* bus.publish(ping(1))
        yield* bus.shutdown
        yield* Fiber.join(newcomer)
      })
    )))

  it.effect("beside one who unsubscribes", () =>
    everySchedule(onBus(({ bus, subscribe }) =>
      Effect.gen(function*() {
        const subscription = yield* subscribe()
        yield* bus.publish(ping(1))
        const leaving = yield* Effect.forkChild(subscription.unsubscribe)
        const taker = yield* Effect.forkChild(outcome(subscription.take))
        yield* bus.shutdown
        yield* Fiber.join(leaving)
        const { taken } = yield* subscription.snapshot
        assert.strictEqual(yield* Fiber.join(taker), taken === 1 ? "something" : "the end")
      })
    )))

  it.effect("ends losses", () =>
    everySchedule(onBus(({ bus, subscribe }) =>
      Effect.gen(function*() {
        const subscription = yield* subscribe({ bufferSize: 1 })
        const reader = yield* Effect.forkChild(Stream.runCollect(subscription.losses))
        yield* bus.publishAll([ping(1), ping(2)])
        yield* bus.shutdown
        yield* subscription.take
        const losses = yield* Fiber.join(reader)
        assert.strictEqual(losses.reduce((sum, { dropped }) => sum + dropped, 0), 1)
      })
    )))
})
