import { NodeServices } from "@effect/platform-node"
import * as PgClient from "@effect/sql-pg/PgClient"
import { assert, describe, it } from "@effect/vitest"
import { Outage } from "@openwatch/event-bus-sql"
import {
  type AlertChannel,
  AlertChannels,
  AlertRouter,
  AlertStore,
  DriftDetected,
  eventIdOf,
  HeartbeatPulse,
  Host,
  hostIdFromName,
  HostStates,
  Outboxes,
  PagerDutyChannel,
  RunLock,
  Scans,
  SqlAlertStore,
  SqlDeliveryStore,
  Storage,
  SystemEventBus,
  SystemOutbox
} from "@openwatch/openwatch"
import {
  DateTime,
  Duration,
  Effect,
  Exit,
  Fiber,
  FileSystem,
  Layer,
  Logger,
  Option,
  Queue,
  Redacted,
  Result,
  Schedule
} from "effect"
import { Migrator, SqlClient } from "effect/sql"
import { TestClock } from "effect/testing"
import { cluster } from "../../../../test/servers/Postgres.ts"
import { type Alert, fromEvent } from "../../src/alert-router/Alert.ts"
import type { Known } from "../../src/drift-detector/Drift.ts"
import { storeIn } from "../../src/events/SystemOutbox.ts"
import { migrations, schemaVersion } from "../../src/storage/migrations.ts"
import { Database, databases, location, outboxes, sqlite, storedEvents } from "./Database.ts"

const web = hostIdFromName("web")
const db = hostIdFromName("db")

const pulse = (hostId: typeof web, reachable: boolean, at: number, priorReachable: boolean | null = !reachable) =>
  new HeartbeatPulse({
    hostId,
    reachable,
    priorReachable,
    responseTimeMs: reachable ? 12.34 : 0,
    occurredAt: DateTime.makeUnsafe(at)
  })

const none = { critical: 0, high: 0, medium: 0, low: 0 }

const drift = (scanId: string, more: Partial<Pick<DriftDetected, "series">> = {}) =>
  new DriftDetected({
    ...more,
    hostId: web,
    scanId,
    driftType: "major",
    priorScore: 90.91,
    currentScore: 77.27,
    scoreDelta: -13.64,
    becameFailing: { ...none, medium: 3 },
    becamePassing: none,
    occurredAt: DateTime.makeUnsafe(1_000)
  })

let ids = 0
const submission = (event: HeartbeatPulse | DriftDetected, channels: ReadonlyArray<string> = []) => {
  const id = `01936b0e-0000-7000-8000-${String(++ids).padStart(12, "0")}`
  const consequence = fromEvent(event, { id, hostLabel: "web" })
  return { ...consequence, alert: consequence.alert!, event, channels, timeToLive: Duration.minutes(60) }
}

/** Stores what follows from an event in one step. */
const submit = (event: HeartbeatPulse | DriftDetected, channels?: ReadonlyArray<string>) =>
  Effect.gen(function*() {
    const store = yield* AlertStore.AlertStore
    const sql = yield* SqlClient.SqlClient
    return yield* Outage.inTransaction(sql)(store.submit(submission(event, channels)))
  })

const services = (location: Storage.Location) =>
  Layer.mergeAll(SqlAlertStore.layer, SqlDeliveryStore.layer, HostStates.layer, Scans.layer).pipe(
    Layer.provideMerge(outboxes),
    Layer.provideMerge(Storage.layer(location)),
    // Each time anew, as a process has them.
    Layer.fresh
  )

/** With outboxes that look as often as they do in the program. */
const live = (location: Storage.Location) =>
  Layer.mergeAll(SqlAlertStore.layer, SqlDeliveryStore.layer, HostStates.layer, Scans.layer).pipe(
    Layer.provideMerge(Outboxes.layer()),
    Layer.provideMerge(SystemEventBus.layer),
    Layer.provideMerge(Storage.layer(location)),
    Layer.fresh
  )

/** Runs with the services of a new database. */
const withServices = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
  Effect.flatMap(
    Database,
    ({ empty }) => Effect.flatMap(empty, (location) => effect.pipe(Effect.provide(services(location)), Effect.scoped))
  )

