/**
 * What a bus promises, as a list of small situations that any bus can be put in.
 *
 * The situations are the contract of `EventBus`, written once: who receives what in which order, what a full buffer does,
 * what one subscriber may do to another, how takes wait, how subscriptions and the bus end. Each says in its name what
 * must be true in it, takes *a way to make a bus*, and fails with what it expected and what it found.
 *
 * **When to use**
 *
 * For a bus of your own, or a bridge between buses: run every situation against it. A bus that lacks some part (a bridge
 * without replay, say) leaves out the capability, and the situations that require it are left out with it.
 *
 * **Details**
 *
 * A situation runs under `TestClock` and a scheduler that knows what is scheduled, so that "everything that can happen has
 * happened" is a fact and not a guess: nothing sleeps. One that waits when nothing is scheduled any more fails instead
 * of hanging.
 *
 * **Example** (Running the suite against a bus)
 *
 * ```ts
 * import { EventBus } from "@openwatch/event-bus"
 * import { Conformance } from "@openwatch/event-bus/testing"
 * import { Effect } from "effect"
 *
 * const harness: Conformance.Harness = {
 *   make: (options) => EventBus.make({ ...options, events: Conformance.events }),
 *   offers: Conformance.capabilities
 * }
 *
 * // In a test file: one `it.effect(name, () => run(harness))` for each situation.
 * for (const { run, topic } of Conformance.situationsFor(harness)) {
 *   if (topic === "Order") await Effect.runPromise(run(harness))
 * }
 * ```
 */
import {
  Cause,
  Context,
  Data,
  DateTime,
  type Duration,
  Effect,
  Exit,
  Fiber,
  Latch,
  Logger,
  Random,
  Scheduler,
  Schema,
  Scope,
  Stream
} from "effect"
import { TestClock } from "effect/testing"
import type { Metrics } from "./EventBus.ts"
import type { Loss, Overflow, SubscriptionSnapshot } from "./Subscription.ts"

// -----------------------------------------------------------------------------
// Events
// -----------------------------------------------------------------------------

const fields = { n: Schema.Int, occurredAt: Schema.DateTimeUtc }

/** One of the three kinds of events that the situations publish. */
export class Red extends Schema.TaggedClass<Red>()("Red", fields) {}

/** One of the three kinds of events that the situations publish. */
export class Green extends Schema.TaggedClass<Green>()("Green", fields) {}

/** One of the three kinds of events that the situations publish. */
export class Blue extends Schema.TaggedClass<Blue>()("Blue", fields) {}

/** The events that a bus under test must carry. They are told apart by their kind and `n`. */
export const events = [Red, Green, Blue] as const

/** An event that a situation publishes. */
export type Event = Red | Green | Blue

/** Its kind. */
export type Kind = Event["_tag"]

// -----------------------------------------------------------------------------
// The bus under test
// -----------------------------------------------------------------------------

/**
 * What a bus may or may not offer.
 *
 * - `"dropping"`, `"sliding"`: a full buffer that loses the newest event, or the oldest.
 * - `"synchronous"`: what is published is offered to every subscription before `publish` returns. A bridge, where it
 *   arrives later, does not offer it.
 * - `"publishUnsafe"`: publishing outside Effect.
 * - `"buffers"`: `subscribe` takes a `bufferSize` and an `overflow` of its own.
 * - `"counters"`: subscriptions have a `snapshot`. `"metrics"`: the bus has `metrics`.
 * - `"losses"`: subscriptions have `losses`.
 * - `"replay"`: a bus that keeps the last events of each kind for subscriptions that ask for them.
 * - `"handlers"`: `on`. `"drain"`: its option of that name.
 */
export type Capability =
  | "dropping"
  | "sliding"
  | "synchronous"
  | "publishUnsafe"
  | "buffers"
  | "counters"
  | "metrics"
  | "losses"
  | "replay"
  | "handlers"
  | "drain"

/** All capabilities: what `EventBus` offers. */
export const capabilities: ReadonlyArray<Capability> = [
  "dropping",
  "sliding",
  "synchronous",
  "publishUnsafe",
  "buffers",
  "counters",
  "metrics",
  "losses",
  "replay",
  "handlers",
  "drain"
]

/**
 * How a situation wants its bus. What is left out is the bus's own choice, but for `bufferSize`: the default must hold a
 * thousand events.
 */
export interface BusOptions {
  readonly bufferSize?: number
  readonly overflow?: Overflow
  readonly replay?: number
}

/** How a situation subscribes. */
export interface SubscribeOptions {
  readonly kinds: ReadonlyArray<Kind>
  /** What the messages of a failed situation call the subscription. */
  readonly name?: string
  /** Only with the capability `"buffers"`. */
  readonly bufferSize?: number
  /** Only with the capability `"buffers"`. */
  readonly overflow?: Overflow
  /** Only with the capability `"replay"`. */
  readonly replay?: number
}

/** The counters that situations read. */
export type Counters = Pick<
  SubscriptionSnapshot,
  "state" | "offered" | "delivered" | "dropped" | "taken" | "pending" | "discarded"
>

/** A subscription of the bus under test; see `Subscription` for what its members must do. */
export interface TestedSubscription {
  readonly take: Effect.Effect<Event, Cause.Done>
  readonly takeAll: Effect.Effect<ReadonlyArray<Event>, Cause.Done>
  readonly takeUpTo: (n: number) => Effect.Effect<ReadonlyArray<Event>, Cause.Done>
  readonly takeBetween: (min: number, max: number) => Effect.Effect<ReadonlyArray<Event>, Cause.Done>
  readonly stream: Stream.Stream<Event>
  readonly unsubscribe: Effect.Effect<void>
  /** With the capability `"counters"`. */
  readonly snapshot?: Effect.Effect<Counters>
  /** With the capability `"losses"`. */
  readonly losses?: Stream.Stream<Loss>
}

/** What `on` of the bus under test answers. */
export interface TestedHandler {
  readonly unsubscribe: Effect.Effect<void>
}

/** The bus under test; see `EventBus` for what its members must do. Every `EventBus` of these events is one. */
export interface TestedBus {
  readonly publish: (event: Event) => Effect.Effect<void>
  readonly publishAll: (events: Iterable<Event>) => Effect.Effect<void>
  readonly subscribe: (options: SubscribeOptions) => Effect.Effect<TestedSubscription, never, Scope.Scope>
  readonly shutdown: Effect.Effect<void>
  readonly awaitShutdown: Effect.Effect<void>
  /** With the capability `"publishUnsafe"`. */
  readonly publishUnsafe?: (event: Event) => void
  /** With the capability `"metrics"`. */
  readonly metrics?: Effect.Effect<Omit<Metrics, "publishedByKind">>
  /** With the capability `"handlers"`. */
  readonly on?: (
    kinds: ReadonlyArray<Kind>,
    handler: (event: Event) => Effect.Effect<unknown, unknown>,
    options?: { readonly concurrency?: number; readonly drain?: Duration.Input }
  ) => Effect.Effect<TestedHandler, never, Scope.Scope>
}

/**
 * A way to make a bus, and what can be expected of it.
 */
export interface Harness {
  /** A new bus, whose life is that of the scope. */
  readonly make: (options: BusOptions) => Effect.Effect<TestedBus, never, Scope.Scope>
  /** Situations that require something else are left out by `situationsFor`. */
  readonly offers: ReadonlyArray<Capability>
  /**
   * Completes when what was published has arrived. Only for a bus whose events leave the process, or go through promises
   * and timers: what is scheduled by Effect's scheduler is waited for anyway. With it, a situation that waits for ever
   * is ended by the test's own time-out only.
   */
  readonly settle?: Effect.Effect<void>
  /** Seeds of the random situations. Default: twenty new ones for each run; a failure names its seed. */
  readonly seeds?: ReadonlyArray<number>
}

/**
 * A bus did something else than it promises.
 */
export class ConformanceFailure extends Data.TaggedError("ConformanceFailure")<{
  /** The name of the situation. */
  readonly situation: string
  /** What was expected, and what was found. */
  readonly message: string
}> {}

/** One thing that a bus promises. */
export interface Situation {
  /** What the situation is about: several share a topic. */
  readonly topic: string
  /** The promise. Unique. */
  readonly name: string
  /** What a bus must offer for the situation to make sense. */
  readonly requires: ReadonlyArray<Capability>
  /** Makes a bus, puts it in the situation, and fails unless the promise is kept. */
  readonly run: (harness: Harness) => Effect.Effect<void, ConformanceFailure>
}

/** The situations that a bus has to pass: those that require no more than it offers. */
export const situationsFor = (harness: Harness): ReadonlyArray<Situation> =>
  situations.filter((situation) => situation.requires.every((capability) => harness.offers.includes(capability)))

// -----------------------------------------------------------------------------
// The stage
// -----------------------------------------------------------------------------

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
class Stage extends Context.Service<Stage, {
  readonly situation: string
  readonly harness: Harness
  readonly scheduler: CountingScheduler
  /** Counts what a bridge has to carry. */
  readonly sent: { count: number }
}>()("@openwatch/event-bus/Conformance/Stage") {}

type Steps = () => Generator<Effect.Effect<unknown, ConformanceFailure, Stage | Scope.Scope>, void, never>

/** A situation that has no topic yet. */
type Untitled = Omit<Situation, "topic">

const fail = (message: string): Effect.Effect<never, ConformanceFailure, Stage> =>
  Effect.flatMap(Stage, ({ situation }) => Effect.fail(new ConformanceFailure({ situation, message })))

