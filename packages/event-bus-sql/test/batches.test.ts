import { assert, describe, layer } from "@effect/vitest"
import { Outbox } from "@openwatch/event-bus-sql"
import { Cause, Deferred, Effect, type Exit, Latch, Queue, Schedule, Stream } from "effect"
import { SqlClient } from "effect/sql"
import { TestClock } from "effect/testing"
import { inShop, type OrderPaid, type OrderPlaced, paid, placed, places, processes, ShopOutbox } from "./shop.ts"

const atOnce = Schedule.spaced(0)

type Batch = ReadonlyArray<Outbox.Delivered<OrderPlaced | OrderPaid>>

const ordersOf = (batch: Batch) => batch.map(({ event }) => event.order)

const numbers = (count: number) => Array.from({ length: count }, (_, i) => String(i))

for (const place of places) {
  describe.skipIf(place.isSkipped)(`batches, on ${place.name}`, () => {
    layer(place.layer, { timeout: "60 seconds", excludeTestServices: place.isPostgres })((it) => {
      /** A consumer that logs its batches, and does with each what it is told. */
      const serve = (
        options: Partial<Outbox.ConsumerOptions<never, Outbox.Batch>>,
        act: (batch: Batch) => Effect.Effect<unknown, unknown> = () => Effect.void
      ) =>
        Effect.gen(function*() {
          const outbox = yield* ShopOutbox
          const batches: Array<ReadonlyArray<string>> = []
          yield* outbox.on(
            ["OrderPlaced", "OrderPaid"],
            (batch) => {
              batches.push(ordersOf(batch))
              return act(batch)
            },
            { consumer: "mailer", retry: atOnce, batch: { max: 10 }, ...options }
          )
          return batches
        })

      const failing = (bad: string) => (batch: Batch) =>
        Effect.forEach(batch, ({ event, fail }) => event.order === bad ? fail(Cause.fail("no")) : Effect.void)

      for (const order of ["all", "key", "none"] as const) {
        for (const transactional of [false, true]) {
          const options = { order, transactional } as const

          it.effect(`what there is comes in batches, up to max, each event once (${JSON.stringify(options)})`, () =>
            inShop(Effect.gen(function*() {
              const outbox = yield* ShopOutbox
              const batches = yield* serve(options)
              yield* outbox.publishAll(numbers(100).map(placed))
              yield* outbox.awaitIdle
              assert.sameMembers(batches.flat(), numbers(100))
              for (const batch of batches) assert.isAtMost(batch.length, 10)
              if (order === "all") {
                assert.deepStrictEqual(batches.map(({ length }) => length), Array.from({ length: 10 }, () => 10))
              } else assert.isBelow(batches.length, 60)
              const [mailer] = yield* outbox.consumers
              assert.deepInclude(mailer, { retrying: 0, held: 0, dead: 0 })
            })))

          it.effect(`those that fail are tried again, alone, and no others use up attempts (${JSON.stringify(options)})`, () =>
            inShop(Effect.gen(function*() {
              const outbox = yield* ShopOutbox
              const attempts = new Map<string, Array<number>>()
              const batches = yield* serve({ ...options, maxAttempts: 3 }, (batch) => {
                for (const { delivery, event } of batch) {
                  attempts.set(event.order, [...attempts.get(event.order) ?? [], delivery.attempt])
                }
                return failing("5")(batch)
              })
              yield* outbox.publishAll(numbers(20).map(placed))
              yield* outbox.awaitIdle
              const letters = yield* Stream.runCollect(outbox.deadLetters())
              assert.deepStrictEqual(letters.map(({ attempts, event }) => [event?.order, attempts]), [["5", 3]])
              for (const [name, made] of attempts) if (name !== "5") assert.strictEqual(made.at(-1), 1, name)
              assert.sameMembers(Array.from(attempts.keys()), numbers(20))
              const again = batches.filter((batch) => batch.includes("5")).slice(1)
              for (const batch of again) assert.strictEqual(batch.length, 1)
            })))

          it.effect(`order holds where some fail (${JSON.stringify(options)})`, () =>
            inShop(Effect.gen(function*() {
              const outbox = yield* ShopOutbox
              const done: Array<string> = []
              yield* serve(options, (batch) =>
                Effect.forEach(batch, ({ delivery, event, fail }) => {
                  const name = `${event._tag} ${event.order}`
                  if (event._tag === "OrderPlaced" && Number(event.order) % 3 === 0 && delivery.attempt < 3) {
                    return fail(Cause.fail("no"))
                  }
                  done.push(name)
                  return Effect.void
                }))
              yield* outbox.publishAll([
                ...numbers(12).map(placed),
                ...numbers(12).map((order) => paid(order, 1))
              ])
              yield* outbox.awaitIdle
              assert.strictEqual(new Set(done).size, 24)
              if (order === "none") return
              for (const number of numbers(12)) {
                // Of what is handled again, the last time counts.
                assert.isBelow(done.lastIndexOf(`OrderPlaced ${number}`), done.lastIndexOf(`OrderPaid ${number}`))
              }
            })))
        }
      }

      it.effect("where the handler fails, each of them has failed, and is tried again alone", () =>
        inShop(Effect.gen(function*() {
          const outbox = yield* ShopOutbox
          const batches = yield* serve(
            { order: "none", concurrency: 1 },
            (batch) => batch.length > 1 ? Effect.fail("too many") : Effect.void
          )
          yield* outbox.publishAll(numbers(5).map(placed))
          yield* outbox.awaitIdle
          assert.sameMembers(batches.filter(({ length }) => length === 1).flat(), numbers(5))
        })))

      it.effect("an event that ends the handler is found, and the others are handled", () =>
        inShop(Effect.gen(function*() {
          const outbox = yield* ShopOutbox
          const batches = yield* serve(
            { order: "none", maxAttempts: 3 },
            (batch) => ordersOf(batch).includes("5") ? Effect.die("dead") : Effect.void
          )
          yield* outbox.publishAll(numbers(20).map(placed))
          yield* outbox.awaitIdle
          const letters = yield* Stream.runCollect(outbox.deadLetters())
          assert.deepStrictEqual(letters.map(({ event }) => event?.order), ["5"])
          assert.sameMembers(Array.from(new Set(batches.flat())), numbers(20))
        })))

      it.effect("giveUp and retryAfter of one event are its own", () =>
        inShop(Effect.gen(function*() {
          const outbox = yield* ShopOutbox
          yield* serve({ order: "none" }, (batch) =>
            Effect.forEach(batch, ({ event, fail }) =>
              Effect.catchCause(
                event.order === "1"
                  ? Outbox.giveUp("never")
                  : event.order === "2"
                  ? Outbox.retryAfter("1 hour", "busy")
                  : Effect.void,
                fail
              )))
          yield* outbox.publishAll(numbers(4).map(placed))
          yield* outbox.awaitIdle
          const [mailer] = yield* outbox.consumers
          assert.deepInclude(mailer, { dead: 1, retrying: 1, held: 0 })
        })))

      it.effect("an event that does not decode fails alone", () =>
        Effect.gen(function*() {
          const { inProcess } = yield* processes
          yield* inProcess(Effect.gen(function*() {
            const outbox = yield* ShopOutbox
            const sql = yield* SqlClient.SqlClient
            yield* Effect.scoped(serve({ maxAttempts: 2 }))
            yield* outbox.publishAll(numbers(3).map(placed))
            yield* sql`UPDATE ${sql(`${outbox.tablePrefix}events`)} SET payload = '{"_tag":"OrderPlaced","order":1}'
              WHERE seq = 2`
          }))
          yield* inProcess(Effect.gen(function*() {
            const outbox = yield* ShopOutbox
            const batches = yield* serve({ maxAttempts: 2 })
            yield* outbox.awaitIdle
            assert.deepStrictEqual(Array.from(new Set(batches.flat())).toSorted(), ["0", "2"])
            assert.strictEqual((yield* Stream.runCollect(outbox.deadLetters())).length, 1)
          }))
        }))

      it.effect("a batch in a transaction is written once, and with its marks", () =>
        inShop(Effect.gen(function*() {
          const outbox = yield* ShopOutbox
          const sql = yield* SqlClient.SqlClient
          const mails = sql(`${outbox.tablePrefix}mails`)
          yield* sql`CREATE TABLE ${mails} (order_id TEXT)`
          yield* serve({ transactional: true, order: "key" }, (batch) =>
            Effect.forEach(batch, ({ delivery, event, fail }) =>
              Effect.andThen(
                sql`INSERT INTO ${mails} (order_id) VALUES (${event.order})`,
                Number(event.order) % 7 === 3 && delivery.attempt === 1 ? fail(Cause.fail("no")) : Effect.void
              )))
          yield* outbox.publishAll(numbers(50).map(placed))
          yield* outbox.awaitIdle
          const written = yield* sql<{ order_id: string }>`SELECT order_id FROM ${mails}`
          assert.deepStrictEqual(
            written.map(({ order_id }) =>
              order_id
            ).toSorted(),
            numbers(50).toSorted()
          )
        })))

      it.effect("a batch that takes longer than its time-out has failed", () =>
        inShop(Effect.gen(function*() {
          const outbox = yield* ShopOutbox
          const begun = yield* Deferred.make<void>()
          const second = yield* Deferred.make<number>()
          yield* serve({ order: "none", timeout: "30 millis" }, (batch) =>
            batch[0]!.delivery.attempt > 1
              ? Deferred.succeed(second, batch[0]!.delivery.attempt)
              : Effect.andThen(Deferred.succeed(begun, void 0), Effect.never))
          yield* outbox.publishAll(numbers(3).map(placed))
          yield* Deferred.await(begun)
          if (!place.isPostgres) yield* TestClock.adjust("31 millis")
          assert.strictEqual(yield* Deferred.await(second), 2)
        })))

      it.effect("what was in a batch when its process stopped is handled by the next, as the same attempt", () =>
        Effect.gen(function*() {
          const { inProcess } = yield* processes
          const begun = yield* Latch.make()
          yield* inProcess(Effect.gen(function*() {
            yield* serve({}, () => Effect.andThen(begun.open, Effect.never))
            yield* (yield* ShopOutbox).publishAll(numbers(3).map(placed))
            yield* begun.await
          }))
          const attempts: Array<number> = []
          yield* inProcess(Effect.gen(function*() {
            const batches = yield* serve(
              {},
              (batch) => Effect.sync(() => attempts.push(...batch.map(({ delivery }) => delivery.attempt)))
            )
            yield* (yield* ShopOutbox).awaitIdle
            assert.deepStrictEqual(batches, [numbers(3)])
          }))
          assert.deepStrictEqual(attempts, [1, 1, 1])
        }))

      it.effect("bad batches are defects", () =>
        inShop(Effect.gen(function*() {
          for (
            const [batch, message] of [
              [{ max: 0 }, "batch.max must be an integer from 1 to 500, but is 0"],
              [{ max: 501 }, "batch.max must be an integer from 1 to 500, but is 501"],
              [{ max: 1, within: "soon" }, "batch.within must be a duration above 0"]
            ] as const
          ) {
            const exit = yield* Effect.exit(serve({ batch: batch as Outbox.Batch }))
            assert.include(Cause.pretty((exit as Exit.Failure<never, unknown>).cause), message)
          }
        })))
    })
  })
}

