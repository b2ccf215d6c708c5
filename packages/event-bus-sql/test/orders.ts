/**
 * The events of a shop, its bus and its outbox.
 */
import { EventBus } from "@openwatch/event-bus"
import { Outbox } from "@openwatch/event-bus-sql"
import { DateTime, Layer, Schema } from "effect"

export class OrderPlaced extends Schema.TaggedClass<OrderPlaced>()("OrderPlaced", {
  order: Schema.String,
  occurredAt: Schema.DateTimeUtc
}) {}

export class OrderPaid extends Schema.TaggedClass<OrderPaid>()("OrderPaid", {
  order: Schema.String,
  cents: Schema.Int,
  occurredAt: Schema.DateTimeUtc
}) {}

export class ShopBus extends EventBus.Service<ShopBus>()("test/ShopBus", { events: [OrderPlaced, OrderPaid] }) {}

export class ShopOutbox extends Outbox.Service<ShopOutbox>()("test/ShopOutbox", {
  bus: ShopBus,
  keys: { OrderPlaced: ({ order }) => order, OrderPaid: ({ order }) => order }
}) {}

const occurredAt = DateTime.makeUnsafe("2026-11-25T12:00:00Z")

export const placed = (order: string): OrderPlaced => new OrderPlaced({ order, occurredAt })

export const paid = (order: string, cents: number): OrderPaid => new OrderPaid({ order, cents, occurredAt })

/** A shop with a bus and an outbox of its own. */
export const shop = (prefix: string, options?: Outbox.Options) =>
  ShopOutbox.layerWith({ tablePrefix: prefix, ...options }).pipe(
    Layer.provideMerge(Layer.fresh(ShopBus.layer)),
    Layer.fresh
  )
