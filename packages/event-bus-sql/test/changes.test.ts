import { assert, describe, layer } from "@effect/vitest"
import { Outbox } from "@openwatch/event-bus-sql"
import { Context, Effect, Latch, Schedule, Stream } from "effect"
import { SqlClient } from "effect/sql"
import { TestClock } from "effect/testing"
import { type OrderPaid, type OrderPlaced, paid, placed, places, processes, ShopOutbox } from "./shop.ts"

const atOnce = Schedule.spaced(0)

const numbers = (count: number) => Array.from({ length: count }, (_, i) => String(i))

type Order = "all" | "key" | "none"

/** Numbers from a seed, the same each time. */
const random = (seed: number) => () => {
  seed = (Math.imul(seed, 1_664_525) + 1_013_904_223) >>> 0
  return seed / 2 ** 32
}

for (const place of places) {
  describe.skipIf(place.isSkipped)(`a change of order or partitions, on ${place.name}`, () => {
    layer(place.layer, { timeout: "60 seconds", excludeTestServices: place.isPostgres })((it) => {
      const identity = place.isPostgres
        ? "BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY"
        : "INTEGER PRIMARY KEY AUTOINCREMENT"

      /** Serves "mailer" and logs what it handles. What `act` returns true for fails for ever. */
      const serve = (order: Order, fails: (event: OrderPlaced | OrderPaid) => boolean = () => false) =>
        Effect.gen(function*() {
          const outbox = yield* ShopOutbox
          const log: Array<string> = []
          yield* outbox.on(["OrderPlaced", "OrderPaid"], (event) => {
            if (fails(event)) return Outbox.retryAfter("1 hour", "no")
            log.push(`${event._tag} ${event.order}`)
            return Effect.void
          }, { consumer: "mailer", order, retry: atOnce })
          return log
        })

      /** What failed is due. */
      const makeDue = Effect.gen(function*() {
        const sql = yield* SqlClient.SqlClient
        const outbox = yield* ShopOutbox
        yield* sql`UPDATE ${sql(`${outbox.tablePrefix}parked`)} SET due_at = 0`
      })

      const isBad = ({ order }: OrderPlaced | OrderPaid) => order === "3"

      for (const from of ["all", "key", "none"] as const) {
        for (const to of ["all", "key", "none"] as const) {
          if (from === to) continue
          it.effect(`from ${from} to ${to}: what was handled is not handled again, what was not is, in order`, () =>
            Effect.gen(function*() {
              const { inProcess } = yield* processes
              const first = yield* inProcess(Effect.gen(function*() {
                const outbox = yield* ShopOutbox
                const log = yield* serve(from, isBad)
                yield* outbox.publishAll([...numbers(8).map(placed), ...numbers(8).map((order) => paid(order, 1))])
                yield* outbox.awaitIdle
                return log
              }))
              yield* inProcess(Effect.gen(function*() {
                yield* makeDue
                const outbox = yield* ShopOutbox
                const log = yield* serve(to)
                yield* outbox.publish(paid("3", 2))
                yield* outbox.awaitIdle
                const all = [...first, ...log]
                assert.strictEqual(all.length, 17)
                assert.strictEqual(new Set(all).size, 16)
                if (to !== "none" && from !== "none") {
                  assert.deepStrictEqual(log.filter((entry) => entry.endsWith(" 3")), [
                    "OrderPlaced 3",
                    "OrderPaid 3",
                    "OrderPaid 3"
                  ])
                }
                const [mailer] = yield* outbox.consumers
                assert.deepInclude(mailer, { order: to, partitions: to === "all" ? 1 : 16, retrying: 0, held: 0 })
              }))
            }))
        }
      }

      it.effect("partitions that were not equally far are united: what others had moved past comes once, in order", () =>
        Effect.gen(function*() {
          const { inProcess } = yield* processes
          const written = Effect.gen(function*() {
            const outbox = yield* ShopOutbox
            const sql = yield* SqlClient.SqlClient
            const rows = yield* sql<{ n: number }>`SELECT n FROM ${sql(`${outbox.tablePrefix}log`)} ORDER BY seq`
            return rows.map(({ n }) => n)
          })
          const serve = (order: Order, enough: number) =>
            Effect.gen(function*() {
              const outbox = yield* ShopOutbox
              const sql = yield* SqlClient.SqlClient
              const isEnough = yield* Latch.make()
              let handled = 0
              yield* outbox.on("OrderPlaced", ({ order }) =>
                Effect.andThen(
                  sql`INSERT INTO ${sql(`${outbox.tablePrefix}log`)} (n) VALUES (${Number(order)})`,
                  Effect.suspend(() => ++handled > enough ? Effect.andThen(isEnough.open, Effect.never) : Effect.void)
                ), { consumer: "mailer", order, concurrency: 1, transactional: true, from: "beginning" })
              yield* Effect.raceFirst(isEnough.await, outbox.awaitIdle)
            })
          yield* inProcess(Effect.gen(function*() {
            const outbox = yield* ShopOutbox
            const sql = yield* SqlClient.SqlClient
            yield* sql`CREATE TABLE ${sql(`${outbox.tablePrefix}log`)} (seq ${sql.literal(identity)}, n INTEGER)`
            yield* outbox.publishAll(numbers(200).map(placed))
          }))
          yield* inProcess(serve("key", 77))
          const before = yield* inProcess(written)
          yield* inProcess(serve("all", 200))
          const all = yield* inProcess(written)
          assert.isBelow(before.length, 200)
          assert.sameMembers(all, numbers(200).map(Number))
          const after = all.slice(before.length)
          assert.deepStrictEqual(after, after.toSorted((a, b) => a - b))
        }))

      it.effect("more partitions take over what those before them had parked, and dead letters stay dead", () =>
        Effect.gen(function*() {
          const { inProcess } = yield* processes
          const bad = ({ order }: OrderPlaced | OrderPaid) => Number(order) % 3 === 0
          const first = yield* inProcess(
            Effect.gen(function*() {
              const outbox = yield* ShopOutbox
              yield* outbox.on("OrderPlaced", () => Outbox.giveUp("no"), { consumer: "dead", order: "none" })
              const log = yield* serve("key", bad)
              yield* outbox.publishAll([...numbers(20).map(placed), ...numbers(20).map((order) => paid(order, 1))])
              yield* outbox.awaitIdle
              return log
            }),
            { partitions: 2 }
          )
          yield* inProcess(
            Effect.gen(function*() {
              yield* makeDue
              const outbox = yield* ShopOutbox
              const log = yield* serve("key")
              const requeued: Array<string> = []
              yield* outbox.on("OrderPlaced", ({ order }) => Effect.sync(() => requeued.push(order)), {
                consumer: "dead",
                order: "none"
              })
              yield* outbox.requeue(yield* Stream.runCollect(outbox.deadLetters()))
              yield* outbox.awaitIdle
              assert.strictEqual(new Set([...first, ...log]).size, 40)
              assert.strictEqual(first.length + log.length, 40)
              for (const number of numbers(20).filter((number) => Number(number) % 3 === 0)) {
                assert.isBelow(log.indexOf(`OrderPlaced ${number}`), log.indexOf(`OrderPaid ${number}`))
              }
              assert.sameMembers(requeued, numbers(20))
              assert.deepStrictEqual((yield* outbox.consumers).map(({ partitions }) => partitions), [16, 16])
            }),
            { partitions: 16 }
          )
        }))

      it.effect("partitions never become fewer", () =>
        Effect.gen(function*() {
          const { inProcess } = yield* processes
          for (const [partitions, expected] of [[4, 4], [8, 8], [2, 8]] as const) {
            yield* inProcess(
              Effect.gen(function*() {
                const outbox = yield* ShopOutbox
                yield* serve("key")
                assert.strictEqual((yield* outbox.consumers)[0]!.partitions, expected)
              }),
              { partitions }
            )
          }
        }))

      it.effect("while another process serves the consumer, another order is refused, and more partitions wait", () =>
        Effect.gen(function*() {
          const { process } = yield* processes
          const a = yield* process({ partitions: 4 })
          const b = yield* process({ partitions: 8 })
          yield* Effect.provide(serve("key"), a)
          const error = yield* Effect.flip(Effect.provide(serve("all"), b))
          assert.deepInclude(error, { reason: "consumer", isRetryable: false })
          assert.include(error.message, `another process serves it with order "key", not "all"`)
          yield* Effect.provide(serve("key"), b)
          assert.strictEqual((yield* Context.get(b, ShopOutbox).consumers)[0]!.partitions, 4)
        }))

      it.effect("an order changed at random, over and over: each event is written once, and each key in order", () =>
        Effect.gen(function*() {
          for (const seed of [1, 3]) {
            const next = random(seed)
            const { inProcess } = yield* processes
            let published = 0
            const written: Array<string> = []
            for (let round = 0; round < 6; round++) {
              const order = next() < 0.5 ? "all" : "key"
              const handledEnough = yield* Latch.make()
              const enough = Math.floor(next() * 40)
              const isLast = round === 5
              yield* inProcess(
                Effect.gen(function*() {
                  yield* makeDue
                  const outbox = yield* ShopOutbox
                  const sql = yield* SqlClient.SqlClient
                  const log = sql(`${outbox.tablePrefix}log`)
                  yield* sql`CREATE TABLE IF NOT EXISTS ${log} (seq ${sql.literal(identity)}, entry TEXT)`
                  let handled = 0
                  yield* outbox.on(
                    "OrderPaid",
                    ({ cents, order }, { attempt }) =>
                      Effect.gen(function*() {
                        yield* sql`INSERT INTO ${log} (entry) VALUES (${`${order} ${cents}`})`
                        if (attempt === 1 && cents % 5 === 0) {
                          return yield* isLast ? Effect.fail("no") : Outbox.retryAfter("1 hour", "no")
                        }
                        if (++handled >= enough) yield* handledEnough.open
                        return undefined
                      }),
                    { consumer: "mailer", order, transactional: true, retry: atOnce, from: "beginning" }
                  )
                  const events = Array.from({ length: 40 }, () => paid(String(published % 7), published++))
                  yield* outbox.publishAll(events)
                  // Some rounds end in the middle.
                  yield* isLast || next() < 0.5
                    ? outbox.awaitIdle
                    : Effect.raceFirst(handledEnough.await, outbox.awaitIdle)
                  if (isLast) {
                    const rows = yield* sql<{ entry: string }>`SELECT entry FROM ${log} ORDER BY seq`
                    written.push(...rows.map(({ entry }) => entry))
                  }
                }),
                { partitions: 2 ** (1 + round) }
              )
            }
            const expected = Array.from({ length: published }, (_, i) => `${i % 7} ${i}`)
            const twice = written.filter((entry, i) => written.indexOf(entry) !== i)
            const missing = expected.filter((entry) => !written.includes(entry))
            assert.deepStrictEqual([twice, missing], [[], []], `seed ${seed}: twice, missing`)
            for (const key of numbers(7)) {
              const own = written.filter((entry) => entry.startsWith(`${key} `)).map((entry) =>
                Number(entry.split(" ")[1])
              )
              assert.deepStrictEqual(own, own.toSorted((a, b) => a - b), `seed ${seed}, key ${key}`)
            }
          }
        }))
    })
  })
}

