import { assert, describe, layer } from "@effect/vitest"
import { Outbox } from "@openwatch/event-bus-sql"
import * as NodeSqlite from "@openwatch/event-bus-sql/NodeSqlite"
import { Cause, Effect, Exit, Layer, Tracer } from "effect"
import { SqlClient } from "effect/sql"
import { collector, inShop, type OrderPlaced, paid, Place, placed, places, shop, ShopBus, ShopOutbox } from "./shop.ts"

const orders = (events: ReadonlyArray<OrderPlaced>) => events.map(({ order }) => order)

for (const place of places) {
  describe.skipIf(place.isSkipped)(`publishing, on ${place.name}`, () => {
    layer(place.layer, { timeout: "60 seconds", excludeTestServices: place.isPostgres })((it) => {
      it.effect("an event is handled by a consumer", () =>
        inShop(Effect.gen(function*() {
          const outbox = yield* ShopOutbox
          const { handler, take } = yield* collector<OrderPlaced>()
          yield* outbox.on("OrderPlaced", handler, { consumer: "mailer" })
          yield* outbox.publish(placed("1"))
          assert.deepStrictEqual(yield* take, placed("1"))
        })))

      it.effect("the last events can be read, oldest first, whoever has handled them", () =>
        inShop(Effect.gen(function*() {
          const outbox = yield* ShopOutbox
          assert.deepStrictEqual(yield* outbox.last(2), [])
          yield* outbox.publishAll([placed("1"), placed("2"), placed("3")])
          assert.deepStrictEqual(yield* outbox.last(2), [placed("2"), placed("3")])
          yield* (yield* SqlClient.SqlClient)`UPDATE ${
            (yield* SqlClient.SqlClient)(`${outbox.tablePrefix}events`)
          } SET payload = '{"_tag":"Unknown"}' WHERE id = (SELECT id FROM ${
            (yield* SqlClient.SqlClient)(`${outbox.tablePrefix}events`)
          } ORDER BY seq DESC LIMIT 1)`
          assert.deepStrictEqual(yield* outbox.last(2), [placed("2")])
        })))

      it.effect("what a transaction publishes is handled when it has committed, and not before", () =>
        inShop(Effect.gen(function*() {
          const outbox = yield* ShopOutbox
          const sql = yield* SqlClient.SqlClient
          const { handler, isEmpty, take } = yield* collector<OrderPlaced>()
          yield* outbox.on("OrderPlaced", handler, { consumer: "mailer" })
          yield* sql.withTransaction(Effect.gen(function*() {
            yield* outbox.publish(placed("1"))
            assert.isTrue(yield* isEmpty)
          }))
          assert.deepStrictEqual(yield* take, placed("1"))
        })))

      it.effect("what a transaction publishes that is rolled back does not exist", () =>
        inShop(Effect.gen(function*() {
          const outbox = yield* ShopOutbox
          const sql = yield* SqlClient.SqlClient
          const { handler, takeN } = yield* collector<OrderPlaced>()
          yield* outbox.on("OrderPlaced", handler, { consumer: "mailer" })
          yield* Effect.exit(
            sql.withTransaction(Effect.andThen(outbox.publish(placed("rolled back")), Effect.fail("no")))
          )
          yield* outbox.publish(placed("2"))
          yield* outbox.awaitIdle
          assert.deepStrictEqual(orders(yield* takeN(1)), ["2"])
        })))

      it.effect("what a savepoint publishes that is rolled back does not exist, and the rest of its transaction does", () =>
        inShop(Effect.gen(function*() {
          const outbox = yield* ShopOutbox
          const sql = yield* SqlClient.SqlClient
          const { handler, isEmpty, takeN } = yield* collector<OrderPlaced>()
          yield* outbox.on("OrderPlaced", handler, { consumer: "mailer" })
          yield* sql.withTransaction(Effect.gen(function*() {
            yield* outbox.publish(placed("before"))
            yield* Effect.exit(
              sql.withTransaction(Effect.andThen(outbox.publish(placed("rolled back")), Effect.fail("no")))
            )
            yield* outbox.publish(placed("after"))
          }))
          assert.deepStrictEqual(orders(yield* takeN(2)), ["before", "after"])
          yield* outbox.awaitIdle
          assert.isTrue(yield* isEmpty)
        })))

      it.effect("publishAll stores all events in order", () =>
        inShop(Effect.gen(function*() {
          const outbox = yield* ShopOutbox
          const { handler, takeN } = yield* collector<OrderPlaced>()
          yield* outbox.on("OrderPlaced", handler, { consumer: "mailer" })
          const events = Array.from({ length: 1_500 }, (_, i) => placed(String(i)))
          yield* outbox.publishAll(events)
          assert.deepStrictEqual(yield* takeN(1_500), events)
        })))

      it.effect("what is published at the same time is stored by one statement, in order", () =>
        inShop(Effect.gen(function*() {
          const outbox = yield* ShopOutbox
          const spans: Array<Tracer.Span> = []
          const tracer = Tracer.make({
            span: (options) => {
              const span = new Tracer.NativeSpan(options)
              spans.push(span)
              return span
            }
          })
          const events = Array.from({ length: 20 }, (_, i) => placed(String(i)))
          yield* Effect.forEach(events, (event) => outbox.publish(event), { concurrency: "unbounded" }).pipe(
            Effect.withTracer(tracer)
          )
          assert.lengthOf(spans.filter(({ attributes }) => attributes.has("db.query.text")), 1)
          assert.deepStrictEqual(yield* outbox.last(20), events)
        })))

      it.effect("an event that the database refuses takes none with it that is published at the same time", () =>
        inShop(Effect.gen(function*() {
          const outbox = yield* ShopOutbox
          const sql = yield* SqlClient.SqlClient
          const table = sql(`${outbox.tablePrefix}events`)
          yield* sql.onDialectOrElse({
            pg: () => sql`ALTER TABLE ${table} ADD CHECK (payload::text NOT LIKE '%refused%')`,
            orElse: () =>
              sql`CREATE TRIGGER refuses BEFORE INSERT ON ${table} WHEN NEW.payload LIKE '%refused%'
                BEGIN SELECT RAISE(ABORT, 'no'); END`
          })
          const exits = yield* Effect.forEach(
            ["1", "refused", "2"],
            (order) => Effect.exit(outbox.publish(placed(order))),
            { concurrency: "unbounded" }
          )
          assert.deepStrictEqual(exits.map(Exit.isSuccess), [true, false, true])
          assert.sameMembers(orders((yield* outbox.last(3)) as ReadonlyArray<OrderPlaced>), ["1", "2"])
        })))

      it.effect("an event keeps what is hard to store: NUL, quotes, emoji", () =>
        inShop(Effect.gen(function*() {
          const outbox = yield* ShopOutbox
          const { handler, takeN } = yield* collector<OrderPlaced>()
          yield* outbox.on("OrderPlaced", handler, { consumer: "mailer" })
          const hard = ["a\u0000b", "it's \"quoted\" \\ $1 ?", "🛒", "\ud800", ""]
          for (const order of hard) yield* outbox.publish(placed(order))
          yield* outbox.publishAll(hard.map(placed))
          assert.deepStrictEqual(orders(yield* takeN(10)), [...hard, ...hard])
        })))

      it.effect("an event that is published again under its id is stored once", () =>
        inShop(Effect.gen(function*() {
          const outbox = yield* ShopOutbox
          const { handler, isEmpty, take } = yield* collector<OrderPlaced>()
          yield* outbox.on("OrderPlaced", handler, { consumer: "mailer" })
          const id = yield* Outbox.makeId
          yield* outbox.publish(placed("1"), { id })
          yield* outbox.publish(placed("1"), { id })
          yield* outbox.awaitIdle
          assert.deepStrictEqual(yield* take, placed("1"))
          assert.isTrue(yield* isEmpty)
        })))

      it.effect("other content under a known id is a conflict, and its transaction can go on", () =>
        inShop(Effect.gen(function*() {
          const outbox = yield* ShopOutbox
          const sql = yield* SqlClient.SqlClient
          yield* outbox.publish(placed("1"), { id: "one" })
          const error = yield* sql.withTransaction(Effect.gen(function*() {
            const error = yield* Effect.flip(outbox.publish(placed("2"), { id: "one" }))
            yield* outbox.publish(placed("3"))
            return error
          }))
          assert.strictEqual(error._tag, "OutboxError")
          assert.deepInclude(error, { reason: "conflict", isRetryable: false })
          assert.include(error.message, `another OrderPlaced was published under the id "one"`)
        })))

      it.effect("ids are told apart by kind", () =>
        inShop(Effect.gen(function*() {
          const outbox = yield* ShopOutbox
          const { handler, takeN } = yield* collector<unknown>()
          yield* outbox.on(["OrderPlaced", "OrderPaid"], handler, { consumer: "ledger" })
          yield* outbox.publish(placed("1"), { id: "1" })
          yield* outbox.publish(paid("1", 5), { id: "1" })
          assert.deepStrictEqual(yield* takeN(2), [placed("1"), paid("1", 5)])
        })))

      it.effect("what was committed is published on the bus, in the order of the log", () =>
        inShop(Effect.gen(function*() {
          const outbox = yield* ShopOutbox
          const bus = yield* ShopBus
          const subscription = yield* bus.subscribe({ kinds: ["OrderPlaced", "OrderPaid"] })
          yield* outbox.publish(placed("1"))
          yield* outbox.publishAll([paid("1", 5), placed("2")])
          assert.deepStrictEqual(
            [yield* subscription.take, yield* subscription.take, yield* subscription.take],
            [placed("1"), paid("1", 5), placed("2")]
          )
        })))

      it.effect("with live: false nothing is published on the bus", () =>
        inShop(
          Effect.gen(function*() {
            const outbox = yield* ShopOutbox
            const bus = yield* ShopBus
            const { handler, take } = yield* collector<OrderPlaced>()
            yield* outbox.on("OrderPlaced", handler, { consumer: "mailer" })
            yield* outbox.publish(placed("1"))
            yield* take
            assert.strictEqual((yield* bus.metrics).publishedCount, 0)
          }),
          { live: false }
        ))

      it.effect("publishing in the transaction of another client is a defect", () =>
        inShop(Effect.gen(function*() {
          const outbox = yield* ShopOutbox
          const exit = yield* Effect.gen(function*() {
            const other = yield* SqlClient.SqlClient
            return yield* Effect.exit(other.withTransaction(outbox.publish(placed("1"))))
          }).pipe(Effect.provide(NodeSqlite.layer(":memory:")), Effect.scoped)
          assert.isTrue(Exit.isFailure(exit) && Cause.hasDies(exit.cause))
          assert.include(
            Cause.pretty((exit as Exit.Failure<void, unknown>).cause),
            "in a transaction of another SqlClient"
          )
        })))

      it.effect("two outboxes with prefixes of their own are apart", () =>
        Effect.gen(function*() {
          const { nextPrefix } = yield* Place
          const prefix = yield* nextPrefix
          yield* inShop(Effect.gen(function*() {
            const outbox = yield* ShopOutbox
            const sql = yield* SqlClient.SqlClient
            const { handler, isEmpty } = yield* collector<OrderPlaced>()
            yield* outbox.on("OrderPlaced", handler, { consumer: "mailer" })
            yield* Effect.gen(function*() {
              yield* (yield* ShopOutbox).publish(placed("elsewhere"))
            }).pipe(
              Effect.provide(
                ShopOutbox.layerWith({ tablePrefix: prefix }).pipe(
                  Layer.provide([ShopBus.layer, Layer.succeed(SqlClient.SqlClient, sql)])
                )
              )
            )
            yield* outbox.awaitIdle
            assert.isTrue(yield* isEmpty)
          }))
        }))
    })
  })
}

