/**
 * The bus through Effect's own `PubSub` functions: its takers stand in one line with those of the bus, and what ends a
 * `PubSub` ends what is subscribed to it.
 */
import { assert, describe, it } from "@effect/vitest"
import { Cause, Effect, Exit, Fiber, PubSub, Stream } from "effect"
import { everySchedule, onBus, ping, pong, type Stage } from "./everySchedule.ts"

/** Whether it brought something, or was interrupted, which is how `PubSub` says that it has ended. */
const outcome = <A>(take: Effect.Effect<A>): Effect.Effect<"something" | "the end"> =>
  Effect.flatMap(Effect.exit(take), (exit) => {
    if (Exit.isSuccess(exit)) return Effect.succeed("something")
    return Cause.hasInterruptsOnly(exit.cause) ? Effect.succeed("the end") : Effect.die(exit.cause)
  })

const view = ({ bus, withOthers }: Stage) => Effect.andThen(withOthers, bus.asPubSub({ kinds: bus.kinds }))

describe("PubSub's takers of a subscription", () => {
  it.effect("and one of the bus share what is published", () =>
    everySchedule(onBus(({ bus, subscribe }) =>
      Effect.gen(function*() {
        const subscription = yield* subscribe()
        const takers = [yield* Effect.forkChild(PubSub.take(subscription)), yield* Effect.forkChild(subscription.take)]
        yield* bus.publish(ping(1))
        yield* bus.publish(ping(2))
        assert.sameMembers((yield* Fiber.joinAll(takers)).map(({ n }) => n), [1, 2])
      })
    )))

  it.effect("share what two publish", () =>
    everySchedule(onBus(({ bus, subscribe }) =>
      Effect.gen(function*() {
        const subscription = yield* subscribe()
        const takers = [
          yield* Effect.forkChild(PubSub.take(subscription)),
          yield* Effect.forkChild(PubSub.take(subscription))
        ]
        const publisher = yield* Effect.forkChild(bus.publish(ping(1)))
        yield* bus.publish(ping(2))
        yield* Fiber.join(publisher)
        assert.sameMembers((yield* Fiber.joinAll(takers)).map(({ n }) => n), [1, 2])
        assert.strictEqual((yield* subscription.snapshot).taken, 2)
      })
    )))

  it.effect("takeAll and takeUpTo take all, once", () =>
    everySchedule(onBus(({ bus, subscribe }) =>
      Effect.gen(function*() {
        const subscription = yield* subscribe()
        const all = yield* Effect.forkChild(PubSub.takeAll(subscription))
        const some = yield* Effect.forkChild(PubSub.takeUpTo(subscription, 1))
        yield* bus.publish(ping(1))
        yield* bus.publish(ping(2))
        const taken = [...(yield* Fiber.join(all)), ...(yield* Fiber.join(some))]
        const rest = yield* PubSub.takeUpTo(subscription, 5)
        assert.sameMembers([...taken, ...rest].map(({ n }) => n), [1, 2])
      })
    )))

  it.effect("one that is interrupted leaves to the next what it has not taken", () =>
    everySchedule(onBus(({ bus, subscribe }) =>
      Effect.gen(function*() {
        const subscription = yield* subscribe()
        const first = yield* Effect.forkChild(PubSub.take(subscription))
        const second = yield* Effect.forkChild(PubSub.take(subscription))
        const publisher = yield* Effect.forkChild(bus.publish(ping(1)))
        yield* Fiber.interrupt(first)
        yield* Fiber.join(publisher)
        if ((yield* subscription.snapshot).taken === 1) yield* bus.publish(ping(2))
        yield* Fiber.join(second)
      })
    )))

  it.effect("one that is interrupted leaves to a taker of the bus what it has not taken", () =>
    everySchedule(onBus(({ bus, subscribe }) =>
      Effect.gen(function*() {
        const subscription = yield* subscribe()
        const first = yield* Effect.forkChild(PubSub.take(subscription))
        const second = yield* Effect.forkChild(subscription.take)
        const publisher = yield* Effect.forkChild(bus.publish(ping(1)))
        yield* Fiber.interrupt(first)
        yield* Fiber.join(publisher)
        if ((yield* subscription.snapshot).taken === 1) yield* bus.publish(ping(2))
        yield* Fiber.join(second)
      })
    )))

  it.effect("are interrupted when the bus is shut down and nothing is left", () =>
    everySchedule(onBus(({ bus, subscribe }) =>
      Effect.gen(function*() {
        const subscription = yield* subscribe()
        const takers = [
          yield* Effect.forkChild(outcome(PubSub.take(subscription))),
          yield* Effect.forkChild(outcome(PubSub.takeAll(subscription)))
        ]
        yield* bus.publish(ping(1))
        yield* bus.shutdown
        assert.sameMembers(yield* Fiber.joinAll(takers), ["something", "the end"])
      })
    )))

  it.effect("are interrupted when it is unsubscribed", () =>
    everySchedule(onBus(({ bus, subscribe }) =>
      Effect.gen(function*() {
        const subscription = yield* subscribe()
        const taker = yield* Effect.forkChild(outcome(PubSub.take(subscription)))
        const publisher = yield* Effect.forkChild(bus.publish(ping(1)))
        yield* subscription.unsubscribe
        yield* Fiber.join(publisher)
        const { taken } = yield* subscription.snapshot
        assert.strictEqual(yield* Fiber.join(taker), taken === 1 ? "something" : "the end")
      })
    )))

  it.effect("a stream of it ends after what was accepted", () =>
    everySchedule(onBus(({ bus, subscribe }) =>
      Effect.gen(function*() {
        const subscription = yield* subscribe()
        const reader = yield* Effect.forkChild(Stream.runCollect(Stream.fromSubscription(subscription)))
        yield* bus.publish(ping(1))
        yield* bus.publish(pong(2))
        yield* bus.shutdown
        assert.deepStrictEqual((yield* Fiber.join(reader)).map(({ n }) => n), [1, 2])
      })
    )))
})

