import { assert, it } from "@effect/vitest"
import * as NodeSqlite from "@openwatch/event-bus-sql/NodeSqlite"
import { Effect, Layer } from "effect"
import { SqlClient, Statement } from "effect/sql"
import { Database } from "../src/internal/database.ts"
import { Log } from "../src/internal/log.ts"
import { placed, shop, ShopOutbox } from "./shop.ts"

it.effect("of large events a log reads few at a time, and keeps few in memory", () => {
  let reads = 0
  const counting: Statement.Transformer = (statement) =>
    Effect.sync(() => {
      reads++
      return statement
    })
  return Effect.gen(function*() {
    const outbox = yield* ShopOutbox
    const database = new Database(yield* SqlClient.SqlClient, "shop_", 10_000)
    const pages: Array<number> = []
    const log = new Log(database, () => Effect.void, (rows) => pages.push(rows.length), () => true, () => {})
    yield* log.open
    const publish = Effect.forEach(Array.from({ length: 20 }), () => outbox.publish(placed("x".repeat(2_000_000))))
    yield* publish
    yield* log.advance
    // How large they are is known from here on.
    assert.deepStrictEqual(pages, [20])
    yield* publish
    yield* log.advance
    assert.isAtMost(Math.max(...pages.slice(1)), 4)
    assert.strictEqual(log.horizon, 40)

    const isReadAgain = (after: number) =>
      Effect.suspend(() => {
        const before = reads
        return Effect.map(log.read(after, log.horizon, ["OrderPlaced"], 500), ({ rows }) => {
          assert.strictEqual(rows[0]!.seq, after + 1)
          return reads > before
        })
      })
    assert.isFalse(yield* isReadAgain(36))
    assert.isTrue(yield* isReadAgain(0))
  }).pipe(
    Effect.provideService(Statement.CurrentTransformer, counting),
    Effect.provide(shop("shop_", { live: false }).pipe(Layer.provideMerge(NodeSqlite.layer(":memory:"))))
  )
})