/** Lets everything happen that can happen, short of time going by. */
const settle: Effect.Effect<void, ConformanceFailure, Stage> = Effect.gen(function*() {
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

const situation = (name: string, requires: ReadonlyArray<Capability>, steps: Steps): Untitled => ({
  name,
  requires,
  run: (harness) => play(name, harness, steps)
})

/** A situation that is played once for each seed; `Random` is its source of chance. */
const randomSituation = (name: string, requires: ReadonlyArray<Capability>, steps: Steps): Untitled => ({
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

const topic = (
  topic: string,
  ...situations: ReadonlyArray<Untitled>
): ReadonlyArray<Situation> => situations.map(({ name, requires, run }) => ({ topic, name, requires, run }))

/** A situation for each policy. */
const forEachPolicy = (
  make: (overflow: Overflow) => Untitled
): ReadonlyArray<Untitled> => [make("dropping"), make("sliding")]

// -----------------------------------------------------------------------------
// Events of the situations
// -----------------------------------------------------------------------------

/** Event number `n`, which happened `n` milliseconds after the epoch. */
const red = (n: number): Red => new Red({ n, occurredAt: DateTime.makeUnsafe(n) })
const green = (n: number): Green => new Green({ n, occurredAt: DateTime.makeUnsafe(n) })
const blue = (n: number): Blue => new Blue({ n, occurredAt: DateTime.makeUnsafe(n) })

/** Red events, from the first number to the last. */
const reds = (first: number, last: number): Array<Event> =>
  Array.from({ length: Math.max(0, last - first + 1) }, (_, i) => red(first + i))

// -----------------------------------------------------------------------------
// Expectations
// -----------------------------------------------------------------------------

const isEvent = (value: unknown): value is Event => typeof value === "object" && value !== null && "_tag" in value

const show = (value: unknown): string => {
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

const expect = (what: string, found: unknown, expected: unknown): Effect.Effect<void, ConformanceFailure, Stage> =>
  show(found) === show(expected) ? Effect.void : fail(`${what}: ${difference(expected, found)}`)

/** What is known of an action once everything has happened. */
type Outcome = Event | ReadonlyArray<Event> | "waits" | "is done"

/** Something that a subscriber does, and what messages call it. */
interface Action {
  readonly what: string
  readonly effect: Effect.Effect<Event | ReadonlyArray<Event>, Cause.Done>
}

/** An action that was begun. */
interface Begun {
  readonly what: string
  readonly fiber: Fiber.Fiber<Event | ReadonlyArray<Event>, Cause.Done>
}

const outcomeOf = ({ fiber }: Begun): unknown => {
  const exit = fiber.pollUnsafe()
  if (exit === undefined) return "waits"
  if (Exit.isSuccess(exit)) return exit.value
  if (Cause.hasInterruptsOnly(exit.cause)) return "was interrupted"
  const error = Cause.squash(exit.cause)
  return Cause.isDone(error) ? "is done" : `dies of ${String(error)}`
}

/** The events that an action has brought. */
const eventsOf = (begun: Begun): ReadonlyArray<Event> => {
  const exit = begun.fiber.pollUnsafe()
  return exit === undefined || Exit.isFailure(exit) ? [] : [exit.value].flat()
}

/** Begins the action in a fiber of its own, and goes on when it has completed or waits. */
const begin = ({ effect, what }: Action): Effect.Effect<Begun, ConformanceFailure, Stage> =>
  Effect.forkChild(effect).pipe(Effect.map((fiber) => ({ what, fiber })), Effect.tap(settle))

/** What has become of it by now. */
const came = (begun: Begun, expected: Outcome): Effect.Effect<void, ConformanceFailure, Stage> =>
  Effect.andThen(settle, Effect.suspend(() => expect(begun.what, outcomeOf(begun), expected)))

/** What comes of the action, without anybody's help; it is given up if it waits. */
const gives = (action: Action, expected: Outcome): Effect.Effect<void, ConformanceFailure, Stage> =>
  Effect.flatMap(begin(action), (begun) =>
    Effect.andThen(
      came(begun, expected),
      Effect.asVoid(Fiber.interrupt(begun.fiber))
    ))

/** What is pending, and nothing else. It is taken. */
const holds = (
  subscription: StagedSubscription,
  expected: ReadonlyArray<Event>
): Effect.Effect<void, ConformanceFailure, Stage> =>
  Effect.andThen(settle, gives(subscription.takeUpTo(Number.POSITIVE_INFINITY), expected))

// -----------------------------------------------------------------------------
// The bus on the stage
// -----------------------------------------------------------------------------

interface StagedSubscription {
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

type StagedBus = Required<Omit<TestedBus, "subscribe">> & {
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

const lawful = (name: string, counters: Counters): Effect.Effect<void, ConformanceFailure, Stage> => {
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

const makeBus = (options: BusOptions = {}): Effect.Effect<StagedBus, never, Stage | Scope.Scope> =>
  Effect.flatMap(Stage, ({ harness, sent }) =>
    Effect.map(harness.make(options), (bus) =>
      stageBus(bus, (act) => {
        sent.count++
        return act()
      })))

/** Publishes one after the other, with nothing between. */
const publishEach = (bus: StagedBus, events: ReadonlyArray<Event>): Effect.Effect<void> =>
  Effect.forEach(events, bus.publish, { discard: true })

/** Collects what a stream brings, as it comes. */
const collect = <A>(
  stream: Stream.Stream<A>
): Effect.Effect<{ readonly found: Array<A>; readonly fiber: Fiber.Fiber<void> }, ConformanceFailure, Stage> =>
  Effect.gen(function*() {
    const found: Array<A> = []
    const fiber = yield* Effect.forkChild(Stream.runForEach(stream, (value) => Effect.sync(() => found.push(value))))
    yield* settle
    return { found, fiber }
  })

const hasEnded = (
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
const makeScope: Effect.Effect<Scope.Closeable, never, Scope.Scope> = Effect.map(
  Effect.scope,
  (scope) => Scope.forkUnsafe(scope)
)

const close = (scope: Scope.Closeable): Effect.Effect<void> => Scope.close(scope, Exit.void)

// -----------------------------------------------------------------------------
// Delivery
// -----------------------------------------------------------------------------

const delivery = topic(
  "Delivery",
  situation("an event reaches every subscription to its kind", [], function*() {
    const bus = yield* makeBus()
    const first = yield* bus.subscribe({ kinds: ["Red"], name: "first subscription" })
    const second = yield* bus.subscribe({ kinds: ["Red"], name: "second subscription" })
    const wider = yield* bus.subscribe({ kinds: ["Red", "Green"], name: "wider subscription" })
    yield* bus.publish(red(1))
    yield* holds(first, [red(1)])
    yield* holds(second, [red(1)])
    yield* holds(wider, [red(1)])
  }),
  situation("an event that was taken is not taken again", [], function*() {
    const bus = yield* makeBus()
    const subscription = yield* bus.subscribe({ kinds: ["Red"] })
    yield* publishEach(bus, reds(1, 2))
    yield* settle
    yield* gives(subscription.take, red(1))
    yield* gives(subscription.take, red(2))
    yield* gives(subscription.take, "waits")
  }),
  situation("a subscription has nothing of what was published before it", [], function*() {
    const bus = yield* makeBus()
    const earlier = yield* bus.subscribe({ kinds: ["Red"], name: "earlier subscription" })
    yield* publishEach(bus, reds(1, 2))
    yield* settle
    const later = yield* bus.subscribe({ kinds: ["Red"], name: "later subscription" })
    yield* bus.publish(red(3))
    yield* holds(later, [red(3)])
    yield* holds(earlier, reds(1, 3))
  }),
  situation("a stream brings what was published before it was first read", [], function*() {
    const bus = yield* makeBus()
    const subscription = yield* bus.subscribe({ kinds: ["Red"] })
    yield* publishEach(bus, reds(1, 2))
    const { found } = yield* collect(subscription.stream)
    yield* expect("stream", found, reds(1, 2))
  }),
  situation("a subscription to no kinds receives nothing", [], function*() {
    const bus = yield* makeBus()
    const subscription = yield* bus.subscribe({ kinds: [] })
    yield* publishEach(bus, [red(1), green(2), blue(3)])
    yield* holds(subscription, [])
  }),
  situation("a kind that is named twice is received once", [], function*() {
    const bus = yield* makeBus()
    const subscription = yield* bus.subscribe({ kinds: ["Red", "Red"] })
    yield* bus.publish(red(1))
    yield* holds(subscription, [red(1)])
  }),
  situation("publishing an empty list wakes nobody", [], function*() {
    const bus = yield* makeBus()
    const subscription = yield* bus.subscribe({ kinds: ["Red"] })
    const taker = yield* begin(subscription.takeAll)
    yield* bus.publishAll([])
    yield* came(taker, "waits")
  }),
  situation("publishUnsafe delivers as publish does", ["publishUnsafe"], function*() {
    const bus = yield* makeBus()
    const waiting = yield* bus.subscribe({ kinds: ["Red"], name: "waiting subscription" })
    const idle = yield* bus.subscribe({ kinds: ["Red"], name: "idle subscription" })
    const taker = yield* begin(waiting.take)
    bus.publishUnsafe(red(1))
    yield* came(taker, red(1))
    yield* holds(idle, [red(1)])
  })
)

// -----------------------------------------------------------------------------
// Order
// -----------------------------------------------------------------------------

const order = topic(
  "Order",
  situation("events come in the order in which they were published", [], function*() {
    const bus = yield* makeBus({ bufferSize: 1000 })
    const subscription = yield* bus.subscribe({ kinds: ["Red"] })
    yield* publishEach(bus, reds(1, 1000))
    yield* holds(subscription, reds(1, 1000))
  }),
  situation("the order holds across kinds", [], function*() {
    const bus = yield* makeBus()
    const all = yield* bus.subscribe({ kinds: ["Blue", "Green", "Red"] })
    yield* publishEach(bus, [red(1), blue(2), red(3), green(4), green(5), red(6), blue(7)])
    yield* holds(all, [red(1), blue(2), red(3), green(4), green(5), red(6), blue(7)])
  }),
  situation("subscriptions to different kinds see the same events in the same order", [], function*() {
    const bus = yield* makeBus()
    const warm = yield* bus.subscribe({ kinds: ["Red", "Green"], name: "subscription to red and green" })
    const cold = yield* bus.subscribe({ kinds: ["Green", "Blue"], name: "subscription to green and blue" })
    yield* publishEach(bus, [green(1), red(2), blue(3), green(4), red(5), blue(6), green(7)])
    yield* holds(warm, [green(1), red(2), green(4), red(5), green(7)])
    yield* holds(cold, [green(1), blue(3), green(4), blue(6), green(7)])
  }),
  situation("the order holds across publish, publishAll and publishUnsafe", ["publishUnsafe"], function*() {
    const bus = yield* makeBus()
    const subscription = yield* bus.subscribe({ kinds: ["Red"] })
    yield* bus.publish(red(1))
    bus.publishUnsafe(red(2))
    yield* bus.publishAll(reds(3, 5))
    bus.publishUnsafe(red(6))
    yield* bus.publish(red(7))
    yield* holds(subscription, reds(1, 7))
  }),
  situation("nothing of another publisher comes between the events of publishAll", [], function*() {
    const bus = yield* makeBus()
    const subscription = yield* bus.subscribe({ kinds: ["Red", "Green"] })
    yield* Effect.all([
      Effect.forEach([1, 4, 7], (n) => Effect.andThen(bus.publishAll(reds(n, n + 2)), Effect.yieldNow)),
      Effect.forEach(
        [1, 4, 7],
        (n) => Effect.andThen(bus.publishAll([green(n), green(n + 1), green(n + 2)]), Effect.yieldNow)
      )
    ], { concurrency: "unbounded" })
    yield* settle
    for (let batch = 0; batch < 6; batch++) {
      const taking = yield* begin(subscription.takeUpTo(3))
      const found = eventsOf(taking)
      const first = found[0]
      const n = first?.n ?? 0
      yield* expect(
        `batch ${batch + 1}`,
        found,
        first?._tag === "Green" ? [green(n), green(n + 1), green(n + 2)] : reds(n, n + 2)
      )
    }
  }),
  situation("the order holds across all ways to take", [], function*() {
    const bus = yield* makeBus()
    const subscription = yield* bus.subscribe({ kinds: ["Red"] })
    yield* publishEach(bus, reds(1, 9))
    yield* settle
    yield* gives(subscription.take, red(1))
    yield* gives(subscription.takeUpTo(2), reds(2, 3))
    yield* gives(subscription.takeBetween(1, 3), reds(4, 6))
    yield* gives(subscription.take, red(7))
    yield* gives(subscription.takeAll, reds(8, 9))
  }),
  situation("waiting takers are served in the order in which they came", [], function*() {
    const bus = yield* makeBus()
    const subscription = yield* bus.subscribe({ kinds: ["Red"] })
    const takers = [
      yield* begin(subscription.take),
      yield* begin(subscription.take),
      yield* begin(subscription.take)
    ]
    yield* publishEach(bus, reds(1, 2))
    yield* settle
    yield* expect("the takers", takers.map(outcomeOf), [red(1), red(2), "waits"])
    yield* bus.publish(red(3))
    yield* settle
    yield* expect("the takers", takers.map(outcomeOf), reds(1, 3))
  }),
  situation("a taker that comes later does not overtake one that waits", ["synchronous"], function*() {
    const bus = yield* makeBus()
    const subscription = yield* bus.subscribe({ kinds: ["Red"] })
    const waiting = yield* begin(subscription.take)
    yield* bus.publish(red(1))
    const late = yield* Effect.forkChild(subscription.take.effect, { startImmediately: true })
    yield* bus.publish(red(2))
    yield* came(waiting, red(1))
    yield* came({ what: "the later take", fiber: late }, red(2))
  }),
  situation("a handler gets the events in order, one at a time", ["handlers"], function*() {
    const bus = yield* makeBus()
    const log: Array<string> = []
    yield* bus.on(["Red", "Green"], (event) =>
      Effect.gen(function*() {
        log.push(`${show(event)} begins`)
        yield* Effect.yieldNow
        log.push(`${show(event)} ends`)
      }))
    yield* publishEach(bus, [red(1), green(2), red(3)])
    yield* settle
    yield* expect("the handler", log, [
      "Red 1 begins",
      "Red 1 ends",
      "Green 2 begins",
      "Green 2 ends",
      "Red 3 begins",
      "Red 3 ends"
    ])
  })
)

// -----------------------------------------------------------------------------
// Lag and recovery
// -----------------------------------------------------------------------------

const lag = topic(
  "Lag and recovery",
  situation("a full dropping buffer keeps the oldest events and loses the newest", ["dropping"], function*() {
    const bus = yield* makeBus({ bufferSize: 4, overflow: "dropping" })
    const subscription = yield* bus.subscribe({ kinds: ["Red"] })
    yield* publishEach(bus, reds(1, 6))
    yield* holds(subscription, reds(1, 4))
  }),
  situation("a full sliding buffer keeps the newest events and loses the oldest", ["sliding"], function*() {
    const bus = yield* makeBus({ bufferSize: 4, overflow: "sliding" })
    const subscription = yield* bus.subscribe({ kinds: ["Red"] })
    yield* publishEach(bus, reds(1, 6))
    yield* holds(subscription, reds(3, 6))
  }),
  ...forEachPolicy((overflow) =>
    situation(`a ${overflow} buffer that is exactly full has lost nothing`, [overflow], function*() {
      const bus = yield* makeBus({ bufferSize: 4, overflow })
      const subscription = yield* bus.subscribe({ kinds: ["Red"] })
      yield* publishEach(bus, reds(1, 4))
      yield* holds(subscription, reds(1, 4))
    })
  ),
  situation("a single-slot dropping buffer keeps the first event", ["dropping"], function*() {
    const bus = yield* makeBus({ bufferSize: 1, overflow: "dropping" })
    const subscription = yield* bus.subscribe({ kinds: ["Red"] })
    yield* publishEach(bus, reds(1, 3))
    yield* holds(subscription, [red(1)])
    yield* bus.publish(red(4))
    yield* holds(subscription, [red(4)])
  }),
  situation("a single-slot sliding buffer keeps the last event", ["sliding"], function*() {
    const bus = yield* makeBus({ bufferSize: 1, overflow: "sliding" })
    const subscription = yield* bus.subscribe({ kinds: ["Red"] })
    yield* publishEach(bus, reds(1, 3))
    yield* holds(subscription, [red(3)])
    yield* bus.publish(red(4))
    yield* holds(subscription, [red(4)])
  }),
  situation("a single slot that is emptied in time loses nothing", [], function*() {
    const bus = yield* makeBus({ bufferSize: 1 })
    const subscription = yield* bus.subscribe({ kinds: ["Red"] })
    for (const event of reds(1, 5)) {
      yield* bus.publish(event)
      yield* settle
      yield* gives(subscription.take, event)
    }
  }),
  situation("one take makes room for one event in a full dropping buffer", ["dropping"], function*() {
    const bus = yield* makeBus({ bufferSize: 3, overflow: "dropping" })
    const subscription = yield* bus.subscribe({ kinds: ["Red"] })
    yield* publishEach(bus, reds(1, 3))
    yield* settle
    yield* gives(subscription.take, red(1))
    yield* publishEach(bus, reds(4, 5))
    yield* holds(subscription, [red(2), red(3), red(4)])
  }),
  situation("one take saves one event of a full sliding buffer", ["sliding"], function*() {
    const bus = yield* makeBus({ bufferSize: 3, overflow: "sliding" })
    const subscription = yield* bus.subscribe({ kinds: ["Red"] })
    yield* publishEach(bus, reds(1, 3))
    yield* settle
    yield* gives(subscription.take, red(1))
    yield* bus.publish(red(4))
    yield* settle
    yield* gives(subscription.take, red(2))
    yield* publishEach(bus, reds(5, 6))
    yield* holds(subscription, reds(4, 6))
  }),
  situation("a dropping buffer that overflows twice keeps the oldest of each time", ["dropping"], function*() {
    const bus = yield* makeBus({ bufferSize: 4, overflow: "dropping" })
    const subscription = yield* bus.subscribe({ kinds: ["Red"] })
    yield* publishEach(bus, reds(1, 6))
    yield* settle
    yield* gives(subscription.takeUpTo(2), reds(1, 2))
    yield* publishEach(bus, reds(7, 9))
    yield* holds(subscription, [red(3), red(4), red(7), red(8)])
  }),
  situation("a sliding buffer that overflows twice keeps the newest", ["sliding"], function*() {
    const bus = yield* makeBus({ bufferSize: 4, overflow: "sliding" })
    const subscription = yield* bus.subscribe({ kinds: ["Red"] })
    yield* publishEach(bus, reds(1, 6))
    yield* settle
    yield* gives(subscription.takeUpTo(2), reds(3, 4))
    yield* publishEach(bus, reds(7, 9))
    yield* holds(subscription, reds(6, 9))
  }),
  ...forEachPolicy((overflow) =>
    situation(
      `a subscription that lagged (${overflow}) misses nothing once it keeps up again`,
      [overflow],
      function*() {
        const bus = yield* makeBus({ bufferSize: 2, overflow })
        const subscription = yield* bus.subscribe({ kinds: ["Red"] })
        for (let round = 0; round < 3; round++) {
          const n = 100 * round
          yield* publishEach(bus, reds(n + 1, n + 50))
          yield* holds(subscription, overflow === "dropping" ? reds(n + 1, n + 2) : reds(n + 49, n + 50))
          for (const event of reds(n + 51, n + 60)) {
            yield* bus.publish(event)
            yield* holds(subscription, [event])
          }
        }
      }
    )
  ),
  ...forEachPolicy((overflow) =>
    situation(
      `${overflow} buffers of sizes that are not powers of two hold what they say`,
      [overflow],
      function*() {
        for (const bufferSize of [3, 5, 6, 7, 100]) {
          const bus = yield* makeBus({ bufferSize, overflow })
          const subscription = yield* bus.subscribe({ kinds: ["Red"], name: `buffer of ${bufferSize}` })
          yield* publishEach(bus, reds(1, bufferSize + 2))
          yield* settle
          const first = overflow === "dropping" ? 1 : 3
          yield* gives(subscription.takeUpTo(2), reds(first, first + 1))
          yield* publishEach(bus, reds(1001, 1002))
          yield* holds(subscription, [...reds(first + 2, first + bufferSize - 1), ...reds(1001, 1002)])
        }
      }
    )
  ),
  ...forEachPolicy((overflow) =>
    situation(
      `publishAll of more than a ${overflow} buffer holds does what publishing each would`,
      [overflow],
      function*() {
        const bus = yield* makeBus({ bufferSize: 3, overflow })
        const subscription = yield* bus.subscribe({ kinds: ["Red"] })
        yield* bus.publish(red(1))
        yield* bus.publishAll(reds(2, 8))
        yield* holds(subscription, overflow === "dropping" ? reds(1, 3) : reds(6, 8))
      }
    )
  ),
  situation("publishUnsafe to a full sliding buffer evicts the oldest event, as publish does", [
    "publishUnsafe",
    "sliding"
  ], function*() {
    const bus = yield* makeBus({ bufferSize: 2, overflow: "sliding" })
    const subscription = yield* bus.subscribe({ kinds: ["Red"] })
    for (const event of reds(1, 4)) bus.publishUnsafe(event)
    yield* holds(subscription, reds(3, 4))
  }),
  ...forEachPolicy((overflow) =>
    situation(
      `a flood of thousands into a ${overflow} buffer nobody reads keeps what fewer would`,
      [overflow],
      function*() {
        const bus = yield* makeBus({ bufferSize: 5, overflow })
        const subscription = yield* bus.subscribe({ kinds: ["Red"] })
        yield* publishEach(bus, reds(1, 5000))
        yield* holds(subscription, overflow === "dropping" ? reds(1, 5) : reds(4996, 5000))
        yield* publishEach(bus, reds(5001, 5003))
        yield* holds(subscription, reds(5001, 5003))
      }
    )
  ),
  situation(
    "a taker that waits makes no room: what comes before it wakes is dropped",
    ["dropping", "synchronous"],
    function*() {
      const bus = yield* makeBus({ bufferSize: 1, overflow: "dropping" })
      const subscription = yield* bus.subscribe({ kinds: ["Red"] })
      const taker = yield* begin(subscription.take)
      yield* bus.publish(red(1))
      yield* bus.publish(red(2))
      yield* came(taker, red(1))
      yield* holds(subscription, [])
    }
  ),
  situation(
    "a taker that waits saves nothing: what is evicted before it wakes is not its",
    ["sliding", "synchronous"],
    function*() {
      const bus = yield* makeBus({ bufferSize: 1, overflow: "sliding" })
      const subscription = yield* bus.subscribe({ kinds: ["Red"] })
      const taker = yield* begin(subscription.take)
      yield* bus.publish(red(1))
      yield* bus.publish(red(2))
      yield* came(taker, red(2))
      yield* holds(subscription, [])
    }
  ),
  situation(
    "a subscription may have a larger and a smaller buffer than the bus's",
    ["buffers", "dropping"],
    function*() {
      const bus = yield* makeBus({ bufferSize: 3, overflow: "dropping" })
      const small = yield* bus.subscribe({ kinds: ["Red"], bufferSize: 2, name: "small buffer" })
      const usual = yield* bus.subscribe({ kinds: ["Red"], name: "usual buffer" })
      const large = yield* bus.subscribe({ kinds: ["Red"], bufferSize: 5, name: "large buffer" })
      yield* publishEach(bus, reds(1, 6))
      yield* holds(small, reds(1, 2))
      yield* holds(usual, reds(1, 3))
      yield* holds(large, reds(1, 5))
    }
  ),
  situation("dropping and sliding subscriptions live side by side", ["buffers", "dropping", "sliding"], function*() {
    const bus = yield* makeBus({ bufferSize: 3 })
    const dropping = yield* bus.subscribe({ kinds: ["Red"], overflow: "dropping", name: "dropping subscription" })
    const sliding = yield* bus.subscribe({ kinds: ["Red"], overflow: "sliding", name: "sliding subscription" })
    yield* publishEach(bus, reds(1, 5))
    yield* holds(dropping, reds(1, 3))
    yield* holds(sliding, reds(3, 5))
  })
)

// -----------------------------------------------------------------------------
// Isolation
// -----------------------------------------------------------------------------

const isolation = topic(
  "Isolation",
  ...forEachPolicy((overflow) =>
    situation(`a full ${overflow} subscription costs no other subscription an event`, [overflow], function*() {
      const bus = yield* makeBus({ bufferSize: 2, overflow })
      const stuck = yield* bus.subscribe({ kinds: ["Red"], name: "stuck subscription" })
      const busy = yield* bus.subscribe({ kinds: ["Red"], name: "busy subscription" })
      for (const event of reds(1, 10)) {
        yield* bus.publish(event)
        yield* settle
        yield* gives(busy.take, event)
      }
      yield* holds(stuck, overflow === "dropping" ? reds(1, 2) : reds(9, 10))
    })
  ),
  situation("a slow subscription keeps its backlog while a fast one runs ahead", [], function*() {
    const bus = yield* makeBus({ bufferSize: 300 })
    const slow = yield* bus.subscribe({ kinds: ["Red"], name: "slow subscription" })
    const fast = yield* bus.subscribe({ kinds: ["Red"], name: "fast subscription" })
    for (let n = 1; n <= 300; n += 50) {
      yield* publishEach(bus, reds(n, n + 49))
      yield* holds(fast, reds(n, n + 49))
    }
    yield* holds(slow, reds(1, 300))
  }),
  situation("publishing to full buffers completes before anything else runs", ["synchronous"], function*() {
    const bus = yield* makeBus({ bufferSize: 1 })
    yield* bus.subscribe({ kinds: ["Red"] })
    yield* publishEach(bus, reds(1, 2))
    const log: Array<string> = []
    yield* Effect.forkChild(Effect.sync(() => log.push("another fiber ran")))
    yield* bus.publish(red(3))
    yield* bus.publishAll(reds(4, 6))
    log.push("published")
    yield* settle
    yield* expect("the log", log, ["published", "another fiber ran"])
  }),
  situation("interrupting a taker that waits costs the next one nothing", [], function*() {
    const bus = yield* makeBus()
    const subscription = yield* bus.subscribe({ kinds: ["Red"] })
    const first = yield* begin(subscription.take)
    const second = yield* begin(subscription.take)
    yield* Fiber.interrupt(first.fiber)
    yield* bus.publish(red(1))
    yield* came(second, red(1))
    yield* holds(subscription, [])
  }),
  situation("an event is not lost with a taker that is interrupted before it wakes", ["synchronous"], function*() {
    const bus = yield* makeBus()
    const subscription = yield* bus.subscribe({ kinds: ["Red"] })
    const first = yield* begin(subscription.take)
    const second = yield* begin(subscription.take)
    yield* bus.publish(red(1))
    yield* Fiber.interrupt(first.fiber)
    yield* settle
    yield* expect("what both takers have", [...eventsOf(first), ...eventsOf(second)], [red(1)])
  }),
  situation("a stuck handler keeps nothing from another", ["handlers"], function*() {
    const bus = yield* makeBus({ bufferSize: 2 })
    const handled: Array<Event> = []
    yield* bus.on(["Red"], () => Effect.never)
    yield* bus.on(["Red"], (event) => Effect.sync(() => handled.push(event)))
    for (const event of reds(1, 5)) {
      yield* bus.publish(event)
      yield* settle
    }
    yield* expect("the other handler", handled, reds(1, 5))
  }),
  situation("a handler that fails, dies or throws gets the next event", ["handlers"], function*() {
    const bus = yield* makeBus()
    const handled: Array<Event> = []
    yield* bus.on(["Red"], (event) => {
      handled.push(event)
      if (event.n === 1) return Effect.fail("a failure")
      if (event.n === 2) return Effect.die("a defect")
      if (event.n === 3) throw new Error("a throw before there is an effect")
      return Effect.void
    })
    yield* publishEach(bus, reds(1, 4))
    yield* settle
    yield* expect("the handler", handled, reds(1, 4))
  }),
  situation("a handler that ends interrupted gets the next event", ["handlers"], function*() {
    const bus = yield* makeBus()
    const handled: Array<Event> = []
    yield* bus.on(["Red"], (event) => {
      handled.push(event)
      return event.n === 1 ? Effect.interrupt : Effect.void
    })
    yield* publishEach(bus, reds(1, 2))
    yield* settle
    yield* expect("the handler", handled, reds(1, 2))
  }),
  situation("a handler that fails costs another handler nothing", ["handlers"], function*() {
    const bus = yield* makeBus()
    const handled: Array<Event> = []
    yield* bus.on(["Red"], () => Effect.die("a defect"))
    yield* bus.on(["Red"], (event) => Effect.sync(() => handled.push(event)))
    yield* publishEach(bus, reds(1, 3))
    yield* settle
    yield* expect("the other handler", handled, reds(1, 3))
  }),
  situation("concurrency bounds how many events a subscription handles at a time", ["handlers"], function*() {
    const bus = yield* makeBus()
    const gate = yield* Latch.make()
    let running = 0
    let most = 0
    let handled = 0
    yield* bus.on(["Red"], () =>
      Effect.gen(function*() {
        most = Math.max(most, ++running)
        yield* gate.await
        running--
        handled++
      }), { concurrency: 3 })
    yield* publishEach(bus, reds(1, 7))
    yield* settle
    yield* expect("handlers that run", running, 3)
    yield* gate.open
    yield* settle
    yield* expect("handlers that ran at a time, and events handled", [most, handled], [3, 7])
  })
)

// -----------------------------------------------------------------------------
// No inline execution
// -----------------------------------------------------------------------------

/** Publishes, and expects that nothing of the subscriber's has run when publishing returned. */
const runsLater = (
  log: Array<string>,
  publish: Effect.Effect<void>
): Effect.Effect<void, ConformanceFailure, Stage> =>
  Effect.gen(function*() {
    yield* settle
    yield* Effect.andThen(publish, Effect.sync(() => log.push("published")))
    yield* settle
    yield* expect("the log", log, ["published", "the subscriber ran"])
  })

const inline = topic(
  "No inline execution",
  situation("a taker that waits has not run when publish returns", [], function*() {
    const bus = yield* makeBus()
    const subscription = yield* bus.subscribe({ kinds: ["Red"] })
    const log: Array<string> = []
    yield* Effect.forkChild(
      Effect.tap(subscription.take.effect, () => Effect.sync(() => log.push("the subscriber ran")))
    )
    yield* runsLater(log, bus.publish(red(1)))
  }),
  situation("a taker that waits has not run when publishUnsafe returns", ["publishUnsafe"], function*() {
    const bus = yield* makeBus()
    const subscription = yield* bus.subscribe({ kinds: ["Red"] })
    const log: Array<string> = []
    yield* Effect.forkChild(
      Effect.tap(subscription.take.effect, () => Effect.sync(() => log.push("the subscriber ran")))
    )
    yield* runsLater(log, Effect.sync(() => bus.publishUnsafe(red(1))))
  }),
  situation("a taker that waits has not run when publishAll returns", [], function*() {
    const bus = yield* makeBus()
    const subscription = yield* bus.subscribe({ kinds: ["Red"] })
    const log: Array<string> = []
    yield* Effect.forkChild(
      Effect.tap(subscription.takeBetween(3, 3).effect, () => Effect.sync(() => log.push("the subscriber ran")))
    )
    yield* runsLater(log, bus.publishAll(reds(1, 3)))
  }),
  situation("the consumer of a stream has not run when publish returns", [], function*() {
    const bus = yield* makeBus()
    const subscription = yield* bus.subscribe({ kinds: ["Red"] })
    const log: Array<string> = []
    yield* Effect.forkChild(
      Stream.runForEach(subscription.stream, () => Effect.sync(() => log.push("the subscriber ran")))
    )
    yield* runsLater(log, bus.publish(red(1)))
  }),
  situation("a handler has not run when publish returns", ["handlers"], function*() {
    const bus = yield* makeBus()
    const log: Array<string> = []
    yield* bus.on(["Red"], () => Effect.sync(() => log.push("the subscriber ran")))
    yield* runsLater(log, bus.publish(red(1)))
  }),
  situation("a subscriber that publishes what another waits for runs to its end first", [], function*() {
    const bus = yield* makeBus()
    const subscription = yield* bus.subscribe({ kinds: ["Red"] })
    const answers = yield* bus.subscribe({ kinds: ["Green"] })
    const log: Array<string> = []
    yield* Effect.forkChild(
      Effect.tap(answers.take.effect, () => Effect.sync(() => log.push("the answer was taken")))
    )
    yield* Effect.forkChild(Effect.gen(function*() {
      yield* subscription.take.effect
      log.push("the question was taken")
      yield* bus.publish(green(1))
      log.push("the answer was published")
    }))
    yield* settle
    yield* bus.publish(red(1))
    yield* settle
    yield* expect("the log", log, [
      "the question was taken",
      "the answer was published",
      "the answer was taken"
    ])
  }),
  situation("a handler that publishes its own kind is not run inside itself", ["handlers"], function*() {
    const bus = yield* makeBus()
    const handled: Array<Event> = []
    let depth = 0
    let deepest = 0
    yield* bus.on(["Red"], (event) =>
      Effect.gen(function*() {
        deepest = Math.max(deepest, ++depth)
        handled.push(event)
        if (event.n < 4) yield* bus.publish(red(event.n + 1))
        depth--
      }))
    yield* bus.publish(red(1))
    yield* settle
    yield* expect("the handler", handled, reds(1, 4))
    yield* expect("handlers inside each other", deepest, 1)
  }),
  situation("of thousands of takers that wait, none has run when publish returns, and all run then", [], function*() {
    const bus = yield* makeBus({ bufferSize: 8 })
    let ran = 0
    const taken = Effect.sync(() => ran++)
    for (let i = 0; i < 2000; i++) {
      const subscription = yield* bus.subscribe({ kinds: ["Red"] })
      yield* Effect.forkChild(Effect.tap(subscription.take.effect, taken))
    }
    yield* settle
    yield* bus.publish(red(1))
    yield* expect("takers that ran inside publish", ran, 0)
    yield* settle
    yield* expect("takers that ran", ran, 2000)
  })
)

// -----------------------------------------------------------------------------
// Kinds
// -----------------------------------------------------------------------------

const kinds = topic(
  "Kinds",
  situation("a flood of one kind drops no event of a subscription to another", ["dropping"], function*() {
    const bus = yield* makeBus({ bufferSize: 2, overflow: "dropping" })
    const subscription = yield* bus.subscribe({ kinds: ["Red"] })
    yield* publishEach(bus, [green(1), green(2), green(3), red(4), green(5), blue(6), red(7)])
    yield* holds(subscription, [red(4), red(7)])
  }),
  situation("a flood of one kind evicts no event of a subscription to another", ["sliding"], function*() {
    const bus = yield* makeBus({ bufferSize: 2, overflow: "sliding" })
    const subscription = yield* bus.subscribe({ kinds: ["Red"] })
    yield* publishEach(bus, [red(1), red(2), green(3), green(4), green(5), blue(6)])
    yield* holds(subscription, [red(1), red(2)])
  }),
  ...forEachPolicy((overflow) =>
    situation(`the kinds of a ${overflow} subscription share its one buffer`, [overflow], function*() {
      const bus = yield* makeBus({ bufferSize: 3, overflow })
      const subscription = yield* bus.subscribe({ kinds: ["Red", "Green"] })
      yield* publishEach(bus, [red(1), green(2), red(3), green(4), red(5)])
      yield* holds(
        subscription,
        overflow === "dropping" ? [red(1), green(2), red(3)] : [red(3), green(4), red(5)]
      )
    })
  ),
  situation("a taker is not woken by another kind", [], function*() {
    const bus = yield* makeBus()
    const subscription = yield* bus.subscribe({ kinds: ["Red"] })
    const taker = yield* begin(subscription.takeAll)
    yield* publishEach(bus, [green(1), blue(2)])
    yield* came(taker, "waits")
    yield* bus.publish(red(3))
    yield* came(taker, [red(3)])
  }),
  situation("the kinds of a subscription may be named in any order", [], function*() {
    const bus = yield* makeBus()
    const one = yield* bus.subscribe({ kinds: ["Red", "Blue"], name: "subscription to red and blue" })
    const other = yield* bus.subscribe({ kinds: ["Blue", "Red"], name: "subscription to blue and red" })
    yield* publishEach(bus, [blue(1), green(2), red(3)])
    yield* one.unsubscribe
    yield* bus.publish(blue(4))
    yield* holds(other, [blue(1), red(3), blue(4)])
  }),
  situation("the last subscription to a kind that leaves takes no other kind with it", [], function*() {
    const bus = yield* makeBus()
    const leaving = yield* bus.subscribe({ kinds: ["Red", "Green"] })
    const staying = yield* bus.subscribe({ kinds: ["Green", "Blue"] })
    yield* leaving.unsubscribe
    yield* publishEach(bus, [red(1), green(2), blue(3)])
    yield* holds(staying, [green(2), blue(3)])
  })
)

// -----------------------------------------------------------------------------
// Takes
// -----------------------------------------------------------------------------

const takes = topic(
  "Takes",
  situation("take waits for an event", [], function*() {
    const bus = yield* makeBus()
    const subscription = yield* bus.subscribe({ kinds: ["Red"] })
    const taker = yield* begin(subscription.take)
    yield* came(taker, "waits")
    yield* bus.publish(red(1))
    yield* came(taker, red(1))
  }),
  situation("takeAll takes all that is pending", [], function*() {
    const bus = yield* makeBus()
    const subscription = yield* bus.subscribe({ kinds: ["Red"] })
    yield* publishEach(bus, reds(1, 300))
    yield* settle
    yield* gives(subscription.takeAll, reds(1, 300))
    yield* holds(subscription, [])
  }),
  situation("takeAll waits for one event, not for a second", [], function*() {
    const bus = yield* makeBus()
    const subscription = yield* bus.subscribe({ kinds: ["Red"] })
    const taker = yield* begin(subscription.takeAll)
    yield* came(taker, "waits")
    yield* bus.publish(red(1))
    yield* came(taker, [red(1)])
  }),
  situation("a takeAll that waits gets all that came before it woke", ["synchronous"], function*() {
    const bus = yield* makeBus()
    const subscription = yield* bus.subscribe({ kinds: ["Red"] })
    const taker = yield* begin(subscription.takeAll)
    yield* publishEach(bus, reds(1, 3))
    yield* came(taker, reds(1, 3))
  }),
  situation("takeUpTo takes no more than it is asked to, and never waits", [], function*() {
    const bus = yield* makeBus()
    const subscription = yield* bus.subscribe({ kinds: ["Red"] })
    yield* gives(subscription.takeUpTo(3), [])
    yield* publishEach(bus, reds(1, 5))
    yield* settle
    yield* gives(subscription.takeUpTo(3), reds(1, 3))
    yield* gives(subscription.takeUpTo(3), reds(4, 5))
    yield* gives(subscription.takeUpTo(3), [])
  }),
  situation("takeUpTo none takes none", [], function*() {
    const bus = yield* makeBus()
    const subscription = yield* bus.subscribe({ kinds: ["Red"] })
    yield* bus.publish(red(1))
    yield* settle
    yield* gives(subscription.takeUpTo(0), [])
    yield* holds(subscription, [red(1)])
  }),
  situation("what was published can be taken when publish returns", ["synchronous"], function*() {
    const bus = yield* makeBus()
    const subscription = yield* bus.subscribe({ kinds: ["Red"] })
    for (const event of reds(1, 3)) {
      yield* bus.publish(event)
      const found = yield* Effect.orDie(subscription.takeUpTo(10).effect)
      yield* expect("takeUpTo(10)", found, [event])
    }
  }),
  situation("takeBetween waits until it has the least it wants", [], function*() {
    const bus = yield* makeBus()
    const subscription = yield* bus.subscribe({ kinds: ["Red"] })
    yield* bus.publish(red(1))
    yield* settle
    const taker = yield* begin(subscription.takeBetween(3, 5))
    yield* came(taker, "waits")
    yield* bus.publish(red(2))
    yield* came(taker, "waits")
    yield* bus.publish(red(3))
    yield* came(taker, reds(1, 3))
  }),
  situation("takeBetween takes what is there, up to the most it wants", [], function*() {
    const bus = yield* makeBus()
    const subscription = yield* bus.subscribe({ kinds: ["Red"] })
    yield* publishEach(bus, reds(1, 7))
    yield* settle
    yield* gives(subscription.takeBetween(1, 5), reds(1, 5))
    yield* gives(subscription.takeBetween(1, 5), reds(6, 7))
  }),
  situation("takeBetween none and some never waits", [], function*() {
    const bus = yield* makeBus()
    const subscription = yield* bus.subscribe({ kinds: ["Red"] })
    yield* gives(subscription.takeBetween(0, 2), [])
    yield* publishEach(bus, reds(1, 3))
    yield* settle
    yield* gives(subscription.takeBetween(0, 2), reds(1, 2))
  }),
  situation("takeBetween may want more than the buffer holds", [], function*() {
    const bus = yield* makeBus({ bufferSize: 2 })
    const subscription = yield* bus.subscribe({ kinds: ["Red"] })
    const taker = yield* begin(subscription.takeBetween(5, 5))
    for (const event of reds(1, 5)) {
      yield* came(taker, "waits")
      yield* bus.publish(event)
    }
    yield* came(taker, reds(1, 5))
  }),
  situation("interrupting a takeBetween that waits for more loses nothing", [], function*() {
    const bus = yield* makeBus()
    const subscription = yield* bus.subscribe({ kinds: ["Red"] })
    const taker = yield* begin(subscription.takeBetween(3, 5))
    for (const event of reds(1, 2)) {
      yield* bus.publish(event)
      yield* came(taker, "waits")
    }
    yield* Fiber.interrupt(taker.fiber)
    yield* holds(subscription, reds(1, 2))
  }),
  situation("a take that waits behind a takeBetween gets what is there once that is interrupted", [], function*() {
    const bus = yield* makeBus()
    const subscription = yield* bus.subscribe({ kinds: ["Red"] })
    const first = yield* begin(subscription.takeBetween(2, 2))
    const second = yield* begin(subscription.take)
    const third = yield* begin(subscription.take)
    yield* bus.publish(red(1))
    yield* settle
    yield* Fiber.interrupt(first.fiber)
    yield* settle
    // Which of them waits in front is not promised; that one is served is.
    yield* expect("what both takes have", [...eventsOf(second), ...eventsOf(third)], [red(1)])
  }),
  situation("takers of one subscription share its events, each goes to one", [], function*() {
    const bus = yield* makeBus()
    const subscription = yield* bus.subscribe({ kinds: ["Red"] })
    const one = yield* collect(subscription.stream)
    const other = yield* collect(subscription.stream)
    for (const event of reds(1, 20)) {
      yield* bus.publish(event)
      yield* settle
    }
    const found = [...one.found, ...other.found].toSorted((a, b) => a.n - b.n)
    yield* expect("both streams together", found, reds(1, 20))
  }),
  situation("a stream brings what comes while its consumer is busy", [], function*() {
    const bus = yield* makeBus()
    const subscription = yield* bus.subscribe({ kinds: ["Red"] })
    const gate = yield* Latch.make()
    const found: Array<Event> = []
    yield* Effect.forkChild(
      Stream.runForEach(
        subscription.stream,
        (event) => Effect.andThen(Effect.sync(() => found.push(event)), gate.await)
      )
    )
    yield* settle
    yield* bus.publish(red(1))
    yield* settle
    yield* publishEach(bus, reds(2, 4))
    yield* settle
    yield* expect("the busy consumer", found, [red(1)])
    yield* gate.open
    yield* settle
    yield* expect("the consumer", found, reds(1, 4))
  })
)

// -----------------------------------------------------------------------------
// Coming and going
// -----------------------------------------------------------------------------

const comings = topic(
  "Coming and going",
  situation("a subscriber that leaves while values remain takes none of another's with it", [], function*() {
    const bus = yield* makeBus({ bufferSize: 4 })
    const leaving = yield* bus.subscribe({ kinds: ["Red"] })
    const staying = yield* bus.subscribe({ kinds: ["Red"], name: "subscription that stays" })
    yield* publishEach(bus, reds(1, 3))
    yield* settle
    yield* gives(leaving.take, red(1))
    yield* leaving.unsubscribe
    yield* bus.publish(red(4))
    yield* holds(staying, reds(1, 4))
  }),
  situation("a stuck subscriber that leaves leaves no trace in the buffers of others", ["dropping"], function*() {
    const bus = yield* makeBus({ bufferSize: 2, overflow: "dropping" })
    const stuck = yield* bus.subscribe({ kinds: ["Red"] })
    yield* publishEach(bus, reds(1, 3))
    yield* settle
    const staying = yield* bus.subscribe({ kinds: ["Red"], name: "subscription that stays" })
    yield* stuck.unsubscribe
    yield* publishEach(bus, reds(4, 6))
    yield* holds(staying, reds(4, 5))
  }),
  ...forEachPolicy((overflow) =>
    situation(`a newcomer has a whole ${overflow} buffer of its own while another's is full`, [overflow], function*() {
      const bus = yield* makeBus({ bufferSize: 2, overflow })
      const full = yield* bus.subscribe({ kinds: ["Red"], name: "full subscription" })
      yield* publishEach(bus, reds(1, 2))
      yield* settle
      const newcomer = yield* bus.subscribe({ kinds: ["Red"], name: "newcomer" })
      yield* publishEach(bus, reds(3, 4))
      yield* holds(newcomer, reds(3, 4))
      yield* holds(full, overflow === "dropping" ? reds(1, 2) : reds(3, 4))
    })
  ),
  situation("a newcomer sees nothing that earlier subscribers left behind", [], function*() {
    const bus = yield* makeBus()
    const leaving = yield* bus.subscribe({ kinds: ["Red"] })
    yield* publishEach(bus, reds(1, 3))
    yield* settle
    yield* leaving.unsubscribe
    yield* bus.publish(red(4))
    yield* settle
    const newcomer = yield* bus.subscribe({ kinds: ["Red"], name: "newcomer" })
    yield* bus.publish(red(5))
    yield* holds(newcomer, [red(5)])
  }),
  situation("subscribers that join one event apart see events from where they joined", [], function*() {
    const bus = yield* makeBus({ bufferSize: 1000 })
    const subscriptions: Array<StagedSubscription> = []
    for (const event of reds(1, 200)) {
      subscriptions.push(
        yield* bus.subscribe({ kinds: ["Red"], name: `subscription that joined before Red ${event.n}` })
      )
      yield* bus.publish(event)
      yield* settle
    }
    for (const [i, subscription] of subscriptions.entries()) {
      yield* gives(subscription.takeUpTo(1000), reds(i + 1, 200))
    }
  }),
  situation("subscribers may leave in any order, and those that are left go on", [], function*() {
    for (const leavers of [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]]) {
      const bus = yield* makeBus()
      const subscriptions: Array<StagedSubscription> = []
      for (const i of [0, 1, 2, 3]) {
        const name = `subscription ${i} when the leavers are ${show(leavers)}`
        subscriptions.push(yield* bus.subscribe({ kinds: ["Red"], name }))
      }
      for (const [left, leaver] of leavers.entries()) {
        yield* subscriptions[leaver]!.unsubscribe
        yield* publishEach(bus, reds(1, 5))
        yield* settle
        for (const [i, subscription] of subscriptions.entries()) {
          const isGone = leavers.indexOf(i) >= 0 && leavers.indexOf(i) <= left
          yield* gives(subscription.takeUpTo(10), isGone ? "is done" : reds(1, 5))
        }
      }
    }
  }),
  situation("a subscriber that comes back begins anew", [], function*() {
    const bus = yield* makeBus()
    for (let round = 0; round < 5; round++) {
      const subscription = yield* bus.subscribe({ kinds: ["Red", "Green"] })
      yield* publishEach(bus, [red(2 * round), green(2 * round + 1)])
      yield* settle
      yield* gives(subscription.takeUpTo(10), [red(2 * round), green(2 * round + 1)])
      yield* publishEach(bus, reds(100, 103))
      yield* settle
      yield* subscription.unsubscribe
    }
  }),
  situation("thousands of subscriptions each receive every event in order", [], function*() {
    const bus = yield* makeBus({ bufferSize: 16 })
    const subscriptions: Array<StagedSubscription> = []
    for (let i = 1; i <= 2000; i++) {
      subscriptions.push(yield* bus.subscribe({ kinds: ["Red"], name: `subscription ${i} of 2000` }))
    }
    yield* publishEach(bus, reds(1, 10))
    yield* settle
    for (const subscription of subscriptions) {
      const found = yield* Effect.orDie(subscription.takeUpTo(20).effect)
      yield* expect(subscription.take.what, found, reds(1, 10))
    }
  }),
  situation("one subscription in thousands stays while all others come and go", [], function*() {
    const bus = yield* makeBus({ bufferSize: 4000 })
    const staying = yield* bus.subscribe({ kinds: ["Red"], name: "subscription that stays" })
    for (const event of reds(1, 2000)) {
      const passing = yield* bus.subscribe({ kinds: ["Red"] })
      yield* bus.publish(event)
      yield* passing.unsubscribe
    }
    yield* holds(staying, reds(1, 2000))
  })
)

// -----------------------------------------------------------------------------
// Unsubscribing
// -----------------------------------------------------------------------------

const unsubscribing = topic(
  "Unsubscribing",
  situation("unsubscribing discards what is pending: every take is done", [], function*() {
    const bus = yield* makeBus()
    const subscription = yield* bus.subscribe({ kinds: ["Red"] })
    yield* publishEach(bus, reds(1, 3))
    yield* settle
    yield* subscription.unsubscribe
    yield* gives(subscription.take, "is done")
    yield* gives(subscription.takeAll, "is done")
    yield* gives(subscription.takeUpTo(3), "is done")
    yield* gives(subscription.takeBetween(1, 3), "is done")
  }),
  situation("unsubscribing releases the takers that wait", [], function*() {
    const bus = yield* makeBus()
    const subscription = yield* bus.subscribe({ kinds: ["Red"] })
    const takers = [
      yield* begin(subscription.take),
      yield* begin(subscription.takeAll),
      yield* begin(subscription.takeBetween(2, 3))
    ]
    yield* subscription.unsubscribe
    for (const taker of takers) yield* came(taker, "is done")
  }),
  situation("unsubscribing ends a takeBetween that waits for more", [], function*() {
    const bus = yield* makeBus()
    const subscription = yield* bus.subscribe({ kinds: ["Red"] })
    const taker = yield* begin(subscription.takeBetween(2, 3))
    yield* bus.publish(red(1))
    yield* came(taker, "waits")
    yield* subscription.unsubscribe
    yield* came(taker, "is done")
  }),
  situation("unsubscribing ends a stream", [], function*() {
    const bus = yield* makeBus()
    const subscription = yield* bus.subscribe({ kinds: ["Red"] })
    const { fiber } = yield* collect(subscription.stream)
    yield* hasEnded("the stream", fiber, false)
    yield* subscription.unsubscribe
    yield* hasEnded("the stream", fiber, true)
  }),
  situation("closing the subscriber's scope unsubscribes", [], function*() {
    const bus = yield* makeBus()
    const scope = yield* makeScope
    const subscription = yield* Scope.provide(bus.subscribe({ kinds: ["Red"] }), scope)
    const taker = yield* begin(subscription.take)
    yield* close(scope)
    yield* came(taker, "is done")
    yield* bus.publish(red(1))
    yield* settle
    yield* gives(subscription.takeUpTo(1), "is done")
  }),
  situation("unsubscribing twice, and closing the scope then, is unsubscribing once", [], function*() {
    const bus = yield* makeBus()
    const scope = yield* makeScope
    const leaving = yield* Scope.provide(bus.subscribe({ kinds: ["Red"] }), scope)
    const staying = yield* bus.subscribe({ kinds: ["Red"], name: "subscription that stays" })
    yield* leaving.unsubscribe
    yield* leaving.unsubscribe
    yield* close(scope)
    yield* bus.publish(red(1))
    yield* holds(staying, [red(1)])
  }),
  situation(
    "a taker that has not woken when its subscription is unsubscribed gets nothing",
    ["synchronous"],
    function*() {
      const bus = yield* makeBus()
      const subscription = yield* bus.subscribe({ kinds: ["Red"] })
      const taker = yield* begin(subscription.take)
      yield* bus.publish(red(1))
      yield* subscription.unsubscribe
      yield* came(taker, "is done")
    }
  ),
  situation("unsubscribing wakes nobody else's takers, and a publish then does", [], function*() {
    const bus = yield* makeBus()
    const leaving = yield* bus.subscribe({ kinds: ["Red"] })
    const staying = yield* bus.subscribe({ kinds: ["Red"], name: "subscription that stays" })
    const taker = yield* begin(staying.take)
    yield* leaving.unsubscribe
    yield* came(taker, "waits")
    yield* bus.publish(red(1))
    yield* came(taker, red(1))
  }),
  situation("what was pending when a subscription closed is discarded, and counted so", ["counters"], function*() {
    const bus = yield* makeBus()
    const subscription = yield* bus.subscribe({ kinds: ["Red"] })
    yield* publishEach(bus, reds(1, 5))
    yield* settle
    yield* gives(subscription.takeUpTo(2), reds(1, 2))
    yield* subscription.unsubscribe
    yield* bus.publish(red(6))
    yield* subscription.counts({ state: "closed", offered: 5, delivered: 5, taken: 2, pending: 0, discarded: 3 })
  }),
  situation("unsubscribing a handler interrupts it, and no event is handled after it", ["handlers"], function*() {
    const bus = yield* makeBus()
    const log: Array<string> = []
    const handler = yield* bus.on(["Red"], (event) => {
      log.push(`${show(event)} begins`)
      return Effect.onInterrupt(Effect.never, () => Effect.sync(() => log.push(`${show(event)} is interrupted`)))
    })
    yield* publishEach(bus, reds(1, 2))
    yield* settle
    yield* handler.unsubscribe
    yield* bus.publish(red(3))
    yield* settle
    yield* expect("the log", log, ["Red 1 begins", "Red 1 is interrupted"])
  }),
  situation("a handler that unsubscribes itself finishes its event, and no other begins", ["handlers"], function*() {
    const bus = yield* makeBus()
    const handled: Array<Event> = []
    const handler: { unsubscribe: Effect.Effect<void> } = { unsubscribe: Effect.void }
    const { unsubscribe } = yield* bus.on(["Red"], (event) =>
      Effect.gen(function*() {
        yield* handler.unsubscribe
        yield* Effect.yieldNow
        handled.push(event)
      }))
    handler.unsubscribe = unsubscribe
    yield* publishEach(bus, reds(1, 3))
    yield* settle
    yield* expect("the handler", handled, [red(1)])
  })
)

// -----------------------------------------------------------------------------
// Shutdown
// -----------------------------------------------------------------------------

const shutdown = topic(
  "Shutdown",
  situation("what was accepted before shutdown is still taken, then takes are done", [], function*() {
    const bus = yield* makeBus()
    const subscription = yield* bus.subscribe({ kinds: ["Red"] })
    yield* publishEach(bus, reds(1, 6))
    yield* bus.shutdown
    yield* settle
    yield* gives(subscription.take, red(1))
    yield* gives(subscription.takeUpTo(2), reds(2, 3))
    yield* gives(subscription.takeBetween(1, 1), [red(4)])
    yield* gives(subscription.takeAll, reds(5, 6))
    yield* gives(subscription.take, "is done")
    yield* gives(subscription.takeUpTo(2), "is done")
    yield* gives(subscription.takeBetween(0, 2), "is done")
    yield* gives(subscription.takeAll, "is done")
  }),
  ...forEachPolicy((overflow) =>
    situation(`a ${overflow} buffer that is full at shutdown is taken whole`, [overflow], function*() {
      const bus = yield* makeBus({ bufferSize: 3, overflow })
      const subscription = yield* bus.subscribe({ kinds: ["Red"] })
      yield* publishEach(bus, reds(1, 5))
      yield* bus.shutdown
      yield* settle
      yield* gives(subscription.takeAll, overflow === "dropping" ? reds(1, 3) : reds(3, 5))
    })
  ),
  situation("shutdown releases the takers that wait for nothing", [], function*() {
    const bus = yield* makeBus()
    const subscription = yield* bus.subscribe({ kinds: ["Red"] })
    const takers = [
      yield* begin(subscription.take),
      yield* begin(subscription.takeAll),
      yield* begin(subscription.takeBetween(1, 2))
    ]
    yield* bus.shutdown
    for (const taker of takers) yield* came(taker, "is done")
  }),
  situation("a taker whose event was published just before shutdown gets it", [], function*() {
    const bus = yield* makeBus()
    const subscription = yield* bus.subscribe({ kinds: ["Red"] })
    const first = yield* begin(subscription.take)
    const second = yield* begin(subscription.take)
    yield* bus.publish(red(1))
    yield* bus.shutdown
    yield* came(first, red(1))
    yield* came(second, "is done")
  }),
  situation("a takeBetween that waits for more gets what there is at shutdown", [], function*() {
    const bus = yield* makeBus()
    const subscription = yield* bus.subscribe({ kinds: ["Red"] })
    const taker = yield* begin(subscription.takeBetween(3, 5))
    yield* bus.publish(red(1))
    yield* came(taker, "waits")
    yield* bus.publish(red(2))
    yield* bus.shutdown
    yield* came(taker, reds(1, 2))
  }),
  situation("a stream ends after the last accepted event", [], function*() {
    const bus = yield* makeBus()
    const subscription = yield* bus.subscribe({ kinds: ["Red"] })
    yield* publishEach(bus, reds(1, 3))
    yield* bus.shutdown
    const { fiber, found } = yield* collect(subscription.stream)
    yield* expect("the stream", found, reds(1, 3))
    yield* hasEnded("the stream", fiber, true)
  }),
  situation("a stream that waits ends at shutdown", [], function*() {
    const bus = yield* makeBus()
    const subscription = yield* bus.subscribe({ kinds: ["Red"] })
    const { fiber } = yield* collect(subscription.stream)
    yield* hasEnded("the stream", fiber, false)
    yield* bus.shutdown
    yield* hasEnded("the stream", fiber, true)
  }),
  situation("publishing after shutdown does nothing", [], function*() {
    const bus = yield* makeBus()
    const subscription = yield* bus.subscribe({ kinds: ["Red"] })
    yield* bus.publish(red(1))
    yield* bus.shutdown
    yield* bus.publish(red(2))
    yield* bus.publishAll(reds(3, 4))
    yield* settle
    yield* gives(subscription.takeAll, [red(1)])
    yield* gives(subscription.take, "is done")
  }),
  situation("a subscription made after shutdown has already ended", [], function*() {
    const bus = yield* makeBus()
    yield* bus.shutdown
    yield* settle
    const subscription = yield* bus.subscribe({ kinds: ["Red"] })
    yield* gives(subscription.take, "is done")
    yield* gives(subscription.takeUpTo(1), "is done")
    const { fiber } = yield* collect(subscription.stream)
    yield* hasEnded("the stream", fiber, true)
  }),
  situation("shutting down twice is shutting down once", [], function*() {
    const bus = yield* makeBus()
    const subscription = yield* bus.subscribe({ kinds: ["Red"] })
    yield* publishEach(bus, reds(1, 2))
    yield* bus.shutdown
    yield* settle
    yield* gives(subscription.take, red(1))
    yield* bus.shutdown
    yield* settle
    yield* gives(subscription.take, red(2))
    yield* gives(subscription.take, "is done")
  }),
  situation("shutdown returns while subscribers are stuck", ["synchronous"], function*() {
    const bus = yield* makeBus()
    const subscription = yield* bus.subscribe({ kinds: ["Red"] })
    yield* bus.publish(red(1))
    const log: Array<string> = []
    yield* Effect.forkChild(Effect.sync(() => log.push("another fiber ran")))
    yield* bus.shutdown
    log.push("shut down")
    yield* settle
    yield* expect("the log", log, ["shut down", "another fiber ran"])
    yield* gives(subscription.take, red(1))
  }),
  situation("awaitShutdown completes at shutdown, and at once after it", [], function*() {
    const bus = yield* makeBus()
    const waiting = yield* Effect.forkChild(bus.awaitShutdown)
    yield* hasEnded("awaitShutdown before shutdown", waiting, false)
    yield* bus.shutdown
    yield* hasEnded("awaitShutdown before shutdown", waiting, true)
    yield* hasEnded("awaitShutdown after it", yield* Effect.forkChild(bus.awaitShutdown), true)
  }),
  situation("unsubscribing after shutdown gives up what was accepted", [], function*() {
    const bus = yield* makeBus()
    const leaving = yield* bus.subscribe({ kinds: ["Red"], name: "subscription that leaves" })
    const staying = yield* bus.subscribe({ kinds: ["Red"], name: "subscription that stays" })
    yield* publishEach(bus, reds(1, 2))
    yield* bus.shutdown
    yield* settle
    yield* leaving.unsubscribe
    yield* gives(leaving.take, "is done")
    yield* gives(staying.takeAll, reds(1, 2))
  }),
  situation(
    "shutdown and unsubscribe at once end a subscription, whichever comes first",
    [],
    function*() {
      for (const orders of [[0, 1], [1, 0], [0, 1, 0], [1, 0, 1], [1, 1, 0, 0]]) {
        const bus = yield* makeBus()
        const subscription = yield* bus.subscribe({
          kinds: ["Red"],
          name: `subscription, in the order ${show(orders)},`
        })
        const taker = yield* begin(subscription.take)
        const ends = [bus.shutdown, subscription.unsubscribe]
        const ending = yield* Effect.forkChild(
          Effect.all(orders.map((i) => ends[i]!), { concurrency: "unbounded", discard: true })
        )
        yield* hasEnded("ending", ending, true)
        yield* came(taker, "is done")
        yield* gives(subscription.take, "is done")
      }
    }
  ),
  situation("closing the bus's scope shuts it down", [], function*() {
    const scope = yield* makeScope
    const bus = yield* Scope.provide(makeBus(), scope)
    const subscription = yield* bus.subscribe({ kinds: ["Red"] })
    const taker = yield* begin(subscription.take)
    const awaiting = yield* Effect.forkChild(bus.awaitShutdown)
    yield* close(scope)
    yield* came(taker, "is done")
    yield* hasEnded("awaitShutdown", awaiting, true)
    yield* bus.publish(red(1))
    yield* gives(subscription.take, "is done")
  }),
  situation("handlers finish what was accepted before shutdown", ["handlers"], function*() {
    const bus = yield* makeBus()
    const gate = yield* Latch.make()
    const handled: Array<Event> = []
    yield* bus.on(["Red"], (event) => Effect.andThen(gate.await, Effect.sync(() => handled.push(event))))
    yield* publishEach(bus, reds(1, 3))
    yield* bus.shutdown
    yield* bus.publish(red(4))
    yield* settle
    yield* expect("the stuck handler", handled, [])
    yield* gate.open
    yield* settle
    yield* expect("the handler", handled, reds(1, 3))
  }),
  situation("a handler may shut the bus down: it and what was accepted are handled", ["handlers"], function*() {
    const bus = yield* makeBus()
    const handled: Array<Event> = []
    yield* bus.on(["Red"], (event) =>
      Effect.gen(function*() {
        if (event.n === 1) yield* bus.shutdown
        yield* Effect.yieldNow
        yield* bus.publish(red(4))
        handled.push(event)
      }))
    yield* publishEach(bus, reds(1, 3))
    yield* settle
    yield* expect("the handler", handled, reds(1, 3))
  }),
  situation("closing the bus's scope interrupts handlers that do not drain", ["handlers"], function*() {
    const scope = yield* makeScope
    const bus = yield* Scope.provide(makeBus(), scope)
    const log: Array<string> = []
    yield* bus.on(["Red"], (event) => {
      log.push(`${show(event)} begins`)
      return Effect.onInterrupt(Effect.never, () => Effect.sync(() => log.push(`${show(event)} is interrupted`)))
    })
    yield* publishEach(bus, reds(1, 2))
    yield* settle
    yield* close(scope)
    log.push("the scope is closed")
    yield* settle
    yield* expect("the log", log, ["Red 1 begins", "Red 1 is interrupted", "the scope is closed"])
  }),
  situation("closing a scope waits for handlers that drain", ["handlers", "drain"], function*() {
    const bus = yield* makeBus()
    const scope = yield* makeScope
    const handled: Array<Event> = []
    const handler = bus.on(
      ["Red"],
      (event) => Effect.andThen(Effect.sleep("1 second"), Effect.sync(() => handled.push(event))),
      { drain: "1 minute" }
    )
    yield* Scope.provide(handler, scope)
    yield* publishEach(bus, reds(1, 3))
    yield* settle
    const closing = yield* Effect.forkChild(close(scope))
    yield* settle
    yield* bus.publish(red(4))
    yield* TestClock.adjust("2 seconds")
    yield* hasEnded("closing the scope", closing, false)
    yield* TestClock.adjust("1 second")
    yield* hasEnded("closing the scope", closing, true)
    yield* expect("the handler", handled, reds(1, 3))
  }),
  situation("a drain ends with its time", ["handlers", "drain"], function*() {
    const bus = yield* makeBus()
    const scope = yield* makeScope
    const handled: Array<Event> = []
    const handler = bus.on(
      ["Red"],
      (event) => Effect.andThen(Effect.sleep("4 seconds"), Effect.sync(() => handled.push(event))),
      { drain: "10 seconds" }
    )
    yield* Scope.provide(handler, scope)
    yield* publishEach(bus, reds(1, 5))
    yield* settle
    const closing = yield* Effect.forkChild(close(scope))
    yield* settle
    yield* TestClock.adjust("9 seconds")
    yield* hasEnded("closing the scope", closing, false)
    yield* TestClock.adjust("1 second")
    yield* hasEnded("closing the scope", closing, true)
    yield* expect("the handler", handled, reds(1, 2))
  })
)

// -----------------------------------------------------------------------------
// Counters
// -----------------------------------------------------------------------------

const counters = topic(
  "Counters",
  situation("a dropping subscription counts what it dropped, exactly", ["counters", "dropping"], function*() {
    const bus = yield* makeBus({ bufferSize: 3, overflow: "dropping" })
    const subscription = yield* bus.subscribe({ kinds: ["Red"] })
    yield* publishEach(bus, reds(1, 5))
    yield* subscription.counts({ offered: 5, delivered: 3, dropped: 2, taken: 0, pending: 3 })
    yield* gives(subscription.takeUpTo(2), reds(1, 2))
    yield* publishEach(bus, reds(6, 9))
    yield* subscription.counts({ offered: 9, delivered: 5, dropped: 4, taken: 2, pending: 3 })
    yield* gives(subscription.takeAll, [red(3), red(6), red(7)])
    yield* subscription.counts({ offered: 9, delivered: 5, dropped: 4, taken: 5, pending: 0 })
  }),
  situation(
    "a sliding subscription counts what it evicted as dropped, not as delivered",
    ["counters", "sliding"],
    function*() {
      const bus = yield* makeBus({ bufferSize: 3, overflow: "sliding" })
      const subscription = yield* bus.subscribe({ kinds: ["Red"] })
      yield* publishEach(bus, reds(1, 5))
      yield* subscription.counts({ offered: 5, delivered: 3, dropped: 2, taken: 0, pending: 3 })
      yield* gives(subscription.takeUpTo(2), reds(3, 4))
      yield* publishEach(bus, reds(6, 9))
      yield* subscription.counts({ offered: 9, delivered: 5, dropped: 4, taken: 2, pending: 3 })
      yield* gives(subscription.takeAll, reds(7, 9))
      yield* subscription.counts({ offered: 9, delivered: 5, dropped: 4, taken: 5, pending: 0 })
    }
  ),
  situation("counters do not depend on when they are read", ["counters", "dropping"], function*() {
    const bus = yield* makeBus({ bufferSize: 2, overflow: "dropping" })
    const watched = yield* bus.subscribe({ kinds: ["Red"], name: "watched subscription" })
    const unwatched = yield* bus.subscribe({ kinds: ["Red"], name: "unwatched subscription" })
    for (const event of reds(1, 10)) {
      yield* bus.publish(event)
      yield* watched.counts({ offered: event.n, pending: Math.min(event.n, 2) })
    }
    yield* watched.counts({ offered: 10, delivered: 2, dropped: 8 })
    yield* unwatched.counts({ offered: 10, delivered: 2, dropped: 8 })
  }),
  situation(
    "an event is pending until the wake-up of the taker that waits for it has run",
    ["counters", "synchronous"],
    function*() {
      const bus = yield* makeBus()
      const subscription = yield* bus.subscribe({ kinds: ["Red"] })
      const taker = yield* begin(subscription.take)
      yield* bus.publish(red(1))
      const before = yield* subscription.snapshot
      yield* lawful("the subscription", before)
      yield* expect("pending and taken", [before.pending, before.taken], [1, 0])
      yield* came(taker, red(1))
      yield* subscription.counts({ pending: 0, taken: 1 })
    }
  ),
  situation("events of other kinds are not offered", ["counters"], function*() {
    const bus = yield* makeBus({ bufferSize: 1 })
    const subscription = yield* bus.subscribe({ kinds: ["Red"] })
    const none = yield* bus.subscribe({ kinds: [], name: "subscription to no kinds" })
    yield* publishEach(bus, [green(1), red(2), blue(3), green(4)])
    yield* subscription.counts({ offered: 1, delivered: 1, dropped: 0 })
    yield* none.counts({ offered: 0, delivered: 0, dropped: 0 })
  }),
  situation("a subscription is open, draining after shutdown, and closed when it is empty", ["counters"], function*() {
    const bus = yield* makeBus()
    const subscription = yield* bus.subscribe({ kinds: ["Red"] })
    const empty = yield* bus.subscribe({ kinds: ["Green"], name: "empty subscription" })
    yield* bus.publish(red(1))
    yield* subscription.counts({ state: "open" })
    yield* bus.shutdown
    yield* subscription.counts({ state: "draining", pending: 1 })
    yield* empty.counts({ state: "closed" })
    yield* gives(subscription.take, red(1))
    yield* subscription.counts({ state: "closed", taken: 1, discarded: 0 })
  }),
  situation("after shutdown nothing is counted", ["counters", "metrics"], function*() {
    const bus = yield* makeBus()
    const subscription = yield* bus.subscribe({ kinds: ["Red"] })
    yield* bus.publish(red(1))
    yield* bus.shutdown
    yield* publishEach(bus, [red(2), green(3)])
    yield* subscription.counts({ offered: 1 })
    const { noSubscribersCount, publishedCount } = yield* bus.metrics
    yield* expect("published, and to nobody", [publishedCount, noSubscribersCount], [1, 0])
  }),
  situation("a bus counts an event once, however many subscriptions it has", ["metrics"], function*() {
    const bus = yield* makeBus()
    yield* bus.subscribe({ kinds: ["Red"] })
    yield* bus.subscribe({ kinds: ["Red", "Green"] })
    yield* bus.publishAll([red(1), green(2)])
    yield* settle
    const { deliveredCount, publishedCount } = yield* bus.metrics
    yield* expect("published and delivered", [publishedCount, deliveredCount], [2, 3])
  }),
  situation("a bus counts the events that matched no subscription", ["metrics"], function*() {
    const bus = yield* makeBus()
    const subscription = yield* bus.subscribe({ kinds: ["Red"] })
    yield* publishEach(bus, [red(1), green(2), blue(3)])
    yield* settle
    yield* subscription.unsubscribe
    yield* bus.publish(red(4))
    yield* settle
    const { noSubscribersCount, publishedCount } = yield* bus.metrics
    yield* expect("published, and to nobody", [publishedCount, noSubscribersCount], [4, 3])
  }),
  situation("a bus sums over all subscriptions that ever were", ["metrics", "dropping"], function*() {
    const bus = yield* makeBus({ bufferSize: 2, overflow: "dropping" })
    const leaving = yield* bus.subscribe({ kinds: ["Red"] })
    yield* bus.subscribe({ kinds: ["Red"] })
    yield* publishEach(bus, reds(1, 3))
    yield* settle
    yield* leaving.unsubscribe
    yield* bus.publish(red(4))
    yield* settle
    const { deliveredCount, droppedCount } = yield* bus.metrics
    yield* expect("delivered and dropped", [deliveredCount, droppedCount], [4, 3])
  })
)

// -----------------------------------------------------------------------------
// Losses
// -----------------------------------------------------------------------------

const lossOf = (dropped: number, since: number, until: number) => ({ dropped, since, until })

const shownLosses = (found: ReadonlyArray<Loss>) =>
  found.map(({ dropped, since, until }) => lossOf(dropped, since.epochMilliseconds, until.epochMilliseconds))

const losses = topic(
  "Losses",
  ...forEachPolicy((overflow) =>
    situation(`what a ${overflow} buffer lost is told: how many, and when the first and the last occurred`, [
      "losses",
      overflow
    ], function*() {
      const bus = yield* makeBus({ bufferSize: 2, overflow })
      const subscription = yield* bus.subscribe({ kinds: ["Red"] })
      yield* publishEach(bus, reds(1, 5))
      yield* settle
      const { found } = yield* collect(subscription.losses)
      yield* expect("losses", shownLosses(found), [overflow === "dropping" ? lossOf(3, 3, 5) : lossOf(3, 1, 3)])
    })
  ),
  situation("losses are told as they come, to somebody who takes nothing", ["losses", "dropping"], function*() {
    const bus = yield* makeBus({ bufferSize: 1, overflow: "dropping" })
    const subscription = yield* bus.subscribe({ kinds: ["Red"] })
    const { found } = yield* collect(subscription.losses)
    yield* bus.publish(red(1))
    yield* settle
    yield* expect("losses before there are any", shownLosses(found), [])
    yield* publishEach(bus, reds(2, 5000))
    yield* settle
    yield* expect("losses of thousands of events have been told", found.length > 0, true)
  }),
  situation("losses that nobody reads are gathered", ["losses", "sliding"], function*() {
    const bus = yield* makeBus({ bufferSize: 1, overflow: "sliding" })
    const subscription = yield* bus.subscribe({ kinds: ["Red"] })
    const found: Array<Loss> = []
    const gate = yield* Latch.make()
    yield* publishEach(bus, reds(1, 2))
    yield* settle
    yield* Effect.forkChild(
      Stream.runForEach(
        subscription.losses,
        (loss) => Effect.andThen(Effect.sync(() => found.push(loss)), gate.await)
      )
    )
    yield* settle
    yield* publishEach(bus, reds(3, 4))
    yield* settle
    yield* gives(subscription.take, red(4))
    yield* publishEach(bus, reds(5, 7))
    yield* settle
    yield* gives(subscription.take, red(7))
    yield* gate.open
    yield* settle
    yield* expect("losses", shownLosses(found), [lossOf(1, 1, 1), lossOf(4, 2, 6)])
  }),
  situation("losses end with the subscription", ["losses", "dropping"], function*() {
    const bus = yield* makeBus({ bufferSize: 1, overflow: "dropping" })
    const subscription = yield* bus.subscribe({ kinds: ["Red"] })
    const { fiber, found } = yield* collect(subscription.losses)
    yield* publishEach(bus, reds(1, 2))
    yield* settle
    yield* hasEnded("losses", fiber, false)
    yield* subscription.unsubscribe
    yield* hasEnded("losses", fiber, true)
    yield* expect("losses", shownLosses(found), [lossOf(1, 2, 2)])
  })
)

// -----------------------------------------------------------------------------
// Replay
// -----------------------------------------------------------------------------

const replay = topic(
  "Replay",
  situation("a subscription that asks for the last events has them first, in order", ["replay"], function*() {
    const bus = yield* makeBus({ replay: 3 })
    yield* publishEach(bus, reds(1, 5))
    yield* settle
    const subscription = yield* bus.subscribe({ kinds: ["Red"], replay: 3 })
    yield* bus.publish(red(6))
    yield* holds(subscription, reds(3, 6))
  }),
  situation("a subscription may ask for fewer than the bus keeps, and gets the newest", ["replay"], function*() {
    const bus = yield* makeBus({ replay: 5 })
    yield* publishEach(bus, reds(1, 5))
    yield* settle
    yield* holds(yield* bus.subscribe({ kinds: ["Red"], replay: 2 }), reds(4, 5))
  }),
  situation("a subscription that does not ask for the last events has none of them", ["replay"], function*() {
    const bus = yield* makeBus({ replay: 3 })
    yield* publishEach(bus, reds(1, 3))
    yield* settle
    yield* holds(yield* bus.subscribe({ kinds: ["Red"] }), [])
  }),
  situation("what was not published is not replayed", ["replay"], function*() {
    const bus = yield* makeBus({ replay: 5 })
    yield* publishEach(bus, reds(1, 2))
    yield* settle
    yield* holds(yield* bus.subscribe({ kinds: ["Red"], replay: 5 }), reds(1, 2))
  }),
  situation("a flood of one kind leaves the last events of another to be replayed", ["replay"], function*() {
    const bus = yield* makeBus({ replay: 2 })
    yield* publishEach(bus, [red(1), red(2), green(3), green(4), green(5), green(6)])
    yield* settle
    yield* holds(yield* bus.subscribe({ kinds: ["Red"], replay: 2 }), reds(1, 2))
  }),
  situation(
    "the last events of several kinds are replayed in the order in which they were published",
    ["replay"],
    function*() {
      const bus = yield* makeBus({ replay: 3 })
      yield* publishEach(bus, [red(1), green(2), blue(3), red(4), green(5), blue(6)])
      yield* settle
      yield* holds(yield* bus.subscribe({ kinds: ["Green", "Red"], replay: 3 }), [green(2), red(4), green(5)])
    }
  ),
  situation("replayed events fill the buffer as others do", ["replay", "dropping"], function*() {
    const bus = yield* makeBus({ bufferSize: 3, overflow: "dropping", replay: 2 })
    yield* publishEach(bus, reds(1, 2))
    yield* settle
    const subscription = yield* bus.subscribe({ kinds: ["Red"], replay: 2 })
    yield* publishEach(bus, reds(3, 4))
    yield* holds(subscription, reds(1, 3))
  }),
  situation("replayed events are evicted as others are", ["replay", "sliding"], function*() {
    const bus = yield* makeBus({ bufferSize: 3, overflow: "sliding", replay: 2 })
    yield* publishEach(bus, reds(1, 2))
    yield* settle
    const subscription = yield* bus.subscribe({ kinds: ["Red"], replay: 2 })
    yield* publishEach(bus, reds(3, 5))
    yield* holds(subscription, reds(3, 5))
  }),
  situation(
    "replayed events are offered and delivered, but not published again",
    ["replay", "counters", "metrics"],
    function*() {
      const bus = yield* makeBus({ replay: 2 })
      yield* publishEach(bus, reds(1, 3))
      yield* settle
      const subscription = yield* bus.subscribe({ kinds: ["Red"], replay: 2 })
      yield* subscription.counts({ offered: 2, delivered: 2, pending: 2 })
      const { deliveredCount, publishedCount } = yield* bus.metrics
      yield* expect("published and delivered", [publishedCount, deliveredCount], [3, 2])
    }
  ),
  situation("nothing is replayed to a subscription made after shutdown", ["replay"], function*() {
    const bus = yield* makeBus({ replay: 2 })
    yield* publishEach(bus, reds(1, 2))
    yield* bus.shutdown
    yield* settle
    yield* gives((yield* bus.subscribe({ kinds: ["Red"], replay: 2 })).take, "is done")
  })
)

// -----------------------------------------------------------------------------
// Random interleavings
// -----------------------------------------------------------------------------

const allKinds = ["Red", "Green", "Blue"] as const satisfies ReadonlyArray<Kind>

const eventOf = (kind: Kind, n: number): Event => kind === "Red" ? red(n) : kind === "Green" ? green(n) : blue(n)

/** The next number of an event in a situation. */
const makeNumbers = (): () => number => {
  let n = 0
  return () => ++n
}

const randomEvent = (next: () => number): Effect.Effect<Event> =>
  Effect.map(Random.choice(allKinds), (kind) => eventOf(kind, next()))

const randomInt = (min: number, max: number): Effect.Effect<number> => Random.nextIntBetween(min, max)

/** What a subscription has to hold, worked out one publish at a time. */
interface Model {
  readonly subscription: StagedSubscription
  readonly kinds: ReadonlyArray<Kind>
  pending: Array<Event>
  offered: number
  dropped: number
  taken: number
}

/** What is done at random; what is named more than once is done more often. */
const acts = [
  "publish",
  "publish",
  "publish",
  "publish",
  "flood",
  "subscribe",
  "subscribe",
  "unsubscribe",
  "take",
  "take",
  "take",
  "check"
] as const

/** Few sets of kinds, so that several subscriptions have the same. */
const kindsToChoose = [["Red"], ["Green", "Blue"], allKinds] as const

/** A bus and its model, side by side: publish, take, come and go at random, and compare what is taken. */
const againstModel = (
  overflow: Overflow,
  check: (model: Model) => Effect.Effect<void, ConformanceFailure, Stage>
): Steps =>
  function*() {
    const bufferSize = yield* randomInt(1, 9)
    const bus = yield* makeBus({ bufferSize, overflow })
    const next = makeNumbers()
    let models: Array<Model> = []
    const publish = (count: number) =>
      Effect.gen(function*() {
        const batch: Array<Event> = []
        for (let i = 0; i < count; i++) batch.push(yield* randomEvent(next))
        yield* bus.publishAll(batch)
        for (const model of models) {
          const matching = batch.filter((event) => model.kinds.includes(event._tag))
          const all = [...model.pending, ...matching]
          model.offered += matching.length
          model.dropped += Math.max(0, all.length - bufferSize)
          model.pending = overflow === "dropping" ? all.slice(0, bufferSize) : all.slice(-bufferSize)
        }
      })
    for (let step = 0; step < 100; step++) {
      const act = yield* Random.choice(acts)
      const model = models[yield* randomInt(0, Math.max(0, models.length - 1))]
      if (act === "publish") {
        yield* publish(yield* randomInt(1, 4))
        continue
      }
      if (act === "flood") {
        yield* publish(300)
        continue
      }
      yield* settle
      if (act === "subscribe" || model === undefined) {
        if (models.length === 6) continue
        const kinds = yield* Random.choice(kindsToChoose)
        const subscription = yield* bus.subscribe({ kinds, name: `subscription made at step ${step}` })
        models.push({ subscription, kinds, pending: [], offered: 0, dropped: 0, taken: 0 })
      } else if (act === "take") {
        const most = yield* randomInt(1, 10)
        const expected = model.pending.slice(0, most)
        yield* gives(model.subscription.takeUpTo(most), expected)
        model.pending = model.pending.slice(expected.length)
        model.taken += expected.length
      } else if (act === "check") {
        yield* check(model)
      } else {
        yield* model.subscription.unsubscribe
        models = models.filter((other) => other !== model)
      }
    }
    for (const model of models) {
      yield* check(model)
      yield* holds(model.subscription, model.pending)
    }
  }

/** Fibers that publish numbered events, with random pauses; `accepted` are those published before shutdown. */
const publishers = Effect.fnUntraced(function*(bus: StagedBus, publishers: number, each: number) {
  const next = makeNumbers()
  const accepted: Array<Event> = []
  const running = { isShutdown: false }
  const publisher = Effect.gen(function*() {
    for (let i = 0; i < each; i++) {
      const event = yield* randomEvent(next)
      yield* Effect.andThen(
        bus.publish(event),
        Effect.sync(() => {
          if (!running.isShutdown) accepted.push(event)
        })
      )
      if (yield* Random.nextBoolean) yield* Effect.yieldNow
    }
  })
  const fibers: Array<Fiber.Fiber<void>> = []
  for (let i = 0; i < publishers; i++) fibers.push(yield* Effect.forkChild(publisher))
  const shutdown = Effect.andThen(
    Effect.sync(() => {
      running.isShutdown = true
    }),
    bus.shutdown
  )
  return { accepted, fibers, shutdown }
})

/** A fiber that takes in random ways until there is nothing more. */
const consumer = (subscription: StagedSubscription) =>
  Effect.gen(function*() {
    const found: Array<Event> = []
    const takeSome = Effect.gen(function*() {
      const min = yield* randomInt(0, 4)
      const ways = [
        subscription.take,
        subscription.takeAll,
        subscription.takeUpTo(min),
        subscription.takeBetween(min, min + 3)
      ] as const
      const taken = yield* (yield* Random.choice(ways)).effect
      found.push(...[taken].flat())
      if (yield* Random.nextBoolean) yield* Effect.yieldNow
    })
    const fiber = yield* Effect.forkChild(Effect.ignore(Effect.forever(takeSome)))
    return { found, fiber }
  })

const yields = (most: number): Effect.Effect<void> =>
  Effect.flatMap(randomInt(0, most), (times) => Effect.repeat(Effect.yieldNow, { times })).pipe(Effect.asVoid)

const random = topic(
  "Random interleavings",
  ...forEachPolicy((overflow) =>
    randomSituation(
      `publishing, taking, coming and going at random do what a model of a ${overflow} bus does`,
      [overflow],
      againstModel(overflow, () => Effect.void)
    )
  ),
  ...forEachPolicy((overflow) =>
    randomSituation(
      `the counters of a ${overflow} bus are those of its model, whenever they are read`,
      [overflow, "counters"],
      againstModel(overflow, ({ dropped, offered, pending, subscription, taken }) =>
        subscription.counts({ offered, delivered: offered - dropped, dropped, taken, pending: pending.length }))
    )
  ),
  randomSituation(
    "publishers and takers side by side: each subscription has every event once, in the order of all others",
    [],
    function*() {
      const bus = yield* makeBus({ bufferSize: 1000 })
      const kindsOf = [["Red", "Green", "Blue"], ["Green"], ["Blue", "Red"]] as const
      const consumers = yield* Effect.forEach(kindsOf, (kinds) => Effect.flatMap(bus.subscribe({ kinds }), consumer))
      const { accepted, fibers, shutdown } = yield* publishers(bus, 3, 40)
      yield* settle
      for (const fiber of fibers) yield* hasEnded("a publisher", fiber, true)
      yield* shutdown
      yield* settle
      for (const [i, { fiber, found }] of consumers.entries()) {
        const kinds: ReadonlyArray<Kind> = kindsOf[i]!
        yield* hasEnded(`the consumer of ${show(kinds)}`, fiber, true)
        yield* expect(
          `the consumer of ${show(kinds)}`,
          found,
          accepted.filter((event) => kinds.includes(event._tag))
        )
      }
    }
  ),
  randomSituation("takers of one subscription that race and are interrupted lose and double nothing", [], function*() {
    const bus = yield* makeBus({ bufferSize: 1000 })
    const subscription = yield* bus.subscribe({ kinds: allKinds })
    const { accepted, fibers } = yield* publishers(bus, 2, 60)
    const found: Array<Event> = []
    while (fibers.some((fiber) => fiber.pollUnsafe() === undefined)) {
      const takers: Array<Begun> = []
      for (let i = yield* randomInt(1, 4); i > 0; i--) {
        const { effect, what } = yield* Random.choice([subscription.take, subscription.takeAll] as const)
        takers.push({ what, fiber: yield* Effect.forkChild(effect) })
      }
      yield* yields(4)
      yield* Effect.forEach(takers, ({ fiber }) => Fiber.interrupt(fiber), { discard: true })
      found.push(...takers.flatMap(eventsOf))
    }
    yield* settle
    found.push(...eventsOf(yield* begin(subscription.takeUpTo(1000))))
    yield* expect("all takers together", found.toSorted((a, b) => a.n - b.n), accepted)
  }),
  randomSituation(
    "shutdown at a random moment: what was accepted is taken, in order, and nothing else",
    [],
    function*() {
      const bus = yield* makeBus({ bufferSize: 1000 })
      const consumers = yield* Effect.forEach(
        [1, 2],
        () => Effect.flatMap(bus.subscribe({ kinds: allKinds }), consumer)
      )
      const { accepted, fibers, shutdown } = yield* publishers(bus, 3, 40)
      yield* yields(60)
      yield* shutdown
      yield* settle
      for (const fiber of fibers) yield* hasEnded("a publisher", fiber, true)
      for (const { fiber, found } of consumers) {
        yield* hasEnded("a consumer", fiber, true)
        yield* expect("a consumer", found, accepted)
      }
    }
  ),
  randomSituation(
    "unsubscribing at a random moment: what was offered is taken or discarded, and the taker is released",
    ["counters", "synchronous"],
    function*() {
      const bus = yield* makeBus({ bufferSize: 1000 })
      const leaving = yield* bus.subscribe({ kinds: allKinds, name: "subscription that leaves" })
      const staying = yield* bus.subscribe({ kinds: allKinds })
      const leaver = yield* consumer(leaving)
      const stayer = yield* consumer(staying)
      const { accepted, fibers, shutdown } = yield* publishers(bus, 2, 60)
      yield* yields(60)
      const offered = accepted.length
      yield* leaving.unsubscribe
      yield* hasEnded("the consumer that leaves", leaver.fiber, true)
      yield* expect("the consumer that leaves", leaver.found, accepted.slice(0, leaver.found.length))
      yield* leaving.counts({
        state: "closed",
        offered,
        taken: leaver.found.length,
        discarded: offered - leaver.found.length
      })
      for (const fiber of fibers) yield* hasEnded("a publisher", fiber, true)
      yield* shutdown
      yield* settle
      yield* expect("the consumer that stays", stayer.found, accepted)
    }
  )
)

// -----------------------------------------------------------------------------
// All of them
// -----------------------------------------------------------------------------

/** What a bus promises. */
export const situations: ReadonlyArray<Situation> = [
  ...delivery,
  ...order,
  ...lag,
  ...isolation,
  ...inline,
  ...kinds,
  ...takes,
  ...comings,
  ...unsubscribing,
  ...shutdown,
  ...counters,
  ...losses,
  ...replay,
  ...random
]
