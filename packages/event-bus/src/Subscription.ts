/**
 * A subscription: a subscriber's own buffer of events, and the ways to take from it.
 *
 * A subscription is live from the moment `subscribe` returns it until its scope closes. Its buffer, its overflow policy
 * and its counters are its own. However slow or stuck its subscriber is, no other subscription and no publisher
 * notices.
 *
 * **What a slow subscriber meets**
 *
 * Events wait in the buffer. When it is full, each further event costs one: the new one (`"dropping"`) or the oldest
 * one that is pending (`"sliding"`). `losses` tells the subscriber how many events it lost, and when they happened.
 * `snapshot` counts them, and the log has a warning.
 *
 * **What closing means**
 *
 * When the bus is shut down, what is pending can still be taken. After that takes fail with `Cause.Done`, and streams
 * end. When the subscription itself is closed, what is pending is discarded, and takes fail at once.
 */
import type { Cause, DateTime, Effect, PubSub, Stream } from "effect"
import type { NonEmptyArray } from "effect/Array"

/**
 * What a full buffer does: `"dropping"` loses the newest event, `"sliding"` the oldest.
 */
export type Overflow = "dropping" | "sliding"

/**
 * Where a subscription is in its life.
 *
 * - `"open"`: events are offered to it.
 * - `"draining"`: no more events are offered, but some are pending, or a handler runs. The bus was shut down, or the scope
 *   was closed and waits for the handler.
 * - `"closed"`: nothing is pending and nothing will be. Its counters stay as they were.
 */
export type State = "open" | "draining" | "closed"

/**
 * The counters of one subscription, all of one moment.
 *
 * Always `offered = delivered + dropped` and `delivered = taken + pending + discarded`. Where there is a handler also
 * `taken = handled + failures + interrupted + running`.
 */
export interface SubscriptionSnapshot {
  /** The name that it was given, or its kinds joined by `+`. Several subscriptions may have the same name. */
  readonly name: string
  /**
   * The kinds that it receives, each once. It is the same array in all snapshots of one subscription, and no other
   * subscription has it.
   */
  readonly kinds: ReadonlyArray<string>
  /** The `where` that it was given. Absent if it has none. */
  readonly where?: Readonly<Record<string, string | number | boolean>>
  /** Events that may be pending at most. */
  readonly bufferSize: number
  /** Which event it loses when that many are pending. */
  readonly overflow: Overflow
  readonly state: State
  /** Matching events published while the subscription was open, and the replayed ones. */
  readonly offered: number
  /** Events accepted into the buffer and not evicted from it. */
  readonly delivered: number
  /** Events rejected by (`"dropping"`) or evicted from (`"sliding"`) the full buffer. */
  readonly dropped: number
  /** Events that the subscriber has taken. */
  readonly taken: number
  /** Events in the buffer. */
  readonly pending: number
  /** Events that were pending when the subscription closed. */
  readonly discarded: number
  /**
   * Events being handled now. An event counts until the handler, its scope and its `onFailure` have ended. 0 for a
   * subscription without a handler.
   */
  readonly running: number
  /** Events whose handler failed and was given up. */
  readonly failures: number
  /** Events whose handler succeeded. Absent for a subscription without a handler. */
  readonly handled?: number
  /**
   * Events whose handler was interrupted, by the closing of the subscription or by itself. Absent without a handler.
   */
  readonly interrupted?: number
  /**
   * How many events have ended before the first one that still runs, in the order of taking. Whether they were handled,
   * failed or were interrupted makes no difference. Absent without a handler.
   */
  readonly settled?: number
  /** How often the body of `consume` was run again. Absent for anything else. */
  readonly restarts?: number
}

/**
 * Events that a full buffer lost since the last such report.
 */
export interface Loss {
  /** How many. */
  readonly dropped: number
  /**
   * `occurredAt` of the first event lost. If that can no longer be read, as of a revoked `Proxy`, it is that of the
   * last event lost, or else the time when the loss was noticed.
   */
  readonly since: DateTime.Utc
  /** `occurredAt` of the last event lost. If it can no longer be read, the same as `since`. */
  readonly until: DateTime.Utc
}

