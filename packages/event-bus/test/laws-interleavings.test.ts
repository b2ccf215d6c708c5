import { assert, it } from "@effect/vitest"
import { EventBus, type Overflow, type Subscription } from "@openwatch/event-bus"
import { Cause, Effect, Exit, Fiber, Logger, Scheduler } from "effect"
import { TestClock } from "effect/testing"
import * as fc from "fast-check"
import { BusModel, type Outcome, type SubscriptionModel } from "./reference/BusModel.ts"
import { A, B, C, type Event, type Kind, kinds, makeEvent, wheres } from "./reference/events.ts"

/** `LAWS_SEED`, as a failure prints it, for the same interleavings again; `LAWS_INTERLEAVINGS=100000` for a longer run. */
const { LAWS_INTERLEAVINGS = "500", LAWS_SEED } = process.env

/** How long a fiber stands back: some turns of the scheduler, or some milliseconds of the clock. */
interface Pause {
  readonly unit: "turns" | "millis"
  readonly length: number
}

interface Taking {
  readonly before: Pause
  readonly how: "take" | "takeAll" | "takeUpTo" | "takeBetween"
  readonly min: number
  readonly more: number
}

interface Subscriber {
  readonly before: Pause
  readonly kinds: ReadonlyArray<Kind>
  readonly where: EventBus.Where<Event> | undefined
  readonly bufferSize: number
  readonly overflow: Overflow
  /** What each of its takers does, over and over. */
  readonly takers: ReadonlyArray<ReadonlyArray<Taking>>
  /** In milliseconds: when its first taker is interrupted, and when it unsubscribes. */
  readonly interruptedAt: number | null
  readonly unsubscribesAt: number | null
}

interface Publishing {
  readonly before: Pause
  readonly how: "publish" | "publishAll" | "publishUnsafe"
  readonly kind: Kind
  readonly count: number
}

interface Scenario {
  readonly publishers: ReadonlyArray<ReadonlyArray<Publishing>>
  readonly subscribers: ReadonlyArray<Subscriber>
  readonly looks: ReadonlyArray<Pause>
  readonly shutsDownAt: number | null
}

/** After this many milliseconds all publishers are done. */
const duration = 24

const millis = fc.integer({ min: 0, max: duration })

const pause: fc.Arbitrary<Pause> = fc.record({
  unit: fc.constantFrom("turns", "turns", "millis"),
  length: fc.nat(3)
})

const taking: fc.Arbitrary<Taking> = fc.record({
  before: pause,
  how: fc.constantFrom("take", "take", "takeAll", "takeUpTo", "takeBetween"),
  min: fc.integer({ min: 1, max: 4 }),
  more: fc.nat(2)
})

const subscriber: fc.Arbitrary<Subscriber> = fc.record({
  before: pause,
  kinds: fc.subarray([...kinds], { minLength: 1 }),
  where: fc.oneof({ weight: 2, arbitrary: fc.constant(undefined) }, fc.constantFrom(...wheres)),
  bufferSize: fc.constantFrom(1, 2, 3, 8, 128),
  overflow: fc.constantFrom("dropping", "sliding"),
  takers: fc.array(fc.array(taking, { minLength: 1, maxLength: 5 }), { minLength: 1, maxLength: 3 }),
  interruptedAt: fc.option(millis),
  unsubscribesAt: fc.option(millis, { freq: 2 })
})

const publishing: fc.Arbitrary<Publishing> = fc.record({
  before: pause,
  how: fc.constantFrom("publish", "publishAll", "publishUnsafe"),
  kind: fc.constantFrom(...kinds),
  count: fc.oneof({ weight: 8, arbitrary: fc.integer({ min: 1, max: 3 }) }, fc.constantFrom(127, 128, 129))
})

const scenario: fc.Arbitrary<Scenario> = fc.record({
  publishers: fc.array(fc.array(publishing, { maxLength: 8, size: "max" }), { minLength: 1, maxLength: 4 }),
  subscribers: fc.array(subscriber, { minLength: 1, maxLength: 4 }),
  looks: fc.array(pause, { maxLength: 12, size: "max" }),
  shutsDownAt: fc.option(millis, { freq: 2 })
})

const stand = ({ length, unit }: Pause): Effect.Effect<void> =>
  unit === "millis" ? Effect.sleep(length) : Effect.repeat(Effect.yieldNow, { times: length }).pipe(Effect.asVoid)

/** Lets a millisecond pass, and some turns of the scheduler. */
const tick = Effect.andThen(TestClock.adjust(1), stand({ unit: "turns", length: 4 }))

const done = Exit.fail(Cause.Done())

/**
 * Runs the fibers of a scenario. Beside each step of one goes the same step of a model, in one go, so that every take and
 * every look must find exactly what the model has at that moment, whatever the interleaving.
 */