for (const { isPostgres, isSkipped, layer, name } of databases) {
  describe.skipIf(isSkipped)(`on ${name}`, () => {
    it.layer(layer.pipe(Layer.provideMerge(NodeServices.layer)), {
      timeout: "60 seconds",
      excludeTestServices: isPostgres
    })((it) => {
      it.effect("what is stored is there when the database is opened again", () =>
        Effect.gen(function*() {
          const location = yield* (yield* Database).empty
          const submitted = submission(pulse(web, false, 1_000), ["ops", "console"])
          yield* Effect.flatMap(AlertStore.AlertStore, (store) => store.submit(submitted)).pipe(
            Effect.provide(services(location))
          )
          const [stored, ...others] = yield* Effect.flatMap(AlertStore.AlertStore, (store) => store.list()).pipe(
            Effect.provide(services(location))
          )
          assert.deepStrictEqual(others, [])
          assert.deepStrictEqual(stored, {
            alert: submitted.alert,
            state: "active",
            silencedUntil: undefined,
            resolvedAt: undefined,
            repeats: 0,
            deliveries: [
              { channel: "console", state: "pending", attempts: 0, lastError: undefined },
              { channel: "ops", state: "pending", attempts: 0, lastError: undefined }
            ]
          })
        }).pipe(Effect.scoped))

      it.effect("eight that open an empty database at once all find it up to date", () =>
        Effect.gen(function*() {
          const location = yield* (yield* Database).empty
          const lists = yield* Effect.forEach(
            Array.from({ length: 8 }),
            () =>
              Effect.flatMap(AlertStore.AlertStore, (store) => store.list()).pipe(
                Effect.provide(services(location), { local: true })
              ),
            { concurrency: "unbounded" }
          )
          assert.deepStrictEqual(lists, Array.from({ length: 8 }, () => []))
        }).pipe(Effect.scoped), 60_000)

      it.effect("a database with a newer schema is refused, and both versions are named", () =>
        Effect.gen(function*() {
          const location = yield* (yield* Database).empty
          yield* Effect.flatMap(SqlClient.SqlClient, (sql) =>
            sql`INSERT INTO openwatch_migrations ${sql.insert({ migration_id: 99, name: "later" })}`).pipe(
              Effect.provide(Storage.layer(location))
            )
          const error = yield* Effect.flip(Layer.build(Storage.layer(location)))
          assert.strictEqual(error._tag, "StorageError")
          assert.include(error.message, `its schema is version 99, this openwatch knows version ${schemaVersion}`)
          assert.include(error.message, Storage.nameOf(location))
        }).pipe(Effect.scoped))

      it.effect("a database with tables of something else is refused, and the table is named", () =>
        Effect.gen(function*() {
          const location = yield* (yield* Database).empty
          yield* Effect.flatMap(SqlClient.SqlClient, (sql) => sql`DROP TABLE openwatch_migrations`).pipe(
            Effect.provide(Storage.layer(location))
          )
          const error = yield* Effect.flip(Layer.build(Storage.layer(location)))
          assert.match(error.message, /cannot be brought up to date: .*alerts.* already exists/)
        }).pipe(Effect.scoped))

      it.effect("two drifts of one key in the same millisecond are two", () =>
        Effect.gen(function*() {
          const store = yield* AlertStore.AlertStore
          const series = { series: { benchmark: "os", profile: "cis" } }
          yield* store.submit(submission(drift("1", series)))
          yield* store.submit(submission(drift("2", series)))
          const alerts = yield* store.list()
          assert.deepStrictEqual(alerts.map(({ state }) => state), ["active", "resolved"])
          assert.strictEqual(alerts[0]?.alert.supersedes, alerts[1]?.alert.id)
        }).pipe(withServices))

      it.effect("an event that is stored again is stored once, and handled once", () =>
        Effect.gen(function*() {
          const outbox = yield* SystemOutbox
          const store = storeIn(outbox)
          const handled: Array<unknown> = []
          yield* outbox.on("HeartbeatPulse", (event) => Effect.sync(() => handled.push(event)), { consumer: "test" })
          const down = pulse(web, false, 1_000)
          yield* store(down)
          yield* store(down)
          yield* store(pulse(web, true, 2_000))
          yield* outbox.awaitIdle
          assert.deepStrictEqual(handled, [down, pulse(web, true, 2_000)])
        }).pipe(Effect.scoped, withServices))

      it.effect("the alerts are listed newest first, by state and by time", () =>
        Effect.gen(function*() {
          const store = yield* AlertStore.AlertStore
          yield* store.submit(submission(pulse(web, false, 1_000)))
          yield* store.submit(submission(pulse(db, false, 2_000)))
          yield* store.submit(submission(pulse(web, true, 3_000)))
          const keys = (alerts: ReadonlyArray<AlertStore.StoredAlert>) => alerts.map(({ alert }) => alert.dedupKey)
          assert.deepStrictEqual(keys(yield* store.list()), [
            `host_recovered|${web}|`,
            `host_unreachable|${db}|`,
            `host_unreachable|${web}|`
          ])
          assert.deepStrictEqual(keys(yield* store.list({ states: ["active"] })), [`host_unreachable|${db}|`])
          assert.deepStrictEqual(keys(yield* store.list({ since: DateTime.makeUnsafe(2_000) })), [
            `host_recovered|${web}|`,
            `host_unreachable|${db}|`
          ])
        }).pipe(withServices))

      it.effect("the alerts are listed by severity and host, and the newest of them", () =>
        Effect.gen(function*() {
          const store = yield* AlertStore.AlertStore
          yield* store.submit(submission(pulse(web, false, 1_000), ["ops"]))
          yield* store.submit(submission(pulse(db, false, 2_000), ["ops"]))
          yield* store.submit(submission(pulse(web, true, 3_000), ["ops"]))
          const listed = (filter: AlertStore.Filter) =>
            Effect.map(store.list(filter), (alerts) =>
              alerts.map(({ alert, deliveries }) =>
                `${alert.type} ${DateTime.toEpochMillis(alert.occurredAt)} ${deliveries.length}`
              ))
          assert.deepStrictEqual(yield* listed({ severities: ["info"] }), ["host_recovered 3000 1"])
          assert.deepStrictEqual(yield* listed({ host: db }), ["host_unreachable 2000 1"])
          // Each host is called web here.
          assert.strictEqual((yield* listed({ host: "web" })).length, 3)
          for (const other of ["we", "w%", "w_b", "eb"]) {
            assert.deepStrictEqual(yield* listed({ host: other }), [])
          }
          assert.deepStrictEqual(yield* listed({ limit: 2 }), ["host_recovered 3000 1", "host_unreachable 2000 1"])
          assert.deepStrictEqual(yield* listed({ limit: 1, severities: ["high"] }), ["host_unreachable 2000 1"])
        }).pipe(withServices))

      it.effect("a transition and its event are stored together, or neither is", () =>
        Effect.gen(function*() {
          const sql = yield* SqlClient.SqlClient
          const states = yield* HostStates.HostStates
          const down = pulse(web, false, 1_000, null)
          const up = pulse(web, true, 2_000)
          yield* states.record(down)
          yield* states.record(up)
          assert.deepStrictEqual([...(yield* states.verdicts)], [
            [web, {
              reachable: true,
              since: DateTime.makeUnsafe(2_000),
              responseTimeMs: 12.34,
              reason: undefined,
              isFlapping: false
            }]
          ])
          yield* sql`ALTER TABLE system_events RENAME TO away`
          yield* Effect.flip(states.record(pulse(web, false, 3_000)))
          yield* sql`ALTER TABLE away RENAME TO system_events`
          assert.isTrue((yield* states.verdicts).get(web)?.reachable)
          assert.deepStrictEqual(yield* storedEvents, [down, up])
        }).pipe(withServices))

      it.effect("transitions of many hosts at once are stored, each with its event, but for one that cannot be", () =>
        Effect.gen(function*() {
          const states = yield* HostStates.HostStates
          const pulses = Array.from({ length: 30 }, (_, n) => pulse(hostIdFromName(`host-${n}`), n % 2 === 0, n, null))
          const [poisoned, ...others] = pulses as [HeartbeatPulse, ...Array<HeartbeatPulse>]
          // Its id is taken.
          const other = pulse(web, true, 1, null)
          yield* (yield* SystemOutbox).publish(other, { id: eventIdOf(poisoned) })
          const exits = yield* Effect.forEach(pulses, (pulse) => Effect.exit(states.record(pulse)), {
            concurrency: "unbounded"
          })
          assert.deepStrictEqual(exits.map(Exit.isSuccess), pulses.map((pulse) => pulse !== poisoned))
          const verdicts = yield* states.verdicts
          assert.deepStrictEqual(
            others.map(({ hostId }) => verdicts.get(hostId)?.reachable),
            others.map(({ reachable }) => reachable)
          )
          assert.strictEqual(verdicts.size, others.length)
          assert.sameDeepMembers([...(yield* storedEvents)], [other, ...others])
        }).pipe(withServices))

      it.effect("what ends for hosts at once ends for each when it was last known", () =>
        Effect.gen(function*() {
          const states = yield* HostStates.HostStates
          const sql = yield* SqlClient.SqlClient
          const hosts = ["a", "b"].map(hostIdFromName)
          const first = hosts.map((host) => pulse(host, true, 1_000, null))
          const atOnce =
            (record: (pulse: HeartbeatPulse, n: number) => ReturnType<typeof states.record>) =>
            (pulses: ReadonlyArray<HeartbeatPulse>) =>
              Effect.forEach(pulses, record, { concurrency: "unbounded", discard: true })
          yield* atOnce((pulse) => states.record(pulse))(first)
          yield* states.recordProbes(hosts.map((hostId) => ({
            hostId,
            endpoint: "192.0.2.1:22",
            probes: 1,
            failures: 1,
            probedAt: 1_000,
            isJudged: true,
            judgedSince: 1_000,
            samples: [{ at: 1_000, responseTimeMs: 1 }]
          })))
          yield* atOnce((pulse, n) => states.record(pulse, true, 5_000 + n))(
            hosts.map((host) => pulse(host, false, 9_000))
          )
          const ends = yield* sql<{ until: number | bigint }>`SELECT until FROM host_spans ORDER BY until`
          assert.deepStrictEqual(ends.map(({ until }) => Number(until)), [5_000, 5_001])
          assert.deepStrictEqual([...(yield* states.probes).values()].map(({ failures }) => failures), [1, 1])
          yield* states.record(pulse(hosts[1]!, true, 10_000))
          const probes = yield* states.probes
          assert.deepStrictEqual(hosts.map((host) => probes.get(host)?.failures), [1, 0])
        }).pipe(withServices))

      it.effect("the last probe of each host is kept", () =>
        Effect.gen(function*() {
          const states = yield* HostStates.HostStates
          const record = (n: number, probes: number) => ({
            hostId: hostIdFromName(`host-${n}`),
            endpoint: "192.0.2.1:22",
            probes,
            failures: 1,
            probedAt: 1_800_000_000_000 + n,
            isJudged: n % 2 === 0,
            judgedSince: 1_700_000_000_000
          })
          const many = Array.from({ length: 1_200 }, (_, n) => record(n, 1))
          yield* states.recordProbes(many.map((record) => ({ ...record, samples: [] })))
          yield* states.recordProbes([{ ...record(7, 2), samples: [] }])
          yield* states.recordProbes([])
          const kept = yield* states.probes
          assert.strictEqual(kept.size, 1_200)
          assert.deepStrictEqual(kept.get(many[7]!.hostId), record(7, 2))
          assert.deepStrictEqual(kept.get(many[1_199]!.hostId), many[1_199])
        }).pipe(withServices))

      const scan = (scanId: string, profile: string, endedAt: number, hostId = web): Scans.NewScan => ({
        scanId,
        formerScanId: `former ${scanId}`,
        hostName: "",
        failing: [],
        hostId,
        series: { benchmark: "os", profile },
        score: 90.9,
        outcome: { passed: [], failed: [] },
        scannedAt: DateTime.makeUnsafe(endedAt)
      })
      const knownOf = (rule: string): Known => ({
        told: { passed: [rule], failed: [] },
        highest: 95,
        lowest: 90.9,
        fellFrom: undefined
      })
      const record = (stored: Scans.NewScan, event?: DriftDetected) =>
        Effect.flatMap(
          Scans.Scans,
          (scans) => scans.record(stored, (known) => ({ outcome: known, event, known: knownOf(stored.scanId) }))
        )

      it.effect("a scan is compared with what is known of its series, and stored once", () =>
        Effect.gen(function*() {
          const scans = yield* Scans.Scans
          const cis = { benchmark: "os", profile: "cis" }
          assert.deepStrictEqual(yield* scans.known(web, cis), Option.none())
          const first = Option.none()
          assert.deepStrictEqual(yield* record(scan("1", "cis", 1)), first)
          assert.deepStrictEqual(yield* record(scan("2", "stig", 1)), first)
          assert.deepStrictEqual(yield* record({ ...scan("w", "cis", 1), series: { ...cis, benchmark: "web" } }), first)
          assert.deepStrictEqual(yield* record(scan("3", "cis", 2), drift("3")), Option.some(knownOf("1")))
          for (const known of ["1", "3"]) {
            assert.strictEqual(yield* record(scan(known, "cis", 3), drift(known)), "known")
          }
          assert.deepStrictEqual(yield* scans.known(web, cis), Option.some(knownOf("3")))
          assert.deepStrictEqual(yield* scans.known(db, cis), Option.none())
          assert.deepStrictEqual(yield* storedEvents, [drift("3")])
        }).pipe(withServices))

      it.effect("a scan that is older than the newest of its series is kept for the history alone", () =>
        Effect.gen(function*() {
          const scans = yield* Scans.Scans
          yield* record(scan("2", "cis", 2))
          assert.strictEqual(yield* record(scan("1", "cis", 1), drift("1")), "history")
          assert.strictEqual(yield* scans.recordHistory(scan("3", "cis", 3)), "history")
          assert.strictEqual(yield* scans.recordHistory(scan("3", "cis", 3)), "known")
          assert.deepStrictEqual(
            yield* scans.known(web, { benchmark: "os", profile: "cis" }),
            Option.some(knownOf("2"))
          )
          assert.deepStrictEqual((yield* scans.scores(web)).map(({ scanId }) => scanId), ["1", "2", "3"])
          assert.deepStrictEqual(yield* storedEvents, [])
        }).pipe(withServices))

      it.effect("all that is stored of a host moves along when it is renamed, where its address is unambiguous", () =>
        Effect.gen(function*() {
          const states = yield* HostStates.HostStates
          const store = yield* AlertStore.AlertStore
          const host = (name: string, address: string) =>
            new Host({ id: hostIdFromName(name), name, address, port: 22 })
          yield* states.takeInventory([host("web", "192.0.2.1"), host("db", "192.0.2.2"), host("a", "192.0.2.3")])
          yield* states.record(pulse(web, false, 1_000))
          yield* store.submit(submission(pulse(web, false, 1_000)))
          yield* store.submit(submission(pulse(db, false, 1_000)))
          yield* record(scan("1", "cis", 1))
          const renamed = yield* states.takeInventory([
            host("www", "192.0.2.1"),
            host("b", "192.0.2.3"),
            host("c", "192.0.2.3")
          ])
          const www = hostIdFromName("www")
          assert.deepStrictEqual([...renamed], [[web, www]])
          const removed = (yield* storedEvents).filter((event) =>
            event._tag === "HeartbeatPulse" && event.change === "removed"
          ) as Array<HeartbeatPulse>
          assert.deepStrictEqual(
            removed.map(({ change, host }) => `${host?.name} ${change}`).toSorted(),
            ["a removed", "db removed"]
          )
          assert.deepStrictEqual([...(yield* states.verdicts).keys()], [www])
          const cis = { benchmark: "os", profile: "cis" }
          assert.isTrue(Option.isSome(yield* (yield* Scans.Scans).known(www, cis)))
          assert.strictEqual((yield* (yield* Scans.Scans).scores(www)).length, 1)
          const open = yield* store.list({ states: ["active"] })
          assert.deepStrictEqual(
            open.map(({ alert }) => `${alert.hostId} ${alert.dedupKey}`).toSorted(),
            [www, db].map((id) => `${id} host_unreachable|${id}|`).toSorted()
          )
          // What it is called comes with the next event: it recovers under its new name.
          yield* store.submit(submission(pulse(www, true, 2_000)))
          // It is the same problem all the same: who has opened an incident of it finds it to close it.
          const recovered = (yield* store.list()).find(({ alert }) => alert.type === "host_recovered")!.alert
          assert.deepInclude(recovered, { hostId: www, problem: `unreachable|${web}` })
          assert.strictEqual(PagerDutyChannel.keyOf(recovered), `unreachable|${web}`)
          for (const event of removed) {
            const consequence = fromEvent(event, { id: "", hostLabel: "" })
            yield* store.submit({ ...consequence, event, channels: [], timeToLive: Duration.minutes(60) })
          }
          assert.deepStrictEqual(yield* store.list({ states: ["active"] }), [])
        }).pipe(withServices))

      it.effect("of scans that are stored at once, each is compared with the one before it", () =>
        Effect.gen(function*() {
          const recorded = yield* Effect.forEach(
            [1, 2, 3, 4, 5, 6],
            (n) => record(scan(String(n), "cis", 1)),
            { concurrency: "unbounded" }
          )
          const compared = recorded.map((outcome) =>
            typeof outcome === "string" ? outcome : Option.getOrUndefined(outcome)?.told.passed[0]
          )
          assert.strictEqual(new Set(compared).size, 6)
        }).pipe(withServices))

      // @spec system-drift-detector
      // @ac AC-27
      it.effect("[system-drift-detector/AC-27] what an earlier version stored goes to the first series that shares its rules, open alerts with it", () =>
        Effect.gen(function*() {
          const location = yield* (yield* Database).empty
          const old = Object.fromEntries(Object.entries(migrations).filter(([name]) => parseInt(name, 10) <= 3))
          yield* Effect.gen(function*() {
            const sql = yield* SqlClient.SqlClient
            yield* Migrator.make({})({ loader: Migrator.fromRecord(old), table: "openwatch_migrations" })
            yield* sql`INSERT INTO scans (scan_id, host_id, profile, score, outcome, scanned_at)
              VALUES ('old 1', ${web}, 'cis', 90, NULL, 1), ('old 2', ${web}, 'cis', 75, ${
              JSON.stringify({ passed: ["a", "b", "c"], failed: ["d"] })
            }, 2)`
            yield* sql`INSERT INTO alerts (id, type, severity, host_id, dedup_key, title, tags, occurred_at, state)
              VALUES ('01936b0e-0000-7000-8000-00000000000a', 'drift_major', 'high', ${web}, ${`drift_major|${web}|`},
                'web drifted (major): 90 to 75 (-15 points)', '{}', 2, 'active')`
          }).pipe(Effect.provide(Storage.clientLayer(location)))

          yield* Effect.gen(function*() {
            const stored = (benchmark: string, scanId: string, ...passed: ReadonlyArray<string>): Scans.NewScan => ({
              ...scan(scanId, "cis", 3),
              series: { benchmark, profile: "cis" },
              score: 100,
              outcome: { passed, failed: [] }
            })
            const scans = yield* Scans.Scans
            // Read again, it is the same scan.
            const again = { ...stored("os", "new 2", "a", "b", "c", "d"), formerScanId: "old 2", score: 75 }
            assert.strictEqual(yield* record(again), "known")
            // With the id of a scan that was stored, and another content, it is another scan.
            const other = { ...stored("web", "new 3", "x", "y", "a"), formerScanId: "old 2" }
            assert.deepStrictEqual(yield* record(other), Option.none())
            assert.deepStrictEqual(
              yield* record(stored("os", "new 4", "a", "b", "c", "e")),
              Option.some({ told: { passed: ["a", "b", "c"], failed: ["d"] }, highest: 75, lowest: 75, fellFrom: 90 })
            )
            assert.strictEqual((yield* scans.scores(web)).length, 4)
            const [open] = yield* (yield* AlertStore.AlertStore).list({ states: ["active"] })
            assert.strictEqual(open?.alert.dedupKey, `drift_major|${web}|os/cis`)
          }).pipe(Effect.provide(services(location)))
        }).pipe(Effect.scoped))
    })
  })
}

