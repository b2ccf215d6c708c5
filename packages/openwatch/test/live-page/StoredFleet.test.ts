import { NodeServices } from "@effect/platform-node"
import * as PgClient from "@effect/sql-pg/PgClient"
import { assert, describe, it } from "@effect/vitest"
import { Outage } from "@openwatch/event-bus-sql"
import * as NodeSqlite from "@openwatch/event-bus-sql/NodeSqlite"
import { FleetView } from "@openwatch/inspector"
import {
  Alert,
  AlertStore,
  DriftDetected,
  HeartbeatPulse,
  Host,
  HostHistory,
  type HostId,
  hostIdFromName,
  HostStates,
  Maintenance,
  Maintenances,
  Scans,
  SqlAlertStore,
  Storage,
  StoredFleet
} from "@openwatch/openwatch"
import { Array, Clock, DateTime, Duration, Effect, Exit, Layer, Logger } from "effect"
import { Migrator, SqlClient } from "effect/sql"
import { migrations } from "../../src/storage/migrations.ts"
import { Database, databases, outboxes } from "../storage/Database.ts"

const host = (name: string, id: HostId = hostIdFromName(name), port = 22) =>
  new Host({ id, name, address: "192.0.2.1", port, tags: { site: "berlin" } })

const web = host("web")
const db = host("db")
const at = (millis: number) => DateTime.makeUnsafe(millis)

const pulse = (hostId: HostId, reachable: boolean, millis: number) =>
  new HeartbeatPulse({
    hostId,
    reachable,
    priorReachable: !reachable,
    responseTimeMs: reachable ? 12.34 : 0,
    occurredAt: at(millis)
  })

const scan = (scanId: string, score: number, millis: number, profile = "cis", hostId = web.id): Scans.NewScan => ({
  scanId,
  formerScanId: `former ${scanId}`,
  hostName: "",
  failing: [],
  hostId,
  series: { benchmark: "", profile },
  score,
  scannedAt: at(millis),
  outcome: { passed: [], failed: [] }
})

const record = (stored: Scans.NewScan) =>
  Effect.flatMap(Scans.Scans, (scans) =>
    scans.record(stored, () => ({
      outcome: undefined,
      event: undefined,
      known: { told: stored.outcome, highest: stored.score, lowest: stored.score, fellFrom: undefined }
    })))

const none = { critical: 0, high: 0, medium: 0, low: 0 }

/** Drift that is told as an alert of severity medium. */
const minorDrift = (hostId: HostId, millis: number) =>
  new DriftDetected({
    hostId,
    scanId: `scan ${millis}`,
    driftType: "minor",
    priorScore: 90,
    currentScore: 84,
    scoreDelta: -6,
    becameFailing: none,
    becamePassing: none,
    occurredAt: at(millis)
  })

let ids = 0
const raise = (event: HeartbeatPulse | DriftDetected, host: string) =>
  Effect.flatMap(AlertStore.AlertStore, (store) => {
    const id = `01936b0e-0000-7000-8000-${String(++ids).padStart(12, "0")}`
    const consequence = Alert.fromEvent(event, { id, hostLabel: host })
    return Effect.as(
      store.submit({ ...consequence, event, channels: [], timeToLive: Duration.hours(1) }),
      consequence.alert!
    )
  })

/** The fleet of these hosts, which may change, in a database. */
const fleet = (
  hosts: () => ReadonlyArray<Host>,
  location: Storage.Location,
  planned: ReadonlyArray<Maintenance.Planned> = []
) =>
  StoredFleet.layer(hosts, planned).pipe(
    Layer.provideMerge(
      Layer.mergeAll(SqlAlertStore.layer, HostHistory.layer, HostStates.layer, Scans.layer, Maintenances.layer)
    ),
    Layer.provideMerge(outboxes),
    Layer.provideMerge(Storage.layer(location)),
    Layer.fresh
  )

