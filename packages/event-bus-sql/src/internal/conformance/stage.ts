/**
 * What situations are made of: the events of a shop, processes with an outbox each, and a log of what was handled.
 */
import { EventBus } from "@openwatch/event-bus"
import { Cause, type Context, Data, DateTime, Effect, Layer, Schedule, Schema, type Scope } from "effect"
import type * as SqlClient from "effect/sql/SqlClient"
import type { Harness, Situation } from "../../Conformance.ts"
import * as Outbox from "../../Outbox.ts"

/** A promise that was not kept. */
export class ConformanceFailure extends Data.TaggedError("ConformanceFailure")<{ readonly message: string }> {}

export class Placed extends Schema.TaggedClass<Placed>()("Placed", {
  order: Schema.String,
  occurredAt: Schema.DateTimeUtc
}) {}

export class Paid extends Schema.TaggedClass<Paid>()("Paid", {
  order: Schema.String,
  occurredAt: Schema.DateTimeUtc
}) {}

class Bus extends EventBus.Service<Bus>()("conformance/Bus", { events: [Placed, Paid] }) {}

export class Shop extends Outbox.Service<Shop>()("conformance/Shop", {
  bus: Bus,
  keys: { Placed: ({ order }) => order, Paid: ({ order }) => order }
}) {}

const occurredAt = DateTime.makeUnsafe(0)

export const placed = (order: string): Placed => new Placed({ order, occurredAt })

export const paid = (order: string): Paid => new Paid({ order, occurredAt })

/** So many orders, from 0. */
export const numbers = (count: number): ReadonlyArray<string> => Array.from({ length: count }, (_, i) => String(i))

/** Tries again without making a test wait. */
export const soon = Schedule.spaced("10 millis")

/** An event in one word. */
export const wordOf = (event: Placed | Paid): string => `${event._tag} ${event.order}`

export type Process = Context.Context<Shop | SqlClient.SqlClient>

/** What a situation has. */
export interface Stage {
  /** A process with an outbox, that lives as long as the scope. */
  readonly process: Effect.Effect<Process, unknown, Scope.Scope>
  /** The same, with options of its own. */
  readonly processWith: (options: Outbox.Options) => Effect.Effect<Process, unknown, Scope.Scope>
  /** Runs in a process that ends with it. */
  readonly inProcess: <A, E>(
    effect: Effect.Effect<A, E, Shop | SqlClient.SqlClient | Scope.Scope>
  ) => Effect.Effect<A, unknown>
}

const stageOf = (harness: Harness): Effect.Effect<Stage, never, Scope.Scope> =>
  Effect.map(harness.database, (database) => {
    const shop = (options?: Outbox.Options) =>
      Shop.layerWith({ pollInterval: "50 millis", lease: "5 seconds", ...options }).pipe(
        Layer.provideMerge(Layer.fresh(Bus.layer)),
        Layer.provideMerge(database),
        Layer.fresh
      )
    return {
      process: Layer.build(shop()),
      processWith: (options) => Layer.build(shop(options)),
      inProcess: (effect) => Effect.scoped(Effect.provide(effect, shop()))
    }
  })

/** Fails unless what was found is what was expected. */
export const expect = (what: string, found: unknown, expected: unknown): Effect.Effect<void, ConformanceFailure> =>
  JSON.stringify(found) === JSON.stringify(expected)
    ? Effect.void
    : Effect.fail(
      new ConformanceFailure({
        message: `${what}: expected ${JSON.stringify(expected)}, found ${JSON.stringify(found)}`
      })
    )

/** Waits until something holds. */
export const until = <E, R>(holds: Effect.Effect<boolean, E, R>): Effect.Effect<unknown, E, R> =>
  Effect.repeat(holds, { until: (holds) => holds, schedule: soon })

const patience = "30 seconds"

/** A situation of a topic. */
export const situation = (
  topic: string,
  name: string,
  play: (stage: Stage) => Effect.Effect<unknown, unknown, Scope.Scope>
): Situation => ({
  topic,
  name,
  run: (harness) =>
    Effect.scoped(Effect.flatMap(stageOf(harness), play)).pipe(
      Effect.timeout(patience),
      Effect.asVoid,
      Effect.catchCause((cause) => {
        const failure = cause.reasons.find(Cause.isFailReason)?.error
        return Effect.fail(
          failure instanceof ConformanceFailure
            ? failure
            : new ConformanceFailure({ message: `${name}: ${Cause.pretty(cause)}` })
        )
      })
    )
})
