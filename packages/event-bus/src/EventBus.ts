/**
 * A typed, in-process event bus: parts that notice things publish events, parts that react subscribe to them, and
 * neither knows the other.
 *
 * **What is delivered**
 *
 * `publish` always returns at once. Every subscription has a buffer of its own, of 1,024 events by default. When it is
 * full, the subscription loses events by its own policy, and counts them. No other subscription notices. What a
 * subscription has accepted reaches its subscriber in the order of publishing, unless the subscriber leaves.
 *
 * After `shutdown` nothing more is accepted, and what was accepted before is still delivered. A program that ends
 * closes its scopes instead. Handlers then have their `drain` to finish what was accepted. Without a `drain` they are
 * interrupted at once, and what is pending is discarded with a warning. So provide the bus by `layerWith({ drain: "10 seconds" })`.
 *
 * **When to use**
 *
 * For events inside one process. A bridge beside the bus carries events to other processes. Events that must survive a
 * crash belong in a database.
 *
 * **Example** (A complete program)
 *
 * ```ts
 * import { EventBus } from "@openwatch/event-bus"
 * import { Console, DateTime, Effect, Layer, Schema } from "effect"
 *
 * class DoorOpened extends Schema.TaggedClass<DoorOpened>()("DoorOpened", {
 *   door: Schema.String,
 *   occurredAt: Schema.DateTimeUtc
 * }) {}
 *
 * class HouseBus extends EventBus.Service<HouseBus>()("example/HouseBus", { events: [DoorOpened] }) {}
 *
 * const doorbell = Layer.effectDiscard(Effect.gen(function*() {
 *   const bus = yield* HouseBus
 *   yield* bus.on("DoorOpened", (event) => Console.log(`${event.door} is open`))
 * }))
 *
 * const program = Effect.gen(function*() {
 *   const bus = yield* HouseBus
 *   yield* bus.publish(new DoorOpened({ door: "Front door", occurredAt: yield* DateTime.now }))
 * }).pipe(Effect.provide(doorbell.pipe(Layer.provideMerge(HouseBus.layerWith({ drain: "10 seconds" })))))
 *
 * await Effect.runPromise(program)
 * ```
 */
import type { Cause, DateTime, Duration, PubSub, Schedule, Scope, Stream, Types } from "effect"
import { Context, Effect, Layer, Schema } from "effect"
import { BusImpl, scoped } from "./internal/bus.ts"
import * as internalCallbacks from "./internal/callbacks.ts"
import { kindsOf } from "./internal/validation.ts"
import { viewOf } from "./internal/view.ts"
import type { Overflow, Subscription, SubscriptionHandle, SubscriptionSnapshot } from "./Subscription.ts"

// -----------------------------------------------------------------------------
// Events
// -----------------------------------------------------------------------------

/**
 * What every event has: its kind, and when it happened.
 */
export interface AnyEvent {
  /** The kind. */
  readonly _tag: string
  /** When it happened, which may be before it is published. */
  readonly occurredAt: DateTime.Utc
}

/**
 * The schema of one kind of event: a `Schema.TaggedClass` (or a tagged struct) with `occurredAt: DateTime.Utc` that needs
 * no services to decode or encode.
 */
export type EventSchema = Schema.ConstraintCodec<AnyEvent, unknown> & {
  readonly fields: { readonly _tag: Schema.Constraint }
}

/**
 * The closed set of events of a bus.
 */
export type EventSchemas = ReadonlyArray<EventSchema>

/**
 * The union of the events of a set.
 */
export type EventOf<Events extends EventSchemas> = Events[number]["Type"]

/**
 * The kinds of a set of events, in the order in which they were declared.
 */
export type KindsOf<Events extends EventSchemas> = { readonly [I in keyof Events]: Events[I]["Type"]["_tag"] }

type KeyableField<Event, Field extends keyof Event> = Field extends "_tag" ? never
  : [Event[Field]] extends [string | number | boolean] ? Field
  : never

/**
 * The fields that a `where` may name. All of the events have them, and their values are strings, numbers or booleans,
 * branded ones too.
 */
export type Keyable<Event> = [Event] extends [never] ? never : KeyableField<Event, keyof Event>

/**
 * Fields, and the values that they must have.
 */