const withFleet =
  (hosts: () => ReadonlyArray<Host>, planned?: ReadonlyArray<Maintenance.Planned>) =>
  <A, E, R>(effect: Effect.Effect<A, E, R>) =>
    Effect.flatMap(
      Database,
      ({ empty }) =>
        Effect.flatMap(empty, (location) => effect.pipe(Effect.provide(fleet(hosts, location, planned)), Effect.scoped))
    )

for (const { isPostgres, isSkipped, layer, name } of databases) {
  describe.skipIf(isSkipped)(`the fleet on ${name}`, () => {
    it.layer(layer.pipe(Layer.provideMerge(NodeServices.layer)), {
      timeout: "60 seconds",
      excludeTestServices: isPostgres
    })((it) => {
      it.effect("a host is in the state of its last transition, since then", () =>
        Effect.gen(function*() {
          const view = yield* FleetView
          const states = yield* HostStates.HostStates
          const unknown = { state: "unknown", since: null, reason: null, responseTimeMs: null, score: null } as const
          const of = ({ endpoint, id, name, tags }: Host) => ({ id, name, endpoint, tags })
          assert.deepStrictEqual(yield* view.hosts, [{ ...of(web), ...unknown }, { ...of(db), ...unknown }])

          yield* states.record(pulse(web.id, true, 1_000))
          yield* states.record(pulse(db.id, true, 1_500))
          yield* states.record(pulse(db.id, false, 2_000))
          assert.deepStrictEqual(yield* view.hosts, [
            { ...of(web), ...unknown, state: "reachable", since: at(1_000), responseTimeMs: 12.34 },
            { ...of(db), ...unknown, state: "unreachable", since: at(2_000) }
          ])
        }).pipe(withFleet(() => [web, db])))

      // @spec system-liveness-loop
      // @ac AC-10
      it.effect("[system-liveness-loop/AC-10] a host that this machine cannot judge is unjudged, since it was last looked at", () =>
        Effect.gen(function*() {
          const view = yield* FleetView
          const states = yield* HostStates.HostStates
          const probe = (hostId: HostId, isJudged: boolean) => ({
            hostId,
            endpoint: web.endpoint,
            probes: 1,
            failures: 0,
            probedAt: 5_000,
            isJudged,
            judgedSince: undefined,
            samples: []
          })
          yield* states.record(pulse(web.id, true, 1_000))
          yield* states.recordProbes([probe(web.id, false), probe(db.id, false)])
          const unjudged = { state: "unjudged", since: at(5_000), responseTimeMs: null } as const
          const [shownWeb, shownDb] = yield* view.hosts
          assert.deepInclude(shownWeb, { ...unjudged, reason: "this machine cannot probe it; it was reachable before" })
          assert.deepInclude(shownDb, { ...unjudged, reason: "this machine cannot probe it" })

          yield* states.recordProbes([probe(web.id, true)])
          assert.deepInclude((yield* view.hosts)[0], { state: "reachable", since: at(1_000), reason: null })
        }).pipe(withFleet(() => [web, db])))

      it.effect("hosts come, go, move and are renamed with the inventory", () => {
        let hosts = [web, db]
        return Effect.gen(function*() {
          const view = yield* FleetView
          yield* (yield* HostStates.HostStates).record(pulse(web.id, true, 1_000))
          yield* record(scan("1", 80, 1_000))
          const shown = Effect.map(
            view.hosts,
            (hosts) => hosts.map(({ endpoint, name, state }) => [name, endpoint, state])
          )

          hosts = [host("mail"), host("web-1", web.id, 2222)]
          assert.deepStrictEqual(yield* shown, [
            ["mail", "192.0.2.1:22", "unknown"],
            ["web-1", "192.0.2.1:2222", "reachable"]
          ])
          assert.strictEqual((yield* view.scores(web.id)).length, 1)
          hosts = [db]
          assert.deepStrictEqual(yield* shown, [["db", "192.0.2.1:22", "unknown"]])
          const error = yield* Effect.flip(view.scores(web.id))
          assert.strictEqual(error.message, `No host has the id ${web.id}`)
        }).pipe(withFleet(() => hosts))
      })

      it.effect("the scores of a host are those of its scans, by the time of the scan; the score is that of the one that ended last", () =>
        Effect.gen(function*() {
          const view = yield* FleetView
          assert.deepStrictEqual(yield* view.scores(web.id), [])
          yield* record(scan("1", 90.91, 1_000))
          yield* record(scan("2", 85, 3_000, "stig"))
          yield* record(scan("other", 10, 3_500, "cis", db.id))
          // Taken in late.
          yield* record(scan("3", 77.27, 2_000))
          const score = { profile: "cis" }
          assert.deepStrictEqual(yield* view.scores(web.id), [
            { ...score, scanId: "1", score: 90.91, at: at(1_000) },
            { ...score, scanId: "3", score: 77.27, at: at(2_000) },
            { scanId: "2", profile: "stig", score: 85, at: at(3_000) }
          ])
          assert.deepStrictEqual((yield* view.hosts).map(({ score }) => score), [85, 10])
        }).pipe(withFleet(() => [web, db])))

      it.effect("the past of a host is its uptime, how long it took to answer, what fails and its alerts", () =>
        Effect.gen(function*() {
          const view = yield* FleetView
          const states = yield* HostStates.HostStates
          const past = (id: string) => view.past!(id)
          const nothing = { hours: 24, percent: null, judgedSeconds: 0, unreachableSeconds: 0 }
          const empty = yield* past(db.id)
          assert.deepStrictEqual(empty.uptimes[0], nothing)
          assert.deepStrictEqual([empty.days, empty.probes, empty.scans, empty.alerts], [[], [], [], []])

          const hour = 3_600_000
          const start = Math.floor((yield* Clock.currentTimeMillis) / hour) * hour - 10 * hour
          const samples = Array.makeBy(9, (n) => ({ at: start + n * hour, responseTimeMs: n === 5 ? undefined : 10 }))
          yield* states.record(pulse(web.id, true, start))
          yield* states.recordProbes([{
            hostId: web.id,
            endpoint: web.endpoint,
            probes: 9,
            failures: 0,
            probedAt: samples.at(-1)!.at,
            isJudged: true,
            judgedSince: start,
            samples
          }])
          yield* states.record(pulse(web.id, false, start + 6 * hour))
          const failing = [{ id: "b", severity: "low" as const }, {
            id: "c",
            severity: "high" as const,
            title: "The c"
          }]
          yield* record({ ...scan("1", 80, 1_000), failing })
          yield* record({ ...scan("2", 90, 2_000), failing: [] })
          yield* record({ ...scan("3", 70, 1_500, "stig"), failing })
          const raised = yield* raise(pulse(web.id, false, start + 6 * hour), "web")
          yield* raise(pulse(db.id, false, start), "db")

          const found = yield* past(web.id)
          assert.deepStrictEqual(found.uptimes[0], {
            hours: 24,
            percent: 75,
            judgedSeconds: 8 * 3_600,
            unreachableSeconds: 2 * 3_600
          })
          assert.deepStrictEqual(found.uptimes.map(({ hours }) => hours), [24, 168, 720, 2160])
          assert.deepInclude(found.responseTimes, { answered: 8, failed: 1 })
          assert.closeTo(found.responseTimes.p95!, 10, 1)
          assert.strictEqual(found.days.reduce((sum, { answered, failed }) => sum + answered + failed, 0), 9)
          assert.strictEqual(found.days[0]!.day, new Date(start).toISOString().slice(0, 10))
          assert.deepStrictEqual(found.probes[5], { at: at(start + 5 * hour), responseTimeMs: null })
          assert.deepStrictEqual(found.scans.map(({ failing, profile }) => [profile, failing]), [
            ["cis", []],
            ["stig", [
              { id: "c", severity: "high", title: "The c" },
              { id: "b", severity: "low", title: null }
            ]]
          ])
          assert.deepStrictEqual(found.alerts.map(({ id, state }) => [id, state]), [[raised.id, "active"]])
          assert.strictEqual((yield* Effect.flip(past("nobody"))).message, "No host has the id nobody")
        }).pipe(withFleet(() => [web, db])))

      it.effect("of a thousand scans and more, the scores are the last thousand", () =>
        Effect.gen(function*() {
          const sql = yield* SqlClient.SqlClient
          const rows = Array.makeBy(1_001, (n) => ({
            scan_id: `scan-${n}`,
            host_id: web.id,
            profile: "cis",
            score: 50,
            scanned_at: n
          }))
          yield* sql`INSERT INTO scans ${sql.insert(rows)}`
          const scores = yield* (yield* FleetView).scores(web.id)
          assert.deepStrictEqual([scores.length, scores[0]?.scanId, scores.at(-1)?.scanId], [
            1_000,
            "scan-1",
            "scan-1000"
          ])
        }).pipe(withFleet(() => [web])))

      it.effect("the alerts are those that are open, the most severe first, and the newest among equals", () =>
        Effect.gen(function*() {
          const view = yield* FleetView
          const first = yield* raise(pulse(web.id, false, 1_000), "web")
          const second = yield* raise(pulse(db.id, false, 2_000), "db")
          const medium = yield* raise(minorDrift(web.id, 3_000), "web")
          const opened = (alert: Alert.Alert) => Object.assign({}, alert, { state: "active" as const })
          assert.deepStrictEqual(yield* view.openAlerts, [opened(second), opened(first), opened(medium)])
          yield* raise(pulse(web.id, true, 4_000), "web")
          assert.deepStrictEqual(yield* view.openAlerts, [opened(second), opened(medium)])
        }).pipe(withFleet(() => [web, db])))

      it.effect("alerts are changed in the name of who asks, and what became of them is told", () =>
        Effect.gen(function*() {
          const view = yield* FleetView
          const { id } = yield* raise(pulse(web.id, false, 1_000), "web")
          const change = (action: "ack" | "silence" | "resolve", ids = [id]) =>
            view.changeAlerts!({ ids, action, why: "new\ndisk", seconds: 3_600, who: "ada" })
          assert.deepStrictEqual(yield* change("ack"), [{ id, from: "active", to: "acknowledged" }])
          yield* change("silence")
          const [open] = yield* view.openAlerts
          assert.strictEqual(open?.state, "silenced")
          const [, silenced] = yield* view.alertHistory!(id)
          assert.deepStrictEqual(silenced, {
            from: "acknowledged",
            to: "silenced",
            at: silenced!.at,
            who: "ada",
            // What could forge a line is not kept.
            why: "new\ufffddisk",
            until: silenced!.until
          })
          const seconds = (silenced!.until!.epochMilliseconds - silenced!.at.epochMilliseconds) / 1_000
          // The two are taken one after the other.
          assert.isTrue(seconds > 3_540 && seconds <= 3_600, String(seconds))
          assert.deepStrictEqual(open?.silencedUntil, silenced!.until!)
          yield* change("resolve")
          // Whose fault it is, so that the others can be changed without it.
          const other = yield* raise(pulse(db.id, false, 2_000), "db")
          assert.deepInclude(yield* Effect.flip(change("ack", [other.id, id])), { _tag: "AlertsNotChanged", ids: [id] })
          assert.deepInclude(yield* Effect.flip(change("ack", [other.id, "x"])), { _tag: "AlertNotFound", ids: ["x"] })
          assert.strictEqual((yield* Effect.flip(view.alertHistory!("x")))._tag, "AlertNotFound")
        }).pipe(withFleet(() => [web])))

      it.effect("maintenance is what goes on, begun or planned, by its end, and then what is planned next, each with its hosts", () => {
        const berlin = Maintenance.parseSubject("site=berlin")
        const plan = (start: string, subject: Maintenance.Subject, why: string): Maintenance.Planned => ({
          subjects: [subject],
          starts: [{ _tag: "Once", at: DateTime.makeUnsafe(start) }],
          duration: Duration.days(400 * 365),
          why
        })
        return Effect.gen(function*() {
          const maintenances = yield* Maintenances.Maintenances
          const begun = yield* maintenances.begin(Maintenance.parseSubject("web"), {
            duration: Duration.hours(2),
            who: "ada",
            why: "a new disk"
          })
          assert.deepStrictEqual(yield* (yield* FleetView).maintenance!, [
            {
              subjects: ["web"],
              hostIds: [web.id],
              isOn: true,
              since: begun.since,
              until: begun.until,
              who: "ada",
              why: "a new disk"
            },
            {
              subjects: ["site=berlin"],
              hostIds: [web.id, db.id],
              isOn: true,
              since: at(0),
              until: at(400 * 365 * 86_400_000),
              who: null,
              why: "for long"
            },
            {
              subjects: ["db"],
              hostIds: [db.id],
              isOn: false,
              since: DateTime.makeUnsafe("2200-01-01T00:00Z"),
              until: DateTime.addDuration(DateTime.makeUnsafe("2200-01-01T00:00Z"), Duration.days(400 * 365)),
              who: null,
              why: "later"
            }
          ])
        }).pipe(withFleet(() => [web, db], [
          plan("2200-01-01T00:00Z", Maintenance.parseSubject("db"), "later"),
          plan("1970-01-01T00:00Z", berlin, "for long")
        ]))
      })

      it.effect("while the database fails, so does looking, and the log says why", () =>
        Effect.gen(function*() {
          const view = yield* FleetView
          const sql = yield* SqlClient.SqlClient
          yield* sql`DROP TABLE host_states`
          const logged: Array<string> = []
          const logger = Logger.make(({ message }) => void logged.push(String(message)))
          const exit = yield* Effect.exit(view.hosts).pipe(
            Effect.provide(Logger.layer([logger])),
            Effect.provideServiceEffect(Outage.CurrentOutages, Outage.none)
          )
          assert.isTrue(Exit.hasDies(exit))
          assert.match(logged.join("\n"), /^The database is away: .*host_states/)
        }).pipe(withFleet(() => [web])))

      it.effect("what the first version has stored is shown, without the times that it did not store", () =>
        Effect.gen(function*() {
          const location = yield* (yield* Database).empty
          const client = location._tag === "Postgres"
            ? PgClient.layer({ url: location.url })
            : NodeSqlite.layer(`${location.path}/openwatch.sqlite`)
          yield* Effect.gen(function*() {
            const sql = yield* SqlClient.SqlClient
            const loader = Migrator.fromRecord({ "1_initial": migrations["1_initial"]! })
            yield* Migrator.make({})({ loader, table: "openwatch_migrations" })
            yield* sql`INSERT INTO host_states ${sql.insert({ host_id: web.id, reachable: 1, occurred_at: 1_000 })}`
            const old = { host_id: web.id, profile: "cis" }
            yield* sql`INSERT INTO scans ${sql.insert({ ...old, scan_id: "0", score: 70, outcome: null })}`
            yield* sql`INSERT INTO scans ${
              sql.insert({ ...old, scan_id: "1", score: 80, outcome: `{"passed":[],"failed":[]}` })
            }`
          }).pipe(Effect.provide(client))

          yield* Effect.gen(function*() {
            const view = yield* FleetView
            const [shown] = yield* view.hosts
            assert.deepInclude(shown, { state: "reachable", since: at(1_000), responseTimeMs: null, score: 80 })
            assert.deepStrictEqual(yield* view.scores(web.id), [])
            yield* record(scan("2", 90, 2_000))
            assert.deepStrictEqual((yield* view.scores(web.id)).map(({ score }) => score), [90])
          }).pipe(Effect.provide(fleet(() => [web], location)))
        }).pipe(Effect.scoped))
    })
  })
}
