import { assert, describe, it } from "@effect/vitest"
import { EventBus } from "@openwatch/event-bus"
import { DateTime, Effect, Exit, Fiber, PubSub, Schema, Stream } from "effect"

class A extends Schema.TaggedClass<A>()("A", { n: Schema.Number, occurredAt: Schema.DateTimeUtc }) {}
class B extends Schema.TaggedClass<B>()("B", { n: Schema.Number, occurredAt: Schema.DateTimeUtc }) {}
const occurredAt = DateTime.makeUnsafe(0)
const a = (n: number) => new A({ n, occurredAt })
const b = (n: number) => new B({ n, occurredAt })
const numbers = (events: Iterable<A | B>) => Array.from(events, ({ n }) => n)
const make = EventBus.make({ name: "bus", events: [A, B], replay: 4 })
const turns = Effect.andThen(Effect.yieldNow, Effect.andThen(Effect.yieldNow, Effect.yieldNow))
const isInterrupted = <X, E, R>(effect: Effect.Effect<X, E, R>) => Effect.map(Effect.exit(effect), Exit.hasInterrupts)

describe("a subscription is a PubSub.Subscription", () => {
  it.effect("takes of PubSub take in order, and are counted", () =>
    Effect.gen(function*() {
      const bus = yield* make
      const s = yield* bus.subscribe({ kinds: ["A"] })
      const waiting = yield* Effect.forkChild(PubSub.take(s))
      yield* turns
      yield* bus.publishAll([a(1), b(9), a(2), a(3), a(4)])
      assert.strictEqual((yield* Fiber.join(waiting)).n, 1)
      assert.deepStrictEqual(numbers(yield* PubSub.takeUpTo(s, 1)), [2])
      assert.strictEqual(yield* PubSub.remaining(s), 2)
      assert.deepStrictEqual(numbers(yield* PubSub.takeAll(s)), [3, 4])
      const { offered, pending, taken } = yield* s.snapshot
      assert.deepStrictEqual([offered, taken, pending], [4, 4, 0])
    }))

  it.effect("takers of PubSub and of the bus wait in one line", () =>
    Effect.gen(function*() {
      const bus = yield* make
      const s = yield* bus.subscribe({ kinds: ["A"] })
      const got: Array<string> = []
      const taker = (name: string, take: Effect.Effect<A, unknown>) =>
        Effect.forkChild(Effect.map(take, ({ n }) => got.push(`${name} ${n}`)), { startImmediately: true })
      yield* taker("bus", s.take)
      yield* taker("PubSub", PubSub.take(s))
      yield* taker("bus again", s.take)
      yield* bus.publishAll([a(1), a(2), a(3)])
      assert.deepStrictEqual(got, [])
      yield* turns
      assert.deepStrictEqual(got, ["bus 1", "PubSub 2", "bus again 3"])
    }))

  it.effect("takers of PubSub that wait get an event each, in order; what there is for one is no end for the others", () =>
    Effect.gen(function*() {
      const bus = yield* make
      const s = yield* bus.subscribe({ kinds: ["A"] })
      const takers: Array<Fiber.Fiber<A>> = []
      for (let i = 0; i < 3; i++) takers.push(yield* Effect.forkChild(PubSub.take(s), { startImmediately: true }))
      for (let i = 0; i < 3; i++) {
        assert.deepStrictEqual(yield* s.takeUpTo(1), [])
        yield* bus.publish(a(i))
        yield* turns
        assert.deepStrictEqual(takers.map((taker) => taker.pollUnsafe() !== undefined), [true, i > 0, i > 1])
      }
      assert.deepStrictEqual(numbers(yield* Fiber.joinAll(takers)), [0, 1, 2])
    }))

  it.effect("takers of PubSub that came before one of the bus are served before it", () =>
    Effect.gen(function*() {
      const bus = yield* make
      const s = yield* bus.subscribe({ kinds: ["A"] })
      const takers = [
        yield* Effect.forkChild(PubSub.take(s), { startImmediately: true }),
        yield* Effect.forkChild(PubSub.take(s), { startImmediately: true }),
        yield* Effect.forkChild(s.take, { startImmediately: true })
      ]
      yield* bus.publishAll([a(1), a(2), a(3)])
      assert.deepStrictEqual(numbers(yield* Fiber.joinAll(takers)), [1, 2, 3])
    }))

  it.effect("what is there for one who waits already is not for one who comes later", () =>
    Effect.gen(function*() {
      const bus = yield* make
      const s = yield* bus.subscribe({ kinds: ["A"] })
      const first = yield* Effect.forkChild(s.take, { startImmediately: true })
      yield* bus.publish(a(1))
      assert.deepStrictEqual(yield* PubSub.takeUpTo(s, 1), [])
      const second = yield* Effect.forkChild(PubSub.take(s), { startImmediately: true })
      yield* bus.publish(a(2))
      assert.deepStrictEqual(numbers(yield* Fiber.joinAll([first, second])), [1, 2])
    }))

  it.effect("a taker of PubSub that is interrupted holds nothing up", () =>
    Effect.gen(function*() {
      const bus = yield* make
      const s = yield* bus.subscribe({ kinds: ["A"] })
      const taker = yield* Effect.forkChild(PubSub.take(s), { startImmediately: true })
      yield* Fiber.interrupt(taker)
      yield* bus.publish(a(1))
      assert.deepStrictEqual(numbers(yield* s.takeUpTo(1)), [1])
      const again = yield* Effect.forkChild(PubSub.take(s), { startImmediately: true })
      yield* Fiber.interrupt(again)
      yield* bus.publish(a(2))
      yield* turns
      assert.deepStrictEqual(numbers(yield* PubSub.takeUpTo(s, 1)), [2])
      const last = yield* Effect.forkChild(PubSub.take(s), { startImmediately: true })
      yield* bus.publish(a(3))
      assert.strictEqual((yield* Fiber.join(last)).n, 3)
    }))

  it.effect("all takes of PubSub are interrupted once it has ended, also those that were not the first", () =>
    Effect.gen(function*() {
      const bus = yield* make
      const s = yield* bus.subscribe({ kinds: ["A"] })
      yield* bus.publish(a(1))
      yield* PubSub.take(s)
      let isOpen = false
      yield* Effect.forkChild(
        Effect.andThen(
          s.shutdownHook.await,
          Effect.sync(() => {
            isOpen = true
          })
        ),
        { startImmediately: true }
      )
      yield* bus.shutdown
      assert.isFalse(isOpen)
      yield* turns
      assert.isTrue(isOpen)
      assert.isTrue(yield* isInterrupted(PubSub.takeUpTo(s, 1)))
      assert.isTrue(yield* isInterrupted(PubSub.take(s)))
      assert.isTrue(yield* isInterrupted(PubSub.takeAll(s)))
    }))

  it.effect("what PubSub reads of it knows whether it is empty, and unsubscribes", () =>
    Effect.gen(function*() {
      const bus = yield* make
      const s = yield* bus.subscribe({ kinds: ["A"] })
      const { subscription } = s
      assert.isTrue(subscription.isEmpty())
      yield* bus.publish(a(1))
      assert.isFalse(subscription.isEmpty())
      subscription.unsubscribe()
      assert.isTrue(subscription.isEmpty())
      assert.strictEqual((yield* s.snapshot).state, "closed")
    }))

  it.effect("its stream ends after what was pending at shutdown; then takes are interrupted", () =>
    Effect.gen(function*() {
      const bus = yield* make
      const s = yield* bus.subscribe({ kinds: ["A"] })
      const idle = yield* bus.subscribe({ kinds: ["B"] })
      const waiting = yield* Effect.forkChild(isInterrupted(PubSub.take(idle)), { startImmediately: true })
      yield* bus.publishAll([a(1), a(2)])
      yield* bus.shutdown
      assert.deepStrictEqual(numbers(yield* Stream.runCollect(Stream.fromSubscription(s))), [1, 2])
      assert.isTrue(yield* isInterrupted(PubSub.take(s)))
      assert.isTrue(yield* Fiber.join(waiting))
    }))
})

