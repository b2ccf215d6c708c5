import { NodeServices } from "@effect/platform-node"
import { assert, describe, it } from "@effect/vitest"
import {
  Alert,
  AlertActions,
  type AlertChannel,
  AlertChannels,
  type AlertEnded,
  AlertOutbox,
  type AlertRaised,
  AlertRouter,
  AlertStore,
  ChannelError,
  type DeliveryStore,
  DriftDetected,
  HeartbeatPulse,
  type HostId,
  hostIdFromName,
  HostTags,
  SqlAlertStore,
  SqlDeliveryStore,
  Storage,
  type SystemEventBus,
  SystemOutbox
} from "@openwatch/openwatch"
import {
  Clock,
  DateTime,
  Duration,
  Effect,
  Exit,
  Fiber,
  FileSystem,
  Layer,
  Logger,
  Metric,
  Queue,
  Scope,
  Stream
} from "effect"
import { SqlError } from "effect/sql"
import { TestClock } from "effect/testing"
import { readdirSync, readFileSync } from "node:fs"
import { parseSync } from "oxc-parser"
import { resend } from "../../src/alert-router/Resending.ts"
import { storeIn } from "../../src/events/SystemOutbox.ts"
import { outboxes } from "../storage/Database.ts"

const web = hostIdFromName("web")
const db = hostIdFromName("db")
const none = { critical: 0, high: 0, medium: 0, low: 0 }

/** Each at the time of the clock. */
const pulse = (
  hostId: HostId,
  reachable: boolean,
  priorReachable: boolean | null = !reachable,
  more: Partial<Pick<HeartbeatPulse, "change" | "reason" | "host">> = {}
) =>
  Effect.map(
    DateTime.now,
    (occurredAt) => new HeartbeatPulse({ ...more, hostId, reachable, priorReachable, responseTimeMs: 0, occurredAt })
  )

const drift = (
  hostId: HostId,
  driftType: "major" | "minor" | "improvement",
  scoreDelta: number,
  more: Partial<Pick<DriftDetected, "series" | "isBack" | "host" | "fellFrom">> = {}
) =>
  Effect.map(DateTime.now, (occurredAt) =>
    new DriftDetected({
      ...more,
      hostId,
      scanId: "scan",
      driftType,
      priorScore: 50,
      currentScore: 50 + scoreDelta,
      scoreDelta,
      becameFailing: none,
      becamePassing: none,
      occurredAt
    }))

/** A channel that keeps what it gets. */
const recording = (name = "recording", requiredTags: Record<string, string> = {}) => {
  const sent: Array<Alert.Alert> = []
  const channel: AlertChannel = { name, requiredTags, send: (alert) => Effect.sync(() => sent.push(alert)) }
  return { channel, sent }
}

const dataFolder = Effect.flatMap(FileSystem.FileSystem, (fs) => fs.makeTempDirectoryScoped()).pipe(
  Effect.map((path): Storage.Location => ({ _tag: "DataFolder", path })),
  Effect.provide(NodeServices.layer)
)

/** The store of a folder, new if none is given, with its outboxes and its bus. */
const store = (location = dataFolder) =>
  Layer.mergeAll(SqlAlertStore.layer, SqlDeliveryStore.layer, outboxes).pipe(
    Layer.provide(Layer.unwrap(Effect.map(location, (location) => Storage.layer(location)))),
    Layer.provide(NodeServices.layer),
    Layer.orDie
  )

type Stores = AlertStore.AlertStore | DeliveryStore.DeliveryStore | SystemOutbox | AlertOutbox | SystemEventBus

/** The router and what it is connected to. */
const router = (
  channels: ReadonlyArray<AlertChannel>,
  options: AlertRouter.Options & { readonly store?: Layer.Layer<Stores, never, Scope.Scope> } = {}
) =>
  AlertRouter.layer(options).pipe(
    Layer.provideMerge(AlertChannels.layer(channels)),
    Layer.provideMerge(options.store ?? store())
  )

/** The store, with a way to store alerts that is another one. */
const withSubmit = (
  submit: (store: AlertStore.AlertStore["Service"]) => AlertStore.AlertStore["Service"]["submit"],
  location = dataFolder
) => {
  const real = store(location)
  return Layer.effect(
    AlertStore.AlertStore,
    Effect.map(AlertStore.AlertStore, (store) => ({ ...store, submit: submit(store) }))
  ).pipe(Layer.provideMerge(real))
}

/** Runs while the router does, and gives it the ten seconds that stopping may take. */
const running = <R, E2, R2>(layer: Layer.Layer<R, E2, R2>) => <A, E>(effect: Effect.Effect<A, E, R>) =>
  Effect.gen(function*() {
    const scope = yield* Scope.make()
    const context = yield* Layer.buildWithScope(layer, scope)
    const exit = yield* Effect.exit(Effect.provide(effect, context))
    const stopping = yield* Effect.forkChild(Scope.close(scope, exit))
    yield* TestClock.adjust("10 seconds")
    yield* Fiber.join(stopping)
    return yield* exit
  }).pipe(Effect.scoped)

/** Stores events, and waits until they are handled and each channel has nothing to do, or does not go on by itself. */
const publish = (...events: ReadonlyArray<Effect.Effect<HeartbeatPulse | DriftDetected>>) =>
  Effect.gen(function*() {
    const outbox = yield* SystemOutbox
    for (const event of events) yield* Effect.orDie(storeIn(outbox)(yield* event))
    yield* outbox.awaitIdle
    yield* Effect.repeat(Effect.yieldNow, { times: 500 })
    yield* TestClock.adjust(0)
  })

/** Lets time pass in small steps, so that what happens in one of them is not taken to happen at the end. */
const pass = (millis: number) =>
  Effect.repeat(
    Effect.andThen(TestClock.adjust("100 millis"), Effect.repeat(Effect.yieldNow, { times: 200 })),
    { times: millis / 100 - 1 }
  )

const list = Effect.flatMap(AlertStore.AlertStore, (store) => store.list())
const metrics = Effect.flatMap(AlertRouter.AlertRouter, (router) => router.metrics)
const typesOf = (alerts: ReadonlyArray<Alert.Alert>) => alerts.map(({ type }) => type)
const statesOf = (stored: ReadonlyArray<AlertStore.StoredAlert>) =>
  stored.map(({ alert, state }) => `${alert.type} ${state}`).toReversed()