for (const { isSkipped, layer, name } of databases) {
  describe.skipIf(isSkipped)(`two runs on ${name}`, () => {
    it.layer(layer.pipe(Layer.provideMerge(NodeServices.layer)), { timeout: "60 seconds" })((it) => {
      it.effect("no two have one task, and the second says so", () =>
        Effect.gen(function*() {
          const location = yield* (yield* Database).empty
          const taking = (...tasks: ReadonlyArray<RunLock.Task>) => RunLock.take(location, tasks)
          yield* Effect.gen(function*() {
            yield* taking("probing", "routing")
            const error = yield* Effect.flip(Effect.scoped(taking("scans", "routing")))
            assert.strictEqual(
              error.message,
              `another openwatch run routes alerts with ${
                Storage.nameOf(location)
              }: stop it, or give this one another ` +
                "(`--data`, or DATABASE_URL)"
            )
            yield* Effect.scoped(taking("scans"))
          }).pipe(Effect.scoped)
          yield* Effect.scoped(taking("probing", "scans", "routing"))
        }).pipe(Effect.scoped))
    })
  })
}

describe("Storage", () => {
  it.effect("a folder that cannot be made, and one where nothing is stored, are named", () =>
    Effect.gen(function*() {
      const fs = yield* FileSystem.FileSystem
      const file = yield* fs.makeTempFileScoped()
      const inFile = yield* Effect.flip(Layer.build(Storage.layer({ _tag: "DataFolder", path: `${file}/data` })))
      assert.include(inFile.message, `data folder ${file}/data: cannot be made`)
      const missing = yield* Effect.flip(
        Layer.build(Storage.layer({ _tag: "DataFolder", path: "/tmp/not-there" }, { mustExist: true }))
      )
      assert.include(missing.message, "data folder /tmp/not-there: nothing is stored there")
    }).pipe(Effect.scoped, Effect.provide(NodeServices.layer)))

  it.effect("a data folder is private, also where it existed", () =>
    Effect.gen(function*() {
      const fs = yield* FileSystem.FileSystem
      const path = yield* fs.makeTempDirectoryScoped()
      yield* fs.chmod(path, 0o755)
      yield* Layer.build(Storage.layer({ _tag: "DataFolder", path }))
      assert.strictEqual((yield* fs.stat(path)).mode & 0o777, 0o700)
    }).pipe(Effect.scoped, Effect.provide(NodeServices.layer)))

  it.effect("a file that is no database is refused", () =>
    Effect.gen(function*() {
      const fs = yield* FileSystem.FileSystem
      const path = yield* fs.makeTempDirectoryScoped()
      const file = `${path}/openwatch.sqlite`
      yield* fs.writeFileString(file, "this is a text, not a database. ".repeat(100))
      const error = yield* Effect.flip(Layer.build(Storage.layer({ _tag: "DataFolder", path })))
      assert.strictEqual(error.message, `data folder ${path}: cannot be opened: ${file}: file is not a database`)
    }).pipe(Effect.scoped, Effect.provide(NodeServices.layer)))

  it.effect("a full disk fails what would be stored, and what is stored then is stored when there is room", () =>
    Effect.gen(function*() {
      const sql = yield* SqlClient.SqlClient
      const store = yield* AlertStore.AlertStore
      const [pages] = yield* sql<{ page_count: number }>`PRAGMA page_count`
      // SQLite's own way to be full: this many pages, and the error that a full disk gives.
      yield* sql`PRAGMA max_page_count = ${sql.literal(String(pages!.page_count))}`
      const host = (n: number) => pulse(hostIdFromName(`host-${n}`), false, 1_000)
      let stored = 0
      const error = yield* Effect.flip(
        Effect.forever(Effect.suspend(() => submit(host(++stored), ["ops"])))
      )
      assert.strictEqual(error.message, "database or disk is full")
      assert.strictEqual((yield* store.list()).length, stored - 1)

      yield* sql`PRAGMA max_page_count = 1000000`
      yield* submit(host(stored), ["ops"])
      assert.strictEqual((yield* store.list()).length, stored)
    }).pipe(withServices, Effect.provide(sqlite), Effect.provide(NodeServices.layer)))

  it.effect("of a full disk, two lines tell, however many wait to store something", () => {
    const messages: Array<string> = []
    const logger = Logger.layer([Logger.make(({ message }) => {
      messages.push(String(message))
    })])
    return Effect.gen(function*() {
      const sql = yield* SqlClient.SqlClient
      const states = yield* HostStates.HostStates
      const [pages] = yield* sql<{ page_count: number }>`PRAGMA page_count`
      yield* sql`PRAGMA max_page_count = ${sql.literal(String(pages!.page_count))}`
      const hosts = Array.from({ length: 100 }, (_, n) => hostIdFromName(`host-${n}`))
      const storing = yield* Effect.forkChild(
        Effect.forEach(
          hosts,
          (host) => Outage.untilItPasses(states.record(pulse(host, false, 1_000))),
          { concurrency: "unbounded", discard: true }
        )
      )
      yield* TestClock.adjust("1 minute")
      assert.strictEqual(messages.length, 1)
      assert.strictEqual(messages[0]!.startsWith("The database is away: "), true)
      assert.include(messages[0], "database or disk is full")
      yield* sql`PRAGMA max_page_count = 1000000`
      yield* TestClock.adjust("1 minute")
      yield* Fiber.join(storing)
      yield* Outage.noted(states.verdicts)
      assert.deepStrictEqual(messages.slice(1), ["The database works again"])
      assert.strictEqual((yield* states.verdicts).size, 100)
    }).pipe(
      withServices,
      Effect.provideServiceEffect(Outage.CurrentOutages, Outage.none),
      Effect.provide([sqlite, logger]),
      Effect.provide(NodeServices.layer)
    )
  })

  it.effect("an unreachable PostgreSQL is an error that names host and database, and not the password", () =>
    Effect.gen(function*() {
      const url = Redacted.make("postgresql://ada:pa55word@127.0.0.1:1/fleet")
      const error = yield* Effect.flip(Layer.build(Storage.layer({ _tag: "Postgres", url })))
      assert.include(error.message, `PostgreSQL database "fleet" on 127.0.0.1:1: cannot be opened`)
      assert.include(error.message, "ECONNREFUSED")
      assert.notInclude(JSON.stringify(error) + String(error.stack) + error.message, "pa55word")
    }).pipe(Effect.scoped, Effect.provide(NodeServices.layer)))

  it("DATABASE_URL has to be a URL of PostgreSQL, and is not repeated when it is not", () => {
    for (const databaseUrl of ["mysql://ada:pa55word@host/fleet", "pa55word", "postgresql://ada:pa55word@host"]) {
      const located = Storage.locate({ databaseUrl, dataFolder: "x" })
      assert.isTrue(Result.isFailure(located))
      if (Result.isFailure(located)) {
        assert.include(located.failure.message, "expected postgresql://")
        assert.notInclude(located.failure.message, "pa55word")
      }
    }
    assert.deepStrictEqual(
      Storage.locate({ databaseUrl: undefined, dataFolder: "x" }),
      Result.succeed({ _tag: "DataFolder", path: "x" } as const)
    )
  })
})

