import { assert, describe, it } from "@effect/vitest"
import { EventBus } from "@openwatch/event-bus"
import { Cause, DateTime, Effect, Exit, Schema, type Scope } from "effect"
import { Pong } from "./fixture.ts"

/** Its getter is a field of the class, not of the schema. */
class Ping extends Schema.TaggedClass<Ping>()("Ping", { n: Schema.Int, occurredAt: Schema.DateTimeUtc }) {
  get isLarge(): boolean {
    return this.n > 100
  }
}

const ping = (n: number): Ping => new Ping({ n, occurredAt: DateTime.makeUnsafe(n) })

const makeBus = EventBus.make({ name: "test", events: [Ping, Pong] })

/** The message of the defect that an effect dies of. */
const defect = <A>(effect: Effect.Effect<A, never, Scope.Scope>): Effect.Effect<string, never, Scope.Scope> =>
  Effect.map(Effect.exit(effect), (exit) => {
    if (Exit.isSuccess(exit)) return "it succeeded"
    const error = Cause.squash(exit.cause)
    return error instanceof Error && Cause.hasDies(exit.cause) ? error.message : Cause.pretty(exit.cause)
  })

const untyped = (value: unknown): never => value as never

it.effect("a kind may have any name, also one that objects know", () =>
  Effect.gen(function*() {
    class Odd extends Schema.TaggedClass<Odd>()("__proto__", { occurredAt: Schema.DateTimeUtc }) {}
    const bus = yield* EventBus.make({ name: "test", events: [Odd] })
    yield* bus.publish(new Odd({ occurredAt: yield* DateTime.now }))
    const { publishedByKind, publishedCount } = yield* bus.metrics
    assert.deepStrictEqual([publishedCount, Object.entries(publishedByKind)], [1, [["__proto__", 1]]])
  }))

