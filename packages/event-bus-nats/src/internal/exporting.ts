/**
 * The way out: a bounded buffer of what this process published itself, and a fiber that sends it.
 *
 * The bus's subscription is emptied at once into an outbox of events that did not come in by a bridge: otherwise a flood of
 * imports of a kind that is exported, too, would evict what waits to be sent. The outbox is a bus of its own, for its buffer,
 * its overflow policy, its exact counters and its warnings.
 */
import { JetStreamApiError } from "@nats-io/jetstream"
import { InvalidArgumentError, nuid } from "@nats-io/transport-node"
import { EventBus, type Subscription, type SubscriptionHandle } from "@openwatch/event-bus"
import { Clock, Deferred, Duration, Effect, Exit, Schedule, Scope } from "effect"
import { NatsBridgeError } from "../NatsBridgeError.ts"
import type { ExportOutbox } from "../Options.ts"
import { type CloudEvents, EncodeError, encodeHeader, originOf } from "./cloudEvent.ts"
import type { Connection, Session } from "./connection.ts"
import type { Settings } from "./settings.ts"
import type { Tally } from "./tally.ts"

/** Events on their way to the server at most. */
const batchSize = 512

/** JetStream's code for a message larger than the stream allows. */
const messageTooLarge = 10054

/** How often an event of an outbox is handed over that the server refuses. */
const maxAttempts = 10

const minDelayMillis = 50
const maxDelayMillis = 5_000

/** Between two warnings of the same fault. */
const quietMillis = 10_000

/**
 * What the bus's subscription holds at least. It is emptied at every turn of the event loop, so this is for what is published,
 * or taken in, within one turn; the outbox is what waits.
 */
const minIntakeSize = 16_384

/** An event on its way. It keeps its id however often it is sent. */
interface Outgoing {
  readonly event: EventBus.AnyEvent
  readonly id: string
}

/** What an export buffer holds and lost. */
export interface ExportCounts {
  readonly offered: number
  readonly dropped: number
  readonly buffered: number
}

export class Exporting {
  private readonly settings: Settings
  private readonly connection: Connection
  private readonly cloudEvents: CloudEvents
  private readonly tally: Tally
  private readonly warned = new Map<string, number>()
  private readonly idle = Deferred.makeUnsafe<void>()
  private intake: SubscriptionHandle | undefined = undefined
  private outbox: EventBus.EventBus<EventBus.AnyEvent> | undefined = undefined
  private waiting: Subscription<EventBus.AnyEvent> | undefined = undefined
  private echoes = 0
  private isClosed = false
  /** With an outbox: the events that it has handed over, but for those that it was given back. */
  private handedOver = 0

  constructor(settings: Settings, connection: Connection, cloudEvents: CloudEvents, tally: Tally) {
    this.settings = settings
    this.connection = connection
    this.cloudEvents = cloudEvents
    this.tally = tally
  }

  readonly counts: Effect.Effect<ExportCounts> = Effect.gen({ self: this }, function*() {
    if (this.settings.outbox !== undefined) {
      const { exported, exportRejected } = this.tally
      return { offered: this.handedOver, dropped: 0, buffered: this.handedOver - exported - exportRejected }
    }
    if (this.intake === undefined || this.waiting === undefined) return { offered: 0, dropped: 0, buffered: 0 }
    const intake = yield* this.intake.snapshot
    const outbox = yield* this.waiting.snapshot
    const dropped = intake.dropped + outbox.dropped
    const offered = intake.offered - this.echoes
    const { exported, exportRejected, lost } = this.tally
    return { offered, dropped, buffered: offered - dropped - exported - exportRejected - lost }
  })

  /** Buffers and sends until the scope closes. */
  readonly start = (
    bus: EventBus.EventBus<EventBus.AnyEvent>,
    events: EventBus.EventSchemas
  ): Effect.Effect<void, never, Scope.Scope> =>
    Effect.gen({ self: this }, function*() {
      const { bufferSize, export: kinds, overflow, source } = this.settings
      const scope = yield* Scope.make()
      this.outbox = yield* Scope.provide(EventBus.make({ name: `${bus.name} to NATS`, events }), scope)
      this.waiting = yield* Scope.provide(this.outbox.subscribe({ kinds, name: source, bufferSize, overflow }), scope)
      const sender = yield* Effect.forkIn(this.send(this.waiting), scope)
      sender.addObserver(() => Deferred.doneUnsafe(this.idle, Effect.void))
      yield* Effect.addFinalizer(() =>
        Effect.gen({ self: this }, function*() {
          yield* this.outbox!.shutdown
          yield* Effect.timeoutOption(Deferred.await(this.idle), this.settings.drain)
          this.isClosed = true
          const { buffered } = yield* this.counts
          this.tally.lost += buffered
          if (buffered > 0) {
            yield* Effect.annotateLogs(
              Effect.logWarning(`Closing lost ${buffered} events that were not sent to NATS`),
              {
                bus: bus.name
              }
            )
          }
          yield* Scope.close(scope, Exit.void)
        })
      )
      this.intake = yield* bus.on(
        kinds,
        (event) => {
          if (originOf(event) === undefined) this.outbox!.publishUnsafe(event)
          else this.echoes++
          return Effect.void
        },
        {
          name: `nats:${source}`,
          bufferSize: Math.max(bufferSize ?? 0, minIntakeSize),
          overflow,
          // The handler never waits: what is pending when the scope closes is in the outbox right after.
          drain: "1 minute"
        }
      )
    })

