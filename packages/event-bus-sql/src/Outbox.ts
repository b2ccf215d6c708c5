/**
 * Durable events: the lane beside an event bus, for events that must survive a crash.
 *
 * **What is delivered**
 *
 * `publish` stores an event in the transaction around it. If the transaction commits, the event is there; if it is
 * rolled back, the event is not. From there it goes two ways.
 *
 * - *The live lane.* A committed event is published on the bus of every process that provides the outbox, in the order
 *   of the log. Like anything on a bus, it arrives at most once.
 * - *The durable lane.* Every named consumer handles it at least once, whatever process is killed in between. A handler
 *   that fails is run again after a pause. After `maxAttempts` the event is a dead letter of that consumer. Consumers
 *   do not wait for one another.
 *
 * With `transactional`, the handler runs in the transaction that marks the event as handled. So what it writes to that
 * database is there exactly once.
 *
 * **When to use**
 *
 * For events that must not be lost: an order was placed, a host went down. What is only shown, counted or logged
 * belongs on the bus alone. For delayed jobs, schedules and priorities take a job queue.
 *
 * **Gotchas**
 *
 * A handler that is not transactional may run twice for one event: its process may be killed after the handler has
 * ended and before the event is marked as handled. Make it idempotent by the `id` of its delivery.
 */
import type { EventBus } from "@openwatch/event-bus"
import {
  type Cause,
  Context,
  type DateTime,
  Duration,
  Effect,
  Layer,
  type Schedule,
  type Scope,
  type Stream
} from "effect"
import { uuidV7Unsafe } from "effect/crypto/SecureRandom"
import * as SqlClient from "effect/sql/SqlClient"
import { makeOutbox } from "./internal/outbox.ts"
import { OutboxError } from "./internal/outboxError.ts"
import { GiveUp, RetryAfter } from "./internal/verdict.ts"

// -----------------------------------------------------------------------------
// Errors
// -----------------------------------------------------------------------------

export { OutboxError }

/**
 * Fails a handler, and makes its event a dead letter at once.
 */
export const giveUp = (cause: unknown): Effect.Effect<never, GiveUp> => Effect.fail(new GiveUp({ cause }))

/**
 * Fails a handler that knows when its event should be tried again. It counts as an attempt: after `maxAttempts` the event
 * is a dead letter all the same.
 */
export const retryAfter = (delay: Duration.Input, cause: unknown): Effect.Effect<never, RetryAfter> =>
  Effect.fail(new RetryAfter({ delay: Duration.fromInputUnsafe(delay), cause }))

export type { GiveUp, RetryAfter }

// -----------------------------------------------------------------------------
// Publishing
// -----------------------------------------------------------------------------

/**
 * Makes a new id, for a caller that may publish an event more than once. An event that is published again under its id
 * is not stored again.
 */
export const makeId: Effect.Effect<string> = Effect.sync(() => uuidV7Unsafe())

/**
 * The options of `publish`.
 */
export interface PublishOptions {
  /**
   * The id of the event, unique among those of its kind for as long as the event is kept: a natural key, or one of
   * `makeId`. Default: a new UUID v7.
   */
  readonly id?: string | undefined
}

// -----------------------------------------------------------------------------
// Consumers
// -----------------------------------------------------------------------------

/**
 * What a handler is told about its event.
 */
export interface Delivery {
  readonly id: string
  /** From 1. */
  readonly attempt: number
  readonly publishedAt: DateTime.Utc
  /** The name of the consumer. */
  readonly consumer: string
  /** Whether it was a dead letter. If so, it comes after events that were published later. */
  readonly isRequeued: boolean
}

/**
 * How many events a handler gets at a time.
 *
 * **Details**
 *
 * Each event is acknowledged by itself. An event has failed if the handler calls its `fail`. If the handler itself
 * fails, all of the others have failed too. With `order: "all"` or `"key"`, the events behind a failed one, all or
 * those of its key, are given to a handler again after it.
 *
 * An event that has failed comes in a batch of its own from then on. So it uses up no attempts of others.
 *
 * With `transactional` a batch is one transaction, with events of one partition. If any part of it fails, it is rolled
 * back. That does not count as an attempt, and its events are then handled one by one.
 *
 * `timeout` is the time for a whole batch, and `concurrency` counts batches.
 */
export interface Batch {
  /** How many events a batch may have: at most 500. */
  readonly max: number
  /** How long to wait for more events, from the first one of a batch on, while it is not full. Default: not at all. */
  readonly within?: Duration.Input | undefined
}

