/**
 * Where the events of `SystemOutbox` and of `AlertOutbox` are kept: in the database of the facts that they tell of.
 *
 * An earlier version kept its events and deliveries in tables of its own. What is left there moves to the outboxes.
 */
import type { Outbox } from "@openwatch/event-bus-sql"
import { Clock, Effect, Layer, Schema } from "effect"
import * as SqlClient from "effect/sql/SqlClient"
import type * as SqlError from "effect/sql/SqlError"
import { AlertBus, AlertOutbox, AlertRaised } from "../alert-router/AlertOutbox.ts"
import { alertOf, type AlertRow } from "../alert-store/SqlAlertStore.ts"
import { EventText } from "../events/EventId.ts"
import { storeIn, SystemOutbox } from "../events/SystemOutbox.ts"
import { describeSqlError } from "./describeSqlError.ts"
import { inTransaction, listener } from "./Outage.ts"
import { StorageError } from "./Storage.ts"

/** How the outboxes work: see `Outbox.Options`. */
export type Options = Pick<Outbox.Options, "process" | "pollInterval" | "lease">

/**
 * Each consumer has one partition. The lock of its task makes sure that only one process serves it, so more would share
 * out nothing. With one, events of several hosts are begun in the order in which they came.
 */
const partitions = 1

const decodeEvent = Schema.decodeUnknownSync(EventText)

/** Events that were stored and not handled yet. */
const moveEvents = Effect.gen(function*() {
  const sql = yield* SqlClient.SqlClient
  const store = storeIn(yield* SystemOutbox)
  const rows = yield* sql<{ seq: number | bigint; event: string }>`DELETE FROM unannounced_events RETURNING seq, event`
  for (const { event } of rows.toSorted((a, b) => Number(a.seq) - Number(b.seq))) yield* store(decodeEvent(event))
})

/** Alerts that were stored and not sent to all of their channels yet. */
const moveDeliveries = Effect.gen(function*() {
  const sql = yield* SqlClient.SqlClient
  const outbox = yield* AlertOutbox
  const due = yield* sql<{ alert_seq: number | bigint; channel: string }>`UPDATE deliveries
    SET due_since = ${yield* Clock.currentTimeMillis} WHERE state = 'pending' AND due_since IS NULL
    RETURNING alert_seq, channel`
  const channels = Map.groupBy(due, ({ alert_seq }) => Number(alert_seq))
  for (const seq of Array.from(channels.keys()).toSorted((a, b) => a - b)) {
    const [row] = yield* sql<AlertRow>`SELECT * FROM alerts WHERE seq = ${seq}`
    const alert = alertOf(row!)
    const event = new AlertRaised({
      alert,
      channels: channels.get(seq)!.map(({ channel }) => channel),
      occurredAt: alert.occurredAt
    })
    yield* Effect.orDie(outbox.publish(event, { id: alert.id }))
  }
})

/** Makes the error that those who run the program see, if an outbox cannot start. */
export const toStorageError = (error: Outbox.OutboxError | SqlError.SqlError): StorageError =>
  new StorageError({
    database: "the database",
    problem: error._tag === "SqlError" ? describeSqlError(error) : error.message
  })

const inOneStep = <R>(move: Effect.Effect<void, SqlError.SqlError, R>) =>
  Layer.effectDiscard(Effect.flatMap(SqlClient.SqlClient, (sql) => inTransaction(sql)(move)))

/** The outbox of what is noticed. */
export const system = (options?: Options) =>
  inOneStep(moveEvents).pipe(
    Layer.provideMerge(Layer.unwrap(Effect.map(
      listener,
      (outages) => SystemOutbox.layerWith({ ...options, partitions, outages, tablePrefix: "system_" })
    ))),
    Layer.catch((error) => Layer.effectContext(Effect.fail(toStorageError(error))))
  )

/** The outbox of what becomes of alerts, and its bus. */
export const alerts = (options?: Options) =>
  inOneStep(moveDeliveries).pipe(
    Layer.provideMerge(Layer.unwrap(Effect.map(
      listener,
      (outages) => AlertOutbox.layerWith({ ...options, partitions, outages, tablePrefix: "alert_" })
    ))),
    Layer.provideMerge(AlertBus.layer),
    Layer.catch((error) => Layer.effectContext(Effect.fail(toStorageError(error))))
  )

/** Both outboxes. */
export const layer = (options?: Options) => Layer.mergeAll(system(options), alerts(options))
