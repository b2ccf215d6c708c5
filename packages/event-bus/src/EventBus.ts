/**
 * A typed, in-process event bus: parts that notice things publish events, parts that react subscribe to them, and
 * neither knows the other.
 *
 * **What is delivered**
 *
 * `publish` returns at once, always. Every subscription has a buffer of its own (1,024 events by default). One that is full
 * loses events by its own policy and counts them, and nobody else notices. What a subscription accepted reaches its
 * subscriber in the order of publishing, unless that subscriber leaves.
 *
 * `shutdown` closes the intake; what was accepted before is still delivered. When a program ends, its scopes close instead:
 * handlers then have their `drain` to finish what they accepted. Without one they are interrupted at once, and what is pending
 * is discarded, with a warning. So provide the bus by `layerWith({ drain: "10 seconds" })`.
 *
 * **When to use**
 *
 * For events inside one process. What has to cross processes goes over a bridge beside the bus; what must survive the
 * process belongs in a database.
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
 * The fields of events that a `where` may name: those of string, number or boolean values (branded ones too) that all of
 * the events have.
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
 * How a bus is made. What is left out has the default given here.
 */
export interface Options {
  /** `bufferSize` of subscriptions that do not say otherwise: a positive integer. Default 1024. */
  readonly bufferSize?: number | undefined
  /** `overflow` of subscriptions that do not say otherwise. Default `"dropping"`. */
  readonly overflow?: Overflow | undefined
  /** How many of the last events of *each* kind are kept for subscriptions that ask for them. Default 0. */
  readonly replay?: number | undefined
  /**
   * `drain` of handlers that do not say otherwise: how long they may go on when their scope, or the bus's, closes. Default:
   * none. They are then interrupted at once, and what is pending is discarded, with a warning.
   */
  readonly drain?: Duration.Input | undefined
  /** `durations` of handlers that do not say otherwise. Default: they are not measured. */
  readonly durations?: boolean | undefined
}

/**
 * How a subscription is made, but for its kinds.
 */