describe("the bus as a PubSub", () => {
  it.effect("a subscription to it is one of the bus, with its own buffer and policy", () =>
    Effect.gen(function*() {
      const bus = yield* make
      const hub = yield* bus.asPubSub({ kinds: ["A"], bufferSize: 2, overflow: "sliding", name: "page" })
      const page = yield* Effect.forkChild(Stream.runCollect(Stream.fromPubSub(hub)))
      yield* turns
      assert.deepStrictEqual((yield* bus.subscriptions).map(({ name }) => name), ["page"])
      yield* bus.publishAll([a(1), b(9), a(2), a(3)])
      assert.deepStrictEqual([PubSub.sizeUnsafe(hub), PubSub.capacity(hub), yield* PubSub.isFull(hub)], [2, 2, true])
      yield* bus.shutdown
      assert.deepStrictEqual(numbers(yield* Fiber.join(page)), [2, 3])
      const { deliveredCount, droppedCount } = yield* bus.metrics
      assert.deepStrictEqual([deliveredCount, droppedCount], [2, 1])
      assert.deepStrictEqual(yield* bus.subscriptions, [])
    }))

  it.effect("is empty or full as the subscription to it is that has the most pending", () =>
    Effect.gen(function*() {
      const bus = yield* make
      const hub = yield* bus.asPubSub({ kinds: ["A"], bufferSize: 2 })
      const sizes = Effect.all([PubSub.size(hub), PubSub.isEmpty(hub), PubSub.isFull(hub)])
      assert.deepStrictEqual(yield* sizes, [0, true, false])
      const [ahead, behind] = [yield* PubSub.subscribe(hub), yield* PubSub.subscribe(hub)]
      assert.deepStrictEqual(yield* sizes, [0, true, false])
      yield* bus.publish(a(1))
      yield* PubSub.take(ahead)
      assert.deepStrictEqual(yield* sizes, [1, false, false])
      yield* bus.publish(a(2))
      assert.deepStrictEqual(yield* sizes, [2, false, true])
      yield* PubSub.takeAll(behind)
      assert.deepStrictEqual(yield* sizes, [1, false, false])
    }))

  it.effect("what is published on it is published on the bus, and runs nobody", () =>
    Effect.gen(function*() {
      const bus = yield* make
      const hub = yield* bus.asPubSub({ kinds: ["A"] })
      const s = yield* PubSub.subscribe(hub)
      let taken = 0
      yield* Effect.forkChild(Effect.map(PubSub.take(s), () => taken++), { startImmediately: true })
      assert.isTrue(yield* PubSub.publish(hub, a(1)))
      assert.isTrue(yield* PubSub.publishAll(hub, [a(2)]))
      assert.strictEqual(taken, 0)
      yield* turns
      assert.strictEqual(taken, 1)
      assert.strictEqual((yield* bus.metrics).publishedCount, 2)
    }))

  it.effect("an event of another kind is refused, and nothing of its batch is published", () =>
    Effect.gen(function*() {
      const bus = yield* make
      const hub = yield* bus.asPubSub({ kinds: ["A"] })
      const exit = yield* Effect.exit(PubSub.publishAll(hub, [a(1), b(1) as never]))
      assert.isTrue(Exit.hasDies(exit))
      assert.strictEqual((yield* bus.metrics).publishedCount, 0)
    }))

  it.effect("shutting it down ends what is subscribed to it, not the bus", () =>
    Effect.gen(function*() {
      const bus = yield* make
      const hub = yield* bus.asPubSub({ kinds: ["A"] })
      const gone = yield* PubSub.subscribe(hub)
      const s = yield* bus.subscribe({ kinds: ["A"] })
      yield* Stream.runIntoPubSub(Stream.make(a(1), a(2)), hub, { shutdownOnEnd: true })
      assert.isTrue(yield* isInterrupted(PubSub.take(gone)))
      assert.isFalse(yield* PubSub.publish(hub, a(3)))
      yield* bus.publish(a(4))
      assert.deepStrictEqual(numbers(yield* s.takeAll), [1, 2, 4])
      assert.strictEqual((yield* bus.subscriptions).length, 1)
    }))

  it.effect("after the bus is shut down it refuses, and its subscriptions end when they are empty", () =>
    Effect.gen(function*() {
      const bus = yield* make
      const hub = yield* bus.asPubSub({ kinds: ["A"] })
      const s = yield* PubSub.subscribe(hub)
      yield* PubSub.publish(hub, a(1))
      yield* bus.shutdown
      assert.isFalse(yield* PubSub.publish(hub, a(2)))
      assert.isFalse(PubSub.publishUnsafe(hub, a(2)))
      assert.isFalse(yield* PubSub.publishAll(hub, [a(2)]))
      assert.strictEqual((yield* PubSub.take(s)).n, 1)
      assert.isTrue(yield* isInterrupted(PubSub.take(s)))
    }))

  it.effect("whoever awaits its shutdown is told of its own and of the bus's", () =>
    Effect.gen(function*() {
      const bus = yield* make
      const [first, second] = [yield* bus.asPubSub({ kinds: ["A"] }), yield* bus.asPubSub({ kinds: ["A"] })]
      const awaiting = yield* Effect.forkChild(PubSub.awaitShutdown(first), { startImmediately: true })
      yield* PubSub.shutdown(first)
      yield* Fiber.join(awaiting)
      const other = yield* Effect.forkChild(PubSub.awaitShutdown(second), { startImmediately: true })
      yield* turns
      assert.isUndefined(other.pollUnsafe())
      yield* bus.shutdown
      yield* Fiber.join(other)
      yield* PubSub.awaitShutdown(second)
    }))

  it.effect("PubSub.end comes after what is pending, for those who wait, those who do not and those who come late", () =>
    Effect.gen(function*() {
      const bus = yield* make
      const hub = yield* bus.asPubSub({ kinds: ["A"], replay: 1 })
      const s = yield* PubSub.subscribe(hub)
      const w = yield* PubSub.subscribe(hub)
      const three = yield* Effect.forkChild(Effect.all([PubSub.take(w), PubSub.take(w), PubSub.take(w)]), {
        startImmediately: true
      })
      yield* bus.publishAll([a(1), a(2)])
      assert.isTrue(yield* PubSub.end(hub, a(99)))
      yield* bus.publish(a(3))
      assert.deepStrictEqual(numbers(yield* Fiber.join(three)), [1, 2, 99])
      assert.deepStrictEqual(numbers([yield* PubSub.take(s), yield* PubSub.take(s), yield* PubSub.take(s)]), [1, 2, 99])
      const late = yield* PubSub.subscribe(hub)
      yield* bus.publish(a(4))
      assert.deepStrictEqual(numbers([yield* PubSub.take(late), yield* PubSub.take(late)]), [3, 99])
    }))

  it.effect("PubSub.end is what those get who wait, and have nothing pending", () =>
    Effect.gen(function*() {
      const bus = yield* make
      const hub = yield* bus.asPubSub({ kinds: ["A"] })
      const s = yield* PubSub.subscribe(hub)
      const takers = [
        yield* Effect.forkChild(PubSub.take(s), { startImmediately: true }),
        yield* Effect.forkChild(PubSub.take(s), { startImmediately: true })
      ]
      yield* PubSub.end(hub, a(99))
      assert.deepStrictEqual(numbers(yield* Fiber.joinAll(takers)), [99, 99])
    }))

  it.effect("the last event before the end goes to who waits for it, and with it the subscription is closed", () =>
    Effect.gen(function*() {
      const bus = yield* make
      const s = yield* bus.subscribe({ kinds: ["A"] })
      const taker = yield* Effect.forkChild(PubSub.take(s), { startImmediately: true })
      yield* bus.publish(a(1))
      yield* bus.shutdown
      assert.strictEqual((yield* Fiber.join(taker)).n, 1)
      yield* turns
      assert.strictEqual((yield* s.snapshot).state, "closed")
    }))

  it.effect("the last events come first, in the buffer", () =>
    Effect.gen(function*() {
      const bus = yield* make
      yield* bus.publishAll([a(1), a(2), a(3)])
      const hub = yield* bus.asPubSub({ kinds: ["A"], replay: 2 })
      const s = yield* PubSub.subscribe(hub)
      assert.deepStrictEqual(numbers(yield* PubSub.takeAll(s)), [2, 3])
    }))
})
