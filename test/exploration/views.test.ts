/**
 * A part of a bus (`layerFrom`): what is published, subscribed to and ended through it, beside what happens to the bus and to other
 * parts of it.
 */
import { assert, describe, it } from "@effect/vitest"
import { EventBus } from "@openwatch/event-bus"
import { type Cause, Context, Effect, Exit, Fiber, Layer, PubSub, Scheduler, Scope, Stream } from "effect"
import { type Event, everySchedule, onBus, Ping, ping, Pong, pong, type Stage } from "./everySchedule.ts"

class WholeBus extends EventBus.Service<WholeBus>()("WholeBus", { events: [Ping, Pong] }) {}
class PartBus extends EventBus.Service<PartBus>()("PartBus", { events: [Ping, Pong] }) {}
class PingBus extends EventBus.Service<PingBus>()("PingBus", { events: [Ping] }) {}

/** A part of a bus, and the scope of its layer. */
interface Part<E extends Event = Event> {
  readonly bus: EventBus.EventBus<E>
  readonly close: Effect.Effect<void>
}

/** Nobody else runs while a part is made: that would be the same schedules over and over. */
const inOneGo = Effect.provideService(Scheduler.PreventSchedulerYield, true)

const part = (bus: EventBus.EventBus<Event>): Effect.Effect<Part, never, Scope.Scope> =>
  Effect.gen(function*() {
    const scope = yield* Scope.fork(yield* Effect.scope)
    const context = yield* Layer.build(PartBus.layerFrom(WholeBus)).pipe(
      Effect.provideService(WholeBus, bus),
      Scope.provide(scope)
    )
    return { bus: Context.get(context, PartBus), close: Scope.close(scope, Exit.void) }
  }).pipe(inOneGo)

const pingPart = (bus: EventBus.EventBus<Event>): Effect.Effect<EventBus.EventBus<Ping>, never, Scope.Scope> =>
  Effect.map(
    Effect.provideService(Layer.build(PingBus.layerFrom(PartBus)), PartBus, bus),
    (context) => Context.get(context, PingBus)
  ).pipe(inOneGo)

/** A program on a bus and a part of it. */
const onPart = (
  body: (stage: Stage & { readonly part: Part }) => Effect.Effect<unknown, never, Scope.Scope>,
  options: EventBus.Options = {}
) => onBus((stage) => Effect.flatMap(part(stage.bus), (part) => body({ ...stage, part })), options)

const take = <E>(subscription: { readonly take: Effect.Effect<E, Cause.Done> }): Effect.Effect<E | "the end"> =>
  Effect.catch(subscription.take, () => Effect.succeed("the end" as const))

const numbers = (events: Iterable<Event>): ReadonlyArray<number> => Array.from(events, ({ n }) => n)

describe("publishing through a part", () => {
  it.effect("beside one who publishes on the bus: both see both, in one order", () =>
    everySchedule(onPart(({ bus, part, subscribe, watch }) =>
      Effect.gen(function*() {
        const there = yield* subscribe()
        const here = watch(yield* part.bus.subscribe({ kinds: ["Ping", "Pong"] }))
        const publisher = yield* Effect.forkChild(part.bus.publish(ping(1)))
        yield* bus.publish(pong(2))
        yield* Fiber.join(publisher)
        const seen = numbers(yield* Effect.orDie(here.takeBetween(2, 2)))
        assert.sameMembers([...seen], [1, 2])
        assert.deepStrictEqual(numbers(yield* Effect.orDie(there.takeAll)), seen)
      })
    )))

  it.effect("beside the end of the bus: what was accepted is taken", () =>
    everySchedule(onPart(({ bus, part, watch }) =>
      Effect.gen(function*() {
        const here = watch(yield* part.bus.subscribe({ kinds: ["Ping"] }))
        const publisher = yield* Effect.forkChild(Effect.andThen(part.bus.publish(ping(1)), part.bus.publish(ping(2))))
        yield* bus.shutdown
        const { publishedCount } = yield* part.bus.metrics
        assert.strictEqual(yield* Stream.runCount(here.stream), publishedCount)
        yield* Fiber.join(publisher)
        assert.strictEqual((yield* bus.metrics).publishedCount, publishedCount)
      })
    )))

  it.effect("a batch, beside the part's end: all of it is taken, or nothing, on both sides", () =>
    everySchedule(onPart(({ part, subscribe, watch }) =>
      Effect.gen(function*() {
        const there = yield* subscribe()
        const here = watch(yield* part.bus.subscribe({ kinds: ["Ping", "Pong"] }))
        const publisher = yield* Effect.forkChild(part.bus.publishAll([ping(1), pong(2)]))
        yield* part.bus.shutdown
        const taken = yield* Stream.runCount(here.stream)
        yield* Fiber.join(publisher)
        assert.include([0, 2], taken)
        assert.strictEqual((yield* there.snapshot).offered, taken)
      })
    )))

  it.effect("what is subscribed to through it gets nothing after its end; the bus goes on", () =>
    everySchedule(onPart(({ bus, part, subscribe, watch }) =>
      Effect.gen(function*() {
        const there = yield* subscribe()
        const here = watch(yield* part.bus.subscribe({ kinds: ["Ping"] }))
        const publisher = yield* Effect.forkChild(Effect.andThen(bus.publish(ping(1)), bus.publish(ping(2))))
        yield* part.bus.shutdown
        const { offered } = yield* here.snapshot
        yield* Fiber.join(publisher)
        assert.deepStrictEqual(numbers(yield* Stream.runCollect(here.stream)), [1, 2].slice(0, offered))
        assert.deepStrictEqual(numbers(yield* Effect.orDie(there.takeAll)), [1, 2])
      })
    )))
})

