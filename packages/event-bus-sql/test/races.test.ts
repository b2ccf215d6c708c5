/**
 * Two steps of the protocol that overlap: one is held at a statement, or in its COMMIT, until the other has been taken.
 */
import { assert, describe, layer } from "@effect/vitest"
import { Context, Effect, Exit, Fiber, Latch, Logger, Scope } from "effect"
import { SqlClient, Statement } from "effect/sql"
import { TestClock } from "effect/testing"
import { keyHash, slotOf } from "../src/internal/keyHash.ts"
import { paid, placed, places, processes, ShopOutbox } from "./shop.ts"

const quick = { pollInterval: "20 millis", lease: "5 seconds" } as const

/** Looks only when it is told to. */
const slow = { pollInterval: "1 hour", lease: "3 hours" } as const

/** Holds the statements whose text matches, of whoever is given its transformer, from the time it is shut. */
const makeGate = (text: RegExp) =>
  Effect.gen(function*() {
    const passage = yield* Latch.make(true)
    const isReached = yield* Latch.make()
    const transformer: Statement.Transformer = (statement) =>
      text.test(statement.compile()[0])
        ? Effect.as(
          Effect.andThen(Effect.suspend(() => passage.isOpen() ? Effect.void : isReached.open), passage.await),
          statement
        )
        : Effect.succeed(statement)
    return {
      through: Effect.provideService(Statement.CurrentTransformer, transformer),
      shut: passage.close,
      open: passage.open,
      isReached: isReached.await
    }
  })

/** PostgreSQL: holds the COMMIT of whoever writes to a table, until it is released. */
const holdCommits = (table: string) =>
  Effect.gen(function*() {
    const sql = yield* SqlClient.SqlClient
    const mayEnd = yield* Latch.make()
    const isHeld = yield* Latch.make()
    yield* sql.unsafe(`CREATE FUNCTION hold_${table}() RETURNS trigger LANGUAGE plpgsql AS
      $$ BEGIN PERFORM pg_advisory_xact_lock(1); RETURN NULL; END $$`)
    yield* sql.unsafe(`CREATE CONSTRAINT TRIGGER hold AFTER INSERT OR UPDATE ON ${table}
      DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION hold_${table}()`)
    const holding = yield* Effect.forkScoped(
      sql.withTransaction(Effect.gen(function*() {
        yield* sql`SELECT pg_advisory_xact_lock(1)`
        yield* isHeld.open
        yield* mayEnd.await
      })),
      { startImmediately: true }
    )
    yield* isHeld.await
    return { release: Effect.andThen(mayEnd.open, Fiber.join(holding)) }
  })

