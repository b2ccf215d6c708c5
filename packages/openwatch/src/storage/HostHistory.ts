/**
 * The past of each host: its last 500 probes, its response times on each of the last 90 days (in UTC), and when it was
 * in which state.
 *
 * A probe is appended to a text in the row of its host (see `ProbeLog`). That row is written for each probe anyway.
 * When the text is full, it becomes a chunk, and its probes are counted in the histogram of their day. So a probe
 * writes a fiftieth of the further rows. A state becomes a row when it is over. The last probe says until when the
 * present state was seen.
 *
 * Rows have a number for their host, not its id. There are 90 rows for each host, and a renamed host keeps its number.
 */
import { Array, Context, Effect, Layer } from "effect"
import * as SqlClient from "effect/sql/SqlClient"
import type * as SqlError from "effect/sql/SqlError"
import type { HostId } from "../events/HostId.ts"
import * as ProbeLog from "../host-history/ProbeLog.ts"
import * as ResponseTimes from "../host-history/ResponseTimes.ts"
import type { Span } from "../host-history/Uptime.ts"

/** What the probes of one day in UTC have found. */
export interface Day {
  /** How many days after 1970-01-01 it was. */
  readonly day: number
  /** How many probes were not answered. */
  readonly failed: number
  /** The response times of the others. */
  readonly responseTimes: ResponseTimes.Histogram
}

/** What is kept of a host. */
export interface Past {
  /** The last 500, oldest first. */
  readonly probes: ReadonlyArray<ProbeLog.ProbeSample>
  /** Those of the last 90 on which it was probed, oldest first. */
  readonly days: ReadonlyArray<Day>
  /** When it was in which state, oldest first, for 90 days. */
  readonly spans: ReadonlyArray<Span>
}

/** How many probes of a host are kept at least. */
export const keptProbes = 500

/** For how many days histograms and states are kept. */
export const keptDays = 90

/** Reads what is kept. */
export class HostHistory extends Context.Service<HostHistory, {
  /** The past of a host; empty where nothing is kept of it. */
  readonly of: (hostId: HostId) => Effect.Effect<Past, SqlError.SqlError>
}>()("@openwatch/openwatch/storage/HostHistory") {}

/** A text with so many characters is full. It has some fifty probes. */
export const fullLog = 600

const dayLength = 86_400_000
const dayOf = ({ at }: ProbeLog.ProbeSample): number => Math.floor(at / dayLength)

// As in `HostStates`.
const batchSize = 500

interface DayRow {
  readonly host: number | bigint
  readonly day: number
  readonly failed: number
  readonly times: string
}

/** Adds probes to the histograms of their days. */
const count = (days: Map<number, Day>, samples: ReadonlyArray<ProbeLog.ProbeSample>): void => {
  for (const [day, of] of Map.groupBy(samples, dayOf)) {
    const { failed = 0, responseTimes = new Map<number, number>() } = days.get(day) ?? {}
    const answers = of.flatMap(({ responseTimeMs }) => responseTimeMs === undefined ? [] : [responseTimeMs])
    ResponseTimes.add(responseTimes, answers)
    days.set(day, { day, failed: failed + of.length - answers.length, responseTimes })
  }
}

const toDay = ({ day, failed, times }: DayRow): Day => ({ day, failed, responseTimes: ResponseTimes.decode(times) })

/** A text that is full, and whose it is. */
export interface FullLog {
  readonly hostId: HostId
  readonly log: string
}

