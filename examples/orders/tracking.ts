/** Where each order is: a projection of its events. */
import { EventBus } from "@openwatch/event-bus"
import { Console, Context, Effect, Layer, Schema } from "effect"
import { occurredAt, OrderId, OrderPlaced } from "./checkout.ts"
import { OrderPaid } from "./payments.ts"
import { OrderShipped } from "./warehouse.ts"

const status = { OrderPlaced: "placed", OrderPaid: "paid", OrderShipped: "shipped" } as const

export class OrderChanged extends Schema.TaggedClass<OrderChanged>()("OrderChanged", {
  orderId: OrderId,
  status: Schema.Literals(Object.values(status)),
  occurredAt
}) {}

export class TrackingBus extends EventBus.Service<TrackingBus>()("orders/TrackingBus", {
  events: [OrderPlaced, OrderPaid, OrderShipped, OrderChanged]
}) {}

/** The last change of each order. It is put here before it is published. So a page that subscribes, then looks, misses none. */
export class Tracking extends Context.Service<Tracking, ReadonlyMap<typeof OrderId.Type, OrderChanged>>()(
  "orders/Tracking"
) {
  static readonly layer = Layer.effect(
    Tracking,
    Effect.gen(function*() {
      const bus = yield* TrackingBus
      const orders = new Map<typeof OrderId.Type, OrderChanged>()
      yield* Effect.addFinalizer(() => {
        const shipped = [...orders.values()].filter(({ status }) => status === "shipped").length
        return Console.log(`${orders.size} orders, ${shipped} shipped`)
      })
      yield* bus.on(["OrderPlaced", "OrderPaid", "OrderShipped"], ({ _tag, orderId }) => {
        const change = new OrderChanged({ orderId, status: status[_tag] })
        orders.set(orderId, change)
        return bus.publish(change)
      }, { name: "tracking" })
      return orders
    })
  )
}
