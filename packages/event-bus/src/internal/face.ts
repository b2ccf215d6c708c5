/**
 * The `EventBus` interface, for a bus and for a view of one: what is subscribed to, counted and published for some kinds.
 */
import { Context, type Duration, Effect, type Fiber, PubSub, Scheduler, Scope, type Stream } from "effect"
import type {
  AnyEvent,
  ConsumeOptions,
  EventBus,
  EventSchemas,
  HandlerOptions,
  MatchOptions,
  Metrics,
  PubSubOptions,
  Retry,
  SubscribeOptions
} from "../EventBus.ts"
import type { Subscription, SubscriptionHandle, SubscriptionSnapshot } from "../Subscription.ts"
import type { BusImpl } from "./bus.ts"
import { type Consumer, Consuming } from "./consuming.ts"
import { type Handler, Handling } from "./handling.ts"
import { makeHub, makeView } from "./hub.ts"
import type { Members } from "./members.ts"
import { withAsyncScheduler } from "./scheduler.ts"
import type { SubscriptionImpl } from "./subscription.ts"
import type { Supervision } from "./supervision.ts"
import { kindsOf, list, refuse, requireDrain, requirePositiveInteger } from "./validation.ts"

type Kinds = string | ReadonlyArray<string>

export abstract class Face implements EventBus<AnyEvent> {
  /** The bus whose storage this is. */
  abstract readonly root: BusImpl
  readonly name: string
  readonly events: EventSchemas
  readonly kinds: ReadonlyArray<string>
  /** What was subscribed to through this face. */
  abstract readonly members: Members
  /** What is published goes through it. */
  abstract readonly hub: PubSub.PubSub<AnyEvent>
  protected readonly endMetrics?: () => void

  constructor(name: string, events: EventSchemas) {
    this.name = name
    this.events = events
    this.kinds = kindsOf(name, events)
  }

  /** What a log or a debugger shows: not what it is made of, which has circles. */
  toJSON(): unknown {
    return { _id: "EventBus", name: this.name, kinds: this.kinds }
  }

  readonly publish = (event: AnyEvent): Effect.Effect<void> => Effect.sync(() => this.publishUnsafe(event))

  readonly publishUnsafe = (event: AnyEvent): void => {
    PubSub.publishUnsafe(this.hub, event)
  }

  readonly publishAll = (events: Iterable<AnyEvent>): Effect.Effect<void> =>
    Effect.asVoid(PubSub.publishAll(this.hub, events))

  /** The hub of this face. `end` is what its shutdown does to each subscription. */
  protected makeHub(end: (subscription: SubscriptionImpl) => void): PubSub.PubSub<AnyEvent> {
    return makeHub(
      {
        ...this.root.intake(this, this.kinds),
        // Each subscription has a buffer of its own.
        capacity: Number.POSITIVE_INFINITY,
        subscribe: () => refuse(this.name, `a subscription names its kinds; the kinds are ${list(this.kinds)}`)
      },
      Effect.sync(() => this.members.all.forEach(end))
    )
  }

  get isShutdown(): boolean {
    return PubSub.isShutdownUnsafe(this.hub)
  }

  readonly shutdown: Effect.Effect<void> = Effect.suspend(() =>
    PubSub.shutdown(this.hub).pipe(
      // What waits for it is somebody else's code: it is woken by the scheduler of the bus, not by that of the caller.
      Effect.provideService(Scheduler.Scheduler, this.root.scheduler),
      // And not before `end` was called: a `PubSub` tells it last.
      Effect.provideService(Scheduler.PreventSchedulerYield, true)
    )
  )

  readonly awaitShutdown: Effect.Effect<void> = Effect.suspend(() => PubSub.awaitShutdown(this.hub))

  /** What the closing of its scope does. */
  readonly close: Effect.Effect<void> = Effect.suspend(() =>
    this.shutdown.pipe(
      Effect.andThen(this.members.release),
      Effect.andThen(Effect.sync(() => this.endMetrics?.()))
    )
  )

  readonly subscribe = (options: SubscribeOptions<string, any>): Effect.Effect<Subscription<any>, never, Scope.Scope> =>
    Effect.uninterruptible(Effect.withFiber((fiber) => {
      const subscription = this.root.open(this, options, childScope(fiber))
      return Effect.as(Scope.addFinalizer(subscription.scope, subscription.unsubscribe), subscription)
    }))