describe("what a handler of batches is given", () => {
  layer(places[0].layer)((it) => {
    it.effect("is typed by the kinds that are named", () =>
      inShop(Effect.gen(function*() {
        const outbox = yield* ShopOutbox
        const batch = { max: 2 }
        yield* outbox.on("OrderPaid", (items) => {
          const cents: ReadonlyArray<number> = items.map(({ event }) => event.cents)
          return Effect.succeed(cents)
        }, { consumer: "a", batch })
        yield* outbox.on(["OrderPaid", "OrderPlaced"], (items) => {
          // @ts-expect-error an order that was placed has no cents
          const cents: ReadonlyArray<number> = items.map(({ event }) => event.cents)
          return Effect.succeed(cents)
        }, { consumer: "b", batch })
        // @ts-expect-error without batch there is one event
        yield* outbox.on("OrderPaid", (items) => Effect.succeed(items.length), { consumer: "c" })
        yield* outbox.on("OrderPaid", ({ cents }, { attempt }) => Effect.succeed(cents + attempt), { consumer: "d" })
        // The errors are those of the options, and of nothing else.
        const misspelt = [
          outbox.on("OrderPaid", ({ cents }) => Effect.succeed(cents), {
            consumer: "e",
            // @ts-expect-error it is maxAttempts
            maxAtempts: 3
          }),
          outbox.on("OrderPaid", (items) => Effect.succeed(items.length), {
            consumer: "f",
            // @ts-expect-error it is within
            batch: { max: 10, witin: "1 second" }
          })
        ]
        assert.strictEqual(misspelt.length, 2)
      })))
  })
})