describe("bad input is a defect that names the bus, the option and what is allowed", () => {
  const cases: ReadonlyArray<
    [string, (bus: EventBus.EventBus<Ping | Pong>) => Effect.Effect<unknown, never, Scope.Scope>, string]
  > = [
    [
      "bufferSize 0",
      (bus) => bus.subscribe({ kinds: ["Ping"], bufferSize: 0 }),
      "EventBus \"test\": bufferSize must be a positive integer, but is 0"
    ],
    [
      "bufferSize 1.5",
      (bus) => bus.on("Ping", () => Effect.void, { bufferSize: 1.5 }),
      "EventBus \"test\": bufferSize must be a positive integer, but is 1.5"
    ],
    [
      "bufferSize Infinity",
      (bus) => bus.subscribe({ kinds: ["Ping"], bufferSize: Number.POSITIVE_INFINITY }),
      "EventBus \"test\": bufferSize must be a positive integer, but is Infinity"
    ],
    [
      "an unknown kind",
      (bus) => bus.subscribe({ kinds: ["Ping", untyped("Pung")] }),
      "EventBus \"test\": kinds names \"Pung\"; the kinds are \"Ping\", \"Pong\""
    ],
    [
      "the kind __proto__",
      (bus) => bus.on(untyped("__proto__"), () => Effect.void),
      "EventBus \"test\": kinds names \"__proto__\"; the kinds are \"Ping\", \"Pong\""
    ],
    [
      "no kinds at all",
      (bus) => bus.subscribe(untyped({})),
      "EventBus \"test\": kinds must be an array of kinds, but is undefined"
    ],
    [
      "an unknown overflow",
      (bus) => bus.subscribe({ kinds: ["Ping"], overflow: untyped("suspend") }),
      "EventBus \"test\": overflow must be \"dropping\" or \"sliding\", but is \"suspend\""
    ],
    [
      "concurrency 0",
      (bus) => bus.on("Ping", () => Effect.void, { concurrency: 0 }),
      "EventBus \"test\": concurrency must be a positive integer, but is 0"
    ],
    [
      "a where that names an unknown field",
      (bus) => bus.subscribe({ kinds: ["Ping", "Pong"], where: untyped({ n: 1, host: "a" }) }),
      "EventBus \"test\": where names \"host\"; the fields that all of the events have, and that hold a string, a number or a boolean, are \"n\""
    ],
    [
      "a where that names __proto__",
      (bus) => bus.subscribe({ kinds: ["Ping"], where: untyped(JSON.parse(`{ "__proto__": 1 }`)) }),
      "EventBus \"test\": where names \"__proto__\"; the fields that all of the events have, and that hold a string, a number or a boolean, are \"n\""
    ],
    [
      "a where that names the _tag",
      (bus) => bus.on("Ping", () => Effect.void, { where: untyped({ _tag: "Ping" }) }),
      "EventBus \"test\": where names \"_tag\"; the fields that all of the events have, and that hold a string, a number or a boolean, are \"n\""
    ],
    [
      "a where that names a getter",
      (bus) => bus.subscribe({ kinds: ["Ping"], where: untyped({ isLarge: true }) }),
      "EventBus \"test\": where names \"isLarge\"; the fields that all of the events have, and that hold a string, a number or a boolean, are \"n\""
    ],
    [
      "a where that names a field of objects",
      (bus) => bus.subscribe({ kinds: ["Ping"], where: untyped({ occurredAt: ping(1).occurredAt }) }),
      "EventBus \"test\": where names \"occurredAt\"; the fields that all of the events have, and that hold a string, a number or a boolean, are \"n\""
    ],
    [
      "a where of no kinds",
      (bus) => bus.subscribe({ kinds: [], where: untyped({ n: 1 }) }),
      "EventBus \"test\": where names \"n\"; the events have no field in common that holds a string, a number or a boolean"
    ],
    [
      "a where with the value undefined",
      (bus) => bus.subscribe({ kinds: ["Ping"], where: untyped({ n: undefined }) }),
      "EventBus \"test\": where.n must be a string, a number or a boolean, but is undefined"
    ],
    [
      "a where with an object for a value",
      (bus) => bus.subscribe({ kinds: ["Ping"], where: untyped({ n: Object.create(null) }) }),
      "EventBus \"test\": where.n must be a string, a number or a boolean, but is a value of type object"
    ],
    [
      "a where that is no object",
      (bus) => bus.subscribe({ kinds: ["Ping"], where: untyped(null) }),
      "EventBus \"test\": where must be an object of fields and their values, but is null"
    ],
    [
      "a where for a PubSub",
      (bus) => bus.asPubSub(untyped({ kinds: ["Ping"], where: { n: 1 } })),
      "EventBus \"test\": asPubSub has no where; subscribe has"
    ],
    [
      "publishing a foreign event",
      (bus) => bus.publish(untyped({ _tag: "Pung" })),
      "EventBus \"test\": cannot publish an event with the _tag \"Pung\"; the kinds are \"Ping\", \"Pong\""
    ],
    [
      "publishing __proto__",
      (bus) => bus.publish(untyped({ _tag: "__proto__" })),
      "EventBus \"test\": cannot publish an event with the _tag \"__proto__\"; the kinds are \"Ping\", \"Pong\""
    ],
    [
      "publishing null",
      (bus) => bus.publish(untyped(null)),
      "EventBus \"test\": what was published is no event: it has no _tag; the kinds are \"Ping\", \"Pong\""
    ],
    [
      "publishing a batch with a foreign event",
      (bus) => bus.publishAll([ping(1), untyped({ _tag: "Pung" })]),
      "EventBus \"test\": cannot publish an event with the _tag \"Pung\"; the kinds are \"Ping\", \"Pong\""
    ]
  ]
  for (const [name, act, message] of cases) {
    it.effect(name, () =>
      Effect.gen(function*() {
        const bus = yield* makeBus
        assert.strictEqual(yield* defect(act(bus)), message)
        // Nothing is half done.
        assert.deepStrictEqual(yield* bus.subscriptions, [])
        assert.strictEqual((yield* bus.metrics).publishedCount, 0)
      }))
  }

  it.effect("two events with one _tag", () =>
    Effect.gen(function*() {
      assert.strictEqual(
        yield* defect(EventBus.make({ name: "test", events: [Ping, Pong, Ping] })),
        "EventBus \"test\": events has two events with the _tag \"Ping\"; each must have its own"
      )
      assert.throws(
        () => EventBus.Service<unknown>()("test/Twice", { events: [Ping, Ping] }),
        "EventBus \"test/Twice\": events has two events with the _tag \"Ping\"; each must have its own"
      )
    }))

  it.effect("an event without a _tag", () =>
    Effect.gen(function*() {
      // A class is undefined where modules import each other in a circle.
      for (const event of [{ fields: {} }, {}, undefined]) {
        assert.strictEqual(
          yield* defect(EventBus.make({ events: [untyped(event)] })),
          "EventBus \"EventBus\": events[0] has no literal _tag; declare each event with Schema.TaggedClass"
        )
      }
    }))

  it.effect("a bus's own options", () =>
    Effect.gen(function*() {
      assert.strictEqual(
        yield* defect(EventBus.make({ events: [Ping], bufferSize: -1 })),
        "EventBus \"EventBus\": bufferSize must be a positive integer, but is -1"
      )
      assert.strictEqual(
        yield* defect(EventBus.make({ events: [Ping], overflow: untyped("block") })),
        "EventBus \"EventBus\": overflow must be \"dropping\" or \"sliding\", but is \"block\""
      )
    }))
})

it.effect("a field of one event is none of all, also where objects have something of that name", () =>
  Effect.gen(function*() {
    const Built = Schema.TaggedStruct("Built", { constructor: Schema.String, occurredAt: Schema.DateTimeUtc })
    const bus = yield* EventBus.make({ name: "test", events: [Built, Pong] })
    assert.strictEqual(
      yield* defect(bus.subscribe({ kinds: ["Built", "Pong"], where: untyped({ constructor: "Ada" }) })),
      "EventBus \"test\": where names \"constructor\"; the events have no field in common that holds a string, a number or a boolean"
    )
  }))

it.effect("a subscription to no kinds receives nothing and is named so", () =>
  Effect.gen(function*() {
    const bus = yield* makeBus
    const subscription = yield* bus.subscribe({ kinds: [] })
    yield* bus.publish(ping(1))
    assert.deepStrictEqual(yield* subscription.takeUpTo(1), [])
    assert.deepInclude(yield* subscription.snapshot, { name: "", kinds: [], offered: 0 })
    assert.strictEqual((yield* bus.metrics).noSubscribersCount, 1)
  }))

it.effect("a kind named twice is subscribed to once", () =>
  Effect.gen(function*() {
    const bus = yield* makeBus
    const subscription = yield* bus.subscribe({ kinds: ["Pong", "Ping", "Pong"] })
    yield* bus.publish(ping(1))
    assert.deepStrictEqual(yield* subscription.takeUpTo(2), [ping(1)])
    assert.strictEqual(subscription.name, "Pong+Ping")
  }))