describe("AlertRouter", () => {
  // @spec system-alert-router
  // @ac AC-01
  it("[system-alert-router/AC-01] five types with their severities, five severities in order", () => {
    assert.deepStrictEqual(Alert.severityOf, {
      host_unreachable: "high",
      host_recovered: "info",
      drift_major: "high",
      drift_minor: "medium",
      drift_improvement: "info"
    })
    assert.deepStrictEqual<ReadonlyArray<string>>(Alert.AllAlertTypes, Object.keys(Alert.severityOf))
    assert.deepStrictEqual(Alert.AllSeverities, ["critical", "high", "medium", "low", "info"])
  })

  // @spec system-alert-router
  // @ac AC-02
  it.effect("[system-alert-router/AC-02] an unreachable host gives host_unreachable, on a first sighting too", () => {
    const { channel, sent } = recording()
    return Effect.gen(function*() {
      yield* publish(pulse(web, false), pulse(db, false, null))
      assert.deepStrictEqual(sent.map(({ hostId, type }) => [type, hostId]), [
        ["host_unreachable", web],
        ["host_unreachable", db]
      ])
    }).pipe(running(router([channel])))
  })

  // @spec system-alert-router
  // @ac AC-03
  it.effect("[system-alert-router/AC-03] a host that is reachable again gives host_recovered", () => {
    const { channel, sent } = recording()
    return Effect.gen(function*() {
      yield* publish(pulse(web, true, false))
      assert.deepStrictEqual(typesOf(sent), ["host_recovered"])
    }).pipe(running(router([channel])))
  })

  // @spec system-alert-router
  // @ac AC-04
  it.effect("[system-alert-router/AC-04] a first sighting of a reachable host gives nothing", () => {
    const { channel, sent } = recording()
    return Effect.gen(function*() {
      yield* publish(pulse(web, true, null))
      assert.deepStrictEqual(sent, [])
      assert.deepStrictEqual(yield* list, [])
      assert.strictEqual((yield* metrics).received, 1)
    }).pipe(running(router([channel])))
  })

  // @spec system-alert-router
  // @ac AC-05
  it.effect("[system-alert-router/AC-05] a drift gives the alert of its type, with score_delta", () => {
    const { channel, sent } = recording()
    return Effect.gen(function*() {
      yield* publish(drift(web, "major", -13.636_363), drift(web, "minor", -5), drift(web, "improvement", 7.5))
      assert.deepStrictEqual(sent.map(({ tags, type }) => [type, tags["score_delta"]]), [
        ["drift_major", "-13.64"],
        ["drift_minor", "-5"],
        ["drift_improvement", "7.5"]
      ])
    }).pipe(running(router([channel])))
  })

  // @spec system-alert-router
  // @ac AC-06
  it.effect("[system-alert-router/AC-06] every alert has severity, alert_type and host_id as tags", () => {
    const { channel, sent } = recording()
    return Effect.gen(function*() {
      yield* publish(pulse(web, false), pulse(web, true))
      yield* publish(drift(web, "major", -20), drift(web, "minor", -5), drift(web, "improvement", 5))
      assert.deepStrictEqual(typesOf(sent), [...Alert.AllAlertTypes])
      for (const { hostId, severity, tags, type } of sent) {
        assert.strictEqual(tags["severity"], severity)
        assert.strictEqual(tags["alert_type"], type)
        assert.strictEqual(tags["host_id"], hostId)
      }
    }).pipe(running(router([channel])))
  })

  // @spec system-alert-router
  // @ac AC-07
  it.effect("[system-alert-router/AC-07] a channel gets the alerts that have all of its tags", () => {
    const all = recording("all")
    const high = recording("high", { severity: "high" })
    const highOfDb = recording("high of db", { severity: "high", host_id: db })
    const inherited = recording("inherited", { constructor: "Object" })
    return Effect.gen(function*() {
      yield* publish(pulse(web, false), pulse(db, false), pulse(hostIdFromName("other"), true))
      assert.strictEqual(all.sent.length, 3)
      assert.deepStrictEqual(high.sent.map(({ hostId }) => hostId), [web, db])
      assert.deepStrictEqual(highOfDb.sent.map(({ hostId }) => hostId), [db])
      assert.deepStrictEqual(inherited.sent, [])
    }).pipe(running(router([all.channel, high.channel, highOfDb.channel, inherited.channel])))
  })

  it.effect("an alert has the tags of its host, and channels are chosen by them", () => {
    const all = recording("all")
    const berlin = recording("berlin", { site: "berlin" })
    return Effect.gen(function*() {
      yield* publish(pulse(web, false), pulse(db, false))
      assert.deepStrictEqual(all.sent.map(({ tags }) => tags["site"]), ["berlin", undefined])
      assert.deepStrictEqual(berlin.sent.map(({ hostId }) => hostId), [web])
    }).pipe(
      running(router([all.channel, berlin.channel])),
      Effect.provideService(HostTags, (hostId) => hostId === web ? { site: "berlin" } : {})
    )
  })

  it.effect("an alert has a link to the page of its host, where that is known, and so does the store", () => {
    const { channel, sent } = recording()
    return Effect.gen(function*() {
      yield* publish(pulse(web, false))
      assert.strictEqual(sent[0]?.link, `https://watch/#/hosts/${web}`)
      assert.deepStrictEqual((yield* list)[0]?.alert, sent[0])
    }).pipe(running(router([channel], { linkTo: (hostId) => `https://watch/#/hosts/${hostId}` })))
  })

  // @spec system-alert-router
  // @ac AC-35
  it.effect("[system-alert-router/AC-35] a channel gets alerts from its severity on, and what ends those", () => {
    const high = recording("high")
    const medium = recording("medium")
    const ofDb = recording("medium of db", { host_id: db })
    const cis = { series: { benchmark: "os", profile: "cis" } }
    return Effect.gen(function*() {
      yield* publish(pulse(web, false), drift(web, "minor", -5, cis), pulse(db, false))
      yield* publish(pulse(web, true), drift(web, "improvement", 5, cis), pulse(db, true))
      assert.deepStrictEqual(typesOf(high.sent), [
        "host_unreachable",
        "host_unreachable",
        "host_recovered",
        "host_recovered"
      ])
      const ofHost = (host: HostId) => typesOf(medium.sent.filter(({ hostId }) => hostId === host))
      assert.deepStrictEqual(ofHost(web), ["host_unreachable", "drift_minor", "host_recovered", "drift_improvement"])
      assert.deepStrictEqual(ofHost(db), ["host_unreachable", "host_recovered"])
      assert.deepStrictEqual(typesOf(ofDb.sent), ["host_unreachable", "host_recovered"])
    }).pipe(running(router([
      { ...high.channel, minSeverity: "high" },
      { ...medium.channel, minSeverity: "medium" },
      { ...ofDb.channel, minSeverity: "medium" }
    ])))
  })

  // @spec system-alert-router
  // @ac AC-08
  it.effect("[system-alert-router/AC-08] a repeat within the time to live is counted, not stored and not sent", () => {
    const { channel, sent } = recording()
    return Effect.gen(function*() {
      yield* publish(drift(web, "major", -20))
      yield* TestClock.adjust("59 minutes")
      yield* publish(drift(web, "major", -20))
      yield* publish(drift(db, "major", -20))
      assert.deepStrictEqual(sent.map(({ hostId }) => hostId), [web, db])
      assert.deepStrictEqual((yield* list).map(({ alert, repeats }) => [alert.hostId, repeats]), [[db, 0], [web, 1]])
      assert.strictEqual((yield* metrics).deduped, 1)
    }).pipe(running(router([channel])))
  })

  // @spec system-alert-router
  // @ac AC-09
  it.effect("[system-alert-router/AC-09] a time to live out of range is a typed error; 60 minutes by default", () =>
    Effect.gen(function*() {
      assert.strictEqual(Duration.toMinutes(AlertRouter.defaultTimeToLive), 60)
      const start = (timeToLive: Duration.Input) =>
        Effect.exit(Effect.scoped(Layer.build(router([], { timeToLive: Duration.fromInputUnsafe(timeToLive) }))))
      for (const timeToLive of ["59 seconds", "86401 seconds", "0 seconds"] as const) {
        const exit = yield* start(timeToLive)
        assert.isTrue(Exit.isFailure(exit))
        const error = yield* Effect.flip(exit)
        assert.strictEqual(error._tag, "InvalidTimeToLive")
        assert.match(error.message, /; expected 1m to 1d$/)
      }
      assert.isTrue(Exit.isSuccess(yield* start("60 seconds")))
      assert.isTrue(Exit.isSuccess(yield* start("24 hours")))
    }).pipe(Effect.scoped))

  // @spec system-alert-router
  // @ac AC-10
  it.effect("[system-alert-router/AC-10] down, up, down, up within the time to live are two alerts of each kind", () => {
    const { channel, sent } = recording()
    return Effect.gen(function*() {
      for (const reachable of [false, true, false, true]) {
        yield* TestClock.adjust("1 minute")
        yield* publish(pulse(web, reachable))
      }
      assert.deepStrictEqual(typesOf(sent), [
        "host_unreachable",
        "host_recovered",
        "host_unreachable",
        "host_recovered"
      ])
      assert.strictEqual((yield* metrics).deduped, 0)
    }).pipe(running(router([channel])))
  })

  // @spec system-alert-router
  // @ac AC-11
  it.effect("[system-alert-router/AC-11] what brings a score back ends its series' alert, and is never a repeat", () => {
    const { channel, sent } = recording()
    const cis = { series: { benchmark: "os", profile: "cis" } }
    const stig = { series: { benchmark: "os", profile: "stig" } }
    return Effect.gen(function*() {
      for (let round = 0; round < 2; round++) {
        yield* publish(drift(web, "major", -20, cis), drift(web, "major", -30, stig))
        yield* publish(drift(web, "improvement", 6, { ...stig, isBack: false }))
        assert.deepStrictEqual(
          statesOf(yield* list).slice(-3),
          [
            "drift_major active",
            "drift_major active",
            "drift_improvement resolved"
          ]
        )
        yield* TestClock.adjust("1 minute")
        yield* publish(drift(web, "improvement", 18, { ...cis, isBack: true }))
        yield* publish(drift(web, "improvement", 30, { ...stig, isBack: true }))
        assert.deepStrictEqual((yield* list).filter(({ state }) => state === "active"), [])
        yield* TestClock.adjust("1 minute")
      }
      const ends = sent.filter(({ resolves }) => resolves !== undefined)
      assert.deepStrictEqual(ends.map(({ dedupKey, resolves }) => [dedupKey, resolves]), [
        [`drift_improvement|${web}|os/cis`, sent[0]!.id],
        [`drift_improvement|${web}|os/stig`, sent[1]!.id],
        [`drift_improvement|${web}|os/cis`, sent[5]!.id],
        [`drift_improvement|${web}|os/stig`, sent[6]!.id]
      ])
    }).pipe(running(router([channel])))
  })

  // @spec system-alert-router
  // @ac AC-27
  it.effect("[system-alert-router/AC-27] a deeper fall of a series is sent, and takes the open alert's place", () => {
    const { channel, sent } = recording()
    const series = { series: { benchmark: "xccdf_org.example_benchmark_os", profile: "xccdf_org.example_profile_cis" } }
    const host = { name: "web-1", address: "192.0.2.1:22" }
    return Effect.gen(function*() {
      yield* publish(drift(web, "major", -20, { ...series, host }))
      yield* TestClock.adjust("1 second")
      yield* publish(drift(web, "major", -25, { ...series, host }))
      assert.deepStrictEqual(sent.map(({ supersedes }) => supersedes), [undefined, sent[0]?.id])
      assert.strictEqual(sent[1]?.title, "web-1 (192.0.2.1:22) drifted (major) in os/cis: 50 to 25 (-25 points)")
      assert.deepInclude(sent[1], { host })
      assert.deepInclude(sent[1]?.drift, series)
      assert.strictEqual(sent[1]?.tags["host"], "web-1")
      assert.deepStrictEqual(statesOf(yield* list), ["drift_major resolved", "drift_major active"])
    }).pipe(running(router([channel])))
  })

  // @spec system-alert-router
  // @ac AC-28
  it.effect("[system-alert-router/AC-28] an alert says why, and so does the store", () => {
    const { channel, sent } = recording()
    const reason = { code: "ConnectionRefused", text: "connection refused" }
    return Effect.gen(function*() {
      yield* publish(pulse(web, false, true, { reason, host: { name: "web-1", address: "192.0.2.1:22" } }))
      assert.strictEqual(sent[0]?.title, "web-1 (192.0.2.1:22) is unreachable: connection refused")
      assert.deepStrictEqual(sent[0]?.reason, reason)
      assert.deepStrictEqual((yield* list)[0]?.alert, sent[0])
    }).pipe(running(router([channel])))
  })

  // @spec system-alert-router
  // @ac AC-29
  it.effect("[system-alert-router/AC-29] a host that is not watched any more ends its alerts, and raises none", () => {
    const { channel, sent } = recording()
    return Effect.gen(function*() {
      yield* publish(pulse(web, false), pulse(db, false), drift(web, "major", -20))
      yield* publish(
        pulse(web, false, null, { change: "removed" })
      )
      assert.strictEqual(sent.length, 3)
      assert.deepStrictEqual(
        (yield* list).filter(({ state }) => state === "active").map(({ alert }) => alert.hostId),
        [db]
      )
    }).pipe(running(router([channel])))
  })

  // @spec system-alert-router
  // @ac AC-30
  it.effect("[system-alert-router/AC-30] flapping is told once, in place of the alert that is open, and its end says what the host is now", () => {
    const { channel, sent } = recording()
    const changed = (reachable: boolean, change: "flapping" | "steady") => pulse(web, reachable, !reachable, { change })
    return Effect.gen(function*() {
      yield* publish(pulse(web, false), changed(true, "flapping"))
      assert.deepStrictEqual(sent.map(({ dedupKey }) => dedupKey), [
        `host_unreachable|${web}|`,
        `host_unreachable|${web}|flapping`
      ])
      assert.strictEqual(sent[1]?.supersedes, sent[0]?.id)
      yield* TestClock.adjust("30 minutes")
      yield* publish(changed(false, "steady"))
      assert.deepInclude(sent[2], { dedupKey: `host_unreachable|${web}|`, supersedes: sent[1]!.id })
      yield* publish(changed(true, "flapping"))
      yield* TestClock.adjust("30 minutes")
      yield* publish(changed(true, "steady"))
      assert.deepInclude(sent[4], { type: "host_recovered", resolves: sent[3]!.id })
      assert.deepStrictEqual((yield* list).filter(({ state }) => state === "active"), [])
    }).pipe(running(router([channel])))
  })

  // @spec system-alert-router
  // @ac AC-12
  it.effect("[system-alert-router/AC-12] a repeat after the time to live is an alert of its own", () => {
    const { channel, sent } = recording()
    return Effect.gen(function*() {
      yield* publish(drift(web, "minor", -5))
      yield* TestClock.adjust("5 minutes")
      yield* publish(drift(web, "minor", -5))
      assert.deepStrictEqual(typesOf(sent), ["drift_minor", "drift_minor"])
      assert.deepStrictEqual(statesOf(yield* list), ["drift_minor active", "drift_minor active"])
    }).pipe(running(router([channel], { timeToLive: Duration.minutes(5) })))
  })

  // @spec system-alert-router
  // @ac AC-13
  it.effect("[system-alert-router/AC-13] a repeat is one after a restart too", () =>
    Effect.gen(function*() {
      const { channel, sent } = recording()
      const folder = yield* dataFolder
      const run = Effect.fnUntraced(function*() {
        yield* publish(pulse(web, false))
      }, (effect) => effect.pipe(running(router([channel], { store: store(Effect.succeed(folder)) }))))
      yield* run()
      yield* TestClock.adjust("59 minutes")
      yield* run()
      assert.strictEqual(sent.length, 1)
      yield* TestClock.adjust("1 minute")
      yield* run()
      assert.strictEqual(sent.length, 2)
    }).pipe(Effect.scoped))

  // @spec system-alert-router
  // @ac AC-14
  it.effect("[system-alert-router/AC-14] an alert is stored as active, with a UUIDv7, when a channel sees it", () =>
    Effect.gen(function*() {
      const seen = yield* Queue.unbounded<readonly [Alert.Alert, ReadonlyArray<AlertStore.StoredAlert>]>()
      const layer = Layer.unwrap(Effect.map(AlertStore.AlertStore, (store) => {
        const channel: AlertChannel = {
          name: "looking",
          requiredTags: {},
          send: (alert) =>
            store.list().pipe(Effect.orDie, Effect.flatMap((stored) => Queue.offer(seen, [alert, stored] as const)))
        }
        return AlertRouter.layer().pipe(Layer.provide(AlertChannels.layer([channel])))
      })).pipe(Layer.provideMerge(store()))

      yield* Effect.gen(function*() {
        yield* publish(pulse(web, false))
        const [alert, stored] = yield* Queue.take(seen)
        assert.match(alert.id, /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/)
        assert.deepStrictEqual(stored.map(({ alert, state }) => [alert.id, state]), [[alert.id, "active"]])
      }).pipe(Effect.provide(layer))
    }).pipe(Effect.scoped))

  // @spec system-alert-router
  // @ac AC-15
  it.effect("[system-alert-router/AC-15] while storing fails nothing is sent; then it is", () => {
    const { channel, sent } = recording()
    const diskFull = new SqlError.SqlError({ reason: new SqlError.ConnectionError({ cause: new Error("disk full") }) })
    let isBroken = true
    const breaking = withSubmit((store) => (submission) =>
      Effect.suspend(() => isBroken ? Effect.fail(diskFull) : store.submit(submission))
    )
    return Effect.gen(function*() {
      yield* publish(pulse(web, false), pulse(db, false))
      yield* TestClock.adjust("1 minute")
      const { persistFailed, received, routed } = yield* metrics
      assert.isAbove(persistFailed, 5)
      assert.deepStrictEqual({ received, routed }, { received: 0, routed: 0 })
      assert.deepStrictEqual(sent, [])

      isBroken = false
      yield* TestClock.adjust("2 minutes")
      yield* publish()
      assert.deepStrictEqual(sent.map(({ hostId }) => hostId), [web, db])
      assert.strictEqual((yield* metrics).persistFailed, persistFailed)
    }).pipe(running(router([channel], { store: breaking })))
  })

  it.effect("whatever the database fails with, and for how long, an event is no dead letter, and becomes its alert", () => {
    const { channel, sent } = recording()
    const timedOut = new SqlError.SqlError({
      reason: new SqlError.StatementTimeoutError({ cause: new Error("canceling statement due to statement timeout") })
    })
    let isSlow = true
    const slow = withSubmit((store) => (submission) =>
      Effect.suspend(() => isSlow ? Effect.fail(timedOut) : store.submit(submission))
    )
    return Effect.gen(function*() {
      yield* publish(pulse(web, false))
      yield* TestClock.adjust("2 hours")
      assert.isAbove((yield* metrics).persistFailed, 10)
      isSlow = false
      yield* TestClock.adjust("5 minutes")
      yield* publish()
      assert.deepStrictEqual(sent.map(({ hostId }) => hostId), [web])
    }).pipe(running(router([channel], { store: slow })))
  })

  // @spec system-alert-router
  // @ac AC-16
  it.effect("[system-alert-router/AC-16] the same alert twice is one row and no error", () => {
    const { channel, sent } = recording()
    return Effect.gen(function*() {
      const event = yield* pulse(web, false)
      yield* publish(Effect.succeed(event), pulse(web, true), Effect.succeed(event))
      assert.deepStrictEqual(typesOf(sent), ["host_unreachable", "host_recovered"])
      assert.deepStrictEqual((yield* list).map(({ repeats }) => repeats), [0, 0])
      assert.strictEqual((yield* metrics).persistFailed, 0)
    }).pipe(running(router([channel])))
  })

  // @spec system-alert-router
  // @ac AC-17
  it.effect("[system-alert-router/AC-17] host_recovered resolves host_unreachable of its host and nothing else", () =>
    Effect.gen(function*() {
      yield* publish(pulse(web, false), pulse(db, false), drift(web, "major", -20))
      yield* TestClock.adjust("1 minute")
      yield* publish(pulse(web, true))
      const stored = yield* list
      assert.deepStrictEqual(
        stored.map(({ alert, resolvedAt, state }) => [
          alert.type,
          alert.hostId,
          state,
          resolvedAt && DateTime.toEpochMillis(resolvedAt)
        ]),
        [
          ["host_recovered", web, "resolved", 60_000],
          ["drift_major", web, "active", undefined],
          ["host_unreachable", db, "active", undefined],
          ["host_unreachable", web, "resolved", 60_000]
        ]
      )
    }).pipe(running(router([]))))

  // @spec system-alert-router
  // @ac AC-18
  it.effect("[system-alert-router/AC-18] a channel that hangs, fails or dies costs another nothing", () => {
    const { channel, sent } = recording("healthy")
    const refused = new ChannelError({ message: "no", isRetryable: true })
    const broken = (name: string, send: AlertChannel["send"]): AlertChannel => ({ name, requiredTags: {}, send })
    const channels = [
      broken("hanging", () => Effect.never),
      broken("failing", () => Effect.fail(refused)),
      broken("dying", () => Effect.die(new Error("a fault in the channel"))),
      broken("throwing", () => {
        throw new Error("a fault before there is an effect")
      }),
      channel
    ]
    return Effect.gen(function*() {
      yield* publish(pulse(web, false), pulse(db, false))
      assert.deepStrictEqual(sent.map(({ hostId }) => hostId), [web, db])
      assert.deepStrictEqual((yield* metrics).channelFailures, {
        hanging: 0,
        failing: 2,
        dying: 2,
        throwing: 2,
        healthy: 0
      })
      yield* TestClock.adjust("10 seconds")
      assert.strictEqual((yield* metrics).channelFailures["hanging"], 2)
      yield* publish(pulse(web, true))
      assert.strictEqual(sent.length, 3)
    }).pipe(running(router(channels)))
  })

  // @spec system-alert-router
  // @ac AC-19
  it.effect(
    "[system-alert-router/AC-19] sending times out, is tried again with growing pauses, and is given up in the end",
    () => {
      const attempts: Array<number> = []
      const hanging: AlertChannel = {
        name: "hanging",
        requiredTags: {},
        send: () =>
          Effect.flatMap(Clock.currentTimeMillis, (now) =>
            Effect.suspend(() => {
              attempts.push(now)
              return Effect.never
            }))
      }
      return Effect.gen(function*() {
        yield* publish(pulse(web, false))
        yield* TestClock.adjust("9999 millis")
        assert.strictEqual((yield* metrics).channelFailures["hanging"], 0)
        yield* TestClock.adjust("119 minutes")
        const [pending] = yield* list
        assert.deepInclude(pending!.deliveries[0], { state: "pending", lastError: "no end after 10s" })
        yield* TestClock.adjust("1 hour")
        const pauses = attempts.slice(1).map((at, index) => (at - attempts[index]!) / 1_000 - 10)
        for (const [index, pause] of pauses.entries()) {
          const middle = Math.min(2 ** index, 600)
          assert.isAtLeast(pause, middle * 0.8)
          assert.isAtMost(pause, middle * 1.2)
        }
        assert.isFalse(pauses.every((pause, index) => pause === Math.min(2 ** index, 600)))
        // The last attempt is the first that failed after two hours.
        assert.isAtLeast(attempts.at(-1)! + 10_000, 7_200_000)
        assert.isBelow(attempts.at(-2)! + 10_000, 7_200_000)
        const [stored] = yield* list
        assert.deepStrictEqual(stored!.deliveries, [
          { channel: "hanging", state: "given_up", attempts: attempts.length, lastError: "no end after 10s" }
        ])
      }).pipe(running(router([hanging], { retryFor: Duration.hours(2) })))
    }
  )

  // @spec system-alert-router
  // @ac AC-20
  it.effect("[system-alert-router/AC-20] what was stored and not delivered is sent after a restart, with its id", () =>
    Effect.gen(function*() {
      const folder = yield* dataFolder
      const run = <A, E>(
        channels: ReadonlyArray<AlertChannel>,
        effect: Effect.Effect<A, E, SystemOutbox | AlertStore.AlertStore>
      ) => effect.pipe(running(router(channels, { store: store(Effect.succeed(folder)) })))

      const away: AlertChannel = { name: "ops", requiredTags: {}, send: () => Effect.never }
      const stored = yield* run([away], Effect.andThen(publish(pulse(web, false), pulse(db, false)), list))

      const { channel, sent } = recording("ops")
      yield* run([channel], TestClock.adjust("2 seconds"))
      assert.sameMembers(sent.map(({ id }) => id), stored.map(({ alert }) => alert.id))
      yield* run([channel], TestClock.adjust("2 seconds"))
      assert.strictEqual(sent.length, 2)
    }).pipe(Effect.scoped))

  // @spec system-alert-router
  // @ac AC-21
  it("[system-alert-router/AC-21] the router's core imports no channel and no driver", () => {
    const folder = new URL("../../src/alert-router/", import.meta.url)
    const files = readdirSync(folder)
    assert.isAbove(files.length, 2)
    const imports = files.flatMap((file) => {
      const { errors, module } = parseSync(file, readFileSync(new URL(file, folder), "utf8"))
      assert.deepStrictEqual(errors, [])
      assert.deepStrictEqual(module.dynamicImports, [])
      return module.staticImports.map(({ moduleRequest }) => moduleRequest.value)
    })
    const others = new Set(imports.filter((name) => !name.startsWith("./") && !name.startsWith("../events/")))
    assert.deepStrictEqual([...others].toSorted(), [
      "../alert-store/AlertStore.ts",
      "../alert-store/DeliveryStore.ts",
      "../storage/repeatedly.ts",
      "@openwatch/event-bus",
      "@openwatch/event-bus-sql",
      "effect",
      "uuid"
    ])
  })

  // @spec system-alert-router
  // @ac AC-22
  it.effect("[system-alert-router/AC-22] what the router does is counted, for the program and as metrics", () => {
    const failing: AlertChannel = {
      name: "failing",
      requiredTags: { severity: "medium" },
      send: () => Effect.fail(new ChannelError({ message: "no", isRetryable: false }))
    }
    return Effect.gen(function*() {
      yield* publish(drift(web, "minor", -5), pulse(web, true, null))
      yield* TestClock.adjust("1 minute")
      yield* publish(drift(web, "minor", -5))
      assert.deepStrictEqual(yield* metrics, {
        received: 3,
        routed: 1,
        deduped: 1,
        persistFailed: 0,
        channelFailures: { failing: 1 }
      })
      const series = (yield* Metric.snapshot).filter(({ id }) => id.startsWith("openwatch_alert_router_"))
      assert.deepStrictEqual(
        Object.fromEntries(series.map(({ attributes, id, state }) => [
          `${id}${attributes?.["channel"] ?? ""}`,
          (state as { readonly count: number }).count
        ])),
        {
          openwatch_alert_router_received_total: 3,
          openwatch_alert_router_routed_total: 1,
          openwatch_alert_router_deduped_total: 1,
          openwatch_alert_router_channel_failures_totalfailing: 1
        }
      )
    }).pipe(
      running(router([failing])),
      Effect.provideServiceEffect(Metric.MetricRegistry, Effect.sync(() => new Map()))
    )
  })

  // @spec system-alert-router
  // @ac AC-23
  it.effect("[system-alert-router/AC-23] a stop finishes what was accepted, in ten seconds at the latest", () =>
    Effect.gen(function*() {
      const sent: Array<string> = []
      const other = hostIdFromName("other")
      const slow: AlertChannel = {
        name: "slow",
        requiredTags: {},
        send: ({ hostId }) =>
          Effect.delay(Effect.sync(() => sent.push(hostId)), hostId === other ? "9 seconds" : "6 seconds")
      }
      const folder = yield* dataFolder
      const slowStore = withSubmit(
        (store) => (submission) => Effect.delay(store.submit(submission), "1 second"),
        Effect.succeed(folder)
      )
      const scope = yield* Scope.make()
      const context = yield* Layer.buildWithScope(router([slow], { store: slowStore }), scope)
      const publishOf = (name: string) =>
        Effect.gen(function*() {
          yield* storeIn(yield* SystemOutbox)(yield* pulse(hostIdFromName(name), false))
        }).pipe(Effect.provide(context))
      for (const name of ["web", "db", "other"]) yield* publishOf(name)
      yield* pass(500)

      // All three are still to be stored, one after the other, and then to be sent. The last takes too long.
      const stopping = yield* Effect.forkChild(Scope.close(scope, Exit.void))
      yield* pass(9_700)
      assert.deepStrictEqual(sent, [web, db])
      assert.isUndefined(stopping.pollUnsafe())
      yield* pass(300)
      assert.isDefined(stopping.pollUnsafe())
      const deliveries = yield* Effect.provide(list, store(Effect.succeed(folder)))
      assert.deepStrictEqual(deliveries.map(({ alert, deliveries }) => [alert.hostId, deliveries[0]!.state]), [
        [other, "pending"],
        [db, "delivered"],
        [web, "delivered"]
      ])
    }).pipe(Effect.scoped))

  // @spec system-alert-router
  // @ac AC-24
  it.effect("[system-alert-router/AC-24] a clock that was set back mutes for no longer than the time to live", () => {
    const { channel, sent } = recording()
    return Effect.gen(function*() {
      yield* TestClock.setTime(Duration.toMillis(Duration.hours(3)))
      yield* publish(drift(web, "major", -20))
      yield* TestClock.setTime(Duration.toMillis(Duration.hours(3)) - Duration.toMillis(Duration.minutes(59)))
      yield* publish(drift(web, "major", -20))
      assert.strictEqual(sent.length, 1)
      yield* TestClock.setTime(Duration.toMillis(Duration.hours(1)))
      yield* publish(drift(web, "major", -20))
      assert.strictEqual(sent.length, 2)
    }).pipe(running(router([channel])))
  }, 60_000)

  // @spec system-alert-router
  // @ac AC-25
  it.effect("[system-alert-router/AC-25] an alert of severity info is never open", () =>
    Effect.gen(function*() {
      yield* publish(pulse(web, true, false), drift(web, "improvement", 10))
      assert.deepStrictEqual(statesOf(yield* list), ["host_recovered resolved", "drift_improvement resolved"])
      const alertStore = yield* AlertStore.AlertStore
      assert.deepStrictEqual(yield* alertStore.list({ states: ["active"] }), [])
    }).pipe(running(router([]))))

  // @spec system-alert-router
  // @ac AC-26
  it.effect("[system-alert-router/AC-26] an event that comes again after others changes nothing", () => {
    const { channel, sent } = recording()
    return Effect.gen(function*() {
      const improvement = (scoreDelta: number) =>
        Effect.tap(drift(web, "improvement", scoreDelta), TestClock.adjust("1 second"))
      const first = yield* improvement(10)
      const repeat = yield* improvement(11)
      const worse = yield* drift(web, "major", -20)
      // A batch, killed before it was acknowledged, that is delivered again.
      const batch = [first, repeat, worse].map((event) => Effect.succeed(event))
      yield* publish(...batch, ...batch)
      assert.deepStrictEqual(typesOf(sent), ["drift_improvement", "drift_major"])
      const alerts = (yield* list).toReversed()
      assert.deepStrictEqual(alerts.map(({ repeats, state }) => [state, repeats]), [["resolved", 1], ["active", 0]])
      assert.deepInclude(yield* metrics, { received: 3, routed: 2, deduped: 1 })
    }).pipe(running(router([channel])))
  })

  // @spec system-alert-router
  // @ac AC-31
  it.effect("[system-alert-router/AC-31] an end goes to whoever has the alert", () => {
    const high = recording("high", { severity: "high" })
    const info = recording("info", { severity: "info" })
    const endings: Array<AlertEnded> = []
    const channel: AlertChannel = {
      ...high.channel,
      sendEnding: (ending) => Effect.sync(() => endings.push(ending))
    }
    return Effect.gen(function*() {
      yield* publish(pulse(web, false), pulse(db, false))
      yield* publish(pulse(web, true), pulse(db, false, null, { change: "removed" }))
      assert.deepStrictEqual(typesOf(high.sent), ["host_unreachable", "host_unreachable", "host_recovered"])
      assert.deepStrictEqual(typesOf(info.sent), ["host_recovered"])
      // Of the first an alert tells.
      assert.deepStrictEqual(endings.map(({ alert }) => alert.id), [high.sent[1]!.id])
    }).pipe(running(router([channel, info.channel])))
  })

  // @spec system-alert-router
  // @ac AC-32
  it.effect("[system-alert-router/AC-32] raising and ending are events, and an end says how, by whom and why", () => {
    const { channel, sent } = recording()
    const cis = { series: { benchmark: "os", profile: "cis" } }
    const told: Array<AlertRaised | AlertEnded> = []
    return Effect.gen(function*() {
      const outbox = yield* AlertOutbox
      const handler = (event: AlertRaised | AlertEnded) => Effect.sync(() => told.push(event))
      yield* outbox.on(["AlertRaised", "AlertEnded"], handler, { consumer: "test" })
      yield* publish(pulse(web, false), drift(web, "minor", -5, cis), drift(web, "major", -20, cis))
      yield* publish(pulse(web, true), pulse(web, false, null, { change: "removed" }))
      const [down, minor, major, up] = sent
      assert.deepStrictEqual(
        told.map((event) => event._tag === "AlertRaised" ? event.alert.id : [event.how, event.alert.id, event.toldBy]),
        [
          down!.id,
          minor!.id,
          major!.id,
          ["superseded", minor!.id, major!.id],
          up!.id,
          ["recovered", down!.id, up!.id],
          ["removed", major!.id, undefined]
        ]
      )
      const ends = told.filter((event) => event._tag === "AlertEnded")
      assert.deepStrictEqual(ends.map(({ channels, who }) => [who, channels]), [
        ["openwatch", []],
        ["openwatch", []],
        ["openwatch", ["recording"]]
      ])
      assert.deepStrictEqual(ends.map(({ why }) => why), [
        major!.title,
        up!.title,
        `${web} is not watched any more`
      ])
    }).pipe(Effect.scoped, running(router([channel])))
  })

  // @spec system-alert-router
  // @ac AC-33
  it.effect(
    "[system-alert-router/AC-33] of a channel that takes nothing two lines tell, and it gets all in the end",
    () => {
      const { sent } = recording()
      let isAway = true
      const away = new ChannelError({ message: "away", isRetryable: true })
      const channel: AlertChannel = {
        name: "ops",
        requiredTags: {},
        send: (alert) => Effect.suspend(() => isAway ? Effect.fail(away) : Effect.sync(() => void sent.push(alert)))
      }
      const lines: Array<string> = []
      // On a slow machine the test clock has something to say, too.
      const keep = (line: string) => void (line.includes(`"ops"`) && lines.push(line))
      const logger = Logger.layer([Logger.make(({ message }) => keep(String(message)))])
      const hosts = Array.from({ length: 20 }, (_, n) => hostIdFromName(`host-${n}`))
      return Effect.gen(function*() {
        yield* publish(...hosts.map((host) => pulse(host, false)))
        yield* TestClock.adjust("10 minutes")
        isAway = false
        yield* TestClock.adjust("15 minutes")
        yield* publish()
        assert.sameMembers(sent.map(({ hostId }) => hostId), hosts)
        assert.match(
          lines[0]!,
          /^Alert .* is not delivered to "ops": away; it is tried again for 1d, and so is what comes after it$/
        )
        assert.deepStrictEqual(lines.slice(1), [`The channel "ops" takes alerts again`])
      }).pipe(running(router([channel])), Effect.provide(logger))
    }
  )

  // @spec system-alert-router
  // @ac AC-34
  it.effect(
    "[system-alert-router/AC-34] what is due to a channel that is not there any more is given up in the end",
    () =>
      Effect.gen(function*() {
        const folder = yield* dataFolder
        const away: AlertChannel = {
          name: "away",
          requiredTags: {},
          send: () => Effect.fail(new ChannelError({ message: "away", isRetryable: true }))
        }
        const run = <A, E>(channels: ReadonlyArray<AlertChannel>, effect: Effect.Effect<A, E, Stores>) =>
          effect.pipe(running(router(channels, {
            store: store(Effect.succeed(folder)),
            retryFor: Duration.hours(2)
          })))
        const consumers = Effect.flatMap(
          AlertOutbox,
          (outbox) => Effect.map(outbox.consumers, (consumers) => consumers.map(({ name }) => name))
        )
        const states = Effect.map(list, ([stored]) => stored!.deliveries.map(({ state }) => state))
        yield* run([away], publish(pulse(web, false)))
        yield* run(
          [],
          Effect.gen(function*() {
            yield* TestClock.adjust("1 hour")
            assert.deepStrictEqual([yield* states, yield* consumers], [["pending"], ["channel/away"]])
            yield* TestClock.adjust("2 hours")
            yield* publish()
            assert.deepStrictEqual([yield* states, yield* consumers], [["given_up"], []])
          })
        )
      }).pipe(Effect.scoped)
  )

  describe("what a channel has given up", () => {
    /** A channel that refuses all until it is mended. */
    const mendable = () => {
      const { channel, sent } = recording("ops")
      const endings: Array<AlertEnded> = []
      const state = { isMended: false }
      const unlessBroken = (sending: () => void) =>
        Effect.suspend(() =>
          state.isMended
            ? Effect.sync(sending)
            : Effect.fail(new ChannelError({ message: "refused", isRetryable: false }))
        )
      const broken: AlertChannel = {
        ...channel,
        send: (alert) => unlessBroken(() => sent.push(alert)),
        sendEnding: (ending) => unlessBroken(() => endings.push(ending))
      }
      return { broken, sent, endings, state }
    }
    const deadLetters = Effect.flatMap(AlertOutbox, (outbox) => Stream.runCollect(outbox.deadLetters()))
    const deliveries = Effect.map(
      list,
      ([stored]) => stored!.deliveries.map(({ attempts, isEnding, state }) => [isEnding === true, state, attempts])
    )

    // @spec system-alert-router
    // @ac AC-36
    it.effect("[system-alert-router/AC-36] a dead letter that is sent again is delivered", () => {
      const { broken, sent, state } = mendable()
      return Effect.gen(function*() {
        yield* publish(pulse(web, false))
        assert.deepStrictEqual(yield* deliveries, [[false, "given_up", 1]])
        state.isMended = true
        const outbox = yield* AlertOutbox
        assert.strictEqual(yield* outbox.requeue(yield* deadLetters), 1)
        yield* publish()
        assert.deepStrictEqual(typesOf(sent), ["host_unreachable"])
        assert.deepStrictEqual(yield* deliveries, [[false, "delivered", 2]])
      }).pipe(running(router([broken])))
    })

    // @spec system-alert-router
    // @ac AC-37
    it.effect("[system-alert-router/AC-37] an alert that is sent again goes to those that gave it up, and so does its end", () => {
      const { broken, endings, sent, state } = mendable()
      const other = recording("other")
      return Effect.gen(function*() {
        yield* publish(pulse(web, false))
        yield* publish(pulse(web, false, null, { change: "removed" }))
        assert.deepStrictEqual(yield* deliveries, [[false, "given_up", 1], [true, "given_up", 1], [
          false,
          "delivered",
          1
        ]])
        assert.strictEqual((yield* deadLetters).length, 2)
        state.isMended = true
        const { id } = other.sent[0]!
        const resent = (alertId: string, channel?: string) =>
          resend([alertId], channel).pipe(
            Effect.map(([first]) => first!.channels)
          )
        assert.deepStrictEqual(yield* resent(id, "other"), [])
        assert.deepStrictEqual(yield* resent(id), ["ops"])
        yield* publish()
        // That the alert is over is news; the alert is none any more.
        assert.deepStrictEqual([sent, endings.map(({ alert }) => alert.id)], [[], [id]])
        assert.deepStrictEqual((yield* deadLetters).map(({ event }) => event?._tag), ["AlertRaised"])
        assert.strictEqual(other.sent.length, 1)
        assert.deepStrictEqual(yield* resent(id), [])
        assert.isUndefined(yield* resent("01936b0e-0000-7000-8000-ffffffffffff"))
      }).pipe(running(router([broken, other.channel])))
    })

    // @spec system-alert-router
    // @ac AC-42
    it.effect("[system-alert-router/AC-42] what is not true any more is not sent again, whoever asks for it", () => {
      const { broken, endings, sent, state } = mendable()
      const ask = (alertId: string) =>
        Effect.map(resend([alertId]), ([{ channels, refusal } = {}]) => [
          channels,
          refusal
        ])
      return Effect.gen(function*() {
        yield* publish(pulse(web, false))
        yield* publish(pulse(web, true))
        const [up, down] = (yield* list).map(({ alert }) => alert.id)
        state.isMended = true
        assert.deepStrictEqual(yield* ask(down!), [[], "is over"])
        const outbox = yield* AlertOutbox
        assert.strictEqual(yield* outbox.requeue((yield* deadLetters).slice(0, 1)), 1)
        yield* TestClock.adjust("1 second")
        yield* publish(pulse(web, false))
        assert.deepStrictEqual(typesOf(sent.splice(0)), ["host_unreachable"])
        assert.deepStrictEqual(yield* ask(up!), [[], "is of a problem that is open again"])
        const letters = yield* deadLetters
        assert.strictEqual(yield* outbox.requeue(letters), 2)
        yield* publish()
        assert.deepStrictEqual([sent, endings], [[], []])
        assert.sameMembers(
          (yield* list).slice(1).map(({ deliveries: [delivery] }) => delivery?.lastError),
          [
            "the alert is of a problem that is open again, so this is not sent again",
            "the alert is over, so this is not sent again"
          ]
        )
        yield* TestClock.adjust("1 second")
        yield* publish(pulse(web, true))
        assert.deepStrictEqual(typesOf(sent.splice(0)), ["host_recovered"])
        assert.deepStrictEqual(yield* ask(up!), [["ops"], undefined])
      }).pipe(running(router([broken])))
    })

    it.effect("that somebody looks after an alert is a dead letter, too, and sent again while it is so", () => {
      const { channel } = recording("ops")
      const state = { isMended: false }
      const told: Array<string> = []
      const broken: AlertChannel = {
        ...channel,
        sendChange: ({ to }) =>
          Effect.suspend(() =>
            state.isMended
              ? Effect.sync(() => void told.push(to))
              : Effect.fail(new ChannelError({ message: "refused", isRetryable: false }))
          )
      }
      return Effect.gen(function*() {
        yield* publish(pulse(web, false))
        const [stored] = yield* list
        const perform = (action: "ack" | "resolve") =>
          AlertActions.perform([stored!.alert.id], { action, who: "ada", why: "" })
        yield* perform("ack")
        yield* publish()
        const outbox = yield* AlertOutbox
        const letters = yield* deadLetters
        assert.deepStrictEqual(letters.map(({ event }) => event?._tag), ["AlertChanged"])
        state.isMended = true
        yield* outbox.requeue(letters)
        yield* publish()
        assert.deepStrictEqual(told.splice(0), ["acknowledged"])
        yield* perform("resolve")
        yield* outbox.publish(letters[0]!.event!)
        yield* publish()
        assert.deepStrictEqual(told, [])
        assert.deepStrictEqual(yield* deadLetters, [])
      }).pipe(running(router([broken])))
    })

    it.effect("is a dead letter also where the process died before it was marked as one", () => {
      const { broken, sent, state } = mendable()
      return Effect.gen(function*() {
        yield* publish(pulse(web, false))
        const outbox = yield* AlertOutbox
        const [letter] = yield* deadLetters
        state.isMended = true
        // The same event again, as it comes to the next process.
        yield* outbox.discard([letter!])
        yield* outbox.publish(letter!.event!)
        yield* publish()
        assert.strictEqual((yield* deadLetters).length, 1)
        assert.deepStrictEqual(sent, [])
      }).pipe(running(router([broken])))
    })
  })
})
