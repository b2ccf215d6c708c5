import { NodeServices } from "@effect/platform-node"
import * as PgClient from "@effect/sql-pg/PgClient"
import { assert, describe, it } from "@effect/vitest"
import { Outage } from "@openwatch/event-bus-sql"
import { Context, Effect, Layer, Logger, Queue, Redacted, Schedule } from "effect"
import { SqlClient } from "effect/sql"
import { TestClock } from "effect/testing"
import { cluster, isSkipped } from "../../../test/servers/Postgres.ts"
import { cuttingProxy } from "./cuttingProxy.ts"
import { placed, shop, ShopOutbox } from "./shop.ts"

const urlOf = (port: number) => Redacted.make(`postgresql://openwatch@127.0.0.1:${port}/postgres`)

/** A proxy in front of a server, and a client that goes past it. */
const connections = Effect.gen(function*() {
  const { port } = yield* cluster
  const proxy = yield* cuttingProxy(port)
  const services = yield* Layer.build(PgClient.layer({ url: urlOf(port) }))
  return { proxy, direct: Context.get(services, SqlClient.SqlClient) }
})

const often = Schedule.spaced(5)

describe.skipIf(isSkipped)("a connection to PostgreSQL that is cut after each message in turn", () => {
  it.live(
    "of one publish, and of one event handled in a transaction and one not: nothing is lost or written twice",
    () =>
      Effect.gen(function*() {
        const { direct, proxy } = yield* connections
        yield* direct`CREATE TABLE mails (order_id TEXT)`
        const seen: Array<string> = []
        const cuts = yield* Effect.gen(function*() {
          const outbox = yield* ShopOutbox
          const sql = yield* SqlClient.SqlClient
          yield* outbox.on("OrderPlaced", ({ order }) => sql`INSERT INTO mails (order_id) VALUES (${order})`, {
            consumer: "mailer",
            transactional: true,
            retry: often
          })
          yield* outbox.on("OrderPlaced", ({ order }) => Effect.sync(() => seen.push(order)), {
            consumer: "watcher",
            retry: often
          })
          const positions = Effect.map(
            direct<{ pos: number }>`SELECT CAST(MIN(pos) AS int) AS pos FROM cut_positions`,
            ([row]) => row!.pos
          )
          for (let cut = 1;; cut++) {
            const order = String(cut)
            yield* outbox.awaitIdle
            yield* proxy.cutAfter(cut)
            // A failure that is no OutboxError, or none that passes, fails the test.
            yield* Effect.retry(outbox.publish(placed(order), { id: order }), {
              while: ({ isRetryable }) => isRetryable,
              schedule: often
            })
            const [stored] = yield* direct<
              { seq: number }
            >`SELECT CAST(seq AS int) AS seq FROM cut_events WHERE id = ${order}`
            yield* Effect.repeat(positions, { until: (pos) => pos >= stored!.seq, schedule: often })
            if (!(yield* proxy.relent)) return cut
          }
        }).pipe(
          Effect.provide(
            shop("cut_", { pollInterval: "200 millis", lease: "20 seconds" }).pipe(
              Layer.provideMerge(PgClient.layer({ url: urlOf(proxy.port) }))
            )
          ),
          Effect.scoped
        )
        const orders = Array.from({ length: cuts }, (_, i) => String(i + 1))
        const events = yield* direct<{ id: string }>`SELECT id FROM cut_events ORDER BY seq`
        assert.deepStrictEqual(events.map(({ id }) => id), orders)
        const mails = yield* direct<{ order_id: string }>`SELECT order_id FROM mails`
        assert.deepStrictEqual(mails.map(({ order_id }) => order_id).toSorted(), orders.toSorted())
        assert.deepStrictEqual(Array.from(new Set(seen)), orders)
        // What an INSERT, a transaction and two marks take, at least.
        assert.isAtLeast(cuts, 30)
        console.log(`cuts: after each of ${cuts - 1} messages`)
      }).pipe(Effect.scoped, Effect.provide([NodeServices.layer, Logger.layer([])])),
    300_000
  )

  it.live(
    "of a process that joins again once its lease was lost: it does, whatever was lost",
    () =>
      Effect.gen(function*() {
        const { direct, proxy } = yield* connections
        yield* Effect.gen(function*() {
          const outbox = yield* ShopOutbox
          yield* outbox.on("OrderPlaced", () => Effect.void, { consumer: "mailer" })
          const owners = direct`SELECT id FROM join_processes JOIN join_positions ON owner = id`
          // What looks at the lease comes first; the reply to the COMMIT of the joining is about the 90th message.
          for (let cut = 61; cut <= 120; cut++) {
            yield* direct.withTransaction(Effect.gen(function*() {
              yield* direct`UPDATE join_state SET generation = generation + 1`
              yield* direct`UPDATE join_positions SET owner = NULL, epoch = epoch + 1`
              yield* direct`DELETE FROM join_members`
              yield* direct`DELETE FROM join_processes`
            }))
            yield* proxy.cutAfter(cut)
            let rows: ReadonlyArray<unknown> = []
            for (let look = 0; rows.length === 0 && look < 2_000; look++) {
              yield* Effect.sleep(5)
              rows = yield* owners
            }
            assert.strictEqual(rows.length, 1, `after a cut behind message ${cut}`)
            yield* proxy.relent
          }
        }).pipe(
          Effect.provide(
            // The lease of what has joined does not end meanwhile.
            shop("join_", { pollInterval: "50 millis", lease: "1 hour" }).pipe(
              Layer.provideMerge(PgClient.layer({ url: urlOf(proxy.port) }))
            )
          ),
          Effect.scoped
        )
      }).pipe(Effect.scoped, Effect.provide([NodeServices.layer, Logger.layer([])])),
    120_000
  )
})

