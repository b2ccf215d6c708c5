/** Ships what is paid. */
import { EventBus } from "@openwatch/event-bus"
import { Effect, Layer, Schema } from "effect"
import { order } from "./checkout.ts"
import { OrderPaid } from "./payments.ts"

export class OrderShipped extends Schema.TaggedClass<OrderShipped>()("OrderShipped", order) {}

export class WarehouseBus extends EventBus.Service<WarehouseBus>()("orders/WarehouseBus", {
  events: [OrderPaid, OrderShipped]
}) {}

export const warehouse = Layer.effectDiscard(Effect.gen(function*() {
  const bus = yield* WarehouseBus
  yield* bus.on(
    "OrderPaid",
    ({ customer, item, orderId }) => bus.publish(new OrderShipped({ customer, item, orderId })),
    { name: "warehouse" }
  )
}))
