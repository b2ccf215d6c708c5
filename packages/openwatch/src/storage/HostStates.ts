/**
 * What is known of the hosts: whether they were reachable, and when they were probed.
 *
 * With it a restart does not begin anew. A host that recovered while OpenWatch was down is reported as recovered. One
 * that is still down is no news. Each host is probed when it would have been probed without the restart.
 */
import { Outage } from "@openwatch/event-bus-sql"
import { Array, Context, DateTime, Effect, Layer, Semaphore } from "effect"
import * as SqlClient from "effect/sql/SqlClient"
import type * as SqlError from "effect/sql/SqlError"
import { changeOf, HeartbeatPulse, type Reason } from "../events/HeartbeatPulse.ts"
import type { HostId } from "../events/HostId.ts"
import { storeIn, SystemOutbox } from "../events/SystemOutbox.ts"
import * as ProbeLog from "../host-history/ProbeLog.ts"
import type { Host } from "../inventory/Host.ts"
import { alone } from "./alone.ts"
import * as HostHistory from "./HostHistory.ts"
import { storeScore } from "./hostScores.ts"
import { inGroups } from "./inGroups.ts"

/** What the last transition of a host found. */
export interface Verdict {
  readonly reachable: boolean
  /** When it became so. */
  readonly since: DateTime.Utc
  /** How long the probe took that found it reachable, in milliseconds. `undefined` if it is not reachable. */
  readonly responseTimeMs: number | undefined
  /** Why it is not reachable, if that is known. */
  readonly reason: Reason | undefined
  /** Whether it changes so often that single changes are not reported. */
  readonly isFlapping: boolean
}

/** The last probe of a host. */
export interface ProbeRecord {
  readonly hostId: HostId
  /** Where it was probed, `address:port`. */
  readonly endpoint: string
  /** How many probes of it there have been. */
  readonly probes: number
  /** How many probes in a row have failed. */
  readonly failures: number
  /** When the last one began, in milliseconds since 1970. */
  readonly probedAt: number
  /** Whether the host is judged. False if this machine has not been able to judge it for too long. */
  readonly isJudged: boolean
  /** Since when it was judged without a gap, in milliseconds since 1970. `undefined` if it was never judged. */
  readonly judgedSince: number | undefined
}

/** Returns the state of a host. A host that this machine cannot judge is `unjudged`. */
export const stateOf = (
  verdict: Verdict | undefined,
  probe: ProbeRecord | undefined
): "reachable" | "unreachable" | "unjudged" | "unknown" => {
  if (probe?.isJudged === false) return "unjudged"
  if (verdict === undefined) return "unknown"
  return verdict.reachable ? "reachable" : "unreachable"
}

/** The last probe of a host, and those that are not stored yet. */
export interface ProbeReport extends ProbeRecord {
  readonly samples: ReadonlyArray<ProbeLog.ProbeSample>
}

/** What is stored of a transition. */
interface Transition {
  readonly pulse: HeartbeatPulse
  readonly isTold: boolean
  readonly knownUntil: number
}

interface VerdictRow {
  readonly host_id: HostId
  readonly reachable: number
  readonly occurred_at: number | bigint
  readonly response_time_ms: number | null
  readonly reason: string | null
  readonly flapping: number
}

interface ProbeRow {
  readonly host_id: HostId
  readonly endpoint: string
  readonly probes: number | bigint
  readonly failures: number
  readonly probed_at: number | bigint
  readonly judged: number
  readonly judged_since: number | bigint | null
}

interface InventoryRow {
  readonly host_id: HostId
  readonly name: string
  readonly endpoint: string
}

// SQLite takes at most 32,766 parameters in a statement, and one statement at a time keeps the thread.
const batchSize = 500

/** Keeps the last verdict on each host, and its last probe. */
export class HostStates extends Context.Service<HostStates, {
  /** The last verdict on each host that has one. */
  readonly verdicts: Effect.Effect<ReadonlyMap<HostId, Verdict>, SqlError.SqlError>
  /**
   * Stores the verdict of a transition and, unless `isTold` is false, its event: both or none. `knownUntil` says until
   * when the host was known to be in the state that it leaves, in milliseconds since 1970. Default: now.
   */
  readonly record: (
    pulse: HeartbeatPulse,
    isTold?: boolean,
    knownUntil?: number
  ) => Effect.Effect<void, SqlError.SqlError>
  /**
   * Stores which hosts are watched now, and in the same step what this means for those that were watched before:
   *
   * - A new id with the address of exactly one host that is gone is that host, renamed. All that is stored about it
   *   moves to the new id.
   * - For each other host that is gone an event is stored, and its history is deleted. If it was unreachable, its
   *   verdict is deleted too. So it is news if the host comes back and is still unreachable.
   *
   * Returns the new ids of the renamed hosts, by their former ids.
   */
  readonly takeInventory: (
    hosts: ReadonlyArray<Host>
  ) => Effect.Effect<ReadonlyMap<HostId, HostId>, SqlError.SqlError>
  /** The last probe of each host that was probed. */
  readonly probes: Effect.Effect<ReadonlyMap<HostId, ProbeRecord>, SqlError.SqlError>
  /** Stores the last probes of some hosts, in one step. */
  readonly recordProbes: (probes: ReadonlyArray<ProbeReport>) => Effect.Effect<void, SqlError.SqlError>
}>()("@openwatch/openwatch/storage/HostStates") {}

