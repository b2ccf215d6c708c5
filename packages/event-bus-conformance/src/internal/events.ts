/**
 * The events that the situations publish.
 */
import { DateTime, Schema } from "effect"

const fields = { n: Schema.Int, occurredAt: Schema.DateTimeUtc }

/** One of the three kinds of events that the situations publish. */
export class Red extends Schema.TaggedClass<Red>()("Red", fields) {}

/** One of the three kinds of events that the situations publish. */
export class Green extends Schema.TaggedClass<Green>()("Green", fields) {}

/** One of the three kinds of events that the situations publish. */
export class Blue extends Schema.TaggedClass<Blue>()("Blue", fields) {}

/** The events that a bus under test must carry. They are told apart by their kind and `n`. */
export const events = [Red, Green, Blue] as const

/** An event that a situation publishes. */
export type Event = Red | Green | Blue

/** Its kind. */
export type Kind = Event["_tag"]

/** Event number `n`, which happened `n` milliseconds after the epoch. */
export const red = (n: number): Red => new Red({ n, occurredAt: DateTime.makeUnsafe(n) })
export const green = (n: number): Green => new Green({ n, occurredAt: DateTime.makeUnsafe(n) })
export const blue = (n: number): Blue => new Blue({ n, occurredAt: DateTime.makeUnsafe(n) })

/** Red events, from the first number to the last. */
export const reds = (first: number, last: number): Array<Event> =>
  Array.from({ length: Math.max(0, last - first + 1) }, (_, i) => red(first + i))
