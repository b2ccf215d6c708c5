/**
 * How long alerts and scans are kept.
 *
 * Some things stay whatever their age: an alert that is open or on its way to a channel, the newest scan of each
 * series, and what the next scan is compared with. The others are deleted in small steps, so that nobody has to wait
 * for long.
 */
import { Outage } from "@openwatch/event-bus-sql"
import { DateTime, Duration, Effect, Layer } from "effect"
import * as SqlClient from "effect/sql/SqlClient"
import { counted } from "../events/counted.ts"
import { repeatedly } from "./repeatedly.ts"

/** How long what is over is kept. */
export interface Retention {
  /** Alerts, since they were over. */
  readonly alerts: Duration.Duration
  /** Scans, since they ended. */
  readonly scans: Duration.Duration
}

/** The retention by default. */
export const defaultRetention: Retention = { alerts: Duration.days(365), scans: Duration.days(90) }

/**
 * The shortest and the longest time for which things can be kept. The shortest is long enough for deduplication to find
 * an alert.
 */
export const retentionRange = { minimum: Duration.days(1), maximum: Duration.days(36_500) }

/** SQLite has one writer, so each step is short, and there is time between two of them. */
const batchSize = 500
const pause = "100 millis"

/** How often to look for what is too old. */
const lookInterval = "1 hour"

/** How many of each were deleted. */
export interface Deleted {
  readonly alerts: number
  readonly scans: number
}

/** Deletes what is too old now. */
export const deleteOld = Effect.fn("Retention.deleteOld")(function*(retention: Retention) {
  const sql = yield* SqlClient.SqlClient
  const now = DateTime.toEpochMillis(yield* DateTime.now)
  const transaction = Outage.inTransaction(sql)
  const isDone = (deleted: number) => deleted < batchSize

  const alertsBefore = now - Duration.toMillis(retention.alerts)
  const someAlerts = Effect.gen(function*() {
    // It was over after it had occurred: the first condition lets the index find it.
    const rows = yield* sql<{ seq: number | bigint }>`SELECT seq FROM alerts
      WHERE occurred_at < ${alertsBefore} AND state IN ('resolved', 'dismissed')
        AND COALESCE(resolved_at, occurred_at) < ${alertsBefore}
        AND NOT EXISTS (SELECT 1 FROM deliveries
          WHERE deliveries.alert_seq = alerts.seq AND deliveries.state NOT IN ('delivered', 'given_up', 'withheld'))
      ORDER BY occurred_at LIMIT ${batchSize}`
    if (rows.length > 0) {
      const seqs = rows.map(({ seq }) => seq)
      yield* sql`DELETE FROM deliveries WHERE ${sql.in("alert_seq", seqs)}`
      yield* sql`DELETE FROM alerts WHERE ${sql.in("seq", seqs)}`
    }
    return rows.length
  }).pipe(transaction)

  const scansBefore = now - Duration.toMillis(retention.scans)
  /** Where the next step begins, so that what stays is not looked at again. */
  let last: { readonly scanned_at: number | bigint; readonly seq: number | bigint } = { scanned_at: -8.64e15, seq: 0 }
  const someScans = Effect.gen(function*() {
    const rows = yield* sql<typeof last & { readonly newer: number }>`SELECT seq, scanned_at, CASE WHEN EXISTS (
        SELECT 1 FROM scans AS other WHERE other.host_id = scans.host_id AND other.profile = scans.profile
          AND COALESCE(other.benchmark, '') = COALESCE(scans.benchmark, '')
          AND (other.scanned_at, other.seq) > (scans.scanned_at, scans.seq)) THEN 1 ELSE 0 END AS newer
      FROM scans WHERE scanned_at < ${scansBefore} AND (scanned_at, seq) > (${last.scanned_at}, ${last.seq})
      ORDER BY scanned_at, seq LIMIT ${batchSize}`
    const seqs = rows.flatMap(({ newer, seq }) => newer === 1 ? [seq] : [])
    if (seqs.length > 0) yield* sql`DELETE FROM scans WHERE ${sql.in("seq", seqs)}`
    return { looked: rows.length, deleted: seqs.length, last: rows.at(-1) ?? last }
  }).pipe(transaction)

  const deleted = { alerts: 0, scans: 0 }
  for (;;) {
    const count = yield* someAlerts
    deleted.alerts += count
    if (isDone(count)) break
    yield* Effect.sleep(pause)
  }
  for (;;) {
    const step = yield* someScans
    deleted.scans += step.deleted
    last = step.last
    if (isDone(step.looked)) break
    yield* Effect.sleep(pause)
  }
  return deleted
})

/**
 * Deletes what is too old, every hour for as long as the layer is there. If the database is away, the next hour deletes
 * it.
 */
export const layer = (retention: Retention): Layer.Layer<never, never, SqlClient.SqlClient> =>
  Layer.effectDiscard(
    deleteOld(retention).pipe(
      Effect.tap(({ alerts, scans }) =>
        alerts + scans === 0
          ? Effect.void
          : Effect.logInfo(
            `Deleted ${counted(alerts, "alert")} and ${counted(scans, "scan")}, which are kept for ` +
              `${Duration.format(retention.alerts)} and ${Duration.format(retention.scans)}`
          )
      ),
      (deleting) => repeatedly(deleting, lookInterval),
      Effect.forkScoped
    )
  )
