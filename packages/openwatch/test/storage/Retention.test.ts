import { NodeServices } from "@effect/platform-node"
import { assert, describe, it } from "@effect/vitest"
import { Outage } from "@openwatch/event-bus-sql"
import { HostId, Retention, Storage } from "@openwatch/openwatch"
import { Array, Clock, Duration, Effect, Fiber, Layer, Logger } from "effect"
import { SqlClient } from "effect/sql"
import { TestClock } from "effect/testing"
import { Database, databases, sqlite } from "./Database.ts"

const retention: Retention.Retention = { alerts: Duration.days(30), scans: Duration.days(10) }

const host = HostId.make("0192d3a4-8f00-7cc0-9a51-3f6b8e0c1d2e")

/** So many days ago. */
const ago = (days: number) => Effect.map(Clock.currentTimeMillis, (now) => now - days * 86_400_000)

interface Past {
  /** In days ago, as `over`. */
  readonly occurred: number
  readonly over?: number
  readonly state?: string
  /** The state of its delivery to a channel. */
  readonly delivery?: string
}

const insertAlert = (id: string, past: Past) =>
  Effect.gen(function*() {
    const sql = yield* SqlClient.SqlClient
    const [row] = yield* sql<{ seq: number }>`INSERT INTO alerts ${
      sql.insert({
        id,
        type: "host_unreachable",
        severity: "high",
        host_id: host,
        dedup_key: id,
        title: id,
        tags: "{}",
        occurred_at: yield* ago(past.occurred),
        state: past.state ?? "resolved",
        resolved_at: past.over === undefined ? null : yield* ago(past.over)
      })
    } RETURNING seq`
    if (past.delivery === undefined) return
    yield* sql`INSERT INTO deliveries ${
      sql.insert({ alert_seq: row!.seq, channel: "pager", state: past.delivery, attempts: 1 })
    }`
  })

const insertScan = (
  id: string,
  days: number | undefined,
  series: { readonly profile?: string; readonly benchmark?: string } = {}
) =>
  Effect.gen(function*() {
    const sql = yield* SqlClient.SqlClient
    yield* sql`INSERT INTO scans ${
      sql.insert({
        scan_id: id,
        host_id: host,
        benchmark: series.benchmark ?? null,
        profile: series.profile ?? "cis",
        score: 50,
        scanned_at: days === undefined ? null : yield* ago(days)
      })
    }`
  })

const idsIn = (table: "alerts" | "scans") =>
  Effect.gen(function*() {
    const sql = yield* SqlClient.SqlClient
    const rows = yield* sql<{ value: string }>`SELECT ${sql(table === "alerts" ? "id" : "scan_id")} AS value
      FROM ${sql(table)}`
    return rows.map(({ value }) => value).toSorted()
  })

const inDatabase = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
  Effect.flatMap(
    Database,
    ({ empty }) =>
      Effect.flatMap(empty, (location) => effect.pipe(Effect.provide(Storage.layer(location)), Effect.scoped))
  )

for (const { isPostgres, isSkipped, layer, name } of databases) {
  describe.skipIf(isSkipped)(`retention on ${name}`, () => {
    it.layer(layer.pipe(Layer.provideMerge(NodeServices.layer)), {
      timeout: "60 seconds",
      excludeTestServices: isPostgres
    })((it) => {
      it.effect("deletes alerts that have been over for too long, with their deliveries, and no other", () =>
        Effect.gen(function*() {
          yield* insertAlert("over long ago", { occurred: 40, over: 31, delivery: "delivered" })
          yield* insertAlert("dismissed long ago", { occurred: 40, over: 31, state: "dismissed", delivery: "given_up" })
          yield* insertAlert("silenced to its end", { occurred: 40, over: 31, delivery: "withheld" })
          yield* insertAlert("of another version, without an end", { occurred: 31 })
          yield* insertAlert("over lately", { occurred: 400, over: 29 })
          yield* insertAlert("open", { occurred: 400, state: "active" })
          yield* insertAlert("acknowledged", { occurred: 400, state: "acknowledged" })
          yield* insertAlert("silenced", { occurred: 400, state: "silenced" })
          yield* insertAlert("on its way", { occurred: 400, over: 399, delivery: "pending" })
          const sql = yield* SqlClient.SqlClient
          yield* sql`INSERT INTO alert_history (alert_seq, from_state, to_state, at, who, why)
            SELECT seq, 'active', state, 0, 'ops', '' FROM alerts`
          assert.deepStrictEqual(yield* Retention.deleteOld(retention), { alerts: 4, scans: 0 })
          assert.strictEqual((yield* sql`SELECT alert_seq FROM alert_history`).length, 5)
          assert.deepStrictEqual(yield* idsIn("alerts"), [
            "acknowledged",
            "on its way",
            "open",
            "over lately",
            "silenced"
          ])
          assert.strictEqual((yield* sql`SELECT alert_seq FROM deliveries`).length, 1)
        }).pipe(inDatabase))

      it.effect("deletes scans that are too old, but for the newest of each series", () =>
        Effect.gen(function*() {
          yield* insertScan("old", 12)
          yield* insertScan("lately", 9)
          yield* insertScan("newest of a profile", 400, { profile: "stig" })
          yield* insertScan("the one before it", 401, { profile: "stig" })
          yield* insertScan("newest of a benchmark", 300, { benchmark: "debian" })
          yield* insertScan("taken in first, of the same time", 299, { benchmark: "apache" })
          yield* insertScan("of the same time", 299, { benchmark: "apache" })
          yield* insertScan("of a time that is not known", undefined)
          assert.deepStrictEqual(yield* Retention.deleteOld(retention), { alerts: 0, scans: 3 })
          assert.deepStrictEqual(yield* idsIn("scans"), [
            "lately",
            "newest of a benchmark",
            "newest of a profile",
            "of a time that is not known",
            "of the same time"
          ])
        }).pipe(inDatabase))
    })
  })
}

