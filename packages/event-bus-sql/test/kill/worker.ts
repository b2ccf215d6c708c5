/**
 * A process that handles orders, to be killed: `node worker.ts <sqlite file or postgresql: URL> <table prefix>`.
 *
 * Three consumers write down what they handle: `seen` in statements of its own, `written` and `listed` in the transaction of
 * the mark.
 */
import * as PgClient from "@effect/sql-pg/PgClient"
import * as NodeSqlite from "@openwatch/event-bus-sql/NodeSqlite"
import { Effect, Layer, Logger, Redacted, Schedule } from "effect"
import { SqlClient } from "effect/sql"
import { type OrderPaid, shop, ShopOutbox } from "../orders.ts"

const [database, prefix] = process.argv.slice(2)

const client = database!.startsWith("postgresql:")
  ? PgClient.layer({ url: Redacted.make(database!) })
  : NodeSqlite.layer(database!, { busyTimeout: 0 })

/** Some fail at first, and some in the middle of what they write. */
const fails = (event: OrderPaid, attempt: number): boolean => attempt === 1 && event.cents % 13 === 0

const consumers = Layer.effectDiscard(Effect.gen(function*() {
  const outbox = yield* ShopOutbox
  const sql = yield* SqlClient.SqlClient
  const retry = Schedule.spaced("5 millis")
  const writing = (table: string) => (event: OrderPaid, { attempt }: { readonly attempt: number }) =>
    Effect.andThen(
      sql`INSERT INTO ${sql(`${prefix}${table}`)} (order_id, cents) VALUES (${event.order}, ${event.cents})`,
      fails(event, attempt) ? Effect.fail("no") : Effect.void
    )
  yield* outbox.on("OrderPaid", writing("seen"), { consumer: "seen", order: "key", retry, maxAttempts: 1_000 })
  yield* outbox.on("OrderPaid", writing("written"), {
    consumer: "written",
    order: "key",
    transactional: true,
    retry,
    maxAttempts: 1_000
  })
  yield* outbox.on("OrderPaid", writing("listed"), {
    consumer: "listed",
    transactional: true,
    retry,
    maxAttempts: 1_000
  })
}))

const options = { pollInterval: "50 millis", lease: "500 millis" } as const

Effect.runFork(
  Layer.launch(
    consumers.pipe(Layer.provide(shop(prefix!, options).pipe(Layer.provideMerge(client))))
  ).pipe(Effect.provide(Logger.layer([])))
)