/** `A`, where it has no properties but those of `B`. */
type Exactly<A, B> = A & { readonly [K in Exclude<keyof A, keyof B>]: never }

/**
 * The options of a consumer.
 */
export interface ConsumerOptions<R, B extends Batch | undefined = undefined> {
  /** The name of the consumer. Its position is kept under this name, for all processes. */
  readonly consumer: string
  /**
   * Where a consumer starts whose name is new: `"now"`, at the `"beginning"` of what is kept, or at a time. Default
   * `"now"`. A kind that is added later starts when it is added.
   */
  readonly from?: "now" | "beginning" | DateTime.Utc | undefined
  /**
   * Which later events wait while an event is handled or tried again. `"all"`: all of them, so events are handled in
   * the order of the log. `"key"`: those with the same key. `"none"`: none. Default `"all"`. It can be
   * changed by a start while no other process serves the consumer. Otherwise another order is refused.
   */
  readonly order?: "all" | "key" | "none" | undefined
  /**
   * How many events are handled at a time in this process, with `order: "key"` and `"none"`. With `transactional` it counts
   * partitions, each of which handles one. Default 8, and 1 with `order: "all"`.
   */
  readonly concurrency?: number | undefined
  /**
   * The pauses before further attempts. The input of the schedule is the number of the attempt that failed. How many
   * attempts there are is up to `maxAttempts`: a schedule that ends keeps its last pause. Default: one second, then twice
   * as long each time, up to five minutes.
   */
  readonly retry?: Schedule.Schedule<unknown, number, never, R> | undefined
  /** After so many attempts an event is a dead letter. Default 10. */
  readonly maxAttempts?: number | undefined
  /**
   * A handler that takes longer is interrupted, which counts as a failed attempt. Default 30 seconds, with
   * `transactional` 5 seconds.
   */
  readonly timeout?: Duration.Input | undefined
  /**
   * How long a handler may go on when the scope closes. Default: it is interrupted at once. That does not count as an
   * attempt.
   */
  readonly drain?: Duration.Input | undefined
  /**
   * What happens to the events behind a dead letter. `"continue"`: they are handled. `"hold"`: they wait until the dead
   * letter is requeued or discarded, with `order: "key"` only those of its key. Default `"continue"`.
   */
  readonly afterDeath?: "continue" | "hold" | undefined
  /**
   * The name that this consumer had before. Once no process serves the old name any more, its positions and dead
   * letters are taken over. The old name cannot be started again.
   */
  readonly replaces?: string | undefined
  /**
   * Kinds that this consumer handled before and handles no more. If a kind is missing in the handler and is not listed
   * here, the consumer stops in this process at its first such event. It leaves the event to another version of the
   * application.
   */
  readonly retires?: ReadonlyArray<string> | undefined
  /**
   * Whether the handler runs in the transaction that marks the event as handled. What it writes to that database is
   * then there exactly once. It should do nothing else: what it does elsewhere is not undone when the transaction is
   * rolled back. PostgreSQL ends a transaction in which no statement runs for as long as the `lease`, whatever `timeout`
   * says: a failed attempt. Default false.
   */
  readonly transactional?: boolean | undefined
  /** Gives the handler several events at a time. Default: one, with its delivery. */
  readonly batch?: Exactly<B, Batch>
}

/**
 * An event of a batch.
 */
export interface Delivered<out Event> {
  readonly event: Event
  readonly delivery: Delivery
  /**
   * Says that this event failed, independently of the others: `Effect.catchCause(send(event), fail)`. Failures by
   * `giveUp` and `retryAfter` mean the same as for a single event.
   */
  readonly fail: (cause: Cause.Cause<unknown>) => Effect.Effect<void>
}

/**
 * What a handler is given: an event and its delivery, or with `batch` several of them.
 */
export type Given<Event, B extends Batch | undefined> = [B] extends [undefined] ? [event: Event, delivery: Delivery]
  : [B] extends [Batch] ? [batch: ReadonlyArray<Delivered<Event>>]
  : [never]

/**
 * A consumer in this process.
 */
export interface ConsumerHandle {
  readonly name: string
}

/**
 * The state of a consumer, over all processes that serve it.
 */
