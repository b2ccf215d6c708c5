/**
 * The events that are published.
 */
import { DateTime, Schema } from "effect"

export const Ping = Schema.TaggedStruct("Ping", { n: Schema.Number, occurredAt: Schema.DateTimeUtc })
export type Ping = typeof Ping.Type

const epoch = DateTime.makeUnsafe(0)

/** A class of its own, so that the instances on the heap can be counted. */
export class PingEvent implements Ping {
  readonly _tag = "Ping"
  readonly n: number
  readonly occurredAt = epoch

  constructor(n: number) {
    this.n = n
  }
}

/** One event to publish again and again: making events is no part of what is measured. */
export const ping: Ping = new PingEvent(0)
