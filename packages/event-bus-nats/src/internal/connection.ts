/**
 * The connection of a bridge: one after the other, each set up from scratch. The client's own reconnecting is not used: it
 * keeps what is sent meanwhile in memory without bound, and gives up for ever when credentials have expired.
 */
import { jetstream, type JetStreamClient, jetstreamManager } from "@nats-io/jetstream"
import {
  type Authenticator,
  connect,
  credsAuthenticator,
  type NatsConnection,
  nkeyAuthenticator,
  tokenAuthenticator,
  usernamePasswordAuthenticator
} from "@nats-io/transport-node"
import { Cause, Clock, DateTime, Deferred, Effect, Formatter, Latch, Redacted } from "effect"
import { NatsBridgeError } from "../NatsBridgeError.ts"
import type { Credentials } from "../Options.ts"
import type { Settings } from "./settings.ts"
import { ensureConsumer, ensureStream } from "./stream.ts"
import type { Tally } from "./tally.ts"

/** One connection to a server, while it lasts. */
export interface Session {
  readonly nats: NatsConnection
  readonly jetStream: JetStreamClient
}

/** What runs on each connection before it counts as up, and ends with it. */
export type Setup = (session: Session) => Promise<void>

const minDelayMillis = 100
const maxDelayMillis = 5_000

const messageOf = (error: unknown): string =>
  error instanceof Error && error.message !== ""
    ? error.message
    : typeof error === "string"
    ? error
    : Formatter.format(error)

const bytesOf = (secret: Redacted.Redacted): Uint8Array => new TextEncoder().encode(Redacted.value(secret))

const authenticatorOf = (credentials: Credentials): Authenticator => {
  if ("token" in credentials) return tokenAuthenticator(Redacted.value(credentials.token))
  if ("user" in credentials) {
    return usernamePasswordAuthenticator(credentials.user, Redacted.value(credentials.password))
  }
  if ("nkeySeed" in credentials) return nkeyAuthenticator(bytesOf(credentials.nkeySeed))
  return credsAuthenticator(bytesOf(credentials.creds))
}

export class Connection {
  status: "connecting" | "connected" | "disconnected" | "closed" = "connecting"
  since: DateTime.Utc
  lastError: string | undefined = undefined
  session: Session | undefined = undefined
  private readonly up = Latch.makeUnsafe()
  private readonly settings: Settings
  private readonly tally: Tally
  private readonly setup: Setup
  private readonly onClosed = new Set<() => void>()
  private sessions = 0

  constructor(settings: Settings, tally: Tally, setup: Setup, now: DateTime.Utc) {
    this.settings = settings
    this.tally = tally
    this.setup = setup
    this.since = now
  }

  /** The connection, once there is one. */
  readonly await: Effect.Effect<Session> = Effect.suspend(() =>
    this.session === undefined
      ? Effect.andThen(this.up.await, Effect.suspend(() => this.await))
      : Effect.succeed(this.session)
  )

  /** What a promise of this session gives, or undefined once the session has ended, for promises that then never end. */
  readonly during = <A>(session: Session, promise: () => Promise<A>): Effect.Effect<A | undefined, unknown> =>
    Effect.suspend(() =>
      this.session === session
        ? Effect.callback<A | undefined, unknown>((resume) => {
          const onClosed = () => resume(Effect.undefined)
          this.onClosed.add(onClosed)
          promise().then((value) => resume(Effect.succeed(value)), (error) => resume(Effect.fail(error))).finally(() =>
            this.onClosed.delete(onClosed)
          )
          return Effect.sync(() => this.onClosed.delete(onClosed))
        })
        : Effect.undefined
    )

  /** Ends a session that is of no use any more, so that the next one is set up. */
  restart(session: Session, why: unknown): void {
    if (this.session !== session) return
    if (why !== undefined) this.note(why)
    void session.nats.close()
  }

  /** Shows what the server complained about. */
  note(error: unknown): void {
    this.lastError = messageOf(error)
  }

  readonly close: Effect.Effect<void> = Effect.suspend(() => this.change("closed"))

  /** Keeps connected until interrupted. `first` is completed by the first attempt. */
  readonly keep = (first: Deferred.Deferred<void, NatsBridgeError>): Effect.Effect<never> =>
    Effect.gen({ self: this }, function*() {
      let failures = 0
      while (true) {
        const ended = yield* Effect.result(Effect.scoped(this.runSession(first)))
        // Only the time it was up: an attempt that takes long to fail is no reason for more of them.
        const upMillis = this.status === "connected"
          ? (yield* Clock.currentTimeMillis) - DateTime.toEpochMillis(this.since)
          : 0
        failures = upMillis > maxDelayMillis ? 1 : failures + 1
        const error = ended._tag === "Failure" ? ended.failure : undefined
        if (error !== undefined) this.lastError = error.message
        yield* this.change("disconnected")
        const jitter = 0.5 + Math.random() / 2
        const delayMillis = Math.round(Math.min(maxDelayMillis, minDelayMillis * 2 ** (failures - 1)) * jitter)
        const log = error === undefined || failures <= 3 || failures % 10 === 0 ? Effect.logWarning : Effect.logDebug
        yield* log(`Not connected to NATS: ${this.lastError ?? "the connection ended"}`).pipe(
          Effect.annotateLogs({ bus: this.settings.bus, attempt: failures, retryInMillis: delayMillis })
        )
        if (error !== undefined) yield* Deferred.fail(first, error)
        yield* Effect.sleep(delayMillis)
        yield* this.change("connecting")
      }
    })

