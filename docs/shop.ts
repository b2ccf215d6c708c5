/**
 * A shop with durable events, in a database in memory. The examples of the pages about durable events run on it.
 */
import { EventBus } from "@openwatch/event-bus"
import { Outbox } from "@openwatch/event-bus-sql"
import * as NodeSqlite from "@openwatch/event-bus-sql/NodeSqlite"
import { DateTime, Layer, Schema } from "effect"

export class OrderPlaced extends Schema.TaggedClass<OrderPlaced>()("OrderPlaced", {
  order: Schema.String,
  occurredAt: Schema.DateTimeUtc
}) {}

export class ShopBus extends EventBus.Service<ShopBus>()("example/ShopBus", { events: [OrderPlaced] }) {}

export class ShopOutbox extends Outbox.Service<ShopOutbox>()("example/ShopOutbox", {
  bus: ShopBus,
  keys: { OrderPlaced: ({ order }) => order }
}) {}

export const orderPlaced = (order: string): OrderPlaced => new OrderPlaced({ order, occurredAt: DateTime.nowUnsafe() })

/** The shop with its bus, its outbox and its database. */
export const shop = ShopOutbox.layer.pipe(
  Layer.provideMerge(ShopBus.layer),
  Layer.provideMerge(NodeSqlite.layer(":memory:"))
)