export interface BufferOptions {
  /** Shown in logs, metrics and snapshots. Default: the kinds joined by `+`. */
  readonly name?: string | undefined
  /** Events that may be pending at most: a positive integer. Default: the bus's. */
  readonly bufferSize?: number | undefined
  /** What a full buffer does. Default: the bus's. */
  readonly overflow?: Overflow | undefined
  /**
   * How many of the last matching events come first: at most the bus's `replay` and the subscription's `bufferSize`.
   * Default 0.
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
 * How a subscription is made that receives all events of its kinds, or some.
 */
export interface MatchOptions<Event> extends BufferOptions {
  /**
   * Only events whose fields have these values, equal as the keys of a `Map` are. An event that does not match is not
   * offered: it takes no place in the buffer. However many subscriptions have a `where`, a publish looks an event up once for
   * each set of fields in use.
   *
   * The fields are those of the events' schemas; a getter of an event's class is none. Default: all events of the kinds.
   */
  readonly where?: Where<Event> | undefined
}

/**
 * What to subscribe to, and how.
 */
export interface SubscribeOptions<Kind extends string, Event> extends PubSubOptions<Kind>, MatchOptions<Event> {
  /**
   * For tools that look on. An observer receives its events and counts them by its own snapshot, but it is in no sum, list or
   * metric of the bus, and an event that it alone receives had no subscriber. Default false.
   */
  readonly observer?: boolean | undefined
}

/**
 * How events are handled by `on`.
 */
export interface HandlerOptions<Event, E, R, R2 = R> extends MatchOptions<Event> {
  /** Events handled at a time: a positive integer. 1, the default, handles them in order; above it there is no order. */
  readonly concurrency?: number | undefined
  /** When a handler that failed is tried again. Not applied to defects. Later events wait in the buffer meanwhile. */
  readonly retry?: Schedule.Schedule<unknown, E, never, R> | undefined
  /**
   * Runs once for each event that is given up, with the cause of the last try. It cannot fail; if it dies, that is logged and
   * the next event is handled.
   */
  readonly onFailure?: ((event: Event, cause: Cause.Cause<E>) => Effect.Effect<unknown, never, R2>) | undefined
  /**
   * How long the handler may go on when the scope closes, by `Clock`: no more events are accepted, the pending ones are
   * handled, then the handler is interrupted and the rest discarded. Default: the bus's, or else it is interrupted at once.
   * `unsubscribe` does not drain, nor does a handler that closes its own scope.
   */
  readonly drain?: Duration.Input | undefined
  /**
   * Measures how long each event takes, by `Clock`, in the histogram `event_bus_subscription_handler_duration_seconds`: from
   * the start of the handler until it, its scope and `onFailure` have ended, with all attempts and the pauses between them.
   * Default: the bus's, or else not. What is not measured costs nothing.
   */
  readonly durations?: boolean | undefined
}

/**
 * How a stream of events is consumed by `consume`.
 */
export interface ConsumeOptions<Event, E, R> extends MatchOptions<Event> {
  /**
   * When a body that failed or died is run again, on the same subscription. It starts anew after a run that took something.
   * When it ends, the subscription is closed, and that is logged. Default: after 100 ms, twice as long each time, at most 30 s.
   */
  readonly retry?: Schedule.Schedule<unknown, Cause.Cause<E>, never, R> | undefined
  /**
   * How long the body may go on when the scope closes, by `Clock`: no more events are accepted, the stream ends after those
   * that are pending, and the body has this time to finish. Default: the bus's, or else it is interrupted at once.
   */
  readonly drain?: Duration.Input | undefined
}

/**
 * What may be published: the half of a bus that a part needs which notices things. A bus of more events is one too.
 */
export interface Publisher<in Event extends AnyEvent> {
  /**
   * Offers the event to every subscription to its kind. Never waits, never fails, never runs a subscriber's code. Does
   * nothing once the bus is shut down.
   */
  readonly publish: (event: Event) => Effect.Effect<void>
  /** Publishes the events in order, with nothing between them. All or, if one is not of the bus (a defect), none. */
  readonly publishAll: (events: Iterable<Event>) => Effect.Effect<void>
  /** `publish` for callbacks outside Effect. Throws a `TypeError` where `publish` has a defect: for no event of the bus. */
  readonly publishUnsafe: (event: Event) => void
}

/**
 * The events of a union, by their kinds.
 */
export type EventMap<Event extends AnyEvent> = {
  readonly [Kind in Event["_tag"]]: Extract<Event, { readonly _tag: Kind }>
}

/**
 * What may be subscribed to: the half of a bus that a part needs which reacts. A bus of more events is one too.
 */
export type Subscriber<Event extends AnyEvent> = SubscriberOf<EventMap<Event>>

/**
 * See {@link Subscriber}, which says the same of a union.
 */
export interface SubscriberOf<Events> {
  /** Keeps a bus of fewer events from passing as one of more. */
  readonly "~@openwatch/event-bus/Subscriber"?: { readonly _Events: Types.Covariant<Events> }
  /**
   * A subscription to some kinds, to be taken from. Live when this returns, until the scope closes. After shutdown it has
   * ended already.
   */
  readonly subscribe: <const Kind extends keyof Events & string>(
    options: SubscribeOptions<Kind, Events[Kind]>
  ) => Effect.Effect<Subscription<Events[Kind]>, never, Scope.Scope>
  /**
   * Runs `handler` for each event of the kind, or kinds, in a supervised fiber until the scope closes. Live when this
   * returns. A handler that fails, dies or throws is logged and counted, and the next event is handled.
   *
   * What the handler acquires in its `Scope` is released with the event. What should outlive the event is forked into a scope
   * captured outside of the handler.
   *
   * The handler may unsubscribe itself, close the scope it runs in, or shut the bus down. It never waits for itself: it
   * finishes its event, and no other starts. The same holds for a fiber that it forks. A fiber that is to close the whole
   * application is forked outside of the handler.
   *
   * For an event that was published inside a span, the handler runs in a root span (kind `consumer`) that links to it.
   */
  readonly on: <const Kind extends keyof Events & string, E = never, R = never, R2 = never, R3 = never>(
    kinds: Kind | ReadonlyArray<Kind>,
    handler: (event: Events[Kind], handle: SubscriptionHandle) => Effect.Effect<unknown, E, R>,
    options?: HandlerOptions<Events[Kind], NoInfer<E>, R2, R3>
  ) => Effect.Effect<SubscriptionHandle, never, Exclude<R | R2 | R3, Scope.Scope> | Scope.Scope>
  /**
   * Runs `body` with the stream of the events of the kind, or kinds, in a supervised fiber until the scope closes: for what
   * looks at several events at a time, such as batching, debouncing or grouping by a key. Live when this returns.
   *
   * A body that fails or dies is logged and run again by `retry`, with the events that it has not pulled yet. A body that
   * completes unsubscribes. What it acquires in its `Scope` is released with the run.
   *
   * The stream pulls at most 16 events at a time. These are `running` until the next pull, and `handled` from then on; those
   * of a body that fails are `failures`. What later stages of the stream hold is not seen by the bus.
   */
  readonly consume: <const Kind extends keyof Events & string, E = never, R = never, R2 = never>(
    kinds: Kind | ReadonlyArray<Kind>,
    body: (events: Stream.Stream<Events[Kind]>) => Effect.Effect<unknown, E, R>,
    options?: ConsumeOptions<Events[Kind], NoInfer<E>, R2>
  ) => Effect.Effect<SubscriptionHandle, never, Exclude<R | R2, Scope.Scope> | Scope.Scope>
  /**
   * The next event of the kind, or kinds, published after this has started. Fails with `Cause.Done` where the bus is shut
   * down before it. Where the trigger is one's own, `subscribe` comes first, then the trigger, then `take`.
   */
  readonly awaitNext: <const Kind extends keyof Events & string>(
    kinds: Kind | ReadonlyArray<Kind>,
    options?: Pick<MatchOptions<Events[Kind]>, "name" | "where">
  ) => Effect.Effect<Events[Kind], Cause.Done>
  /**
   * The bus as an Effect `PubSub` of some kinds, for whatever takes one: `Stream.fromPubSub`, `Stream.runIntoPubSub`,
   * `PubSub.subscribe`, a library's parameter.
   *
   * Publishing on it is publishing on the bus; an event of another kind is a defect. Each subscription to it is a
   * subscription of the bus with these options. It ends, as one of a `PubSub` that is shut down does, once the bus is shut
   * down and its buffer is empty. `PubSub.shutdown` and `PubSub.end` on it end what is subscribed to it, not the bus.
   * `PubSub.capacity` is the `bufferSize`, `PubSub.size` what its furthest-behind subscription has pending.
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
   * Completes when `on` and `consume` subscriptions have nothing pending, no handler runs, and nobody who waits in a take has
   * something to take. The body of a `consume` rests while it waits for its stream.
   *
   * Inside of a handler it leaves out that handler's own subscription, and other handlers that wait in it count as idle.
   */
  readonly awaitIdle: Effect.Effect<void>
  /**
   * Closes the intake, and returns without waiting: subscriptions go on until their buffers are empty, handlers too, then
   * takes fail with `Cause.Done` and streams end. Idempotent.
   */
  readonly shutdown: Effect.Effect<void>
  /** Completes when the bus is shut down. Subscriptions may still have events pending then. */
  readonly awaitShutdown: Effect.Effect<void>
}

// -----------------------------------------------------------------------------
// Constructors
// -----------------------------------------------------------------------------

/**
 * Makes a bus whose life is that of the scope.
 *
 * **When to use**
 *
 * Where a bus is a detail of some other part. An application declares its bus with {@link Service} instead.
 *
 * **Details**
 *
 * When the scope closes, the bus is shut down. Then every `on` subscription that is left is closed as by its own scope, all
 * side by side, and waited for. One without `drain` is interrupted, and what is pending in it is discarded, with a warning.
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
   * This set of events as a part of a bus that has all of them, and no second bus: what is published here is published there.
   *
   * For a module that declares a small set of its own, and an application that spreads the sets of its modules into one bus.
   * Shutting it down, or closing the layer, ends what was published and subscribed to through it, never the wider bus. The
   * schemas must be the very same; another schema under the same `_tag` is a defect.
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
 * Subscribers must be there before publishers start, and stop after them:
 * `publishers.pipe(Layer.provide(subscribers), Layer.provide(HouseBus.layer))`. `Layer.mergeAll` of the two builds and
 * closes them side by side, and loses the first and the last events.
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
 * How a callback is called.
 */
export interface CallbackOptions<Event> extends MatchOptions<Event> {
  /** Callbacks waited for at a time: a positive integer. Default 1. */
  readonly concurrency?: number | undefined
  /** When a callback that threw, or whose promise was rejected, is called again. */
  readonly retry?: Schedule.Schedule<unknown> | undefined
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
   * Calls `callback` for each event of the kind, or kinds, until the returned function is called, which ends it at once. In
   * order at a `concurrency` of 1. Live when this returns. A callback that returns a promise is waited for. One that throws or
   * rejects is logged and counted, and the next event follows.
   */
  readonly subscribe: <const Kind extends Event["_tag"]>(
    kinds: Kind | ReadonlyArray<Kind>,
    callback: (event: Extract<Event, { readonly _tag: Kind }>) => void | PromiseLike<void>,
    options?: CallbackOptions<Extract<Event, { readonly _tag: Kind }>>
  ) => () => void
  /**
   * The events of the kind, or kinds, from now on, until the bus is shut down and the buffer is empty. Live when this
   * returns, not when it is first read; a loop that is left (`break`, `throw`) ends the subscription, and so does
   * `await using`.
   */
  readonly events: <const Kind extends Event["_tag"]>(
    kinds: Kind | ReadonlyArray<Kind>,
    options?: MatchOptions<Extract<Event, { readonly _tag: Kind }>>
  ) => Events<Extract<Event, { readonly _tag: Kind }>>
  /**
   * The next event of the kind, or kinds, from now on; `undefined` once the bus is shut down. Rejects with the signal's reason
   * when that is aborted.
   */
  readonly next: <const Kind extends Event["_tag"]>(
    kinds: Kind | ReadonlyArray<Kind>,
    options?: Pick<MatchOptions<Extract<Event, { readonly _tag: Kind }>>, "name" | "where"> & {
      readonly signal?: AbortSignal | undefined
    }
  ) => Promise<Extract<Event, { readonly _tag: Kind }> | undefined>
  /** Resolves when the bus is idle: no callback or handler of it runs, and none has an event pending. */
  readonly idle: () => Promise<void>
  /**
   * Ends all that was made through this object: callbacks finish what is pending as far as their `drain` allows, iterators
   * end. Resolves when all have ended. The bus goes on.
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