export type Where<Event> = [Keyable<Event>] extends [never] ? { readonly [field: string]: never }
  : { readonly [Field in Keyable<Event>]?: Event[Field] }

// -----------------------------------------------------------------------------
// The bus
// -----------------------------------------------------------------------------

/**
 * The counters of a bus: sums over all subscriptions that ever were.
 */
export interface Metrics<Kind extends string = string> {
  /** Events published. */
  readonly publishedCount: number
  /** Events accepted into buffers and not evicted, summed over subscriptions. */
  readonly deliveredCount: number
  /** Events lost by full buffers, summed over subscriptions. */
  readonly droppedCount: number
  /** Events published that matched no subscription. */
  readonly noSubscribersCount: number
  /** `publishedCount` for each kind of the bus. */
  readonly publishedByKind: { readonly [K in Kind]: number }
}

/**
 * The options of a bus. One that is left out has the default given here.
 */
export interface Options {
  /** `bufferSize` of subscriptions that do not say otherwise: a positive integer. Default 1024. */
  readonly bufferSize?: number | undefined
  /** `overflow` of subscriptions that do not say otherwise. Default `"dropping"`. */
  readonly overflow?: Overflow | undefined
  /** How many of the last events of *each* kind are kept for subscriptions that ask for them. Default 0. */
  readonly replay?: number | undefined
  /**
   * How long handlers may go on when their scope or the bus's scope closes, if they have no `drain` of their own.
   * Default: not at all. They are interrupted at once, and what is pending is discarded with a warning.
   */
  readonly drain?: Duration.Input | undefined
  /** Whether to measure how long handlers take, if they do not say so themselves. Default false. */
  readonly durations?: boolean | undefined
}

/**
 * The options of a subscription, without its kinds.
 */
export interface BufferOptions {
  /** Shown in logs, metrics and snapshots. Default: the kinds joined by `+`. */
  readonly name?: string | undefined
  /** Events that may be pending at most: a positive integer. Default: the bus's. */
  readonly bufferSize?: number | undefined
  /** What a full buffer does. Default: the bus's. */
  readonly overflow?: Overflow | undefined
  /**
   * How many of the last matching events the subscription receives first. At most the bus's `replay`, and at most its
   * own `bufferSize`. Default 0.
   */
  readonly replay?: number | undefined
}

/**
 * Which kinds a `PubSub` of the bus carries, and how subscriptions to it are made.
 */
export interface PubSubOptions<Kind extends string> extends BufferOptions {
  /** The kinds to receive. `[]` receives nothing: there is no wildcard. */
  readonly kinds: ReadonlyArray<Kind>
}

/**
 * The options of a subscription that may receive only some of the events of its kinds.
 */
export interface MatchOptions<Event> extends BufferOptions {
  /**
   * Only events whose fields have these values. Values are compared as the keys of a `Map` are. An event that does not
   * match takes no place in the buffer. Default: all events of the kinds.
   *
   * The fields must be in the schemas of the events: a getter of the class does not count. However many subscriptions
   * have a `where`, a publish looks an event up once for each set of fields in use.
   */
  readonly where?: Where<Event> | undefined
}

/**
 * What to subscribe to, and how.
 */
export interface SubscribeOptions<Kind extends string, Event> extends PubSubOptions<Kind>, MatchOptions<Event> {
  /**
   * For tools that watch a bus. An observer receives its events, and has a snapshot of its own. It is in no sum, list
   * or metric of the bus. An event that only observers receive counts as one without a subscriber. Default false.
   */
  readonly observer?: boolean | undefined
}

/**
 * When what failed is run again: a schedule, or a function that returns one, as in `Effect.retry`:
 * `($) => $(Schedule.recurs(3))`. There `$` gives the schedule its input type, the failures.
 */
export type Retry<Failure, R> =
  | Schedule.Schedule<unknown, Failure, never, R>
  | ((
    $: <A, E, R2>(schedule: Schedule.Schedule<A, Failure, E, R2>) => Schedule.Schedule<A, Failure, E, R2>
  ) => Schedule.Schedule<unknown, Failure, never, R>)

/**
 * The options of `on`.
 */
