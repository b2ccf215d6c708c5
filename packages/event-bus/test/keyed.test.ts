import { assert, describe, it } from "@effect/vitest"
import { EventBus } from "@openwatch/event-bus"
import { Cause, DateTime, Effect, Exit, Metric, Schema } from "effect"

const HostId = Schema.String.pipe(Schema.brand("HostId"))
type HostId = typeof HostId.Type
const hostId = (id: string): HostId => HostId.make(id)

class Checked extends Schema.TaggedClass<Checked>()("Checked", {
  hostId: HostId,
  level: Schema.Literals(["ok", "warning"]),
  score: Schema.NumberFromString,
  isFirst: Schema.Boolean,
  occurredAt: Schema.DateTimeUtc
}) {}

class Lost extends Schema.TaggedClass<Lost>()("Lost", {
  hostId: HostId,
  note: Schema.optional(Schema.String),
  occurredAt: Schema.DateTimeUtc
}) {}

class Found extends Schema.TaggedClass<Found>()("Found", { hostId: HostId, occurredAt: Schema.DateTimeUtc }) {}

const occurredAt = DateTime.makeUnsafe(0)

const checked = (id: string, rest: { level?: "ok" | "warning"; score?: number; isFirst?: boolean } = {}): Checked =>
  new Checked({ hostId: hostId(id), level: "ok", score: 0, isFirst: false, occurredAt, ...rest })

const lost = (id: string): Lost => new Lost({ hostId: hostId(id), occurredAt })

const makeBus = EventBus.make({ name: "test", events: [Checked, Lost], replay: 3 })

/** An event whose host cannot be read. */
const unreadable = Object.create(checked("a"), {
  hostId: {
    get: () => {
      throw new Error("revoked")
    }
  }
}) as Checked

