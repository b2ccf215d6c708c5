import { DateTime, Schema } from "effect"

export class A extends Schema.TaggedClass<A>()("A", { n: Schema.Int, occurredAt: Schema.DateTimeUtc }) {}
export class B extends Schema.TaggedClass<B>()("B", { n: Schema.Int, occurredAt: Schema.DateTimeUtc }) {}
export class C extends Schema.TaggedClass<C>()("C", { n: Schema.Int, occurredAt: Schema.DateTimeUtc }) {}

const events = { A, B, C }

export type Event = A | B | C
export type Kind = Event["_tag"]
export const kinds: ReadonlyArray<Kind> = ["A", "B", "C"]

const occurredAt = DateTime.makeUnsafe(0)

export const makeEvent = (kind: Kind, n: number): Event => new events[kind]({ n, occurredAt })