/**
 * A subscriber's place on a bus. It takes events at its own pace.
 *
 * **Gotchas**
 *
 * Takes fail with `Cause.Done` once nothing is pending any more and nothing can come: after the bus was shut down, or
 * the subscription closed. This includes takes that already wait.
 *
 * Several fibers may take from one subscription: each event goes to one of them.
 *
 * **Example** (A subscriber that is too slow, and reads again what it missed)
 *
 * ```ts
 * import { EventBus } from "@openwatch/event-bus"
 * import { DateTime, Effect, Schema, Stream } from "effect"
 *
 * class Measured extends Schema.TaggedClass<Measured>()("Measured", {
 *   celsius: Schema.Finite,
 *   occurredAt: Schema.DateTimeUtc
 * }) {}
 *
 * const program = Effect.gen(function*() {
 *   const bus = yield* EventBus.make({ events: [Measured] })
 *   const page = yield* bus.subscribe({ kinds: ["Measured"], bufferSize: 2, overflow: "sliding" })
 *   const occurredAt = yield* DateTime.now
 *   yield* bus.publishAll([18, 19, 20, 21].map((celsius) => new Measured({ celsius, occurredAt })))
 *   yield* bus.shutdown
 *
 *   const shown = yield* Stream.runCollect(page.stream)
 *   shown.map((event) => event.celsius) // => [20, 21]
 *   const losses = yield* Stream.runCollect(page.losses)
 *   losses.map((loss) => loss.dropped) // => [2]
 * })
 *
 * await Effect.runPromise(Effect.scoped(program))
 * ```
 */
export interface Subscription<out E> extends PubSub.Subscription<E> {
  /** As it was given, or the kinds joined by `+`. */
  readonly name: string
  /** Takes the oldest pending event. Waits for one. */
  readonly take: Effect.Effect<E, Cause.Done>
  /** Takes all pending events, oldest first. Waits for at least one. */
  readonly takeAll: Effect.Effect<NonEmptyArray<E>, Cause.Done>
  /** Takes at most `n` pending events. Never waits: while the subscription is open, it may return none. */
  readonly takeUpTo: (n: number) => Effect.Effect<Array<E>, Cause.Done>
  /** Takes at least `min` and at most `max` events. Waits for `min`. Once nothing more can come, it may return fewer. */
  readonly takeBetween: (min: number, max: number) => Effect.Effect<Array<E>, Cause.Done>
  /** The events, until the bus is shut down and the buffer is empty, or the subscription is closed. */
  readonly stream: Stream.Stream<E>
  /**
   * What the buffer lost. It begins with what was lost before the stream ran. While the consumer is busy, further
   * losses are gathered into one. Ends with the subscription.
   */
  readonly losses: Stream.Stream<Loss>
  /** Its counters, all of one moment. A closed subscription keeps its last ones. */
  readonly snapshot: Effect.Effect<SubscriptionSnapshot>
  /**
   * Discards what is pending, and removes the subscription from the bus. Idempotent. The closing of the scope does it
   * too.
   */
  readonly unsubscribe: Effect.Effect<void>
}

/**
 * A subscription whose events go to a handler: see `EventBus.on`.
 */
export interface SubscriptionHandle {
  /** As it was given, or the kinds joined by `+`. */
  readonly name: string
  /** See {@link Subscription.snapshot}. */
  readonly snapshot: Effect.Effect<SubscriptionSnapshot>
  /** See {@link Subscription.losses}. */
  readonly losses: Stream.Stream<Loss>
  /**
   * Discards what is pending, interrupts running handlers, waits for them, and removes the subscription. Does not
   * drain. Idempotent.
   *
   * Called by the handler itself, it does not wait: the handler finishes its event, and no other starts.
   */
  readonly unsubscribe: Effect.Effect<void>
}
