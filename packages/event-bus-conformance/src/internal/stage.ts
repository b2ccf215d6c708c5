/**
 * Where situations are played: a scheduler that knows when nothing is left to happen, and the words that situations are written in.
 */
import type { Loss, Overflow } from "@openwatch/event-bus"
import { Cause, Context, Data, Effect, Exit, Fiber, Logger, Random, Scheduler, Scope, Stream } from "effect"
import { TestClock } from "effect/testing"
import type {
  BusOptions,
  Capability,
  Counters,
  Harness,
  Situation,
  SubscribeOptions,
  TestedBus,
  TestedSubscription
} from "../Conformance.ts"
import type { Event } from "./events.ts"

/**
 * A bus did something else than it promises.
 */
export class ConformanceFailure extends Data.TaggedError("ConformanceFailure")<{
  /** The name of the situation. */
  readonly situation: string
  /** What was expected, and what was found. */
  readonly message: string
}> {}

/** Tasks that may run before a bus has to be at rest: many more than the largest situation needs. */
const mostTasks = 200_000

/**
 * A scheduler that knows how many tasks are scheduled: nothing is left to happen when there is none, until time is
 * adjusted or somebody outside acts.
 */
class CountingScheduler implements Scheduler.Scheduler {
  readonly executionMode: "sync" | "async"
  /** Run when nothing is scheduled any more, or when that does not come to pass. */
  private readonly listeners: Array<(isAtRest: boolean) => void> = []
  /** Run when nothing is scheduled any more and nobody has asked for it. */
  onStuck: () => void = () => {}
  private readonly scheduler: Scheduler.Scheduler
  private scheduled = 0
  private ran = 0

  constructor(scheduler: Scheduler.Scheduler) {
    this.scheduler = scheduler
    this.executionMode = scheduler.executionMode
  }

  shouldYield(fiber: Fiber.Fiber<unknown, unknown>): boolean {
    return this.scheduler.shouldYield(fiber)
  }

  makeDispatcher(): Scheduler.SchedulerDispatcher {
    const dispatcher = this.scheduler.makeDispatcher()
    return {
      scheduleTask: (task, priority) => {
        this.scheduled++
        dispatcher.scheduleTask(() => {
          try {
            task()
          } finally {
            this.scheduled--
            this.ran++
            this.notify()
          }
        }, priority)
      },
      flush: () => dispatcher.flush()
    }
  }

  /** True when nothing is scheduled any more; false when there is no end to it. */
  readonly rest: Effect.Effect<boolean> = Effect.callback((resume) => {
    if (this.scheduled === 0) return resume(Effect.succeed(true))
    this.ran = 0
    this.listeners.push((isAtRest) => resume(Effect.succeed(isAtRest)))
  })

  private notify(): void {
    const isAtRest = this.scheduled === 0
    if (!isAtRest && this.ran < mostTasks) return
    const listener = this.listeners.shift()
    if (listener !== undefined) {
      listener(isAtRest)
      // The listener may have gone on to wait for something else.
      if (this.scheduled === 0) this.notify()
    } else if (isAtRest) this.onStuck()
  }
}

/** What the steps of a situation share. */
export class Stage extends Context.Service<Stage, {
  readonly situation: string
  readonly harness: Harness
  readonly scheduler: CountingScheduler
  /** Counts what a bridge has to carry. */
  readonly sent: { count: number }
}>()("@openwatch/event-bus-conformance/Stage") {}

export type Steps = () => Generator<Effect.Effect<unknown, ConformanceFailure, Stage | Scope.Scope>, void, never>

/** A situation that has no topic yet. */
type Untitled = Omit<Situation, "topic">

const fail = (message: string): Effect.Effect<never, ConformanceFailure, Stage> =>
  Effect.flatMap(Stage, ({ situation }) => Effect.fail(new ConformanceFailure({ situation, message })))

/** Lets everything happen that can happen, short of time going by. */
export const settle: Effect.Effect<void, ConformanceFailure, Stage> = Effect.gen(function*() {
  const { harness, scheduler, sent } = yield* Stage
  let before: number
  do {
    before = sent.count
    if (!(yield* scheduler.rest)) {
      yield* fail(`expected the bus to come to rest; it still runs after ${mostTasks} tasks`)
    }
    if (harness.settle !== undefined) yield* Effect.andThen(harness.settle, scheduler.rest)
    // What has arrived may have made somebody publish.
  } while (sent.count !== before)
})