describe("taking through a part", () => {
  it.effect("ends with the part, the bus or its own unsubscribing, whichever comes first", () =>
    everySchedule(onPart(({ bus, part, watch }) =>
      Effect.gen(function*() {
        const here = watch(yield* part.bus.subscribe({ kinds: ["Ping"] }))
        const taker = yield* Effect.forkChild(take(here))
        const enders = [
          yield* Effect.forkChild(part.bus.shutdown),
          yield* Effect.forkChild(here.unsubscribe)
        ]
        yield* bus.shutdown
        assert.strictEqual(yield* Fiber.join(taker), "the end")
        yield* Fiber.joinAll(enders)
        assert.deepStrictEqual(yield* part.bus.subscriptions, [])
      })
    )))

  it.effect("a newcomer, beside the part's end: it has ended, or will", () =>
    everySchedule(onPart(({ bus, part, watch }) =>
      Effect.gen(function*() {
        const newcomer = yield* Effect.forkChild(part.bus.subscribe({ kinds: ["Ping"] }))
        yield* part.bus.shutdown
        const here = watch(yield* Fiber.join(newcomer))
        yield* bus.publish(ping(1))
        assert.strictEqual(yield* take(here), "the end")
        assert.strictEqual((yield* here.snapshot).offered, 0)
        assert.deepStrictEqual(yield* bus.subscriptions, [])
      })
    )))

  it.effect("the next event, or the end, and nothing stays behind", () =>
    everySchedule(onPart(({ bus, part, withOthers }) =>
      Effect.gen(function*() {
        yield* withOthers
        const waiting = yield* Effect.forkChild(take({ take: part.bus.awaitNext("Ping") }))
        const publisher = yield* Effect.forkChild(bus.publish(ping(1)))
        yield* part.bus.shutdown
        const event = yield* Fiber.join(waiting)
        if (event !== "the end") assert.strictEqual(event.n, 1)
        yield* Fiber.join(publisher)
        assert.deepStrictEqual(yield* bus.subscriptions, [])
      })
    )))

  it.effect("as a PubSub, which ends with the part", () =>
    everySchedule(onPart(({ bus, part, withOthers }) =>
      Effect.gen(function*() {
        yield* withOthers
        const pubsub = yield* part.bus.asPubSub({ kinds: ["Ping"] })
        const reader = yield* Effect.forkChild(Stream.runCount(Stream.fromPubSub(pubsub)))
        yield* Effect.yieldNow
        const publisher = yield* Effect.forkChild(PubSub.publish(pubsub, ping(1)))
        yield* part.bus.shutdown
        const isAccepted = yield* Fiber.join(publisher)
        assert.isAtMost(yield* Fiber.join(reader), isAccepted ? 1 : 0)
        assert.deepStrictEqual(yield* bus.subscriptions, [])
      })
    )))

  it.effect("a keyed subscription gets what matches until the part ends", () =>
    everySchedule(onPart(({ bus, part, watch }) =>
      Effect.gen(function*() {
        const here = watch(yield* part.bus.subscribe({ kinds: ["Ping", "Pong"], where: { n: 1 } }))
        const publisher = yield* Effect.forkChild(bus.publishAll([ping(2), pong(1)]))
        yield* part.bus.publish(ping(1))
        yield* part.bus.shutdown
        const { offered } = yield* here.snapshot
        yield* Fiber.join(publisher)
        const taken = yield* Stream.runCollect(here.stream)
        assert.strictEqual(taken.length, offered)
        assert.isTrue(taken.every(({ n }) => n === 1))
      })
    )))
})

