/**
 * The bus: storage, subscriptions and counters behind the `EventBus` interface.
 */
import { Clock, Context, DateTime, type Duration, Effect, Fiber, type PubSub, Scheduler, Scope, Tracer } from "effect"
import type { AnyEvent, EventSchemas, Options, SubscribeOptions } from "../EventBus.ts"
import type { Overflow } from "../Subscription.ts"
import { type Durations, makeDurations } from "./durations.ts"
import { Face } from "./face.ts"
import type { Accepting } from "./hub.ts"
import { Members } from "./members.ts"
import { report, type Series } from "./metrics.ts"
import { makeSchedule, withAsyncScheduler } from "./scheduler.ts"
import { type Route, Storage } from "./storage.ts"
import { type Host, series as subscriptionSeries, SubscriptionImpl } from "./subscription.ts"
import { eventOf, type Stored, Traced } from "./traced.ts"
import {
  readKind,
  refuseKind,
  requireCount,
  requireDrain,
  requireKinds,
  requireOverflow,
  requirePositiveInteger,
  requireWhere,
  unreadable
} from "./validation.ts"
import type { View } from "./view.ts"

/** What is reported of one kind, for all buses of one name. */
const seriesOfKind: ReadonlyArray<Series<Route<Stored>>> = [
  {
    id: "event_bus_published_total",
    description: "Events published",
    isTotal: true,
    read: ({ published }) => published
  },
  {
    id: "event_bus_no_subscribers_total",
    description: "Events published that matched no subscription",
    isTotal: true,
    read: ({ unmatched }) => unmatched
  }
]

/** What is reported of all kinds together. */
const series: ReadonlyArray<Series<BusImpl>> = [
  {
    id: "event_bus_delivered_total",
    description: "Events accepted into buffers and not evicted from them, over all subscriptions",
    isTotal: true,
    read: (bus) => bus.members.sum("delivered")
  },
  {
    id: "event_bus_dropped_total",
    description: "Events that full buffers lost, over all subscriptions",
    isTotal: true,
    read: (bus) => bus.members.sum("dropped")
  },
  {
    id: "event_bus_discarded_total",
    description: "Events that were pending when their subscription was closed, over all subscriptions",
    isTotal: true,
    read: (bus) => bus.members.sum("discarded")
  },
  {
    id: "event_bus_handler_failures_total",
    description: "Events whose handler failed and was given up, over all subscriptions",
    isTotal: true,
    read: (bus) => bus.members.sum("failures")
  },
  {
    id: "event_bus_pending",
    description: "Events waiting in buffers",
    isTotal: false,
    read: (bus) => bus.members.sum("pending")
  },
  {
    id: "event_bus_subscriptions",
    description: "Subscriptions that are not closed",
    isTotal: false,
    read: (bus) => bus.members.open.size
  }
]

export class BusImpl extends Face implements Host {
  readonly root = this
  isTraced = false
  readonly schedule: (task: () => void) => void
  readonly run: (effect: Effect.Effect<void>) => Fiber.Fiber<void>
  readonly now: () => DateTime.Utc
  readonly drain: Duration.Duration | undefined
  readonly storage: Storage<string, Stored>
  readonly hub: PubSub.PubSub<AnyEvent>
  readonly members: Members
  private readonly bufferSize: number
  private readonly overflow: Overflow
  private readonly replay: number
  private readonly isMeasuring: boolean
  private readonly context: Context.Context<never>
  readonly scheduler: Scheduler.Scheduler
  protected override readonly endMetrics: () => void

  constructor(name: string, events: EventSchemas, options: Options, context: Context.Context<never>) {
    super(name, events)
    const { kinds } = this
    this.bufferSize = requirePositiveInteger(name, "bufferSize", options.bufferSize ?? 1024)
    this.overflow = requireOverflow(name, options.overflow ?? "dropping")
    this.replay = requireCount(name, "replay", options.replay ?? 0, Number.MAX_SAFE_INTEGER, "")
    this.drain = requireDrain(name, options.drain)
    this.isMeasuring = options.durations ?? false
    this.context = Context.omit(Tracer.ParentSpan)(withAsyncScheduler(context))
    this.scheduler = Context.get(this.context, Scheduler.Scheduler)
    this.schedule = makeSchedule(this.scheduler.makeDispatcher())
    this.run = Effect.runForkWith(this.context)
    const clock = Context.get(this.context, Clock.Clock)
    this.now = () => DateTime.makeUnsafe(clock.currentTimeMillisUnsafe())
    this.members = new Members(this.schedule)
    this.storage = new Storage(kinds, this.replay, this.schedule, eventOf)
    this.hub = this.makeHub((subscription) => subscription.endUnsafe())
    const reports = [
      report(this.context, this, { bus: name }, series),
      ...Array.from(
        this.storage.routes.values(),
        (route) => report(this.context, route, { bus: name, kind: route.kind }, seriesOfKind)
      )
    ]
    this.endMetrics = () => reports.forEach((end) => end())
  }

