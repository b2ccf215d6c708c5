import { assert, describe, layer } from "@effect/vitest"
import { Outbox } from "@openwatch/event-bus-sql"
import {
  Cause,
  Context,
  Data,
  Duration,
  Effect,
  Exit,
  Fiber,
  Latch,
  Logger,
  Queue,
  Schedule,
  Scope,
  Stream
} from "effect"
import { SqlClient, SqlError } from "effect/sql"
import { TestClock } from "effect/testing"
import { inShop, type OrderPaid, type OrderPlaced, paid, placed, places, processes, ShopOutbox } from "./shop.ts"

class Declined extends Data.TaggedError("Declined")<{ readonly code: number }> {}

const quick = { pollInterval: "20 millis", lease: "200 millis" } as const
const atOnce = Schedule.spaced(0)

for (const place of places) {
  describe.skipIf(place.isSkipped)(`dead letters and what else is operated, on ${place.name}`, () => {
    layer(place.layer, { timeout: "60 seconds", excludeTestServices: place.isPostgres })((it) => {
      const passTime = place.isPostgres ? Effect.sleep(10) : TestClock.adjust("25 millis")
      const until = <E, R>(condition: Effect.Effect<boolean, E, R>) =>
        Effect.repeat(Effect.andThen(passTime, condition), { until: (holds) => holds })

      const letters = Effect.flatMap(ShopOutbox, (outbox) => Stream.runCollect(outbox.deadLetters()))

      /** A consumer that gives up what is bad until it is told that it is good, and the log of what it handled. */
      const judge = (options?: Partial<Outbox.ConsumerOptions<never>>) =>
        Effect.gen(function*() {
          const outbox = yield* ShopOutbox
          const state = { isGood: false, log: [] as Array<string> }
          yield* outbox.on(
            ["OrderPlaced", "OrderPaid"],
            (event, { attempt, isRequeued }) => {
              const isBad = event._tag === "OrderPlaced" && event.order === "bad"
              if (isBad && !state.isGood) return Outbox.giveUp(new Error("this order is bad"))
              state.log.push(`${event._tag} ${event.order}${isRequeued ? ` requeued, attempt ${attempt}` : ""}`)
              return Effect.void
            },
            { consumer: "ledger", retry: atOnce, ...options }
          )
          return state
        })

      const publishSome = Effect.gen(function*() {
        const outbox = yield* ShopOutbox
        yield* outbox.publish(placed("bad"), { id: "bad" })
        yield* outbox.publishAll([paid("bad", 1), placed("good")])
        yield* outbox.awaitIdle
      })

      for (
        const [what, failure, cause] of [
          ["a text", Effect.fail("no such address"), "no such address"],
          ["a text cut in the middle of an emoji", Effect.fail("no \ud83d"), "no \ufffd"],
          ["an error without a message", Effect.fail(new Declined({ code: 51 })), "Declined"],
          ["an object", Effect.fail({ code: 51 }), `{"code":51}`],
          ["a text that is given up", Outbox.giveUp("no such address"), "no such address"],
          ["an error that is given up without a message", Outbox.giveUp(new Declined({ code: 51 })), "Declined"]
        ] as const
      ) {
        it.effect(`a dead letter says what its handler failed with: ${what}`, () =>
          inShop(Effect.gen(function*() {
            const outbox = yield* ShopOutbox
            yield* outbox.on("OrderPlaced", () => failure, { consumer: "mailer", maxAttempts: 1 })
            yield* outbox.publish(placed("1"))
            yield* outbox.awaitIdle
            assert.deepStrictEqual((yield* letters).map((letter) => letter.cause), [cause])
          })))
      }

      it.effect("the log says at once why an event is given up, or is to be tried later", () => {
        const lines: Array<string> = []
        const logger = Logger.make(({ cause }) => lines.push(Cause.pretty(cause).split("\n")[0]!))
        return inShop(Effect.gen(function*() {
          const outbox = yield* ShopOutbox
          yield* outbox.on(
            "OrderPlaced",
            ({ order }) =>
              order === "later"
                ? Outbox.retryAfter("1 hour", new Error("busy"))
                : Outbox.giveUp(new Error("no such address")),
            { consumer: "mailer", order: "none" }
          )
          yield* outbox.publishAll([placed("later"), placed("never")])
          yield* outbox.awaitIdle
          assert.deepStrictEqual(lines.toSorted(), ["GiveUp: no such address", "RetryAfter: busy"])
        })).pipe(Effect.provide(Logger.layer([logger])))
      })

      for (const Reason of [SqlError.ConnectionError, SqlError.AuthenticationError]) {
        it.effect(`a transactional handler uses up no attempts while its database is away (${Reason.name})`, () =>
          inShop(Effect.gen(function*() {
            const outbox = yield* ShopOutbox
            const away = new SqlError.SqlError({ reason: new Reason({ cause: new Error("no") }) })
            const attempts: Array<number> = []
            yield* outbox.on(
              "OrderPlaced",
              (_, { attempt }) => attempts.push(attempt) < 4 ? Effect.fail(away) : Effect.void,
              { consumer: "ledger", transactional: true, maxAttempts: 2, retry: atOnce }
            )
            yield* outbox.publish(placed("1"))
            yield* until(Effect.sync(() => attempts.length === 4))
            yield* outbox.awaitIdle
            assert.deepStrictEqual(attempts, [1, 1, 1, 1])
            assert.deepStrictEqual(yield* letters, [])
          })))
      }

      it.effect("an event that is given up is a dead letter with its event, its cause and its attempts", () =>
        inShop(Effect.gen(function*() {
          yield* judge()
          yield* publishSome
          const [letter, ...others] = yield* letters
          assert.deepStrictEqual(others, [])
          assert.deepInclude(letter, {
            consumer: "ledger",
            kind: "OrderPlaced",
            id: "bad",
            event: placed("bad"),
            attempts: 1,
            cause: "this order is bad"
          })
        })))

      it.effect("dead letters are listed page by page, for one consumer or for all", () =>
        inShop(Effect.gen(function*() {
          const outbox = yield* ShopOutbox
          for (const consumer of ["a", "b"]) {
            yield* outbox.on("OrderPlaced", () => Outbox.giveUp("no"), { consumer })
          }
          yield* outbox.publishAll(Array.from({ length: 150 }, (_, i) => placed(String(i))))
          yield* outbox.awaitIdle
          const all = yield* letters
          assert.strictEqual(all.length, 300)
          assert.deepStrictEqual(
            all.map(({ consumer, event }) => `${consumer} ${event?.order}`),
            ["a", "b"].flatMap((consumer) => Array.from({ length: 150 }, (_, i) => `${consumer} ${i}`))
          )
          assert.strictEqual((yield* Stream.runCollect(outbox.deadLetters({ consumer: "b" }))).length, 150)
        })))

      for (const order of ["all", "key", "none"] as const) {
        it.effect(`an event that ends its process each time is given up after its attempts, too (order ${order})`, () =>
          Effect.gen(function*() {
            const { inProcess, prefix } = yield* processes
            // The time of a lease does not pass.
            const named = { lease: "1 hour", process: "shop" } as const
            const handled = yield* Queue.unbounded<string>()
            const serve = Effect.flatMap(
              ShopOutbox,
              (outbox) =>
                outbox.on("OrderPlaced", (event) => Queue.offer(handled, event.order), {
                  consumer: "mailer",
                  order,
                  maxAttempts: 2
                })
            )
            // What a process leaves that was killed in the second attempt.
            const killed = Effect.gen(function*() {
              yield* Effect.scoped(serve)
              yield* (yield* ShopOutbox).publishAll([placed("deadly"), placed("harmless")])
              const sql = yield* SqlClient.SqlClient
              const table = (name: string) => sql(`${prefix}${name}`)
              yield* sql`INSERT INTO ${table("processes")} (id, lease_until, beat) VALUES ('shop/1', ${
                sql.literal("9999999999999")
              }, 0)`
              yield* sql`INSERT INTO ${table("members")} (process, consumer) VALUES ('shop/1', 'mailer')`
              yield* sql`UPDATE ${table("positions")} SET owner = 'shop/1'`
              yield* sql`INSERT INTO ${table("parked")} (consumer, seq, part, key_hash, state, attempts, due_at)
                SELECT 'mailer', seq, slot % (SELECT count(*) FROM ${table("positions")}), key_hash, 'retrying', 2, 0
                FROM ${table("events")} ORDER BY seq LIMIT 1`
            })
            yield* inProcess(killed, named)
            yield* inProcess(
              Effect.gen(function*() {
                yield* serve
                yield* until(Effect.map(letters, ({ length }) => length > 0))
                assert.strictEqual(yield* Queue.take(handled), "harmless")
                const [letter] = yield* letters
                assert.deepInclude(letter, { event: placed("deadly"), attempts: 2 })
                assert.include(letter!.cause, "The process died, or lost its lease, while it handled the event")
              }),
              named
            )
          }))
      }

      for (const order of ["all", "key", "none"] as const) {
        it.effect(`a requeued event is handled out of its place, and says so (order ${order})`, () =>
          inShop(Effect.gen(function*() {
            const outbox = yield* ShopOutbox
            const state = yield* judge({ order })
            yield* publishSome
            assert.sameMembers(state.log, ["OrderPaid bad", "OrderPlaced good"])
            state.isGood = true
            assert.strictEqual(yield* outbox.requeue(yield* letters), 1)
            yield* outbox.awaitIdle
            assert.strictEqual(state.log[2], "OrderPlaced bad requeued, attempt 1")
            assert.deepStrictEqual(yield* letters, [])
          })))
      }

      it.effect("a requeued event that fails again is a dead letter again", () =>
        inShop(Effect.gen(function*() {
          const outbox = yield* ShopOutbox
          yield* judge()
          yield* publishSome
          yield* outbox.requeue(yield* letters)
          yield* outbox.awaitIdle
          assert.deepStrictEqual((yield* letters).map(({ id }) => id), ["bad"])
        })))

      it.effect("a discarded event is no dead letter any more", () =>
        inShop(Effect.gen(function*() {
          const outbox = yield* ShopOutbox
          const state = yield* judge()
          yield* publishSome
          assert.strictEqual(yield* outbox.discard(yield* letters), 1)
          assert.strictEqual(yield* outbox.requeue([{ consumer: "ledger", kind: "OrderPlaced", id: "bad" }]), 0)
          yield* outbox.awaitIdle
          assert.deepStrictEqual(yield* letters, [])
          assert.strictEqual(state.log.length, 2)
        })))

      for (
        const [order, isHeld] of [["all", ["OrderPaid bad", "OrderPlaced good"]], ["key", ["OrderPaid bad"]]] as const
      ) {
        for (const way of ["requeue", "discard"] as const) {
          for (const transactional of [false, true]) {
            it.effect(
              `with afterDeath hold what comes behind waits for ${way} (order ${order}, transactional ${transactional})`,
              () =>
                inShop(Effect.gen(function*() {
                  const outbox = yield* ShopOutbox
                  const state = yield* judge({ order, afterDeath: "hold", transactional })
                  yield* publishSome
                  const before = ["OrderPaid bad", "OrderPlaced good"].filter((entry) =>
                    !(isHeld as ReadonlyArray<string>).includes(entry)
                  )
                  assert.deepStrictEqual(state.log, before)
                  state.isGood = true
                  yield* outbox[way](yield* letters)
                  yield* outbox.awaitIdle
                  assert.deepStrictEqual(state.log, [
                    ...before,
                    ...(way === "requeue" ? ["OrderPlaced bad requeued, attempt 1"] : []),
                    ...isHeld
                  ])
                }))
            )
          }
        }
      }

      it.effect("what is held stays held over a restart", () =>
        Effect.gen(function*() {
          const { inProcess } = yield* processes
          yield* inProcess(Effect.andThen(judge({ order: "key", afterDeath: "hold" }), publishSome))
          yield* inProcess(Effect.gen(function*() {
            const outbox = yield* ShopOutbox
            const state = yield* judge({ order: "key", afterDeath: "hold" })
            yield* outbox.publish(paid("bad", 2))
            yield* outbox.awaitIdle
            assert.deepStrictEqual(state.log, [])
            yield* outbox.discard(yield* letters)
            yield* outbox.awaitIdle
            assert.deepStrictEqual(state.log, ["OrderPaid bad", "OrderPaid bad"])
          }))
        }))

      it.effect("a dead letter is requeued from another process than the one that serves", () =>
        Effect.gen(function*() {
          const { process } = yield* processes
          const serving = yield* process(quick)
          const other = yield* process(quick)
          const state = yield* Effect.provide(judge(), serving)
          yield* Effect.provide(publishSome, serving)
          state.isGood = true
          yield* Effect.provide(
            Effect.flatMap(ShopOutbox, (outbox) => Effect.flatMap(letters, outbox.requeue)),
            other
          )
          yield* until(Effect.sync(() => state.log.length >= 3))
        }))

      /** While it runs whoever reads dead letters goes on, and whoever writes them waits. It ends when the latch is open. */
      const lockLetters = Effect.fnUntraced(function*(prefix: string, sql: SqlClient.SqlClient) {
        const isHeld = yield* Latch.make()
        const mayEnd = yield* Latch.make()
        const holding = yield* Effect.forkChild(sql.withTransaction(Effect.andThen(
          sql`LOCK TABLE ${sql(`${prefix}parked`)} IN SHARE MODE`,
          Effect.andThen(isHeld.open, mayEnd.await)
        )))
        yield* isHeld.await
        yield* Effect.addFinalizer(() => mayEnd.open)
        return {
          /** Somebody waits to write. */
          isWanted: until(Effect.map(
            sql`SELECT 1 FROM pg_locks WHERE relation = ${`${prefix}parked`}::regclass AND NOT granted`,
            (rows) => rows.length > 0
          )),
          end: Effect.andThen(mayEnd.open, Fiber.join(holding))
        }
      })

      /** Who starts to serve looks what became of dead letters. */
      const look = Effect.flatMap(
        ShopOutbox,
        (outbox) => Effect.scoped(outbox.on("OrderPaid", () => Effect.void, { consumer: "other", from: "now" }))
      )

      it.effect.skipIf(!place.isPostgres)(
        "with afterDeath hold what comes behind waits also while the dead letter is being written",
        () =>
          Effect.gen(function*() {
            const { prefix, process } = yield* processes
            const services = yield* process()
            const outbox = Context.get(services, ShopOutbox)
            const state = yield* Effect.provide(judge({ order: "key", afterDeath: "hold" }), services)
            const lock = yield* lockLetters(prefix, Context.get(yield* process(), SqlClient.SqlClient))
            yield* outbox.publishAll([placed("bad"), paid("bad", 1), placed("good")])
            yield* lock.isWanted
            yield* Effect.provide(look, services)
            yield* lock.end
            yield* outbox.awaitIdle
            assert.deepStrictEqual(state.log, ["OrderPlaced good"])
          })
      )

      it.effect.skipIf(!place.isPostgres)(
        "what was requeued and is given up again is not tried once more while that is being written",
        () =>
          Effect.gen(function*() {
            const { prefix, process } = yield* processes
            const services = yield* process()
            const outbox = Context.get(services, ShopOutbox)
            const begun = yield* Queue.unbounded<number>()
            const mayFail = yield* Latch.make()
            yield* outbox.on("OrderPlaced", (_, { attempt, isRequeued }) =>
              Effect.andThen(
                Queue.offer(begun, attempt),
                Effect.andThen(isRequeued ? mayFail.await : Effect.void, Outbox.giveUp("no"))
              ), { consumer: "ledger" })
            yield* outbox.publish(placed("1"))
            yield* outbox.awaitIdle
            yield* outbox.requeue(yield* Effect.provide(letters, services))
            yield* Queue.takeN(begun, 2)
            const lock = yield* lockLetters(prefix, Context.get(yield* process(), SqlClient.SqlClient))
            yield* mayFail.open
            yield* lock.isWanted
            yield* Effect.provide(look, services)
            yield* lock.end
            yield* outbox.awaitIdle
            assert.deepStrictEqual(yield* Queue.clear(begun), [])
          })
      )

      it.effect("consumers tells the lag, what is tried again, held and dead, and who serves", () =>
        inShop(Effect.gen(function*() {
          const outbox = yield* ShopOutbox
          yield* judge({ order: "key", afterDeath: "hold" })
          yield* Effect.scoped(outbox.on("OrderPlaced", () => Effect.void, { consumer: "away" }))
          yield* outbox.on("OrderPaid", () => Outbox.retryAfter("1 hour", "busy"), { consumer: "busy" })
          yield* publishSome
          const [away, busy, ledger] = yield* outbox.consumers
          assert.deepInclude(away, { name: "away", kinds: ["OrderPlaced"], order: "all", partitions: 1, owners: {} })
          assert.strictEqual(away!.lag.events, 2)
          assert.isDefined(away!.lag.oldest)
          assert.deepInclude(busy, { retrying: 1, held: 0, dead: 0 })
          assert.deepInclude(ledger, { name: "ledger", order: "key", partitions: 16, retrying: 0, held: 1, dead: 1 })
          assert.deepStrictEqual(ledger!.lag, { events: 0, oldest: undefined, age: Duration.zero })
          assert.deepStrictEqual(Object.values(ledger!.owners), [16])
        })))

      it.effect("a consumer that is served is not removed, and one that is not is forgotten", () =>
        inShop(Effect.gen(function*() {
          const outbox = yield* ShopOutbox
          const scope = yield* Scope.make()
          yield* Scope.provide(judge(), scope)
          yield* publishSome
          assert.strictEqual((yield* Effect.flip(outbox.removeConsumer("ledger"))).reason, "consumer")
          yield* Scope.close(scope, Exit.void)
          yield* outbox.removeConsumer("ledger")
          assert.deepStrictEqual(yield* outbox.consumers, [])
          assert.deepStrictEqual(yield* letters, [])
        })))

      it.effect("a consumer under a new name goes on where the old one stopped, and the old name is refused", () =>
        Effect.gen(function*() {
          const { process } = yield* processes
          const handled = yield* Queue.unbounded<string>()
          const handler = ({ order }: OrderPlaced) => Queue.offer(handled, order)
          const services = yield* process(quick)
          const outbox = Context.get(services, ShopOutbox)
          yield* Effect.scoped(outbox.on("OrderPlaced", handler, { consumer: "old" }))
          yield* outbox.publish(placed("meanwhile"))
          yield* outbox.on("OrderPlaced", handler, { consumer: "new", replaces: "old" })
          assert.strictEqual(yield* Queue.take(handled), "meanwhile")
          const error = yield* Effect.flip(outbox.on("OrderPlaced", handler, { consumer: "old" }))
          assert.include(error.message, `consumer "old" cannot be served: it was replaced by "new"`)
        }))

      it.effect("a name that is still served is not replaced", () =>
        inShop(Effect.gen(function*() {
          const outbox = yield* ShopOutbox
          yield* outbox.on("OrderPlaced", () => Effect.void, { consumer: "old" })
          const error = yield* Effect.flip(
            outbox.on("OrderPlaced", () => Effect.void, { consumer: "new", replaces: "old" })
          )
          assert.include(error.message, "old, which it replaces, is still served by another process")
        })))

      it.effect("a kind that is retired is passed over", () =>
        inShop(Effect.gen(function*() {
          const outbox = yield* ShopOutbox
          const handled = yield* Queue.unbounded<OrderPlaced | OrderPaid>()
          const handler = (event: OrderPlaced | OrderPaid) => Queue.offer(handled, event)
          yield* Effect.scoped(outbox.on(["OrderPlaced", "OrderPaid"], handler, { consumer: "ledger" }))
          yield* outbox.publishAll([paid("1", 1), placed("1")])
          yield* outbox.on("OrderPlaced", handler, { consumer: "ledger", retires: ["OrderPaid"] })
          yield* outbox.awaitIdle
          assert.deepStrictEqual(yield* Queue.takeN(handled, 1), [placed("1")])
        })))

      it.effect("bad options of a consumer are defects", () =>
        inShop(Effect.gen(function*() {
          const outbox = yield* ShopOutbox
          for (
            const [options, message] of [
              [{ order: "none", afterDeath: "hold" }, `afterDeath "hold" needs order "all" or "key"`],
              [{ retires: ["OrderPlaced"] }, `retires names "OrderPlaced", which it handles`],
              [{ replaces: "a" }, "replaces must be the name that it had before"]
            ] as const
          ) {
            const exit = yield* Effect.exit(outbox.on("OrderPlaced", () => Effect.void, { consumer: "a", ...options }))
            assert.include(String((exit as Exit.Failure<never, unknown>).cause), message)
          }
        })))
    })
  })
}