  /** Sends what an outbox has stored until the scope closes. What is not sent then is the outbox's to keep. */
  readonly startFrom = (
    outbox: ExportOutbox<EventBus.AnyEvent>
  ): Effect.Effect<void, NatsBridgeError, Scope.Scope> => {
    const { drain, export: kinds, exportOrder, subject } = this.settings
    return outbox.on(kinds, (event, { attempt, id }) => this.sendStored(event, id, attempt), {
      consumer: `nats:${subject}`,
      order: exportOrder ?? "all",
      concurrency: exportOrder === "key" ? batchSize : 1,
      // The handler waits for the server itself, as long as it takes, and fails for what the server will never take. An attempt
      // that ended with its process counts too, so one failure is not the end.
      maxAttempts,
      retry: Schedule.spaced(minDelayMillis),
      timeout: Duration.infinity,
      drain
    }).pipe(
      Effect.mapError((error) => new NatsBridgeError({ reason: "outbox", message: error.message, cause: error })),
      Effect.asVoid
    )
  }

  /** Succeeds once the server has the event, however long that takes. Fails where the event can never be sent. */
  private sendStored(event: EventBus.AnyEvent, id: string, attempt: number): Effect.Effect<void, unknown> {
    // Ids are unique among the events of a kind, and the server knows messages again whatever their kind.
    const outgoing = { event, id: `${encodeHeader(event._tag)}/${encodeHeader(id)}` }
    return Effect.gen({ self: this }, function*() {
      this.handedOver++
      for (let failures = 0;; failures++) {
        const session = yield* this.connection.await
        const fault = yield* this.settings.mode === "core"
          ? this.pass(session, outgoing)
          : Effect.promise(() => this.store(session, outgoing))
        if (fault === undefined) {
          this.tally.exported++
          return
        }
        if (isRefused(fault)) {
          if (attempt < maxAttempts) this.handedOver--
          else yield* this.reject(event._tag, fault)
          yield* Effect.fail(fault)
        }
        yield* this.onFault(session, fault)
        yield* Effect.sleep(Math.min(maxDelayMillis, minDelayMillis * 2 ** failures))
      }
    }).pipe(
      Effect.onInterrupt(() => Effect.sync(() => this.handedOver--))
    )
  }

  private send(waiting: Subscription<EventBus.AnyEvent>): Effect.Effect<void> {
    return Effect.gen({ self: this }, function*() {
      while (true) {
        const events = yield* waiting.takeBetween(1, batchSize)
        let batch: ReadonlyArray<Outgoing> = events.map((event) => ({ event, id: nuid.next() }))
        let failures = 0
        while (batch.length > 0) {
          const session = yield* this.connection.await
          const before = batch.length
          batch = this.settings.mode === "core"
            ? yield* this.sendOnce(session, batch)
            : yield* this.sendUntilStored(session, batch)
          failures = batch.length < before ? 0 : failures + 1
          if (batch.length > 0) yield* Effect.sleep(Math.min(maxDelayMillis, minDelayMillis * 2 ** failures))
        }
      }
    }).pipe(Effect.catch(() => Effect.void))
  }

  private sendOnce(session: Session, batch: ReadonlyArray<Outgoing>): Effect.Effect<ReadonlyArray<Outgoing>> {
    return Effect.gen({ self: this }, function*() {
      let sent = 0
      for (const outgoing of batch) {
        const fault = this.write(session, outgoing)
        if (fault === undefined) sent++
        else if (isRefused(fault)) yield* this.reject(outgoing.event._tag, fault)
        else this.tally.lost++
      }
      if (yield* this.flush(session)) this.tally.exported += sent
      else this.tally.lost += sent
      return []
    })
  }

