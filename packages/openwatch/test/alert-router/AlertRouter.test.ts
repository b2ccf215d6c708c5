import { NodeServices } from "@effect/platform-node"
import { assert, describe, it } from "@effect/vitest"
import { EventBusTest } from "@openwatch/event-bus/testing"
import {
  Alert,
  type AlertChannel,
  AlertChannels,
  AlertRouter,
  AlertStore,
  ChannelError,
  DriftDetected,
  HeartbeatPulse,
  type HostId,
  hostIdFromName,
  SqlAlertStore,
  Storage,
  SystemEventBus
} from "@openwatch/openwatch"
import { Clock, DateTime, Duration, Effect, Exit, Fiber, FileSystem, Layer, Metric, Queue, Scope } from "effect"
import { TestClock } from "effect/testing"
import { readdirSync, readFileSync } from "node:fs"
import { parseSync } from "oxc-parser"

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

/** The store of a folder, new if none is given. */
const store = (location = dataFolder) =>
  SqlAlertStore.layer.pipe(
    Layer.provide(Layer.unwrap(Effect.map(location, (location) => Storage.layer(location)))),
    Layer.provide(NodeServices.layer),
    Layer.orDie
  )

/** The router and what it is connected to. */
const router = (
  channels: ReadonlyArray<AlertChannel>,
  options: AlertRouter.Options & { readonly store?: Layer.Layer<AlertStore.AlertStore, never, Scope.Scope> } = {}
) =>
  AlertRouter.layer(options).pipe(
    Layer.provideMerge(SystemEventBus.layer),
    Layer.provideMerge(AlertChannels.layer(channels)),
    Layer.provideMerge(options.store ?? store())
  )

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

