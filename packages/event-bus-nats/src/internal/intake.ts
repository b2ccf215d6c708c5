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

/** Types that were warned of, and how many characters of one are shown. A foreign sender may make up any number of any length. */
const maxTypes = 100
const maxTypeLength = 200

/** Turns messages into events, and puts them on the bus. Counts and warns of those that are none. */
export class Intake {
  private readonly settings: Settings
  private readonly cloudEvents: CloudEvents
  private readonly tally: Tally
  private readonly run: (effect: Effect.Effect<void>) => unknown
  private readonly bus: EventBus.EventBus<EventBus.AnyEvent>
  private readonly warned = new Set<string>()
  /** Whether the bus takes events in, once that is known for what runs now. To look costs as much as ten events do. */
  private isOpen: boolean | undefined = undefined
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

  /**
   * Publishes the event. Returns false, and counts the message as not received, if the bus is shut down: `awaitShutdown` completes
   * only some turns later, and what comes in between is for the next bus.
   */
  publish(event: EventBus.AnyEvent): boolean {
    if (this.isOpen === undefined) {
      const before = this.publishedCount
      this.bus.publishUnsafe(event)
      this.isOpen = this.publishedCount > before
      queueMicrotask(() => this.isOpen = undefined)
    } else if (this.isOpen) {
      this.bus.publishUnsafe(event)
    }
    if (this.isOpen) this.tally.imported++
    else this.tally.received--
    return this.isOpen
  }

  private get publishedCount(): number {
    return Effect.runSync(this.bus.metrics).publishedCount
  }

  private warn(wholeType: string, why: string): void {
    const type = wholeType.slice(0, maxTypeLength)
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
