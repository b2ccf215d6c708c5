import { assert, it } from "@effect/vitest"
import type { EventBus, Subscription, SubscriptionSnapshot } from "@openwatch/event-bus"
import {
  AllEventKinds,
  DriftDetected,
  type EventKind,
  HeartbeatPulse,
  HostId,
  SystemEventBus
} from "@openwatch/openwatch"
import { Cause, DateTime, Duration, Effect, Exit, Fiber, Stream } from "effect"
import { TestClock } from "effect/testing"
import { globSync, readFileSync } from "node:fs"
import { join } from "node:path"
import { brokerOf, modulesImportedBy, packagesNamedBy } from "./dependencies.ts"

const hostId = HostId.make("6f1c1d0e-7d4b-4c5e-9a51-0c8e2f4b7a10")

const occurredAt = DateTime.makeUnsafe(0)

const pulse = (responseTimeMs = 1) =>
  new HeartbeatPulse({ hostId, reachable: true, priorReachable: false, responseTimeMs, occurredAt })

const pulses = (count: number) => Array.from({ length: count }, (_, index) => pulse(index))

const drift = () =>
  new DriftDetected({
    hostId,
    scanId: "scan-1",
    driftType: "major",
    priorScore: 90,
    currentScore: 70,
    scoreDelta: -20,
    becameFailing: { critical: 0, high: 1, medium: 3, low: 0 },
    becamePassing: { critical: 0, high: 0, medium: 0, low: 0 },
    occurredAt
  })

/** The whole of a bus's counters: those left out are 0. */
const busCounters = (
  nonZero: Partial<Omit<EventBus.Metrics<EventKind>, "publishedByKind">> & { readonly [K in EventKind]?: number }
): EventBus.Metrics<EventKind> => ({
  publishedCount: nonZero.publishedCount ?? 0,
  deliveredCount: nonZero.deliveredCount ?? 0,
  droppedCount: nonZero.droppedCount ?? 0,
  noSubscribersCount: nonZero.noSubscribersCount ?? 0,
  publishedByKind: { HeartbeatPulse: nonZero.HeartbeatPulse ?? 0, DriftDetected: nonZero.DriftDetected ?? 0 }
})

/** The whole of a subscription to HeartbeatPulse that was given no options: counters left out are 0. */
const snapshot = (different: Partial<SubscriptionSnapshot>): SubscriptionSnapshot => ({
  name: "HeartbeatPulse",
  kinds: ["HeartbeatPulse"],
  bufferSize: 1024,
  overflow: "dropping",
  state: "open",
  offered: 0,
  delivered: 0,
  dropped: 0,
  taken: 0,
  pending: 0,
  discarded: 0,
  running: 0,
  failures: 0,
  ...different
})

const done = Exit.fail(Cause.Done())

// @spec system-event-bus
// @ac AC-01
it.effect("[system-event-bus/AC-01] the only subscriber of a kind has a published event within 100 ms", () =>
  Effect.gen(function*() {
    const bus = yield* SystemEventBus
    const subscription = yield* bus.subscribe({ kinds: ["HeartbeatPulse"] })
    const taker = yield* Effect.forkChild(subscription.take, { startImmediately: true })
    const event = pulse()

    yield* bus.publish(event)
    yield* TestClock.adjust("100 millis")

    assert.deepStrictEqual(taker.pollUnsafe(), Exit.succeed(event))
    assert.deepStrictEqual(yield* subscription.snapshot, snapshot({ offered: 1, delivered: 1, taken: 1 }))
    assert.deepStrictEqual(
      yield* bus.metrics,
      busCounters({ publishedCount: 1, deliveredCount: 1, HeartbeatPulse: 1 })
    )
  }).pipe(Effect.provide(SystemEventBus.layer)))

