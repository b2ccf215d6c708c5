/**
 * The bus: storage, subscriptions and counters behind the `EventBus` interface.
 */
import { Clock, Context, DateTime, type Duration, Effect, Fiber, PubSub, Scheduler, Scope, Tracer } from "effect"
import type {
  AnyEvent,
  EventBus,
  EventSchemas,
  HandlerOptions,
  Metrics,
  Options,
  PubSubOptions,
  SubscribeOptions
} from "../EventBus.ts"
import type { Overflow, Subscription, SubscriptionHandle, SubscriptionSnapshot } from "../Subscription.ts"
import { type Handler, Handling } from "./handling.ts"
import { type Intake, makeHub, makeView } from "./hub.ts"
import { report, type Series } from "./metrics.ts"
import { makeSchedule, withAsyncScheduler } from "./scheduler.ts"
import { type Route, Storage } from "./storage.ts"
import { type Host, series as subscriptionSeries, SubscriptionImpl } from "./subscription.ts"
import type { Supervision } from "./supervision.ts"
import { eventOf, type Stored, Traced } from "./traced.ts"
import {
  kindsOf,
  list,
  readKind,
  refuse,
  refuseKind,
  requireCount,
  requireDuration,
  requireKinds,
  requireOverflow,
  requirePositiveInteger,
  requireWhere,
  unreadable
} from "./validation.ts"

/** What is reported of one kind, for all buses of one name. */
const seriesOfKind = (kind: string): ReadonlyArray<Series<BusImpl>> => [
  {
    id: "event_bus_published_total",
    description: "Events published",
    isTotal: true,
    read: (bus) => bus.storage.published(kind)
  },
  {
    id: "event_bus_no_subscribers_total",
    description: "Events published that matched no subscription",
    isTotal: true,
    read: (bus) => bus.storage.unmatched(kind)
  }
]

/** What is reported of all kinds together. */
const series: ReadonlyArray<Series<BusImpl>> = [
  {
    id: "event_bus_delivered_total",
    description: "Events accepted into buffers and not evicted from them, over all subscriptions",
    isTotal: true,
    read: (bus) => bus.sum("delivered")
  },
  {
    id: "event_bus_dropped_total",
    description: "Events that full buffers lost, over all subscriptions",
    isTotal: true,
    read: (bus) => bus.sum("dropped")
  },
  {
    id: "event_bus_discarded_total",
    description: "Events that were pending when their subscription was closed, over all subscriptions",
    isTotal: true,
    read: (bus) => bus.sum("discarded")
  },
  {
    id: "event_bus_handler_failures_total",
    description: "Events whose handler failed and was given up, over all subscriptions",
    isTotal: true,
    read: (bus) => bus.sum("failures")
  },
  {
    id: "event_bus_pending",
    description: "Events waiting in buffers",
    isTotal: false,
    read: (bus) => bus.sum("pending")
  },
  {
    id: "event_bus_subscriptions",
    description: "Subscriptions that are not closed",
    isTotal: false,
    read: (bus) => bus.open.size
  }
]

export class BusImpl implements EventBus<AnyEvent>, Host {
  readonly name: string
  readonly events: EventSchemas
  readonly kinds: ReadonlyArray<string>
  isTraced = false
  readonly schedule: (task: () => void) => void
  readonly run: (effect: Effect.Effect<void>) => Fiber.Fiber<void>
  readonly now: () => DateTime.Utc
  private readonly bufferSize: number
  private readonly overflow: Overflow
  private readonly replay: number
  private readonly drain: Duration.Duration | undefined
  readonly storage: Storage<string, Stored>
  /** What is published goes through it, and what is subscribed to is its storage. */
  readonly hub: PubSub.PubSub<AnyEvent>
  /** The subscriptions that are not closed, each with what ends its metrics. */
  readonly open = new Map<SubscriptionImpl, () => void>()
  private readonly context: Context.Context<never>
  private readonly scheduler: Scheduler.Scheduler
  private readonly endMetrics: () => void
  private readonly supervisions = new Set<Supervision>()
  private readonly idleChecks = new Set<() => void>()
  /** What the closed subscriptions came to. */
  private readonly closed = { delivered: 0, discarded: 0, dropped: 0, failures: 0, pending: 0 }

