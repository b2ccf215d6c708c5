/**
 * A bridge beside an event bus: it sends some kinds of events to a NATS server, and publishes on the bus what other
 * processes sent there.
 *
 * **What is delivered**
 *
 * - `mode: "core"`: at most once. What is sent while a process is not connected never reaches it; what was on its way when
 *   a connection broke is counted as lost.
 * - `mode: "jetstream"`: an event is *accepted* once the server has stored it, and counts as exported only then. From
 *   there it reaches every importing bus at least once, also one whose process was down meanwhile. Until then it waits in
 *   the export buffer of its process, which is bounded, and counts what it drops.
 *
 * A process never takes back what it sent, and never passes on what it took in, whatever imports and exports form a ring.
 * Order is that of sending, for each sending process, unless an event had to be sent again.
 *
 * **When to use**
 *
 * When parts of one application run as several processes or machines, and events of one must reach the others. Inside one
 * process the bus alone does. Requests that want an answer, and state that must be queried, are no events.
 *
 * **Gotchas**
 *
 * The bridge publishes and subscribes: subscribers come before it, publishers after it, as in
 * `publishers.pipe(Layer.provideMerge(bridge), Layer.provideMerge(subscribers), Layer.provideMerge(bus))`.
 */
import type { EventBus, Overflow } from "@openwatch/event-bus"
import { Context, type DateTime, type Duration, Effect, Layer, Option, type Redacted, Schema, type Scope } from "effect"
import { makeBridge } from "./internal/bridge.ts"
import { type Origin, originOf as originOfEvent } from "./internal/cloudEvent.ts"

// -----------------------------------------------------------------------------
// Options
// -----------------------------------------------------------------------------

/**
 * Who the process is to the server: a token, a user, an nkey seed, or the content of a `.creds` file (a JWT with its seed).
 */
export type Credentials =
  | { readonly token: Redacted.Redacted }
  | { readonly user: string; readonly password: Redacted.Redacted }
  | { readonly nkeySeed: Redacted.Redacted }
  | { readonly creds: Redacted.Redacted }

/**
 * Requires TLS. What is left out is not sent (a client certificate), or is the system's (the authorities).
 */
export interface Tls {
  /** Path of the certificates of the authorities to trust, in PEM. */
  readonly caFile?: string | undefined
  /** Path of this client's certificate, in PEM. */
  readonly certFile?: string | undefined
  /** Path of this client's private key, in PEM. */
  readonly keyFile?: string | undefined
  /** Start with the TLS handshake, for a server with `handshake_first`. Default false. */
  readonly handshakeFirst?: boolean | undefined
}

/**
 * The JetStream stream. It is created when it is missing. When it is there, what is given here must be what it has.
 */
export interface Stream {
  /** Default: the subject in capitals, with `_` for everything but letters and digits. */
  readonly name?: string | undefined
  /** Default `"file"`. */
  readonly storage?: "file" | "memory" | undefined
  /** Copies in a cluster. Default 1. */
  readonly replicas?: number | undefined
  /** How long an event is kept. Default: for ever. */
  readonly maxAge?: Duration.Input | undefined
  /** Size of all events together, in bytes. Default: no limit. */
  readonly maxBytes?: number | undefined
  /** Number of events. Default: no limit. */
  readonly maxMessages?: number | undefined
  /**
   * What a full stream does: `"old"` loses its oldest events, `"new"` refuses new ones, which then wait in the export
   * buffers of their processes. Default `"old"`.
   */
  readonly discard?: "old" | "new" | undefined
  /** How long the server knows an event again that is sent twice. Default 2 minutes. */
  readonly duplicateWindow?: Duration.Input | undefined
}

/**
 * How a bridge is made.
 */
