/**
 * Where the events of `SystemOutbox` and of `AlertOutbox` are kept: in the database of the facts that they tell of.
 *
 * An earlier version kept its events and deliveries in tables of its own. What is left there moves to the outboxes.
 */
import { Outage, type Outbox } from "@openwatch/event-bus-sql"
import { Clock, Effect, Layer, Schema } from "effect"
import * as SqlClient from "effect/sql/SqlClient"
import type * as SqlError from "effect/sql/SqlError"
import { AlertBus, AlertOutbox, AlertRaised } from "../alert-router/AlertOutbox.ts"
import { alertOf, type AlertRow } from "../alert-store/SqlAlertStore.ts"
import { EventText } from "../events/EventId.ts"
import { storeIn, SystemOutbox } from "../events/SystemOutbox.ts"
import { describeSqlError } from "./describeSqlError.ts"
import { StorageError } from "./Storage.ts"

/** How the outboxes work: see `Outbox.Options`. */
export type Options = Pick<Outbox.Options, "process" | "pollInterval" | "lease">

/**
 * Each consumer has one partition. The lock of its task makes sure that only one process serves it, so more would share
 * out nothing. With one, events of several hosts are begun in the order in which they came.
 */
const partitions = 1

/**
 * A process that cannot renew its lease interrupts what it sends, and sends it again later. So the lease outlasts a long
 * transaction and a short outage. The lock says who serves a consumer, so nobody waits for it to end, except one that is
 * started with other tasks after this one was killed.
 */
const lease = "1 minute"

const decodeEvent = Schema.decodeUnknownSync(EventText)

/** Events that were stored and not handled yet. */
const moveEvents = Effect.gen(function*() {
  const sql = yield* SqlClient.SqlClient
  const store = storeIn(yield* SystemOutbox)
  const rows = yield* sql<{ event: string }>`SELECT event FROM unannounced_events ORDER BY seq`
  for (const { event } of rows) yield* store(decodeEvent(event))
  yield* sql`DELETE FROM unannounced_events`
})

/** Alerts that were stored and not sent to all of their channels yet. */
const moveDeliveries = Effect.gen(function*() {
  const sql = yield* SqlClient.SqlClient
  const outbox = yield* AlertOutbox
  const due = yield* sql<AlertRow & { channel: string }>`SELECT a.*, d.channel
    FROM deliveries d JOIN alerts a ON a.seq = d.alert_seq
    WHERE d.state = 'pending' AND d.due_since IS NULL ORDER BY a.seq, d.channel`
  for (const [id, rows] of Map.groupBy(due, ({ id }) => id)) {
    const alert = alertOf(rows[0]!)
    const channels = rows.map(({ channel }) => channel)
    yield* Effect.orDie(outbox.publish(new AlertRaised({ alert, channels, occurredAt: alert.occurredAt }), { id }))
  }
  yield* sql`UPDATE deliveries SET due_since = ${yield* Clock.currentTimeMillis}
    WHERE state = 'pending' AND due_since IS NULL`
})

/** Makes the error that those who run the program see, if an outbox cannot start. */
export const toStorageError = (error: Outbox.OutboxError | SqlError.SqlError): StorageError =>
  new StorageError({ database: "the database", problem: describeSqlError(error) })

/** Provides an outbox once all has moved to it, in one step. */
const after = <R, A, R2>(
  move: Effect.Effect<void, SqlError.SqlError, R>,
  outbox: Layer.Layer<A, Outbox.OutboxError, R2>
) =>
  Layer.effectDiscard(Effect.flatMap(SqlClient.SqlClient, (sql) => Outage.inTransaction(sql)(move))).pipe(
    Layer.provideMerge(outbox),
    Layer.catch((error) => Layer.effectContext(Effect.fail(toStorageError(error))))
  )

/** The outbox of what is noticed. */
export const system = (options?: Options) =>
  after(Effect.asVoid(moveEvents), SystemOutbox.layerWith({ lease, ...options, partitions, tablePrefix: "system_" }))

/** The outbox of what becomes of alerts, and its bus. */
export const alerts = (options?: Options) =>
  after(Effect.asVoid(moveDeliveries), AlertOutbox.layerWith({ lease, ...options, partitions, tablePrefix: "alert_" }))
    .pipe(
      Layer.provideMerge(AlertBus.layer)
    )

/** Both outboxes. */
export const layer = (options?: Options) => Layer.mergeAll(system(options), alerts(options))