const interleave = Effect.fnUntraced(function*({ looks, publishers, shutsDownAt, subscribers }: Scenario) {
  const bus = yield* EventBus.make({ events: [A, B, C] })
  const model = new BusModel(kinds)
  const subscriptions: Array<{ readonly real: Subscription<Event>; readonly model: SubscriptionModel }> = []
  const queues: Array<{ readonly model: SubscriptionModel; readonly waiting: Array<{ readonly min: number }> }> = []
  const takers: Array<Fiber.Fiber<void, Cause.Done>> = []
  let published = 0

  const publish = Effect.fnUntraced(function*(publishings: ReadonlyArray<Publishing>) {
    for (const { before, count, how, kind } of publishings) {
      yield* stand(before)
      const events = Array.from({ length: count }, () => makeEvent(kind, ++published))
      for (const { n } of events) model.publish(kind, n)
      if (how === "publishAll") yield* bus.publishAll(events)
      else if (how === "publish") { for (const event of events) yield* bus.publish(event) }
      else for (const event of events) bus.publishUnsafe(event)
    }
  })

  const assertSame = Effect.gen(function*() {
    for (const { model, real } of subscriptions) {
      const snapshot = yield* real.snapshot
      assert.deepStrictEqual(snapshot, model.snapshot)
      assert.strictEqual(snapshot.offered, snapshot.delivered + snapshot.dropped)
      assert.strictEqual(snapshot.delivered, snapshot.taken + snapshot.pending + snapshot.discarded)
    }
    assert.deepStrictEqual(yield* bus.metrics, model.metrics)
  })

  const subscribe = Effect.fnUntraced(function*(subscriber: Subscriber, index: number) {
    const { before, bufferSize, interruptedAt, kinds, overflow, unsubscribesAt, where } = subscriber
    yield* stand(before)
    const name = `subscription ${index}`
    const own = model.subscribe(name, kinds, bufferSize, overflow, where)
    const subscription = yield* bus.subscribe({ name, kinds, where, bufferSize, overflow })
    const waiting: Array<{ readonly min: number }> = []
    subscriptions.push({ real: subscription, model: own })
    queues.push({ model: own, waiting })

    const take = Effect.fnUntraced(function*({ how, min: anyMin, more }: Taking) {
      if (how === "takeUpTo") {
        // A taker that never waits must not keep the clock from going on.
        yield* Effect.sleep(1)
        return yield* subscription.takeUpTo(more + 1)
      }
      const min = how === "takeBetween" ? Math.min(anyMin, bufferSize) : 1
      const waiter = { min }
      waiting.push(waiter)
      const events: Effect.Effect<ReadonlyArray<Event>, Cause.Done> = how === "take"
        ? Effect.map(subscription.take, (event) => [event])
        : how === "takeAll"
        ? subscription.takeAll
        : subscription.takeBetween(min, min + more)
      return yield* events.pipe(
        Effect.tap(() => Effect.sync(() => assert.strictEqual(waiting[0], waiter, "A taker passed another"))),
        Effect.ensuring(Effect.sync(() => waiting.splice(waiting.indexOf(waiter), 1)))
      )
    })

    for (const takings of subscriber.takers) {
      const taker = Effect.gen(function*() {
        while (true) {
          for (const taking of takings) {
            yield* stand(taking.before)
            const events = (yield* take(taking)).map(({ n }) => n)
            assert.deepStrictEqual(events.length === 0 ? [] : own.takeUpTo(events.length), events)
            if (taking.how === "takeAll") assert.strictEqual(own.snapshot.pending, 0)
          }
        }
      })
      takers.push(yield* Effect.forkScoped(taker))
    }
    if (interruptedAt !== null) {
      const first = takers.at(-subscriber.takers.length)!
      yield* Effect.forkScoped(Effect.andThen(Effect.sleep(interruptedAt), Effect.sync(() => first.interruptUnsafe())))
    }
    if (unsubscribesAt !== null) {
      yield* Effect.sleep(unsubscribesAt)
      own.close()
      yield* subscription.unsubscribe
    }
  })

  const shutdown = Effect.suspend(() => {
    model.shutdown()
    return bus.shutdown
  })

  const fibers = yield* Effect.forEach([
    ...subscribers.map(subscribe),
    ...publishers.map(publish),
    Effect.forEach(looks, (pause) => Effect.andThen(stand(pause), assertSame), { discard: true }),
    shutsDownAt === null ? Effect.void : Effect.andThen(Effect.sleep(shutsDownAt), shutdown)
  ], (effect) => Effect.forkScoped(effect))

  for (let i = 0; i < 2 * duration; i++) yield* tick
  yield* Effect.forEach(fibers, Fiber.join)
  yield* assertSame
  for (const { model, waiting } of queues) {
    const { pending, state } = model.snapshot
    const [first] = waiting
    assert.isTrue(first === undefined || (state === "open" && pending < first.min), "A taker was not woken")
  }

  yield* shutdown
  // What is pending can be taken one at a time, every few milliseconds.
  for (let i = 0; i < 2000 && takers.some((taker) => taker.pollUnsafe() === undefined); i++) yield* tick
  for (const taker of takers) {
    const exit = taker.pollUnsafe()
    if (exit === undefined || Exit.isSuccess(exit) || !Cause.hasInterruptsOnly(exit.cause)) {
      assert.deepStrictEqual(exit, done)
    }
  }
  for (const { model, real } of subscriptions) {
    const rest = yield* Effect.exit(real.takeUpTo(Number.POSITIVE_INFINITY))
    const events: Outcome = Exit.isSuccess(rest) ? rest.value.map(({ n }) => n) : "done"
    assert.deepStrictEqual(events, model.takeUpTo(Number.POSITIVE_INFINITY))
  }
  yield* assertSame
}, Effect.scoped)

it(
  `every take finds what a model has at that moment, in ${LAWS_INTERLEAVINGS} random interleavings`,
  { timeout: 60_000 + Number(LAWS_INTERLEAVINGS) * 50 },
  async () => {
    const property = fc.asyncProperty(scenario, (scenario) =>
      Effect.runPromise(
        interleave(scenario).pipe(
          Effect.provideService(Scheduler.PreventSchedulerYield, true),
          Effect.provide([TestClock.layer(), Logger.layer([])])
        )
      ))
    const result = await fc.check(property, {
      numRuns: Number(LAWS_INTERLEAVINGS),
      ...LAWS_SEED === undefined ? {} : { seed: Number(LAWS_SEED) }
    })
    assert.isFalse(result.failed, fc.defaultReportMessage(result))
  }
)
