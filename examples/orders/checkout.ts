/** Takes orders over HTTP. */
import { Effect, Schema } from "effect"
import { HttpRouter, HttpServerRequest, HttpServerResponse } from "effect/http"
import { SqlClient } from "effect/sql"
import { randomUUID } from "node:crypto"
import { OrderId, OrderPlaced, purchase, ShopOutbox } from "./shop.ts"

export const checkout = HttpRouter.use(Effect.fnUntraced(function*(router) {
  const outbox = yield* ShopOutbox
  const sql = yield* SqlClient.SqlClient
  yield* router.add(
    "POST",
    "/orders",
    Effect.gen(function*() {
      const purchased = yield* HttpServerRequest.schemaBodyJson(Schema.Struct(purchase))
      const orderId = OrderId.make(randomUUID())
      // The order and its event: both are there, or none. Whoever got the answer below can count on both.
      yield* sql.withTransaction(Effect.gen(function*() {
        yield* sql`INSERT INTO orders (id, status) VALUES (${orderId}, 'placed')`
        yield* outbox.publish(new OrderPlaced({ ...purchased, orderId }))
      }))
      return HttpServerResponse.jsonUnsafe({ orderId }, { status: 202 })
    })
  )
}))