  constructor(name: string, events: EventSchemas, options: Options, context: Context.Context<never>) {
    const kinds: ReadonlyArray<string> = kindsOf(name, events)
    this.name = name
    this.events = events
    this.kinds = kinds
    this.bufferSize = requirePositiveInteger(name, "bufferSize", options.bufferSize ?? 1024)
    this.overflow = requireOverflow(name, options.overflow ?? "dropping")
    this.replay = requireCount(name, "replay", options.replay ?? 0, Number.MAX_SAFE_INTEGER, "")
    this.drain = options.drain === undefined ? undefined : requireDuration(name, "drain", options.drain)
    this.context = Context.omit(Tracer.ParentSpan)(withAsyncScheduler(context))
    this.scheduler = Context.get(this.context, Scheduler.Scheduler)
    this.schedule = makeSchedule(this.scheduler.makeDispatcher())
    this.run = Effect.runForkWith(this.context)
    const clock = Context.get(this.context, Clock.Clock)
    this.now = () => DateTime.makeUnsafe(clock.currentTimeMillisUnsafe())
    this.storage = new Storage(kinds, this.replay, this.schedule, eventOf)
    this.hub = makeHub(
      this.intake(kinds, {
        // Each subscription has a buffer of its own.
        capacity: Number.POSITIVE_INFINITY,
        subscribe: () => refuse(name, `a subscription names its kinds; the kinds are ${list(kinds)}`)
      }),
      Effect.sync(() => this.end())
    )
    const reports = [
      report(this.context, this, { bus: name }, series),
      ...kinds.map((kind) => report(this.context, this, { bus: name, kind }, seriesOfKind(kind)))
    ]
    this.endMetrics = () => reports.forEach((end) => end())
  }

  readonly publish = (event: AnyEvent): Effect.Effect<void> => Effect.sync(() => this.publishUnsafe(event))

  readonly publishAll = (events: Iterable<AnyEvent>): Effect.Effect<void> =>
    Effect.asVoid(PubSub.publishAll(this.hub, events))

  readonly publishUnsafe = (event: AnyEvent): void => {
    PubSub.publishUnsafe(this.hub, event)
  }

  /** What is published on the bus through a `PubSub`: on the hub, where all of its kinds are allowed, or on a view. */
  private intake(
    kinds: ReadonlyArray<string>,
    rest: Pick<Intake, "capacity" | "subscribe">
  ): Intake {
    return {
      ...rest,
      // A `PubSub` that is shut down asks nobody: only a view, which may outlive the bus, has to look.
      accept: (event) => (kinds === this.kinds || !this.isShutdown) && this.accept(event, kinds),
      acceptAll: (events) => {
        const all = Array.from(events)
        // A `_tag` is read once: one that can no longer be read, or changes, must not stop a batch half-way.
        const routes = all.map((event) => this.route(event, kinds))
        if (this.isShutdown) return false
        const items = all.map((event) => this.stored(event))
        // So are the fields that somebody asked for.
        const keyed = items.map((item, i) => this.match(routes[i]!, item))
        for (let i = 0; i < all.length; i++) {
          this.storage.publish(routes[i]!, items[i]!, keyed[i])
          this.onPublished?.(all[i]!)
        }
        return true
      }
    }
  }

  private accept(event: AnyEvent, kinds: ReadonlyArray<string>): true {
    const route = this.route(event, kinds)
    const item = this.stored(event)
    this.storage.publish(route, item, route.indexes.length === 0 ? undefined : this.match(route, item))
    this.onPublished?.(event)
    return true
  }

  /** Who has asked for it by its fields. */
  private match(route: Route<Stored>, item: Stored): ReturnType<Storage<string, Stored>["match"]> {
    try {
      return this.storage.match(route, item)
    } catch (cause) {
      throw unreadable(this.name, "a field that a where names", cause)
    }
  }

  private stored(event: AnyEvent): Stored {
    const span = Fiber.getCurrent()?.cache.span
    return span === undefined ? event : this.trace(event, span)
  }

  private end(): void {
    for (const subscription of this.open.keys()) subscription.endUnsafe()
  }

  private get isShutdown(): boolean {
    return PubSub.isShutdownUnsafe(this.hub)
  }

  private trace(event: AnyEvent, span: Tracer.AnySpan): Stored {
    if (Context.get(span.annotations, Tracer.DisablePropagation)) return event
    this.isTraced = true
    return new Traced(event, span)
  }

