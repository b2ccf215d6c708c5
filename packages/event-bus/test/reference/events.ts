import type { EventBus } from "@openwatch/event-bus"
import { DateTime, Schema } from "effect"

const fields = { n: Schema.Int, isEven: Schema.Boolean, occurredAt: Schema.DateTimeUtc }

export class A extends Schema.TaggedClass<A>()("A", fields) {}
export class B extends Schema.TaggedClass<B>()("B", fields) {}
export class C extends Schema.TaggedClass<C>()("C", fields) {}

const events = { A, B, C }

export type Event = A | B | C
export type Kind = Event["_tag"]
export const kinds: ReadonlyArray<Kind> = ["A", "B", "C"]

const occurredAt = DateTime.makeUnsafe(0)

export const isEven = (n: number): boolean => n % 2 === 0

export const makeEvent = (kind: Kind, n: number): Event => new events[kind]({ n, isEven: isEven(n), occurredAt })

/** What keyed subscriptions ask for. */
export const wheres = [
  { isEven: true },
  { isEven: false },
  { n: 3 },
  { n: 4, isEven: true },
  { isEven: true, n: 5 },
  {}
] satisfies ReadonlyArray<EventBus.Where<Event>>
