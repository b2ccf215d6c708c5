/**
 * How a bridge is made.
 */
import type { EventBus, Overflow } from "@openwatch/event-bus"
import type { Duration, Effect, Redacted, Schedule, Scope } from "effect"

/**
 * How the process signs in to the server: with a token, a user, an nkey seed, or the content of a `.creds` file (a JWT
 * with its seed).
 */
export type Credentials =
  | { readonly token: Redacted.Redacted }
  | { readonly user: string; readonly password: Redacted.Redacted }
  | { readonly nkeySeed: Redacted.Redacted }
  | { readonly creds: Redacted.Redacted }

/**
 * Requires TLS. Without `caFile` the system's authorities are trusted. Without `certFile` no client certificate is
 * sent.
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
 * The JetStream stream. It is created if it is missing. If it is there, its settings must be those given here.
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
   * What a full stream does. `"old"` loses its oldest events. `"new"` refuses new ones, which then wait in the export
   * buffers of their processes. Default `"old"`.
   */
  readonly discard?: "old" | "new" | undefined
  /** How long the server remembers the ids of events, so that one sent twice is stored once. Default 2 minutes. */
  readonly duplicateWindow?: Duration.Input | undefined
}

/**
 * What a bridge asks of an outbox whose events it sends. An `Outbox` of `@openwatch/event-bus-sql` is one as it is. This package
 * does not need that one.
 */
export interface ExportOutbox<in out Event extends EventBus.AnyEvent> {
  /** Runs a handler for each stored event until it has succeeded or failed, whatever is killed in between. */
  readonly on: (
    kinds: ReadonlyArray<Event["_tag"]>,
    handler: (
      event: Event,
      delivery: { readonly id: string; readonly attempt: number }
    ) => Effect.Effect<unknown, unknown>,
    options: {
      readonly consumer: string
      readonly order: "all" | "key"
      readonly concurrency: number
      readonly maxAttempts: number
      readonly retry: Schedule.Schedule<unknown, number>
      readonly timeout: Duration.Duration
      readonly drain: Duration.Duration
    }
  ) => Effect.Effect<unknown, { readonly message: string }, Scope.Scope>
}

/**
 * How a bridge is made.
 */
export interface Options<Kind extends string = string, in out Event extends EventBus.AnyEvent = EventBus.AnyEvent> {
  /** Addresses of one server or of the servers of one cluster: `nats://host:4222`, `tls://host:4222`, `host:4222`. */
  readonly servers: string | ReadonlyArray<string>
  /** If it is an effect, it runs before each attempt to connect: for credentials that expire and are renewed. */
  readonly credentials?: Credentials | Effect.Effect<Credentials, unknown> | undefined
  readonly tls?: Tls | undefined
  /** Events go to `<subject>.<kind>`. */
  readonly subject: string
  /**
   * The name of this process, and of no other. It must be the same after a restart. It is the `ce-source` of what the
   * process sends.
   */
  readonly source: string
  readonly mode: "core" | "jetstream"
  /** The kinds to send. Default none. */
  readonly export?: ReadonlyArray<Kind> | undefined
  /**
   * Sends what is stored in this outbox, an `Outbox` of `@openwatch/event-bus-sql`, instead of what is published on the bus. Each
   * event is sent until the server has it, whichever process is killed in between. Nothing is dropped or lost on the way there.
   * `"core"` passes it on to those that listen then, `"jetstream"` stores it.
   *
   * An event's id is made of its kind and its id in the outbox; a stream knows it again by that. What can never be sent is a dead
   * letter of the consumer `nats:<subject>`. Processes that share the outbox share the sending.
   */
  readonly outbox?: ExportOutbox<Event> | undefined
  /**
   * With `outbox`: `"all"` sends one event after the other. `"key"` sends the events of one key one after the other, and keys
   * side by side; every kind needs a key in the outbox. Default `"all"`.
   */
  readonly exportOrder?: "all" | "key" | undefined
  /** The kinds to import. Default none. */
  readonly import?: ReadonlyArray<Kind> | undefined
  /**
   * The name of a group of processes. Each event goes to one process of the group, instead of to each. All of them must
   * import the same kinds.
   */
  readonly queue?: string | undefined
  /**
   * JetStream: the name of a subscription. An imported event is acknowledged when this subscription has handled it. So
   * it is delivered again if the process dies before. Default: an event is acknowledged when the bus has accepted it.
   *
   * The subscription must be made before the bridge, by `on` or `consume`, with `overflow: "dropping"`. Of one made by
   * `subscribe` the bus knows only that an event was taken, not that it was handled.
   */
  readonly handledBy?: string | undefined
  /** Events that may wait to be sent. Default 1024. */
  readonly bufferSize?: number | undefined
  /** What a full export buffer does. Default `"dropping"`. */
  readonly overflow?: Overflow | undefined
  readonly stream?: Stream | undefined
  /**
   * JetStream: what a bridge gets the first time: `"all"` that the stream has, or only `"new"` events. Later it goes on
   * where it stopped. Default `"all"`.
   */
  readonly deliver?: "all" | "new" | undefined
  /**
   * JetStream: after which time without a sign of work an event that was not acknowledged is delivered again. Default
   * 30 seconds.
   */
  readonly ackWait?: Duration.Input | undefined
  /**
   * What to do if no server can be reached at the start. `"wait"` goes on trying in the background, as after every
   * later loss of the connection. `"fail"` fails. Default `"wait"`.
   */
  readonly start?: "wait" | "fail" | undefined
  /** How long `credentials`, connecting, and an acknowledgement by the server, may take, each. Default 5 seconds. */
  readonly timeout?: Duration.Input | undefined
  /**
   * How often the server is asked for a sign of life. When two are missing, the connection is given up. Default 10
   * seconds.
   */
  readonly heartbeat?: Duration.Input | undefined
  /** How long closing waits for what is still to be sent or handled. Default 5 seconds. */
  readonly drain?: Duration.Input | undefined
}