  private change(status: Connection["status"]): Effect.Effect<void> {
    return Effect.map(DateTime.now, (now) => {
      this.status = status
      this.since = now
    })
  }

  private runSession(first: Deferred.Deferred<void, NatsBridgeError>) {
    return Effect.gen({ self: this }, function*() {
      const nats = yield* this.connect
      const session: Session = { nats, jetStream: jetstream(nats, { timeout: this.settings.timeoutMillis }) }
      void this.watch(nats, Effect.runForkWith(yield* Effect.context()))
      const closed = Deferred.makeUnsafe<void>()
      void nats.closed().then((error) => {
        if (error instanceof Error) this.lastError = messageOf(error)
        Deferred.doneUnsafe(closed, Effect.void)
      })
      yield* Effect.tryPromise({
        try: async () => {
          if (this.settings.mode === "jetstream") {
            const manager = await jetstreamManager(nats, { timeout: this.settings.timeoutMillis })
            await ensureStream(manager, this.settings)
            if (this.settings.import.length > 0) await ensureConsumer(manager, this.settings)
          }
          await this.setup(session)
        },
        catch: (error) =>
          error instanceof NatsBridgeError
            ? error
            : new NatsBridgeError({
              reason: "unreachable",
              message: `the NATS server ${nats.getServer()} cannot be used: ${messageOf(error)}${
                error instanceof Error && error.name === "JetStreamNotEnabled"
                  ? `. Mode "jetstream" needs a server that runs with JetStream (nats-server --jetstream)`
                  : ""
              }`,
              cause: error
            })
      }).pipe(
        Effect.raceFirst(
          Effect.andThen(
            Deferred.await(closed),
            Effect.suspend(() =>
              Effect.fail(
                new NatsBridgeError({
                  reason: "unreachable",
                  message: `the NATS server closed the connection: ${this.lastError ?? "it gave no reason"}`
                })
              )
            )
          )
        )
      )
      yield* Effect.acquireRelease(
        Effect.sync(() => {
          if (this.sessions++ > 0) this.tally.reconnects++
          this.session = session
          this.up.openUnsafe()
        }),
        () =>
          Effect.sync(() => {
            this.session = undefined
            this.up.closeUnsafe()
            for (const notify of this.onClosed) notify()
            this.onClosed.clear()
          })
      )
      yield* this.change("connected")
      yield* Effect.annotateLogs(Effect.logInfo("Connected to NATS"), {
        bus: this.settings.bus,
        server: nats.getServer()
      })
      yield* Deferred.succeed(first, undefined)
      yield* Deferred.await(closed)
    })
  }

  /** Shows what the server refuses on a connection that goes on, such as a subject that this user may not use, until it ends. */
  private async watch(nats: NatsConnection, run: (effect: Effect.Effect<void>) => unknown): Promise<void> {
    const known = new Set<string>()
    for await (const status of nats.status()) {
      if (status.type !== "error") continue
      this.note(status.error)
      const message = messageOf(status.error)
      if (known.has(message)) continue
      known.add(message)
      run(
        Effect.annotateLogs(Effect.logWarning(`The NATS server refuses what is sent or asked: ${message}`), {
          bus: this.settings.bus
        })
      )
    }
  }

  private get connect() {
    const { credentials, heartbeatMillis, servers, source, timeoutMillis, tls } = this.settings
    const unreachable = (error: unknown) =>
      new NatsBridgeError({
        reason: "unreachable",
        message: `no NATS server of ${servers.join(", ")} accepts a connection: ${messageOf(error)}`,
        cause: error
      })
    const current = Effect.isEffect(credentials)
      ? Effect.timeoutOrElse(credentials, {
        duration: timeoutMillis,
        orElse: () => Effect.fail(new Error(`they did not come within ${timeoutMillis} ms, the timeout`))
      })
      : Effect.succeed(credentials)
    return Effect.flatMap(
      // Defects, too: one would end the connection for good, and nobody would be told.
      Effect.catchCause(current, (cause) => {
        const error = Cause.squash(cause)
        return Effect.fail(
          new NatsBridgeError({
            reason: "unreachable",
            message: `the credentials for NATS could not be had: ${messageOf(error)}`,
            cause: error
          })
        )
      }),
      (credentials) =>
        Effect.acquireRelease(
          // Interruptible, so that closing does not wait for a server that does not respond.
          Effect.interruptible(Effect.callback<NatsConnection, NatsBridgeError>((resume) => {
            let isAbandoned = false
            const connecting = Promise.resolve().then(() =>
              connect({
                servers: Array.from(servers),
                name: source,
                reconnect: false,
                timeout: timeoutMillis,
                pingInterval: heartbeatMillis,
                maxPingOut: 2,
                noAsyncTraces: true,
                ...(credentials !== undefined && { authenticator: authenticatorOf(credentials) }),
                ...(tls !== undefined && {
                  tls: Object.fromEntries(Object.entries(tls).filter(([, value]) => value !== undefined))
                })
              })
            )
            connecting.then(
              (nats) => isAbandoned ? void nats.close() : resume(Effect.succeed(nats)),
              (error) => resume(Effect.fail(unreachable(error)))
            )
            return Effect.sync(() => {
              isAbandoned = true
            })
          })),
          (nats) =>
            // What was sent last, acknowledgements most of all, is to reach the server.
            nats.isClosed()
              ? Effect.void
              : Effect.tryPromise(() => nats.flush()).pipe(
                Effect.raceFirst(Effect.promise(() => nats.closed())),
                Effect.timeoutOption(1_000),
                Effect.ignore,
                Effect.andThen(Effect.promise(() => nats.close()))
              )
        )
    )
  }
}