  /** What is published on the bus: through all of its kinds or some, while the face is open that it comes through. */
  intake(face: Face, kinds: ReadonlyArray<string>): Accepting {
    return {
      accept: (event) => {
        // A `PubSub` that is shut down asks nobody: only a view, which may outlive the bus, has to look.
        if (kinds !== this.kinds && face.isShutdown) return false
        const route = this.route(face, kinds, event)
        const item = this.stored(event)
        this.storage.publish(route, item, route.indexes.length === 0 ? undefined : this.match(face, route, item))
        this.onPublished?.(event)
        return true
      },
      acceptAll: (events) => {
        const all = Array.from(events)
        if (face.isShutdown) return false
        // A `_tag` is read once: one that can no longer be read, or changes, must not stop a batch half-way.
        const routes = all.map((event) => this.route(face, kinds, event))
        const items = all.map((event) => this.stored(event))
        // So are the fields that a `where` names.
        const keyed = items.map((item, i) => this.match(face, routes[i]!, item))
        for (let i = 0; i < all.length; i++) {
          this.storage.publish(routes[i]!, items[i]!, keyed[i])
          this.onPublished?.(all[i]!)
        }
        return true
      }
    }
  }

  /** Who has asked for it by its fields. */
  private match(face: Face, route: Route<Stored>, item: Stored): ReturnType<Storage<string, Stored>["match"]> {
    try {
      return this.storage.match(route, item)
    } catch (cause) {
      throw unreadable(face.name, "a field that a where names", cause)
    }
  }

  private stored(event: AnyEvent): Stored {
    const span = Fiber.getCurrent()?.cache.span
    return span === undefined ? event : this.trace(event, span)
  }

  private trace(event: AnyEvent, span: Tracer.AnySpan): Stored {
    if (Context.get(span.annotations, Tracer.DisablePropagation)) return event
    this.isTraced = true
    return new Traced(event, span)
  }

  /** For a bus that records. */
  protected onPublished?(event: AnyEvent): void

  /** Where the durations of its handler go, if they are to be measured. */
  durationsOf({ name }: SubscriptionImpl, isMeasuring: boolean = this.isMeasuring): Durations | undefined {
    return isMeasuring ? makeDurations(this.context, this.name, name) : undefined
  }

  /** The options with what is left out, once all of them are known to be good. */
  complete(face: Face, options: SubscribeOptions<string, any>) {
    const kinds = requireKinds(face.name, face.kinds, options.kinds)
    const where = options.where === undefined
      ? undefined
      : requireWhere(face.name, face.events.filter((_, i) => kinds.includes(face.kinds[i]!)), options.where)
    const overflow = requireOverflow(face.name, options.overflow ?? this.overflow)
    const bufferSize = requirePositiveInteger(face.name, "bufferSize", options.bufferSize ?? this.bufferSize)
    const replay = requireCount(
      face.name,
      "replay",
      options.replay ?? 0,
      Math.min(this.replay, bufferSize),
      ` (the bus keeps ${this.replay} of each kind, the buffer holds ${bufferSize})`
    )
    return {
      name: options.name ?? kinds.join("+"),
      kinds,
      where,
      overflow,
      bufferSize,
      replay: face.isShutdown ? 0 : replay,
      isObserver: options.observer === true
    }
  }

  /** A subscription made through a face. */
  open(
    face: Face,
    options: SubscribeOptions<string, any>,
    makeScope: () => Scope.Closeable
  ): SubscriptionImpl {
    const complete = this.complete(face, options)
    const subscription = new SubscriptionImpl(
      this,
      complete,
      this.storage.subscribe(complete),
      makeScope(),
      face.members
    )
    face.members.add(subscription)
    if (!subscription.isObserver) {
      const attributes = { bus: this.name, subscription: subscription.name }
      subscription.endReport = report(this.context, subscription, attributes, subscriptionSeries)
    }
    if (face.isShutdown) subscription.closeUnsafe()
    return subscription
  }

  /** The route of an event of one of these kinds, which are all of the bus or some. */
  private route(face: Face, kinds: ReadonlyArray<string>, event: AnyEvent): Route<Stored> {
    const kind = readKind(face.name, event)
    const route = this.storage.route(kind as string)
    return route === undefined || (kinds !== this.kinds && !kinds.includes(route.kind))
      ? refuseKind(face.name, kinds, kind)
      : route
  }
}

/** Makes a bus, and closes it with the scope. */
export const scoped = <Bus extends BusImpl | View>(
  make: (context: Context.Context<never>) => Bus
): Effect.Effect<Bus, never, Scope.Scope> =>
  Effect.uninterruptible(Effect.withFiber((fiber) => {
    const bus = make(fiber.context)
    const scope = Context.get(fiber.context as Context.Context<Scope.Scope>, Scope.Scope)
    return Effect.as(Scope.addFinalizer(scope, bus.close), bus)
  }))
