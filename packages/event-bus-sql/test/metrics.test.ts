import { assert, describe, layer } from "@effect/vitest"
import { Outbox } from "@openwatch/event-bus-sql"
import { Effect, Metric, Schedule } from "effect"
import { PrometheusMetrics } from "effect/observability"
import { SqlClient, Statement } from "effect/sql"
import { TestClock } from "effect/testing"
import { inShop, paid, placed, places, ShopOutbox } from "./shop.ts"

/** A registry of the test's own, so that tests do not see each other's series. */
const isolated = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
  Effect.suspend(() => Effect.provideService(effect, Metric.MetricRegistry, new Map()))

/** The samples of a scrape whose names begin so, without the outbox's label, which is always the same. */
const scrape = (name: string) =>
  Effect.map(
    PrometheusMetrics.format(),
    (text) =>
      text.split("\n").filter((line) => line.startsWith(`event_outbox_${name}`)).map((line) =>
        line.slice("event_outbox_".length).replace(/,?outbox="test\/ShopOutbox",?/, "")
      ).toSorted()
  )

for (const place of places) {
  describe.skipIf(place.isSkipped)(`metrics, on ${place.name}`, () => {
    layer(place.layer, { timeout: "60 seconds", excludeTestServices: place.isPostgres })((it) => {
      const passTime = place.isPostgres ? Effect.sleep(10) : TestClock.adjust("25 millis")

      it.effect("an event counts as published once its transaction is committed, and once for each id", () =>
        isolated(inShop(Effect.gen(function*() {
          const outbox = yield* ShopOutbox
          const sql = yield* SqlClient.SqlClient
          yield* Effect.exit(sql.withTransaction(Effect.andThen(outbox.publish(placed("1")), Effect.fail("no"))))
          yield* sql.withTransaction(Effect.gen(function*() {
            yield* outbox.publish(placed("2"), { id: "two" })
            assert.deepStrictEqual(yield* scrape("published"), [
              `published_total{kind="OrderPaid"} 0`,
              `published_total{kind="OrderPlaced"} 0`
            ])
          }))
          yield* outbox.publish(placed("2"), { id: "two" })
          yield* outbox.publishAll([paid("2", 1), paid("2", 2)])
          assert.deepStrictEqual(yield* scrape("published"), [
            `published_total{kind="OrderPaid"} 2`,
            `published_total{kind="OrderPlaced"} 1`
          ])
        }))))

      it.effect("what a consumer handles and fails at is counted, also when it is served again", () =>
        isolated(inShop(Effect.gen(function*() {
          const outbox = yield* ShopOutbox
          for (const order of ["1", "2"]) {
            yield* Effect.scoped(Effect.gen(function*() {
              yield* outbox.on(
                "OrderPlaced",
                (_, { attempt }) => attempt < 3 ? Effect.fail("not yet") : Effect.void,
                { consumer: "mailer", retry: Schedule.spaced(0) }
              )
              yield* outbox.publish(placed(order))
              yield* outbox.awaitIdle
            }))
          }
          assert.deepStrictEqual(yield* scrape("handled"), [`handled_total{consumer="mailer"} 2`])
          assert.deepStrictEqual(yield* scrape("failed"), [`failed_attempts_total{consumer="mailer"} 4`])
        }))))

      it.effect("a scrape starts to ask how far consumers are behind, also those that nobody serves", () =>
        isolated(inShop(Effect.gen(function*() {
          const outbox = yield* ShopOutbox
          yield* Effect.scoped(outbox.on("OrderPlaced", () => Effect.void, { consumer: "away" }))
          yield* outbox.on("OrderPlaced", () => Outbox.giveUp("no"), {
            consumer: "broken",
            order: "key",
            afterDeath: "hold"
          })
          yield* outbox.on("OrderPlaced", () => Outbox.retryAfter("1 hour", "busy"), { consumer: "busy" })
          yield* outbox.publishAll([placed("1"), placed("1")])
          yield* outbox.awaitIdle
          assert.deepStrictEqual(yield* scrape("lag"), [])
          yield* Effect.repeat(Effect.andThen(passTime, scrape("lag_events")), { until: (lines) => lines.length === 3 })
          const standing = (name: string) =>
            Effect.map(scrape(name), (lines) => lines.map((line) => line.split(" ")[1]))
          assert.deepStrictEqual(yield* scrape("dead_letters"), [
            `dead_letters{consumer="away"} 0`,
            `dead_letters{consumer="broken"} 1`,
            `dead_letters{consumer="busy"} 0`
          ])
          assert.deepStrictEqual(yield* standing("lag_events"), ["2", "0", "2"])
          assert.deepStrictEqual(yield* standing("retrying"), ["0", "0", "1"])
          assert.deepStrictEqual(yield* standing("held"), ["0", "1", "0"])
          assert.deepStrictEqual(yield* standing("owners"), ["0", "1", "1"])
        }))))

      it.effect("the series end with the outbox", () =>
        isolated(Effect.gen(function*() {
          yield* inShop(Effect.gen(function*() {
            const outbox = yield* ShopOutbox
            yield* outbox.on("OrderPlaced", () => Effect.void, { consumer: "mailer" })
            yield* scrape("lag")
            yield* Effect.repeat(Effect.andThen(passTime, scrape("lag_events")), { until: ({ length }) => length > 0 })
          }))
          assert.deepStrictEqual(yield* scrape(""), [])
        })))
    })
  })
}

