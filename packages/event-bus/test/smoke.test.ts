import { assert, it } from "@effect/vitest"
import { EventBus } from "@openwatch/event-bus"
import { DateTime, Effect, Schema } from "effect"

class Ping extends Schema.TaggedClass<Ping>()("Ping", { n: Schema.Number, occurredAt: Schema.DateTimeUtc }) {}
class Pong extends Schema.TaggedClass<Pong>()("Pong", { n: Schema.Number, occurredAt: Schema.DateTimeUtc }) {}
class Bus extends EventBus.Service<Bus>()("test/Bus", { events: [Ping, Pong] }) {}

it.effect("smoke", () =>
  Effect.gen(function*() {
    const bus = yield* Bus
    const sub = yield* bus.subscribe({ kinds: ["Ping"] })
    const got: Array<number> = []
    yield* bus.on(["Ping", "Pong"], (e) => e._tag === "Pong" ? Effect.fail("x") : Effect.sync(() => got.push(e.n)))
    const now = yield* DateTime.now
    for (let i = 0; i < 300; i++) yield* bus.publish(new Ping({ n: i, occurredAt: now }))
    yield* bus.publish(new Pong({ n: 1, occurredAt: now }))
    yield* bus.publish(new Ping({ n: 300, occurredAt: now }))
    const all = yield* sub.takeAll
    assert.strictEqual(all.length, 301)
    yield* Effect.yieldNow
    yield* Effect.yieldNow
    assert.strictEqual(got.length, 301)
    yield* bus.shutdown
    yield* Effect.yieldNow
    yield* Effect.yieldNow
    console.log(yield* bus.metrics, yield* bus.subscriptions)
    assert.isTrue(true)
  }).pipe(Effect.provide(Bus.layer)))
