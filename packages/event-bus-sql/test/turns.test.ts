import { assert, it } from "@effect/vitest"
import * as NodeSqlite from "@openwatch/event-bus-sql/NodeSqlite"
import { Clock, Effect, Fiber, Layer } from "effect"
import { placed, shop, ShopOutbox } from "./orders.ts"

it.live("handlers that never wait leave the thread to all else now and then", () =>
  Effect.gen(function*() {
    let turns = 0
    let millis = 0n
    const clock = yield* Clock.Clock
    // Each look at it takes a millisecond.
    const ticking = new Proxy(clock, {
      get: (clock, name: keyof Clock.Clock) =>
        name === "monotonicTimeNanosUnsafe" ? () => ++millis * 1_000_000n : clock[name]
    })
    yield* Effect.gen(function*() {
      const outbox = yield* ShopOutbox
      yield* outbox.publishAll(Array.from({ length: 500 }, (_, i) => placed(String(i))))
      const others = yield* Effect.forkChild(Effect.forever(Effect.andThen(
        Effect.sync(() => turns++),
        Effect.yieldNow
      )))
      let handled = 0
      let turnsBefore = 0
      yield* outbox.on("OrderPlaced", () =>
        Effect.sync(() => {
          if (++handled === 1) turnsBefore = turns
          if (handled === 500) turns -= turnsBefore
        }), { consumer: "mailer", from: "beginning" })
      yield* outbox.awaitIdle
      yield* Fiber.interrupt(others)
      assert.strictEqual(handled, 500)
    }).pipe(
      Effect.provide(shop("turns_", { lease: "1 minute" }).pipe(Layer.provideMerge(NodeSqlite.layer(":memory:")))),
      Effect.provideService(Clock.Clock, ticking)
    )
    assert.isAbove(turns, 20)
  }))
