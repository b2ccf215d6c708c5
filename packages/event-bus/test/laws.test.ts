import { assert, it } from "@effect/vitest"
import { EventBus, type Overflow, type Subscription, type SubscriptionSnapshot } from "@openwatch/event-bus"
import { Cause, Effect, Exit, type Fiber, Logger, Option, Scheduler } from "effect"
import { TestClock } from "effect/testing"
import * as fc from "fast-check"
import { BusModel, type Outcome, type SubscriptionModel, type TakeModel } from "./reference/BusModel.ts"
import { A, B, C, type Event, type Kind, kinds, makeEvent, wheres } from "./reference/events.ts"

/** `LAWS_SEED`, as a failure prints it, for the same sequences again; `LAWS_SEQUENCES=100000` for a longer run. */
const { LAWS_SEED, LAWS_SEQUENCES = "2000" } = process.env

type Step =
  | {
    readonly type: "subscribe"
    readonly kinds: ReadonlyArray<Kind>
    readonly where: EventBus.Where<Event> | undefined
    readonly bufferSize: number
    readonly overflow: Overflow
  }
  | { readonly type: "publish" | "publishAll" | "publishUnsafe"; readonly kind: Kind; readonly count: number }
  | { readonly type: "take"; readonly subscription: number }
  | { readonly type: "takeAll"; readonly subscription: number }
  | { readonly type: "snapshot" | "unsubscribe"; readonly subscription: number }
  | { readonly type: "takeUpTo"; readonly subscription: number; readonly max: number }
  | { readonly type: "takeBetween"; readonly subscription: number; readonly min: number; readonly more: number }
  | { readonly type: "interrupt"; readonly taker: number }
  | { readonly type: "turn" | "metrics" | "shutdown" }

const step = (
  weight: number,
  types: ReadonlyArray<Step["type"]>,
  properties: Readonly<Record<string, fc.Arbitrary<unknown>>>
) => ({ weight, arbitrary: fc.record({ type: fc.constantFrom(...types), ...properties }) as fc.Arbitrary<Step> })

/** Mostly small, so that buffers are often full and often empty. */
const count = fc.oneof(
  { weight: 8, arbitrary: fc.integer({ min: 1, max: 4 }) },
  { weight: 3, arbitrary: fc.constantFrom(7, 8, 127, 128, 129) },
  { weight: 1, arbitrary: fc.constantFrom(255, 256, 257) }
)

/** Subscriptions and takers are named by their place among those there are, counted round and round. */
const subscription = fc.nat(5)

const subscribe = (bufferSize: fc.Arbitrary<number>) =>
  step(10, ["subscribe"], {
    kinds: fc.subarray([...kinds]),
    where: fc.oneof({ weight: 2, arbitrary: fc.constant(undefined) }, fc.constantFrom(...wheres)),
    bufferSize,
    overflow: fc.constantFrom("dropping", "sliding")
  })

const publish = (count: fc.Arbitrary<number>) =>
  step(24, ["publish", "publishAll", "publishUnsafe"], { kind: fc.constantFrom(...kinds), count })

const interrupt = step(10, ["interrupt"], { taker: fc.nat(5) })

const turn = step(12, ["turn"], {})

const anyStep: fc.Arbitrary<Step> = fc.oneof(
  subscribe(fc.constantFrom(1, 2, 3, 7, 8, 127, 128, 129, 255, 256, 257)),
  publish(count),
  step(20, ["take", "takeAll"], { subscription }),
  step(8, ["takeUpTo"], { subscription, max: fc.oneof(count, fc.constant(Number.POSITIVE_INFINITY)) }),
  step(8, ["takeBetween"], { subscription, min: count, more: fc.nat(3) }),
  interrupt,
  turn,
  step(8, ["snapshot", "unsubscribe"], { subscription }),
  step(2, ["metrics"], {}),
  step(1, ["shutdown"], {})
)

/** Many who wait, and little to wait for. */
const waitingStep: fc.Arbitrary<Step> = fc.oneof(
  subscribe(fc.integer({ min: 1, max: 3 })),
  publish(fc.integer({ min: 1, max: 3 })),
  step(8, ["take"], { subscription }),
  step(24, ["takeBetween"], { subscription, min: fc.integer({ min: 1, max: 5 }), more: fc.nat(1) }),
  interrupt,
  turn,
  step(2, ["takeAll", "unsubscribe"], { subscription })
)

const steps: fc.Arbitrary<ReadonlyArray<Step>> = fc.oneof(
  { weight: 2, arbitrary: fc.array(anyStep, { maxLength: 50, size: "max" }) },
  { weight: 1, arbitrary: fc.array(waitingStep, { maxLength: 50, size: "max" }) }
)

const outcomeOf = (exit: Exit.Exit<ReadonlyArray<Event>, Cause.Done> | undefined): Outcome => {
  if (exit === undefined) return "waits"
  if (Exit.isSuccess(exit)) return exit.value.map(({ n }) => n)
  assert.isTrue(Cause.isDone(Option.getOrThrow(Cause.findErrorOption(exit.cause))))
  return "done"
}

const assertLaw = ({ delivered, discarded, dropped, offered, pending, taken }: SubscriptionSnapshot): void => {
  assert.strictEqual(offered, delivered + dropped)
  assert.strictEqual(delivered, taken + pending + discarded)
}

