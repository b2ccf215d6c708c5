import { NodeServices } from "@effect/platform-node"
import * as PgClient from "@effect/sql-pg/PgClient"
import { assert, describe, it } from "@effect/vitest"
import { Outage } from "@openwatch/event-bus-sql"
import { Deferred, Effect, Exit, Fiber, Latch, Layer, Logger, Queue, Redacted, Schedule, type Scope } from "effect"
import { SqlClient } from "effect/sql"
import { cluster, isSkipped } from "../../../test/servers/Postgres.ts"
import { placed, shop, ShopOutbox } from "./shop.ts"

const quick = { pollInterval: "50 millis", lease: "2 seconds" } as const

/** Runs in a shop on a server of its own, which the test may stop. */
const onServer = <A, E>(
  test: (server: Effect.Success<typeof cluster>) => Effect.Effect<A, E, ShopOutbox | SqlClient.SqlClient | Scope.Scope>
) =>
  Effect.gen(function*() {
    const server = yield* cluster
    const url = Redacted.make(`postgresql://openwatch@127.0.0.1:${server.port}/postgres`)
    return yield* test(server).pipe(
      Effect.provide(shop("outage_", quick).pipe(Layer.provideMerge(PgClient.layer({ url })))),
      Effect.scoped
    )
  }).pipe(Effect.scoped, Effect.provide(NodeServices.layer))

/** A table that handlers write to in their transaction. */
const mails = Effect.gen(function*() {
  const outbox = yield* ShopOutbox
  const sql = yield* SqlClient.SqlClient
  yield* sql`CREATE TABLE mails (order_id TEXT)`
  return { outbox, sql, insert: (order: string) => sql`INSERT INTO mails (order_id) VALUES (${order})` }
})

/** Ends every connection to the database but the one that asks. */
const endOthers = Effect.gen(function*() {
  const sql = yield* SqlClient.SqlClient
  yield* sql`SELECT pg_terminate_backend(pid) FROM pg_stat_activity
    WHERE datname = current_database() AND pid <> pg_backend_pid()`
})

