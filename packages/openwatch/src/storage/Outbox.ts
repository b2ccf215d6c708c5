/**
 * The outbox: events that were stored together with the fact that they tell of, and that the alert store does not have
 * yet.
 *
 * Between storing a fact and publishing its event the process may be killed. So the event is appended in the same
 * transaction as the fact, acknowledged in the same transaction as the alert that it gives (or by the decision that it
 * gives none), and what is left when the process starts again is published again. A process that raises no alerts sends its
 * events to one that does, and acknowledges them when the server between the two has them.
 */
import { Context, Effect, Layer, Schema } from "effect"
import * as SqlClient from "effect/sql/SqlClient"
import type * as SqlError from "effect/sql/SqlError"
import { randomUUID } from "node:crypto"
import { EventText } from "../events/EventId.ts"
import { SystemEventBus } from "../events/SystemEventBus.ts"
import { describeSqlError } from "./describeSqlError.ts"
import * as Outage from "./Outage.ts"

type Event = typeof SystemEventBus.Event.Type

const encode = Schema.encodeSync(EventText)
const decode = Schema.decodeUnknownSync(EventText)

/** Remembers which events are still to be taken in by the alert store. */
export class Outbox extends Context.Service<Outbox, {
  /** Remembers an event; called in the transaction that stores its fact. */
  readonly append: (event: Event) => Effect.Effect<void, SqlError.SqlError>
  /**
   * Forgets events: called in the transaction that stores their alert, or when they are safe with another process that
   * stores it. An unknown event is nothing to forget.
   */
  readonly acknowledge: (events: ReadonlyArray<Event>) => Effect.Effect<void, SqlError.SqlError>
  /** At most so many events, in the order in which they were appended. */
  readonly unannounced: (limit: number) => Effect.Effect<ReadonlyArray<Event>, SqlError.SqlError>
  /** The same of those that other processes appended, without what was given before. */
  readonly appendedElsewhere: (limit: number) => Effect.Effect<ReadonlyArray<Event>, SqlError.SqlError>
}>()("@openwatch/openwatch/storage/Outbox") {}

interface Row {
  readonly seq: number | bigint
  readonly event: string
}

/** The outbox in the database. */
export const layer: Layer.Layer<Outbox, never, SqlClient.SqlClient> = Layer.effect(
  Outbox,
  Effect.map(SqlClient.SqlClient, (sql) => {
    const origin = randomUUID()
    // By number, since a transaction may become visible after a later one.
    let given = new Set<string>()

    return Outbox.of({
      append: (event) =>
        Effect.asVoid(sql`INSERT INTO unannounced_events ${sql.insert({ event: encode(event), origin })}`),
      acknowledge: (events) =>
        Effect.asVoid(
          sql`DELETE FROM unannounced_events WHERE ${sql.in("event", events.map((event) => encode(event)))}`
        ),
      unannounced: (limit) =>
        Effect.map(sql<Row>`SELECT seq, event FROM unannounced_events ORDER BY seq LIMIT ${limit}`, (rows) => {
          for (const { seq } of rows) given.add(String(seq))
          return rows.map(({ event }) => decode(event))
        }),
      appendedElsewhere: (limit) =>
        Effect.map(
          sql<Row>`SELECT seq, event FROM unannounced_events WHERE origin <> ${origin} ORDER BY seq LIMIT ${limit}`,
          (rows) => {
            const fresh = rows.filter(({ seq }) => !given.has(String(seq)))
            given = new Set(rows.map(({ seq }) => String(seq)))
            return fresh.map(({ event }) => decode(event))
          }
        )
    })
  })
)

/**
 * Publishes again what was stored and not taken in: at most `limit` events, which is what a subscriber's buffer holds.
 * To be run before anything else publishes, when all subscribers are live. Gives the number of events.
 */
export const republish = Effect.fn("Outbox.republish")(function*(limit: number) {
  const bus = yield* SystemEventBus
  const events = yield* (yield* Outbox).unannounced(limit)
  yield* bus.publishAll(events)
  return events.length
})

/** How often to look for what other processes appended. */
const relayInterval = "2 seconds"

/**
 * Publishes what other processes append, such as a command that imports scans beside a running `openwatch run`, and what an
 * outage of the database may have kept this one from publishing, for ever.
 * To be run after `republish`.
 */
export const relay = Effect.fn("Outbox.relay")(function*(limit: number) {
  const bus = yield* SystemEventBus
  const outbox = yield* Outbox
  const outages = yield* Outage.CurrentOutages
  let seen = outages.count
  const look = Effect.suspend(() => {
    // Of what an outage has interrupted it is not known whether it is stored. All that is left is published: who has taken it
    // in knows it again.
    const isAfterOutage = !outages.isAway && seen !== outages.count
    if (isAfterOutage) seen = outages.count
    return isAfterOutage ? outbox.unannounced(limit) : outbox.appendedElsewhere(limit)
  }).pipe(
    (read) => Outage.noted(read, describeSqlError),
    Effect.flatMap((events) => bus.publishAll(events)),
    Effect.ignore
  )
  return yield* look.pipe(Effect.delay(relayInterval), Effect.forever)
})
