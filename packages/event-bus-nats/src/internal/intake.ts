/**
 * What becomes of a message that comes in, whenever it is acknowledged.
 */
import type { JsMsg } from "@nats-io/jetstream"
import type { MsgHdrs } from "@nats-io/transport-node"
import type { EventBus } from "@openwatch/event-bus"
import { type Context, Effect } from "effect"
import type { CloudEvents, Incoming } from "./cloudEvent.ts"
import type { Settings } from "./settings.ts"
import type { Tally } from "./tally.ts"

/** Types that were warned of. A foreign sender may make up any number of them. */
const maxTypes = 100

/** Turns messages into events, and puts them on the bus. Counts and warns of those that are none. */
export class Intake {
  private readonly settings: Settings
  private readonly cloudEvents: CloudEvents
  private readonly tally: Tally
  private readonly run: (effect: Effect.Effect<void>) => unknown
  private readonly bus: EventBus.EventBus<EventBus.AnyEvent>
  private readonly warned = new Set<string>()
  /** Events in the stream that were not delivered here when the last one was. */
  lag = 0

  constructor(
    settings: Settings,
    cloudEvents: CloudEvents,
    tally: Tally,
    bus: EventBus.EventBus<EventBus.AnyEvent>,
    context: Context.Context<never>
  ) {
    this.settings = settings
    this.cloudEvents = cloudEvents
    this.tally = tally
    this.bus = bus
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

  /** A message of a stream. */
  receiveStored(message: JsMsg): Incoming {
    this.lag = message.info.pending
    return this.receive(message.headers, message.data)
  }

  publish(event: EventBus.AnyEvent): void {
    this.tally.imported++
    this.bus.publishUnsafe(event)
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