for (const place of places) {
  describe.skipIf(place.isSkipped)(`a consumer that nobody serves, on ${place.name}`, () => {
    layer(place.layer, { timeout: "60 seconds" })((it) => {
      /** What consumers there are once one of them has been away for so many days, and the house was kept. */
      const after = (days: number, isOver: (names: ReadonlyArray<string>) => boolean) =>
        Effect.gen(function*() {
          const outbox = yield* ShopOutbox
          const sql = yield* SqlClient.SqlClient
          yield* outbox.on("OrderPlaced", () => Effect.void, { consumer: "served" })
          yield* Effect.scoped(outbox.on("OrderPlaced", () => Effect.void, { consumer: "away" }))
          yield* sql`UPDATE ${sql(`${outbox.tablePrefix}consumers`)} SET seen_at = seen_at - ${days * 86_400_000}`
          yield* TestClock.adjust("6 minutes")
          const names = Effect.map(outbox.consumers, (consumers) => consumers.map(({ name }) => name))
          // What fails meanwhile, as a connection that took longer than this clock allows, is tried again after a pause.
          const later = Effect.andThen(TestClock.adjust("1 second"), names)
          return yield* Effect.repeat(later, { until: isOver })
        })

      const options = { expireAfter: "2 days", pollInterval: "1 minute", lease: "10 minutes" } as const

      it.effect("is removed after expireAfter", () =>
        Effect.gen(function*() {
          const { inProcess } = yield* processes
          const names = yield* inProcess(after(3, (names) => names.length === 1), options)
          assert.deepStrictEqual(names, ["served"])
        }))

      // On PostgreSQL nothing says when the house was kept.
      it.effect.skipIf(place.isPostgres)(
        "is kept before that, and for ever where nothing is said",
        () =>
          Effect.gen(function*() {
            for (const [days, what] of [[1, options], [300, { ...options, expireAfter: undefined }]] as const) {
              const { inProcess } = yield* processes
              assert.deepStrictEqual(yield* inProcess(after(days, () => true), what), ["away", "served"])
            }
          })
      )
    })
  })
}