export interface HandlerOptions<Event, E, R, R2 = R> extends MatchOptions<Event> {
  /**
   * How many events are handled at a time: a positive integer. Default 1: they are handled in order. Above 1 there is
   * no order.
   */
  readonly concurrency?: number | undefined
  /**
   * When a handler that failed is run again. A defect is not retried. Meanwhile later events wait in the buffer.
   * Default: never.
   */
  readonly retry?: Retry<E, R> | undefined
  /**
   * Runs once for each event that is given up, with the cause of the last try. It cannot fail; if it dies, that is logged and
   * the next event is handled.
   */
  readonly onFailure?: ((event: Event, cause: Cause.Cause<E>) => Effect.Effect<unknown, never, R2>) | undefined
  /**
   * How long the handler may go on when its scope closes, by `Clock`. Meanwhile no more events are accepted, and the
   * pending ones are handled. After that the handler is interrupted, and what is left is discarded. Default: the bus's
   * `drain`, or else the handler is interrupted at once.
   *
   * `unsubscribe` does not drain. Neither does a handler that closes its own scope.
   */
  readonly drain?: Duration.Input | undefined
  /**
   * Whether to measure how long each event takes, by `Clock`, in the histogram
   * `event_bus_subscription_handler_duration_seconds`. The time is from the start of the handler until the handler, its
   * scope and `onFailure` have ended. It includes all attempts and the pauses between them. Default: as the bus says.
   */
  readonly durations?: boolean | undefined
}

/**
 * The options of `consume`.
 */
export interface ConsumeOptions<Event, E, R> extends MatchOptions<Event> {
  /**
   * When a body that failed or died is run again, on the same subscription. The schedule starts anew after a run that
   * took an event. When the schedule ends, the subscription is closed, and that is logged. Default: after 100 ms, then
   * twice as long each time, at most 30 s.
   */
  readonly retry?: Retry<Cause.Cause<E>, R> | undefined
  /**
   * How long the body may go on when its scope closes, by `Clock`. Meanwhile no more events are accepted, and the
   * stream ends after the pending ones. Default: the bus's `drain`, or else the body is interrupted at once.
   */
  readonly drain?: Duration.Input | undefined
}

/**
 * The half of a bus that publishes, for a part that only notices things. A bus of more events is one too.
 */
export interface Publisher<in Event extends AnyEvent> {
  /**
   * Offers the event to every subscription to its kind. Never waits, never fails, never runs a subscriber's code. Does
   * nothing once the bus is shut down.
   */
  readonly publish: (event: Event) => Effect.Effect<void>
  /**
   * Publishes the events in order, with no other event between them. If one of them is not of the bus, that is a
   * defect, and none is published.
   */
  readonly publishAll: (events: Iterable<Event>) => Effect.Effect<void>
  /** `publish` for callbacks outside Effect. Throws a `TypeError` if the value is not an event of the bus. */
  readonly publishUnsafe: (event: Event) => void
}

/**
 * The events of a union, by their kinds.
 */
export type EventMap<Event extends AnyEvent> = {
  readonly [Kind in Event["_tag"]]: Extract<Event, { readonly _tag: Kind }>
}

/**
 * The half of a bus that is subscribed to, for a part that only reacts. A bus of more events is one too.
 */
export type Subscriber<Event extends AnyEvent> = SubscriberOf<EventMap<Event>>

/**
 * What {@link Subscriber} is, for a map of kinds to events instead of a union of events.
 */
