/**
 * What is counted of the fleet for metrics. The database is asked when somebody scrapes.
 */
import { Context, Effect, Layer } from "effect"
import * as SqlClient from "effect/sql/SqlClient"
import type * as SqlError from "effect/sql/SqlError"
import { isOpenInSql } from "../alert-store/SqlAlertStore.ts"
import type { HostId } from "../events/HostId.ts"
import type { Series } from "../events/Series.ts"

/** The newest scan of a series. */
export interface NewestScan {
  readonly hostId: HostId
  readonly series: Series
  /** In percent. */
  readonly score: number
  /** When it ended, in milliseconds since 1970. 0 if an earlier version did not store that. */
  readonly endedAt: number
}

/** What is counted. */
export interface Counts {
  /** The open alerts of each severity that has some. */
  readonly openAlerts: ReadonlyMap<string, number>
  /** The alerts that are to be sent to each channel that has some. */
  readonly pendingDeliveries: ReadonlyMap<string, number>
  readonly newestScans: ReadonlyArray<NewestScan>
}

/** Counts what the metrics of the fleet are made of. */
export class FleetCounts extends Context.Service<FleetCounts, {
  readonly read: Effect.Effect<Counts, SqlError.SqlError>
  /** Succeeds if the database responds. */
  readonly look: Effect.Effect<void, SqlError.SqlError>
}>()("@openwatch/openwatch/storage/FleetCounts") {}

interface CountRow {
  readonly what: string
  readonly count: number | bigint
}

interface SeriesRow {
  readonly host_id: HostId
  readonly benchmark: string | null
  readonly profile: string
  readonly score: number
  readonly ended_at: number | bigint
}

const countsOf = (rows: ReadonlyArray<CountRow>): ReadonlyMap<string, number> =>
  new Map(rows.map(({ count, what }) => [what, Number(count)]))

/** The counts of the database. */
export const layer: Layer.Layer<FleetCounts, never, SqlClient.SqlClient> = Layer.effect(
  FleetCounts,
  Effect.map(SqlClient.SqlClient, (sql) =>
    FleetCounts.of({
      read: Effect.gen(function*() {
        const openAlerts = yield* sql<CountRow>`SELECT severity AS what, COUNT(*) AS count FROM alerts
          WHERE ${sql.literal(isOpenInSql)} GROUP BY severity`
        const pendingDeliveries = yield* sql<CountRow>`SELECT channel AS what, COUNT(*) AS count FROM deliveries
          WHERE state = 'pending' GROUP BY channel`
        // A scan of the history may have ended last; of before, a series may know what no scan does.
        const newest = (column: "score" | "scanned_at") =>
          sql`(SELECT ${sql(column)} FROM scans WHERE scans.host_id = series.host_id AND scans.profile = series.profile
            AND COALESCE(scans.benchmark, '') = COALESCE(series.benchmark, '') AND scanned_at IS NOT NULL
            ORDER BY scanned_at DESC, scans.seq DESC LIMIT 1)`
        const series = yield* sql<SeriesRow>`SELECT host_id, benchmark, profile,
          COALESCE(${newest("score")}, score) AS score, COALESCE(${
          newest("scanned_at")
        }, ended_at) AS ended_at FROM series`
        return {
          openAlerts: countsOf(openAlerts),
          pendingDeliveries: countsOf(pendingDeliveries),
          newestScans: series.map(({ benchmark, ended_at, host_id, profile, score }) => ({
            hostId: host_id,
            series: { benchmark: benchmark ?? "", profile },
            score,
            endedAt: Number(ended_at)
          }))
        }
      }),
      look: Effect.asVoid(sql`SELECT 1`)
    }))
)
