/** Charges for each order. */
import { EventBus } from "@openwatch/event-bus"
import { Effect, Layer, Schema } from "effect"
import { order, OrderPlaced } from "./checkout.ts"

export class OrderPaid extends Schema.TaggedClass<OrderPaid>()("OrderPaid", order) {}

export class PaymentsBus extends EventBus.Service<PaymentsBus>()("orders/PaymentsBus", {
  events: [OrderPlaced, OrderPaid]
}) {}

export const payments = Layer.effectDiscard(Effect.gen(function*() {
  const bus = yield* PaymentsBus
  yield* bus.on("OrderPlaced", ({ customer, item, orderId }) =>
    Effect.sleep("2 millis").pipe( // stands for the bank
      Effect.andThen(bus.publish(new OrderPaid({ customer, item, orderId })))
    ), { name: "payments", concurrency: 8 })
}))
