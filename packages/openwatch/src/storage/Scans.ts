/**
 * The imported scans: their scores, and for each series what the next scan is compared with.
 */
import { Outage } from "@openwatch/event-bus-sql"
import { Array, Context, DateTime, Effect, Layer, Option, Order, Schema } from "effect"
import * as SqlClient from "effect/sql/SqlClient"
import type * as SqlError from "effect/sql/SqlError"
import { v5 } from "uuid"
import { isOpenInSql } from "../alert-store/SqlAlertStore.ts"
import type { Known } from "../drift-detector/Drift.ts"
import { Outcome, severities } from "../drift-detector/Scan.ts"
import type { ChangedRule, DriftDetected } from "../events/DriftDetected.ts"
import type { HostId } from "../events/HostId.ts"
import { keyOf, type Series } from "../events/Series.ts"
import { storeIn, SystemOutbox } from "../events/SystemOutbox.ts"
import { storeScore } from "./hostScores.ts"

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
  /** What its host is called. */
  readonly hostName: string
  /** The rules that failed. */
  readonly failing: ReadonlyArray<ChangedRule>
  /** The id that an earlier version has given it. */
  readonly formerScanId: string
  readonly outcome: Outcome
}

/** The score of a scan. */
export type Score = Omit<StoredScan, "hostId">

/** An imported scan. */
export interface TakenScan extends StoredScan {
  /** The name that the inventory has for it now. If the inventory does not have it, the name in the scan. */
  readonly hostName: string
  /** How many rules passed and how many failed. `undefined` for scans that an earlier version has imported. */
  readonly counts: { readonly passed: number; readonly failed: number } | undefined
}

/** An imported scan, with the rules that failed. */
export interface ScanReport extends TakenScan {
  /** The most severe first. `undefined` if an earlier version has imported the scan, and so has not stored them. */
  readonly failing: ReadonlyArray<ChangedRule> | undefined
}

/** Which scans to list. Default: all. */
export interface Filter {
  /** Of the host with this id or name. */
  readonly host?: string | undefined
  /** With the profile of this id, or of the last part of it. */
  readonly profile?: string | undefined
  /** At most so many, the newest. */
  readonly limit?: number | undefined
}

/** The result of a comparison: the drift to be reported, if there is one, and what the next scan is compared with. */
export interface Compared<A> {
  readonly outcome: A
  readonly event: DriftDetected | undefined
  readonly known: Known
}

/** What became of a scan: the result of its comparison, or why it was not compared. */
export type Recorded<A> = A | "known" | "history"

/** How many scores of a host are returned at most: three years with a scan a day. */
const scoresAtMost = 1_000

