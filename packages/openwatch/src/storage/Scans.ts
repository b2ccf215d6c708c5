/**
 * The scans that were taken in: their scores, and for each host and profile the states of the rules of the last one, which
 * is the baseline of the next.
 */
import { Context, DateTime, Effect, Layer, Option } from "effect"
import * as SqlClient from "effect/sql/SqlClient"
import type * as SqlError from "effect/sql/SqlError"
import type { DriftDetected } from "../events/DriftDetected.ts"
import type { HostId } from "../events/HostId.ts"
import * as Outbox from "./Outbox.ts"

/** A scan as it is stored. */
export interface StoredScan {
  /** Unique: the same scan read twice has the same id. */
  readonly scanId: string
  readonly hostId: HostId
  readonly profile: string
  /** In percent. */
  readonly score: number
  readonly scannedAt: DateTime.Utc
  /** The states of its rules, as JSON. */
  readonly outcome: string
}

/** What a scan is compared with. */
export type Baseline = Omit<StoredScan, "scannedAt">

/** What a scan came to. */
export type Score = Pick<StoredScan, "scanId" | "profile" | "score" | "scannedAt">

/** How many scores of a host are given at most: three years of a scan a day. */
const scoresAtMost = 1_000

/** Keeps scans. */
export class Scans extends Context.Service<Scans, {
  /** The last stored scan of this host and profile. */
  readonly baseline: (hostId: HostId, profile: string) => Effect.Effect<Option.Option<Baseline>, SqlError.SqlError>
  /** The score of each host's last stored scan, whatever its profile. */
  readonly lastScores: Effect.Effect<ReadonlyMap<HostId, number>, SqlError.SqlError>
  /** The scores of a host's scans by the time of the scan, oldest first: the last 1,000. */
  readonly scores: (hostId: HostId) => Effect.Effect<ReadonlyArray<Score>, SqlError.SqlError>
  /**
   * Stores a scan, and with it, as an event to be announced, the drift that `compare` finds between its baseline and it;
   * gives what `compare` gave. `None`, with nothing stored or compared, when the scan is stored already.
   *
   * Both happen in one step, also among processes: no two scans are compared with the same baseline.
   */
  readonly record: <A extends { readonly event: DriftDetected | undefined }>(
    scan: StoredScan,
    compare: (baseline: Option.Option<Baseline>) => A
  ) => Effect.Effect<Option.Option<A>, SqlError.SqlError>
}>()("@openwatch/openwatch/storage/Scans") {}

interface ScoreRow {
  readonly scan_id: string
  readonly profile: string
  readonly score: number
  readonly scanned_at: number | bigint
}

interface ScanRow {
  readonly scan_id: string
  readonly score: number
  readonly outcome: string
}

/** The scans in the database. */
export const layer: Layer.Layer<Scans, never, SqlClient.SqlClient> = Layer.effect(
  Scans,
  Effect.gen(function*() {
    const sql = yield* SqlClient.SqlClient
    const outbox = yield* Outbox.Outbox

    const baseline = (hostId: HostId, profile: string) =>
      Effect.map(
        sql<ScanRow>`SELECT scan_id, score, outcome FROM scans
          WHERE host_id = ${hostId} AND profile = ${profile} AND outcome IS NOT NULL`,
        ([row]) =>
          Option.map(
            Option.fromUndefinedOr(row),
            ({ outcome, scan_id, score }): Baseline => ({ scanId: scan_id, hostId, profile, score, outcome })
          )
      )

    // In SQLite a transaction has the database to itself.
    const lock = ({ hostId, profile }: StoredScan) =>
      sql.onDialectOrElse({
        pg: () => Effect.asVoid(sql`SELECT pg_advisory_xact_lock(hashtextextended(${`${hostId}/${profile}`}, 0))`),
        orElse: () => Effect.void
      })

    return Scans.of({
      baseline,
      // The baselines alone, by their index: not one row for each scan that there ever was.
      lastScores: Effect.map(
        sql<
          { host_id: HostId; score: number }
        >`SELECT host_id, score FROM scans WHERE outcome IS NOT NULL ORDER BY seq`,
        (rows) => new Map(rows.map(({ host_id, score }) => [host_id, score]))
      ),
      scores: (hostId) =>
        Effect.map(
          sql<ScoreRow>`SELECT scan_id, profile, score, scanned_at FROM scans
            WHERE host_id = ${hostId} AND scanned_at IS NOT NULL
            ORDER BY scanned_at DESC, seq DESC LIMIT ${scoresAtMost}`,
          (rows) =>
            rows.toReversed().map(({ profile, scan_id, scanned_at, score }): Score => ({
              scanId: scan_id,
              profile,
              score,
              scannedAt: DateTime.makeUnsafe(Number(scanned_at))
            }))
        ),
      record: (scan, compare) =>
        Effect.gen(function*() {
          yield* lock(scan)
          const known = yield* sql`SELECT scan_id FROM scans WHERE scan_id = ${scan.scanId}`
          if (known.length > 0) return Option.none()
          const compared = compare(yield* baseline(scan.hostId, scan.profile))
          yield* sql`UPDATE scans SET outcome = NULL
            WHERE host_id = ${scan.hostId} AND profile = ${scan.profile} AND outcome IS NOT NULL`
          yield* sql`INSERT INTO scans ${
            sql.insert({
              scan_id: scan.scanId,
              host_id: scan.hostId,
              profile: scan.profile,
              score: scan.score,
              scanned_at: DateTime.toEpochMillis(scan.scannedAt),
              outcome: scan.outcome
            })
          }`
          if (compared.event !== undefined) yield* outbox.append(compared.event)
          return Option.some(compared)
        }).pipe(sql.withTransaction)
    })
  })
).pipe(Layer.provide(Outbox.layer))
