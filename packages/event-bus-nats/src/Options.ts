/**
 * How a bridge is made.
 */
import type { EventBus, Overflow } from "@openwatch/event-bus"
import type { Duration, Effect, Redacted } from "effect"

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