/** How history is written: each of these within the transaction of what it is the history of. */
export const writer = (sql: SqlClient.SqlClient) => {
  const hostsOf = Effect.fnUntraced(function*(hostIds: Array.NonEmptyReadonlyArray<HostId>) {
    const rows = Array.map(hostIds, (host_id) => ({ host_id }))
    yield* sql`INSERT INTO history_hosts ${sql.insert(rows)} ON CONFLICT (host_id) DO NOTHING`
    const found = yield* sql<{ seq: number | bigint; host_id: HostId }>`SELECT seq, host_id FROM history_hosts
      WHERE ${sql.in("host_id", hostIds)}`
    return new Map(found.map(({ host_id, seq }) => [host_id, Number(seq)]))
  })

  /** Moves full texts into chunks, counts what they hold, and drops what is too old. */
  const keep = Effect.fnUntraced(function*(logs: Array.NonEmptyReadonlyArray<FullLog>) {
    const hosts = yield* hostsOf(Array.map(logs, ({ hostId }) => hostId))
    const ids = [...hosts.values()]
    const full = Array.map(logs, ({ hostId, log }) => ({ host: hosts.get(hostId)!, samples: ProbeLog.decode(log) }))
    yield* sql`INSERT INTO probe_chunks ${
      sql.insert(Array.map(full, ({ host, samples }) => ({
        host,
        began_at: samples[0]!.at,
        probes: samples.length,
        log: ProbeLog.encode(samples)
      })))
    } ON CONFLICT (host, began_at) DO UPDATE SET probes = excluded.probes, log = excluded.log`
    yield* sql`DELETE FROM probe_chunks WHERE ${sql.in("host", ids)} AND (
      SELECT SUM(newer.probes) FROM probe_chunks AS newer
      WHERE newer.host = probe_chunks.host AND newer.began_at > probe_chunks.began_at
    ) >= ${keptProbes}`

    const newest = Math.max(...full.map(({ samples }) => samples.at(-1)!.at))
    const before = Math.floor(newest / dayLength) - keptDays
    yield* sql`DELETE FROM host_days WHERE ${sql.in("host", ids)} AND day <= ${before}`
    yield* sql`DELETE FROM host_spans WHERE ${sql.in("host", ids)} AND until < ${newest - keptDays * dayLength}`

    const oldestDay = Math.min(...full.map(({ samples }) => dayOf(samples[0]!)))
    const stored = Map.groupBy(
      yield* sql<DayRow>`SELECT host, day, failed, times FROM host_days
        WHERE ${sql.in("host", ids)} AND day >= ${oldestDay}`,
      ({ host }) => Number(host)
    )
    const rows = full.flatMap(({ host, samples }) => {
      const days = new Map((stored.get(host) ?? []).map((row) => [row.day, toDay(row)]))
      count(days, samples)
      return [...new Set(samples.map(dayOf))].map((day) => {
        const { failed, responseTimes } = days.get(day)!
        return { host, day, failed, times: ResponseTimes.encode(responseTimes) }
      })
    })
    for (const batch of Array.chunksOf(rows, batchSize)) {
      yield* sql`INSERT INTO host_days ${sql.insert(batch)}
        ON CONFLICT (host, day) DO UPDATE SET failed = excluded.failed, times = excluded.times`
    }
  })

  /**
   * Stores that the present states of these hosts are over: at the time given for a host, or else at its last probe. A
   * host that was never judged has no state.
   */
  const endStates = Effect.fnUntraced(function*(hostIds: ReadonlyArray<HostId>, end: {
    readonly until?: ReadonlyMap<HostId, number>
    /** Whether it is over, by since when the host was judged. */
    readonly isOver?: (hostId: HostId, judgedSince: number) => boolean
  }) {
    const states = yield* presentStates(sql, hostIds)
    const over = states.flatMap((row) => {
      const span = spanOf(row, end.until?.get(row.host_id))
      const isOver = end.isOver?.(row.host_id, Number(row.judged_since)) ?? true
      return span === undefined || !isOver ? [] : [{ hostId: row.host_id, span }]
    })
    if (!Array.isArrayNonEmpty(over)) return
    const hosts = yield* hostsOf(Array.map(over, ({ hostId }) => hostId))
    const rows = Array.map(over, ({ hostId, span: { reachable, since, until } }) => ({
      host: hosts.get(hostId)!,
      since,
      until,
      reachable: reachable ? 1 : 0
    }))
    yield* sql`INSERT INTO host_spans ${sql.insert(rows)}
      ON CONFLICT (host, since) DO UPDATE SET until = excluded.until, reachable = excluded.reachable`
  })

  const forget = Effect.fnUntraced(function*(hostId: HostId) {
    yield* sql`UPDATE host_probes SET recent = '', judged_since = NULL WHERE host_id = ${hostId}`
    for (const table of ["probe_chunks", "host_days", "host_spans"]) {
      yield* sql`DELETE FROM ${sql(table)} WHERE host = (SELECT seq FROM history_hosts WHERE host_id = ${hostId})`
    }
    yield* sql`DELETE FROM history_hosts WHERE host_id = ${hostId}`
  })

  return {
    keep,
    endStates,
    /** Drops what is kept of a host. */
    forget,
    /** Moves what is kept of a host to another id, in place of what is kept of that one. */
    move: Effect.fnUntraced(function*(from: HostId, to: HostId) {
      yield* forget(to)
      yield* sql`UPDATE history_hosts SET host_id = ${to} WHERE host_id = ${from}`
    })
  }
}