describe.skipIf(isSkipped)("outages of PostgreSQL", () => {
  it.live("connections that are ended while nothing happens cost nothing", () =>
    onServer(() =>
      Effect.gen(function*() {
        const outbox = yield* ShopOutbox
        const handled = yield* Queue.unbounded<string>()
        yield* outbox.on("OrderPlaced", ({ order }) => Queue.offer(handled, order), { consumer: "mailer" })
        yield* endOthers
        const publish = outbox.publish(placed("1"), { id: "1" })
        yield* Effect.retry(publish, { while: ({ isRetryable }) => isRetryable, schedule: Schedule.spaced(10) })
        assert.strictEqual(yield* Queue.take(handled), "1")
      })
    ), 60_000)

  it.live(
    "a publisher whose connection is ended in its transaction gets a retryable error, and its event does not exist",
    () =>
      onServer(() =>
        Effect.gen(function*() {
          const outbox = yield* ShopOutbox
          const sql = yield* SqlClient.SqlClient
          const handled = yield* Queue.unbounded<string>()
          yield* outbox.on("OrderPlaced", ({ order }) => Queue.offer(handled, order), { consumer: "mailer" })
          const isOpen = yield* Latch.make()
          const isEnded = yield* Latch.make()
          const publishing = yield* Effect.forkChild(Effect.exit(sql.withTransaction(Effect.gen(function*() {
            yield* outbox.publish(placed("lost"))
            yield* isOpen.open
            yield* isEnded.await
            const error = yield* Effect.flip(outbox.publish(placed("lost too")))
            assert.deepInclude(error, { reason: "database", isRetryable: true })
          }))))
          yield* isOpen.await
          yield* endOthers
          yield* isEnded.open
          yield* Fiber.join(publishing)
          const publish = outbox.publish(placed("1"), { id: "1" })
          yield* Effect.retry(publish, { while: ({ isRetryable }) => isRetryable, schedule: Schedule.spaced(10) })
          assert.strictEqual(yield* Queue.take(handled), "1")
        })
      ),
    60_000
  )

  it.live(
    "a transactional handler whose connection is ended runs again, as the same attempt",
    () =>
      onServer(() =>
        Effect.gen(function*() {
          const { insert, outbox, sql } = yield* mails
          const attempts: Array<number> = []
          const begun = yield* Deferred.make<void>()
          const isEnded = yield* Latch.make()
          yield* outbox.on(
            "OrderPlaced",
            ({ order }, { attempt }) =>
              Effect.gen(function*() {
                attempts.push(attempt)
                yield* insert(order)
                yield* Deferred.succeed(begun, void 0)
                yield* isEnded.await
              }),
            { consumer: "mailer", transactional: true }
          )
          yield* outbox.publish(placed("1"))
          yield* Deferred.await(begun)
          yield* endOthers
          yield* isEnded.open
          yield* Effect.repeat(Effect.orElseSucceed(sql`SELECT * FROM mails`, () => []), {
            until: (rows) => rows.length > 0,
            schedule: Schedule.spaced(10)
          })
          yield* outbox.awaitIdle
          assert.deepStrictEqual(attempts, [1, 1])
          assert.strictEqual((yield* sql`SELECT * FROM mails`).length, 1)
        })
      ),
    60_000
  )

  it.live(
    "where a server only reads, as after a failover, publishers may try again, and handlers use up no attempt",
    () =>
      onServer(() =>
        Effect.gen(function*() {
          const { insert, outbox, sql } = yield* mails
          const onlyRead = sql`SET TRANSACTION READ ONLY`
          const publish = Effect.andThen(onlyRead, outbox.publish(placed("lost")))
          assert.deepInclude(yield* Effect.flip(sql.withTransaction(publish)), {
            reason: "database",
            isRetryable: true
          })
          const attempts: Array<number> = []
          yield* outbox.on("OrderPlaced", ({ order }, { attempt }) =>
            Effect.suspend(() =>
              attempts.push(attempt) === 1 ? Effect.andThen(onlyRead, insert(order)) : insert(order)
            ), { consumer: "mailer", transactional: true })
          yield* outbox.publish(placed("1"))
          yield* outbox.awaitIdle
          assert.deepStrictEqual(attempts, [1, 1])
          assert.deepStrictEqual(yield* sql`SELECT * FROM mails`, [{ order_id: "1" }])
        })
      ),
    60_000
  )

  it.live("a publisher whose statement takes too long may try again", () =>
    onServer(() =>
      Effect.gen(function*() {
        const outbox = yield* ShopOutbox
        const sql = yield* SqlClient.SqlClient
        const isLocked = yield* Latch.make()
        const locking = sql`LOCK TABLE outage_events IN SHARE MODE`.pipe(
          Effect.andThen(isLocked.open),
          Effect.andThen(Effect.never)
        )
        const locked = yield* Effect.forkChild(sql.withTransaction(locking))
        yield* isLocked.await
        const publish = Effect.andThen(sql`SET LOCAL statement_timeout = 1`, outbox.publish(placed("1")))
        const error = yield* Effect.flip(sql.withTransaction(publish))
        yield* Fiber.interrupt(locked)
        assert.deepInclude(error, { reason: "database", isRetryable: true })
      })
    ), 60_000)

  it.live("a server that stops and starts: publishers are told, consumers go on, and two log lines say so", () => {
    const lines: Array<string> = []
    const logger = Logger.make(({ message }) => lines.push(String(message)))
    return onServer(({ start, stop }) =>
      Effect.gen(function*() {
        const outbox = yield* ShopOutbox
        const handled = yield* Queue.unbounded<string>()
        yield* outbox.on("OrderPlaced", ({ order }) => Queue.offer(handled, order), { consumer: "mailer" })
        yield* outbox.publish(placed("1"))
        assert.strictEqual(yield* Queue.take(handled), "1")
        yield* outbox.awaitIdle
        yield* Effect.orDie(stop)
        const exit = yield* Effect.exit(outbox.publish(placed("2")))
        assert.isTrue(Exit.isFailure(exit))
        const error = yield* Effect.flip(outbox.publish(placed("2")))
        assert.deepInclude(error, { reason: "database", isRetryable: true })
        yield* Effect.repeat(Effect.sync(() => lines.length), {
          until: (count) => count > 0,
          schedule: Schedule.spaced(10)
        })
        yield* Effect.orDie(start)
        yield* Effect.retry(outbox.publish(placed("3"), { id: "3" }), {
          while: ({ isRetryable }) => isRetryable,
          schedule: Schedule.spaced(10)
        })
        assert.strictEqual(yield* Queue.take(handled), "3")
        yield* Effect.repeat(Effect.sync(() => lines.length), {
          until: (count) => count > 1,
          schedule: Schedule.spaced(10)
        })
        assert.strictEqual(lines.length, 2, lines.join("\n"))
        assert.match(lines[0]!, /^The database is away: .*; what is to be stored waits for it$/)
        assert.strictEqual(lines[1], "The database works again")
      })
    ).pipe(
      Effect.provide(Logger.layer([logger])),
      Effect.provideServiceEffect(Outage.CurrentOutages, Outage.none)
    )
  }, 60_000)
})