// @spec system-event-bus
// @ac AC-02
it.effect("[system-event-bus/AC-02] an event without a subscriber of its kind is counted as that, and not delivered", () =>
  Effect.gen(function*() {
    const bus = yield* SystemEventBus
    const subscription = yield* bus.subscribe({ kinds: ["HeartbeatPulse"] })
    yield* bus.publish(pulse())
    assert.deepStrictEqual(
      yield* bus.metrics,
      busCounters({ publishedCount: 1, deliveredCount: 1, HeartbeatPulse: 1 })
    )

    yield* bus.publish(drift())

    assert.deepStrictEqual(
      yield* bus.metrics,
      busCounters({
        publishedCount: 2,
        deliveredCount: 1,
        noSubscribersCount: 1,
        HeartbeatPulse: 1,
        DriftDetected: 1
      })
    )
    assert.deepStrictEqual(yield* subscription.snapshot, snapshot({ offered: 1, delivered: 1, pending: 1 }))
  }).pipe(Effect.provide(SystemEventBus.layer)))

// @spec system-event-bus
// @ac AC-03
it.effect("[system-event-bus/AC-03] three subscribers of a kind each receive the event", () =>
  Effect.gen(function*() {
    const bus = yield* SystemEventBus
    const subscriptions = yield* Effect.replicateEffect(bus.subscribe({ kinds: ["HeartbeatPulse"] }), 3)
    const event = pulse()

    yield* bus.publish(event)

    for (const subscription of subscriptions) {
      assert.deepStrictEqual(yield* subscription.takeAll, [event])
      assert.deepStrictEqual(yield* subscription.snapshot, snapshot({ offered: 1, delivered: 1, taken: 1 }))
    }
    assert.deepStrictEqual(
      yield* bus.metrics,
      busCounters({ publishedCount: 1, deliveredCount: 3, HeartbeatPulse: 1 })
    )
  }).pipe(Effect.provide(SystemEventBus.layer)))

// @spec system-event-bus
// @ac AC-04
it.effect("[system-event-bus/AC-04] 1,000 concurrent publishes reach each of 10 subscribers, and every count adds up", () =>
  Effect.gen(function*() {
    const bus = yield* SystemEventBus
    const subscriptions = yield* Effect.replicateEffect(bus.subscribe({ kinds: ["HeartbeatPulse"] }), 10)
    const events = pulses(1000)

    // Five take while the others publish, five when all is over.
    const takers = yield* Effect.forEach(
      subscriptions.slice(0, 5),
      (subscription) => Effect.forkChild(Effect.replicateEffect(subscription.take, 1000), { startImmediately: true })
    )
    const publishers = yield* Effect.forEach(
      events,
      (event) => Effect.forkChild(Effect.andThen(Effect.yieldNow, bus.publish(event)))
    )
    assert.deepStrictEqual(
      yield* Effect.forEach(publishers, Fiber.await),
      publishers.map(() => Exit.void)
    )
    assert.deepStrictEqual(
      yield* bus.metrics,
      busCounters({ publishedCount: 1000, deliveredCount: 10_000, HeartbeatPulse: 1000 })
    )

    const received = [
      ...yield* Effect.forEach(takers, Fiber.join),
      ...yield* Effect.forEach(subscriptions.slice(5), (subscription) => subscription.takeAll)
    ]
    for (const taken of received) {
      assert.deepStrictEqual(taken.toSorted((a, b) => a.responseTimeMs - b.responseTimeMs), events)
    }
    for (const subscription of subscriptions) {
      assert.deepStrictEqual(yield* subscription.snapshot, snapshot({ offered: 1000, delivered: 1000, taken: 1000 }))
    }
    assert.deepStrictEqual(
      yield* bus.metrics,
      busCounters({ publishedCount: 1000, deliveredCount: 10_000, HeartbeatPulse: 1000 })
    )
  }).pipe(Effect.provide(SystemEventBus.layer)))