describe("a PubSub over the bus", () => {
  it.effect("publishes to the bus, and brings what the bus publishes", () =>
    everySchedule(onBus((stage) =>
      Effect.gen(function*() {
        const pubsub = yield* view(stage)
        const own = yield* stage.subscribe()
        const other = yield* PubSub.subscribe(pubsub)
        const taker = yield* Effect.forkChild(Effect.all([PubSub.take(other), PubSub.take(other)]))
        const publisher = yield* Effect.forkChild(PubSub.publish(pubsub, ping(1)))
        yield* stage.bus.publish(pong(2))
        assert.isTrue(yield* Fiber.join(publisher))
        const taken = yield* Fiber.join(taker)
        assert.deepStrictEqual(taken.map(({ n }) => n), (yield* own.takeUpTo(5)).map(({ n }) => n))
      })
    )))

  it.effect("a stream of it ends with the bus", () =>
    everySchedule(onBus((stage) =>
      Effect.gen(function*() {
        const pubsub = yield* view(stage)
        const reader = yield* Effect.forkChild(Stream.runCount(Stream.fromPubSub(pubsub)))
        yield* stage.bus.publish(ping(1))
        yield* stage.bus.shutdown
        assert.isAtMost(yield* Fiber.join(reader), 1)
      })
    )))

  it.effect("shutting it down ends its subscribers, and not the bus", () =>
    everySchedule(onBus((stage) =>
      Effect.gen(function*() {
        const pubsub = yield* view(stage)
        const own = yield* stage.subscribe()
        const other = yield* PubSub.subscribe(pubsub)
        const taker = yield* Effect.forkChild(outcome(PubSub.take(other)))
        const publisher = yield* Effect.forkChild(stage.bus.publish(ping(1)))
        yield* PubSub.shutdown(pubsub)
        yield* Fiber.join(publisher)
        yield* Fiber.join(taker)
        yield* stage.bus.publish(ping(2))
        assert.deepStrictEqual((yield* own.takeUpTo(5)).map(({ n }) => n), [1, 2])
      })
    )))

  it.effect("ending it ends its subscribers after what is pending, and not the bus", () =>
    everySchedule(onBus((stage) =>
      Effect.gen(function*() {
        const pubsub = yield* view(stage)
        const own = yield* stage.subscribe()
        const other = yield* PubSub.subscribe(pubsub)
        const taker = yield* Effect.forkChild(Effect.all([PubSub.take(other), PubSub.take(other)]))
        yield* stage.bus.publish(ping(1))
        yield* PubSub.end(pubsub, ping(9))
        assert.deepStrictEqual((yield* Fiber.join(taker)).map(({ n }) => n), [1, 9])
        yield* stage.bus.publish(ping(2))
        assert.deepStrictEqual((yield* own.takeUpTo(5)).map(({ n }) => n), [1, 2])
      })
    )))
})
