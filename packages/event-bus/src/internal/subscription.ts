/**
 * A subscription: a cursor of the storage, with Effect's face.
 */
import { Cause, DateTime, Effect, Exit, type Fiber, type PubSub, Scope, Stream } from "effect"
import type { NonEmptyArray } from "effect/Array"
import type { AnyEvent } from "../EventBus.ts"
import type { Loss, Overflow, State, Subscription, SubscriptionSnapshot } from "../Subscription.ts"
import { PubSubSubscription } from "./backing.ts"
import { Losses } from "./losses.ts"
import type { Members } from "./members.ts"
import type { Series } from "./metrics.ts"
import { type Cursor, Empty, type LossListener } from "./storage.ts"
import type { Supervision } from "./supervision.ts"
import { eventOf, type Stored } from "./traced.ts"
import { plural } from "./words.ts"

/** What a subscription needs of its bus. */
export interface Host {
  readonly name: string
  /** True once an event was published inside a span: from then on what is stored may be `Traced`. */
  readonly isTraced: boolean
  readonly hub: PubSub.PubSub<AnyEvent>
  readonly schedule: (task: () => void) => void
  readonly run: (effect: Effect.Effect<void>) => Fiber.Fiber<void>
  /** The time by the bus's `Clock`. */
  readonly now: () => DateTime.Utc
}

/** What is reported of subscriptions of one name. */
export const series: ReadonlyArray<Series<SubscriptionImpl>> = [
  {
    id: "event_bus_subscription_delivered_total",
    description: "Events accepted into the buffer and not evicted from it",
    isTotal: true,
    read: ({ cursor }) => cursor.delivered
  },
  {
    id: "event_bus_subscription_dropped_total",
    description: "Events that the full buffer lost",
    isTotal: true,
    read: ({ cursor }) => cursor.dropped
  },
  {
    id: "event_bus_subscription_discarded_total",
    description: "Events that were pending when the subscription was closed",
    isTotal: true,
    read: ({ cursor }) => cursor.discarded
  },
  {
    id: "event_bus_subscription_handler_failures_total",
    description: "Events whose handler failed and was given up",
    isTotal: true,
    read: ({ supervision }) => supervision?.failures ?? 0
  },
  {
    id: "event_bus_subscription_pending",
    description: "Events waiting in the buffer",
    isTotal: false,
    read: ({ cursor }) => cursor.pending
  },
  {
    id: "event_bus_subscription_lag_seconds",
    description: "Time since the oldest event waiting in the buffer occurred",
    isTotal: false,
    isGreatest: true,
    read: (subscription) => subscription.lagSeconds
  }
]

export class SubscriptionImpl extends PubSubSubscription implements Subscription<AnyEvent>, LossListener {
  readonly name: string
  readonly kinds: ReadonlyArray<string>
  readonly where: SubscriptionSnapshot["where"] | undefined
  readonly overflow: Overflow
  readonly cursor: Cursor<Stored>
  /** A child of the subscriber's scope, so that unsubscribing leaves nothing behind in that one. */
  readonly scope: Scope.Closeable
  /** Where it is counted: those of the bus, or of the view that it was made through. */
  readonly members: Members
  readonly isObserver: boolean
  /** Ends its metrics. */
  endReport: (() => void) | undefined = undefined
  /** Nobody minds what it loses. */
  isQuiet = false
  /** What runs subscriber code, if this is a subscription of `on` or `consume`. */
  supervision: Supervision | undefined = undefined
  protected readonly host: Host
  private isClosed = false
  /** Made when something is lost, or when somebody asks. */
  private lost: Losses | undefined = undefined

  constructor(
    host: Host,
    options: {
      readonly name: string
      readonly kinds: ReadonlyArray<string>
      readonly where: SubscriptionSnapshot["where"] | undefined
      readonly overflow: Overflow
      readonly isObserver: boolean
    },
    cursor: Cursor<Stored>,
    scope: Scope.Closeable,
    members: Members
  ) {
    super()
    this.host = host
    this.name = options.name
    this.kinds = options.kinds
    this.where = options.where
    this.overflow = options.overflow
    this.cursor = cursor
    this.scope = scope
    this.members = members
    this.isObserver = options.isObserver
    cursor.losses = this
  }

