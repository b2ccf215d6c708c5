/**
 * Which hosts were reachable when they were last seen. With it a restart is no first sighting: a host that recovered while
 * OpenWatch was down is a recovery, and one that is still down is no news.
 */
import { Context, DateTime, Effect, Layer } from "effect"
import * as SqlClient from "effect/sql/SqlClient"
import type * as SqlError from "effect/sql/SqlError"
import type { HeartbeatPulse } from "../events/HeartbeatPulse.ts"
import type { HostId } from "../events/HostId.ts"
import * as Outbox from "./Outbox.ts"

/** Keeps the last verdict on each host. */
export class HostStates extends Context.Service<HostStates, {
  /** Whether each known host was reachable. */
  readonly reachable: Effect.Effect<ReadonlyMap<HostId, boolean>, SqlError.SqlError>
  /**
   * Stores the verdict of a transition, and that its event is to be announced, before it is published.
   */
  readonly record: (pulse: HeartbeatPulse) => Effect.Effect<void, SqlError.SqlError>
}>()("@openwatch/openwatch/storage/HostStates") {}

/** The host states in the database. */
export const layer: Layer.Layer<HostStates, never, SqlClient.SqlClient> = Layer.effect(
  HostStates,
  Effect.gen(function*() {
    const sql = yield* SqlClient.SqlClient
    const outbox = yield* Outbox.Outbox
    return HostStates.of({
      reachable: Effect.map(
        sql<{ host_id: HostId; reachable: number }>`SELECT host_id, reachable FROM host_states`,
        (rows) => new Map(rows.map((row) => [row.host_id, row.reachable === 1]))
      ),
      record: (pulse) =>
        sql`INSERT INTO host_states ${
          sql.insert({
            host_id: pulse.hostId,
            reachable: pulse.reachable ? 1 : 0,
            occurred_at: DateTime.toEpochMillis(pulse.occurredAt)
          })
        } ON CONFLICT (host_id) DO UPDATE SET reachable = excluded.reachable, occurred_at = excluded.occurred_at`.pipe(
          Effect.andThen(outbox.append(pulse)),
          sql.withTransaction
        )
    })
  })
).pipe(Layer.provide(Outbox.layer))