  /** Core: undefined once the server has the event, else why it may not have it. */
  private pass(session: Session, outgoing: Outgoing): Effect.Effect<unknown> {
    return Effect.suspend(() => {
      const fault = this.write(session, outgoing)
      return fault === undefined
        ? Effect.map(this.flush(session), (isRead) => isRead ? undefined : new Error("the connection ended"))
        : Effect.succeed(fault)
    })
  }

  /** Core: sends an event. Undefined, or why that cannot be. */
  private write(session: Session, { event, id }: Outgoing): unknown {
    try {
      const { body, headers } = this.cloudEvents.encode(event, id)
      session.nats.publish(`${this.settings.subject}.${event._tag}`, body, { headers })
      return undefined
    } catch (error) {
      return error
    }
  }

  /**
   * Core: whether the server has read what was sent. The reply to a ping comes after that. It also keeps a slow server from
   * filling this process's memory.
   */
  private flush(session: Session): Effect.Effect<boolean> {
    return this.connection.during(session, () => session.nats.flush().then(() => true)).pipe(
      Effect.match({ onFailure: () => false, onSuccess: (isRead) => isRead === true })
    )
  }

  private sendUntilStored(session: Session, batch: ReadonlyArray<Outgoing>): Effect.Effect<ReadonlyArray<Outgoing>> {
    return Effect.gen({ self: this }, function*() {
      const faults = yield* Effect.promise(() =>
        Promise.all(batch.map((outgoing) => this.storeCounted(session, outgoing)))
      )
      const again: Array<Outgoing> = []
      let fault: unknown = undefined
      for (const [i, outgoing] of batch.entries()) {
        if (faults[i] === undefined) continue
        if (isRefused(faults[i])) {
          yield* this.reject(outgoing.event._tag, faults[i])
        } else {
          fault = faults[i]
          again.push(outgoing)
        }
      }
      if (fault !== undefined) yield* this.onFault(session, fault)
      return again
    })
  }

  private async storeCounted(session: Session, outgoing: Outgoing): Promise<unknown> {
    const fault = await this.store(session, outgoing)
    if (fault === undefined && !this.isClosed) this.tally.exported++
    return fault
  }

  /** Undefined once the server has stored the event, else why it did not say so. */
  private async store(session: Session, { event, id }: Outgoing): Promise<unknown> {
    try {
      // Here, not for the batch before it: many messages that are not sent yet cost the garbage collector more than they
      // cost to make.
      const { body, headers } = this.cloudEvents.encode(event, id)
      const { maxBytes = Infinity } = this.settings.stream
      // A full stream would refuse it for ever, or lose all others for it.
      if (Buffer.byteLength(body) > maxBytes) {
        throw new EncodeError(`It is larger than the whole stream, which has ${maxBytes} bytes`)
      }
      await session.jetStream.publish(`${this.settings.subject}.${event._tag}`, body, {
        headers,
        msgID: id,
        timeout: this.settings.timeoutMillis
      })
      return undefined
    } catch (error) {
      return error ?? new Error("The server did not store the event")
    }
  }

  private onFault(session: Session, fault: unknown): Effect.Effect<void> {
    return Effect.suspend(() => {
      // A connection that ended is reported where it is kept.
      if (this.connection.session !== session) return Effect.void
      const message = fault instanceof Error ? fault.message : String(fault)
      this.connection.lastError = message
      // Nobody listens where the stream should: it was deleted, or JetStream is gone. Setting up makes it again.
      if (fault instanceof Error && fault.name === "JetStreamNotEnabled") this.connection.restart(session, fault)
      return this.warn(message, `NATS does not take events, which are sent again: ${message}`)
    })
  }

  private reject(kind: string, error: unknown): Effect.Effect<void> {
    this.tally.exportRejected++
    const message = error instanceof Error ? error.message : String(error)
    return this.warn(`reject ${kind}`, `An event of kind ${kind} cannot be sent to NATS: ${message}`)
  }

  private warn(key: string, message: string): Effect.Effect<void> {
    return Effect.flatMap(Clock.currentTimeMillis, (now) => {
      const last = this.warned.get(key)
      if (last !== undefined && now - last < quietMillis) return Effect.void
      if (this.warned.size >= 100) this.warned.clear()
      this.warned.set(key, now)
      return Effect.annotateLogs(Effect.logWarning(message), { bus: this.settings.bus })
    })
  }
}

const isRefused = (error: unknown): boolean =>
  error instanceof EncodeError ||
  error instanceof InvalidArgumentError ||
  (error instanceof JetStreamApiError && error.code === messageTooLarge) ||
  (error instanceof Error && error.cause instanceof InvalidArgumentError)