describe("a keyed subscription", () => {
  it.effect("receives the events whose fields have its values, of all its kinds, in order", () =>
    Effect.gen(function*() {
      const bus = yield* makeBus
      const a = yield* bus.subscribe({ kinds: ["Checked", "Lost"], where: { hostId: hostId("a") } })
      const events = [checked("a"), checked("b"), lost("a"), lost("b"), checked("a", { score: 1 })]
      yield* bus.publishAll(events)
      assert.deepStrictEqual(yield* a.takeAll, [events[0]!, events[2]!, events[4]!])
    }))

  it.effect("takes nothing with it from others that ask for the same values, of other kinds", () =>
    Effect.gen(function*() {
      const bus = yield* EventBus.make({ events: [Checked, Lost, Found] })
      const where = { hostId: hostId("a") }
      const subscriptions = [
        yield* bus.subscribe({ kinds: ["Lost"], where }),
        yield* bus.subscribe({ kinds: ["Checked", "Lost"], where }),
        yield* bus.subscribe({ kinds: ["Lost", "Found"], where })
      ]
      for (const leaving of subscriptions) {
        yield* bus.publish(lost("a"))
        yield* leaving.unsubscribe
      }
      const offered = yield* Effect.forEach(
        subscriptions,
        ({ snapshot }) => Effect.map(snapshot, ({ offered }) => offered)
      )
      assert.deepStrictEqual(offered, [1, 2, 3])
    }))

  it.effect("and another that differs in the last of its fields only get their own", () =>
    Effect.gen(function*() {
      const bus = yield* makeBus
      const levels = ["ok", "warning"] as const
      const subscriptions = yield* Effect.forEach(
        levels,
        (level) => bus.subscribe({ kinds: ["Checked"], where: { hostId: hostId("a"), level } })
      )
      yield* bus.publishAll(levels.map((level) => checked("a", { level })))
      for (const [i, level] of levels.entries()) {
        assert.deepStrictEqual(yield* subscriptions[i]!.takeAll, [checked("a", { level })])
      }
    }))

  it.effect("that leaves while an event is read, which may run anything, is out of the way", () =>
    Effect.gen(function*() {
      const bus = yield* makeBus
      const leaving = yield* bus.subscribe({ kinds: ["Checked"], where: { hostId: hostId("a") }, bufferSize: 1 })
      const staying = yield* bus.subscribe({ kinds: ["Checked"], where: { level: "ok" } })
      yield* bus.publish(checked("a"))
      const event = Object.create(checked("a"), {
        level: {
          get: () => {
            Effect.runSync(leaving.unsubscribe)
            return "ok"
          }
        }
      }) as Checked
      yield* bus.publish(event)
      assert.strictEqual((yield* staying.snapshot).pending, 2)
      assert.deepInclude(yield* leaving.snapshot, { state: "closed", offered: 1 })
    }))

  it.effect("may name several fields, in any order, of strings, numbers and booleans", () =>
    Effect.gen(function*() {
      const bus = yield* makeBus
      const one = yield* bus.subscribe({ kinds: ["Checked"], where: { score: 1, isFirst: true } })
      const other = yield* bus.subscribe({ kinds: ["Checked"], where: { isFirst: true, score: 1, level: "warning" } })
      const first = checked("a", { score: 1, isFirst: true })
      const second = checked("b", { score: 1, isFirst: true, level: "warning" })
      yield* bus.publishAll([checked("a", { score: 1 }), first, checked("a", { isFirst: true }), second])
      assert.deepStrictEqual(yield* one.takeAll, [first, second])
      assert.deepStrictEqual(yield* other.takeAll, [second])
    }))

  it.effect("that names no field receives all events of its kinds", () =>
    Effect.gen(function*() {
      const bus = yield* makeBus
      const all = yield* bus.subscribe({ kinds: ["Lost"], where: {} })
      yield* bus.publishAll([lost("a"), lost("b")])
      assert.deepStrictEqual(yield* all.takeAll, [lost("a"), lost("b")])
      assert.deepStrictEqual((yield* all.snapshot).where, {})
    }))

  it.effect("is not offered what does not match, which counts as unheard if nobody else is there", () =>
    Effect.gen(function*() {
      const bus = yield* makeBus
      const a = yield* bus.subscribe({ kinds: ["Lost"], where: { hostId: hostId("a") }, bufferSize: 1 })
      yield* bus.publishAll([lost("b"), lost("b"), lost("a"), lost("b")])
      assert.deepInclude(yield* a.snapshot, { offered: 1, delivered: 1, dropped: 0 })
      assert.deepInclude(yield* bus.metrics, { publishedCount: 4, deliveredCount: 1, noSubscribersCount: 3 })
    }))

  it.effect("shows its values in its snapshot, read once, and nowhere else", () =>
    Effect.gen(function*() {
      const bus = yield* makeBus
      const where = { hostId: hostId("secret") }
      const subscription = yield* bus.subscribe({ kinds: ["Checked"], where })
      where.hostId = hostId("other")
      yield* bus.publishAll([checked("other"), checked("secret")])
      assert.deepStrictEqual(yield* subscription.takeAll, [checked("secret")])
      assert.deepStrictEqual((yield* bus.subscriptions)[0]!.where, { hostId: "secret" })
      assert.strictEqual(subscription.name, "Checked")
      assert.notInclude(JSON.stringify(yield* Metric.snapshot), "secret")
    }))

  it.effect("has no where in its snapshot if it was given none", () =>
    Effect.gen(function*() {
      const bus = yield* makeBus
      const subscription = yield* bus.subscribe({ kinds: ["Checked"], where: undefined })
      assert.notProperty(yield* subscription.snapshot, "where")
    }))

  it.effect("is replayed the last events that match, of those that are kept", () =>
    Effect.gen(function*() {
      const bus = yield* makeBus
      yield* bus.publishAll([
        lost("a"),
        checked("a"),
        checked("b", { score: 1 }),
        checked("a", { score: 2 }),
        lost("b")
      ])
      const a = yield* bus.subscribe({ kinds: ["Checked", "Lost"], where: { hostId: hostId("a") }, replay: 2 })
      assert.deepStrictEqual(yield* a.takeAll, [checked("a"), checked("a", { score: 2 })])
    }))

  it.effect("of `on` handles what matches", () =>
    Effect.gen(function*() {
      const bus = yield* makeBus
      const handled: Array<string> = []
      yield* bus.on("Checked", (event) => Effect.sync(() => handled.push(event.hostId)), {
        where: { hostId: hostId("a") }
      })
      yield* bus.publishAll([checked("b"), checked("a")])
      yield* Effect.repeat(Effect.yieldNow, { times: 10 })
      assert.deepStrictEqual(handled, ["a"])
    }))

  it.effect("that is closed receives nothing more, while another with the same values does", () =>
    Effect.gen(function*() {
      const bus = yield* makeBus
      const where = { hostId: hostId("a") }
      const gone = yield* bus.subscribe({ kinds: ["Checked"], where })
      const stays = yield* bus.subscribe({ kinds: ["Checked"], where })
      yield* gone.unsubscribe
      yield* bus.publish(checked("a"))
      assert.strictEqual((yield* gone.snapshot).offered, 0)
      assert.deepStrictEqual(yield* stays.takeAll, [checked("a")])
      yield* stays.unsubscribe
      yield* bus.publish(checked("a"))
      assert.strictEqual((yield* bus.metrics).noSubscribersCount, 1)
    }))

  it.effect("receives what is published inside a span", () =>
    Effect.gen(function*() {
      const bus = yield* makeBus
      const a = yield* bus.subscribe({ kinds: ["Checked"], where: { hostId: hostId("a") } })
      yield* Effect.withSpan(bus.publish(checked("a")), "check")
      assert.deepStrictEqual(yield* a.takeAll, [checked("a")])
    }))
})