describe.skipIf(isSkipped)("connections to PostgreSQL that fall silent, and do not end", () => {
  it.live(
    "are given up after the lease: events are handled again, and the process listens again",
    () =>
      Effect.gen(function*() {
        const { direct, proxy } = yield* connections
        const lines: Array<string> = []
        const logger = Logger.make(({ message }) => lines.push(String(message)))
        yield* Effect.gen(function*() {
          const outbox = yield* ShopOutbox
          const handled = yield* Queue.unbounded<string>()
          yield* outbox.on("OrderPlaced", ({ order }) => Queue.offer(handled, order), { consumer: "mailer" })
          yield* outbox.publish(placed("1"))
          assert.strictEqual(yield* Queue.take(handled), "1")
          yield* outbox.awaitIdle
          yield* proxy.silence
          // The statements of a publisher are its own to give up.
          yield* outbox.publish(placed("2"), { id: "2" }).pipe(
            Effect.timeout("3 seconds"),
            Effect.retry({ schedule: often })
          )
          assert.strictEqual(yield* Queue.take(handled), "2")
          const listeners = Effect.map(
            direct<{ count: number }>`SELECT CAST(COUNT(*) AS int) AS count FROM pg_stat_activity
              WHERE query LIKE 'LISTEN%'`,
            ([row]) => row!.count
          )
          // The server does not know of the first one's end either.
          yield* Effect.repeat(listeners, { until: (count) => count > 1, schedule: often })
          // The pool of the client waits for them when it closes.
          yield* proxy.endSilent
        }).pipe(
          Effect.provide(
            shop("silent_", { pollInterval: "200 millis", lease: "2 seconds" }).pipe(
              Layer.provideMerge(PgClient.layer({ url: urlOf(proxy.port) }))
            )
          ),
          Effect.scoped,
          Effect.provide(Logger.layer([logger])),
          // Those before may have left the database away.
          Effect.provideServiceEffect(Outage.CurrentOutages, Outage.none)
        )
        assert.include(lines, "The database is away: No reply for 10s; what is to be stored waits for it")
      }).pipe(Effect.scoped, Effect.provide([NodeServices.layer])),
    120_000
  )

  it.effect("are not suspected of it while the lease is renewed, however long the process listens", () =>
    Effect.gen(function*() {
      const { direct, proxy } = yield* connections
      const lines: Array<string> = []
      const logger = Logger.make(({ message }) => lines.push(String(message)))
      const renewed = Effect.map(
        direct<{ until: string }>`SELECT MAX(lease_until)::text AS until FROM calm_processes`,
        ([row]) => Number(row!.until)
      )
      yield* Effect.gen(function*() {
        for (let minute = 0; minute < 120; minute++) {
          const before = yield* renewed
          yield* TestClock.adjust("1 minute")
          yield* Effect.repeat(renewed, { until: (until) => until > before })
        }
      }).pipe(
        Effect.provide(
          shop("calm_", { pollInterval: "1 minute", lease: "5 minutes" }).pipe(
            Layer.provideMerge(PgClient.layer({ url: urlOf(proxy.port) }))
          )
        ),
        Effect.scoped,
        Effect.provide(Logger.layer([logger])),
        Effect.provideServiceEffect(Outage.CurrentOutages, Outage.none)
      )
      // Connecting may take longer than the clock says that it may: it goes on in leaps.
      assert.deepStrictEqual(lines.filter((line) => line.includes("No reply")), [])
    }).pipe(Effect.scoped, Effect.provide(NodeServices.layer)))
})
