/** Parts of a bus, each as a bus of its own. */
import { assert, describe, it } from "@effect/vitest"
import { EventBus } from "@openwatch/event-bus"
import { EventBusTest } from "@openwatch/event-bus/testing"
import { Cause, Context, DateTime, Effect, Exit, Fiber, Latch, Layer, PubSub, Schema, Scope, Stream } from "effect"
import { Ping, ping, Pong, pong, settle } from "./fixture.ts"

class PingBus extends EventBus.Service<PingBus>()("test/PingBus", { events: [Ping] }) {}
class WholeBus extends EventBus.Service<WholeBus>()("test/WholeBus", { events: [...PingBus.events, Pong] }) {}

const both = Effect.gen(function*() {
  const context = yield* Layer.build(PingBus.layerFrom(WholeBus).pipe(Layer.provideMerge(WholeBus.layer)))
  return { pings: Context.get(context, PingBus), whole: Context.get(context, WholeBus) }
})

describe("a view of a bus", () => {
  it.effect("publishes on the bus, and receives from it", () =>
    Effect.gen(function*() {
      const { pings, whole } = yield* both
      const here = yield* pings.subscribe({ kinds: ["Ping"] })
      const there = yield* whole.subscribe({ kinds: ["Ping", "Pong"] })
      yield* pings.publish(ping(1))
      yield* whole.publishAll([pong(2), ping(3)])
      pings.publishUnsafe(ping(4))
      yield* pings.publishAll([ping(5)])
      assert.deepStrictEqual((yield* here.takeAll).map(({ n }) => n), [1, 3, 4, 5])
      assert.deepStrictEqual((yield* there.takeAll).map(({ n }) => n), [1, 2, 3, 4, 5])
    }))

  it.effect("refuses kinds of the bus that are not its own, to publish and to subscribe to", () =>
    Effect.gen(function*() {
      const { pings } = yield* both
      const messages: Array<string> = []
      for (
        const effect of [
          pings.publish(pong(1) as never),
          pings.publishAll([ping(1), pong(1) as never]),
          pings.subscribe({ kinds: ["Pong" as never] }),
          pings.asPubSub({ kinds: ["Pong" as never] })
        ]
      ) {
        const exit = yield* Effect.exit(effect)
        if (Exit.isFailure(exit)) messages.push((Cause.squash(exit.cause) as Error).message)
      }
      assert.deepStrictEqual(messages, [
        `EventBus "test/PingBus": cannot publish an event with the _tag "Pong"; the kinds are "Ping"`,
        `EventBus "test/PingBus": cannot publish an event with the _tag "Pong"; the kinds are "Ping"`,
        `EventBus "test/PingBus": kinds names "Pong"; the kinds are "Ping"`,
        `EventBus "test/PingBus": kinds names "Pong"; the kinds are "Ping"`
      ])
      assert.strictEqual((yield* pings.metrics).publishedCount, 0)
    }))

  it.effect("counts what is subscribed to through it, and of the bus what is of its kinds", () =>
    Effect.gen(function*() {
      const { pings, whole } = yield* both
      yield* pings.subscribe({ kinds: ["Ping"], name: "here", bufferSize: 1 })
      yield* whole.subscribe({ kinds: ["Ping"], name: "there" })
      yield* whole.publishAll([ping(1), ping(2), pong(3)])
      assert.deepStrictEqual(yield* pings.metrics, {
        publishedCount: 2,
        deliveredCount: 1,
        droppedCount: 1,
        noSubscribersCount: 0,
        publishedByKind: { Ping: 2 }
      })
      assert.strictEqual((yield* whole.metrics).deliveredCount, 3)
      assert.deepStrictEqual((yield* pings.subscriptions).map(({ name }) => name), ["here"])
      assert.deepStrictEqual((yield* whole.subscriptions).map(({ name }) => name), ["here", "there"])
    }))

  it.effect("its shutdown ends what was made through it, when that is empty, and never the bus", () =>
    Effect.gen(function*() {
      const { pings, whole } = yield* both
      const here = yield* pings.subscribe({ kinds: ["Ping"] })
      const handled: Array<number> = []
      yield* pings.on("Ping", ({ n }) => Effect.sync(() => handled.push(n)))
      const pubsub = yield* pings.asPubSub({ kinds: ["Ping"] })
      const stock = yield* PubSub.subscribe(pubsub)
      const there = yield* whole.subscribe({ kinds: ["Ping"] })
      const awaiting = yield* Effect.forkChild(pings.awaitShutdown)
      yield* whole.publish(ping(1))
      yield* pings.shutdown
      yield* pings.shutdown
      yield* pings.publish(ping(2))
      assert.isFalse(yield* PubSub.publish(pubsub, ping(2)))
      yield* whole.publish(ping(3))
      yield* settle
      yield* Fiber.join(awaiting)
      yield* pings.awaitShutdown
      assert.deepStrictEqual((yield* Stream.runCollect(here.stream)).map(({ n }) => n), [1])
      assert.deepStrictEqual((yield* PubSub.takeAll(stock)).map(({ n }) => n), [1])
      assert.deepStrictEqual(handled, [1])
      assert.deepStrictEqual((yield* there.takeAll).map(({ n }) => n), [1, 3])
      const late = yield* pings.subscribe({ kinds: ["Ping"] })
      assert.strictEqual((yield* late.snapshot).state, "closed")
      assert.deepStrictEqual(yield* pings.subscriptions, [])
    }))

  it.effect("its shutdown closes at once what holds nothing", () =>
    Effect.gen(function*() {
      const { pings } = yield* both
      const here = yield* pings.subscribe({ kinds: ["Ping"] })
      yield* pings.shutdown
      assert.strictEqual((yield* here.snapshot).state, "closed")
    }))

  it.effect("whoever awaits its shutdown waits for it, and is not told inside of it", () =>
    Effect.gen(function*() {
      const { pings } = yield* both
      let isTold = false
      const awaiting = yield* Effect.forkChild(
        Effect.andThen(
          pings.awaitShutdown,
          Effect.sync(() => {
            isTold = true
          })
        ),
        { startImmediately: true }
      )
      yield* settle
      assert.isFalse(isTold)
      yield* pings.shutdown
      assert.isFalse(isTold)
      yield* Fiber.join(awaiting)
    }))

  it.effect("ends with the bus", () =>
    Effect.gen(function*() {
      const { pings, whole } = yield* both
      const awaiting = yield* Effect.forkChild(pings.awaitShutdown)
      yield* whole.shutdown
      yield* Fiber.join(awaiting)
      yield* pings.publish(ping(1))
      // Nor is it looked at: the bus does not either.
      yield* pings.publish(pong(2) as never)
      yield* pings.publishAll([pong(3) as never])
      assert.strictEqual((yield* pings.metrics).publishedCount, 0)
    }))

  it.effect("the closing of its layer drains what was made through it", () =>
    Effect.gen(function*() {
      const whole = yield* Layer.build(WholeBus.layerWith({ drain: "10 seconds" }))
      const scope = yield* Scope.make()
      const handled: Array<number> = []
      const pings = Context.get(
        yield* Layer.build(PingBus.layerFrom(WholeBus)).pipe(Scope.provide(scope), Effect.provide(whole)),
        PingBus
      )
      yield* pings.on("Ping", ({ n }) => Effect.andThen(Effect.yieldNow, Effect.sync(() => handled.push(n))))
      yield* pings.publishAll([ping(1), ping(2)])
      yield* Scope.close(scope, Exit.void)
      assert.deepStrictEqual(handled, [1, 2])
      yield* Context.get(whole, WholeBus).publish(ping(3))
      assert.deepStrictEqual(handled, [1, 2])
    }))

  it.effect("awaits the rest of what was made through it alone", () =>
    Effect.gen(function*() {
      const { pings, whole } = yield* both
      yield* whole.on("Ping", () => Effect.never)
      const handled: Array<number> = []
      yield* pings.on("Ping", ({ n }) => Effect.sync(() => handled.push(n)))
      yield* whole.publish(ping(1))
      yield* pings.awaitIdle
      assert.deepStrictEqual(handled, [1])
    }))

  it.effect("is at rest while a body of its own waits for the rest of the bus", () =>
    Effect.gen(function*() {
      const { pings, whole } = yield* both
      yield* whole.on("Pong", () => Effect.never)
      yield* pings.consume("Ping", Stream.runForEach(() => whole.awaitIdle))
      yield* whole.publishAll([pong(1), ping(2)])
      yield* settle
      const idle = yield* Effect.forkChild(pings.awaitIdle)
      yield* settle
      assert.isDefined(idle.pollUnsafe())
    }))

  it.effect("the bus's rest is that of what was made through it too", () =>
    Effect.gen(function*() {
      const { pings, whole } = yield* both
      const gate = yield* Latch.make()
      yield* pings.on("Ping", () => gate.await)
      yield* pings.publish(ping(1))
      const idle = yield* Effect.forkChild(whole.awaitIdle)
      yield* settle
      assert.isUndefined(idle.pollUnsafe())
      yield* gate.open
      yield* settle
      assert.isDefined(idle.pollUnsafe())
    }))

  it.effect("what was closed is in no list of the bus any more, but in its sums", () =>
    Effect.gen(function*() {
      const { pings, whole } = yield* both
      const here = yield* pings.subscribe({ kinds: ["Ping"] })
      yield* pings.publish(ping(1))
      yield* here.unsubscribe
      assert.deepStrictEqual(yield* whole.subscriptions, [])
      assert.strictEqual((yield* whole.metrics).deliveredCount, 1)
    }))

  it.effect("inherits defaults and replay", () =>
    Effect.gen(function*() {
      const pings = yield* PingBus
      yield* pings.publishAll([ping(1), ping(2), ping(3)])
      const here = yield* pings.subscribe({ kinds: ["Ping"], replay: 2 })
      const { bufferSize, overflow } = yield* here.snapshot
      assert.deepStrictEqual([bufferSize, overflow], [4, "sliding"])
      assert.deepStrictEqual((yield* here.takeAll).map(({ n }) => n), [2, 3])
    }).pipe(
      Effect.scoped,
      Effect.provide(PingBus.layerFrom(WholeBus)),
      Effect.provide(WholeBus.layerWith({ bufferSize: 4, overflow: "sliding", replay: 2 }))
    ))

  it.effect("of a view counts for both", () =>
    Effect.gen(function*() {
      class Inner extends EventBus.Service<Inner>()("test/Inner", { events: PingBus.events }) {}
      const whole = yield* Layer.build(WholeBus.layer)
      const outer = yield* Layer.build(PingBus.layerFrom(WholeBus)).pipe(Effect.provide(whole))
      const inner = Context.get(yield* Layer.build(Inner.layerFrom(PingBus)).pipe(Effect.provide(outer)), Inner)
      const s = yield* inner.subscribe({ kinds: ["Ping"] })
      yield* inner.publish(ping(1))
      assert.strictEqual((yield* Context.get(outer, PingBus).subscriptions).length, 1)
      yield* Context.get(outer, PingBus).shutdown
      yield* inner.publish(ping(2))
      assert.deepStrictEqual((yield* Stream.runCollect(s.stream)).map(({ n }) => n), [1])
    }))

  it.effect("what was published on it is recorded by the bus of a test", () =>
    Effect.gen(function*() {
      yield* Effect.flatMap(PingBus, (pings) => pings.publish(ping(1)))
      yield* Effect.flatMap(WholeBus, (whole) => whole.publishAll([pong(2), ping(3)]))
      const published = yield* EventBusTest.published(PingBus)
      assert.deepStrictEqual(published.map(({ event }) => event.n), [1, 3])
      assert.strictEqual((yield* EventBusTest.published(WholeBus)).length, 3)
    }).pipe(Effect.provide(PingBus.layerFrom(WholeBus).pipe(Layer.provideMerge(EventBusTest.layer(WholeBus))))))
})