/** Plays the steps once. */
const play = (
  situation: string,
  harness: Harness,
  steps: Steps
): Effect.Effect<void, ConformanceFailure> =>
  Effect.gen(function*() {
    const scheduler = new CountingScheduler(yield* Scheduler.Scheduler)
    let failure = new ConformanceFailure({
      situation,
      message: "expected every step to complete; one waits, and nothing is left to happen"
    })
    const playing = Effect.gen(steps).pipe(
      Effect.catchDefect((defect) => fail(`expected no step to die; one died of ${String(defect)}`)),
      // A failure is told even if the bus that failed cannot be closed.
      Effect.tapError((error) =>
        Effect.sync(() => {
          failure = error
        })
      ),
      Effect.scoped,
      Effect.provideService(Stage, { situation, harness, scheduler, sent: { count: 0 } }),
      // Losses are logged: that is no part of a situation.
      Effect.provide([TestClock.layer(), Logger.layer([])])
    )
    const fiber = yield* Effect.provideService(Effect.forkDetach(playing), Scheduler.Scheduler, scheduler)
    yield* Effect.callback<void, ConformanceFailure>((resume) => {
      const unobserve = fiber.addObserver(resume)
      // Not waited for: what is stuck may be stuck for good.
      const stop = Effect.sync(() => {
        unobserve()
        fiber.interruptUnsafe()
      })
      if (harness.settle === undefined) {
        scheduler.onStuck = () => resume(Effect.andThen(stop, Effect.fail(failure)))
      }
      return stop
    })
  })

export const situation = (name: string, requires: ReadonlyArray<Capability>, steps: Steps): Untitled => ({
  name,
  requires,
  run: (harness) => play(name, harness, steps)
})

/** A situation that is played once for each seed; `Random` is its source of chance. */
export const randomSituation = (name: string, requires: ReadonlyArray<Capability>, steps: Steps): Untitled => ({
  name,
  requires,
  run: (harness) =>
    Effect.gen(function*() {
      const seeds = harness.seeds ??
        (yield* Effect.all(Array.from({ length: 20 }, () => Random.nextIntBetween(0, 2 ** 31))))
      for (const seed of seeds) {
        yield* play(name, harness, steps).pipe(
          Random.withSeed(seed),
          Effect.mapError(({ message, situation }) =>
            new ConformanceFailure({ situation, message: `${message} (run again with seeds: [${seed}])` })
          )
        )
      }
    })
})

export const topic = (
  topic: string,
  ...situations: ReadonlyArray<Untitled>
): ReadonlyArray<Situation> => situations.map(({ name, requires, run }) => ({ topic, name, requires, run }))

/** A situation for each policy. */
export const forEachPolicy = (
  make: (overflow: Overflow) => Untitled
): ReadonlyArray<Untitled> => [make("dropping"), make("sliding")]

// -----------------------------------------------------------------------------
// Expectations
// -----------------------------------------------------------------------------

const isEvent = (value: unknown): value is Event => typeof value === "object" && value !== null && "_tag" in value

export const show = (value: unknown): string => {
  if (isEvent(value)) return `${value._tag} ${value.n}`
  if (Array.isArray(value)) return `[${value.map(show).join(", ")}]`
  if (typeof value !== "object" || value === null) return String(value)
  return `{ ${Object.entries(value).map(([key, value]) => `${key}: ${show(value)}`).join(", ")} }`
}

/** Of two long lists, where they part. */
const difference = (expected: unknown, found: unknown): string => {
  if (!Array.isArray(expected) || !Array.isArray(found) || Math.max(expected.length, found.length) <= 20) {
    return `expected ${show(expected)}, found ${show(found)}`
  }
  const at = expected.findIndex((value, i) => show(value) !== show(found[i]))
  const index = at < 0 ? expected.length : at
  const item = (list: ReadonlyArray<unknown>) =>
    `${list.length} of which number ${index + 1} is ${index < list.length ? show(list[index]) : "missing"}`
  return `expected ${item(expected)}, found ${item(found)}`
}

export const expect = (
  what: string,
  found: unknown,
  expected: unknown
): Effect.Effect<void, ConformanceFailure, Stage> =>
  show(found) === show(expected) ? Effect.void : fail(`${what}: ${difference(expected, found)}`)