export interface SubscriberOf<Events> {
  /** Makes the type checker refuse a bus of fewer events. It is never set. */
  readonly "~@openwatch/event-bus/Subscriber"?: { readonly _Events: Types.Covariant<Events> }
  /**
   * Subscribes to some kinds. The subscription is live when this returns, until the scope closes. After shutdown it has
   * ended already.
   */
  readonly subscribe: <const Kind extends keyof Events & string>(
    options: SubscribeOptions<Kind, Events[Kind]>
  ) => Effect.Effect<Subscription<Events[Kind]>, never, Scope.Scope>
  /**
   * Runs `handler` for each event of the kind, or kinds, in a supervised fiber until the scope closes. Live when this
   * returns. A handler that fails, dies or throws is logged and counted, and the next event is handled.
   *
   * Each event has a `Scope`. What the handler acquires in it is released when the handler has ended. What must live
   * longer belongs in a scope from outside the handler.
   *
   * The handler may unsubscribe itself, or close the scope of its subscription. It then finishes its event, and no
   * other starts. It may also shut the bus down: what was accepted is still handled.
   *
   * Fibers forked by a handler belong to it. If one of them unsubscribes, it does not wait for the handler, which may
   * be waiting for it. A fiber that closes the whole application should be forked outside of any handler.
   *
   * If the event was published inside a span, the handler runs in a root span of the kind `consumer`, with a link to
   * that span.
   */
  readonly on: <const Kind extends keyof Events & string, E = never, R = never, R2 = never, R3 = never>(
    kinds: Kind | ReadonlyArray<Kind>,
    handler: (event: Events[Kind], handle: SubscriptionHandle) => Effect.Effect<unknown, E, R>,
    options?: HandlerOptions<Events[Kind], NoInfer<E>, R2, R3>
  ) => Effect.Effect<SubscriptionHandle, never, Exclude<R | R2 | R3, Scope.Scope> | Scope.Scope>
  /**
   * Runs `body` with the stream of the events of the kind, or kinds, in a supervised fiber until the scope closes. Live
   * when this returns. Use it to look at several events at a time: for batches, debouncing, or grouping by a key.
   *
   * A body that fails or dies is logged and run again by `retry`, with the events that it has not pulled yet. A body
   * that completes unsubscribes. Each run has a `Scope`: what the body acquires in it is released when the run ends.
   *
   * The stream pulls at most 16 events at a time. They count as `running` until the next pull, and as `handled` from
   * then on. If the body fails, they count as `failures`. The bus does not see what later stages of the stream hold.
   */
  readonly consume: <const Kind extends keyof Events & string, E = never, R = never, R2 = never>(
    kinds: Kind | ReadonlyArray<Kind>,
    body: (events: Stream.Stream<Events[Kind]>) => Effect.Effect<unknown, E, R>,
    options?: ConsumeOptions<Events[Kind], NoInfer<E>, R2>
  ) => Effect.Effect<SubscriptionHandle, never, Exclude<R | R2, Scope.Scope> | Scope.Scope>
  /**
   * Waits for the next event of the kind, or kinds, that is published after this has started. Fails with `Cause.Done`
   * if the bus is shut down first.
   *
   * If your own action makes the event happen, `awaitNext` after it may be too late. Subscribe first, then act, then
   * take.
   */
  readonly awaitNext: <const Kind extends keyof Events & string>(
    kinds: Kind | ReadonlyArray<Kind>,
    options?: Pick<MatchOptions<Events[Kind]>, "name" | "where">
  ) => Effect.Effect<Events[Kind], Cause.Done>
  /**
   * The bus as an Effect `PubSub` of some kinds, for code that takes one: `Stream.fromPubSub`, `Stream.runIntoPubSub`,
   * `PubSub.subscribe`, or a library.
   *
   * What is published on it is published on the bus. An event of another kind is a defect. Each subscription to it is a
   * subscription of the bus, with these options. It ends once the bus is shut down and its buffer is empty.
   *
   * `PubSub.shutdown` and `PubSub.end` end the subscriptions to it, not the bus. `PubSub.capacity` is the `bufferSize`.
   * `PubSub.size` is how many events are pending in the subscription that is furthest behind.
   */
  readonly asPubSub: <const Kind extends keyof Events & string>(
    options: PubSubOptions<Kind>
  ) => Effect.Effect<PubSub.PubSub<Events[Kind]>>
}

/**
 * A bus of events `Event`.
 */
