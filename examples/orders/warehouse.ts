/** Ships what is paid. All that it does is in the database: so it does it once. */
import { Effect, Layer } from "effect"
import { SqlClient } from "effect/sql"
import { OrderShipped, ShopOutbox } from "./shop.ts"

export const warehouse = Layer.effectDiscard(Effect.gen(function*() {
  const outbox = yield* ShopOutbox
  const sql = yield* SqlClient.SqlClient
  yield* outbox.on("OrderPaid", ({ customer, item, orderId }) =>
    Effect.andThen(
      sql`UPDATE orders SET status = 'shipped' WHERE id = ${orderId}`,
      outbox.publish(new OrderShipped({ customer, item, orderId }))
    ), { consumer: "warehouse", order: "key", transactional: true, drain: "5 seconds" })
}))