/** What is known of an action once everything has happened. */
type Outcome = Event | ReadonlyArray<Event> | "waits" | "is done"

/** Something that a subscriber does, and what messages call it. */
interface Action {
  readonly what: string
  readonly effect: Effect.Effect<Event | ReadonlyArray<Event>, Cause.Done>
}

/** An action that was begun. */
export interface Begun {
  readonly what: string
  readonly fiber: Fiber.Fiber<Event | ReadonlyArray<Event>, Cause.Done>
}

export const outcomeOf = ({ fiber }: Begun): unknown => {
  const exit = fiber.pollUnsafe()
  if (exit === undefined) return "waits"
  if (Exit.isSuccess(exit)) return exit.value
  if (Cause.hasInterruptsOnly(exit.cause)) return "was interrupted"
  const error = Cause.squash(exit.cause)
  return Cause.isDone(error) ? "is done" : `dies of ${String(error)}`
}

/** The events that an action has brought. */
export const eventsOf = (begun: Begun): ReadonlyArray<Event> => {
  const exit = begun.fiber.pollUnsafe()
  return exit === undefined || Exit.isFailure(exit) ? [] : [exit.value].flat()
}

/** Begins the action in a fiber of its own, and goes on when it has completed or waits. */
export const begin = ({ effect, what }: Action): Effect.Effect<Begun, ConformanceFailure, Stage> =>
  Effect.forkChild(effect).pipe(Effect.map((fiber) => ({ what, fiber })), Effect.tap(settle))

/** What has become of it by now. */
export const came = (begun: Begun, expected: Outcome): Effect.Effect<void, ConformanceFailure, Stage> =>
  Effect.andThen(settle, Effect.suspend(() => expect(begun.what, outcomeOf(begun), expected)))

/** What comes of the action, without anybody's help; it is given up if it waits. */
export const gives = (action: Action, expected: Outcome): Effect.Effect<void, ConformanceFailure, Stage> =>
  Effect.flatMap(begin(action), (begun) =>
    Effect.andThen(
      came(begun, expected),
      Effect.asVoid(Fiber.interrupt(begun.fiber))
    ))

/** What is pending, and nothing else. It is taken. */
export const holds = (
  subscription: StagedSubscription,
  expected: ReadonlyArray<Event>
): Effect.Effect<void, ConformanceFailure, Stage> =>
  Effect.andThen(settle, gives(subscription.takeUpTo(Number.POSITIVE_INFINITY), expected))

// -----------------------------------------------------------------------------
// The bus on the stage
// -----------------------------------------------------------------------------

export interface StagedSubscription {
  readonly take: Action
  readonly takeAll: Action
  readonly takeUpTo: (n: number) => Action
  readonly takeBetween: (min: number, max: number) => Action
  readonly stream: Stream.Stream<Event>
  readonly unsubscribe: Effect.Effect<void>
  /** Reads the counters at rest, checks their laws, and compares those given. */
  readonly counts: (expected: Partial<Counters>) => Effect.Effect<void, ConformanceFailure, Stage>
  readonly snapshot: Effect.Effect<Counters>
  readonly losses: Stream.Stream<Loss>
}

export type StagedBus = Required<Omit<TestedBus, "subscribe">> & {
  readonly subscribe: (options: SubscribeOptions) => Effect.Effect<StagedSubscription, never, Scope.Scope>
}

const offered = <A>(member: A | undefined, name: string, capability: Capability): A => {
  if (member !== undefined) return member
  throw new TypeError(`The harness offers ${JSON.stringify(capability)}, but what it makes has no ${name}`)
}

const stageSubscription = (subscription: TestedSubscription, name: string): StagedSubscription => {
  const action = (what: string, effect: Action["effect"]): Action => ({ what: `${what} of ${name}`, effect })
  const snapshot = Effect.suspend(() => offered(subscription.snapshot, "snapshot", "counters"))
  return {
    take: action("take", subscription.take),
    takeAll: action("takeAll", subscription.takeAll),
    takeUpTo: (n) => action(n === Number.POSITIVE_INFINITY ? "pending" : `takeUpTo(${n})`, subscription.takeUpTo(n)),
    takeBetween: (min, max) => action(`takeBetween(${min}, ${max})`, subscription.takeBetween(min, max)),
    stream: subscription.stream,
    unsubscribe: subscription.unsubscribe,
    snapshot,
    losses: Stream.suspend(() => offered(subscription.losses, "losses", "losses")),
    counts: (expected) =>
      Effect.gen(function*() {
        yield* settle
        const counters = yield* snapshot
        yield* lawful(name, counters)
        const found = Object.fromEntries(Object.keys(expected).map((key) => [key, counters[key as keyof Counters]]))
        yield* expect(`counters of ${name}`, found, expected)
      })
  }
}