describe("metrics by the clock", () => {
  layer(places[0].layer)((it) => {
    it.effect("the lag in seconds is the age of the oldest event when it was last looked at", () =>
      isolated(inShop(Effect.gen(function*() {
        const outbox = yield* ShopOutbox
        yield* Effect.scoped(outbox.on("OrderPlaced", () => Effect.void, { consumer: "away" }))
        yield* outbox.publish(placed("1"))
        yield* TestClock.adjust("30 seconds")
        yield* scrape("lag_seconds")
        yield* TestClock.adjust("9 seconds")
        assert.deepStrictEqual(yield* scrape("lag_seconds"), [`lag_seconds{consumer="away"} 30`])
        yield* TestClock.adjust("2 seconds")
        assert.deepStrictEqual(yield* scrape("lag_seconds"), [`lag_seconds{consumer="away"} 40`])
      }))))

    it.effect("the database is asked at most every ten seconds, and not at all once nobody scrapes", () => {
      let looks = 0
      const counting: Statement.Transformer = (statement) =>
        Effect.sync(() => {
          if (statement.compile(true)[0].includes("AS oldest")) looks++
          return statement
        })
      return isolated(
        inShop(Effect.gen(function*() {
          const outbox = yield* ShopOutbox
          yield* outbox.on("OrderPlaced", () => Effect.void, { consumer: "mailer" })
          yield* TestClock.adjust("1 hour")
          assert.strictEqual(looks, 0)
          yield* Effect.repeat(Effect.andThen(scrape(""), TestClock.adjust("1 second")), { times: 99 })
          assert.strictEqual(looks, 11)
          yield* TestClock.adjust("10 minutes")
          const atRest = looks
          assert.isBelow(atRest, 40)
          yield* TestClock.adjust("1 hour")
          assert.strictEqual(looks, atRest)
        }))
      ).pipe(Effect.provideService(Statement.CurrentTransformer, counting))
    })

    it.effect("how far consumers are behind is not said while the database is away", () =>
      isolated(inShop(Effect.gen(function*() {
        const outbox = yield* ShopOutbox
        const sql = yield* SqlClient.SqlClient
        yield* outbox.on("OrderPlaced", () => Effect.void, { consumer: "mailer" })
        yield* scrape("lag")
        yield* TestClock.adjust("1 second")
        assert.strictEqual((yield* scrape("lag_events")).length, 1)
        yield* sql`ALTER TABLE ${sql(`${outbox.tablePrefix}consumers`)} RENAME TO away`
        yield* TestClock.adjust("10 seconds")
        assert.deepStrictEqual(yield* scrape("lag_events"), [])
        yield* sql`ALTER TABLE away RENAME TO ${sql(`${outbox.tablePrefix}consumers`)}`
        yield* TestClock.adjust("10 seconds")
        assert.strictEqual((yield* scrape("lag_events")).length, 1)
      }))))
  })
})