// @spec system-event-bus
// @ac AC-05
it.effect("[system-event-bus/AC-05] a shutdown ends every subscription, and publishing after it changes nothing", () =>
  Effect.gen(function*() {
    const bus = yield* SystemEventBus
    const waiting = yield* bus.subscribe({ kinds: ["DriftDetected"] })
    const taker = yield* Effect.forkChild(waiting.take, { startImmediately: true })
    const streaming = yield* bus.subscribe({ kinds: ["HeartbeatPulse"] })
    const stream = yield* Effect.forkChild(Stream.runCollect(streaming.stream), { startImmediately: true })
    const behind = yield* bus.subscribe({ kinds: ["HeartbeatPulse"] })
    const [first, second] = [pulse(1), pulse(2)]
    yield* bus.publishAll([first, second])

    yield* bus.shutdown
    yield* bus.awaitShutdown

    assert.deepStrictEqual(yield* Fiber.await(taker), done)
    assert.deepStrictEqual(yield* Fiber.join(stream), [first, second])
    assert.deepStrictEqual(
      yield* behind.snapshot,
      snapshot({ state: "draining", offered: 2, delivered: 2, pending: 2 })
    )
    assert.strictEqual(yield* behind.take, first)
    assert.strictEqual(yield* behind.take, second)
    const subscriptions: ReadonlyArray<Subscription<DriftDetected | HeartbeatPulse>> = [waiting, streaming, behind]
    for (const subscription of subscriptions) {
      assert.deepStrictEqual(yield* Effect.exit(subscription.take), done)
      assert.strictEqual((yield* subscription.snapshot).state, "closed")
    }
    assert.deepStrictEqual(yield* bus.subscriptions, [])

    const counters = busCounters({ publishedCount: 2, deliveredCount: 4, HeartbeatPulse: 2 })
    assert.deepStrictEqual(yield* bus.metrics, counters)
    yield* bus.publish(pulse())
    yield* bus.publishAll([pulse(), drift()])
    bus.publishUnsafe(drift())
    assert.deepStrictEqual(yield* bus.metrics, counters)
    for (const subscription of [streaming, behind]) {
      assert.deepStrictEqual(
        yield* subscription.snapshot,
        snapshot({ state: "closed", offered: 2, delivered: 2, taken: 2 })
      )
    }
    assert.deepStrictEqual(
      yield* waiting.snapshot,
      snapshot({ name: "DriftDetected", kinds: ["DriftDetected"], state: "closed" })
    )
  }).pipe(Effect.provide(SystemEventBus.layer)))

// @spec system-event-bus
// @ac AC-06
it.effect("[system-event-bus/AC-06] a full buffer of one keeps the first event and counts five others as dropped", () =>
  Effect.gen(function*() {
    const bus = yield* SystemEventBus
    const subscription = yield* bus.subscribe({ kinds: ["HeartbeatPulse"], bufferSize: 1 })
    const events = pulses(6)

    for (const event of events) yield* bus.publish(event)

    assert.deepStrictEqual(
      yield* subscription.snapshot,
      snapshot({ bufferSize: 1, offered: 6, delivered: 1, dropped: 5, pending: 1 })
    )
    assert.deepStrictEqual(
      yield* bus.metrics,
      busCounters({ publishedCount: 6, deliveredCount: 1, droppedCount: 5, HeartbeatPulse: 6 })
    )
    assert.deepStrictEqual(yield* subscription.takeAll, [events[0]])
  }).pipe(Effect.provide(SystemEventBus.layer)))

// @spec system-event-bus
// @ac AC-07
it.effect("[system-event-bus/AC-07] AllEventKinds is the closed set of two", () =>
  Effect.gen(function*() {
    const bus = yield* SystemEventBus
    const expected: readonly ["HeartbeatPulse", "DriftDetected"] = AllEventKinds

    assert.deepStrictEqual(Array.from(expected), ["HeartbeatPulse", "DriftDetected"])
    assert.deepStrictEqual(bus.kinds, AllEventKinds)
    assert.deepStrictEqual(SystemEventBus.Event.members, [HeartbeatPulse, DriftDetected])
  }).pipe(Effect.provide(SystemEventBus.layer)))