export interface EventBus<in out Event extends AnyEvent> extends Publisher<Event>, SubscriberOf<EventMap<Event>> {
  /** The name in messages, logs and metrics: the service's identifier. */
  readonly name: string
  /** All of its kinds, in the order in which the events were declared. */
  readonly kinds: ReadonlyArray<Event["_tag"]>
  /** The counters of the bus, all of one moment. */
  readonly metrics: Effect.Effect<Metrics<Event["_tag"]>>
  /** The counters of each subscription that is not closed. */
  readonly subscriptions: Effect.Effect<ReadonlyArray<SubscriptionSnapshot>>
  /**
   * Completes when the bus is idle: no subscription of `on` or `consume` has an event pending, no handler runs, and no
   * take that waits has an event to take. A body of `consume` is idle while it waits for its stream.
   *
   * Inside a handler it does not wait for that handler's own subscription. Other handlers that wait in `awaitIdle`
   * count as idle.
   */
  readonly awaitIdle: Effect.Effect<void>
  /**
   * Ends publishing, and returns without waiting. What is pending can still be taken, and handlers go on to handle it.
   * After that takes fail with `Cause.Done`, and streams end. Idempotent.
   */
  readonly shutdown: Effect.Effect<void>
  /** Completes when the bus is shut down. Subscriptions may still have events pending then. */
  readonly awaitShutdown: Effect.Effect<void>
}

// -----------------------------------------------------------------------------
// Constructors
// -----------------------------------------------------------------------------

/**
 * Makes a bus that lives as long as the scope.
 *
 * **When to use**
 *
 * Where a bus is a detail of some other part. An application declares its bus with {@link Service} instead.
 *
 * **Details**
 *
 * When the scope closes, the bus is shut down. Then all subscriptions of `on` and `consume` that are left are closed,
 * at the same time and each as by its own scope. The closing waits for them. One without a `drain` is interrupted, and
 * what is pending in it is discarded with a warning.
 *
 * **Example** (A bus within a scope)
 *
 * ```ts
 * import { EventBus } from "@openwatch/event-bus"
 * import { DateTime, Effect, Schema } from "effect"
 *
 * class DoorOpened extends Schema.TaggedClass<DoorOpened>()("DoorOpened", {
 *   door: Schema.String,
 *   occurredAt: Schema.DateTimeUtc
 * }) {}
 *
 * const program = Effect.gen(function*() {
 *   const bus = yield* EventBus.make({ name: "doors", events: [DoorOpened], bufferSize: 16 })
 *   const doors = yield* bus.subscribe({ kinds: ["DoorOpened"] })
 *   yield* bus.publish(new DoorOpened({ door: "Front door", occurredAt: yield* DateTime.now }))
 *   const event = yield* doors.take
 *   return event.door
 * })
 *
 * await Effect.runPromise(Effect.scoped(program)) // => "Front door"
 * ```
 */
export const make = <const Events extends EventSchemas>(
  options: Options & {
    readonly events: Events
    /** Shown in messages, logs and metrics. Default `"EventBus"`. */
    readonly name?: string | undefined
  }
): Effect.Effect<EventBus<EventOf<Events>>, never, Scope.Scope> =>
  Effect.suspend(() => {
    const name = options.name ?? "EventBus"
    return scoped((context) => new BusImpl(name, options.events, options, context)) as Effect.Effect<
      any,
      never,
      Scope.Scope
    >
  })

type Missing<Events extends EventSchemas, Wider extends EventSchemas> = Events[number] extends infer Schema
  ? Schema extends Wider[number] ? never : Schema extends EventSchema ? Schema["Type"]["_tag"] : never
  : never

/**
 * `unknown` where `Wider` has all of `Events`, else a type that says what is missing.
 */
export type Covers<Events extends EventSchemas, Wider extends EventSchemas> = [Missing<Events, Wider>] extends [never]
  ? unknown
  : {
    readonly "the bus does not carry these events, or carries others of the same _tag": Missing<Events, Wider>
  }

/**
 * The class that {@link Service} makes: the key of the service, the layers that provide it, and its events as schemas.
 */