describe("layerFrom refuses", () => {
  const message = (layer: Layer.Layer<never>) =>
    Effect.map(
      Effect.exit(Effect.scoped(Layer.build(layer))),
      (exit) => Exit.isFailure(exit) ? (Cause.squash(exit.cause) as Error).message : ""
    )

  it.effect("a bus with another schema under the same _tag", () =>
    Effect.gen(function*() {
      class Other extends Schema.TaggedClass<Other>()("Ping", { n: Schema.Int, occurredAt: Schema.DateTimeUtc }) {}
      class OtherBus extends EventBus.Service<OtherBus>()("test/OtherBus", { events: [Other, Pong] }) {}
      assert.strictEqual(
        yield* message(PingBus.layerFrom(OtherBus as never).pipe(Layer.provide(OtherBus.layer)) as never),
        `EventBus "test/PingBus": layerFrom: "test/OtherBus" does not carry "Ping", or carries another schema of that _tag; its kinds are "Ping", "Pong"`
      )
    }))

  it.effect("what is no bus", () =>
    Effect.gen(function*() {
      const stub = Layer.succeed(WholeBus, {} as never)
      assert.strictEqual(
        yield* message(PingBus.layerFrom(WholeBus).pipe(Layer.provide(stub)) as never),
        `EventBus "test/PingBus": layerFrom takes a bus of this package, and of this copy of it`
      )
    }))
})

it("a set of events is what the wider set is made of", () => {
  assert.deepStrictEqual(WholeBus.kinds, ["Ping", "Pong"])
  assert.strictEqual(WholeBus.events[0], PingBus.events[0])
  assert.isTrue(DateTime.isDateTime(ping(1).occurredAt))
})