export interface ConsumerSnapshot {
  readonly name: string
  /** The kinds that it is registered for. */
  readonly kinds: ReadonlyArray<string>
  readonly order: "all" | "key" | "none"
  readonly partitions: number
  readonly lag: {
    /** Events of the log that it has not moved past. They are counted each time, so many of them take long. */
    readonly events: number
    /** When the oldest of them was published. */
    readonly oldest: DateTime.Utc | undefined
    /** How long ago that was, by the clock of the database. 0 where there is none. */
    readonly age: Duration.Duration
  }
  /** Events that failed and will be tried again. */
  readonly retrying: number
  /** Events that wait behind one that failed or died. */
  readonly held: number
  /** Dead letters. */
  readonly dead: number
  /** How many partitions each process has, by the id of the process. The id changes with every start. */
  readonly owners: Readonly<Record<string, number>>
  /** When a process last served it, accurate to some minutes. */
  readonly lastSeenAt: DateTime.Utc
}

// -----------------------------------------------------------------------------
// Dead letters
// -----------------------------------------------------------------------------

/**
 * Which dead letter is meant.
 */
export interface DeadLetterKey {
  readonly consumer: string
  readonly kind: string
  readonly id: string
}

/**
 * An event that a consumer has given up.
 */
export interface DeadLetter<out Event> extends DeadLetterKey {
  /** The event, or `undefined` where this version of the application cannot read it. */
  readonly event: Event | undefined
  /** The event as it is stored. */
  readonly json: string
  /** What the last attempt failed with. */
  readonly cause: string
  readonly attempts: number
  readonly publishedAt: DateTime.Utc
  readonly diedAt: DateTime.Utc
}

// -----------------------------------------------------------------------------
// The outbox
// -----------------------------------------------------------------------------

/**
 * The outbox of a bus of events `Event`.
 */
export interface Outbox<in out Event extends EventBus.AnyEvent> {
  /** The service's identifier, in messages and logs. */
  readonly name: string
  /** What the names of its tables begin with. */
  readonly tablePrefix: string
  /**
   * Stores an event in the transaction around it. Inside the transaction of another `SqlClient` it is a defect.
   *
   * Outside of a transaction the event is on its own, but may share a commit with others that are published at the same
   * moment. When it is interrupted there, the event may or may not be stored: give an `id` to be able to repeat it.
   *
   * An event that is published again under its id is not stored again. Other content under a known id fails as a
   * conflict.
   */
  readonly publish: (event: Event, options?: PublishOptions) => Effect.Effect<void, OutboxError>
  /** Stores events in order: all or none. */
  readonly publishAll: (events: Iterable<Event>) => Effect.Effect<void, OutboxError>
  /**
   * Runs `handler` for each event of the kind, or kinds, behind the consumer's position, until the scope closes. Live when
   * this returns: what is published after that is handled.
   *
   * Processes that serve the same name share its events. What a handler acquires in its scope is released when it has
   * ended.
   *
   * With `batch` the handler gets several events at a time, each with its delivery.
   */
  readonly on: <const Kind extends Event["_tag"], R = never, R2 = never, const B extends Batch | undefined = undefined>(
    kinds: Kind | ReadonlyArray<Kind>,
    handler: (...given: Given<Extract<Event, { readonly _tag: Kind }>, B>) => Effect.Effect<unknown, unknown, R>,
    options: ConsumerOptions<R2, B>
  ) => Effect.Effect<ConsumerHandle, OutboxError, Exclude<R, Scope.Scope> | R2 | Scope.Scope>
  /**
   * The last events, at most so many, oldest first: to be shown, not to be handled. What all consumers have handled is there
   * for `retention`. One that cannot be decoded any more is left out.
   */
  readonly last: (count: number) => Effect.Effect<ReadonlyArray<Event>, OutboxError>
  /** The state of all consumers, in the order of their names. */
  readonly consumers: Effect.Effect<ReadonlyArray<ConsumerSnapshot>, OutboxError>
  /** The dead letters of all consumers or of one. Those of each consumer come oldest first. */
  readonly deadLetters: (
    options?: { readonly consumer?: string | undefined }
  ) => Stream.Stream<DeadLetter<Event>, OutboxError>
  /**
   * Has dead letters tried again, beginning with a first attempt. They come after events that were published later,
   * unless those were held. Returns how many of the letters there were.
   */
  readonly requeue: (letters: ReadonlyArray<DeadLetterKey>) => Effect.Effect<number, OutboxError>
  /** Forgets dead letters. Returns how many of them there were. */
  readonly discard: (letters: ReadonlyArray<DeadLetterKey>) => Effect.Effect<number, OutboxError>
  /**
   * Forgets a consumer, its position and its dead letters. The log is no longer kept for it. Fails while a process
   * serves it. Does nothing if no consumer has the name.
   */
  readonly removeConsumer: (name: string) => Effect.Effect<void, OutboxError>
  /**
   * For tests: completes when no consumer of this process has an event to handle now. Events that wait for their next
   * attempt do not count.
   */
  readonly awaitIdle: Effect.Effect<void>
}