describe("bad input to publish", () => {
  layer(places[0].layer)((it) => {
    it.effect("an unknown kind is a defect that names the kinds", () =>
      inShop(Effect.gen(function*() {
        const outbox = yield* ShopOutbox
        const exit = yield* Effect.exit(outbox.publish({ _tag: "OrderLost" } as never))
        assert.include(
          Cause.pretty((exit as Exit.Failure<void, unknown>).cause),
          `cannot publish an event with the _tag "OrderLost"; the kinds are "OrderPlaced", "OrderPaid"`
        )
      })))

    it.effect("of publishAll with an unknown kind nothing is stored", () =>
      inShop(Effect.gen(function*() {
        const outbox = yield* ShopOutbox
        const sql = yield* SqlClient.SqlClient
        yield* Effect.exit(outbox.publishAll([placed("1"), { _tag: "OrderLost" } as never]))
        const tables = yield* sql<{ name: string }>`SELECT name FROM sqlite_master WHERE name LIKE '%_events'`
        assert.deepStrictEqual(yield* sql`SELECT * FROM ${sql(tables[0]!.name)}`, [])
      })))

    for (const count of [-1, 1.5, Number.NaN]) {
      it.effect(`to read the last ${count} events is a defect`, () =>
        inShop(Effect.gen(function*() {
          const outbox = yield* ShopOutbox
          const exit = yield* Effect.exit(outbox.last(count))
          assert.include(
            Cause.pretty((exit as Exit.Failure<never, unknown>).cause),
            `last takes how many events to read, a whole number from 0 up, but got ${count}`
          )
        })))
    }

    for (const id of ["", "a\0b", "half \ud83d"]) {
      it.effect(`the id ${JSON.stringify(id)} is a defect`, () =>
        inShop(Effect.gen(function*() {
          const outbox = yield* ShopOutbox
          const exit = yield* Effect.exit(outbox.publish(placed("1"), { id }))
          assert.include(
            Cause.pretty((exit as Exit.Failure<void, unknown>).cause),
            `id must be a text that is not blank and holds neither NUL nor half a character, but is ${
              JSON.stringify(id)
            }`
          )
        })))
    }

    it.effect("a layer that is built in a transaction is a defect", () =>
      Effect.gen(function*() {
        const sql = yield* SqlClient.SqlClient
        const exit = yield* Effect.exit(sql.withTransaction(Effect.provide(ShopOutbox, shop("outbox_"))))
        assert.include(
          Cause.pretty((exit as Exit.Failure<never, unknown>).cause),
          `Outbox "test/ShopOutbox": its layer was built in a transaction`
        )
      }).pipe(Effect.provide(NodeSqlite.layer(":memory:"))))

    it.effect("a key that is no text is a defect", () =>
      Effect.gen(function*() {
        class KeylessOutbox extends Outbox.Service<KeylessOutbox>()("test/KeylessOutbox", {
          bus: ShopBus,
          keys: () => 7 as never
        }) {}
        const publishing = Effect.flatMap(KeylessOutbox, (outbox) => outbox.publish(placed("1"))).pipe(
          Effect.provide(KeylessOutbox.layer.pipe(
            Layer.provide(ShopBus.layer),
            Layer.provide(NodeSqlite.layer(":memory:"))
          ))
        )
        const exit = yield* Effect.exit(publishing)
        assert.include(
          Cause.pretty((exit as Exit.Failure<never, unknown>).cause),
          `Outbox "test/KeylessOutbox": keys must return a text, but returned 7 for an event of kind "OrderPlaced"`
        )
      }))

    for (
      const [options, message] of [
        [{ tablePrefix: "Outbox-" }, "tablePrefix must be"],
        [{ retentoin: "1 day" }, `layerWith has no option "retentoin"; the options are "tablePrefix", "pollInterval",`],
        [{ lease: "2 seconds" }, "lease must be at least 3 times the pollInterval of 1000 ms"],
        [{ partitions: 12 }, "partitions must be a power of two from 1 to 256, but is 12"]
      ] as const
    ) {
      it.effect(`${JSON.stringify(options)} is a defect`, () =>
        Effect.gen(function*() {
          const exit = yield* Effect.exit(inShop(ShopOutbox, options as Outbox.Options))
          assert.include(Cause.pretty((exit as Exit.Failure<never, unknown>).cause), message)
        }))
    }
  })
})
