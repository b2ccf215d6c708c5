import { assert, describe, layer } from "@effect/vitest"
import { Outage, type Outbox } from "@openwatch/event-bus-sql"
import { Context, Effect, Exit, Fiber, Latch, Logger, Queue, Schedule, Scope } from "effect"
import { SqlClient, Statement } from "effect/sql"
import { TestClock } from "effect/testing"
import {
  inShop,
  type OrderPaid,
  type OrderPlaced,
  paid,
  placed,
  places,
  processes,
  ShopBus,
  ShopOutbox
} from "./shop.ts"

const quick = { pollInterval: "20 millis", lease: "2 seconds" } as const

for (const place of places) {
  describe.skipIf(place.isSkipped)(`several processes, on ${place.name}`, () => {
    layer(place.layer, { timeout: "60 seconds", excludeTestServices: place.isPostgres })((it) => {
      /** On SQLite a process sees what others did at its next poll. */
      const passTime = place.isPostgres ? Effect.sleep(10) : TestClock.adjust("25 millis")

      /** Lets processes work until a condition holds. */
      const until = <E, R>(condition: Effect.Effect<boolean, E, R>) =>
        Effect.repeat(Effect.andThen(passTime, condition), { until: (holds) => holds })

      /** The partitions of a consumer that have an owner, counted by owner. */
      const shares = Effect.gen(function*() {
        const outbox = yield* ShopOutbox
        const sql = yield* SqlClient.SqlClient
        const rows = yield* sql<{ count: number | string }>`SELECT COUNT(*) AS count FROM ${
          sql(`${outbox.tablePrefix}positions`)
        }
          WHERE owner IS NOT NULL GROUP BY owner ORDER BY 1`
        return rows.map(({ count }) => Number(count))
      })

      const serve = (handler: (event: OrderPlaced | OrderPaid) => Effect.Effect<unknown>) =>
        Effect.flatMap(
          ShopOutbox,
          (outbox) => outbox.on(["OrderPlaced", "OrderPaid"], handler, { consumer: "ledger", order: "key" })
        )

      it.effect("what one process publishes is published on the bus of the other", () =>
        Effect.gen(function*() {
          const { process } = yield* processes
          const a = yield* process(quick)
          const b = yield* process(quick)
          const subscription = yield* Context.get(b, ShopBus).subscribe({ kinds: ["OrderPlaced"] })
          yield* Context.get(a, ShopOutbox).publish(placed("1"))
          yield* until(Effect.map(subscription.snapshot, ({ pending }) => pending > 0))
          assert.deepStrictEqual(yield* subscription.take, placed("1"))
        }))

      for (const [how, wait] of [["end at once", Effect.void], ["wait", Effect.yieldNow]] as const) {
        it.effect(`two consumers that catch up read each page once, where their handlers ${how}`, () =>
          Effect.gen(function*() {
            const { inProcess } = yield* processes
            const events = Array.from({ length: 6_000 }, (_, i) => placed(String(i)))
            yield* inProcess(Effect.flatMap(ShopOutbox, (outbox) => outbox.publishAll(events)))
            let readCount = 0
            const counting: Statement.Transformer = (statement) =>
              Effect.sync(() => {
                if (statement.compile()[0].includes("AND seq <=")) readCount++
                return statement
              })
            const reads: Array<number> = []
            yield* inProcess(Effect.gen(function*() {
              const outbox = yield* ShopOutbox
              for (const consumer of ["mailer", "ledger"]) {
                let handledCount = 0
                yield* outbox.on("OrderPlaced", () => Effect.andThen(wait, Effect.sync(() => handledCount++)), {
                  consumer,
                  from: "beginning"
                })
                yield* outbox.awaitIdle
                assert.strictEqual(handledCount, 6_000)
                reads.push(readCount)
              }
            })).pipe(Effect.provideService(Statement.CurrentTransformer, counting))
            assert.isAtMost(reads[0]!, 20)
            assert.isAtMost(reads[1]! - reads[0]!, 1)
          }))
      }

      it.effect("a process that only publishes does not read what it has published, and a consumer that comes later does", () =>
        Effect.suspend(() => {
          let readCount = 0
          const counting: Statement.Transformer = (statement) =>
            Effect.sync(() => {
              if (statement.compile()[0].startsWith("SELECT seq, kind, id")) readCount++
              return statement
            })
          return inShop(
            Effect.gen(function*() {
              const outbox = yield* ShopOutbox
              const events = Array.from({ length: 1_500 }, (_, i) => placed(String(i)))
              yield* outbox.on("OrderPlaced", () => Effect.void, { consumer: "mailer" }).pipe(Effect.scoped)
              yield* outbox.publishAll(events)
              yield* outbox.awaitIdle
              assert.strictEqual(readCount, 0)
              const handled: Array<OrderPlaced> = []
              yield* outbox.on("OrderPlaced", (event) => Effect.sync(() => handled.push(event)), { consumer: "mailer" })
              yield* outbox.publish(placed("last"))
              yield* outbox.awaitIdle
              assert.deepStrictEqual(handled, [...events, placed("last")])
            }),
            { live: false }
          ).pipe(Effect.provideService(Statement.CurrentTransformer, counting))
        }))

      it.effect("two processes that serve one consumer share its partitions, and every event is handled once", () =>
        Effect.gen(function*() {
          const { process } = yield* processes
          const a = yield* process(quick)
          const b = yield* process(quick)
          const handled = yield* Queue.unbounded<readonly [string, string]>()
          yield* Effect.provide(serve(({ order }) => Queue.offer(handled, ["a", order])), a)
          yield* Effect.provide(serve(({ order }) => Queue.offer(handled, ["b", order])), b)
          yield* until(Effect.map(Effect.provide(shares, a), (counts) => counts.join() === "8,8"))
          const numbers = Array.from({ length: 100 }, (_, i) => String(i))
          yield* Context.get(a, ShopOutbox).publishAll(numbers.map(placed))
          yield* until(Effect.map(Queue.size(handled), (size) => size >= 100))
          const all = yield* Queue.takeN(handled, 100)
          assert.sameMembers(all.map(([, order]) => order), numbers)
          assert.deepStrictEqual(new Set(all.map(([by]) => by)), new Set(["a", "b"]))
        }))

      it.effect("a process that stops hands its partitions over", () =>
        Effect.gen(function*() {
          const { process } = yield* processes
          const a = yield* process(quick)
          const scope = yield* Scope.make()
          const b = yield* Scope.provide(process(quick), scope)
          yield* Effect.provide(serve(() => Effect.void), a)
          yield* Effect.provide(serve(() => Effect.void), b)
          yield* until(Effect.map(Effect.provide(shares, a), (counts) => counts.join() === "8,8"))
          yield* Scope.close(scope, Exit.void)
          yield* until(Effect.map(Effect.provide(shares, a), (counts) => counts.join() === "16"))
        }))

      it.effect("a partition is handed over once its handlers have ended, and its events keep their order", () =>
        Effect.gen(function*() {
          const { process } = yield* processes
          const a = yield* process(quick)
          const log = yield* Queue.unbounded<string>()
          const mayEnd = yield* Latch.make()
          yield* Effect.provide(
            serve((event) => Effect.andThen(mayEnd.await, Queue.offer(log, `${event._tag} ${event.order}`))),
            a
          )
          const numbers = Array.from({ length: 20 }, (_, i) => String(i))
          const outbox = Context.get(a, ShopOutbox)
          yield* outbox.publishAll(numbers.map(placed))
          yield* outbox.publishAll(numbers.map((order) => paid(order, 1)))
          const b = yield* process(quick)
          yield* Effect.provide(serve((event) => Queue.offer(log, `${event._tag} ${event.order}`)), b)
          yield* mayEnd.open
          yield* until(Effect.map(Queue.size(log), (size) => size >= 40))
          const order = yield* Queue.takeN(log, 40)
          assert.strictEqual(new Set(order).size, 40)
          for (const number of numbers) {
            assert.isBelow(order.indexOf(`OrderPlaced ${number}`), order.indexOf(`OrderPaid ${number}`))
          }
        }))

      it.effect("what a dead process owned is taken when its lease has ended, and its events run with their attempt written", () =>
        Effect.gen(function*() {
          const { inProcess, prefix } = yield* processes
          const serveAll = (run: Effect.Effect<void>) =>
            Effect.flatMap(ShopOutbox, (outbox) => outbox.on("OrderPlaced", () => run, { consumer: "mailer" }))
          yield* inProcess(Effect.gen(function*() {
            yield* Effect.scoped(serveAll(Effect.void))
            yield* (yield* ShopOutbox).publishAll([placed("1"), placed("2")])
            const sql = yield* SqlClient.SqlClient
            yield* sql`INSERT INTO ${sql(`${prefix}processes`)} (id, lease_until, beat) VALUES ('dead', 1, 1)`
            yield* sql`UPDATE ${sql(`${prefix}positions`)} SET owner = 'dead'`
          }))
          const attempts: Array<unknown> = []
          yield* inProcess(
            Effect.gen(function*() {
              const sql = yield* SqlClient.SqlClient
              yield* serveAll(
                Effect.orDie(Effect.map(sql`SELECT attempts FROM ${sql(`${prefix}parked`)}`, (rows) => {
                  attempts.push(rows.map(({ attempts }) => attempts))
                }))
              )
              yield* until(Effect.sync(() => attempts.length >= 2))
              yield* (yield* ShopOutbox).awaitIdle
              assert.deepStrictEqual(attempts, [[1], [1]])
              assert.deepStrictEqual(yield* sql`SELECT * FROM ${sql(`${prefix}parked`)}`, [])
              const [position] = yield* sql`SELECT is_unclean FROM ${sql(`${prefix}positions`)}`
              assert.strictEqual(position!["is_unclean"], 0)
            }),
            quick
          )
        }))

      it.effect("a process whose lease was lost begins anew as another, and goes on", () =>
        Effect.gen(function*() {
          const { inProcess, prefix } = yield* processes
          yield* inProcess(
            Effect.gen(function*() {
              const sql = yield* SqlClient.SqlClient
              const handled = yield* Queue.unbounded<string>()
              yield* serve(({ order }) => Queue.offer(handled, order))
              const before = yield* sql`SELECT id FROM ${sql(`${prefix}processes`)}`
              // As another process does once the lease has ended.
              yield* sql.withTransaction(Effect.gen(function*() {
                yield* sql`UPDATE ${sql(`${prefix}state`)} SET generation = generation + 1`
                yield* sql`UPDATE ${sql(`${prefix}positions`)} SET owner = NULL, epoch = epoch + 1`
                yield* sql`DELETE FROM ${sql(`${prefix}members`)}`
                yield* sql`DELETE FROM ${sql(`${prefix}processes`)}`
              }))
              yield* (yield* ShopOutbox).publish(placed("1"))
              yield* until(Effect.map(shares, (counts) => counts.join() === "16"))
              yield* until(Effect.map(Queue.size(handled), (size) => size > 0))
              assert.strictEqual(yield* Queue.take(handled), "1")
              const after = yield* sql`SELECT id FROM ${sql(`${prefix}processes`)}`
              assert.strictEqual(after.length, 1)
              assert.notDeepEqual(after, before)
            }),
            quick
          )
        }))

      it.effect("a handler is interrupted when the lease cannot be renewed", () =>
        Effect.gen(function*() {
          const { inProcess, prefix } = yield* processes
          yield* inProcess(
            Effect.gen(function*() {
              const sql = yield* SqlClient.SqlClient
              const begun = yield* Latch.make()
              const isInterrupted = yield* Latch.make()
              yield* serve(() => Effect.onInterrupt(Effect.andThen(begun.open, Effect.never), () => isInterrupted.open))
              yield* (yield* ShopOutbox).publish(placed("1"))
              yield* begun.await
              const table = sql(`${prefix}processes`)
              yield* sql`ALTER TABLE ${table} RENAME TO ${sql(`${prefix}away`)}`
              yield* until(Effect.sync(() => isInterrupted.isOpen()))
              yield* sql`ALTER TABLE ${sql(`${prefix}away`)} RENAME TO ${table}`
            }),
            quick
          )
        }))

      it.effect("a process takes over at once what one of its name has left that was killed", () =>
        Effect.gen(function*() {
          const { inProcess, prefix } = yield* processes
          // The time of a lease does not pass.
          const named = { lease: "1 hour", process: "shop" } as const
          const handled = yield* Queue.unbounded<string>()
          const serveAll = Effect.flatMap(
            ShopOutbox,
            (outbox) => outbox.on("OrderPlaced", ({ order }) => Queue.offer(handled, order), { consumer: "mailer" })
          )
          const killed = Effect.gen(function*() {
            yield* Effect.scoped(serveAll)
            yield* (yield* ShopOutbox).publish(placed("1"))
            const sql = yield* SqlClient.SqlClient
            const far = sql.literal("9999999999999")
            yield* sql`INSERT INTO ${sql(`${prefix}processes`)} (id, lease_until, beat) VALUES ('shop/1', ${far}, 0)`
            yield* sql`INSERT INTO ${sql(`${prefix}members`)} (process, consumer) VALUES ('shop/1', 'mailer')`
            yield* sql`UPDATE ${sql(`${prefix}positions`)} SET owner = 'shop/1'`
          })
          yield* inProcess(killed, named)
          yield* inProcess(
            Effect.gen(function*() {
              yield* serveAll
              assert.strictEqual(yield* Queue.take(handled), "1")
              const sql = yield* SqlClient.SqlClient
              assert.strictEqual((yield* sql`SELECT * FROM ${sql(`${prefix}processes`)}`).length, 1)
            }),
            named
          )
        }))

      it.effect("an outbox and whoever stores beside it tell of an outage together, in two lines", () => {
        const lines: Array<string> = []
        const logger = Logger.make(({ message }) => lines.push(String(message)))
        return Effect.gen(function*() {
          const { inProcess, prefix } = yield* processes
          yield* inProcess(
            Effect.gen(function*() {
              const sql = yield* SqlClient.SqlClient
              const table = sql(`${prefix}processes`)
              yield* sql`ALTER TABLE ${table} RENAME TO ${sql(`${prefix}away`)}`
              const reading = yield* Effect.forkChild(Outage.untilItPasses(sql`SELECT * FROM ${table}`))
              yield* until(Effect.sync(() => lines.length > 0))
              yield* sql`ALTER TABLE ${sql(`${prefix}away`)} RENAME TO ${table}`
              yield* until(Effect.sync(() => lines.length > 1))
              yield* Fiber.join(reading)
            }),
            quick
          )
          assert.lengthOf(lines, 2)
          assert.match(lines[0]!, /^The database is away: .*processes.*; what is to be stored waits for it$/)
          assert.strictEqual(lines[1], "The database works again")
        }).pipe(
          Effect.provide(Logger.layer([logger])),
          Effect.provideServiceEffect(Outage.CurrentOutages, Outage.none)
        )
      })

      /** Never looks by itself, so what it learns it learns from what it reads. */
      const slow = { pollInterval: "1 hour", lease: "3 hours" } as const

      /** Returns once a process has looked at who owns what, and has nothing to do. */
      const settled = (services: Context.Context<ShopOutbox>) =>
        Effect.andThen(passTime, Context.get(services, ShopOutbox).awaitIdle)

      /** Serves some kinds of one consumer, and logs what it handles. */
      const ledger = (
        kinds: ReadonlyArray<"OrderPlaced" | "OrderPaid">,
        log: Queue.Queue<string>,
        options?: Partial<Outbox.ConsumerOptions<never>>
      ) =>
        Effect.flatMap(
          ShopOutbox,
          (outbox) =>
            outbox.on(kinds, (event) => Queue.offer(log, `${event._tag} ${event.order}`), {
              consumer: "ledger",
              retry: Schedule.spaced(0),
              ...options
            })
        )

      it.effect("a process that does not serve a registered kind leaves its events to those that do", () =>
        Effect.gen(function*() {
          const { process } = yield* processes
          const handled = yield* Queue.unbounded<string>()
          const old = yield* process(slow)
          yield* Effect.provide(ledger(["OrderPlaced"], handled), old)
          yield* settled(old)
          const fresh = yield* process(quick)
          const serveBoth = Effect.provide(ledger(["OrderPlaced", "OrderPaid"], handled), fresh)
          yield* Effect.scoped(serveBoth)
          const outbox = Context.get(old, ShopOutbox)
          yield* outbox.publishAll([placed("1"), paid("1", 5), placed("2")])
          yield* until(Effect.map(Queue.size(handled), (size) => size >= 1))
          yield* until(Effect.map(Effect.provide(shares, old), (counts) => counts.length === 0))
          yield* serveBoth
          yield* until(Effect.map(Queue.size(handled), (size) => size >= 3))
          assert.deepStrictEqual(yield* Queue.takeN(handled, 3), ["OrderPlaced 1", "OrderPaid 1", "OrderPlaced 2"])
        }))

      it.effect("what comes behind the first event of a new kind is not handled by a process that nobody told of it", () =>
        Effect.gen(function*() {
          const { prefix, process } = yield* processes
          const handled = yield* Queue.unbounded<string>()
          const old = yield* process(slow)
          yield* Effect.provide(ledger(["OrderPlaced"], handled), old)
          yield* settled(old)
          const sql = Context.get(old, SqlClient.SqlClient)
          // As a newer process does, whose notification is still on its way.
          yield* sql.withTransaction(Effect.gen(function*() {
            yield* sql`UPDATE ${sql(`${prefix}state`)} SET generation = generation + 1`
            yield* sql`UPDATE ${sql(`${prefix}consumers`)} SET kinds = '{"OrderPlaced":0,"OrderPaid":0}'`
          }))
          const outbox = Context.get(old, ShopOutbox)
          yield* outbox.publishAll([placed("1"), placed("2"), paid("1", 5), placed("3")])
          yield* until(Effect.map(Effect.provide(shares, old), (counts) => counts.length === 0))
          assert.deepStrictEqual(yield* Queue.takeAll(handled), ["OrderPlaced 1", "OrderPlaced 2"])
        }))

      it.effect("a kind that is added interrupts no handler, and nothing is handled twice", () =>
        Effect.gen(function*() {
          const { process } = yield* processes
          const handled = yield* Queue.unbounded<string>()
          const begun = yield* Queue.unbounded<string>()
          const mayEnd = yield* Latch.make()
          const old = yield* process(quick)
          const outbox = Context.get(old, ShopOutbox)
          yield* Effect.provide(
            outbox.on("OrderPlaced", ({ order }) =>
              Effect.gen(function*() {
                yield* Queue.offer(begun, order)
                yield* mayEnd.await
                yield* Queue.offer(handled, `OrderPlaced ${order}`)
              }), { consumer: "ledger" }),
            old
          )
          yield* outbox.publish(placed("1"))
          assert.strictEqual(yield* Queue.take(begun), "1")
          const fresh = yield* process(quick)
          yield* Effect.provide(ledger(["OrderPlaced", "OrderPaid"], handled), fresh)
          yield* mayEnd.open
          yield* outbox.publishAll([placed("2"), paid("1", 5)])
          yield* until(Effect.map(Queue.size(handled), (size) => size >= 3))
          assert.deepStrictEqual(yield* Queue.takeAll(handled), ["OrderPlaced 1", "OrderPlaced 2", "OrderPaid 1"])
          assert.deepStrictEqual(yield* Queue.takeAll(begun), ["2"])
        }))

      /** A process in which a payment has failed, and is tried again, whoever serves its consumer next. */
      const withFailedPayment = Effect.gen(function*() {
        const { process } = yield* processes
        const services = yield* process(quick)
        const outbox = Context.get(services, ShopOutbox)
        const failing = { consumer: "ledger", order: "none", retry: Schedule.spaced("10 millis") } as const
        yield* Effect.scoped(Effect.gen(function*() {
          yield* outbox.on(["OrderPlaced", "OrderPaid"], () => Effect.fail("no"), failing)
          yield* outbox.publish(paid("1", 5))
          yield* until(Effect.map(outbox.consumers, ([ledger]) => ledger!.retrying === 1))
        }))
        return { failing, outbox, services }
      })

      it.effect("an event of a kind that a process does not serve stays parked for those that do", () =>
        Effect.gen(function*() {
          const { failing, outbox, services } = yield* withFailedPayment
          const handled = yield* Queue.unbounded<string>()
          yield* Effect.scoped(Effect.gen(function*() {
            yield* outbox.on("OrderPlaced", ({ order }) => Queue.offer(handled, order), failing)
            yield* until(Effect.map(Effect.provide(shares, services), (counts) => counts.join() === "15"))
          }))
          assert.deepStrictEqual(yield* Queue.clear(handled), [])
          yield* Effect.provide(ledger(["OrderPlaced", "OrderPaid"], handled, failing), services)
          yield* until(Effect.map(Queue.size(handled), (size) => size >= 1))
          assert.deepStrictEqual(yield* Queue.takeAll(handled), ["OrderPaid 1"])
        }))

      it.effect("what was parked of a kind that has been retired since is forgotten", () =>
        Effect.gen(function*() {
          const { failing, outbox, services } = yield* withFailedPayment
          const handled = yield* Queue.unbounded<string>()
          yield* Effect.provide(ledger(["OrderPlaced"], handled, { ...failing, retires: ["OrderPaid"] }), services)
          yield* until(Effect.map(outbox.consumers, ([ledger]) => ledger!.retrying === 0))
          assert.deepStrictEqual(yield* Queue.clear(handled), [])
        }))

      it.effect.skipIf(!place.isPostgres)(
        "a partition that a transaction holds is waited for, and its consumer is not idle meanwhile",
        () =>
          Effect.gen(function*() {
            const { prefix, process } = yield* processes
            const services = yield* process(quick)
            const outbox = Context.get(services, ShopOutbox)
            const handled = yield* Queue.unbounded<string>()
            yield* Effect.scoped(Effect.provide(ledger(["OrderPlaced"], handled), services))
            yield* outbox.publish(placed("1"))
            const sql = Context.get(yield* process(quick), SqlClient.SqlClient)
            const isHeld = yield* Latch.make()
            const mayEnd = yield* Latch.make()
            const holding = yield* Effect.forkChild(sql.withTransaction(
              Effect.andThen(
                sql`SELECT 1 FROM ${sql(`${prefix}positions`)} FOR UPDATE`,
                Effect.andThen(isHeld.open, mayEnd.await)
              )
            ))
            yield* isHeld.await
            yield* Effect.provide(ledger(["OrderPlaced"], handled), services)
            yield* Effect.addFinalizer(() => mayEnd.open)
            const idle = yield* Effect.forkChild(outbox.awaitIdle)
            // Long enough for it to look several times.
            for (let n = 0; n < 50; n++) yield* outbox.consumers
            assert.isUndefined(idle.pollUnsafe())
            yield* mayEnd.open
            yield* Fiber.join(holding)
            yield* Fiber.join(idle)
            assert.deepStrictEqual(yield* Queue.clear(handled), ["OrderPlaced 1"])
          })
      )

      it.effect.skipIf(!place.isPostgres)(
        "a kind that is added waits for transactions that have published, and starts behind them",
        () =>
          Effect.gen(function*() {
            const { prefix, process } = yield* processes
            const handled = yield* Queue.unbounded<string>()
            const old = yield* process(quick)
            yield* Effect.provide(ledger(["OrderPlaced"], handled), old)
            const outbox = Context.get(old, ShopOutbox)
            const sql = Context.get(old, SqlClient.SqlClient)
            const isDrawn = yield* Latch.make()
            const mayCommit = yield* Latch.make()
            const publishing = yield* Effect.forkChild(sql.withTransaction(Effect.gen(function*() {
              yield* outbox.publish(paid("early", 5))
              yield* isDrawn.open
              yield* mayCommit.await
            })))
            yield* isDrawn.await
            const fresh = yield* process(quick)
            const serving = yield* Effect.forkChild(
              Effect.provide(ledger(["OrderPlaced", "OrderPaid"], handled), fresh)
            )
            yield* until(Effect.map(
              sql`SELECT 1 FROM pg_locks WHERE relation = ${`${prefix}events`}::regclass AND mode = 'ShareLock'
                AND NOT granted`,
              (rows) => rows.length > 0
            ))
            yield* mayCommit.open
            yield* Fiber.join(publishing)
            yield* Fiber.join(serving)
            yield* outbox.publishAll([placed("1"), paid("late", 5)])
            yield* until(Effect.map(Queue.size(handled), (size) => size >= 2))
            assert.deepStrictEqual(yield* Queue.takeAll(handled), ["OrderPlaced 1", "OrderPaid late"])
          })
      )
    })
  })
}