describe("retention", () => {
  it.layer(sqlite.pipe(Layer.provideMerge(NodeServices.layer)))((it) => {
    it.effect("deletes a year of scans in small steps, between which others write", () =>
      Effect.gen(function*() {
        const sql = yield* SqlClient.SqlClient
        const now = yield* Clock.currentTimeMillis
        const rows = Array.makeBy(1_200, (n) => ({
          scan_id: `scan-${n}`,
          host_id: host,
          profile: "cis",
          score: 50,
          scanned_at: now - (n + 11) * 86_400_000
        }))
        // More than a step that are the newest of their series.
        const kept = Array.makeBy(600, (n) => ({
          scan_id: `kept-${n}`,
          host_id: host,
          profile: `profile ${n}`,
          score: 50,
          scanned_at: now - 10_000 * 86_400_000
        }))
        yield* sql`INSERT INTO scans ${sql.insert([...kept, ...rows])}`
        const fiber = yield* Effect.forkChild(Retention.deleteOld(retention), { startImmediately: true })
        const left: Array<number> = []
        for (let step = 0; step < 20 && fiber.pollUnsafe() === undefined; step++) {
          left.push((yield* idsIn("scans")).length - kept.length)
          yield* TestClock.adjust("100 millis")
        }
        assert.isDefined(fiber.pollUnsafe())
        assert.deepStrictEqual(yield* Fiber.join(fiber), { alerts: 0, scans: 1_199 })
        assert.deepStrictEqual((yield* idsIn("scans")).filter((id) => !id.startsWith("kept")), ["scan-0"])
        assert.deepStrictEqual(left, [1_200, 800, 300])
      }).pipe(inDatabase))

    it.effect("deletes at once and every hour, and says how much", () => {
      const lines: Array<string> = []
      const logger = Logger.make(({ message }) => void lines.push(String(message)))
      return Effect.gen(function*() {
        yield* insertScan("old", 12)
        yield* insertScan("new", 0)
        yield* insertAlert("over", { occurred: 29.99, over: 29.99 })
        yield* Layer.build(Retention.layer(retention))
        yield* TestClock.adjust("1 minute")
        assert.deepStrictEqual(yield* idsIn("scans"), ["new"])
        assert.deepStrictEqual(yield* idsIn("alerts"), ["over"])
        yield* TestClock.adjust("1 hour")
        assert.deepStrictEqual(yield* idsIn("alerts"), [])
        assert.deepStrictEqual(lines, [
          "Deleted 0 alerts and 1 scan, which are kept for 30d and 10d",
          "Deleted 1 alert and 0 scans, which are kept for 30d and 10d"
        ])
      }).pipe(Effect.provide(Logger.layer([logger])), inDatabase)
    })

    it.effect("goes on after an outage of the database, at the next hour", () =>
      Effect.gen(function*() {
        const sql = yield* SqlClient.SqlClient
        yield* insertScan("old", 12)
        yield* insertScan("new", 0)
        yield* sql`ALTER TABLE deliveries RENAME TO elsewhere`
        yield* Layer.build(Retention.layer(retention))
        yield* TestClock.adjust("1 minute")
        assert.strictEqual((yield* idsIn("scans")).length, 2)
        yield* sql`ALTER TABLE elsewhere RENAME TO deliveries`
        yield* TestClock.adjust("1 hour")
        assert.deepStrictEqual(yield* idsIn("scans"), ["new"])
      }).pipe(Effect.provideServiceEffect(Outage.CurrentOutages, Outage.none), inDatabase))
  })
})
