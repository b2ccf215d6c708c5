/**
 * What the past of 10,000 hosts takes, what one more probe costs, and what the page reads of it: `npm run bench:history`, on
 * PostgreSQL with `DATABASE_URL`.
 *
 * Each host has 500 probes and more, as many as are kept between two times that old ones are dropped, and 90 days with 288
 * answers each. A host answers in 5 to 20 ms, and each twentieth answer takes up to a second. Each has ten scans.
 */
import { NodeRuntime, NodeServices } from "@effect/platform-node"
import {
  HostHistory,
  hostIdFromName,
  HostStates,
  Outboxes,
  ResponseTimes,
  Scans,
  Storage,
  SystemEventBus
} from "@openwatch/openwatch"
import { Array, Console, DateTime, Duration, Effect, FileSystem, Layer } from "effect"
import { SqlClient } from "effect/sql"

const hostCount = Number(process.env["HOSTS"] ?? 10_000)
const probesOfHost = 545
const days = 90
const dayLength = 86_400_000
const interval = 300_000
/** What is probed between two times that probes are stored. */
const flushed = Math.round(hostCount * 5_000 / interval)

const answer = () =>
  Math.round((Math.random() < 0.05 ? 20 + Math.random() ** 3 * 1_000 : 5 + Math.random() ** 2 * 15) * 100) / 100

const hostIds = Array.makeBy(hostCount, (n) => hostIdFromName(`host-${n}`))
const start = Math.floor(Date.now() / dayLength - days) * dayLength

const report = (hostId: HostStates.ProbeRecord["hostId"], from: number, count: number): HostStates.ProbeReport => {
  const samples = Array.makeBy(count, (n) => ({ at: start + (from + n) * interval, responseTimeMs: answer() }))
  return {
    hostId,
    endpoint: "192.0.2.1:22",
    probes: from + count,
    failures: 0,
    probedAt: samples.at(-1)!.at,
    isJudged: true,
    judgedSince: start,
    samples
  }
}

const size = Effect.gen(function*() {
  const sql = yield* SqlClient.SqlClient
  const tables = ["probe_chunks", "host_probes", "host_days", "host_spans", "history_hosts"]
  const rows = yield* sql.onDialectOrElse({
    pg: () =>
      sql<{ bytes: string }>`SELECT SUM(pg_total_relation_size(relid)) AS bytes FROM pg_stat_user_tables
      WHERE ${sql.in("relname", tables)}`,
    orElse: () =>
      sql<{ bytes: number }>`SELECT page_count * page_size AS bytes FROM pragma_page_count, pragma_page_size`
  })
  return Number(rows[0]!.bytes)
})

const megabytes = (bytes: number) => `${(bytes / 1e6).toFixed(1)} MB`

/** How long something takes that is done so many times. */
const timed = Effect.fnUntraced(function*<E, R>(
  name: string,
  rounds: number,
  what: (n: number) => Effect.Effect<unknown, E, R>
) {
  const times: Array<number> = []
  for (let n = 0; n < rounds; n++) {
    const [elapsed] = yield* Effect.timed(what(n))
    times.push(Duration.toMillis(elapsed))
  }
  const sorted = times.toSorted((a, b) => a - b)
  yield* Console.log(
    `${name}: ${sorted[Math.floor(rounds / 2)]!.toFixed(1)} ms, at most ${sorted.at(-1)!.toFixed(1)} ms`
  )
})

const scansOfHost = 10

/** Takes in scans, the last of each host as they all are, and the others at once. */
const takeInScans = Effect.gen(function*() {
  const sql = yield* SqlClient.SqlClient
  const scans = yield* Scans.Scans
  const takenAt = (n: number) => start + n * dayLength
  for (let n = 1; n < scansOfHost; n++) {
    for (const batch of Array.chunksOf(hostIds, 500)) {
      const rows = Array.map(batch, (hostId) => ({
        scan_id: `${n} ${hostId}`,
        host_id: hostId,
        benchmark: "os",
        profile: "cis",
        score: 50,
        scanned_at: takenAt(n)
      }))
      yield* sql`INSERT INTO scans ${sql.insert(rows)}`
    }
  }
  const last = Effect.forEach(hostIds, (hostId, number) =>
    scans.recordHistory({
      scanId: `last ${hostId}`,
      formerScanId: "",
      hostId,
      hostName: "",
      series: { benchmark: "os", profile: "cis" },
      score: number % 100,
      scannedAt: DateTime.makeUnsafe(takenAt(scansOfHost)),
      failing: [],
      outcome: { passed: [], failed: [] }
    }), { discard: true })
  yield* sql.withTransaction(last)
})

const measure = Effect.gen(function*() {
  const sql = yield* SqlClient.SqlClient
  const states = yield* HostStates.HostStates
  const empty = yield* size

  const step = 5
  for (let n = 0; n < probesOfHost; n += step) {
    for (const batch of Array.chunksOf(hostIds, 2_000)) {
      yield* states.recordProbes(batch.map((hostId) => report(hostId, n, step)))
    }
  }
  const probes = (yield* size) - empty
  yield* Console.log(
    `${hostCount} hosts with ${probesOfHost} probes each: ${megabytes(probes)}, ` +
      `${(probes / hostCount / probesOfHost).toFixed(1)} bytes a probe`
  )

  yield* sql`DELETE FROM host_days`
  const before = yield* size
  for (const hosts of Array.chunksOf(Array.makeBy(hostCount, (n) => n + 1), 100)) {
    for (let day = 0; day < days; day++) {
      const rows = Array.map(hosts, (host) => {
        const times: ResponseTimes.Histogram = new Map()
        ResponseTimes.add(times, Array.makeBy(288, answer))
        return { host, day: Math.floor(start / dayLength) + day, failed: 0, times: ResponseTimes.encode(times) }
      })
      yield* sql`INSERT INTO host_days ${sql.insert(rows)}`
    }
  }
  const histograms = (yield* size) - before
  yield* Console.log(
    `${days} days of each: ${megabytes(histograms)}, ` +
      `${(histograms / hostCount / days).toFixed(1)} bytes a day; together ${megabytes((yield* size) - empty)}`
  )

  yield* timed(
    `Storing the ${flushed} probes of 5 s`,
    60,
    (n) =>
      states.recordProbes(
        Array.makeBy(flushed, (m) => report(hostIds[(n * flushed + m) % hostCount]!, probesOfHost + n, 1))
      )
  )

  const scans = yield* Scans.Scans
  const history = yield* HostHistory.HostHistory
  yield* takeInScans
  yield* timed("Reading the last probe of each host", 20, () => states.probes)
  yield* timed(`Reading the last score of each, of ${hostCount * scansOfHost} scans`, 20, () => scans.lastScores)
  yield* timed("Reading the past of one", 20, (n) => history.of(hostIds[n]!))
})

const program = Effect.gen(function*() {
  const path = yield* (yield* FileSystem.FileSystem).makeTempDirectoryScoped()
  const location = yield* Effect.fromResult(
    Storage.locate({ databaseUrl: process.env["DATABASE_URL"], dataFolder: path })
  )
  yield* measure.pipe(Effect.provide(
    Layer.mergeAll(HostStates.layer, HostHistory.layer, Scans.layer).pipe(
      Layer.provideMerge(Outboxes.layer()),
      Layer.provideMerge(SystemEventBus.layer),
      Layer.provideMerge(Storage.layer(location))
    )
  ))
}).pipe(Effect.scoped, Effect.provide(NodeServices.layer))

NodeRuntime.runMain(program)
