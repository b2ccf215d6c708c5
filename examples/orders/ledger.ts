/** Keeps what happened, once each, in the order in which it happened. */
import { Effect, Layer, Schema } from "effect"
import { SqlClient } from "effect/sql"
import { ShopBus, ShopOutbox } from "./shop.ts"

const encode = Schema.encodeSync(ShopBus.EventJson)

export const ledger = Layer.effectDiscard(Effect.gen(function*() {
  const outbox = yield* ShopOutbox
  const sql = yield* SqlClient.SqlClient
  yield* outbox.on(
    ShopBus.kinds,
    (event) =>
      sql`INSERT INTO ledger (kind, order_id, event)
        VALUES (${event._tag}, ${event.orderId}, ${JSON.stringify(encode(event))})`,
    { consumer: "ledger", transactional: true, drain: "5 seconds" }
  )
}))
