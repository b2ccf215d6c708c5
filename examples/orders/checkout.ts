/** Takes orders over HTTP. */
import { EventBus } from "@openwatch/event-bus"
import { DateTime, Effect, Schema } from "effect"
import { HttpRouter, HttpServerRequest, HttpServerResponse } from "effect/http"
import { randomUUID } from "node:crypto"

export const OrderId = Schema.String.pipe(Schema.brand("OrderId"))

const purchase = { customer: Schema.String.check(Schema.isPattern(/^\S+@\S+$/)), item: Schema.NonEmptyString }

export const occurredAt = Schema.DateTimeUtc.pipe(Schema.withConstructorDefault(DateTime.now))

/** What every event of an order says. So no part has to ask another for it. */
export const order = { orderId: OrderId, ...purchase, occurredAt }

export class OrderPlaced extends Schema.TaggedClass<OrderPlaced>()("OrderPlaced", order) {}

export class CheckoutBus extends EventBus.Service<CheckoutBus>()("orders/CheckoutBus", { events: [OrderPlaced] }) {}

export const checkout = HttpRouter.use(Effect.fnUntraced(function*(router) {
  const bus = yield* CheckoutBus
  yield* router.add(
    "POST",
    "/orders",
    Effect.gen(function*() {
      const purchased = yield* HttpServerRequest.schemaBodyJson(Schema.Struct(purchase))
      const orderId = OrderId.make(randomUUID())
      yield* bus.publish(new OrderPlaced({ ...purchased, orderId }))
      return HttpServerResponse.jsonUnsafe({ orderId }, { status: 202 })
    })
  )
}))
