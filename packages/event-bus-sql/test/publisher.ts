/**
 * A process that publishes one order and ends: `node publisher.ts <sqlite file> <table prefix> <order>`.
 */
import * as NodeSqlite from "@openwatch/event-bus-sql/NodeSqlite"
import { Effect, Layer } from "effect"
import { placed, shop, ShopOutbox } from "./orders.ts"

const [file, prefix, order] = process.argv.slice(2)

await Effect.runPromise(
  Effect.flatMap(ShopOutbox, (outbox) => outbox.publish(placed(order!))).pipe(
    Effect.provide(shop(prefix!).pipe(Layer.provideMerge(NodeSqlite.layer(file!, { busyTimeout: 0 }))))
  )
)