  /** For a bus that records. */
  protected onPublished?(event: AnyEvent): void

  readonly subscribe = (options: SubscribeOptions<string, any>): Effect.Effect<Subscription<any>, never, Scope.Scope> =>
    Effect.uninterruptible(Effect.withFiber((fiber) => {
      const subscription = this.subscribeUnsafe(options, childScope(fiber))
      return Effect.as(
        Scope.addFinalizer(subscription.scope, Effect.sync(() => subscription.closeUnsafe())),
        subscription
      )
    }))

  readonly asPubSub = (options: PubSubOptions<string>): Effect.Effect<PubSub.PubSub<any>> =>
    Effect.sync(() => {
      if ((options as { readonly where?: unknown }).where !== undefined) {
        refuse(this.name, "asPubSub has no where; subscribe has")
      }
      const { bufferSize, kinds } = this.complete(options)
      return makeView(this.intake(kinds, {
        capacity: bufferSize,
        subscribe: () => this.subscribeUnsafe(options, Scope.makeUnsafe)
      }))
    })

  readonly on = (
    kinds: string | ReadonlyArray<string>,
    handle: (event: any, handle: SubscriptionHandle) => Effect.Effect<unknown, any, any>,
    options: HandlerOptions<any, any, any> = {}
  ): Effect.Effect<SubscriptionHandle, never, any> =>
    Effect.uninterruptible(Effect.withFiber((fiber) => {
      const concurrency = requirePositiveInteger(this.name, "concurrency", options.concurrency ?? 1)
      const drain = options.drain === undefined ? this.drain : requireDuration(this.name, "drain", options.drain)
      const subscription = this.subscribeUnsafe(
        { ...options, kinds: typeof kinds === "string" ? [kinds] : kinds },
        childScope(fiber)
      )
      const handling = new Handling(
        this,
        subscription,
        { handle, concurrency, retry: options.retry, onFailure: options.onFailure, drain } as Handler,
        withAsyncScheduler(fiber.context)
      )
      // After shutdown it has ended already, and nobody would take it out again.
      if (!this.isShutdown) this.supervisions.add(handling)
      return Effect.as(Scope.addFinalizer(subscription.scope, handling.release), handling.handle)
    }))

  readonly metrics: Effect.Effect<Metrics> = Effect.sync(() => {
    const published = this.kinds.map((kind) => [kind, this.storage.published(kind)] as const)
    return {
      publishedCount: published.reduce((sum, [, count]) => sum + count, 0),
      deliveredCount: this.sum("delivered"),
      droppedCount: this.sum("dropped"),
      noSubscribersCount: this.kinds.reduce((sum, kind) => sum + this.storage.unmatched(kind), 0),
      publishedByKind: Object.fromEntries(published)
    }
  })

  readonly subscriptions: Effect.Effect<ReadonlyArray<SubscriptionSnapshot>> = Effect.sync(() =>
    Array.from(this.open.keys(), (subscription) => subscription.snapshotUnsafe())
  )

  // What waits for it is somebody else's code: it is woken by the scheduler of the bus, not by that of the caller.
  readonly shutdown: Effect.Effect<void> = Effect.suspend(() =>
    Effect.provideService(PubSub.shutdown(this.hub), Scheduler.Scheduler, this.scheduler)
  )

  readonly awaitShutdown: Effect.Effect<void> = Effect.suspend(() => PubSub.awaitShutdown(this.hub))

  onClosed(subscription: SubscriptionImpl): void {
    this.open.get(subscription)?.()
    this.open.delete(subscription)
    this.closed.delivered += subscription.cursor.delivered
    this.closed.dropped += subscription.cursor.dropped
    this.closed.discarded += subscription.cursor.discarded
    const { supervision } = subscription
    if (supervision === undefined) return
    this.closed.failures += supervision.failures
    this.supervisions.delete(supervision)
  }

  /** What the closing of the bus's scope does. */
  readonly close: Effect.Effect<void> = Effect.andThen(
    this.shutdown,
    Effect.suspend(() => {
      // All begin before the first is waited for. In one fiber: that of a handler, perhaps, which ends the waits when it is interrupted.
      const waits = Array.from(this.supervisions, (supervision) => supervision.releaseUnsafe())
      return Effect.forEach(waits, Effect.exit, { discard: true })
    })
  ).pipe(Effect.andThen(Effect.sync(() => this.endMetrics())))