export interface Options<Kind extends string = string, in Event extends EventBus.AnyEvent = EventBus.AnyEvent> {
  /** Addresses of one server or of the servers of one cluster: `nats://host:4222`, `tls://host:4222`, `host:4222`. */
  readonly servers: string | ReadonlyArray<string>
  /** An effect is run before each attempt to connect, for credentials that expire and are renewed. */
  readonly credentials?: Credentials | Effect.Effect<Credentials, unknown> | undefined
  readonly tls?: Tls | undefined
  /** Events go to `<subject>.<kind>`. */
  readonly subject: string
  /** The name of this process, the same after a restart, and no other's: the `ce-source` of what it sends. */
  readonly source: string
  readonly mode: "core" | "jetstream"
  /** The kinds to send. Default none. */
  readonly export?: ReadonlyArray<Kind> | undefined
  /**
   * The id of an event to send, for events that may be published again, say by the next start of a process that was killed:
   * the same event has the same id, and no other event has it. Default: a new id each time.
   */
  readonly idOf?: ((event: Event) => string) | undefined
  /**
   * Runs for events that count as exported, some at a time, in the order of sending; the next ones are sent when it has
   * ended. For whoever has to keep an event until it is safe elsewhere. It cannot fail; if it dies, that is logged. What was
   * exported and not told of when the process ends, it is never told of.
   */
  readonly onExported?: ((events: ReadonlyArray<Event>) => Effect.Effect<void>) | undefined
  /** The kinds to take in. Default none. */
  readonly import?: ReadonlyArray<Kind> | undefined
  /**
   * Each event goes to one of the processes that import with this name, instead of to each of them. They must import the
   * same kinds.
   */
  readonly queue?: string | undefined
  /**
   * JetStream: acknowledge an imported event only when the subscription of this name has handled it, so that an event whose
   * process died is delivered again. Default: acknowledge when the bus has accepted it. The subscription must be there
   * before the bridge, be made with `on`, and drop the newest when it overflows. (Of one made with `subscribe` nobody could
   * say more than that an event was taken.)
   */
  readonly handledBy?: string | undefined
  /** Events that may wait to be sent. Default 1024. */
  readonly bufferSize?: number | undefined
  /** What a full export buffer does. Default `"dropping"`. */
  readonly overflow?: Overflow | undefined
  readonly stream?: Stream | undefined
  /**
   * JetStream: what a bridge that is new to the stream gets, `"all"` that the stream has, or only `"new"` events. After
   * that it goes on where it stopped. Default `"all"`.
   */
  readonly deliver?: "all" | "new" | undefined
  /**
   * JetStream: when an event that was delivered and neither acknowledged nor said to be worked on is delivered again. Default
   * 30 seconds.
   */
  readonly ackWait?: Duration.Input | undefined
  /**
   * What to do when no server can be reached at the start: `"wait"` goes on trying in the background, as after every later
   * loss of the connection; `"fail"` fails. Default `"wait"`.
   */
  readonly start?: "wait" | "fail" | undefined
  /** How long connecting, and an acknowledgement by the server, may take. Default 5 seconds. */
  readonly timeout?: Duration.Input | undefined
  /** How often the server is asked for a sign of life; two missing ones end the connection. Default 10 seconds. */
  readonly heartbeat?: Duration.Input | undefined
  /** How long closing waits for what is still to be sent or handled. Default 5 seconds. */
  readonly drain?: Duration.Input | undefined
}

/**
 * Why a bridge could not start.
 *
 * - `"unreachable"`: no server could be reached, or none accepted the credentials (`start: "fail"`).
 * - `"mismatch"`: the stream, or the consumer of the queue, is there and is not what the options say.
 * - `"handledBy"`: there is no such subscription, or it cannot be used.
 */
export class NatsBridgeError extends Schema.TaggedError<NatsBridgeError>()("NatsBridgeError", {
  reason: Schema.Literals(["unreachable", "mismatch", "handledBy"]),
  message: Schema.String,
  cause: Schema.optional(Schema.Defect())
}) {}

// -----------------------------------------------------------------------------
// The bridge
// -----------------------------------------------------------------------------

/**
 * How a bridge is doing. All counters count from the start of the bridge.
 */
export interface Health {
  readonly status: "connecting" | "connected" | "disconnected" | "closed"
  /** Since when that is so. */
  readonly since: DateTime.Utc
  /** The server connected to. */
  readonly server: string | undefined
  /** What ended the last connection, or failed the last attempt, or the last sending. */
  readonly lastError: string | undefined
  /** Connections made after the first one. */
  readonly reconnects: number
  /** Always `offered = exported + rejected + lost + dropped + buffered`. */
  readonly export: {
    /** Events of the kinds to export that were published in this process. */
    readonly offered: number
    /**
     * Core: those that a server has received; it may not let this user publish them, which only `lastError` and the log
     * tell. JetStream: those that the stream has stored.
     */
    readonly exported: number
    /** Those that cannot be sent: they do not encode, or are larger than the server or the stream allows. */
    readonly rejected: number
    /** Core: those that were on their way when the connection broke. Both: those left when the bridge closed. */
    readonly lost: number
    /** Those that the full buffer lost. */
    readonly dropped: number
    /** Those that wait to be sent or to be acknowledged. */
    readonly buffered: number
  }
  /** Always `received = imported + ignored + rejected + returned + waiting`. */
  readonly import: {
    /** Messages that the server delivered; one that it delivers again counts again. */
    readonly received: number
    /** Those published on the bus. */
    readonly imported: number
    /** Those that this process sent, or of kinds it does not import. */
    readonly ignored: number
    /** Those that are no event of the bus. They are terminated, not delivered again. */
    readonly rejected: number
    /** Those given back unpublished, to be delivered again. */
    readonly returned: number
    /** Those that wait for room in the buffer of the `handledBy` subscription. */
    readonly waiting: number
    /** Of the imported, those that the `handledBy` subscription has not finished with. */
    readonly unhandled: number
    /**
     * JetStream: events in the stream that this bridge, or its queue, has not been delivered, when last heard of; those of
     * kinds that it does not import, too.
     */
    readonly lag: number
  }
}