export interface ServiceClass<in out Self, in out Id extends string, in out Events extends EventSchemas>
  extends Context.ServiceClass<Self, Id, EventBus<EventOf<Events>>>
{
  /**
   * A bus with default options. Closing its scope shuts the bus down, and interrupts handlers that have no `drain` of their own.
   * An application wants `layerWith({ drain: "10 seconds" })`.
   */
  readonly layer: Layer.Layer<Self>
  /** A bus with these options. Closing its scope shuts the bus down; handlers have its `drain` to finish. */
  readonly layerWith: (options: Options) => Layer.Layer<Self>
  /**
   * Provides this bus as a part of a wider one, which has all of its events. It is no second bus: what is published
   * here is published there.
   *
   * A module declares a small bus with the events that it knows. The application declares one bus with the events of
   * all modules, and provides each module's bus from it.
   *
   * Shutting down the part, or closing its layer, ends publishing and subscriptions through it, and not the wider bus.
   * The schemas must be the same objects: another schema under the same `_tag` is a defect.
   */
  readonly layerFrom: <WiderSelf, WiderId extends string, WiderEvents extends EventSchemas>(
    wider: ServiceClass<WiderSelf, WiderId, WiderEvents> & Covers<Events, WiderEvents>
  ) => Layer.Layer<Self, never, WiderSelf>
  /** The schemas of the events, to be spread into a wider set. */
  readonly events: Events
  /** The kinds, in the order in which the events were declared. */
  readonly kinds: KindsOf<Events>
  /** Any event of the bus. */
  readonly Event: Schema.Union<Events>
  /** The JSON codec of the events: what bridges and pages send and receive. */
  readonly EventJson: Schema.toCodecJson<Schema.Union<Events>>
}

/**
 * Declares a bus as a service: a closed set of events, and the layers that provide it.
 *
 * **Example** (Declaring a bus)
 *
 * ```ts
 * import { EventBus } from "@openwatch/event-bus"
 * import { Schema } from "effect"
 *
 * class DoorOpened extends Schema.TaggedClass<DoorOpened>()("DoorOpened", {
 *   door: Schema.String,
 *   occurredAt: Schema.DateTimeUtc
 * }) {}
 *
 * class HouseBus extends EventBus.Service<HouseBus>()("example/HouseBus", { events: [DoorOpened] }) {}
 *
 * HouseBus.kinds // => ["DoorOpened"]
 * ```
 *
 * **Gotchas**
 *
 * Subscribers must start before publishers, and stop after them:
 * `publishers.pipe(Layer.provide(subscribers), Layer.provide(HouseBus.layer))`. `Layer.mergeAll` starts and stops both
 * at the same time, which loses the first and the last events.
 */
export const Service = <Self = never>(): [Self] extends [never] ?
  "Write EventBus.Service<MyBus>()(…): the type parameter is missing"
  : ServiceDeclaration<Self> => declare as never

/**
 * What {@link Service} returns: takes the identifier of the service and its set of events.
 */
export type ServiceDeclaration<Self> = <const Id extends string, const Events extends EventSchemas>(
  id: Id,
  options: { readonly events: Events }
) => ServiceClass<Self, Id, Events>

const declare: ServiceDeclaration<unknown> = (id, { events }) => {
  const kinds = kindsOf(id, events)
  const Event = Schema.Union(events)
  const service = Context.Service<unknown, EventBus<EventOf<typeof events>>>()(id)
  const layerWith = (options: Options): Layer.Layer<unknown> =>
    Layer.effect(service, make({ ...options, name: id, events }))
  return Object.assign(service, {
    layer: layerWith({}),
    layerWith,
    layerFrom: (wider: Context.Key<any, unknown>) =>
      Layer.effect(
        service,
        Effect.flatMap(wider, (bus) => scoped(() => viewOf(id, events, bus))) as Effect.Effect<any>
      ),
    events,
    kinds,
    Event,
    EventJson: Schema.toCodecJson(Event)
  })
}

// -----------------------------------------------------------------------------
// Outside Effect
// -----------------------------------------------------------------------------

/**
 * The options of a callback.
 */
export interface CallbackOptions<Event> extends MatchOptions<Event> {
  /** How many callbacks may run at a time: a positive integer. Default 1. */
  readonly concurrency?: number | undefined
  /** When a callback that threw, or whose promise was rejected, is called again. */
  readonly retry?: Retry<unknown, never> | undefined
  /** Called once for each event that is given up, with what the last call threw, or its promise was rejected with. */
  readonly onFailure?: ((event: Event, error: unknown) => void | PromiseLike<void>) | undefined
  /**
   * How long callbacks may go on when the bus's scope closes, or when `close` is called. Default: the bus's, or else they are
   * ended at once.
   */
  readonly drain?: Duration.Input | undefined
  /** Ends the subscription when it is aborted. */
  readonly signal?: AbortSignal | undefined
}

/**
 * A bus for code that knows nothing of Effect: an Express route, a React component, a callback of some library.
 */