  /** Completes when no handler has anything to do, and no taker waits for an event that is there. */
  readonly awaitIdle: Effect.Effect<void> = Effect.callback((resume) => {
    let isWanted = true
    const check = (): void => {
      if (!isWanted) return
      let isIdle = true
      for (const { cursor, supervision } of this.open.keys()) {
        if (cursor.pending === 0 && (supervision === undefined || supervision.running === 0)) continue
        if (supervision?.isActive === true) {
          this.idleChecks.add(check)
          return
        }
        // A taker that waits for what is there: its wake-up is scheduled.
        if (cursor.isWakeDue) isIdle = false
      }
      if (isIdle) resume(Effect.void)
      else this.schedule(check)
    }
    check()
    return Effect.sync(() => {
      isWanted = false
      this.idleChecks.delete(check)
    })
  })

  /** A handler has found nothing to do. */
  onIdle(): void {
    if (this.idleChecks.size === 0) return
    const checks = Array.from(this.idleChecks)
    this.idleChecks.clear()
    for (const check of checks) this.schedule(check)
  }

  /** One counter over all subscriptions that ever were. */
  sum(counter: "delivered" | "discarded" | "dropped" | "failures" | "pending"): number {
    let sum = this.closed[counter]
    for (const { cursor, supervision } of this.open.keys()) {
      sum += counter === "failures" ? supervision?.failures ?? 0 : cursor[counter]
    }
    return sum
  }

  private complete(options: SubscribeOptions<string, any>) {
    const kinds = requireKinds(this.name, this.kinds, options.kinds)
    const where = options.where === undefined
      ? undefined
      : requireWhere(this.name, this.events.filter((_, i) => kinds.includes(this.kinds[i]!)), options.where)
    const overflow = requireOverflow(this.name, options.overflow ?? this.overflow)
    const bufferSize = requirePositiveInteger(this.name, "bufferSize", options.bufferSize ?? this.bufferSize)
    const replay = requireCount(
      this.name,
      "replay",
      options.replay ?? 0,
      Math.min(this.replay, bufferSize),
      ` (the bus keeps ${this.replay} of each kind, the buffer holds ${bufferSize})`
    )
    return { name: options.name ?? kinds.join("+"), kinds, where, overflow, bufferSize, replay }
  }

  private subscribeUnsafe(
    options: SubscribeOptions<string, any>,
    makeScope: () => Scope.Closeable
  ): SubscriptionImpl {
    const { bufferSize, kinds, name, overflow, replay, where } = this.complete(options)
    const cursor = this.storage.subscribe({
      kinds,
      where,
      bufferSize,
      overflow,
      replay: this.isShutdown ? 0 : replay
    })
    const subscription = new SubscriptionImpl(
      this,
      { name, kinds, overflow, ...(where && { where }) },
      cursor,
      makeScope()
    )
    this.open.set(
      subscription,
      report(this.context, subscription, { bus: this.name, subscription: subscription.name }, subscriptionSeries)
    )
    if (this.isShutdown) subscription.closeUnsafe()
    return subscription
  }

  /** The route of an event of one of these kinds, which are all of the bus or some. */
  private route(event: AnyEvent, kinds: ReadonlyArray<string>): Route<Stored> {
    const kind = readKind(this.name, event)
    const route = this.storage.route(kind as string)
    return route === undefined || (kinds !== this.kinds && !kinds.includes(route.kind))
      ? refuseKind(this.name, kinds, kind)
      : route
  }
}

/** Made once the options are known to be good. */
const childScope = (fiber: Fiber.Fiber<any, any>): () => Scope.Closeable => {
  const scope = Context.get(fiber.context as Context.Context<Scope.Scope>, Scope.Scope)
  return () => Scope.forkUnsafe(scope)
}

/** Makes a bus, and closes it with the scope. */
export const scoped = <Bus extends BusImpl>(
  make: (context: Context.Context<never>) => Bus
): Effect.Effect<Bus, never, Scope.Scope> =>
  Effect.uninterruptible(Effect.withFiber((fiber) => {
    const bus = make(fiber.context)
    const scope = Context.get(fiber.context as Context.Context<Scope.Scope>, Scope.Scope)
    return Effect.as(Scope.addFinalizer(scope, bus.close), bus)
  }))
