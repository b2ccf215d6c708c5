import { NodeServices } from "@effect/platform-node"
import * as PgClient from "@effect/sql-pg/PgClient"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Logger, Redacted } from "effect"
import { SqlClient } from "effect/sql"
import { cluster, isSkipped } from "../../../test/servers/Postgres.ts"
import { placed, shop, ShopOutbox } from "./orders.ts"

describe.skipIf(isSkipped)("a pool of one connection, on PostgreSQL", () => {
  it.live("is not held to listen: events are handled, and the log says what would be right", () => {
    const lines: Array<string> = []
    const logger = Logger.make(({ message }) => lines.push(String(message)))
    return Effect.gen(function*() {
      const { port } = yield* cluster
      const url = Redacted.make(`postgresql://openwatch@127.0.0.1:${port}/postgres`)
      yield* Effect.gen(function*() {
        const outbox = yield* ShopOutbox
        const sql = yield* SqlClient.SqlClient
        const handled: Array<unknown> = []
        yield* outbox.on(
          "OrderPlaced",
          ({ order }) => Effect.map(sql`SELECT ${order} AS order`, ([row]) => handled.push(row?.["order"])),
          { consumer: "mailer", transactional: true }
        )
        yield* outbox.publish(placed("1"))
        yield* outbox.awaitIdle
        assert.deepStrictEqual(handled, ["1"])
      }).pipe(
        Effect.scoped,
        Effect.provide(shop("pool_").pipe(Layer.provideMerge(PgClient.layer({ url, maxConnections: 1 }))))
      )
      assert.deepStrictEqual(lines, [
        "The pool has one connection, so the outbox cannot listen, and reads the log at every pollInterval; " +
        "give PgClient a maxConnections of at least 3"
      ])
    }).pipe(Effect.scoped, Effect.provide([NodeServices.layer, Logger.layer([logger])]))
  })
})