/** Keeps scans. */
export class Scans extends Context.Service<Scans, {
  /** What the next scan of a series is compared with. `undefined` before the first one. */
  readonly known: (hostId: HostId, series: Series) => Effect.Effect<Option.Option<Known>, SqlError.SqlError>
  /** For each host the score of the scan that ended last, whatever its series and however it was imported. */
  readonly lastScores: Effect.Effect<ReadonlyMap<HostId, number>, SqlError.SqlError>
  /** The scores of a host's scans by the time of the scan, oldest first: the last 1,000. */
  readonly scores: (hostId: HostId) => Effect.Effect<ReadonlyArray<Score>, SqlError.SqlError>
  /** The scans, by when they ended, newest first. */
  readonly list: (filter?: Filter) => Effect.Effect<ReadonlyArray<TakenScan>, SqlError.SqlError>
  /** The scans whose ids begin so, at most two of them. */
  readonly find: (idPrefix: string) => Effect.Effect<ReadonlyArray<ScanReport>, SqlError.SqlError>
  /** The newest scan of each series of a host, the newest first. */
  readonly newest: (hostId: HostId) => Effect.Effect<ReadonlyArray<ScanReport>, SqlError.SqlError>
  /**
   * Stores a scan and, as an event, the drift that `compare` finds: both or none. A scan that is stored already is
   * `"known"`. One that ended before the newest of its series is kept for the `"history"`. Neither is compared.
   *
   * All of this is one step, also between processes. So no two scans are compared with the same one.
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

interface TakenRow extends ScoreRow {
  readonly host_id: HostId
  readonly name: string
  readonly passed: number | null
  readonly failed: number | null
}

interface ReportRow extends TakenRow {
  readonly failing: string | null
}

interface RuleRow {
  readonly seq: number | bigint
  readonly rule_id: string
  readonly title: string | null
  readonly severity: ChangedRule["severity"]
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

const takenOf = (row: TakenRow): TakenScan => ({
  scanId: row.scan_id,
  hostId: row.host_id,
  hostName: row.name,
  series: { benchmark: row.benchmark ?? "", profile: row.profile },
  score: row.score,
  scannedAt: DateTime.makeUnsafe(Number(row.scanned_at)),
  counts: row.passed === null || row.failed === null ? undefined : { passed: row.passed, failed: row.failed }
})

const ruleNamespace = "8d6f4f0a-51a8-4f0e-9d6b-0f3f6f5f2c11"

/** The key by which a stored rule is found. Its id and title may be too long for an index. */
const keyOfRule = ({ id, severity, title }: ChangedRule): string =>
  v5(JSON.stringify([id, severity, title ?? null]), ruleNamespace)

// SQLite takes at most 32,766 parameters in a statement.
const batchSize = 500

/** Whether half of the rules of one are also rules of the other. If so, both are taken to be of one benchmark. */
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
    const transaction = Outage.inTransaction(sql)
    const publish = storeIn(yield* SystemOutbox)

    const find = (hostId: HostId, { benchmark, profile }: Series) =>
      Effect.map(
        sql<SeriesRow>`SELECT seq, ended_at, told, highest, lowest, fell_from FROM series
          WHERE host_id = ${hostId} AND benchmark = ${benchmark} AND profile = ${profile}`,
        ([row]) => row
      )

    /**
     * An earlier version knew no benchmarks. What it has stored for a host and profile goes to the series of the first
     * scan that has about the same rules. Open alerts go with it.
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

    /** The numbers of rules, which are stored once for all scans. */
    const numbersOf = Effect.fnUntraced(function*(rules: ReadonlyArray<ChangedRule>) {
      const numbers: Array<number> = []
      for (const batch of Array.chunksOf(rules, batchSize)) {
        const rows = Array.map(batch, (rule) => ({
          key: keyOfRule(rule),
          rule_id: rule.id,
          title: rule.title ?? null,
          severity: rule.severity
        }))
        // In one order, so that two who store the same rules do not wait for each other.
        const sorted = Array.sortWith(rows, ({ key }) => key, Order.String)
        yield* sql`INSERT INTO rules ${sql.insert(sorted)} ON CONFLICT (key) DO NOTHING`
        const found = yield* sql<{ seq: number | bigint; key: string }>`SELECT seq, key FROM rules
          WHERE ${sql.in("key", rows.map(({ key }) => key))}`
        const byKey = new Map(found.map(({ key, seq }) => [key, Number(seq)]))
        numbers.push(...rows.map(({ key }) => byKey.get(key)!))
      }
      return numbers
    })

