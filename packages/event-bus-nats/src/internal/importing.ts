/**
 * The way in: messages of the server become events of the bus, at once.
 */
import type { ConsumerMessages, JsMsg } from "@nats-io/jetstream"
import type { MsgHdrs, Subscription } from "@nats-io/transport-node"
import type { EventBus } from "@openwatch/event-bus"
import { type Context, Effect } from "effect"
import type { CloudEvents, Incoming } from "./cloudEvent.ts"
import type { Connection, Session } from "./connection.ts"
import type { Settings } from "./settings.ts"
import type { Tally } from "./tally.ts"

/** Messages asked for ahead of need. They are not kept: each is published as it comes. */
const fetchSize = 512

/** Types that were warned of. A foreign sender may make up any number of them. */
const maxTypes = 100

/** Turns messages into events, and counts and warns of those that are none. */
export class Intake {
  private readonly settings: Settings
  private readonly cloudEvents: CloudEvents
  private readonly tally: Tally
  private readonly run: (effect: Effect.Effect<void>) => unknown
  private readonly warned = new Set<string>()

  constructor(settings: Settings, cloudEvents: CloudEvents, tally: Tally, context: Context.Context<never>) {
    this.settings = settings
    this.cloudEvents = cloudEvents
    this.tally = tally
    this.run = Effect.runForkWith(context)
  }

  receive(headers: MsgHdrs | undefined, body: Uint8Array): Incoming {
    this.tally.received++
    const incoming = this.cloudEvents.decode(headers, body)
    if (incoming._tag === "Ignored") {
      this.tally.ignored++
    } else if (incoming._tag === "Rejected") {
      this.tally.importRejected++
      this.warn(incoming.type, incoming.why)
    }
    return incoming
  }

  private warn(type: string, why: string): void {
    if (this.warned.has(type) || this.warned.size >= maxTypes) return
    this.warned.add(type)
    this.run(
      Effect.annotateLogs(
        Effect.logWarning(
          `Rejected a message from NATS of type ${JSON.stringify(type)}, and will reject more without a word: ${why}`
        ),
        { bus: this.settings.bus, subject: this.settings.subject }
      )
    )
  }
}

/** Takes messages in for as long as a session lasts. Each is acknowledged once the bus has accepted it. */
export class Importing {
  private readonly settings: Settings
  private readonly connection: Connection
  private readonly intake: Intake
  private readonly tally: Tally
  private readonly bus: EventBus.EventBus<EventBus.AnyEvent>
  private stop: () => void = () => {}
  private last: JsMsg | undefined = undefined
  private isClosed = false

  constructor(
    settings: Settings,
    connection: Connection,
    intake: Intake,
    tally: Tally,
    bus: EventBus.EventBus<EventBus.AnyEvent>
  ) {
    this.settings = settings
    this.connection = connection
    this.intake = intake
    this.tally = tally
    this.bus = bus
  }

  /** Events in the stream that were not delivered here when the last one was. */
  get lag(): number {
    return this.last?.info.pending ?? 0
  }

  readonly setup = (session: Session): Promise<void> =>
    this.settings.mode === "core" ? this.subscribe(session) : this.consume(session)

  readonly close: Effect.Effect<void> = Effect.sync(() => {
    this.isClosed = true
    this.stop()
  })

  private async subscribe({ nats }: Session): Promise<void> {
    if (this.isClosed) return
    const { import: kinds, queue, subject } = this.settings
    const subscriptions: ReadonlyArray<Subscription> = kinds.map((kind) =>
      nats.subscribe(`${subject}.${kind}`, {
        ...(queue !== undefined && { queue }),
        callback: (error, message) => {
          if (error !== null) return this.connection.note(error)
          if (this.isClosed) return
          const incoming = this.intake.receive(message.headers, message.data)
          if (incoming._tag === "Event") this.publish(incoming.event)
        }
      })
    )
    this.stop = () => subscriptions.forEach((subscription) => subscription.unsubscribe())
    // Live on the server before the session counts as up.
    await nats.flush()
  }

  private async consume(session: Session): Promise<void> {
    if (this.isClosed) return
    const { durable, streamName } = this.settings
    const consumer = await session.jetStream.consumers.get(streamName, durable)
    const messages: ConsumerMessages = await consumer.consume({
      max_messages: fetchSize,
      abort_on_missing_resource: true,
      callback: (message) => {
        // Neither counted nor answered: it is delivered again.
        if (this.isClosed) return
        this.last = message
        const incoming = this.intake.receive(message.headers, message.data)
        if (incoming._tag === "Rejected") return message.term()
        if (incoming._tag === "Event") this.publish(incoming.event)
        message.ack()
      }
    })
    this.stop = () => messages.stop()
    // Closed while this was being set up.
    if (this.isClosed) this.stop()
    void messages.closed().then((error) => {
      if (!this.isClosed) this.connection.restart(session, error ?? undefined)
    })
  }

  private publish(event: EventBus.AnyEvent): void {
    this.tally.imported++
    this.bus.publishUnsafe(event)
  }
}