  get take(): Effect.Effect<AnyEvent, Cause.Done> {
    return this.taking(() => this.poll())
  }

  get takeAll(): Effect.Effect<NonEmptyArray<AnyEvent>, Cause.Done> {
    return this.taking(() => this.pollSome(Number.POSITIVE_INFINITY))
  }

  get takeUpTo(): (n: number) => Effect.Effect<Array<AnyEvent>, Cause.Done> {
    return (n) =>
      Effect.suspend(() => {
        if (this.cursor.isEnded) return Cause.done()
        const limit = atLeastZero(n)
        return Effect.succeed(limit === 0 || (this.cursor.isOpen && this.isAwaited) ? [] : this.pollUpTo(limit))
      })
  }

  get takeBetween(): (min: number, max: number) => Effect.Effect<Array<AnyEvent>, Cause.Done> {
    return (min, max) => {
      const atLeast = atLeastZero(min)
      const atMost = atLeastZero(max)
      if (atMost < atLeast) return Effect.succeed([])
      if (atLeast === 0) return this.takeUpTo(atMost)
      const { capacity } = this.cursor
      const more = (taken: Array<AnyEvent>): Effect.Effect<Array<AnyEvent>, Cause.Done> => {
        // Nothing is taken before all is there, so that interrupting the wait loses nothing; but what the buffer cannot
        // hold has to be taken a buffer at a time.
        const count = Math.min(atLeast - taken.length, capacity)
        return Effect.matchEffect(this.taking(() => this.pollSome(atMost - taken.length), count), {
          onFailure: (done) => taken.length === 0 ? Effect.fail(done) : Effect.succeed(taken),
          onSuccess: (events) => {
            const all = taken.concat(events)
            return all.length < atLeast ? more(all) : Effect.succeed(all)
          }
        })
      }
      return more([])
    }
  }

  get stream(): Stream.Stream<AnyEvent> {
    return Stream.fromPull(Effect.succeed(this.takeAll))
  }

  get losses(): Stream.Stream<Loss> {
    return Stream.suspend(() => this.lossesUnsafe().stream)
  }

  get snapshot(): Effect.Effect<SubscriptionSnapshot> {
    return Effect.sync(() => this.snapshotUnsafe())
  }

  get unsubscribe(): Effect.Effect<void> {
    // Not by closing the scope, which returns at once where somebody else has only begun to.
    return Effect.sync(() => this.closeUnsafe())
  }

  snapshotUnsafe(): SubscriptionSnapshot {
    const { cursor, supervision } = this
    const delivered = cursor.delivered
    return {
      name: this.name,
      kinds: this.kinds,
      ...(this.where && { where: this.where }),
      bufferSize: cursor.capacity,
      overflow: this.overflow,
      state: this.state,
      offered: cursor.offered,
      delivered,
      dropped: cursor.dropped,
      taken: cursor.taken,
      pending: cursor.pending,
      discarded: cursor.discarded,
      running: supervision?.running ?? 0,
      failures: supervision?.failures ?? 0,
      ...supervision?.snapshotUnsafe()
    }
  }

  /** See that of a bus. */
  toJSON(): unknown {
    return { _id: "Subscription", ...this.snapshotUnsafe() }
  }

  /** The age of the oldest pending event, by what it says of itself; 0 if there is none, or if it does not say. */
  get lagSeconds(): number {
    const { oldest } = this.cursor
    if (oldest === Empty) return 0
    try {
      const age = DateTime.toEpochMillis(this.host.now()) - DateTime.toEpochMillis(eventOf(oldest).occurredAt)
      return age > 0 ? age / 1000 : 0
    } catch {
      return 0
    }
  }

