import { assert, describe, it } from "@effect/vitest"
import { EventBus } from "@openwatch/event-bus"
import { Effect, Layer } from "effect"
import { Ping, ping, TestBus } from "./fixture.ts"

class PingBus extends EventBus.Service<PingBus>()("test/PingBus", { events: [Ping] }) {}

/** As whatever shows an object as JSON. */
const shown = (value: unknown): unknown => JSON.parse(JSON.stringify({ value })).value

describe("as JSON", () => {
  it.effect("a bus and a view of one are their names and kinds", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(shown(yield* TestBus), { _id: "EventBus", name: "test/Bus", kinds: ["Ping", "Pong"] })
      const pings = { _id: "EventBus", name: "test/PingBus", kinds: ["Ping"] }
      assert.deepStrictEqual(shown(yield* PingBus), pings)
    }).pipe(Effect.provide(PingBus.layerFrom(TestBus).pipe(Layer.provideMerge(TestBus.layer)))))

  it.effect("a subscription is its snapshot", () =>
    Effect.gen(function*() {
      const bus = yield* TestBus
      const subscription = yield* bus.subscribe({ kinds: ["Ping"], name: "watcher" })
      yield* bus.publish(ping(1))
      assert.deepStrictEqual(shown(subscription), { _id: "Subscription", ...(yield* subscription.snapshot) })
    }).pipe(Effect.scoped, Effect.provide(TestBus.layer)))
})