export const lawful = (name: string, counters: Counters): Effect.Effect<void, ConformanceFailure, Stage> => {
  const { delivered, discarded, dropped, offered, pending, taken } = counters
  return offered === delivered + dropped && delivered === taken + pending + discarded
    ? Effect.void
    : fail(
      `counters of ${name}: expected offered = delivered + dropped and delivered = taken + pending + discarded, ` +
        `found ${show(counters)}`
    )
}

const stageBus = (bus: TestedBus, send: <A>(act: () => A) => A): StagedBus => ({
  publish: (event) => Effect.suspend(() => send(() => bus.publish(event))),
  publishAll: (events) => Effect.suspend(() => send(() => bus.publishAll(events))),
  publishUnsafe: (event) => send(() => offered(bus.publishUnsafe, "publishUnsafe", "publishUnsafe")(event)),
  metrics: Effect.suspend(() => offered(bus.metrics, "metrics", "metrics")),
  shutdown: Effect.suspend(() => send(() => bus.shutdown)),
  awaitShutdown: bus.awaitShutdown,
  on: (kinds, handler, options) => Effect.suspend(() => offered(bus.on, "on", "handlers")(kinds, handler, options)),
  subscribe: (options) =>
    Effect.map(
      bus.subscribe(options),
      (subscription) =>
        stageSubscription(subscription, options.name === undefined ? "the subscription" : `the ${options.name}`)
    )
})

export const makeBus = (options: BusOptions = {}): Effect.Effect<StagedBus, never, Stage | Scope.Scope> =>
  Effect.flatMap(Stage, ({ harness, sent }) =>
    Effect.map(harness.make(options), (bus) =>
      stageBus(bus, (act) => {
        sent.count++
        return act()
      })))

/** How most situations begin. */
export const subscribedToRed = (
  options?: BusOptions
): Effect.Effect<
  { readonly bus: StagedBus; readonly subscription: StagedSubscription },
  never,
  Stage | Scope.Scope
> =>
  Effect.gen(function*() {
    const bus = yield* makeBus(options)
    return { bus, subscription: yield* bus.subscribe({ kinds: ["Red"] }) }
  })

/** Publishes one after the other, with nothing between. */
export const publishEach = (bus: StagedBus, events: ReadonlyArray<Event>): Effect.Effect<void> =>
  Effect.forEach(events, bus.publish, { discard: true })

/** Collects what a stream brings, as it comes. */
export const collect = <A>(
  stream: Stream.Stream<A>
): Effect.Effect<{ readonly found: Array<A>; readonly fiber: Fiber.Fiber<void> }, ConformanceFailure, Stage> =>
  Effect.gen(function*() {
    const found: Array<A> = []
    const fiber = yield* Effect.forkChild(Stream.runForEach(stream, (value) => Effect.sync(() => found.push(value))))
    yield* settle
    return { found, fiber }
  })

export const hasEnded = (
  what: string,
  fiber: Fiber.Fiber<unknown, unknown>,
  expected: boolean
): Effect.Effect<void, ConformanceFailure, Stage> =>
  Effect.andThen(
    settle,
    Effect.suspend(() => {
      const exit = fiber.pollUnsafe()
      const found = exit === undefined ? "goes on" : Exit.isSuccess(exit) ? "has ended" : "has failed"
      return expect(what, found, expected ? "has ended" : "goes on")
    })
  )

/** A scope that the situation closes itself; if it does not, it is closed at the end. */
export const makeScope: Effect.Effect<Scope.Closeable, never, Scope.Scope> = Effect.map(
  Effect.scope,
  (scope) => Scope.forkUnsafe(scope)
)

export const close = (scope: Scope.Closeable): Effect.Effect<void> => Scope.close(scope, Exit.void)
