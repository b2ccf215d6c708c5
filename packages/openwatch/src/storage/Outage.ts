/**
 * An outage: the database is stopped, restarted or out of reach, or its disk is full. What is to be stored waits, and
 * is tried again with growing pauses. Many may wait at once. One line of the log tells of the outage, and one of its
 * end.
 */
import type { Outbox } from "@openwatch/event-bus-sql"
import { Cause, Clock, Context, Duration, Effect, Exit, Option, Random } from "effect"
import type * as SqlClient from "effect/sql/SqlClient"
import * as SqlError from "effect/sql/SqlError"
import { describeSqlError } from "./describeSqlError.ts"

/** What is known of outages. */
export interface Outages {
  isAway: boolean
  /** In milliseconds of a clock that cannot be set back. */
  failedAt: number
  /** How many failures there were. */
  count: number
  /** How many wait to store something. */
  waiting: number
  /** Whether somebody is looking whether the outage is over. */
  isEnding: boolean
}

/** What is known before the first outage. */
export const none: Effect.Effect<Outages> = Effect.sync(() => ({
  isAway: false,
  failedAt: 0,
  count: 0,
  waiting: 0,
  isEnding: false
}))

/** What this process knows of outages. It has one database, so all of its parts share this. */
export const CurrentOutages = Context.Reference<Outages>("@openwatch/openwatch/storage/Outages", {
  defaultValue: () => Effect.runSync(none)
})

/**
 * An outage is over when nobody waits any more and nothing has failed for so long. Lost connections are noticed one
 * after the other, and while a disk is full, reading still works.
 */
const endsAfter = Duration.seconds(6)

const firstPause = 100
const longestPause = 10_000

const millis = Effect.map(Clock.monotonicTimeNanos, (nanos) => Number(nanos) / 1e6)

const failed = Effect.fnUntraced(function*(problem: string) {
  const outages = yield* CurrentOutages
  outages.failedAt = yield* millis
  if (outages.isAway) return
  outages.isAway = true
  outages.count++
  yield* Effect.logWarning(`The database is away: ${problem}; what is to be stored waits for it`)
})

const worked = Effect.fnUntraced(function*() {
  const outages = yield* CurrentOutages
  if (!outages.isAway || outages.isEnding) return
  outages.isEnding = true
  const look = Effect.gen(function*() {
    yield* Effect.sleep(endsAfter)
    while (outages.waiting > 0 || (yield* millis) - outages.failedAt < Duration.toMillis(endsAfter)) {
      yield* Effect.sleep(endsAfter)
    }
    outages.isAway = false
    yield* Effect.logInfo("The database works again")
  })
  yield* Effect.forkDetach(Effect.ensuring(
    look,
    Effect.sync(() => {
      outages.isEnding = false
    })
  ))
})

/** Receives the failures of the outboxes. So all that fails in one outage has the same two lines of the log. */
export const listener: Effect.Effect<Outbox.OutageListener> = Effect.map(CurrentOutages, (outages) => {
  const here = Effect.provideService(CurrentOutages, outages)
  return { failed: (problem) => here(failed(problem)), worked: here(worked()) }
})

/**
 * Finds the failure of a ROLLBACK or COMMIT, of which `withTransaction` makes a defect, with or without the failure
 * that came before it.
 */
const databaseDefect = (cause: Cause.Cause<unknown>): SqlError.SqlError | undefined => {
  if (Cause.hasInterrupts(cause)) return undefined
  for (const reason of cause.reasons) {
    if (Cause.isDieReason(reason) && SqlError.isSqlError(reason.defect)) return reason.defect
  }
  return undefined
}

/** Returns what is wrong, if it is an outage. */
const problemIn = <E>(cause: Cause.Cause<E>, problemOf: (error: E) => string | undefined): string | undefined => {
  const defect = databaseDefect(cause)
  if (defect !== undefined) return describeSqlError(defect)
  return Cause.hasDies(cause) || Cause.hasInterrupts(cause)
    ? undefined
    : Option.getOrUndefined(Option.map(Cause.findErrorOption(cause), problemOf))
}

/**
 * Reports an outage if the effect fails with one. `problemOf` returns what is wrong, or `undefined` if it is no outage.
 */
export const noted = <A, E, R>(
  effect: Effect.Effect<A, E, R>,
  problemOf: (error: E) => string | undefined
): Effect.Effect<A, E, R> =>
  effect.pipe(
    Effect.tap(worked),
    Effect.tapCause((cause) => {
      const problem = problemIn(cause, problemOf)
      return problem === undefined ? Effect.void : failed(problem)
    })
  )

/**
 * Runs an effect again and again, for ever, with a pause after each run. If it fails, the next run does what is left. A
 * defect is logged.
 */
export const repeatedly = <A, E, R>(
  effect: Effect.Effect<A, E, R>,
  pause: Duration.Input
): Effect.Effect<never, never, R> =>
  effect.pipe(
    Effect.ignore,
    Effect.ignoreCause({ log: "Error" }),
    Effect.andThen(Effect.sleep(pause)),
    Effect.forever
  )

/** Runs an effect until it does not fail because of an outage. */
export const untilItPasses = <A, E, R>(
  effect: Effect.Effect<A, E, R>,
  problemOf: (error: E) => string | undefined
): Effect.Effect<A, E, R> =>
  Effect.catchCause(
    noted(effect, problemOf),
    (cause) =>
      problemIn(cause, problemOf) === undefined
        ? Effect.failCause(cause)
        : Effect.flatMap(CurrentOutages, (outages) =>
          Effect.acquireUseRelease(
            Effect.sync(() => outages.waiting++),
            () => again(effect, problemOf),
            () => Effect.sync(() => outages.waiting--)
          ))
  )

const again = Effect.fnUntraced(function*<A, E, R>(
  effect: Effect.Effect<A, E, R>,
  problemOf: (error: E) => string | undefined
) {
  for (let failures = 0;; failures++) {
    const factor = yield* Random.nextBetween(0.8, 1.2)
    yield* Effect.sleep(Math.round(Math.min(firstPause * 2 ** Math.min(failures, 20), longestPause) * factor))
    const exit = yield* Effect.exit(noted(effect, problemOf))
    if (Exit.isSuccess(exit) || problemIn(exit.cause, problemOf) === undefined) return yield* exit
  }
})

/**
 * Runs an effect in a transaction. If its COMMIT or ROLLBACK fails, as when the connection is lost, that is a failure
 * here. (`withTransaction` makes a defect of it.) It is then not known whether the transaction was committed. So the
 * effect has to be one that may run twice.
 */
export const inTransaction =
  (sql: SqlClient.SqlClient) => <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, E | SqlError.SqlError, R> =>
    Effect.catchCause(sql.withTransaction(effect), (cause) => {
      const defect = databaseDefect(cause)
      return defect === undefined ? Effect.failCause(cause) : Effect.fail(defect)
    })