/** The host states in the database. */
export const layer: Layer.Layer<HostStates, never, SqlClient.SqlClient | SystemOutbox> = Layer.effect(
  HostStates,
  Effect.gen(function*() {
    const sql = yield* SqlClient.SqlClient
    const transaction = Outage.inTransaction(sql)
    const publish = storeIn(yield* SystemOutbox)
    const history = HostHistory.writer(sql)
    // On PostgreSQL, two transactions that change several hosts could wait for each other.
    const turn = yield* Semaphore.make(1)
    const transactionInTurn = <A, E>(effect: Effect.Effect<A, E>) => turn.withPermit(transaction(effect))

    const move = Effect.fnUntraced(function*(from: HostId, to: HostId) {
      yield* history.move(from, to)
      for (const table of ["host_states", "host_probes"]) {
        yield* sql`DELETE FROM ${sql(table)} WHERE host_id = ${to}`
        yield* sql`UPDATE ${sql(table)} SET host_id = ${to} WHERE host_id = ${from}`
      }
      yield* sql`UPDATE scans SET host_id = ${to} WHERE host_id = ${from}`
      yield* storeScore(sql, sql`SELECT ${to}, scanned_at, score FROM host_scores WHERE host_id = ${from}`)
      yield* sql`DELETE FROM host_scores WHERE host_id = ${from}`
      yield* sql`UPDATE series SET host_id = ${to} WHERE host_id = ${from} AND NOT EXISTS (
        SELECT 1 FROM series AS own WHERE own.host_id = ${to} AND own.benchmark = series.benchmark
          AND own.profile = series.profile)`
      yield* sql`DELETE FROM maintenance WHERE subject = ${to}`
      yield* sql`UPDATE maintenance SET subject = ${to} WHERE subject = ${from}`
      yield* sql`UPDATE alerts SET host_id = ${to}, dedup_key = REPLACE(dedup_key, ${from}, ${to})
        WHERE host_id = ${from}`
    })

    const remove = Effect.fnUntraced(function*({ endpoint, host_id, name }: InventoryRow) {
      yield* history.forget(host_id)
      yield* sql`DELETE FROM host_states WHERE host_id = ${host_id} AND (reachable = 0 OR flapping = 1)`
      yield* publish(
        new HeartbeatPulse({
          hostId: host_id,
          reachable: false,
          priorReachable: null,
          responseTimeMs: 0,
          change: "removed",
          ...(name === "" ? {} : { host: { name, address: endpoint } }),
          occurredAt: yield* DateTime.now
        })
      )
    })

    const takeInventory = Effect.fnUntraced(function*(hosts: ReadonlyArray<Host>) {
      const before = yield* sql<InventoryRow>`SELECT host_id, name, endpoint FROM inventory`
      const ids = new Set(hosts.map(({ id }) => id))
      const idsBefore = new Set(before.map(({ host_id }) => host_id))
      const gone = before.filter(({ host_id }) => !ids.has(host_id))
      const goneAt = Map.groupBy(gone, ({ endpoint }) => endpoint)
      const nowAt = Map.groupBy(hosts, ({ endpoint }) => endpoint)
      const renamed = new Map<HostId, HostId>()
      for (const { endpoint, host_id } of gone) {
        const [host, ...others] = nowAt.get(endpoint) ?? []
        if (host === undefined || others.length > 0 || goneAt.get(endpoint)!.length > 1) continue
        if (!idsBefore.has(host.id)) renamed.set(host_id, host.id)
      }
      if (renamed.size > 0) yield* alone(sql)
      for (const [from, to] of renamed) yield* move(from, to)
      for (const row of gone) if (!renamed.has(row.host_id)) yield* remove(row)
      yield* sql`DELETE FROM inventory`
      for (const batch of Array.chunksOf(hosts, batchSize)) {
        const rows = Array.map(batch, ({ endpoint, id, name, tags }) => ({
          host_id: id,
          name,
          endpoint,
          tags: JSON.stringify(tags)
        }))
        yield* sql`INSERT INTO inventory ${sql.insert(rows)}`
      }
      return renamed
    })

    const verdictOf = (pulse: HeartbeatPulse) => ({
      host_id: pulse.hostId,
      reachable: pulse.reachable ? 1 : 0,
      occurred_at: DateTime.toEpochMillis(pulse.occurredAt),
      response_time_ms: pulse.reachable ? pulse.responseTimeMs : null,
      reason: pulse.reason === undefined ? null : JSON.stringify(pulse.reason),
      flapping: changeOf(pulse) === "flapping" ? 1 : 0
    })

    const storeTransitions = Effect.fnUntraced(function*(transitions: ReadonlyArray<Transition>) {
      const changes = transitions.filter(({ pulse }) => changeOf(pulse) !== "steady")
      if (Array.isArrayNonEmpty(changes)) {
        const until = new Map(changes.map(({ knownUntil, pulse }) => [pulse.hostId, knownUntil]))
        yield* history.endStates([...until.keys()], { until })
        yield* sql`INSERT INTO host_states ${sql.insert(Array.map(changes, ({ pulse }) => verdictOf(pulse)))}
          ON CONFLICT (host_id) DO UPDATE SET reachable = excluded.reachable, occurred_at = excluded.occurred_at,
            response_time_ms = excluded.response_time_ms, reason = excluded.reason, flapping = excluded.flapping`
      }
      for (const { isTold, pulse } of transitions) {
        // That a host is steady is no change of it: since when it is what it is stays what it was.
        if (changeOf(pulse) === "steady") {
          yield* sql`UPDATE host_states SET flapping = 0 WHERE host_id = ${pulse.hostId}`
        }
        if (isTold) yield* publish(pulse)
      }
      // The probes are stored later, and after a crash may still have the failures from before a recovery.
      const reachable = transitions.flatMap(({ pulse }) => pulse.reachable ? [pulse.hostId] : [])
      if (reachable.length > 0) {
        yield* sql`UPDATE host_probes SET failures = 0 WHERE ${sql.in("host_id", reachable)}`
      }
    })

    const storeProbes = Effect.fnUntraced(function*(batch: Array.NonEmptyReadonlyArray<ProbeReport>) {
      // Between the last probe and the first of these nobody has judged it.
      const judgedAgain = new Map(
        batch.filter(({ judgedSince, samples: [first] }) => first !== undefined && judgedSince === first.at)
          .map(({ hostId, judgedSince }) => [hostId, judgedSince])
      )
      if (judgedAgain.size > 0) {
        const isOver = (hostId: HostId, judgedSince: number) => judgedAgain.get(hostId) !== judgedSince
        yield* history.endStates([...judgedAgain.keys()], { isOver })
      }
      // What was not known to be stored is stored again. Then the last probe is the same, and nothing is appended.
      const stored = yield* sql<{ host_id: HostId; full_log: string | null }>`INSERT INTO host_probes ${
        sql.insert(Array.map(batch, (probe) => ({
          host_id: probe.hostId,
          endpoint: probe.endpoint,
          probes: probe.probes,
          failures: probe.failures,
          probed_at: probe.probedAt,
          judged: probe.isJudged ? 1 : 0,
          judged_since: probe.judgedSince ?? null,
          recent: ProbeLog.encode(probe.samples)
        })))
      } ON CONFLICT (host_id) DO UPDATE SET endpoint = excluded.endpoint, probes = excluded.probes,
        failures = excluded.failures, judged = excluded.judged, judged_since = excluded.judged_since,
        recent = CASE WHEN excluded.probed_at = host_probes.probed_at THEN host_probes.recent
          ELSE host_probes.recent || excluded.recent END,
        probed_at = excluded.probed_at
      RETURNING host_id, CASE WHEN LENGTH(recent) >= ${HostHistory.fullLog} THEN recent END AS full_log`
      const full = stored.flatMap(({ full_log, host_id }) =>
        full_log === null ? [] : [{ hostId: host_id, log: full_log }]
      )
      if (!Array.isArrayNonEmpty(full)) return
      yield* history.keep(full)
      yield* sql`UPDATE host_probes SET recent = '' WHERE ${sql.in("host_id", full.map(({ hostId }) => hostId))}`
    })

    const record = inGroups(
      yield* Effect.scope,
      turn,
      (transitions: ReadonlyArray<Transition>) => transaction(storeTransitions(transitions))
    )

    return HostStates.of({
      verdicts: Effect.map(
        sql<VerdictRow>`SELECT host_id, reachable, occurred_at, response_time_ms, reason, flapping FROM host_states`,
        (rows) =>
          new Map(rows.map((row) => [row.host_id, {
            reachable: row.reachable === 1,
            since: DateTime.makeUnsafe(Number(row.occurred_at)),
            responseTimeMs: row.response_time_ms ?? undefined,
            reason: row.reason === null ? undefined : JSON.parse(row.reason) as Reason,
            isFlapping: row.flapping === 1
          }]))
      ),
      takeInventory: (hosts) => transactionInTurn(takeInventory(hosts)),
      record: (pulse, isTold = true, knownUntil = DateTime.toEpochMillis(pulse.occurredAt)) =>
        record({ pulse, isTold, knownUntil }),
      probes: Effect.map(
        sql<ProbeRow>`SELECT host_id, endpoint, probes, failures, probed_at, judged, judged_since
          FROM host_probes`,
        (rows) =>
          new Map(rows.map((row) => [row.host_id, {
            hostId: row.host_id,
            endpoint: row.endpoint,
            probes: Number(row.probes),
            failures: row.failures,
            probedAt: Number(row.probed_at),
            isJudged: row.judged === 1,
            judgedSince: row.judged_since === null ? undefined : Number(row.judged_since)
          }]))
      ),
      recordProbes: (probes) =>
        transactionInTurn(Effect.forEach(Array.chunksOf(probes, batchSize), storeProbes, { discard: true }))
    })
  })
)
