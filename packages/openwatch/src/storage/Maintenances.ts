/**
 * Maintenance that somebody has begun, for as long as it lasts.
 */
import { Clock, Context, DateTime, type Duration, Effect, Layer } from "effect"
import * as SqlClient from "effect/sql/SqlClient"
import type * as SqlError from "effect/sql/SqlError"
import type { Alert } from "../alert-router/Alert.ts"
import { formatSubject, isOf, isOn, parseSubject, type Planned, type Subject } from "../alert-router/Maintenance.ts"
import { InMaintenance } from "../alert-router/Suppression.ts"
import { toStoreError } from "../alert-store/SqlAlertStore.ts"
import { inTransaction } from "./Outage.ts"

/** A maintenance that somebody has begun. */
export interface Begun {
  readonly subject: Subject
  readonly since: DateTime.Utc
  readonly until: DateTime.Utc
  readonly who: string
  readonly why: string
}

interface MaintenanceRow {
  readonly subject: string
  readonly since: number | bigint
  readonly until: number | bigint
  readonly who: string
  readonly why: string
}

/** Keeps maintenances. */
export class Maintenances extends Context.Service<Maintenances, {
  /** Begins one. Each subject has at most one, so an earlier one of the same subject ends. */
  readonly begin: (
    subject: Subject,
    options: { readonly duration: Duration.Duration; readonly who: string; readonly why: string }
  ) => Effect.Effect<Begun, SqlError.SqlError>
  /** Those that go on, in the order in which they end. */
  readonly current: Effect.Effect<ReadonlyArray<Begun>, SqlError.SqlError>
  /** Ends the maintenance of each of these subjects. Where some have none it ends nothing, and returns those. */
  readonly end: (subjects: ReadonlyArray<Subject>) => Effect.Effect<ReadonlyArray<Subject>, SqlError.SqlError>
  /** Whether a subject names a host of the inventory, or a host that has alerts. Without an inventory every name will do. */
  readonly isKnown: (subject: Subject) => Effect.Effect<boolean, SqlError.SqlError>
}>()("@openwatch/openwatch/storage/Maintenances") {}

/** The maintenances in the database. */
export const layer: Layer.Layer<Maintenances, never, SqlClient.SqlClient> = Layer.effect(
  Maintenances,
  Effect.gen(function*() {
    const sql = yield* SqlClient.SqlClient

    const current = Effect.gen(function*() {
      const now = yield* Clock.currentTimeMillis
      const rows = yield* sql<MaintenanceRow>`SELECT subject, since, until, who, why FROM maintenance
        WHERE until > ${now} ORDER BY until, subject`
      return rows.map((row): Begun => ({
        subject: parseSubject(row.subject),
        since: DateTime.makeUnsafe(Number(row.since)),
        until: DateTime.makeUnsafe(Number(row.until)),
        who: row.who,
        why: row.why
      }))
    })

    return Maintenances.of({
      begin: Effect.fnUntraced(function*(subject, { duration, who, why }) {
        const since = yield* DateTime.now
        const until = DateTime.addDuration(since, duration)
        const row = {
          subject: formatSubject(subject),
          since: DateTime.toEpochMillis(since),
          until: DateTime.toEpochMillis(until),
          who,
          why
        }
        yield* sql`INSERT INTO maintenance ${sql.insert(row)} ON CONFLICT (subject) DO UPDATE
          SET since = excluded.since, until = excluded.until, who = excluded.who, why = excluded.why`
        return { subject, since, until, who, why }
      }),

      current,

      end: (subjects) =>
        Effect.gen(function*() {
          const going = new Set((yield* current).map(({ subject }) => formatSubject(subject)))
          const missing = subjects.filter((subject) => !going.has(formatSubject(subject)))
          if (missing.length === 0) {
            yield* sql`DELETE FROM maintenance WHERE ${sql.in("subject", subjects.map(formatSubject))}`
          }
          return missing
        }).pipe(inTransaction(sql)),

      isKnown: Effect.fnUntraced(function*(subject) {
        const [host] = yield* sql`SELECT host_id FROM inventory LIMIT 1`
        if (host === undefined) return true
        if (subject._tag === "Host") {
          const found =
            yield* sql`SELECT host_id FROM inventory WHERE name = ${subject.host} OR host_id = ${subject.host}
            UNION ALL SELECT host_id FROM alerts WHERE host_id = ${subject.host} LIMIT 1`
          return found.length > 0
        }
        const rows = yield* sql<{ tags: string }>`SELECT DISTINCT tags FROM inventory`
        return rows.some(({ tags }) => (JSON.parse(tags) as Record<string, string>)[subject.name] === subject.value)
      })
    })
  })
)

/** Says of alerts whether their hosts are in maintenance, planned or begun. */
export const suppressing = (
  planned: ReadonlyArray<Planned>
): Layer.Layer<never, never, Maintenances> =>
  Layer.effect(
    InMaintenance,
    Effect.map(Maintenances, ({ current }) =>
      Effect.gen(function*() {
        const now = yield* DateTime.now
        const subjects = [
          ...planned.filter((each) => isOn(each, now)).flatMap(({ subjects }) => subjects),
          ...(yield* current).map(({ subject }) => subject)
        ]
        return (alert: Pick<Alert, "hostId" | "tags">) => subjects.some((subject) => isOf(subject, alert))
      }).pipe(toStoreError))
  )
