/**
 * A subscription: one subscriber's own buffer of a bus's events, and what can be asked of it.
 *
 * A subscription is live from the moment `subscribe` returns it until its scope closes. Its buffer, its overflow policy
 * and its counters are its own: however slow or stuck it is, no other subscription and no publisher notices.
 */
import type { Cause, DateTime, Effect, Stream } from "effect"
import type { NonEmptyArray } from "effect/Array"

/**
 * What a full buffer does: `"dropping"` loses the newest event, `"sliding"` the oldest.
 */
export type Overflow = "dropping" | "sliding"

/**
 * Where a subscription is in its life.
 *
 * - `"open"`: events are offered to it.
 * - `"draining"`: the bus was shut down, or its `drain` time runs; no more events are offered, the accepted ones still
 *   reach the subscriber.
 * - `"closed"`: nothing is pending and nothing will be. Its counters stay as they were.
 */
export type State = "open" | "draining" | "closed"

/**
 * The counters of one subscription, all of one moment.
 *
 * Always `offered = delivered + dropped` and `delivered = taken + pending + discarded`.
 */
export interface SubscriptionSnapshot {
  readonly name: string
  readonly kinds: ReadonlyArray<string>
  /** Events that may be pending at most. */
  readonly bufferSize: number
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
  /** Handlers running now; 0 for a subscription without handler. */
  readonly running: number
  /** Events whose handler failed and was given up. */
  readonly failures: number
}

/**
 * Events that a full buffer lost since the last such report.
 */
export interface Loss {
  /** How many. */
  readonly dropped: number
  /** `occurredAt` of the first event lost. */
  readonly since: DateTime.Utc
  /** `occurredAt` of the last event lost. */
  readonly until: DateTime.Utc
}

/**
 * One subscriber's place on a bus, to be taken from at its own pace.
 *
 * **Gotchas**
 *
 * A take that waits when the bus is shut down, or when the subscription is closed, fails with `Cause.Done`, as does every
 * take once nothing is pending any more.
 */
export interface Subscription<out E> {
  readonly name: string
  /** The oldest pending event; waits for one. */
  readonly take: Effect.Effect<E, Cause.Done>
  /** All pending events, oldest first; waits for one. */
  readonly takeAll: Effect.Effect<NonEmptyArray<E>, Cause.Done>
  /** At most `n` pending events. Never waits: none only while the subscription is open. */
  readonly takeUpTo: (n: number) => Effect.Effect<Array<E>, Cause.Done>
  /** At least `min` and at most `max` events; waits for `min`. Fewer only once the bus is shut down. */
  readonly takeBetween: (min: number, max: number) => Effect.Effect<Array<E>, Cause.Done>
  /** The events, until the bus is shut down and the buffer is empty, or the subscription is closed. */
  readonly stream: Stream.Stream<E>
  /**
   * What the buffer lost: first what was lost before the stream ran, then each further loss, gathered while the consumer
   * is busy. Ends with the subscription.
   */
  readonly losses: Stream.Stream<Loss>
  readonly snapshot: Effect.Effect<SubscriptionSnapshot>
  /** Discards what is pending and removes the subscription from the bus. Idempotent; also run when the scope closes. */
  readonly unsubscribe: Effect.Effect<void>
}

/**
 * A subscription whose events go to a handler: see `EventBus.on`.
 */
export interface SubscriptionHandle {
  readonly name: string
  readonly snapshot: Effect.Effect<SubscriptionSnapshot>
  /** See {@link Subscription.losses}. */
  readonly losses: Stream.Stream<Loss>
  /**
   * Discards what is pending, interrupts running handlers, removes the subscription. Idempotent. Called by the handler
   * itself it waits for nothing: the handler finishes its event, and no other starts.
   */
  readonly unsubscribe: Effect.Effect<void>
}