  readonly on = (
    kinds: Kinds,
    handle: (event: any, handle: SubscriptionHandle) => Effect.Effect<unknown, any, any>,
    options: HandlerOptions<any, any, any> = {}
  ): Effect.Effect<SubscriptionHandle, never, any> => {
    const { onFailure } = options
    return this.supervise(kinds, options, (open, drain, context) => {
      const concurrency = requirePositiveInteger(this.name, "concurrency", options.concurrency ?? 1)
      const retry = scheduleOf(options.retry)
      const subscription = open()
      const durations = this.root.durationsOf(subscription, options.durations)
      return new Handling(
        this.root,
        subscription,
        { handle, concurrency, retry, onFailure, drain, durations } as Handler,
        context
      )
    })
  }

  readonly consume = (
    kinds: Kinds,
    body: (events: Stream.Stream<any>) => Effect.Effect<unknown, any, any>,
    options: ConsumeOptions<any, any, any> = {}
  ): Effect.Effect<SubscriptionHandle, never, any> =>
    this.supervise(kinds, options, (open, drain, context) => {
      const retry = scheduleOf(options.retry)
      return new Consuming(this.root, open(), { body, retry, drain } as Consumer, context)
    })

  /** Starts what runs subscriber code. All options are checked before it opens the subscription. */
  private supervise(
    kinds: Kinds,
    options: MatchOptions<any> & { readonly drain?: Duration.Input | undefined },
    start: (
      open: () => SubscriptionImpl,
      drain: Duration.Duration | undefined,
      context: Context.Context<never>
    ) => Supervision
  ): Effect.Effect<SubscriptionHandle, never, any> {
    return Effect.uninterruptible(Effect.withFiber((fiber) => {
      const drain = requireDrain(this.name, options.drain) ?? this.root.drain
      const supervision = start(
        () => this.root.open(this, { ...options, kinds: arrayOf(kinds) }, childScope(fiber)),
        drain,
        withAsyncScheduler(fiber.context, this.root.scheduler)
      )
      return Effect.as(Scope.addFinalizer(supervision.subscription.scope, supervision.release), supervision.handle)
    }))
  }

  readonly awaitNext = (
    kinds: Kinds,
    options: Pick<MatchOptions<any>, "name" | "where"> = {}
  ): Effect.Effect<any, any> =>
    Effect.acquireUseRelease(
      Effect.sync(() => {
        const subscription = this.root.open(this, { ...options, kinds: arrayOf(kinds) }, Scope.makeUnsafe)
        subscription.isQuiet = true
        return subscription
      }),
      (subscription) => subscription.take,
      (subscription) => subscription.unsubscribe
    )

  readonly asPubSub = (options: PubSubOptions<string>): Effect.Effect<PubSub.PubSub<any>> =>
    Effect.sync(() => {
      if ((options as { readonly where?: unknown }).where !== undefined) {
        refuse(this.name, "asPubSub has no where; subscribe has")
      }
      const { bufferSize, kinds } = this.root.complete(this, options)
      return makeView({
        ...this.root.intake(this, kinds),
        capacity: bufferSize,
        subscribe: () => this.root.open(this, options, Scope.makeUnsafe)
      }, this.awaitShutdown)
    })

  readonly metrics: Effect.Effect<Metrics> = Effect.sync(() => {
    const routes = this.kinds.map((kind) => this.root.storage.routes.get(kind)!)
    return {
      publishedCount: routes.reduce((sum, { published }) => sum + published, 0),
      deliveredCount: this.members.sum("delivered"),
      droppedCount: this.members.sum("dropped"),
      noSubscribersCount: routes.reduce((sum, { unmatched }) => sum + unmatched, 0),
      publishedByKind: Object.fromEntries(routes.map(({ kind, published }) => [kind, published]))
    }
  })

  readonly subscriptions: Effect.Effect<ReadonlyArray<SubscriptionSnapshot>> = Effect.sync(() =>
    Array.from(this.members.open, (subscription) => subscription.snapshotUnsafe())
  )

  readonly awaitIdle: Effect.Effect<void> = Effect.suspend(() => this.members.awaitIdle)
}

const scheduleOf = (retry: Retry<any, any> | undefined) => typeof retry === "function" ? retry((_) => _) : retry

export const arrayOf = (kinds: Kinds): ReadonlyArray<string> => typeof kinds === "string" ? [kinds] : kinds

/** Made once the options are known to be good. */
const childScope = (fiber: Fiber.Fiber<any, any>): () => Scope.Closeable => {
  const scope = Context.get(fiber.context as Context.Context<Scope.Scope>, Scope.Scope)
  return () => Scope.forkUnsafe(scope)
}