  get state(): State {
    return this.cursor.isOpen ? "open" : this.isClosed ? "closed" : "draining"
  }

  /** Discards what is pending. Nothing more is taken. */
  closeUnsafe(): void {
    this.cursor.close()
    this.lost?.close()
    this.finish()
  }

  /** The bus accepts no more events; what is pending can still be taken. */
  endUnsafe(): void {
    this.cursor.closeIntake()
    this.lost?.close()
    this.finish()
  }

  /** The subscription accepts no more events, while the bus goes on; what is pending can still be taken. */
  drainUnsafe(): void {
    this.cursor.leave()
    this.lost?.close()
    this.finish()
  }

  /** Closes the subscription if it accepts nothing, holds nothing and handles nothing any more. */
  finish(): void {
    if (this.isClosed || !this.cursor.isEnded || this.supervision?.isActive === true) return
    this.isClosed = true
    this.endTakes()
    this.endReport?.()
    this.members.onClosed(this)
    this.lost?.notify()
    if (this.supervision !== undefined) return
    this.reportDiscarded()
    // All that the scope would do is done. Closed, it leaves the subscriber's scope, which may live on for long.
    Scope.closeUnsafe(this.scope, Exit.void)
  }

  /** What a taker has left behind is its own business, as when a page is closed; what handlers leave behind is a warning. */
  private reportDiscarded(): void {
    const { discarded } = this.cursor
    if (discarded === 0 || this.isQuiet) return
    this.host.run(this.annotate(
      Effect.logDebug(`Closing a subscription discarded ${plural(discarded, "pending event")}`),
      { discarded }
    ))
  }

  /** Logs who it is about, so that a logger that fails does not fail the fiber that logs. */
  annotate(logging: Effect.Effect<void>, annotations: Record<string, unknown>): Effect.Effect<void> {
    const annotated = Effect.annotateLogs(logging, { bus: this.host.name, subscription: this.name, ...annotations })
    return Effect.catchCause(annotated, () => Effect.void)
  }

  onLoss(): void {
    if (!this.isQuiet) this.lossesUnsafe().onLoss()
  }

  private lossesUnsafe(): Losses {
    return this.lost ??= new Losses(this, this.host)
  }

  poll(): AnyEvent | Empty {
    const event = this.pollUnfinished()
    if (!this.cursor.isOpen) this.finish()
    return event
  }

  pollUnfinished(): AnyEvent | Empty {
    const item = this.cursor.poll()
    if (item === Empty) return Empty
    return this.host.isTraced ? eventOf(item) : item as AnyEvent
  }

  pollUpTo(n: number): Array<AnyEvent> {
    const items = this.cursor.pollUpTo(n)
    if (!this.cursor.isOpen) this.finish()
    return this.host.isTraced ? items.map(eventOf) : items as Array<AnyEvent>
  }

  private pollSome(n: number): NonEmptyArray<AnyEvent> | Empty {
    const events = this.pollUpTo(n)
    return events.length > 0 ? events as NonEmptyArray<AnyEvent> : Empty
  }

  /** Takes what `poll` finds, after those who wait already; waits while less than `count` is pending. */
  taking<A>(poll: () => A | Empty, count = 1): Effect.Effect<A, Cause.Done> {
    return Effect.suspend(() => {
      const { cursor } = this
      if (cursor.isEnded) return Cause.done()
      if (!this.isAwaited && (cursor.pending >= count || !cursor.isOpen)) return Effect.succeed(poll() as A)
      return Effect.callback<A, Cause.Done>((resume) => {
        const waiter = {
          count,
          run: () => {
            const found = poll()
            resume(found === Empty ? Cause.done() : Effect.succeed(found))
          }
        }
        cursor.wait(waiter)
        return Effect.sync(() => cursor.cancel(waiter))
      })
    })
  }
}

const atLeastZero = (n: number): number => n > 0 ? Math.floor(n) : 0