/** Takes the steps with a bus and with the model of one, and finds no difference. */
const compare = Effect.fnUntraced(function*(steps: ReadonlyArray<Step>) {
  const bus = yield* EventBus.make({ events: [A, B, C] })
  const model = new BusModel(kinds)
  const subscriptions: Array<{ readonly real: Subscription<Event>; readonly model: SubscriptionModel }> = []
  const takers: Array<{
    readonly fiber: Fiber.Fiber<ReadonlyArray<Event>, Cause.Done>
    readonly take: TakeModel
    readonly waiting: Array<TakeModel>
  }> = []
  let published = 0

  const assertTakers = () => {
    for (const { fiber, take } of takers) assert.deepStrictEqual(outcomeOf(fiber.pollUnsafe()), take.outcome)
  }

  const assertSnapshot = Effect.fnUntraced(function*({ model, real }: (typeof subscriptions)[number]) {
    const snapshot = yield* real.snapshot
    assertLaw(snapshot)
    assert.deepStrictEqual(snapshot, model.snapshot)
  })

  const assertMetrics = Effect.gen(function*() {
    assert.deepStrictEqual(yield* bus.metrics, model.metrics)
    assert.sameDeepMembers(
      Array.from(yield* bus.subscriptions),
      model.subscriptions.map(({ snapshot }) => snapshot).filter(({ state }) => state !== "closed")
    )
  })

  // Whoever is woken runs within two turns of the scheduler.
  const turn = Effect.gen(function*() {
    yield* Effect.yieldNow
    yield* Effect.yieldNow
    model.turn()
    assertTakers()
  })

  const take = Effect.fnUntraced(function*(
    { model }: (typeof subscriptions)[number],
    effect: Effect.Effect<ReadonlyArray<Event>, Cause.Done>,
    min: number,
    max: number
  ) {
    const fiber = yield* Effect.forkChild(effect, { startImmediately: true })
    takers.push({ fiber, take: model.take(min, max), waiting: model.waiting })
  })

  for (const step of steps) {
    switch (step.type) {
      case "subscribe": {
        const { bufferSize, kinds, overflow } = step
        // No field is common to no events.
        const where = kinds.length === 0 ? undefined : step.where
        const name = `subscription ${subscriptions.length}`
        subscriptions.push({
          real: yield* bus.subscribe({ name, kinds, where, bufferSize, overflow }),
          model: model.subscribe(name, kinds, bufferSize, overflow, where)
        })
        break
      }
      case "publish":
      case "publishAll":
      case "publishUnsafe": {
        const events = Array.from({ length: step.count }, () => makeEvent(step.kind, ++published))
        if (step.type === "publishAll") yield* bus.publishAll(events)
        else if (step.type === "publish") { for (const event of events) yield* bus.publish(event) }
        else for (const event of events) bus.publishUnsafe(event)
        for (const { n } of events) model.publish(step.kind, n)
        break
      }
      case "turn": {
        yield* turn
        break
      }
      case "metrics": {
        yield* assertMetrics
        break
      }
      case "shutdown": {
        yield* bus.shutdown
        model.shutdown()
        break
      }
      case "interrupt": {
        const waiting = takers.filter(({ take }) => take.outcome === "waits")
        if (waiting.length === 0) break
        const taker = waiting[step.taker % waiting.length]!
        taker.fiber.interruptUnsafe()
        taker.waiting.splice(taker.waiting.indexOf(taker.take), 1)
        takers.splice(takers.indexOf(taker), 1)
        break
      }
      default: {
        if (subscriptions.length === 0) break
        const subscription = subscriptions[step.subscription % subscriptions.length]!
        const { model, real } = subscription
        switch (step.type) {
          case "snapshot": {
            yield* assertSnapshot(subscription)
            break
          }
          case "unsubscribe": {
            yield* real.unsubscribe
            model.close()
            break
          }
          case "takeUpTo": {
            const exit = yield* Effect.exit(real.takeUpTo(step.max))
            assert.deepStrictEqual(outcomeOf(exit), model.takeUpTo(step.max))
            break
          }
          default: {
            // Nothing is said of the order between a take that needs more than one buffer and others.
            if (model.waiting.some(({ min }) => min > model.bufferSize)) break
            if (step.type === "take") yield* take(subscription, Effect.map(real.take, (event) => [event]), 1, 1)
            else if (step.type === "takeAll") yield* take(subscription, real.takeAll, 1, Number.POSITIVE_INFINITY)
            else if (step.type === "takeBetween") {
              const min = model.waiting.length > 0 ? Math.min(step.min, model.bufferSize) : step.min
              yield* take(subscription, real.takeBetween(min, min + step.more), min, min + step.more)
            }
          }
        }
      }
    }
    // Nobody who waits has run.
    assertTakers()
  }

  yield* turn
  yield* assertMetrics
  for (const subscription of subscriptions) yield* assertSnapshot(subscription)
  yield* bus.shutdown
  model.shutdown()
  yield* turn
  for (const subscription of subscriptions) {
    const { model, real } = subscription
    const exit = yield* Effect.exit(real.takeUpTo(Number.POSITIVE_INFINITY))
    assert.deepStrictEqual(outcomeOf(exit), model.takeUpTo(Number.POSITIVE_INFINITY))
    yield* assertSnapshot(subscription)
  }
  yield* assertMetrics
}, Effect.scoped)

it(
  `counters, order and the fate of takers are those of a model, in ${LAWS_SEQUENCES} random sequences`,
  { timeout: 60_000 + Number(LAWS_SEQUENCES) * 50 },
  async () => {
    const property = fc.asyncProperty(steps, (steps) =>
      Effect.runPromise(
        compare(steps).pipe(
          // The steps are taken without a turn of the scheduler between them.
          Effect.provideService(Scheduler.PreventSchedulerYield, true),
          Effect.provide([TestClock.layer(), Logger.layer([])])
        )
      ))
    const result = await fc.check(property, {
      numRuns: Number(LAWS_SEQUENCES),
      ...LAWS_SEED === undefined ? {} : { seed: Number(LAWS_SEED) }
    })
    assert.isFalse(result.failed, fc.defaultReportMessage(result))
  }
)
