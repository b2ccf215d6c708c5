/**
 * The promises of a bus, as a list of small situations that any bus can be put in.
 *
 * The situations are the contract of `EventBus`. They say who receives what in which order, what a full buffer does,
 * what one subscriber may do to another, how takes wait, and how subscriptions and the bus end. The name of each says
 * what must be true. Each takes *a way to make a bus*, and fails with what it expected and what it found.
 *
 * **When to use**
 *
 * For a bus of your own, or a bridge between buses: run every situation against it. If it lacks some part, such as
 * replay, leave out that capability. The situations that need it are then left out too.
 *
 * **Details**
 *
 * Nothing sleeps. A situation runs under `TestClock` and a scheduler that knows when nothing is left to do. One that
 * still waits then fails instead of hanging.
 *
 * **Example** (Running the suite against a bus)
 *
 * ```ts
 * import { EventBus } from "@openwatch/event-bus"
 * import { Conformance } from "@openwatch/event-bus-conformance"
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
import type { EventBus, Loss, Overflow, SubscriptionSnapshot } from "@openwatch/event-bus"
import type { Cause, Duration, Effect, Scope, Stream } from "effect"
import type { Event, Kind } from "./internal/events.ts"
import { comings } from "./internal/situations/comings.ts"
import { counters } from "./internal/situations/counters.ts"
import { delivery } from "./internal/situations/delivery.ts"
import { inline } from "./internal/situations/inline.ts"
import { isolation } from "./internal/situations/isolation.ts"
import { keyed } from "./internal/situations/keyed.ts"
import { kinds } from "./internal/situations/kinds.ts"
import { lag } from "./internal/situations/lag.ts"
import { losses } from "./internal/situations/losses.ts"
import { order } from "./internal/situations/order.ts"
import { random } from "./internal/situations/random.ts"
import { replay } from "./internal/situations/replay.ts"
import { shutdown } from "./internal/situations/shutdown.ts"
import { takes } from "./internal/situations/takes.ts"
import { unsubscribing } from "./internal/situations/unsubscribing.ts"
import type { ConformanceFailure } from "./internal/stage.ts"

export { Blue, type Event, events, Green, type Kind, Red } from "./internal/events.ts"
export { ConformanceFailure } from "./internal/stage.ts"

/**
 * The parts that a bus may or may not have.
 *
 * - `"dropping"`, `"sliding"`: a full buffer that loses the newest event, or the oldest.
 * - `"synchronous"`: an event is in the buffer of every subscription before `publish` returns. A bridge does not offer
 *   this: there it arrives later.
 * - `"publishUnsafe"`: publishing outside Effect.
 * - `"buffers"`: `subscribe` takes a `bufferSize` and an `overflow` of its own.
 * - `"counters"`: subscriptions have a `snapshot`. `"metrics"`: the bus has `metrics`.
 * - `"losses"`: subscriptions have `losses`.
 * - `"where"`: `subscribe` takes values that fields of the events must have.
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
  | "where"
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
  "where",
  "replay",
  "handlers",
  "drain"
]

/**
 * The bus that a situation asks for. What is left out is the choice of the bus, except that its default buffer must
 * hold a thousand events.
 */
export interface BusOptions {
  readonly bufferSize?: number
  readonly overflow?: Overflow
  readonly replay?: number
}

/** The options with which a situation subscribes. */
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
  /** Only with the capability `"where"`. */
  readonly where?: { readonly n: number }
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

/** What `on` of the bus under test returns. */
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
  readonly metrics?: Effect.Effect<Omit<EventBus.Metrics, "publishedByKind">>
  /** With the capability `"handlers"`. */
  readonly on?: (
    kinds: ReadonlyArray<Kind>,
    handler: (event: Event) => Effect.Effect<unknown, unknown>,
    options?: { readonly concurrency?: number; readonly drain?: Duration.Input }
  ) => Effect.Effect<TestedHandler, never, Scope.Scope>
}

/**
 * A way to make a bus, and the list of what it offers.
 */
export interface Harness {
  /** Makes a new bus that lives as long as the scope. */
  readonly make: (options: BusOptions) => Effect.Effect<TestedBus, never, Scope.Scope>
  /** The parts that the bus has. `situationsFor` leaves out the situations that need others. */
  readonly offers: ReadonlyArray<Capability>
  /**
   * Completes when what was published has arrived. Only a bus needs it whose events leave the process, or go through
   * promises and timers. What Effect's scheduler runs is waited for anyway. With a `settle`, a situation that waits for
   * ever is ended only by the time-out of the test.
   */
  readonly settle?: Effect.Effect<void>
  /** Seeds of the random situations. Default: twenty new ones for each run. A failure names its seed. */
  readonly seeds?: ReadonlyArray<number>
}

/** One promise of a bus. */
export interface Situation {
  /** What the situation is about. Several share a topic. */
  readonly topic: string
  /** The promise, in words. Unique. */
  readonly name: string
  /** The parts that a bus must have for the situation to make sense. */
  readonly requires: ReadonlyArray<Capability>
  /** Makes a bus, puts it in the situation, and fails unless the promise is kept. */
  readonly run: (harness: Harness) => Effect.Effect<void, ConformanceFailure>
}

/** Returns the situations that a bus has to pass: those that require no more than it offers. */
export const situationsFor = (harness: Harness): ReadonlyArray<Situation> =>
  situations.filter((situation) => situation.requires.every((capability) => harness.offers.includes(capability)))

/** All situations. */
export const situations: ReadonlyArray<Situation> = [
  ...delivery,
  ...order,
  ...lag,
  ...isolation,
  ...inline,
  ...kinds,
  ...keyed,
  ...takes,
  ...comings,
  ...unsubscribing,
  ...shutdown,
  ...counters,
  ...losses,
  ...replay,
  ...random
]