describe("an event whose field cannot be read is a defect, and nothing is half published", () => {
  const setup = Effect.gen(function*() {
    const bus = yield* makeBus
    const all = yield* bus.subscribe({ kinds: ["Checked"] })
    const first = yield* bus.subscribe({ kinds: ["Checked"], where: { isFirst: false } })
    yield* bus.subscribe({ kinds: ["Checked"], where: { hostId: hostId("a") } })
    return { bus, all, first }
  })

  it.effect("alone", () =>
    Effect.gen(function*() {
      const { all, bus, first } = yield* setup
      const exit = yield* Effect.exit(bus.publish(unreadable))
      assert.isTrue(Exit.hasDies(exit))
      assert.strictEqual(
        (Cause.squash((exit as Exit.Failure<void, never>).cause) as Error).message,
        "EventBus \"test\": what was published cannot be read: a field that a where names throws"
      )
      assert.strictEqual((yield* bus.metrics).publishedCount, 0)
      assert.deepStrictEqual([(yield* all.snapshot).offered, (yield* first.snapshot).offered], [0, 0])
      const late = yield* bus.subscribe({ kinds: ["Checked"], replay: 1 })
      assert.strictEqual((yield* late.snapshot).offered, 0)
    }))

  it.effect("in a batch", () =>
    Effect.gen(function*() {
      const { all, bus, first } = yield* setup
      assert.isTrue(Exit.hasDies(yield* Effect.exit(bus.publishAll([checked("a"), unreadable, checked("a")]))))
      assert.strictEqual((yield* bus.metrics).publishedCount, 0)
      assert.deepStrictEqual([(yield* all.snapshot).offered, (yield* first.snapshot).offered], [0, 0])
    }))

  it.effect("replayed: there is no subscription", () =>
    Effect.gen(function*() {
      const bus = yield* makeBus
      yield* bus.publish(unreadable)
      const keyed = bus.subscribe({ kinds: ["Checked"], where: { hostId: hostId("a") }, replay: 1 })
      assert.isTrue(Exit.hasDies(yield* Effect.exit(keyed)))
      assert.deepStrictEqual(yield* bus.subscriptions, [])
      yield* bus.publish(checked("a"))
      assert.strictEqual((yield* bus.metrics).noSubscribersCount, 2)
    }))
})