describe("a batch that is waited for", () => {
  layer(places[0].layer)((it) => {
    const serve = Effect.gen(function*() {
      const outbox = yield* ShopOutbox
      const batches = yield* Queue.unbounded<ReadonlyArray<string>>()
      yield* outbox.on("OrderPlaced", (batch) => Queue.offer(batches, ordersOf(batch)), {
        consumer: "mailer",
        batch: { max: 3, within: "1 second" }
      })
      return batches
    })

    it.effect("begins when it is full, whatever time it is", () =>
      inShop(Effect.gen(function*() {
        const outbox = yield* ShopOutbox
        const batches = yield* serve
        yield* outbox.publish(placed("1"))
        yield* outbox.publishAll([placed("2"), placed("3")])
        assert.deepStrictEqual(yield* Queue.take(batches), ["1", "2", "3"])
      })))

    it.effect("begins when its first event has waited as long as is said", () =>
      inShop(Effect.gen(function*() {
        const outbox = yield* ShopOutbox
        const batches = yield* serve
        yield* outbox.publish(placed("1"))
        yield* TestClock.adjust("900 millis")
        yield* outbox.publish(placed("2"))
        yield* TestClock.adjust("50 millis")
        assert.strictEqual(yield* Queue.size(batches), 0)
        yield* TestClock.adjust("50 millis")
        assert.deepStrictEqual(yield* Queue.take(batches), ["1", "2"])
      })))
  })
})
