/**
 * The scans that were taken in, as they are read again, on both databases.
 */
import { NodeServices } from "@effect/platform-node"
import { assert, describe, it, vi } from "@effect/vitest"
import { type ChangedRule, FleetCounts, Host, hostIdFromName, HostStates, Scans, Storage } from "@openwatch/openwatch"
import { Array, DateTime, Effect, Layer } from "effect"
import { SqlClient } from "effect/sql"
import { Database, databases, outboxes } from "./Database.ts"

vi.setConfig({ testTimeout: 60_000 })

const web = hostIdFromName("web")
const cis = "xccdf_org.example_profile_cis_level1"

const rule = (id: string, severity: ChangedRule["severity"] = "medium", title?: string): ChangedRule => ({
  id,
  severity,
  ...(title === undefined ? {} : { title })
})

const scan = (n: number, of: Partial<Scans.NewScan> = {}): Scans.NewScan => ({
  scanId: `0000000${n}-0000-5000-8000-000000000000`,
  formerScanId: `former ${n}`,
  hostId: web,
  hostName: "web",
  series: { benchmark: "os", profile: cis },
  score: 50 + n,
  scannedAt: DateTime.makeUnsafe(n * 1_000),
  outcome: { passed: ["a"], failed: ["b", "c"] },
  failing: [rule("b"), rule("c", "high", "The c")],
  ...of
})

const record = (stored: Scans.NewScan) =>
  Effect.flatMap(Scans.Scans, (scans) =>
    scans.record(stored, () => ({
      outcome: "first",
      event: undefined,
      known: { told: stored.outcome, highest: stored.score, lowest: stored.score, fellFrom: undefined }
    })))

const withScans = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
  Effect.flatMap(Database, ({ empty }) =>
    Effect.flatMap(empty, (location) =>
      effect.pipe(
        Effect.provide(Layer.fresh(
          Layer.mergeAll(FleetCounts.layer, HostStates.layer, Scans.layer).pipe(
            Layer.provideMerge(outboxes),
            Layer.provideMerge(Storage.layer(location))
          )
        )),
        Effect.scoped
      )))