/**
 * A running bridge.
 */
export interface NatsBridge {
  readonly health: Effect.Effect<Health>
}

/**
 * The service of a running bridge.
 */
export const NatsBridge: Context.Service<NatsBridge, NatsBridge> = Context.Service<NatsBridge>(
  "@openwatch/event-bus-nats/NatsBridge"
)

/**
 * Makes a bridge whose life is that of the scope.
 *
 * **When to use**
 *
 * For a second bridge in one process. The only one is made with {@link layer}.
 *
 * **Details**
 *
 * Returns after the first attempt to connect. If that succeeded, the bridge sends and receives. When the scope closes, the
 * bridge takes nothing in any more, sends what waits to be sent, waits for what is being handled, both at most for
 * `drain`, then closes its connection.
 */
export const make = <Self, Id extends string, Events extends EventBus.EventSchemas>(
  bus: EventBus.ServiceClass<Self, Id, Events>,
  options: Options<EventBus.KindsOf<Events>[number], EventBus.EventOf<Events>>
): Effect.Effect<NatsBridge, NatsBridgeError, Self | Scope.Scope> =>
  Effect.flatMap(
    bus,
    (service) =>
      makeBridge(bus, service as unknown as EventBus.EventBus<EventBus.AnyEvent>, options as unknown as Options)
  )

/**
 * Runs a bridge beside a bus.
 *
 * **Example** (Two processes)
 *
 * ```ts
 * import { EventBus } from "@openwatch/event-bus"
 * import { NatsBridge } from "@openwatch/event-bus-nats"
 * import { Console, DateTime, Effect, Layer, Schema } from "effect"
 *
 * class DoorOpened extends Schema.TaggedClass<DoorOpened>()("DoorOpened", {
 *   door: Schema.String,
 *   occurredAt: Schema.DateTimeUtc
 * }) {}
 *
 * class HouseBus extends EventBus.Service<HouseBus>()("example/HouseBus", { events: [DoorOpened] }) {}
 *
 * const doors = NatsBridge.layer(HouseBus, {
 *   servers: "nats://127.0.0.1:4222",
 *   subject: "house",
 *   source: "doors",
 *   mode: "jetstream",
 *   export: ["DoorOpened"]
 * })
 *
 * const hall = NatsBridge.layer(HouseBus, {
 *   servers: "nats://127.0.0.1:4222",
 *   subject: "house",
 *   source: "hall",
 *   mode: "jetstream",
 *   import: ["DoorOpened"],
 *   handledBy: "doorbell"
 * })
 *
 * const doorbell = Layer.effectDiscard(Effect.gen(function*() {
 *   const bus = yield* HouseBus
 *   yield* bus.on("DoorOpened", (event) => Console.log(`${event.door} is open`), { name: "doorbell" })
 * }))
 *
 * const openADoor = Layer.effectDiscard(Effect.gen(function*() {
 *   const bus = yield* HouseBus
 *   yield* bus.publish(new DoorOpened({ door: "Front door", occurredAt: yield* DateTime.now }))
 * }))
 *
 * // Each of these is a process of its own.
 * export const firstProcess = openADoor.pipe(Layer.provide(doors), Layer.provide(HouseBus.layer))
 * export const secondProcess = hall.pipe(
 *   Layer.provide(doorbell),
 *   Layer.provide(HouseBus.layerWith({ drain: "10 seconds" }))
 * )
 * ```
 */
export const layer = <Self, Id extends string, Events extends EventBus.EventSchemas>(
  bus: EventBus.ServiceClass<Self, Id, Events>,
  options: Options<EventBus.KindsOf<Events>[number], EventBus.EventOf<Events>>
): Layer.Layer<NatsBridge, NatsBridgeError, Self> => Layer.effect(NatsBridge, make(bus, options))

/**
 * How the bridge of the context is doing.
 */
export const health: Effect.Effect<Health, never, NatsBridge> = Effect.flatMap(NatsBridge, (bridge) => bridge.health)

/**
 * Where an event came from, if a bridge of this process took it in: for handlers that must know an event again when it is
 * delivered twice.
 */
export const originOf = (event: EventBus.AnyEvent): Option.Option<Origin> =>
  Option.fromUndefinedOr(originOfEvent(event))

export type { Origin } from "./internal/cloudEvent.ts"
