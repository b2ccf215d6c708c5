/**
 * What was known of the hosts when they were last seen: whether they were reachable, and when they were probed. With it a
 * restart is no first sighting: a host that recovered while OpenWatch was down is a recovery, one that is still down is no
 * news, and each is probed when it would have been.
 */
import { Array, Context, DateTime, Effect, Layer } from "effect"
import * as SqlClient from "effect/sql/SqlClient"
import type * as SqlError from "effect/sql/SqlError"
import type { HeartbeatPulse } from "../events/HeartbeatPulse.ts"
import type { HostId } from "../events/HostId.ts"
import * as Outbox from "./Outbox.ts"

/** What the last transition of a host has found. */
export interface Verdict {
  readonly reachable: boolean
  /** When it became so. */
  readonly since: DateTime.Utc
  /** How long the probe took that found it reachable, in milliseconds; none where it is not. */
  readonly responseTimeMs: number | undefined
}

/** The last probe of a host. */
export interface ProbeRecord {
  readonly hostId: HostId
  /** Where it was probed, `address:port`. */
  readonly endpoint: string
  /** How many probes of it there have been. */
  readonly probes: number
  /** Failed ones in a row. */
  readonly failures: number
  /** When the last one began, in milliseconds since 1970. */
  readonly probedAt: number
}

interface VerdictRow {
  readonly host_id: HostId
  readonly reachable: number
  readonly occurred_at: number | bigint
  readonly response_time_ms: number | null
}

interface ProbeRow {
  readonly host_id: HostId
  readonly endpoint: string
  readonly probes: number | bigint
  readonly failures: number
  readonly probed_at: number | bigint
}

// SQLite takes at most 32,766 parameters in a statement, and one statement at a time keeps the thread.
const batchSize = 500

/** Keeps the last verdict on each host, and its last probe. */
export class HostStates extends Context.Service<HostStates, {
  /** The last verdict on each host that has one. */
  readonly verdicts: Effect.Effect<ReadonlyMap<HostId, Verdict>, SqlError.SqlError>
  /**
   * Stores the verdict of a transition, and that its event is to be announced, before it is published.
   */
  readonly record: (pulse: HeartbeatPulse) => Effect.Effect<void, SqlError.SqlError>
  /** The last probe of each host that was probed. */
  readonly probes: Effect.Effect<ReadonlyMap<HostId, ProbeRecord>, SqlError.SqlError>
  /** Stores the last probes of some hosts, in one step. */
  readonly recordProbes: (probes: ReadonlyArray<ProbeRecord>) => Effect.Effect<void, SqlError.SqlError>
}>()("@openwatch/openwatch/storage/HostStates") {}

/** The host states in the database. */
export const layer: Layer.Layer<HostStates, never, SqlClient.SqlClient> = Layer.effect(
  HostStates,
  Effect.gen(function*() {
    const sql = yield* SqlClient.SqlClient
    const outbox = yield* Outbox.Outbox
    return HostStates.of({
      verdicts: Effect.map(
        sql<VerdictRow>`SELECT host_id, reachable, occurred_at, response_time_ms FROM host_states`,
        (rows) =>
          new Map(rows.map((row) => [row.host_id, {
            reachable: row.reachable === 1,
            since: DateTime.makeUnsafe(Number(row.occurred_at)),
            responseTimeMs: row.response_time_ms ?? undefined
          }]))
      ),
      record: (pulse) =>
        sql`INSERT INTO host_states ${
          sql.insert({
            host_id: pulse.hostId,
            reachable: pulse.reachable ? 1 : 0,
            occurred_at: DateTime.toEpochMillis(pulse.occurredAt),
            response_time_ms: pulse.reachable ? pulse.responseTimeMs : null
          })
        } ON CONFLICT (host_id) DO UPDATE SET reachable = excluded.reachable, occurred_at = excluded.occurred_at,
          response_time_ms = excluded.response_time_ms`.pipe(
          // The probes are stored later, and after a crash may still have the failures from before a recovery.
          Effect.andThen(
            pulse.reachable
              ? Effect.asVoid(sql`UPDATE host_probes SET failures = 0 WHERE host_id = ${pulse.hostId}`)
              : Effect.void
          ),
          Effect.andThen(outbox.append(pulse)),
          sql.withTransaction
        ),
      probes: Effect.map(
        sql<ProbeRow>`SELECT host_id, endpoint, probes, failures, probed_at FROM host_probes`,
        (rows) =>
          new Map(rows.map((row) => [row.host_id, {
            hostId: row.host_id,
            endpoint: row.endpoint,
            probes: Number(row.probes),
            failures: row.failures,
            probedAt: Number(row.probed_at)
          }]))
      ),
      recordProbes: (probes) =>
        Effect.forEach(
          Array.chunksOf(probes, batchSize),
          (batch) =>
            sql`INSERT INTO host_probes ${
              sql.insert(Array.map(batch, ({ endpoint, failures, hostId, probedAt, probes }) => ({
                host_id: hostId,
                endpoint,
                probes,
                failures,
                probed_at: probedAt
              })))
            } ON CONFLICT (host_id) DO UPDATE SET endpoint = excluded.endpoint, probes = excluded.probes,
            failures = excluded.failures, probed_at = excluded.probed_at`,
          { discard: true }
        ).pipe(sql.withTransaction)
    })
  })
).pipe(Layer.provide(Outbox.layer))