/**
 * The options of an outbox. One that is left out has the default given here.
 */
export interface Options {
  /**
   * The beginning of the names of its tables. Two outboxes in one database need different ones. Default `"outbox_"`.
   */
  readonly tablePrefix?: string | undefined
  /**
   * How often the lease is renewed, and the log is read without a notification that something is new. Default 1 second.
   */
  readonly pollInterval?: Duration.Input | undefined
  /** How long after the death of a process others handle its events. At least 3 poll intervals. Default 10 seconds. */
  readonly lease?: Duration.Input | undefined
  /**
   * Into how many parts the events of a consumer with `order: "key"` or `"none"` are divided: a power of two up to 256.
   * Default 16. A consumer that has fewer gets as many when it starts while no other process serves it. One that has more
   * keeps them.
   */
  readonly partitions?: number | undefined
  /**
   * How long after their publishing events are kept that all consumers have handled. Those that are tried again, held
   * or dead stay. Default 7 days. `Duration.infinity` keeps all.
   */
  readonly retention?: Duration.Input | undefined
  /**
   * A consumer that no process has served for so long is removed, with its position and its dead letters. Then the log is no
   * longer kept for it. Default: never.
   */
  readonly expireAfter?: Duration.Input | undefined
  /** Whether committed events are published on the bus of this process. Default true. */
  readonly live?: boolean | undefined
  /**
   * What this process is called, where something else sees to it that never two of one name run at a time, such as a lock. Who
   * starts then takes over at once what one of its name has left that was killed, without waiting for the lease.
   */
  readonly process?: string | undefined
}

/**
 * The key of an event, for each kind. Events with the same key keep their order.
 */
export type Keys<Event extends EventBus.AnyEvent> = {
  readonly [Kind in Event["_tag"]]?: ((event: Extract<Event, { readonly _tag: Kind }>) => string) | undefined
}

/**
 * The class that {@link Service} makes: the key of the service, and the layers that provide it.
 */
export interface ServiceClass<in out Self, in out Id extends string, in out Event extends EventBus.AnyEvent, Bus>
  extends Context.ServiceClass<Self, Id, Outbox<Event>>
{
  /** An outbox with default options. It makes its tables, or brings them up to date. */
  readonly layer: Layer.Layer<Self, OutboxError, Bus | SqlClient.SqlClient>
  /** An outbox with these options. */
  readonly layerWith: (options: Options) => Layer.Layer<Self, OutboxError, Bus | SqlClient.SqlClient>
}

/**
 * Declares the outbox of a bus as a service.
 */
export const Service =
  <Self>() =>
  <const Id extends string, Bus, BusId extends string, Events extends EventBus.EventSchemas>(
    id: Id,
    options: {
      /** The bus. Its events are those of the outbox. */
      readonly bus: EventBus.ServiceClass<Bus, BusId, Events>
      /**
       * The keys of events, for consumers with `order: "key"`: for each kind, or one function for all of them. The key is
       * stored with each event, so this may change later.
       */
      readonly keys?: Keys<EventBus.EventOf<Events>> | ((event: EventBus.EventOf<Events>) => string) | undefined
    }
  ): ServiceClass<Self, Id, EventBus.EventOf<Events>, Bus> => {
    const { keys = {} } = options
    const keysOf = typeof keys === "function" ? Object.fromEntries(options.bus.kinds.map((kind) => [kind, keys])) : keys
    const service = Context.Service<Self, Outbox<EventBus.EventOf<Events>>>()(id)
    const layerWith = (layerOptions: Options): Layer.Layer<Self, OutboxError, Bus | SqlClient.SqlClient> =>
      Layer.effect(
        service,
        Effect.flatMap(
          Effect.all([options.bus, SqlClient.SqlClient]),
          ([bus, sql]) => makeOutbox({ name: id, bus, sql, json: options.bus.EventJson, keys: keysOf }, layerOptions)
        )
      ) as Layer.Layer<Self, OutboxError, Bus | SqlClient.SqlClient>
    return Object.assign(service, { layer: layerWith({}), layerWith })
  }