interface StateRow {
  readonly host_id: HostId
  readonly reachable: number
  readonly occurred_at: number | bigint
  readonly judged_since: number | bigint
  readonly probed_at: number | bigint
}

/** The present states of hosts that somebody has judged. */
const presentStates = (sql: SqlClient.SqlClient, hostIds: ReadonlyArray<HostId>) =>
  sql<StateRow>`SELECT s.host_id, s.reachable, s.occurred_at, p.judged_since, p.probed_at
    FROM host_states AS s JOIN host_probes AS p ON p.host_id = s.host_id
    WHERE ${sql.in("s.host_id", hostIds)} AND p.judged_since IS NOT NULL`

/** The present state, as far as it was seen; none where it is not older than its end. */
const spanOf = (
  { judged_since, occurred_at, probed_at, reachable }: StateRow,
  end?: number
): Span | undefined => {
  const since = Math.max(Number(occurred_at), Number(judged_since))
  const until = end ?? Number(probed_at)
  return since < until ? { since, until, reachable: reachable === 1 } : undefined
}

/** The history in the database. */
export const layer: Layer.Layer<HostHistory, never, SqlClient.SqlClient> = Layer.effect(
  HostHistory,
  Effect.gen(function*() {
    const sql = yield* SqlClient.SqlClient

    const of = Effect.fnUntraced(function*(hostId: HostId) {
      const host = sql`(SELECT seq FROM history_hosts WHERE host_id = ${hostId})`
      const chunks = yield* sql<{ log: string }>`SELECT log FROM probe_chunks WHERE host = ${host} ORDER BY began_at`
      const [probe] = yield* sql<{ recent: string }>`SELECT recent FROM host_probes WHERE host_id = ${hostId}`
      const days = yield* sql<DayRow>`SELECT host, day, failed, times FROM host_days WHERE host = ${host} ORDER BY day`
      const spans = yield* sql<{ since: number | bigint; until: number | bigint; reachable: number }>`
        SELECT since, until, reachable FROM host_spans WHERE host = ${host} ORDER BY since`
      const [state] = yield* presentStates(sql, [hostId])
      const present = state === undefined ? undefined : spanOf(state)

      const recent = ProbeLog.decode(probe?.recent ?? "")
      const counted = new Map(days.map((row) => [row.day, toDay(row)]))
      count(counted, recent)
      const past: Past = {
        probes: ProbeLog.decode([...chunks.map(({ log }) => log), probe?.recent ?? ""].join("")).slice(-keptProbes),
        days: [...counted.values()].toSorted((a, b) => a.day - b.day).slice(-keptDays),
        spans: [
          ...spans.map(({ reachable, since, until }) => ({
            since: Number(since),
            until: Number(until),
            reachable: reachable === 1
          })),
          ...(present === undefined ? [] : [present])
        ]
      }
      return past
    })

    return HostHistory.of({ of })
  })
)
