/** Charges for each order. */
import { Effect, Layer } from "effect"
import { SqlClient } from "effect/sql"
import { OrderPaid, ShopOutbox } from "./shop.ts"

/** Stands for the bank. One that is asked twice under one id charges once: it has to be one of those. */
const charge = (_orderId: string) => Effect.sleep("2 millis")

export const payments = Layer.effectDiscard(Effect.gen(function*() {
  const outbox = yield* ShopOutbox
  const sql = yield* SqlClient.SqlClient
  yield* outbox.on("OrderPlaced", ({ customer, item, orderId }) =>
    Effect.gen(function*() {
      yield* charge(orderId)
      // Killed from here on, this handler runs again for the order, and finds that it was paid.
      yield* sql.withTransaction(Effect.gen(function*() {
        const changed = yield* sql`UPDATE orders SET status = 'paid' WHERE id = ${orderId} AND status = 'placed'
          RETURNING id`
        if (changed.length > 0) yield* outbox.publish(new OrderPaid({ customer, item, orderId }))
      }))
    }), { consumer: "payments", order: "key", drain: "5 seconds" })
}))