    /**
     * Stores a scan. Returns false if it is stored already, perhaps by an earlier version, which had another kind of
     * id.
     */
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
          scanned_at: DateTime.toEpochMillis(scan.scannedAt),
          host_name: scan.hostName,
          passed: scan.outcome.passed.length,
          failed: scan.outcome.failed.length
        })
      } ON CONFLICT (scan_id) DO NOTHING RETURNING scan_id`
      if (rows.length === 0) return false
      yield* storeScore(
        sql,
        sql`VALUES (${scan.hostId}, ${DateTime.toEpochMillis(scan.scannedAt)}, ${scan.score})`
      )
      const failing = (yield* numbersOf(scan.failing)).join()
      yield* sql`UPDATE scans SET failing = ${failing} WHERE scan_id = ${scan.scanId}`
      return true
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

    const taken = sql.literal(`s.scan_id, s.host_id, s.benchmark, s.profile, s.score, s.scanned_at, s.passed, s.failed,
      COALESCE(NULLIF(i.name, ''), NULLIF(s.host_name, ''), s.host_id) AS name
      FROM scans AS s LEFT JOIN inventory AS i ON i.host_id = s.host_id`)

    const reportsOf = Effect.fnUntraced(function*(rows: ReadonlyArray<ReportRow>) {
      const numbers = new Set(
        rows.flatMap(({ failing }) => failing === null || failing === "" ? [] : failing.split(","))
      )
      const rules = new Map<string, ChangedRule>()
      for (const batch of Array.chunksOf(numbers, batchSize)) {
        const found = yield* sql<RuleRow>`SELECT seq, rule_id, title, severity FROM rules
          WHERE ${sql.in("seq", batch.map(Number))}`
        for (const { rule_id, seq, severity, title } of found) {
          rules.set(String(seq), { id: rule_id, severity, ...(title === null ? {} : { title }) })
        }
      }
      return rows.map((row): ScanReport => {
        const failing = row.failing?.split(",").flatMap((number) => rules.get(number) ?? [])
          .toSorted((a, b) => severities.indexOf(a.severity) - severities.indexOf(b.severity))
        return Object.assign(takenOf(row), { failing })
      })
    })

    const list = ({ host, limit, profile }: Filter) => {
      const conditions = [
        sql`s.scanned_at IS NOT NULL`,
        ...(host === undefined ? [] : [
          sql`(s.host_id = ${host.toLowerCase()} OR LOWER(s.host_name) = ${host.toLowerCase()}
            OR LOWER(i.name) = ${host.toLowerCase()})`
        ]),
        ...(profile === undefined ? [] : [
          sql`(s.profile = ${profile} OR s.profile LIKE ${`%\\_profile\\_${
            profile.replace(/[\\%_]/g, "\\$&")
          }`} ESCAPE ${"\\"})`
        ])
      ]
      return sql<TakenRow>`SELECT ${taken} WHERE ${sql.and(conditions)} ORDER BY s.scanned_at DESC, s.seq DESC ${
        limit === undefined ? sql`` : sql`LIMIT ${limit}`
      }`
    }

    return Scans.of({
      known: (hostId, series) =>
        Effect.map(find(hostId, series), (row) => Option.map(Option.fromUndefinedOr(row), knownOf)),
      lastScores: Effect.map(
        sql<{ host_id: HostId; score: number }>`SELECT host_id, score FROM host_scores`,
        (rows) => new Map(rows.map(({ host_id, score }) => [host_id, score]))
      ),
      list: (filter) => Effect.map(list(filter ?? {}), (rows) => rows.map(takenOf)),
      find: (idPrefix) =>
        sql<ReportRow>`SELECT s.failing, ${taken} WHERE s.scanned_at IS NOT NULL
          AND SUBSTR(s.scan_id, 1, ${idPrefix.length}) = ${idPrefix.toLowerCase()} LIMIT 2`.pipe(
          Effect.flatMap(reportsOf)
        ),
      newest: (hostId) =>
        sql<ReportRow>`SELECT s.failing, ${taken} WHERE s.host_id = ${hostId} AND s.scanned_at IS NOT NULL
          AND NOT EXISTS (SELECT 1 FROM scans AS newer WHERE newer.host_id = s.host_id AND newer.profile = s.profile
            AND COALESCE(newer.benchmark, '') = COALESCE(s.benchmark, '')
            AND (newer.scanned_at, newer.seq) > (s.scanned_at, s.seq))
          ORDER BY s.scanned_at DESC, s.seq DESC`.pipe(Effect.flatMap(reportsOf)),
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