for (const place of places) {
  describe.skipIf(place.isSkipped)(`steps that overlap, on ${place.name}`, () => {
    layer(place.layer, { timeout: "60 seconds", excludeTestServices: place.isPostgres })((it) => {
      const passTime = place.isPostgres ? Effect.sleep(10) : TestClock.adjust("25 millis")

      /** Waits until what is found is what is expected, and fails if it does not come to that. */
      const until = <E, R>(found: Effect.Effect<string, E, R>, expected: string) =>
        Effect.gen(function*() {
          let last = ""
          for (let i = 0; i < 1_000; i++) {
            last = yield* found
            if (last === expected) return
            yield* passTime
          }
          assert.strictEqual(last, expected)
        })

      /** How many partitions each process owns, that owns any. */
      const shares = Effect.gen(function*() {
        const outbox = yield* ShopOutbox
        const sql = yield* SqlClient.SqlClient
        const rows = yield* sql<{ count: number | string }>`SELECT COUNT(*) AS count FROM ${
          sql(`${outbox.tablePrefix}positions`)
        } WHERE owner IS NOT NULL GROUP BY owner ORDER BY 1`
        return rows.map(({ count }) => Number(count)).join()
      })

      const serve = (log: Array<string>, order: "all" | "key" = "key") =>
        Effect.flatMap(
          ShopOutbox,
          (outbox) =>
            outbox.on("OrderPlaced", (event) => Effect.sync(() => log.push(event.order)), { consumer: "ledger", order })
        )

      const numbers = Array.from({ length: 100 }, (_, i) => String(i))

      /** PostgreSQL: whether somebody waits for a lock with such a statement. */
      const isWaiting = (statement: string) =>
        Effect.flatMap(SqlClient.SqlClient, (sql) =>
          Effect.map(
            sql`SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE ${statement}`,
            ({ length }) => String(length > 0)
          ))

      /** What another process does once the lease of all has ended. */
      const bury = Effect.gen(function*() {
        const { tablePrefix } = yield* ShopOutbox
        const sql = yield* SqlClient.SqlClient
        yield* sql.withTransaction(Effect.gen(function*() {
          yield* sql`UPDATE ${sql(`${tablePrefix}state`)} SET generation = generation + 1`
          yield* sql`UPDATE ${sql(`${tablePrefix}positions`)} SET owner = NULL, epoch = epoch + 1`
          yield* sql`DELETE FROM ${sql(`${tablePrefix}members`)}`
          yield* sql`DELETE FROM ${sql(`${tablePrefix}processes`)}`
        }))
      })

      it.effect.skipIf(!place.isPostgres)(
        "a partition that is being handed over while its process looks at who owns what is handled by the other only",
        () =>
          Effect.gen(function*() {
            const { prefix, process } = yield* processes
            const [a, b, test] = [yield* process(slow), yield* process(slow), yield* process(slow)]
            const outbox = Context.get(a, ShopOutbox)
            const sql = Context.get(test, SqlClient.SqlClient)
            const another = Context.get(b, SqlClient.SqlClient)
            const sharesAre = (expected: string) => until(Effect.provide(shares, test), expected)
            const positions = sql<{ part: number; owner: string; pos: string }>`SELECT part, owner, pos
              FROM ${sql(`${prefix}positions`)}`
            const begun = yield* Latch.make()
            const mayEnd = yield* Latch.make()
            const handled: Array<string> = []
            const serveBoth = Effect.flatMap(ShopOutbox, (outbox) =>
              outbox.on(["OrderPlaced", "OrderPaid"], ({ _tag, order }) =>
                _tag === "OrderPlaced"
                  ? Effect.andThen(begun.open, mayEnd.await)
                  : Effect.sync(() =>
                    handled.push(order)
                  ), { consumer: "ledger", order: "key" }))
            yield* Effect.provide(serveBoth, a)
            const former = (yield* positions)[0]!.owner
            // What it keeps the first time it has had for longest the second time, and gives up.
            const kept = yield* Effect.scoped(Effect.gen(function*() {
              yield* Effect.provide(serveBoth, b)
              yield* sharesAre("8,8")
              return (yield* positions).filter(({ owner }) => owner === former).map(({ part }) => part)
            }))
            yield* sharesAre("16")
            const first = numbers.find((order) => slotOf(keyHash(order)) % 16 === kept[0])!
            const position = Effect.map(positions, (rows) => rows.find(({ part }) => part === kept[0])!)
            yield* outbox.publish(placed(first))
            yield* begun.await
            yield* Effect.provide(serveBoth, b)
            yield* sharesAre("7,9")

            yield* sql.withTransaction(Effect.gen(function*() {
              yield* sql`SELECT 1 FROM ${sql(`${prefix}state`)} FOR UPDATE`
              yield* another`SELECT pg_notify(${`${prefix}commits`}, 'test changed')`
              // Both are about to look at who owns what. In a transaction the activity would be the same each time.
              yield* until(
                Effect.map(
                  another`SELECT 1 FROM pg_stat_activity
                    WHERE wait_event_type = 'Lock' AND query LIKE ${`%${prefix}state%`}`,
                  (rows) => String(rows.length >= 2)
                ),
                "true"
              )
              yield* mayEnd.open
              yield* until(Effect.map(position, ({ pos }) => String(Number(pos) > 0)), "true")
            }))
            yield* until(Effect.map(position, ({ owner }) => String(owner !== null && owner !== former)), "true")
            // By the one that knew of another when it joined, and so tells it.
            yield* Context.get(b, ShopOutbox).publishAll(numbers.map((order) => paid(order, 1)))
            yield* until(Effect.sync(() => String(new Set(handled).size)), "100")
            yield* outbox.awaitIdle
            yield* Context.get(b, ShopOutbox).awaitIdle
            assert.sameMembers(handled, numbers)
          })
      )

      it.effect("a consumer that is served by a process whose lease has ended meanwhile has all of its partitions served", () =>
        Effect.gen(function*() {
          const { inProcess } = yield* processes
          yield* inProcess(
            Effect.gen(function*() {
              yield* bury
              yield* serve([])
              yield* until(shares, "16")
            }),
            // It serves before it finds out.
            { pollInterval: "1 second", lease: "5 seconds" }
          )
        }))

      it.effect.skipIf(!place.isPostgres)(
        "a consumer that is being registered while its process gets a new lease is signed off when it ends",
        () =>
          Effect.gen(function*() {
            const { prefix, process } = yield* processes
            const renewing = yield* makeGate(/lease_until > .* RETURNING/s)
            const registering = yield* makeGate(/FROM .*consumers"?\s+WHERE name = /)
            const a = yield* renewing.through(process(quick))
            yield* renewing.shut
            yield* Effect.andThen(passTime, renewing.isReached)
            yield* Effect.provide(bury, a)
            const b = yield* process(quick)
            yield* registering.shut
            const scope = yield* Scope.make()
            const serving = yield* Effect.forkChild(
              registering.through(Scope.provide(Effect.provide(serve([]), a), scope))
            )
            yield* registering.isReached
            yield* renewing.open
            yield* until(Effect.provide(isWaiting(`UPDATE%${prefix}state%`), b), "true")
            yield* registering.open
            yield* Fiber.join(serving)
            yield* Effect.provide(serve([]), b)
            yield* until(Effect.provide(shares, b), "8,8")
            yield* Scope.close(scope, Exit.void)
            yield* until(Effect.provide(shares, b), "16")
          })
      )

      it.effect.skipIf(!place.isPostgres)(
        "a consumer whose start is interrupted in the middle of its COMMIT leaves its partitions to others",
        () =>
          Effect.gen(function*() {
            const { prefix, process } = yield* processes
            const a = yield* process(slow)
            const b = yield* process(quick)
            const commits = yield* Effect.provide(holdCommits(`${prefix}members`), b)
            const serving = yield* Effect.forkChild(Effect.provide(serve([]), a))
            yield* until(Effect.provide(isWaiting("COMMIT"), b), "true")
            const interrupting = yield* Effect.forkChild(Fiber.interrupt(serving), { startImmediately: true })
            yield* commits.release
            yield* Fiber.join(interrupting)
            yield* Effect.provide(serve([]), b)
            yield* until(Effect.provide(shares, b), "16")
          })
      )

      it.effect.skipIf(place.isPostgres)(
        "a consumer that could not be signed off in time is signed off once the database works again",
        () =>
          Effect.gen(function*() {
            const { prefix, process } = yield* processes
            const seldom = { pollInterval: "1 second", lease: "5 seconds" } as const
            const a = yield* process(seldom)
            const b = yield* process(seldom)
            const scope = yield* Scope.make()
            yield* Scope.provide(Effect.provide(serve([]), a), scope)
            yield* Effect.provide(serve([]), b)
            yield* until(Effect.provide(shares, b), "8,8")
            const sql = Context.get(b, SqlClient.SqlClient)
            yield* sql`ALTER TABLE ${sql(`${prefix}members`)} RENAME TO ${sql(`${prefix}away`)}`
            const closing = yield* Effect.forkChild(Scope.close(scope, Exit.void))
            yield* TestClock.adjust("10 seconds")
            yield* Fiber.join(closing)
            yield* sql`ALTER TABLE ${sql(`${prefix}away`)} RENAME TO ${sql(`${prefix}members`)}`
            yield* until(Effect.provide(shares, b), "16")
          })
      )

      it.effect("a consumer whose start is interrupted while it takes partitions can be served again", () =>
        Effect.gen(function*() {
          const { process } = yield* processes
          const counting = yield* makeGate(/GROUP BY consumer/)
          const services = yield* counting.through(process(slow))
          const [first, second]: [Array<string>, Array<string>] = [[], []]
          yield* counting.shut
          const serving = yield* Effect.forkChild(counting.through(Effect.provide(serve(first), services)))
          yield* counting.isReached
          yield* Fiber.interrupt(serving)
          yield* counting.open
          const outbox = Context.get(services, ShopOutbox)
          // The process looks at who owns what.
          yield* outbox.requeue([])
          yield* outbox.awaitIdle
          yield* Effect.provide(serve(second), services)
          yield* outbox.publish(placed("1"))
          yield* outbox.awaitIdle
          assert.deepStrictEqual([first, second], [[], ["1"]])
        }))

      it.effect("a consumer is closed with its outbox while it is being closed with its scope: both end", () =>
        Effect.gen(function*() {
          const { process } = yield* processes
          const [outboxScope, scope] = [yield* Scope.make(), yield* Scope.make()]
          const services = yield* Scope.provide(process(slow), outboxScope)
          const begun = yield* Latch.make()
          const mayEnd = yield* Latch.make()
          const outbox = Context.get(services, ShopOutbox)
          yield* Scope.provide(
            outbox.on("OrderPlaced", () => Effect.andThen(begun.open, mayEnd.await), {
              consumer: "mailer",
              drain: "1 hour"
            }),
            scope
          )
          yield* outbox.publish(placed("1"))
          yield* begun.await
          const closing = [
            yield* Effect.forkChild(Scope.close(scope, Exit.void), { startImmediately: true }),
            yield* Effect.forkChild(Scope.close(outboxScope, Exit.void), { startImmediately: true })
          ]
          yield* mayEnd.open
          for (const fiber of closing) yield* Fiber.join(fiber)
        }))

      it.effect.skipIf(!place.isPostgres)(
        "what a process takes whose lease is lost meanwhile is not handled before it is taken again",
        () =>
          Effect.gen(function*() {
            const { prefix, process } = yield* processes
            const a = yield* process(quick)
            const b = yield* process(slow)
            const sql = Context.get(b, SqlClient.SqlClient)
            const log: Array<string> = []
            yield* Effect.scoped(Effect.provide(serve([]), a))
            yield* Context.get(b, ShopOutbox).publish(placed("1"))
            const commits = yield* Effect.provide(holdCommits(`${prefix}positions`), b)
            const serving = yield* Effect.forkChild(Effect.provide(serve(log), a))
            yield* until(Effect.provide(isWaiting("COMMIT"), b), "true")
            yield* sql`UPDATE ${sql(`${prefix}processes`)} SET lease_until = 1`
            yield* until(Effect.provide(isWaiting(`UPDATE%${prefix}state%`), b), "true")
            yield* commits.release
            yield* Fiber.join(serving)
            yield* until(Effect.sync(() => String(log.length > 0)), "true")
            yield* Context.get(a, ShopOutbox).awaitIdle
            assert.deepStrictEqual(log, ["1"])
          })
      )

      it.effect("a process that had no lease while its consumer got more partitions handles the events of all of them", () =>
        Effect.gen(function*() {
          const { process } = yield* processes
          const renewing = yield* makeGate(/lease_until > .* RETURNING|beat = beat \+ 1/s)
          const a = yield* renewing.through(process(quick))
          const log: Array<string> = []
          yield* Effect.provide(serve(log), a)
          yield* renewing.shut
          yield* Effect.andThen(passTime, renewing.isReached)
          yield* Effect.provide(bury, a)
          const b = yield* process({ ...quick, partitions: 32 })
          yield* Effect.scoped(Effect.provide(serve([]), b))
          yield* renewing.open
          yield* until(Effect.provide(shares, b), "32")
          const outbox = Context.get(a, ShopOutbox)
          yield* outbox.publishAll(numbers.map(placed))
          yield* outbox.awaitIdle
          assert.sameMembers(log, numbers)
        }))

      it.effect("a process that had no lease while its consumer got another order leaves its events to others", () =>
        Effect.gen(function*() {
          const { process } = yield* processes
          const renewing = yield* makeGate(/lease_until > .* RETURNING|beat = beat \+ 1/s)
          const a = yield* renewing.through(process(quick))
          const [first, second]: [Array<string>, Array<string>] = [[], []]
          yield* Effect.provide(serve(first), a)
          yield* renewing.shut
          yield* Effect.andThen(passTime, renewing.isReached)
          yield* Effect.provide(bury, a)
          const b = yield* process(quick)
          yield* Effect.scoped(Effect.provide(serve([], "all"), b))
          yield* renewing.open
          yield* passTime
          yield* Context.get(a, ShopOutbox).publishAll(numbers.map(placed))
          yield* Effect.andThen(passTime, Context.get(a, ShopOutbox).awaitIdle)
          yield* Effect.provide(serve(second, "all"), b)
          yield* until(Effect.sync(() => String(second.length)), "100")
          assert.deepStrictEqual([first, second], [[], numbers])
        }))

      it.effect("a consumer that is removed while its process has no lease is not served any more, and the log says so", () => {
        const lines: Array<string> = []
        const logger = Logger.make(({ message }) => lines.push(String(message)))
        return Effect.gen(function*() {
          const { process } = yield* processes
          const renewing = yield* makeGate(/lease_until > .* RETURNING|beat = beat \+ 1/s)
          const a = yield* renewing.through(process(quick))
          yield* Effect.provide(serve([]), a)
          yield* renewing.shut
          yield* Effect.andThen(passTime, renewing.isReached)
          yield* Effect.provide(bury, a)
          const b = yield* process(quick)
          yield* Context.get(b, ShopOutbox).removeConsumer("ledger")
          yield* renewing.open
          yield* until(
            Effect.sync(() => lines.join()),
            `The consumer "ledger" is not served here any more: while this process had no lease, it was removed`
          )
          yield* Effect.provide(serve([]), b)
          yield* until(Effect.provide(shares, b), "16")
        }).pipe(Effect.provide(Logger.layer([logger])))
      })

      it.effect.skipIf(!place.isPostgres)(
        "a consumer whose order is changed while its process gets a new lease is served in the new order",
        () =>
          Effect.gen(function*() {
            const { prefix, process } = yield* processes
            const renewing = yield* makeGate(/lease_until > .* RETURNING/s)
            const registering = yield* makeGate(/idle_in_transaction/)
            const a = yield* renewing.through(process(quick))
            yield* Effect.scoped(Effect.provide(serve([]), a))
            yield* renewing.shut
            yield* Effect.andThen(passTime, renewing.isReached)
            yield* Effect.provide(bury, a)
            const b = yield* process(quick)
            yield* registering.shut
            const serving = yield* Effect.forkChild(registering.through(Effect.provide(serve([], "all"), a)))
            yield* registering.isReached
            yield* renewing.open
            const sql = Context.get(b, SqlClient.SqlClient)
            yield* until(Effect.map(sql`SELECT * FROM ${sql(`${prefix}members`)}`, ({ length }) => String(length)), "1")
            yield* registering.open
            yield* Fiber.join(serving)
            yield* until(Effect.provide(shares, b), "1")
          })
      )
    })
  })
}