describe("awaiting the end of a part", () => {
  it.effect("completes with the part's or the bus's, for all who wait", () =>
    everySchedule(onPart(({ bus, part }) =>
      Effect.gen(function*() {
        const waiting = yield* Effect.forkChild(part.bus.awaitShutdown)
        const ending = yield* Effect.forkChild(part.bus.shutdown)
        yield* bus.shutdown
        yield* part.bus.awaitShutdown
        yield* Fiber.joinAll([waiting, ending])
      })
    )))

  it.effect("one who no longer waits takes nothing from one who does", () =>
    everySchedule(onPart(({ part }) =>
      Effect.gen(function*() {
        const waiting = yield* Effect.forkChild(part.bus.awaitShutdown)
        const leaving = yield* Effect.forkChild(part.bus.awaitShutdown)
        yield* Effect.forkChild(part.bus.shutdown)
        yield* Fiber.interrupt(leaving)
        yield* Fiber.join(waiting)
      })
    )))

  it.effect("does not complete with that of another part", () =>
    everySchedule(onPart(({ bus, part: one }) =>
      Effect.gen(function*() {
        const other = yield* part(bus)
        const waiting = yield* Effect.forkChild(one.bus.awaitShutdown)
        yield* other.bus.shutdown
        yield* Effect.sleep("1 second")
        assert.isUndefined(waiting.pollUnsafe())
        yield* one.close
        yield* Fiber.join(waiting)
      })
    )))
})

describe("closing the layer of a part", () => {
  it.effect("interrupts a handler of it that has no time to drain, and no other of the bus", () =>
    everySchedule(onPart(({ bus, on, part, watch }) =>
      Effect.gen(function*() {
        const there = yield* on(() => Effect.yieldNow)
        const here = watch(yield* part.bus.on("Ping", () => Effect.never))
        yield* bus.publishAll([ping(1), ping(2)])
        yield* Effect.yieldNow
        yield* part.close
        const { discarded, interrupted, running, state, taken } = yield* here.snapshot
        assert.deepStrictEqual([state, running, interrupted, discarded], ["closed", 0, taken, 2 - taken])
        yield* Effect.sleep("1 second")
        assert.strictEqual((yield* there.snapshot).handled, 2)
      })
    )))

  it.effect("lets a handler of it finish what was accepted, by the drain of the bus", () =>
    everySchedule(onPart(({ bus, part, watch }) =>
      Effect.gen(function*() {
        const here = watch(yield* part.bus.on("Ping", () => Effect.yieldNow))
        const publisher = yield* Effect.forkChild(Effect.andThen(part.bus.publish(ping(1)), bus.publish(ping(2))))
        yield* part.close
        const { handled, offered, state } = yield* here.snapshot
        assert.deepStrictEqual([state, handled], ["closed", offered])
        yield* Fiber.join(publisher)
      }), { drain: "1 second" })))

  it.effect("lets a body of it finish what was accepted", () =>
    everySchedule(onPart(({ bus, part, watch }) =>
      Effect.gen(function*() {
        let count = 0
        const here = watch(
          yield* part.bus.consume("Ping", (events) => Stream.runForEach(events, () => Effect.sync(() => count++)))
        )
        const publisher = yield* Effect.forkChild(Effect.andThen(part.bus.publish(ping(1)), bus.publish(ping(2))))
        yield* part.close
        const { handled, offered, state } = yield* here.snapshot
        assert.deepStrictEqual([state, handled, count], ["closed", offered, offered])
        yield* Fiber.join(publisher)
      }), { drain: "1 second" })))

  it.effect("beside the end of the handler's own scope: all who close wait for the drain", () =>
    everySchedule(onPart(({ bus, part, watch }) =>
      Effect.gen(function*() {
        const scope = yield* Scope.make()
        const here = watch(yield* Scope.provide(part.bus.on("Ping", () => Effect.yieldNow), scope))
        yield* bus.publishAll([ping(1), ping(2)])
        const other = yield* Effect.forkChild(Scope.close(scope, Exit.void))
        yield* part.close
        const { handled, state } = yield* here.snapshot
        assert.deepStrictEqual([state, handled], ["closed", 2])
        yield* Fiber.join(other)
      }), { drain: "1 second" })))

  it.effect("beside the end of the bus: what was accepted is handled", () =>
    everySchedule(onPart(({ bus, part, watch }) =>
      Effect.gen(function*() {
        const here = watch(yield* part.bus.on("Ping", () => Effect.yieldNow))
        yield* part.bus.publishAll([ping(1), ping(2)])
        const closing = yield* Effect.forkChild(part.close)
        yield* bus.shutdown
        yield* Fiber.join(closing)
        const { handled, state } = yield* here.snapshot
        assert.deepStrictEqual([state, handled], ["closed", 2])
      }), { drain: "1 second" })))

  it.effect("a handler that is stuck holds it up until its time is over, whenever time goes by", () =>
    everySchedule(
      onPart(({ bus, part, watch }) =>
        Effect.gen(function*() {
          const here = watch(yield* part.bus.on("Ping", () => Effect.never))
          yield* bus.publishAll([ping(1), ping(2)])
          yield* part.close
          const { running, state } = yield* here.snapshot
          assert.deepStrictEqual([state, running], ["closed", 0])
        }), { drain: "1 second" }),
      { time: "anytime" }
    ))

  it.effect("from inside of a handler of it never waits for itself", () =>
    everySchedule(onPart(({ bus, part, watch }) =>
      Effect.gen(function*() {
        const handled: Array<number> = []
        const here = watch(
          yield* part.bus.on("Ping", ({ n }) => Effect.andThen(part.close, Effect.sync(() => handled.push(n))))
        )
        yield* bus.publishAll([ping(1), ping(2)])
        yield* Effect.sleep("5 seconds")
        assert.deepStrictEqual(handled, [1])
        assert.deepInclude(yield* here.snapshot, { state: "closed", handled: 1, discarded: 1 })
      }), { drain: "1 second" })))

  it.effect("beside one who waits for its rest", () =>
    everySchedule(onPart(({ bus, part, watch }) =>
      Effect.gen(function*() {
        watch(yield* part.bus.on("Ping", () => Effect.never))
        yield* bus.publish(ping(1))
        const waiting = yield* Effect.forkChild(part.bus.awaitIdle)
        yield* part.close
        yield* Fiber.join(waiting)
      })
    )))
})