describe.skipIf(databases[1].isSkipped)("PostgreSQL that goes away", () => {
  it.live("a store whose database was away works again, without being opened again", () =>
    Effect.gen(function*() {
      const { port, start, stop } = yield* cluster
      yield* Effect.gen(function*() {
        const store = yield* AlertStore.AlertStore
        yield* store.submit(submission(pulse(web, false, 1_000)))
        yield* stop
        const error = yield* Effect.flip(store.list())
        assert.isTrue(error.isRetryable)
        yield* start
        const later = yield* store.list().pipe(Effect.retry(Schedule.spaced("100 millis")))
        assert.strictEqual(later.length, 1)
      }).pipe(Effect.provide(live(location(port, "postgres"))))
    }).pipe(Effect.scoped, Effect.provide(NodeServices.layer)), 60_000)

  it.live(
    "what is noticed while the database is away is stored and sent when it is back",
    () =>
      Effect.gen(function*() {
        const { port, start, stop } = yield* cluster
        const sent = yield* Queue.unbounded<Alert>()
        const channel: AlertChannel = { name: "queue", requiredTags: {}, send: (alert) => Queue.offer(sent, alert) }
        const messages: Array<string> = []
        const logger = Logger.layer([Logger.make(({ message }) => {
          messages.push(String(message))
        })])
        yield* Effect.gen(function*() {
          const states = yield* HostStates.HostStates
          yield* stop
          const noticing = yield* Effect.forkChild(Effect.forEach(
            [pulse(web, false, 1_000), pulse(db, false, 2_000)],
            (event) => Outage.untilItPasses(states.record(event)),
            { concurrency: "unbounded" }
          ))
          while (messages.length < 1) yield* Effect.sleep("50 millis")
          assert.strictEqual(yield* Queue.size(sent), 0)
          yield* start
          yield* Fiber.join(noticing)
          assert.sameMembers((yield* Queue.takeN(sent, 2)).map(({ hostId }) => hostId), [web, db])
          assert.strictEqual((yield* (yield* AlertStore.AlertStore).list()).length, 2)
          while (messages.length < 2) yield* Effect.sleep("100 millis")
          assert.match(messages[0]!, /^The database is away: /)
          assert.deepStrictEqual(messages.slice(1), ["The database works again"])
        }).pipe(
          Effect.provide(
            AlertRouter.layer().pipe(
              Layer.provide(AlertChannels.layer([channel])),
              Layer.provideMerge(live(location(port, "postgres")))
            )
          ),
          Effect.provide(logger),
          Effect.provideServiceEffect(Outage.CurrentOutages, Outage.none)
        )
      }).pipe(Effect.scoped, Effect.provide(NodeServices.layer)),
    60_000
  )

  it.live(
    "a run whose connection was lost takes its tasks again, and ends where another one has them by then",
    () =>
      Effect.gen(function*() {
        const { port } = yield* cluster
        const at = location(port, "postgres")
        const end = Effect.gen(function*() {
          const sql = yield* SqlClient.SqlClient
          yield* sql`SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'openwatch run'`
        }).pipe(Effect.provide(live(at)))
        const first = yield* RunLock.take(at, ["probing"])
        const kept = yield* Effect.forkChild(Effect.flip(first.keep))
        yield* end
        yield* Effect.sleep("8 seconds")
        assert.isUndefined(kept.pollUnsafe())
        assert.strictEqual((yield* Effect.flip(Effect.scoped(RunLock.take(at, ["probing"]))))._tag, "TaskTaken")

        yield* end
        yield* RunLock.take(at, ["probing"])
        assert.strictEqual((yield* Fiber.join(kept))._tag, "TaskTaken")
      }).pipe(Effect.scoped, Effect.provide(NodeServices.layer)),
    60_000
  )

  it.live(
    "a connection that the database ends in the middle of a transaction is an outage, of which two lines tell",
    () =>
      Effect.gen(function*() {
        const { port } = yield* cluster
        const messages: Array<string> = []
        const logger = Logger.layer([Logger.make(({ message }) => {
          messages.push(String(message))
        })])
        // What a table's trigger does in the middle of each transaction, for a while: it ends the connection of its own.
        yield* Effect.gen(function*() {
          const sql = yield* SqlClient.SqlClient
          yield* sql`CREATE FUNCTION end_it() RETURNS trigger AS $$ BEGIN
            PERFORM pg_terminate_backend(pg_backend_pid()); PERFORM pg_sleep(1); RETURN NEW; END $$ LANGUAGE plpgsql`
          for (const table of ["alerts", "host_states", "scans"]) {
            yield* sql`CREATE TRIGGER ending BEFORE INSERT ON ${sql(table)} FOR EACH ROW EXECUTE FUNCTION end_it()`
          }
          const mended = Effect.forEach(
            ["alerts", "host_states", "scans"],
            (table) => sql`DROP TRIGGER ending ON ${sql(table)}`
          ).pipe(Effect.retry(Schedule.spaced("50 millis")))
          const states = yield* HostStates.HostStates
          const store = yield* AlertStore.AlertStore
          const scans = yield* Scans.Scans
          const scan: Scans.NewScan = {
            scanId: "1",
            formerScanId: "former 1",
            hostName: "web",
            failing: [],
            hostId: web,
            series: { benchmark: "os", profile: "cis" },
            score: 50,
            outcome: { passed: ["a"], failed: ["b"] },
            scannedAt: DateTime.makeUnsafe(1)
          }
          const known = { told: scan.outcome, highest: 50, lowest: 50, fellFrom: undefined }
          const storing = Effect.all([
            Outage.untilItPasses(states.record(pulse(web, false, 1_000))),
            Outage.untilItPasses(submit(pulse(web, false, 1_000), ["ops"])),
            Outage.untilItPasses(
              scans.record(scan, () => ({ outcome: "first", event: undefined, known }))
            )
          ], { concurrency: "unbounded" })
          const fiber = yield* Effect.forkChild(storing)
          yield* Effect.sleep("1 second")
          yield* mended
          yield* Fiber.join(fiber)
          // The pool may still have a connection that was ended.
          assert.strictEqual((yield* Outage.untilItPasses(store.list())).length, 1)
          assert.strictEqual((yield* Outage.untilItPasses(states.verdicts)).get(web)?.reachable, false)
          while (messages.length < 2) yield* Effect.sleep("100 millis")
          assert.match(messages[0]!, /^The database is away: /)
          assert.deepStrictEqual(messages.slice(1), ["The database works again"])
        }).pipe(
          Effect.provide(live(location(port, "postgres"))),
          Effect.provide(logger),
          Effect.provideServiceEffect(Outage.CurrentOutages, Outage.none)
        )
      }).pipe(Effect.scoped, Effect.provide(NodeServices.layer)),
    60_000
  )

  it.live(
    "connections that are ended at random in the middle of transactions, in a storm of events, cost no alert and double none",
    () =>
      Effect.gen(function*() {
        const { port } = yield* cluster
        const at = location(port, "postgres")
        const messages: Array<string> = []
        const logger = Logger.layer([Logger.make(({ logLevel, message }) => {
          messages.push(`${logLevel} ${String(message)}`)
        })])
        const sent: Array<string> = []
        const channel: AlertChannel = {
          name: "ops",
          requiredTags: {},
          send: ({ id }) => Effect.sync(() => sent.push(id))
        }
        let ended = 0
        const ending = Effect.gen(function*() {
          const sql = yield* SqlClient.SqlClient
          // On a busy machine hardly a transaction is quick enough to come through: at some time it has to be enough.
          while (ended < 100) {
            const rows = yield* sql`SELECT pg_terminate_backend(pid) FROM pg_stat_activity
              WHERE application_name = 'openwatch' AND xact_start IS NOT NULL AND pid <> pg_backend_pid()
              ORDER BY random() LIMIT 1`
            ended += rows.length
            yield* Effect.sleep("20 millis")
          }
        }).pipe(Effect.provide(PgClient.layer({ url: (at as Storage.Postgres).url })))
        const hosts = Array.from({ length: 20 }, (_, n) => hostIdFromName(`host-${n}`))
        // A quick database is in the middle of a transaction only now and then: at some time it has to be often enough.
        const isEnough = (changes: number): boolean => changes >= 6 && ended > 5
        const changes = new Map<string, number>()
        yield* Effect.gen(function*() {
          const states = yield* HostStates.HostStates
          const store = yield* AlertStore.AlertStore
          const storm = yield* Effect.forkChild(ending)
          yield* Effect.forEach(hosts, (host) =>
            Effect.gen(function*() {
              for (let n = 0; !isEnough(n); n++) {
                yield* Outage.untilItPasses(
                  states.record(pulse(host, n % 2 === 1, 1_000 * n, n === 0 ? null : n % 2 === 0))
                )
                changes.set(host, n + 1)
              }
            }), { concurrency: 8 })
          yield* Fiber.interrupt(storm)
          const list = Outage.untilItPasses(store.list())
          const isDone = (alerts: ReadonlyArray<AlertStore.StoredAlert>) =>
            alerts.length >= Array.from(changes.values()).reduce((sum, n) => sum + n) &&
            alerts.every(({ deliveries }) => deliveries.every(({ state }) => state === "delivered"))
          const alerts = yield* Effect.repeat(list, { until: isDone, schedule: Schedule.spaced("100 millis") })
          for (const host of hosts) {
            const types = alerts.filter(({ alert }) => alert.hostId === host).map(({ alert }) => alert.type)
            assert.deepStrictEqual(
              types.toReversed(),
              Array.from({ length: changes.get(host)! }, (_, n) => n % 2 === 0 ? "host_unreachable" : "host_recovered")
            )
          }
          assert.deepStrictEqual(sent.toSorted(), alerts.map(({ alert }) => alert.id).toSorted())
          while (messages.length < 2) yield* Effect.sleep("100 millis")
          assert.match(messages[0]!, /^Warn The database is away: /)
          assert.deepStrictEqual(messages.slice(1), ["Info The database works again"])
        }).pipe(
          Effect.provide(
            AlertRouter.layer().pipe(
              Layer.provide(AlertChannels.layer([channel])),
              Layer.provideMerge(live(at))
            )
          ),
          Effect.provide(logger),
          Effect.provideServiceEffect(Outage.CurrentOutages, Outage.none)
        )
      }).pipe(Effect.scoped, Effect.provide(NodeServices.layer)),
    300_000
  )
})
