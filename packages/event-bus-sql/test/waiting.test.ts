import { assert, describe, it } from "@effect/vitest"
import { Outage } from "@openwatch/event-bus-sql"
import { Cause, Effect, Exit, Fiber, Logger } from "effect"
import { type SqlClient, SqlError } from "effect/sql"
import { TestClock } from "effect/testing"

const error = (Reason: typeof SqlError.ConnectionError | typeof SqlError.DeadlockError, message: string) =>
  new SqlError.SqlError({ reason: new Reason({ cause: new Error(message) }) })

const refused = error(SqlError.ConnectionError, "connection refused")

/** Runs a test that gets the lines of the log, and knows of no outage before. */
const withLog = <A, E, R>(test: (lines: ReadonlyArray<string>) => Effect.Effect<A, E, R>) =>
  Effect.suspend(() => {
    const lines: Array<string> = []
    const logger = Logger.make(({ message }) => lines.push(String(message)))
    return test(lines).pipe(
      Effect.provide(Logger.layer([logger])),
      Effect.provideServiceEffect(Outage.CurrentOutages, Outage.none)
    )
  })

/** A database that is away until it is said to be there. */
const database = () => {
  const state = { failure: refused as SqlError.SqlError | undefined, attempts: 0 }
  const request = Effect.suspend(() => {
    state.attempts++
    return state.failure === undefined ? Effect.succeed("stored") : Effect.fail(state.failure)
  })
  return { state, request }
}

describe("waiting for a database", () => {
  it.effect("many wait until it is back, and one line tells that it is away", () =>
    withLog((lines) =>
      Effect.gen(function*() {
        const { request, state } = database()
        const waiting = yield* Effect.forkChild(
          Effect.all(Array.from({ length: 10 }, () => Outage.untilItPasses(request)), { concurrency: "unbounded" })
        )
        yield* TestClock.adjust("1 hour")
        assert.isUndefined(waiting.pollUnsafe())
        assert.isBelow(state.attempts, 10 * 3_600)
        state.failure = undefined
        yield* TestClock.adjust("5 seconds")
        assert.deepStrictEqual(yield* Fiber.join(waiting), Array.from({ length: 10 }, () => "stored"))
        assert.deepStrictEqual(lines, [
          "The database is away: ConnectionError: connection refused; what is to be stored waits for it"
        ])
      })
    ))

  it.effect("it is back when something works and nothing has failed for six seconds", () =>
    withLog((lines) =>
      Effect.gen(function*() {
        const read = Outage.noted(Effect.succeed("a full disk can be read"))
        yield* Effect.flip(Outage.noted(Effect.fail(refused)))
        yield* TestClock.adjust("5 seconds")
        yield* read
        yield* Effect.flip(Outage.noted(Effect.fail(refused)))
        yield* TestClock.adjust("5999 millis")
        yield* read
        assert.lengthOf(lines, 1)
        yield* TestClock.adjust("1 millis")
        yield* read
        yield* read
        assert.deepStrictEqual(lines.slice(1), ["The database works again"])
        yield* Effect.flip(Outage.noted(Effect.fail(refused)))
        assert.lengthOf(lines, 3)
      })
    ))

  it.effect("a failed ROLLBACK, which is a defect, is waited out as well", () =>
    withLog(() =>
      Effect.gen(function*() {
        const { request, state } = database()
        const waiting = yield* Effect.forkChild(Outage.untilItPasses(Effect.orDie(request)))
        yield* TestClock.adjust("1 minute")
        assert.isUndefined(waiting.pollUnsafe())
        state.failure = undefined
        yield* TestClock.adjust("5 seconds")
        assert.strictEqual(yield* Fiber.join(waiting), "stored")
      })
    ))

  it.effect("another transaction that is in the way is no outage", () =>
    withLog((lines) =>
      Effect.gen(function*() {
        const deadlock = error(SqlError.DeadlockError, "deadlock")
        let attempts = 0
        const request = Effect.suspend(() => ++attempts < 5 ? Effect.fail(deadlock) : Effect.succeed("stored"))
        assert.strictEqual(yield* Outage.untilItPasses(request), "stored")
        assert.deepStrictEqual(lines, [])
      })
    ))

  it.effect("what has failed for another reason fails at once", () =>
    withLog((lines) =>
      Effect.gen(function*() {
        assert.strictEqual(yield* Effect.flip(Outage.untilItPasses(Effect.fail("too long"))), "too long")
        assert.isTrue(Exit.hasDies(yield* Effect.exit(Outage.untilItPasses(Effect.die("a mistake")))))
        assert.deepStrictEqual(lines, [])
      })
    ))

  it.effect("who waits can be interrupted", () =>
    withLog(() =>
      Effect.gen(function*() {
        const { request, state } = database()
        const waiting = yield* Effect.forkChild(Outage.untilItPasses(request))
        yield* TestClock.adjust("1 minute")
        yield* Fiber.interrupt(waiting)
        const { attempts } = state
        yield* TestClock.adjust("1 minute")
        assert.strictEqual(state.attempts, attempts)
      })
    ))

  it.effect("a transaction whose end fails has failed, and other defects stay what they are", () =>
    Effect.gen(function*() {
      const ending = (defect: unknown) =>
        Outage.inTransaction({ withTransaction: () => Effect.die(defect) } as unknown as SqlClient.SqlClient)(
          Effect.void
        )
      assert.strictEqual(yield* Effect.flip(ending(refused)), refused)
      const exit = yield* Effect.exit(ending("a mistake"))
      assert.isTrue(Exit.isFailure(exit) && Cause.hasDies(exit.cause))
    }))
})
