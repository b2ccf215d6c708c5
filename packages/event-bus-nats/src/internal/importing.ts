/**
 * The way in: messages of the server become events of the bus, at once.
 */
import type { ConsumerMessages } from "@nats-io/jetstream"
import type { Subscription } from "@nats-io/transport-node"
import { Effect } from "effect"
import type { Connection, Session } from "./connection.ts"
import type { Intake } from "./intake.ts"
import type { Settings } from "./settings.ts"

/** Messages asked for ahead of need. They are not kept: each is published as it comes. */
const fetchSize = 512

/** Takes messages in for as long as a session lasts. Each is acknowledged once the bus has accepted it. */
export class Importing {
  private readonly settings: Settings
  private readonly connection: Connection
  private readonly intake: Intake
  private stop: () => void = () => {}
  private isClosed = false

  constructor(settings: Settings, connection: Connection, intake: Intake) {
    this.settings = settings
    this.connection = connection
    this.intake = intake
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
          if (incoming._tag === "Event") this.intake.publish(incoming.event)
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
        // Neither counted nor acknowledged: it is delivered again.
        if (this.isClosed) return
        const incoming = this.intake.receiveStored(message)
        if (incoming._tag === "Rejected") return message.term()
        if (incoming._tag === "Event" && !this.intake.publish(incoming.event)) return
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
}
