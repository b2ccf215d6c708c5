/**
 * What is kept of each host's past, on both databases.
 */
import { NodeServices } from "@effect/platform-node"
import { assert, describe, it, vi } from "@effect/vitest"
import {
  HeartbeatPulse,
  Host,
  HostHistory,
  type HostId,
  hostIdFromName,
  HostStates,
  type ProbeLog,
  ResponseTimes,
  Storage
} from "@openwatch/openwatch"
import { Array, DateTime, Effect, Layer } from "effect"
import { SqlClient } from "effect/sql"
import { Database, databases, outboxes } from "./Database.ts"

vi.setConfig({ testTimeout: 60_000 })

const web = hostIdFromName("web")
const minute = 60_000
const day = 86_400_000
/** 23:00 in UTC. */
const evening = Date.UTC(2026, 10, 26, 23)

const sample = (at: number, responseTimeMs = 5): ProbeLog.ProbeSample => ({ at, responseTimeMs })
const failed = (at: number): ProbeLog.ProbeSample => ({ at, responseTimeMs: undefined })

/** Stores probes of a host that was judged without a gap since the first that was ever stored. */
const recordProbes = (samples: ReadonlyArray<ProbeLog.ProbeSample>, judgedSince = evening, hostId: HostId = web) =>
  Effect.flatMap(HostStates.HostStates, (states) =>
    states.recordProbes([{
      hostId,
      endpoint: "192.0.2.1:22",
      probes: samples.length,
      failures: 0,
      probedAt: samples.at(-1)!.at,
      isJudged: true,
      judgedSince,
      samples
    }]))

const pulse = (reachable: boolean, at: number, hostId: HostId = web) =>
  new HeartbeatPulse({
    hostId,
    reachable,
    priorReachable: !reachable,
    responseTimeMs: reachable ? 5 : 0,
    occurredAt: DateTime.makeUnsafe(at)
  })

const past = (hostId: HostId = web) => Effect.flatMap(HostHistory.HostHistory, (history) => history.of(hostId))

const nothing: HostHistory.Past = { probes: [], days: [], spans: [] }

const withStates = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
  Effect.flatMap(Database, ({ empty }) =>
    Effect.flatMap(empty, (location) =>
      effect.pipe(
        Effect.provide(Layer.fresh(
          Layer.mergeAll(HostStates.layer, HostHistory.layer).pipe(
            Layer.provideMerge(outboxes),
            Layer.provideMerge(Storage.layer(location))
          )
        )),
        Effect.scoped
      )))

