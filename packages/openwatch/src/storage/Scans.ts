/**
 * The scans that were taken in: their scores, and for each series what the next scan is compared with.
 */
import { Context, DateTime, Effect, Layer, Option, Schema } from "effect"
import * as SqlClient from "effect/sql/SqlClient"
import type * as SqlError from "effect/sql/SqlError"
import { isOpenInSql } from "../alert-store/SqlAlertStore.ts"
import type { Known } from "../drift-detector/Drift.ts"
import { Outcome } from "../drift-detector/Scan.ts"
import type { DriftDetected } from "../events/DriftDetected.ts"
import type { HostId } from "../events/HostId.ts"
import { keyOf, type Series } from "../events/Series.ts"
import { storeIn, SystemOutbox } from "../events/SystemOutbox.ts"
import { inTransaction } from "./Outage.ts"

/** A scan as it is stored. */
export interface StoredScan {
  /** Unique: the same scan read twice has the same id. */
  readonly scanId: string
  readonly hostId: HostId
  readonly series: Series
  /** In percent. */
  readonly score: number
  readonly scannedAt: DateTime.Utc
}

/** A scan to be stored. */
export interface NewScan extends StoredScan {
  /** The id that an earlier version has given it. */
  readonly formerScanId: string
  readonly outcome: Outcome
}

/** What a scan came to. */
export type Score = Omit<StoredScan, "hostId">

/** What a comparison gives: the drift to be told, if there is one, and what the next scan is compared with. */
export interface Compared<A> {
  readonly outcome: A
  readonly event: DriftDetected | undefined
  readonly known: Known
}

/** What became of a scan: what its comparison gave, or why it was not compared. */
export type Recorded<A> = A | "known" | "history"

/** How many scores of a host are given at most: three years of a scan a day. */
const scoresAtMost = 1_000

/** Keeps scans. */
export class Scans extends Context.Service<Scans, {
  /** What the next scan of a series is compared with; none before its first. */
  readonly known: (hostId: HostId, series: Series) => Effect.Effect<Option.Option<Known>, SqlError.SqlError>
  /** The score of each host's newest scan, whatever its series. */
  readonly lastScores: Effect.Effect<ReadonlyMap<HostId, number>, SqlError.SqlError>
  /** The scores of a host's scans by the time of the scan, oldest first: the last 1,000. */
  readonly scores: (hostId: HostId) => Effect.Effect<ReadonlyArray<Score>, SqlError.SqlError>
  /**
   * Stores a scan and, as an event, the drift that `compare` finds: both or none. One that is stored already is
   * `"known"`, and one that is older than the newest of its series is kept for the `"history"`: neither is compared.
   *
   * All of it happens in one step, also among processes: no two scans are compared with the same one.
   */
  readonly record: <A>(
    scan: NewScan,
    compare: (known: Option.Option<Known>) => Compared<A>
  ) => Effect.Effect<Recorded<A>, SqlError.SqlError>
  /** Stores a scan for the history alone. */
  readonly recordHistory: (scan: NewScan) => Effect.Effect<Recorded<never>, SqlError.SqlError>
}>()("@openwatch/openwatch/storage/Scans") {}

interface ScoreRow {
  readonly scan_id: string
  readonly benchmark: string | null
  readonly profile: string
  readonly score: number
  readonly scanned_at: number | bigint
}

interface SeriesRow {
  readonly seq: number | bigint
  readonly ended_at: number | bigint
  readonly told: string
  readonly highest: number
  readonly lowest: number
  readonly fell_from: number | null
}

const OutcomeText = Schema.fromJsonString(Outcome)
const encodeOutcome = Schema.encodeSync(OutcomeText)
const decodeOutcome = Schema.decodeUnknownSync(OutcomeText)

const knownOf = (row: SeriesRow): Known => ({
  told: decodeOutcome(row.told),
  highest: row.highest,
  lowest: row.lowest,
  fellFrom: row.fell_from ?? undefined
})

/** Whether half of the rules of one are rules of the other, too: then both are of one benchmark, as far as one can tell. */
const sharesHalf = (before: Outcome, now: Outcome): boolean => {
  const rules = new Set([...before.passed, ...before.failed])
  const shared = [...now.passed, ...now.failed].filter((id) => rules.has(id)).length
  return shared * 2 >= Math.max(rules.size, now.passed.length + now.failed.length)
}

