import { assert, describe, layer } from "@effect/vitest"
import { Effect, Latch } from "effect"
import { SqlClient } from "effect/sql"
import { collector, inShop, type OrderPlaced, placed, places, ShopOutbox } from "./shop.ts"

/**
 * What a standby knows that takes over and lacks the last commits: no event behind `seq`, no position behind it, and the
 * numbers behind it are given again.
 */
const goBack = (seq: number) =>
  Effect.gen(function*() {
    const { tablePrefix } = yield* ShopOutbox
    const sql = yield* SqlClient.SqlClient
    const table = (name: string) => sql(`${tablePrefix}${name}`)
    yield* sql.withTransaction(Effect.gen(function*() {
      yield* sql`DELETE FROM ${table("events")} WHERE seq > ${seq}`
      yield* sql`UPDATE ${table("positions")} SET pos = ${seq} WHERE pos > ${seq}`
      yield* sql`UPDATE ${table("state")} SET horizon = 0`
      yield* sql`ALTER TABLE ${table("events")} ALTER COLUMN seq RESTART WITH ${sql.literal(String(seq + 1))}`
    }))
  })

const postgres = places[1]

describe.skipIf(postgres.isSkipped)("a database that goes back, on PostgreSQL", () => {
  layer(postgres.layer, { timeout: "60 seconds", excludeTestServices: true })((it) => {
    it.effect("what is published under numbers that were read before is handled", () =>
      inShop(Effect.gen(function*() {
        const outbox = yield* ShopOutbox
        const { handler, takeN } = yield* collector<OrderPlaced>()
        yield* outbox.on("OrderPlaced", handler, { consumer: "mailer" })
        yield* outbox.publishAll(["1", "2", "3", "lost 4", "lost 5", "lost 6"].map(placed))
        yield* takeN(6)
        yield* outbox.awaitIdle
        yield* goBack(3)
        yield* outbox.publishAll(["4", "5"].map(placed))
        assert.deepStrictEqual((yield* takeN(2)).map(({ order }) => order), ["4", "5"])
        // Its number is behind all that were read before.
        yield* outbox.publishAll(["6", "7"].map(placed))
        assert.deepStrictEqual((yield* takeN(2)).map(({ order }) => order), ["6", "7"])
      })))

    for (const transactional of [false, true]) {
      it.effect(`a handler that has a lost event marks no other as handled (${JSON.stringify({ transactional })})`, () =>
        inShop(Effect.gen(function*() {
          const outbox = yield* ShopOutbox
          const isBegun = yield* Latch.make()
          const mayEnd = yield* Latch.make()
          const { handler, take } = yield* collector<OrderPlaced>()
          yield* outbox.on(
            "OrderPlaced",
            (event) => event.order === "lost" ? Effect.andThen(isBegun.open, mayEnd.await) : handler(event),
            { consumer: "mailer", transactional }
          )
          yield* outbox.publish(placed("lost"))
          yield* isBegun.await
          yield* goBack(0)
          yield* outbox.publish(placed("new"))
          yield* mayEnd.open
          assert.strictEqual((yield* take).order, "new")
        })))
    }
  })
})