export interface Callbacks<in out Event extends AnyEvent> {
  /** Publishes the event. Throws a `TypeError` when its kind is not of the set. Does nothing once the bus is shut down. */
  readonly publish: (event: Event) => void
  /**
   * Calls `callback` for each event of the kind, or kinds, until the returned function is called. That ends the
   * subscription at once. Live when this returns.
   *
   * If a callback returns a promise, the next event waits for it, unless `concurrency` is above 1. A callback that
   * throws or rejects is logged and counted, and the next event follows.
   */
  readonly subscribe: <const Kind extends Event["_tag"]>(
    kinds: Kind | ReadonlyArray<Kind>,
    callback: (event: Extract<Event, { readonly _tag: Kind }>) => void | PromiseLike<void>,
    options?: CallbackOptions<Extract<Event, { readonly _tag: Kind }>>
  ) => () => void
  /**
   * The events of the kind, or kinds, from now on, until the bus is shut down and the buffer is empty. Live when this
   * returns, not when it is first read. A loop that is left by `break` or `throw` ends the subscription, and so does
   * `await using`.
   */
  readonly events: <const Kind extends Event["_tag"]>(
    kinds: Kind | ReadonlyArray<Kind>,
    options?: MatchOptions<Extract<Event, { readonly _tag: Kind }>>
  ) => Events<Extract<Event, { readonly _tag: Kind }>>
  /**
   * A promise of the next event of the kind, or kinds. It is `undefined` if the bus is shut down first, or `close` is
   * called. It is rejected with the signal's reason if the signal is aborted.
   */
  readonly next: <const Kind extends Event["_tag"]>(
    kinds: Kind | ReadonlyArray<Kind>,
    options?: Pick<MatchOptions<Extract<Event, { readonly _tag: Kind }>>, "name" | "where"> & {
      readonly signal?: AbortSignal | undefined
    }
  ) => Promise<Extract<Event, { readonly _tag: Kind }> | undefined>
  /**
   * Resolves when the bus is idle: no callback or handler of it runs, and none has an event pending.
   *
   * A callback that calls it before its own first `await` does not wait for itself. One that waits for it after that
   * waits for ever.
   */
  readonly idle: () => Promise<void>
  /**
   * Ends all subscriptions that were made through this object. Callbacks have their `drain` to finish what is pending,
   * iterators end, and so do promises of a next event. Resolves when all have ended. The bus goes on.
   *
   * A callback that calls it before its own first `await` does not wait for itself. One that waits for it after that
   * waits until its `drain` is over.
   */
  readonly close: () => Promise<void>
}

/**
 * Events as an async iterable that owns its subscription.
 */
export interface Events<out Event> extends AsyncIterable<Event>, AsyncDisposable {
  readonly next: () => Promise<IteratorResult<Event, undefined>>
  /** Ends the subscription. */
  readonly return: () => Promise<IteratorResult<Event, undefined>>
}

/**
 * The bus as plain functions.
 *
 * **Example** (In an application without Effect)
 *
 * ```ts
 * import { EventBus } from "@openwatch/event-bus"
 * import { DateTime, Effect, ManagedRuntime, Schema } from "effect"
 *
 * class DoorOpened extends Schema.TaggedClass<DoorOpened>()("DoorOpened", {
 *   door: Schema.String,
 *   occurredAt: Schema.DateTimeUtc
 * }) {}
 *
 * class HouseBus extends EventBus.Service<HouseBus>()("example/HouseBus", { events: [DoorOpened] }) {}
 *
 * const runtime = ManagedRuntime.make(HouseBus.layerWith({ drain: "10 seconds" }))
 * const house = await runtime.runPromise(Effect.flatMap(HouseBus, EventBus.toCallbacks))
 *
 * house.subscribe("DoorOpened", (event) => console.log(event.door))
 * house.publish(new DoorOpened({ door: "Back door", occurredAt: DateTime.nowUnsafe() }))
 *
 * await runtime.dispose() // at the end: lets callbacks finish
 * ```
 */
export const toCallbacks: <Event extends AnyEvent>(bus: EventBus<Event>) => Effect.Effect<Callbacks<Event>> =
  internalCallbacks.toCallbacks
