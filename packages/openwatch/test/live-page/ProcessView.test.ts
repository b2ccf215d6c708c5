import { NodeServices } from "@effect/platform-node"
import { assert, describe, it } from "@effect/vitest"
import { Outage } from "@openwatch/event-bus-sql"
import {
  Alert,
  AlertRaised,
  AlertStore,
  DeliveryStore,
  FailingChannels,
  FleetCounts,
  HeartbeatPulse,
  Host,
  hostIdFromName,
  HostStates,
  Probe,
  ProbeActivity,
  ProcessView,
  Scans,
  SqlAlertStore,
  SqlDeliveryStore,
  Storage
} from "@openwatch/openwatch"
import { DateTime, Duration, Effect, Layer, Metric } from "effect"
import { PrometheusMetrics } from "effect/observability"
import { SqlClient } from "effect/sql"
import { TestClock } from "effect/testing"
import { Database, databases, outboxes, sqlite } from "../storage/Database.ts"

const host = (name: string) => new Host({ id: hostIdFromName(name), name, address: "192.0.2.1", port: 22 })

const up = host("up")
const down = host("down")
const unjudged = host("unjudged")
const strange = host(`"strange" \\ host`)

const pulse = ({ id }: Host, reachable: boolean, priorReachable: boolean | null = null) =>
  new HeartbeatPulse({
    hostId: id,
    reachable,
    priorReachable,
    responseTimeMs: reachable ? 12.34 : 0,
    occurredAt: DateTime.makeUnsafe(0)
  })

const record = (scanId: string, { id }: Host, benchmark: string, score: number, millis: number) =>
  Effect.flatMap(Scans.Scans, (scans) =>
    scans.record({
      scanId,
      formerScanId: `former ${scanId}`,
      hostName: "",
      failing: [],
      hostId: id,
      series: { benchmark, profile: "cis" },
      score,
      scannedAt: DateTime.makeUnsafe(millis),
      outcome: { passed: [], failed: [] }
    }, () => ({
      outcome: undefined,
      event: undefined,
      known: { told: { passed: [], failed: [] }, highest: score, lowest: score, fellFrom: undefined }
    })))

/** What a probe of the test finds. */
let found: Effect.Effect<Probe.Answer, Probe.ProbeError> = Effect.succeed({ note: undefined })

const fault = new Probe.ProbeError({ reason: new Probe.LocalFault({ code: "EMFILE" }) })
const refused = new Probe.ProbeError({ reason: new Probe.ConnectionRefused() })

const activity = ProbeActivity.layer.pipe(
  Layer.provide(Layer.succeed(
    Probe.Probe,
    Probe.Probe.of({ resolve: (name) => Effect.succeed([name]), probe: () => Effect.suspend(() => found) })
  ))
)

const probeOnce = Effect.flatMap(
  Probe.Probe,
  ({ probe }) => Effect.ignore(probe({ addresses: ["192.0.2.1"], port: 22 }))
)

const processOf = (location: Storage.Location, hosts: ReadonlyArray<Host>) =>
  ProcessView.layer({
    hosts: () => hosts,
    channels: ["console", "pager"],
    interval: Duration.minutes(5),
    probesHosts: true
  }).pipe(
    Layer.provideMerge(
      Layer.mergeAll(
        SqlAlertStore.layer,
        SqlDeliveryStore.layer,
        HostStates.layer,
        Scans.layer,
        FleetCounts.layer,
        activity
      )
    ),
    Layer.provideMerge(outboxes),
    Layer.provideMerge(Storage.layer(location)),
    Layer.fresh
  )

const withProcess = (hosts: ReadonlyArray<Host>) => <A, E, R>(effect: Effect.Effect<A, E, R>) =>
  Effect.flatMap(
    Database,
    ({ empty }) =>
      Effect.flatMap(empty, (location) => effect.pipe(Effect.provide(processOf(location, hosts)), Effect.scoped))
  ).pipe(
    Effect.provideServiceEffect(Outage.CurrentOutages, Outage.none),
    Effect.provideServiceEffect(FailingChannels, Effect.sync(() => new Set<string>())),
    Effect.provideServiceEffect(Metric.MetricRegistry, Effect.sync(() => new Map()))
  )