for (const { isPostgres, isSkipped, layer, name } of databases) {
  describe.skipIf(isSkipped)(`the past of a host on ${name}`, () => {
    it.layer(layer.pipe(Layer.provideMerge(NodeServices.layer)), {
      timeout: "60 seconds",
      excludeTestServices: isPostgres
    })((it) => {
      it.effect("is nothing before it was probed", () =>
        Effect.gen(function*() {
          assert.deepStrictEqual(yield* past(), nothing)
        }).pipe(withStates))

      // @spec system-liveness-loop
      // @ac AC-26
      it.effect("[system-liveness-loop/AC-26] is its last 500 probes, and those of each day as a histogram", () =>
        Effect.gen(function*() {
          const samples = Array.makeBy(
            1_217,
            (n) => n % 7 === 0 ? failed(evening + n * minute) : sample(evening + n * minute, (500 + n) / 100)
          )
          for (const batch of Array.chunksOf(samples, 25)) yield* recordProbes(batch)
          const { days, probes } = yield* past()
          assert.deepStrictEqual(probes, samples.slice(-500))
          assert.deepStrictEqual(
            days.map(({ day, failed, responseTimes }) => [day, failed, ResponseTimes.count(responseTimes)]),
            [[20_783, 9, 51], [20_784, 165, 992]]
          )
          const ofFirst: ResponseTimes.Histogram = new Map()
          ResponseTimes.add(ofFirst, samples.slice(0, 60).flatMap(({ responseTimeMs }) => responseTimeMs ?? []))
          assert.strictEqual(ResponseTimes.encode(days[0]!.responseTimes), ResponseTimes.encode(ofFirst))
        }).pipe(withStates))

      // @spec system-liveness-loop
      // @ac AC-26
      it.effect("[system-liveness-loop/AC-26] has probes once that were stored again, since nobody knew that they were", () =>
        Effect.gen(function*() {
          const samples = Array.makeBy(49, (n) => sample(evening + n * minute))
          yield* recordProbes(samples)
          yield* recordProbes(samples)
          const more = [...samples.slice(-1), sample(evening + 49 * minute), sample(evening + 50 * minute)]
          yield* recordProbes(more)
          // These fill the log, and were counted when they are stored again.
          const full = Array.makeBy(20, (n) => sample(evening + (51 + n / 2) * minute))
          yield* recordProbes(full)
          yield* recordProbes(full)
          const { days, probes } = yield* past()
          assert.strictEqual(probes.length, 71)
          assert.strictEqual(
            days.map(({ responseTimes }) => ResponseTimes.count(responseTimes)).reduce((sum, count) => sum + count),
            71
          )
        }).pipe(withStates))

      // @spec system-liveness-loop
      // @ac AC-26
      it.effect("[system-liveness-loop/AC-26] is of 90 days, and of no more probes than it has to be", () =>
        Effect.gen(function*() {
          const sql = yield* SqlClient.SqlClient
          yield* (yield* HostStates.HostStates).record(pulse(true, evening))
          for (let n = 0; n < 95; n++) {
            const probes = Array.makeBy(60, (m) => sample(evening + n * day + m * minute / 2))
            yield* recordProbes(probes, n === 0 ? evening : probes[0].at)
          }
          const { days, probes, spans } = yield* past()
          assert.deepStrictEqual([probes.length, days.length, days[0]!.day], [500, 90, 20_783 + 5])
          assert.deepStrictEqual(
            days.map(({ responseTimes }) => ResponseTimes.count(responseTimes)),
            Array.makeBy(90, () => 60)
          )
          assert.isAtMost(spans.length, 92)
          assert.strictEqual(spans.at(-1)!.since, evening + 94 * day)
          const [stored] = yield* sql<{ probes: number | bigint; days: number | bigint }>`SELECT
            (SELECT SUM(probes) FROM probe_chunks) AS probes, (SELECT COUNT(*) FROM host_days) AS days`
          assert.isAtMost(Number(stored!.probes), 600)
          assert.strictEqual(Number(stored!.days), 90)
        }).pipe(withStates))

      // @spec system-liveness-loop
      // @ac AC-27
      it.effect("[system-liveness-loop/AC-27] is in which states it was when, without the time in which nobody looked", () =>
        Effect.gen(function*() {
          const states = yield* HostStates.HostStates
          const at = (minutes: number) => evening + minutes * minute
          yield* states.record(pulse(true, at(0)))
          yield* recordProbes([sample(at(0)), sample(at(5))])
          yield* states.record(pulse(false, at(10.5)))
          yield* recordProbes([failed(at(10)), failed(at(10.5))])
          yield* recordProbes([failed(at(15))])
          // OpenWatch was stopped, and finds the host as it was.
          yield* recordProbes([failed(at(100))], at(100))
          yield* recordProbes([failed(at(105))], at(100))
          // It was stopped again, and meanwhile the host came back.
          yield* states.record(pulse(true, at(200)), true, at(105))
          yield* recordProbes([sample(at(200))], at(200))
          yield* recordProbes([sample(at(205))], at(200))
          const spans = [
            { since: at(0), until: at(10.5), reachable: true },
            { since: at(10.5), until: at(15), reachable: false },
            { since: at(100), until: at(105), reachable: false },
            { since: at(200), until: at(205), reachable: true }
          ]
          assert.deepStrictEqual((yield* past()).spans, spans)
          // That the last ones are stored again changes nothing.
          yield* recordProbes([sample(at(200)), sample(at(205))], at(200))
          assert.deepStrictEqual((yield* past()).spans, spans)
        }).pipe(withStates))

      // @spec system-liveness-loop
      // @ac AC-26
      it.effect("[system-liveness-loop/AC-26] goes with a host that is renamed, and with one that is removed", () =>
        Effect.gen(function*() {
          const states = yield* HostStates.HostStates
          const named = (name: string, address: string) =>
            new Host({ id: hostIdFromName(name), name, address, port: 22 })
          yield* states.takeInventory([named("web", "192.0.2.1"), named("db", "192.0.2.2")])
          for (const hostId of [web, hostIdFromName("db")]) {
            yield* states.record(pulse(true, evening, hostId))
            yield* recordProbes(Array.makeBy(70, (n) => sample(evening + n * minute)), evening, hostId)
            yield* states.record(pulse(false, evening + 70 * minute, hostId))
            yield* recordProbes([sample(evening + 71 * minute)], evening, hostId)
          }
          const kept = yield* past()
          assert.deepStrictEqual([kept.probes.length, kept.spans.length, kept.days.length], [71, 2, 2])
          yield* states.takeInventory([named("www", "192.0.2.1")])
          assert.deepStrictEqual(yield* past(hostIdFromName("www")), kept)
          for (const hostId of [web, hostIdFromName("db")]) assert.deepStrictEqual(yield* past(hostId), nothing)
          const [rows] = yield* (yield* SqlClient.SqlClient)<{ count: number | bigint }>`SELECT
            (SELECT COUNT(*) FROM history_hosts) + (SELECT COUNT(*) FROM probe_chunks) AS count`
          assert.strictEqual(Number(rows!.count), 2)
        }).pipe(withStates))
    })
  })
}