for (const { isPostgres, isSkipped, layer, name } of databases) {
  describe.skipIf(isSkipped)(`scans on ${name}`, () => {
    it.layer(layer.pipe(Layer.provideMerge(NodeServices.layer)), {
      timeout: "60 seconds",
      excludeTestServices: isPostgres
    })((it) => {
      it.effect("are found by host, by profile and by the beginning of an id, the newest first", () =>
        Effect.gen(function*() {
          const scans = yield* Scans.Scans
          const states = yield* HostStates.HostStates
          const stig = { benchmark: "os", profile: "xccdf_org.example_profile_stig" }
          const db = { hostId: hostIdFromName("db"), hostName: "db.example.org" }
          yield* states.takeInventory([new Host({ id: web, name: "www", address: "192.0.2.1", port: 22 })])
          for (const one of [scan(2), scan(1), scan(3, { series: stig }), scan(4, db)]) yield* record(one)
          const found = (filter?: Scans.Filter) =>
            Effect.map(scans.list(filter), (found) => found.map(({ score }) => score - 50))
          assert.deepStrictEqual(yield* found(), [4, 3, 2, 1])
          assert.deepStrictEqual(yield* found({ limit: 2 }), [4, 3])
          for (const host of ["web", "WWW", web, web.toUpperCase()]) {
            assert.deepStrictEqual(yield* found({ host }), [3, 2, 1], host)
          }
          for (const profile of [cis, "cis_level1"]) {
            assert.deepStrictEqual(yield* found({ profile }), [4, 2, 1], profile)
          }
          for (const profile of ["cis", "level1", "%", "cis%level1"]) {
            assert.deepStrictEqual(yield* found({ profile }), [], profile)
          }
          assert.deepStrictEqual(yield* found({ host: "db.example.org", profile: "stig" }), [])
          assert.deepStrictEqual(
            (yield* scans.list()).map(({ hostName }) => hostName),
            ["db.example.org", "www", "www", "www"]
          )
          assert.strictEqual((yield* scans.find("00000002-0000")).length, 1)
          assert.strictEqual((yield* scans.find("000000")).length, 2)
          assert.deepStrictEqual(yield* scans.find("ffffff"), [])
        }).pipe(withScans))

      it.effect("have the rules that fail, the most severe first; each rule is stored once", () =>
        Effect.gen(function*() {
          const scans = yield* Scans.Scans
          const many = Array.makeBy(1_203, (n) => rule(`rule ${n}`, n === 700 ? "critical" : "low"))
          yield* record(scan(1))
          yield* record(scan(2, { failing: [rule("b"), rule("c", "high", "The new c")] }))
          yield* record(scan(3, { failing: many }))
          yield* record(scan(4, { failing: [], outcome: { passed: ["a"], failed: [] } }))
          const failing = (id: string) => Effect.map(scans.find(id), ([scan]) => scan?.failing)
          assert.deepStrictEqual(yield* failing("00000001"), [rule("c", "high", "The c"), rule("b")])
          assert.deepStrictEqual(yield* failing("00000002"), [rule("c", "high", "The new c"), rule("b")])
          const [first, ...others] = (yield* failing("00000003"))!
          assert.deepStrictEqual([first, others.length], [rule("rule 700", "critical"), 1_202])
          assert.deepStrictEqual(yield* failing("00000004"), [])
          const [{ rules } = { rules: 0 }] = yield* (yield* SqlClient.SqlClient)<{ rules: number | bigint }>`
            SELECT COUNT(*) AS rules FROM rules`
          assert.strictEqual(Number(rules), 3 + 1_203)
          assert.deepStrictEqual((yield* scans.list()).map(({ counts }) => counts?.failed), [0, 2, 2, 2])
        }).pipe(withScans))

      it.effect("a host that is renamed has its score, or that of a later scan under its new name", () =>
        Effect.gen(function*() {
          const scans = yield* Scans.Scans
          const { takeInventory } = yield* HostStates.HostStates
          const id = (name: string) => hostIdFromName(name)
          const host = (name: string, address: string) => new Host({ id: id(name), name, address, port: 22 })
          yield* takeInventory([host("a", "192.0.2.1"), host("b", "192.0.2.2"), host("c", "192.0.2.3")])
          yield* scans.recordHistory(scan(3, { hostId: id("a") }))
          yield* scans.recordHistory(scan(4, { hostId: id("b") }))
          yield* scans.recordHistory(scan(5, { hostId: id("c") }))
          yield* scans.recordHistory(scan(2, { hostId: id("new b") }))
          yield* scans.recordHistory(scan(6, { hostId: id("new c") }))
          yield* takeInventory([host("new a", "192.0.2.1"), host("new b", "192.0.2.2"), host("new c", "192.0.2.3")])
          assert.deepStrictEqual(
            yield* scans.lastScores,
            new Map([[id("new a"), 53], [id("new b"), 54], [id("new c"), 56]])
          )
        }).pipe(withScans))

      // @spec system-drift-detector
      // @ac AC-28
      it.effect("[system-drift-detector/AC-28] the score of a host is that of the scan that ended last, however it was taken in", () =>
        Effect.gen(function*() {
          const scans = yield* Scans.Scans
          const shown = Effect.gen(function*() {
            const chart = (yield* scans.scores(web)).at(-1)?.score
            const newest = (yield* scans.newest(web))[0]?.score
            return [(yield* scans.lastScores).get(web), chart, newest]
          })
          assert.deepStrictEqual(yield* shown, [undefined, undefined, undefined])
          yield* scans.recordHistory(scan(2))
          assert.deepStrictEqual(yield* shown, [52, 52, 52])
          yield* record(scan(4, { series: { benchmark: "os", profile: "stig" } }))
          yield* record(scan(3))
          assert.deepStrictEqual(yield* shown, [54, 54, 54])
          yield* scans.recordHistory(scan(6))
          assert.deepStrictEqual(yield* shown, [56, 56, 56])
          // Older than the newest, and so for the history.
          yield* record(scan(5))
          assert.deepStrictEqual(yield* shown, [56, 56, 56])
          assert.deepStrictEqual((yield* scans.newest(web)).map(({ score }) => score), [56, 54])
          const { newestScans } = yield* (yield* FleetCounts.FleetCounts).read
          assert.sameDeepMembers(newestScans.map(({ endedAt, score }) => [score, endedAt]), [[56, 6_000], [54, 4_000]])
        }).pipe(withScans))
    })
  })
}