describe("handlers of a part", () => {
  it.effect("may end the bus: what was accepted is handled", () =>
    everySchedule(onPart(({ bus, part, watch }) =>
      Effect.gen(function*() {
        const here = watch(yield* part.bus.on("Ping", () => bus.shutdown))
        yield* part.bus.publishAll([ping(1), ping(2)])
        yield* part.bus.awaitShutdown
        yield* Effect.sleep("1 second")
        assert.deepInclude(yield* here.snapshot, { state: "closed", handled: 2 })
      })
    )))

  it.effect("may end the part: what was accepted is handled, the bus goes on", () =>
    everySchedule(onPart(({ bus, on, part, watch }) =>
      Effect.gen(function*() {
        const there = yield* on(() => Effect.void)
        const here = watch(yield* part.bus.on("Ping", () => part.bus.shutdown))
        yield* bus.publishAll([ping(1), ping(2)])
        yield* part.bus.awaitShutdown
        yield* bus.publish(ping(3))
        yield* Effect.sleep("1 second")
        assert.deepInclude(yield* here.snapshot, { state: "closed", handled: 2 })
        assert.strictEqual((yield* there.snapshot).handled, 3)
      })
    )))

  it.effect("are waited for by the part alone", () =>
    everySchedule(onPart(({ bus, on, part, watch }) =>
      Effect.gen(function*() {
        yield* on(() => Effect.never)
        const here = watch(yield* part.bus.on("Ping", () => Effect.yieldNow))
        const publisher = yield* Effect.forkChild(bus.publish(ping(1)))
        yield* part.bus.publish(ping(2))
        yield* Fiber.join(publisher)
        yield* part.bus.awaitIdle
        assert.strictEqual((yield* here.snapshot).handled, 2)
      })
    )))
})

