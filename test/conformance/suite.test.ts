import { assert, describe, it } from "@effect/vitest"
import { EventBus } from "@openwatch/event-bus"
import { Conformance } from "@openwatch/event-bus-conformance"
import { Effect, Exit, type Scope } from "effect"

const make = (options: Conformance.BusOptions) => EventBus.make({ ...options, events: Conformance.events })

/** The event bus with something replaced. */
const broken = (
  breakIt: (bus: Conformance.TestedBus) => Partial<Conformance.TestedBus>
): Conformance.Harness => ({
  make: (options): Effect.Effect<Conformance.TestedBus, never, Scope.Scope> =>
    Effect.map(make(options), (bus) => ({
      publish: bus.publish,
      publishAll: bus.publishAll,
      publishUnsafe: bus.publishUnsafe,
      subscribe: bus.subscribe,
      on: bus.on,
      metrics: bus.metrics,
      shutdown: bus.shutdown,
      awaitShutdown: bus.awaitShutdown,
      ...breakIt(bus)
    })),
  offers: Conformance.capabilities
})

const named = (name: string): Conformance.Situation => {
  const situation = Conformance.situations.find((situation) => situation.name === name)
  if (situation === undefined) throw new Error(`There is no situation ${JSON.stringify(name)}`)
  return situation
}

const messageOf = (situation: string, harness: Conformance.Harness) =>
  Effect.gen(function*() {
    const failure = yield* Effect.flip(named(situation).run(harness))
    assert.strictEqual(failure.situation, situation)
    return failure.message
  })

describe("the suite", () => {
  it("has sixty situations at least, each with a name of its own", () => {
    const names = Conformance.situations.map(({ name }) => name)
    assert.isAtLeast(names.length, 60)
    assert.strictEqual(new Set(names).size, names.length)
  })

  it("leaves out what requires something that the bus does not offer", () => {
    const offers = ["dropping", "counters"] as const
    const situations = Conformance.situationsFor({ make, offers })
    assert.include(situations, named("a full dropping buffer keeps the oldest events and loses the newest"))
    assert.notInclude(situations, named("a full sliding buffer keeps the newest events and loses the oldest"))
    assert.notInclude(situations, named("a bus counts the events that matched no subscription"))
  })

  it.effect("names what was expected and what was found", () =>
    Effect.gen(function*() {
      const twice = broken((bus) => ({ publish: (event) => Effect.andThen(bus.publish(event), bus.publish(event)) }))
      assert.strictEqual(
        yield* messageOf("an event reaches every subscription to its kind", twice),
        "pending of the first subscription: expected [Red 1], found [Red 1, Red 1]"
      )
    }))

  it.effect("names the place where long lists part", () =>
    Effect.gen(function*() {
      const forgetful = broken((bus) => ({ publish: (event) => event.n === 500 ? Effect.void : bus.publish(event) }))
      assert.strictEqual(
        yield* messageOf("events come in the order in which they were published", forgetful),
        "pending of the subscription: expected 1000 of which number 500 is Red 500, " +
          "found 999 of which number 500 is Red 501"
      )
    }))

  it.effect("fails a bus that waits for ever, instead of hanging", () =>
    Effect.gen(function*() {
      assert.strictEqual(
        yield* messageOf("take waits for an event", broken(() => ({ publish: () => Effect.never }))),
        "expected every step to complete; one waits, and nothing is left to happen"
      )
    }))

  it.effect("fails a bus that never rests, instead of hanging", () =>
    Effect.gen(function*() {
      const restless = broken(() => ({
        publish: () => Effect.asVoid(Effect.forkDetach(Effect.forever(Effect.yieldNow)))
      }))
      assert.match(
        yield* messageOf("take waits for an event", restless),
        /^expected the bus to come to rest; it still runs after \d+ tasks$/
      )
    }), 60_000)

  it.effect("fails a bus that dies", () =>
    Effect.gen(function*() {
      assert.strictEqual(
        yield* messageOf("take waits for an event", broken(() => ({ publish: () => Effect.die("a bad day") }))),
        "expected no step to die; one died of a bad day"
      )
    }))

  it.effect("fails a bus that does not have what the harness offers", () =>
    Effect.gen(function*() {
      const poor: Conformance.Harness = {
        make: (options) =>
          Effect.map(make(options), ({ awaitShutdown, publish, publishAll, shutdown, subscribe }) => ({
            awaitShutdown,
            publish,
            publishAll,
            shutdown,
            subscribe
          })),
        offers: ["metrics"]
      }
      assert.match(
        yield* messageOf("a bus counts the events that matched no subscription", poor),
        /The harness offers "metrics", but what it makes has no metrics$/
      )
    }))

  it.effect("names the seed of a random situation, and that seed fails again", () =>
    Effect.gen(function*() {
      const situation = "publishing, taking, coming and going at random do what a model of a dropping bus does"
      const reversed = broken((bus) => ({ publishAll: (events) => bus.publishAll(Array.from(events).toReversed()) }))
      const message = yield* messageOf(situation, reversed)
      const seed = Number(/run again with seeds: \[(\d+)\]/.exec(message)?.[1])
      assert.strictEqual(yield* messageOf(situation, { ...reversed, seeds: [seed] }), message)
      assert.isTrue(Exit.isSuccess(yield* Effect.exit(named(situation).run({ ...broken(() => ({})), seeds: [seed] }))))
    }))
})