// @spec system-event-bus
// @ac AC-08
it.effect("[system-event-bus/AC-08] a subscriber of HeartbeatPulse does not receive DriftDetected", () =>
  Effect.gen(function*() {
    const bus = yield* SystemEventBus
    const subscription = yield* bus.subscribe({ kinds: ["HeartbeatPulse"] })
    const event = pulse()

    yield* bus.publishAll([drift(), event, drift()])

    assert.deepStrictEqual(yield* subscription.takeAll, [event])
    assert.deepStrictEqual(yield* subscription.takeUpTo(10), [])
    assert.deepStrictEqual(yield* subscription.snapshot, snapshot({ offered: 1, delivered: 1, taken: 1 }))
  }).pipe(Effect.provide(SystemEventBus.layer)))

// @spec system-event-bus
// @ac AC-09
it.effect("[system-event-bus/AC-09] the bus's counters are right through deliveries, drops and events without subscriber", () =>
  Effect.gen(function*() {
    const bus = yield* SystemEventBus
    assert.deepStrictEqual(yield* bus.metrics, busCounters({}))

    yield* bus.publish(pulse())
    assert.deepStrictEqual(
      yield* bus.metrics,
      busCounters({ publishedCount: 1, noSubscribersCount: 1, HeartbeatPulse: 1 })
    )

    const roomy = yield* bus.subscribe({ kinds: ["HeartbeatPulse", "DriftDetected"] })
    const tight = yield* bus.subscribe({ kinds: ["HeartbeatPulse"], bufferSize: 1 })
    yield* bus.publish(pulse())
    assert.deepStrictEqual(
      yield* bus.metrics,
      busCounters({ publishedCount: 2, deliveredCount: 2, noSubscribersCount: 1, HeartbeatPulse: 2 })
    )

    yield* bus.publish(pulse())
    const afterDrop = busCounters({
      publishedCount: 3,
      deliveredCount: 3,
      droppedCount: 1,
      noSubscribersCount: 1,
      HeartbeatPulse: 3
    })
    assert.deepStrictEqual(yield* bus.metrics, afterDrop)

    yield* tight.take
    assert.deepStrictEqual(yield* bus.metrics, afterDrop)

    yield* bus.publishAll([pulse(), drift()])
    const afterAll = busCounters({
      publishedCount: 5,
      deliveredCount: 6,
      droppedCount: 1,
      noSubscribersCount: 1,
      HeartbeatPulse: 4,
      DriftDetected: 1
    })
    assert.deepStrictEqual(yield* bus.metrics, afterAll)

    yield* roomy.unsubscribe
    yield* tight.unsubscribe
    assert.deepStrictEqual(yield* bus.metrics, afterAll)

    yield* bus.publish(drift())
    assert.deepStrictEqual(
      yield* bus.metrics,
      busCounters({
        publishedCount: 6,
        deliveredCount: 6,
        droppedCount: 1,
        noSubscribersCount: 2,
        HeartbeatPulse: 4,
        DriftDetected: 2
      })
    )
  }).pipe(Effect.provide(SystemEventBus.layer)))

// @spec system-event-bus
// @ac AC-10
it.live("[system-event-bus/AC-10] 1,000 publishes to 10 subscribers take under 100 ms of wall clock", () =>
  Effect.gen(function*() {
    const bus = yield* SystemEventBus
    const subscriptions = yield* Effect.replicateEffect(bus.subscribe({ kinds: ["HeartbeatPulse"] }), 10)
    const events = pulses(1000)

    const [duration] = yield* Effect.timed(Effect.forEach(events, (event) => bus.publish(event), { discard: true }))

    assert.isBelow(Duration.toMillis(duration), 100)
    for (const subscription of subscriptions) {
      assert.deepStrictEqual(yield* subscription.takeAll, events)
    }
  }).pipe(Effect.provide(SystemEventBus.layer)))

