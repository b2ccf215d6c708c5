import { assert, it } from "@effect/vitest"
import { EventBus, type Overflow, type SubscriptionHandle } from "@openwatch/event-bus"
import { Cause, Effect, Exit, Logger } from "effect"
import { TestClock } from "effect/testing"
import * as fc from "fast-check"
import { A, B, C, type Event, type Kind, kinds, makeEvent } from "./reference/events.ts"

/** `LAWS_SEED`, as a failure prints it, for the same sequences again; `LAWS_SEQUENCES=100000` for a longer run. */
const { LAWS_SEED, LAWS_SEQUENCES = "500" } = process.env

/** Handlers that nobody would want to share a bus with. */
const handlers = {
  fails: () => Effect.fail("No"),
  dies: () => Effect.die("No"),
  throws: () => {
    throw new Error("No")
  },
  interruptsItself: () => Effect.interrupt,
  neverEnds: () => Effect.never,
  keepsTheProcessorBusy: () => Effect.forever(Effect.yieldNow),
  sleeps: () => Effect.sleep("1 minute"),
  leaves: (_event: Event, handle: SubscriptionHandle) => handle.unsubscribe
} satisfies Record<string, (event: Event, handle: SubscriptionHandle) => Effect.Effect<unknown, unknown>>

/** What the others do. */
type OthersStep =
  | {
    readonly type: "subscribe"
    readonly kinds: ReadonlyArray<Kind>
    readonly bufferSize: number
    readonly overflow: Overflow
  }
  | {
    readonly type: "on"
    readonly kinds: ReadonlyArray<Kind>
    readonly bufferSize: number
    readonly overflow: Overflow
    readonly handler: keyof typeof handlers
    readonly concurrency: number
  }
  | { readonly type: "wait" | "takeSome" | "unsubscribe"; readonly other: number }

type Step =
  | OthersStep
  | { readonly type: "publish"; readonly kind: Kind; readonly count: number }
  | { readonly type: "take"; readonly count: number }
  | { readonly type: "look" | "turn" }

interface Scenario {
  readonly kinds: ReadonlyArray<Kind>
  readonly bufferSize: number
  readonly overflow: Overflow
  readonly steps: ReadonlyArray<Step>
}

const step = (
  weight: number,
  types: ReadonlyArray<Step["type"]>,
  properties: Readonly<Record<string, fc.Arbitrary<unknown>>>
) => ({ weight, arbitrary: fc.record({ type: fc.constantFrom(...types), ...properties }) as fc.Arbitrary<Step> })

const options = {
  kinds: fc.subarray([...kinds], { minLength: 1 }),
  bufferSize: fc.constantFrom(1, 2, 3, 7, 128, 256),
  overflow: fc.constantFrom("dropping" as const, "sliding" as const)
}

const other = fc.nat(5)

const count = fc.oneof(
  { weight: 6, arbitrary: fc.integer({ min: 1, max: 4 }) },
  { weight: 1, arbitrary: fc.constantFrom(127, 128, 129, 257) }
)

const scenario: fc.Arbitrary<Scenario> = fc.record({
  ...options,
  steps: fc.array(
    fc.oneof(
      step(10, ["subscribe"], options),
      step(10, ["on"], {
        ...options,
        handler: fc.constantFrom(...Object.keys(handlers)),
        concurrency: fc.integer({ min: 1, max: 3 })
      }),
      step(8, ["wait", "takeSome", "unsubscribe"], { other }),
      step(20, ["publish"], { kind: fc.constantFrom(...kinds), count }),
      step(8, ["take"], { count }),
      step(4, ["look"], {}),
      step(10, ["turn"], {})
    ),
    { maxLength: 30, size: "max" }
  )
})

/** What one subscriber and one handler see of a scenario, with or without the others. */
const observe = Effect.fnUntraced(function*({ steps, ...options }: Scenario, withOthers: boolean) {
  const bus = yield* EventBus.make({ events: [A, B, C] })
  const subscription = yield* bus.subscribe(options)
  const handled: Array<number> = []
  const handle = yield* bus.on(options.kinds, ({ n }) => Effect.sync(() => void handled.push(n)), {
    bufferSize: options.bufferSize,
    overflow: options.overflow
  })
  const others: Array<{
    readonly take: Effect.Effect<unknown, Cause.Done>
    readonly takeUpTo: (n: number) => Effect.Effect<unknown, Cause.Done>
    readonly unsubscribe: Effect.Effect<void>
  }> = []
  const seen: Array<unknown> = []
  let published = 0

  const turn = Effect.repeat(Effect.yieldNow, { times: 3 })

  const take = (count: number) =>
    Effect.map(Effect.exit(subscription.takeUpTo(count)), (exit) => {
      seen.push(Exit.isSuccess(exit) ? exit.value.map(({ n }) => n) : Cause.squash(exit.cause))
    })

  const look = Effect.gen(function*() {
    seen.push(handled.splice(0), yield* subscription.snapshot, yield* handle.snapshot)
  })

  const disturb = Effect.fnUntraced(function*(step: OthersStep) {
    if (step.type === "subscribe") {
      others.push(yield* bus.subscribe(step))
    } else if (step.type === "on") {
      const nothing = { take: Effect.void, takeUpTo: () => Effect.void }
      others.push({ ...nothing, ...yield* bus.on(step.kinds, handlers[step.handler], step) })
    } else if (others.length > 0) {
      const { take, takeUpTo, unsubscribe } = others[step.other % others.length]!
      if (step.type === "wait") yield* Effect.forkChild(take, { startImmediately: true })
      else if (step.type === "takeSome") yield* Effect.exit(takeUpTo(2))
      else yield* unsubscribe
    }
  })

  for (const step of steps) {
    switch (step.type) {
      case "publish": {
        yield* bus.publishAll(Array.from({ length: step.count }, () => makeEvent(step.kind, ++published)))
        break
      }
      case "take": {
        yield* take(step.count)
        break
      }
      case "look": {
        yield* look
        break
      }
      case "turn": {
        yield* turn
        break
      }
      default: {
        if (withOthers) yield* disturb(step)
      }
    }
  }
  yield* bus.shutdown
  yield* turn
  yield* take(Number.POSITIVE_INFINITY)
  yield* take(1)
  yield* look
  return seen
}, Effect.scoped)

it(
  `what others do changes nothing for a subscription, in ${LAWS_SEQUENCES} random sequences`,
  { timeout: 60_000 + Number(LAWS_SEQUENCES) * 50 },
  async () => {
    const property = fc.asyncProperty(scenario, (scenario) =>
      Effect.runPromise(
        Effect.gen(function*() {
          assert.deepStrictEqual(yield* observe(scenario, true), yield* observe(scenario, false))
        }).pipe(Effect.provide([TestClock.layer(), Logger.layer([])]))
      ))
    const result = await fc.check(property, {
      numRuns: Number(LAWS_SEQUENCES),
      ...LAWS_SEED === undefined ? {} : { seed: Number(LAWS_SEED) }
    })
    assert.isFalse(result.failed, fc.defaultReportMessage(result))
  }
)