/** The scans in the database. */
export const layer: Layer.Layer<Scans, never, SqlClient.SqlClient | SystemOutbox> = Layer.effect(
  Scans,
  Effect.gen(function*() {
    const sql = yield* SqlClient.SqlClient
    const transaction = inTransaction(sql)
    const publish = storeIn(yield* SystemOutbox)

    const find = (hostId: HostId, { benchmark, profile }: Series) =>
      Effect.map(
        sql<SeriesRow>`SELECT seq, ended_at, told, highest, lowest, fell_from FROM series
          WHERE host_id = ${hostId} AND benchmark = ${benchmark} AND profile = ${profile}`,
        ([row]) => row
      )

    /**
     * An earlier version knew no benchmarks. What it has stored of a host and profile, open alerts with it, goes to the
     * first scan that is of the same rules, more or less.
     */
    const adopt = Effect.fnUntraced(function*({ hostId, outcome, series }: NewScan) {
      const rows = yield* sql<SeriesRow>`SELECT seq, ended_at, told, highest, lowest, fell_from FROM series
        WHERE host_id = ${hostId} AND benchmark IS NULL AND profile = ${series.profile}`
      const row = rows.find(({ told }) => sharesHalf(decodeOutcome(told), outcome))
      if (row === undefined) return undefined
      const [open] = yield* sql<{ fell_from: number | null }>`SELECT MAX(fell_from) AS fell_from FROM alerts
        WHERE host_id = ${hostId} AND rule = '' AND ${sql.literal(isOpenInSql)} AND ${
        sql.in("type", ["drift_major", "drift_minor"])
      }`
      const adopted = { ...row, fell_from: open?.fell_from ?? null }
      yield* sql`UPDATE series SET benchmark = ${series.benchmark}, fell_from = ${adopted.fell_from} WHERE seq = ${row.seq}`
      yield* sql`UPDATE alerts SET rule = ${keyOf(series)}, dedup_key = dedup_key || ${keyOf(series)}
        WHERE host_id = ${hostId} AND rule = '' AND ${sql.literal(isOpenInSql)} AND ${
        sql.in("type", ["drift_major", "drift_minor"])
      }`
      return adopted
    })

    // In SQLite a transaction has the database to itself.
    const lock = (hostId: HostId) =>
      sql.onDialectOrElse({
        pg: () => Effect.asVoid(sql`SELECT pg_advisory_xact_lock(hashtextextended(${hostId}, 0))`),
        orElse: () => Effect.void
      })

    /** Stores a scan. False where it is stored already, perhaps by an earlier version, which told scans by less. */
    const insert = Effect.fnUntraced(function*(scan: NewScan) {
      yield* lock(scan.hostId)
      const former = yield* sql`SELECT scan_id FROM scans
        WHERE scan_id = ${scan.formerScanId} AND benchmark IS NULL AND ABS(score - ${scan.score}) < 1e-9`
      if (former.length > 0) return false
      const rows = yield* sql`INSERT INTO scans ${
        sql.insert({
          scan_id: scan.scanId,
          host_id: scan.hostId,
          benchmark: scan.series.benchmark,
          profile: scan.series.profile,
          score: scan.score,
          scanned_at: DateTime.toEpochMillis(scan.scannedAt)
        })
      } ON CONFLICT (scan_id) DO NOTHING RETURNING scan_id`
      return rows.length > 0
    })

    const remember = (scan: NewScan, { fellFrom, highest, lowest, told }: Known) =>
      sql`INSERT INTO series ${
        sql.insert({
          host_id: scan.hostId,
          benchmark: scan.series.benchmark,
          profile: scan.series.profile,
          ended_at: DateTime.toEpochMillis(scan.scannedAt),
          score: scan.score,
          told: encodeOutcome(told),
          highest,
          lowest,
          fell_from: fellFrom ?? null
        })
      } ON CONFLICT (host_id, benchmark, profile) DO UPDATE SET ended_at = excluded.ended_at, score = excluded.score,
        told = excluded.told, highest = excluded.highest, lowest = excluded.lowest, fell_from = excluded.fell_from`

    return Scans.of({
      known: (hostId, series) =>
        Effect.map(find(hostId, series), (row) => Option.map(Option.fromUndefinedOr(row), knownOf)),
      lastScores: Effect.map(
        sql<{ host_id: HostId; score: number }>`SELECT host_id, score FROM series ORDER BY ended_at, seq`,
        (rows) => new Map(rows.map(({ host_id, score }) => [host_id, score]))
      ),
      scores: (hostId) =>
        Effect.map(
          sql<ScoreRow>`SELECT scan_id, benchmark, profile, score, scanned_at FROM scans
            WHERE host_id = ${hostId} AND scanned_at IS NOT NULL
            ORDER BY scanned_at DESC, seq DESC LIMIT ${scoresAtMost}`,
          (rows) =>
            rows.toReversed().map(({ benchmark, profile, scan_id, scanned_at, score }): Score => ({
              scanId: scan_id,
              series: { benchmark: benchmark ?? "", profile },
              score,
              scannedAt: DateTime.makeUnsafe(Number(scanned_at))
            }))
        ),
      record: (scan, compare) =>
        Effect.gen(function*() {
          if (!(yield* insert(scan))) return "known" as const
          const row = (yield* find(scan.hostId, scan.series)) ?? (yield* adopt(scan))
          if (row !== undefined && Number(row.ended_at) > DateTime.toEpochMillis(scan.scannedAt)) {
            return "history" as const
          }
          const { event, known, outcome } = compare(Option.map(Option.fromUndefinedOr(row), knownOf))
          yield* remember(scan, known)
          if (event !== undefined) yield* publish(event)
          return outcome
        }).pipe(transaction),
      recordHistory: (scan) =>
        Effect.map(transaction(insert(scan)), (isNew): Recorded<never> => isNew ? "history" : "known")
    })
  })
)
