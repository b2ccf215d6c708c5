/** What the parts of the shop share: its events, and the database that keeps orders and events. */
import { EventBus } from "@openwatch/event-bus"
import { Outbox } from "@openwatch/event-bus-sql"
import * as NodeSqlite from "@openwatch/event-bus-sql/NodeSqlite"
import { DateTime, Effect, Layer, Schema } from "effect"
import { SqlClient } from "effect/sql"

export const OrderId = Schema.String.pipe(Schema.brand("OrderId"))

export const purchase = { customer: Schema.String.check(Schema.isPattern(/^\S+@\S+$/)), item: Schema.NonEmptyString }

/** What every event of an order says. So no part has to ask another for it. */
const order = {
  orderId: OrderId,
  ...purchase,
  occurredAt: Schema.DateTimeUtc.pipe(Schema.withConstructorDefault(DateTime.now))
}

export class OrderPlaced extends Schema.TaggedClass<OrderPlaced>()("OrderPlaced", order) {}
export class OrderPaid extends Schema.TaggedClass<OrderPaid>()("OrderPaid", order) {}
export class OrderShipped extends Schema.TaggedClass<OrderShipped>()("OrderShipped", order) {}

/** The live lane: who looks on, and may miss what happens while it is away. */
export class ShopBus extends EventBus.Service<ShopBus>()("orders/ShopBus", {
  events: [OrderPlaced, OrderPaid, OrderShipped]
}) {}

/** The durable lane: what must happen for each order, whatever is killed. The events of an order keep their order. */
export class ShopOutbox extends Outbox.Service<ShopOutbox>()("orders/ShopOutbox", {
  bus: ShopBus,
  keys: {
    OrderPlaced: ({ orderId }) => orderId,
    OrderPaid: ({ orderId }) => orderId,
    OrderShipped: ({ orderId }) => orderId
  }
}) {}

const tables = Layer.effectDiscard(Effect.gen(function*() {
  const sql = yield* SqlClient.SqlClient
  yield* sql`CREATE TABLE IF NOT EXISTS orders (id TEXT PRIMARY KEY, status TEXT NOT NULL)`
  yield* sql`CREATE TABLE IF NOT EXISTS ledger (kind TEXT NOT NULL, order_id TEXT NOT NULL, event TEXT NOT NULL)`
}))

/** The database in a file, and the outbox in it. What a killed process had in hand is taken over three seconds later. */
export const storage = (file: string) =>
  Layer.mergeAll(ShopOutbox.layerWith({ lease: "3 seconds" }), tables).pipe(
    Layer.provideMerge(NodeSqlite.layer(file))
  )