describe("an idle process", () => {
  layer(places[0].layer)((it) => {
    it.effect("asks the database once a second, whatever its number of consumers, and a few times more every five minutes", () =>
      Effect.gen(function*() {
        let statements = 0
        const counting: Statement.Transformer = (statement) =>
          Effect.sync(() => {
            statements++
            return statement
          })
        yield* inShop(Effect.gen(function*() {
          const outbox = yield* ShopOutbox
          for (let i = 0; i < 20; i++) {
            yield* outbox.on("OrderPlaced", () => Effect.void, { consumer: `consumer ${i}`, order: "key" })
          }
          yield* outbox.publish(placed("1"))
          yield* TestClock.adjust("1 minute")
          yield* outbox.awaitIdle
          statements = 0
          yield* TestClock.adjust("4 minutes")
          assert.isAtMost(statements, 245)
          assert.isAtLeast(statements, 200)
        })).pipe(Effect.provideService(Statement.CurrentTransformer, counting))
      }))
  })
})

describe("a disk that is full", () => {
  layer(places[0].layer)((it) => {
    it.effect("is waited for: the handler whose writes it has refused runs again, as the same attempt", () =>
      inShop(Effect.gen(function*() {
        const outbox = yield* ShopOutbox
        const sql = yield* SqlClient.SqlClient
        yield* sql`CREATE TABLE mails (body TEXT)`
        const attempts: Array<number> = []
        yield* outbox.on(
          "OrderPlaced",
          (_, { attempt }) => {
            attempts.push(attempt)
            return sql`INSERT INTO mails (body) VALUES (${"x".repeat(100_000)})`
          },
          { consumer: "mailer", transactional: true, maxAttempts: 2 }
        )
        const [pages] = yield* sql<{ page_count: number }>`PRAGMA page_count`
        // SQLite's own way to be full: a few more pages, and then the error that a full disk gives.
        yield* sql`PRAGMA max_page_count = ${sql.literal(String(pages!.page_count + 10))}`
        yield* outbox.publish(placed("1"))
        yield* TestClock.adjust("1 minute")
        // With growing pauses.
        assert.isAbove(attempts.length, 5)
        assert.isBelow(attempts.length, 30)
        yield* sql`PRAGMA max_page_count = 1000000`
        yield* TestClock.adjust("6 seconds")
        yield* outbox.awaitIdle
        assert.strictEqual((yield* sql`SELECT * FROM mails`).length, 1)
        assert.deepStrictEqual(new Set(attempts), new Set([1]))
      })))
  })
})
