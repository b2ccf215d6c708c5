import { assert, describe, it } from "@effect/vitest"
import { EventBus } from "@openwatch/event-bus"
import { Cause, Data, Effect, Fiber, Logger, Option, Schedule, Tracer } from "effect"
import { Ping, ping, Pong, settle } from "./fixture.ts"

const makeBus = EventBus.make({ name: "test", events: [Ping, Pong] })

/** A tracer that remembers its spans. */
const recording = () => {
  const spans: Array<Tracer.NativeSpan> = []
  const tracer = Tracer.make({
    span(options) {
      const span = new Tracer.NativeSpan(options)
      spans.push(span)
      return span
    }
  })
  return { spans, provide: Effect.provideService(Tracer.Tracer, tracer) }
}

describe("tracing", () => {
  it.effect("a handler runs in a root span that links to the span of the publisher", () => {
    const { provide, spans } = recording()
    return Effect.gen(function*() {
      const bus = yield* makeBus
      const current: Array<string> = []
      yield* Effect.withSpan(
        bus.on("Ping", () => Effect.map(Effect.currentSpan, (span) => current.push(span.name)), { name: "router" }),
        "around on"
      )
      yield* Effect.withSpan(bus.publish(ping(1)), "publisher")
      yield* settle
      assert.deepStrictEqual(current, ["process Ping"])
      const publisher = spans.find((span) => span.name === "publisher")!
      const handler = spans.find((span) => span.name === "process Ping")!
      assert.isTrue(Option.isNone(handler.parent))
      assert.strictEqual(handler.kind, "consumer")
      assert.deepStrictEqual(handler.links.map((link) => link.span), [publisher])
      assert.strictEqual(handler.status._tag, "Ended")
      assert.deepStrictEqual(Object.fromEntries(handler.attributes), {
        "messaging.system": "event_bus",
        "messaging.operation.name": "process",
        "messaging.operation.type": "process",
        "messaging.destination.name": "Ping",
        "messaging.destination.subscription.name": "router",
        "event_bus.name": "test"
      })
    }).pipe(provide)
  })

  it.effect("a handler that fails names the type of its error, and one that is interrupted names none", () => {
    const { provide, spans } = recording()
    class Full extends Data.TaggedError("Full") {}
    const unreadable = new Proxy({}, {
      get: () => {
        throw new Error("revoked")
      }
    })
    const handlers: ReadonlyArray<Effect.Effect<void, unknown>> = [
      Effect.fail(new Full()),
      Effect.die(new RangeError("no")),
      Effect.fail("a text of its own each time"),
      Effect.fail(unreadable),
      Effect.fail({ _tag: "Refused" }),
      Effect.fail(Object.assign(new RangeError("no"), { _tag: 404 })),
      Effect.interrupt,
      Effect.void
    ]
    return Effect.gen(function*() {
      const bus = yield* makeBus
      yield* bus.on("Ping", ({ n }) => handlers[n]!)
      yield* Effect.withSpan(bus.publishAll(handlers.map((_, n) => ping(n))), "publisher")
      yield* settle
      assert.deepStrictEqual(
        spans.slice(1).map((span) => span.attributes.get("error.type")),
        ["Full", "RangeError", "_OTHER", "_OTHER", "Refused", "RangeError", undefined, undefined]
      )
    }).pipe(Effect.provide(Logger.layer([])), provide)
  })

  it.effect("publishUnsafe called from a fiber in a span links too", () => {
    const { provide, spans } = recording()
    return Effect.gen(function*() {
      const bus = yield* makeBus
      yield* bus.on("Ping", () => Effect.void)
      yield* Effect.withSpan(Effect.sync(() => bus.publishUnsafe(ping(1))), "publisher")
      yield* settle
      assert.deepStrictEqual(spans.map((span) => span.name), ["publisher", "process Ping"])
      assert.strictEqual(spans[1]!.links[0]!.span, spans[0]!)
    }).pipe(provide)
  })

  it.effect("an event published outside a span makes none, and is no child of the span around on", () => {
    const { provide, spans } = recording()
    return Effect.gen(function*() {
      const bus = yield* makeBus
      const parents: Array<boolean> = []
      yield* Effect.withSpan(
        bus.on(
          "Ping",
          () => Effect.map(Effect.option(Effect.currentSpan), (span) => parents.push(Option.isSome(span)))
        ),
        "around on"
      )
      const event = ping(1)
      yield* Effect.withSpan(bus.publish(event), "publisher")
      yield* bus.publish(event)
      yield* settle
      assert.deepStrictEqual(parents, [true, false])
      assert.strictEqual(spans.filter((span) => span.name === "process Ping").length, 1)
    }).pipe(provide)
  })

  it.effect("with tracing off there is no span to link to", () => {
    const { provide, spans } = recording()
    return Effect.gen(function*() {
      const bus = yield* makeBus
      const handled: Array<number> = []
      yield* bus.on("Ping", (event) => Effect.sync(() => handled.push(event.n)))
      yield* Effect.withSpan(bus.publish(ping(1)), "publisher").pipe(Effect.withTracerEnabled(false))
      yield* settle
      assert.deepStrictEqual(handled, [1])
      assert.deepStrictEqual(spans, [])
    }).pipe(provide)
  })

  it.effect("takers and streams see the event itself", () => {
    const { provide } = recording()
    return Effect.gen(function*() {
      const bus = yield* EventBus.make({ events: [Ping, Pong], replay: 2 })
      const subscription = yield* bus.subscribe({ kinds: ["Ping"], bufferSize: 2, overflow: "sliding" })
      yield* Effect.withSpan(bus.publishAll([ping(1), ping(2), ping(3)]), "publisher")
      assert.deepStrictEqual(yield* subscription.take, ping(2))
      assert.deepStrictEqual(yield* subscription.takeAll, [ping(3)])
      const late = yield* bus.subscribe({ kinds: ["Ping"], replay: 2 })
      assert.deepStrictEqual(yield* late.takeUpTo(5), [ping(2), ping(3)])
    }).pipe(provide)
  })

  it.effect("a taker that waits is released by the shutdown of the bus, also after events with a span", () => {
    const { provide } = recording()
    return Effect.gen(function*() {
      const bus = yield* makeBus
      const subscription = yield* bus.subscribe({ kinds: ["Ping"] })
      yield* Effect.withSpan(bus.publish(ping(1)), "publisher")
      yield* subscription.take
      const taker = yield* Effect.forkChild(Effect.flip(subscription.take), { startImmediately: true })
      yield* bus.shutdown
      yield* settle
      assert.isDefined(taker.pollUnsafe())
      assert.isTrue(Cause.isDone(yield* Fiber.join(taker)))
    }).pipe(provide)
  })

  it.effect("a handler that fails ends its span with the failure; a second attempt has a span of its own", () => {
    const { provide, spans } = recording()
    return Effect.gen(function*() {
      const bus = yield* makeBus
      let attempts = 0
      yield* bus.on("Ping", () => Effect.suspend(() => ++attempts === 1 ? Effect.fail("no") : Effect.void), {
        retry: Schedule.recurs(1)
      })
      yield* Effect.withSpan(bus.publish(ping(1)), "publisher")
      yield* settle
      const exits = spans.slice(1).map((span) => span.status._tag === "Ended" ? span.status.exit._tag : "open")
      assert.deepStrictEqual(exits, ["Failure", "Success"])
      assert.isTrue(spans.slice(1).every((span) => span.links[0]!.span === spans[0]))
    }).pipe(provide)
  })
})