const scrape = Effect.flatMap(ProcessView.ProcessView, ({ metrics }) => metrics)

/** The series of a scrape, without what describes them. */
const series = Effect.map(
  scrape,
  (text) => text.split("\n").filter((line) => line !== "" && !line.startsWith("#")).toSorted()
)

const readiness = Effect.flatMap(ProcessView.ProcessView, ({ readiness }) => readiness)

const allWell = { database: null, probes: null, channels: null }

const working = [
  `openwatch_ready{part="channels"} 1`,
  `openwatch_ready{part="database"} 1`,
  `openwatch_ready{part="probes"} 1`
]

for (const { isPostgres, isSkipped, layer, name } of databases) {
  describe.skipIf(isSkipped)(`the metrics of a fleet on ${name}`, () => {
    it.layer(layer.pipe(Layer.provideMerge(NodeServices.layer)), {
      timeout: "60 seconds",
      excludeTestServices: isPostgres
    })((it) => {
      it.effect("are those of hosts, alerts, scans, deliveries and parts", () =>
        Effect.gen(function*() {
          const states = yield* HostStates.HostStates
          yield* states.record(pulse(up, true))
          yield* states.record(pulse(down, false))
          yield* states.record(pulse(unjudged, true))
          yield* states.recordProbes([
            {
              hostId: unjudged.id,
              endpoint: "",
              probes: 1,
              failures: 0,
              probedAt: 0,
              isJudged: false,
              judgedSince: undefined,
              samples: []
            }
          ])
          const store = yield* AlertStore.AlertStore
          const event = pulse(down, false)
          const consequence = Alert.fromEvent(event, { id: "01936b0e-0000-7000-8000-000000000001", hostLabel: "down" })
          const { raised } = yield* store.submit({
            ...consequence,
            event,
            channels: ["pager", "gone", "taken out"],
            timeToLive: Duration.hours(1)
          })
          const sent = new AlertRaised({ ...raised!, occurredAt: event.occurredAt })
          yield* (yield* DeliveryStore.DeliveryStore).recordAttempt([sent], "gone", { state: "delivered" })
          const recovery = pulse(unjudged, true, false)
          const over = Alert.fromEvent(
            recovery,
            { id: "01936b0e-0000-7000-8000-000000000002", hostLabel: "unjudged" }
          )
          yield* store.submit({ ...over, event: recovery, channels: [], timeToLive: Duration.hours(1) })
          const now = DateTime.toEpochMillis(yield* DateTime.now)
          yield* record("1", up, "debian", 90, now - 20_000)
          yield* record("2", up, "debian", 77.5, now - 10_000)
          yield* record("3", up, "apache", 100, now - 60_000)
          const known = yield* series
          const ages = known.filter((line) => line.startsWith("openwatch_scan_age_seconds"))
          assert.deepStrictEqual(known.filter((line) => !ages.includes(line)), [
            `openwatch_compliance_score{host="up",benchmark="apache",profile="cis"} 100`,
            `openwatch_compliance_score{host="up",benchmark="debian",profile="cis"} 77.5`,
            `openwatch_deliveries_pending{channel="console"} 0`,
            `openwatch_deliveries_pending{channel="pager"} 1`,
            `openwatch_deliveries_pending{channel="taken out"} 1`,
            `openwatch_host_up{host="down"} 0`,
            `openwatch_host_up{host="up"} 1`,
            `openwatch_hosts{state="reachable"} 1`,
            `openwatch_hosts{state="unjudged"} 1`,
            `openwatch_hosts{state="unknown"} 1`,
            `openwatch_hosts{state="unreachable"} 1`,
            `openwatch_open_alerts{severity="critical"} 0`,
            `openwatch_open_alerts{severity="high"} 1`,
            `openwatch_open_alerts{severity="info"} 0`,
            `openwatch_open_alerts{severity="low"} 0`,
            `openwatch_open_alerts{severity="medium"} 0`,
            ...working
          ])
          const seconds = ages.map((line) => Number(line.slice(line.lastIndexOf(" "))))
          assert.strictEqual(ages.length, 2)
          assert.isAtLeast(seconds[0]!, 60)
          assert.isAtLeast(seconds[1]!, 10)
          assert.isBelow(seconds[1]!, 3_600)
        }).pipe(withProcess([up, down, unjudged, strange])))
    })
  })
}