/** Publishes an event, and waits until it is handled and each channel's worker has nothing to do. */
const publish = (...events: ReadonlyArray<Effect.Effect<HeartbeatPulse | DriftDetected>>) =>
  Effect.gen(function*() {
    const bus = yield* SystemEventBus
    for (const event of events) yield* bus.publish(yield* event)
    yield* EventBusTest.awaitIdle(SystemEventBus)
    yield* TestClock.adjust(0)
  })

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
      yield* publish(pulse(web, false), pulse(db, false), pulse(db, true))
      assert.strictEqual(all.sent.length, 3)
      assert.deepStrictEqual(high.sent.map(({ hostId }) => hostId), [web, db])
      assert.deepStrictEqual(highOfDb.sent.map(({ hostId }) => hostId), [db])
      assert.deepStrictEqual(inherited.sent, [])
    }).pipe(running(router([all.channel, high.channel, highOfDb.channel, inherited.channel])))
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
      })).pipe(Layer.provideMerge(SystemEventBus.layer), Layer.provide(store()))

      yield* Effect.gen(function*() {
        yield* (yield* SystemEventBus).publish(yield* pulse(web, false))
        const [alert, stored] = yield* Queue.take(seen)
        assert.match(alert.id, /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/)
        assert.deepStrictEqual(stored.map(({ alert, state }) => [alert.id, state]), [[alert.id, "active"]])
      }).pipe(Effect.provide(layer))
    }).pipe(Effect.scoped))

  // @spec system-alert-router
  // @ac AC-15
  it.effect("[system-alert-router/AC-15] while storing fails nothing is sent; then it is", () => {
    const { channel, sent } = recording()
    const diskFull = new AlertStore.AlertStoreError({ message: "disk full", isRetryable: true, cause: undefined })
    let isBroken = true
    const breaking = Layer.effect(
      AlertStore.AlertStore,
      Effect.map(AlertStore.AlertStore, (store): AlertStore.AlertStore["Service"] => ({
        ...store,
        submit: (submission) => Effect.suspend(() => isBroken ? Effect.fail(diskFull) : store.submit(submission))
      }))
    ).pipe(Layer.provide(store()))
    return Effect.gen(function*() {
      const bus = yield* SystemEventBus
      yield* bus.publish(yield* pulse(web, false))
      yield* bus.publish(yield* pulse(db, false))
      yield* TestClock.adjust("1 minute")
      const { persistFailed, received, routed } = yield* metrics
      assert.isAbove(persistFailed, 5)
      assert.deepStrictEqual({ received, routed }, { received: 1, routed: 0 })
      assert.deepStrictEqual(sent, [])

      isBroken = false
      yield* TestClock.adjust("12 seconds")
      yield* publish()
      assert.deepStrictEqual(sent.map(({ hostId }) => hostId), [web, db])
      assert.strictEqual((yield* metrics).persistFailed, persistFailed)
    }).pipe(running(router([channel], { store: breaking })))
  })

  // @spec system-alert-router
  // @ac AC-16
  it.effect("[system-alert-router/AC-16] the same alert twice is one row and no error", () => {
    const { channel, sent } = recording()
    return Effect.gen(function*() {
      const bus = yield* SystemEventBus
      const event = yield* pulse(web, false)
      yield* publish(Effect.succeed(event), pulse(web, true), Effect.succeed(event))
      assert.deepStrictEqual(typesOf(sent), ["host_unreachable", "host_recovered"])
      assert.deepStrictEqual((yield* list).map(({ repeats }) => repeats), [0, 0])
      assert.deepStrictEqual((yield* bus.subscriptions).map(({ failures }) => failures), [0])
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
        failing: 1,
        dying: 2,
        throwing: 2,
        healthy: 0
      })
      yield* TestClock.adjust("10 seconds")
      assert.strictEqual((yield* metrics).channelFailures["hanging"], 1)
      yield* publish(pulse(web, true))
      assert.strictEqual(sent.length, 3)
    }).pipe(running(router(channels)))
  })

  // @spec system-alert-router
  // @ac AC-19
  it.effect("[system-alert-router/AC-19] sending times out, is tried again with growing pauses, and is given up", () => {
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
      yield* TestClock.adjust("10 minutes")
      assert.strictEqual(attempts.length, 8)
      const pauses = attempts.slice(1).map((at, index) => (at - attempts[index]!) / 1_000 - 10)
      for (const [index, pause] of pauses.entries()) {
        const middle = Math.min(2 ** index, 60)
        assert.isAtLeast(pause, middle * 0.8)
        assert.isAtMost(pause, middle * 1.2)
      }
      assert.isFalse(pauses.every((pause, index) => pause === Math.min(2 ** index, 60)))
      const [stored] = yield* list
      assert.deepStrictEqual(stored!.deliveries, [
        { channel: "hanging", state: "given_up", attempts: 8, lastError: "no end after 10s" }
      ])
    }).pipe(running(router([hanging])))
  })

  // @spec system-alert-router
  // @ac AC-20
  it.effect("[system-alert-router/AC-20] what was stored and not delivered is sent after a restart, with its id", () =>
    Effect.gen(function*() {
      const folder = yield* dataFolder
      const run = <A, E>(
        channels: ReadonlyArray<AlertChannel>,
        effect: Effect.Effect<A, E, SystemEventBus | AlertStore.AlertStore>
      ) => effect.pipe(running(router(channels, { store: store(Effect.succeed(folder)) })))

      const away: AlertChannel = { name: "ops", requiredTags: {}, send: () => Effect.never }
      const stored = yield* run([away], Effect.andThen(publish(pulse(web, false), pulse(db, false)), list))

      const { channel, sent } = recording("ops")
      yield* run([channel], TestClock.adjust(0))
      assert.deepStrictEqual(sent.map(({ id }) => id), stored.map(({ alert }) => alert.id).toReversed())
      yield* run([channel], TestClock.adjust(0))
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
      "../storage/Outage.ts",
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
      const slow: AlertChannel = {
        name: "slow",
        requiredTags: {},
        send: ({ hostId }) => Effect.delay(Effect.sync(() => sent.push(hostId)), "4 seconds")
      }
      const folder = yield* dataFolder
      const slowStore = Layer.effect(
        AlertStore.AlertStore,
        Effect.map(AlertStore.AlertStore, (store): AlertStore.AlertStore["Service"] => ({
          ...store,
          submit: (submission) => Effect.delay(store.submit(submission), "1 second")
        }))
      ).pipe(Layer.provide(store(Effect.succeed(folder))))
      const scope = yield* Scope.make()
      const context = yield* Layer.buildWithScope(router([slow], { store: slowStore }), scope)
      const publishOf = (name: string) =>
        Effect.gen(function*() {
          yield* (yield* SystemEventBus).publish(yield* pulse(hostIdFromName(name), false))
        }).pipe(Effect.provide(context))
      for (const name of ["web", "db", "other"]) yield* publishOf(name)
      yield* TestClock.adjust("500 millis")

      // All three are still to be stored, which takes three seconds, and to be sent, which takes twelve.
      const stopping = yield* Effect.forkChild(Scope.close(scope, Exit.void))
      yield* TestClock.adjust("100 millis")
      yield* publishOf("too late")
      yield* TestClock.adjust("9 seconds")
      assert.deepStrictEqual(sent, [web, db])
      assert.isUndefined(stopping.pollUnsafe())
      yield* TestClock.adjust("900 millis")
      assert.isDefined(stopping.pollUnsafe())
      const other = hostIdFromName("other")

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
      yield* TestClock.setTime(Duration.toMillis(Duration.days(10)))
      yield* publish(drift(web, "major", -20))
      yield* TestClock.setTime(Duration.toMillis(Duration.days(10)) - Duration.toMillis(Duration.minutes(59)))
      yield* publish(drift(web, "major", -20))
      assert.strictEqual(sent.length, 1)
      yield* TestClock.setTime(Duration.toMillis(Duration.days(9)))
      yield* publish(drift(web, "major", -20))
      assert.strictEqual(sent.length, 2)
    }).pipe(running(router([channel])))
  })

  // @spec system-alert-router
  // @ac AC-25
  it.effect("[system-alert-router/AC-25] an alert of severity info is never open", () =>
    Effect.gen(function*() {
      yield* publish(pulse(web, true, false), drift(web, "improvement", 10))
      assert.deepStrictEqual(statesOf(yield* list), ["host_recovered resolved", "drift_improvement resolved"])
      const alertStore = yield* AlertStore.AlertStore
      assert.deepStrictEqual(yield* alertStore.list({ state: "active" }), [])
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
      assert.deepInclude(yield* metrics, { received: 6, routed: 2, deduped: 4 })
    }).pipe(running(router([channel])))
  })
})