describe("two parts of a bus", () => {
  it.effect("hear one another; one that ends takes nothing from the other", () =>
    everySchedule(onPart(({ bus, part: one, watch }) =>
      Effect.gen(function*() {
        const other = yield* part(bus)
        const leaving = watch(yield* one.bus.on("Ping", () => Effect.never))
        const staying = watch(yield* other.bus.on("Ping", () => Effect.yieldNow))
        yield* one.bus.publish(ping(1))
        const closing = yield* Effect.forkChild(one.close)
        yield* other.bus.publish(ping(2))
        yield* Fiber.join(closing)
        yield* Effect.sleep("1 second")
        assert.deepInclude(yield* staying.snapshot, { state: "open", handled: 2 })
        assert.deepInclude(yield* leaving.snapshot, { state: "closed", running: 0 })
      })
    )))

  it.effect("whose handlers answer one another", () =>
    everySchedule(onPart(({ bus, part: one, watch }) =>
      Effect.gen(function*() {
        const other = yield* part(bus)
        watch(yield* one.bus.on("Ping", ({ n }) => one.bus.publish(pong(n + 1))))
        const answers = watch(yield* other.bus.on("Pong", ({ n }) => n < 3 ? other.bus.publish(ping(n)) : Effect.void))
        yield* bus.publish(ping(1))
        yield* bus.awaitIdle
        assert.strictEqual((yield* answers.snapshot).handled, 2)
      })
    )))

  const closingOneAnother = (drain?: "1 second") =>
    onPart(({ bus, part: one, watch }) =>
      Effect.gen(function*() {
        const other = yield* part(bus)
        const handles = [
          watch(yield* one.bus.on("Ping", () => other.close, { name: "one" })),
          watch(yield* other.bus.on("Ping", () => one.close, { name: "other" }))
        ]
        yield* bus.publish(ping(1))
        yield* Effect.sleep("10 seconds")
        const snapshots = yield* Effect.all(handles.map(({ snapshot }) => snapshot))
        assert.isTrue(snapshots.some(({ state }) => state === "closed"))
        for (const { running, state } of snapshots) assert.deepStrictEqual([running, state === "draining"], [0, false])
      }), drain === undefined ? {} : { drain })

  it.effect("whose handlers close one another at once", () => everySchedule(closingOneAnother()))

  it.effect("whose handlers close one another, with time to drain", () => everySchedule(closingOneAnother("1 second")))

  it.effect("end beside the bus's scope: everything ends", () =>
    everySchedule(
      onPart(({ bus, part: one, watch }) =>
        Effect.gen(function*() {
          const other = yield* part(bus)
          watch(yield* one.bus.on("Ping", () => Effect.yieldNow, { name: "one" }))
          watch(yield* other.bus.on("Ping", () => Effect.never, { name: "other" }))
          yield* bus.publish(ping(1))
          yield* Effect.forkChild(one.close)
        }), { drain: "1 second" })
    ))
})

describe("a part of a part", () => {
  it.effect("ends with the part between, and not the other way round", () =>
    everySchedule(onPart(({ bus, part, watch }) =>
      Effect.gen(function*() {
        const inner = yield* pingPart(part.bus)
        const here = watch(yield* inner.subscribe({ kinds: ["Ping"] }))
        const between = watch(yield* part.bus.subscribe({ kinds: ["Ping"] }))
        const publisher = yield* Effect.forkChild(inner.publish(ping(1)))
        yield* part.bus.shutdown
        const ended = yield* Stream.runCount(here.stream)
        yield* Fiber.join(publisher)
        yield* inner.awaitShutdown
        assert.strictEqual(ended, yield* Stream.runCount(between.stream))
        assert.strictEqual((yield* bus.metrics).publishedCount, ended)
      })
    )))

  it.effect("that ends leaves the part between alone", () =>
    everySchedule(onPart(({ part, watch }) =>
      Effect.gen(function*() {
        const inner = yield* pingPart(part.bus)
        const between = watch(yield* part.bus.on("Ping", () => Effect.yieldNow))
        const here = watch(yield* inner.on("Ping", () => Effect.yieldNow))
        const publisher = yield* Effect.forkChild(part.bus.publish(ping(1)))
        yield* inner.shutdown
        yield* Fiber.join(publisher)
        yield* part.bus.publish(ping(2))
        yield* Effect.sleep("1 second")
        assert.deepInclude(yield* between.snapshot, { state: "open", handled: 2 })
        const { handled, offered, state } = yield* here.snapshot
        assert.deepStrictEqual([state, handled], ["closed", offered])
      })
    )))
})