describe("a process", () => {
  it.layer(sqlite.pipe(Layer.provideMerge(NodeServices.layer)))((it) => {
    it.effect("has metrics of hosts that are there now, whatever they are called", () =>
      Effect.gen(function*() {
        yield* (yield* HostStates.HostStates).record(pulse(strange, true))
        assert.include(yield* series, String.raw`openwatch_host_up{host="\"strange\" \\ host"} 1`)
        yield* (yield* SqlClient.SqlClient)`DELETE FROM host_states`
        assert.notInclude(yield* scrape, "openwatch_host_up")
      }).pipe(withProcess([strange])))

    it.effect("has no metrics of a fleet that cannot be read, and is not ready", () =>
      Effect.gen(function*() {
        const outages = yield* Outage.CurrentOutages
        yield* (yield* SqlClient.SqlClient)`DROP TABLE series`
        outages.isAway = true
        assert.deepStrictEqual(yield* series, [
          `openwatch_ready{part="channels"} 1`,
          `openwatch_ready{part="database"} 0`,
          `openwatch_ready{part="probes"} 1`
        ])
        assert.deepStrictEqual(yield* readiness, { ...allWell, database: "the database is away" })
      }).pipe(withProcess([up])))

    it.effect("is not ready while a channel takes nothing", () =>
      Effect.gen(function*() {
        const failing = yield* FailingChannels
        failing.add("pager")
        assert.deepStrictEqual(yield* readiness, { ...allWell, channels: "channels that take nothing: 1 of 2" })
        failing.delete("pager")
        assert.deepStrictEqual(yield* readiness, allWell)
      }).pipe(withProcess([up])))

    it.effect("is not ready while this machine cannot probe, and for a minute", () =>
      Effect.gen(function*() {
        found = Effect.fail(fault)
        yield* probeOnce
        const problem = "this machine could not probe it (EMFILE)"
        assert.deepStrictEqual(yield* readiness, { ...allWell, probes: problem })
        found = Effect.fail(refused)
        yield* probeOnce
        assert.deepStrictEqual(yield* readiness, { ...allWell, probes: problem })
        yield* TestClock.adjust("1 minute")
        assert.deepStrictEqual(yield* readiness, allWell)
      }).pipe(withProcess([up])))

    it.effect("is not ready when it has probed nothing for two intervals", () =>
      Effect.gen(function*() {
        found = Effect.fail(refused)
        yield* probeOnce
        yield* TestClock.adjust("10 minutes")
        assert.deepStrictEqual(yield* readiness, allWell)
        yield* TestClock.adjust("90 seconds")
        assert.deepStrictEqual(yield* readiness, { ...allWell, probes: "no host was probed for 11m" })
        yield* probeOnce
        assert.deepStrictEqual(yield* readiness, allWell)
      }).pipe(withProcess([up])))

    it.effect("is ready without hosts, though it probes nothing", () =>
      Effect.gen(function*() {
        yield* TestClock.adjust("1 hour")
        assert.deepStrictEqual(yield* readiness, allWell)
      }).pipe(withProcess([])))

    it.effect("measures its probes by what became of them", () =>
      Effect.gen(function*() {
        for (const result of [Effect.succeed({ note: undefined }), Effect.fail(refused), Effect.fail(fault)]) {
          found = Effect.delay(result, "20 millis")
          yield* Effect.all([probeOnce, TestClock.adjust("20 millis")], { concurrency: 2 })
        }
        const text = yield* PrometheusMetrics.format()
        for (const outcome of ["answered", "failed", "void"]) {
          assert.include(text, `openwatch_probe_seconds_bucket{outcome="${outcome}",le="0.01"} 0\n`)
          assert.include(text, `openwatch_probe_seconds_bucket{outcome="${outcome}",le="0.025"} 1\n`)
          assert.include(text, `openwatch_probe_seconds_sum{outcome="${outcome}"} 0.02\n`)
        }
      }).pipe(withProcess([up])))
  })
})