// @spec system-event-bus
// @ac AC-11
it.effect("[system-event-bus/AC-11] a starved subscriber does not keep a fast one from receiving all of 100 events", () =>
  Effect.gen(function*() {
    const bus = yield* SystemEventBus
    const starved = yield* bus.subscribe({ kinds: ["HeartbeatPulse"], bufferSize: 2 })
    const fast = yield* bus.subscribe({ kinds: ["HeartbeatPulse"] })
    const events = pulses(100)

    const taker = yield* Effect.forkChild(Effect.replicateEffect(fast.take, 100), { startImmediately: true })
    for (const event of events) yield* Effect.andThen(bus.publish(event), Effect.yieldNow)

    assert.deepStrictEqual(yield* Fiber.join(taker), events)
    assert.deepStrictEqual(yield* fast.snapshot, snapshot({ offered: 100, delivered: 100, taken: 100 }))
    assert.deepStrictEqual(
      yield* starved.snapshot,
      snapshot({ bufferSize: 2, offered: 100, delivered: 2, dropped: 98, pending: 2 })
    )
    assert.deepStrictEqual(
      yield* bus.metrics,
      busCounters({ publishedCount: 100, deliveredCount: 102, droppedCount: 98, HeartbeatPulse: 100 })
    )
  }).pipe(Effect.provide(SystemEventBus.layer)))

// @spec system-event-bus
// @ac AC-12
it.effect("[system-event-bus/AC-12] the package of the bus names no client of a message broker", () =>
  Effect.sync(() => {
    const folder = join(import.meta.dirname, "../../packages/event-bus")
    const read = (path: string) => readFileSync(join(folder, path), "utf8")
    const sources = globSync("src/**/*.{ts,tsx,mts,cts,js,mjs,cjs}", { cwd: folder })
    const modules = sources.flatMap((path) => modulesImportedBy(path, read(path)))
    const packages = packagesNamedBy(JSON.parse(read("package.json")))

    // What is read is there at all.
    assert.include(sources, "src/internal/bus.ts")
    assert.include(modules, "effect")
    assert.include(packages, "effect")

    assert.deepStrictEqual([...modules, ...packages].filter((name) => brokerOf(name) !== undefined), [])
  }))

// @spec system-event-bus
// @ac AC-13
it.effect("[system-event-bus/AC-13] an unsubscribed subscription is closed, and later publishes pass it by", () =>
  Effect.gen(function*() {
    const bus = yield* SystemEventBus
    const subscription = yield* bus.subscribe({ kinds: ["HeartbeatPulse"], bufferSize: 2 })
    const other = yield* bus.subscribe({ kinds: ["DriftDetected"] })
    const taker = yield* Effect.forkChild(other.take, { startImmediately: true })
    yield* bus.publishAll([pulse(), pulse(), pulse()])

    yield* subscription.unsubscribe
    yield* other.unsubscribe

    const closed = snapshot({
      bufferSize: 2,
      state: "closed",
      offered: 3,
      delivered: 2,
      dropped: 1,
      discarded: 2
    })
    assert.deepStrictEqual(yield* subscription.snapshot, closed)
    assert.deepStrictEqual(yield* bus.subscriptions, [])
    assert.deepStrictEqual(yield* Fiber.await(taker), done)

    yield* bus.publishAll([pulse(), drift()])

    assert.deepStrictEqual(yield* Effect.exit(subscription.take), done)
    assert.deepStrictEqual(yield* Effect.exit(subscription.takeUpTo(10)), done)
    assert.deepStrictEqual(yield* subscription.snapshot, closed)
    assert.deepStrictEqual(
      yield* bus.metrics,
      busCounters({
        publishedCount: 5,
        deliveredCount: 2,
        droppedCount: 1,
        noSubscribersCount: 2,
        HeartbeatPulse: 4,
        DriftDetected: 1
      })
    )
  }).pipe(Effect.provide(SystemEventBus.layer)))
