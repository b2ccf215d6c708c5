/**
 * The scans that were read. The last one of a host and a profile is the baseline of the next.
 */
import { Context, Effect, Layer, Option } from "effect"
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
  /** What the next scan is compared with, as JSON. */
  readonly result: string
}

/** Keeps scans. */
export class Scans extends Context.Service<Scans, {
  /** The last stored scan of this host and profile. */
  readonly baseline: (
    hostId: HostId,
    profile: string
  ) => Effect.Effect<Option.Option<StoredScan>, SqlError.SqlError>
  /**
   * Stores a scan, and the drift that it shows as an event to be announced, before it is published. `false`, with nothing
   * stored, when the scan is stored already.
   */
  readonly record: (scan: StoredScan, drift: DriftDetected | undefined) => Effect.Effect<boolean, SqlError.SqlError>
}>()("@openwatch/openwatch/storage/Scans") {}

interface ScanRow {
  readonly scan_id: string
  readonly host_id: HostId
  readonly profile: string
  readonly result: string
}

/** The scans in the database. */
export const layer: Layer.Layer<Scans, never, SqlClient.SqlClient> = Layer.effect(
  Scans,
  Effect.gen(function*() {
    const sql = yield* SqlClient.SqlClient
    const outbox = yield* Outbox.Outbox
    return Scans.of({
      baseline: (hostId, profile) =>
        Effect.map(
          sql<ScanRow>`SELECT scan_id, host_id, profile, result FROM scans
            WHERE host_id = ${hostId} AND profile = ${profile} ORDER BY seq DESC LIMIT 1`,
          ([row]) =>
            Option.map(Option.fromUndefinedOr(row), ({ host_id, profile, result, scan_id }) => ({
              scanId: scan_id,
              hostId: host_id,
              profile,
              result
            }))
        ),
      record: (scan, drift) =>
        Effect.gen(function*() {
          const stored = yield* sql`INSERT INTO scans ${
            sql.insert({ scan_id: scan.scanId, host_id: scan.hostId, profile: scan.profile, result: scan.result })
          } ON CONFLICT (scan_id) DO NOTHING RETURNING seq`
          if (stored.length > 0 && drift !== undefined) yield* outbox.append(drift)
          return stored.length > 0
        }).pipe(sql.withTransaction)
    })
  })
).pipe(Layer.provide(Outbox.layer))
