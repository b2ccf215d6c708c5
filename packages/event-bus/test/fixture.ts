import { EventBus } from "@openwatch/event-bus"
import { DateTime, Effect, Schema } from "effect"

export class Ping extends Schema.TaggedClass<Ping>()("Ping", { n: Schema.Int, occurredAt: Schema.DateTimeUtc }) {}
export class Pong extends Schema.TaggedClass<Pong>()("Pong", { n: Schema.Int, occurredAt: Schema.DateTimeUtc }) {}
export class TestBus extends EventBus.Service<TestBus>()("test/Bus", { events: [Ping, Pong] }) {}

/** Event number `n`, which happened `n` milliseconds after the epoch. */
export const ping = (n: number): Ping => new Ping({ n, occurredAt: DateTime.makeUnsafe(n) })
export const pong = (n: number): Pong => new Pong({ n, occurredAt: DateTime.makeUnsafe(n) })

/**
 * Lets everything run that is scheduled, and what that schedules, until nothing but timers is left: a task counts as two
 * turns of the event loop, and no chain in these tests is longer than fifty tasks.
 */
export const settle: Effect.Effect<void> = Effect.repeat(Effect.yieldNow, { times: 100 }).pipe(Effect.asVoid)