describe("retention", () => {
  layer(places[0].layer)((it) => {
    /** The orders that the log has. */
    const kept = Effect.gen(function*() {
      const outbox = yield* ShopOutbox
      const sql = yield* SqlClient.SqlClient
      const rows = yield* sql<{ payload: string }>`SELECT payload FROM ${
        sql(`${outbox.tablePrefix}events`)
      } ORDER BY seq`
      return rows.map(({ payload }) => (JSON.parse(payload) as { readonly order: string }).order)
    })

    it.effect("what all consumers have handled is deleted after its time, and the dead stay", () =>
      inShop(
        Effect.gen(function*() {
          const outbox = yield* ShopOutbox
          yield* outbox.on(
            "OrderPlaced",
            ({ order }) => order === "bad" ? Outbox.giveUp("no") : Effect.void,
            { consumer: "mailer" }
          )
          yield* outbox.publishAll([placed("bad"), placed("old")])
          yield* outbox.awaitIdle
          yield* TestClock.adjust("50 minutes")
          yield* outbox.publish(placed("new"))
          yield* outbox.awaitIdle
          yield* TestClock.adjust("16 minutes")
          assert.deepStrictEqual(yield* kept, ["bad", "new"])
        }),
        { retention: "1 hour", pollInterval: "1 minute", lease: "10 minutes" }
      ))

    it.effect("with an infinite retention everything stays", () =>
      inShop(
        Effect.gen(function*() {
          yield* (yield* ShopOutbox).publish(placed("1"))
          yield* TestClock.adjust("5 hours")
          assert.deepStrictEqual(yield* kept, ["1"])
        }),
        { retention: Duration.infinity, pollInterval: "1 minute", lease: "10 minutes" }
      ))
  })
})
