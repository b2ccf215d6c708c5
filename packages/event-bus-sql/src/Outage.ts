/**
 * Outages of a database: it is stopped, restarted or out of reach, or its disk is full.
 *
 * An outbox waits them out by itself. These are for everything else that an application stores: `untilItPasses` waits
 * out an outage, `noted` only reports it, and `inTransaction` is a transaction whose failure both understand. All of them
 * tell of one outage together, with the outboxes of the process: in one line of the log, and one for its end.
 *
 * **Gotchas**
 *
 * Every failure of the database counts as an outage, also one of a statement that is wrong. What never succeeds is tried for
 * ever, so the log says why.
 *
 * If a connection is lost during a COMMIT, it is not known whether the transaction was committed. So an effect that is run
 * again has to be one that may run twice: publish with an `id`, and insert with `ON CONFLICT DO NOTHING`.
 *
 * @module
 */
import { Cause, Context, Effect } from "effect"
import type * as SqlClient from "effect/sql/SqlClient"
import * as SqlError from "effect/sql/SqlError"
import { isOfDatabase } from "./internal/outage.ts"
import { failed, type Outages, waitOut, worked } from "./internal/outages.ts"

export type { Outages }

/**
 * What is known before the first outage.
 */
export const none: Effect.Effect<Outages> = Effect.sync(() => ({ isAway: false, failedAt: 0 }))

/**
 * What this process knows of the outages of its database. A second database needs its own: provide `none` to what uses it, its
 * outboxes included.
 */
export const CurrentOutages = Context.Reference<Outages>("@openwatch/event-bus-sql/Outages", {
  defaultValue: () => Effect.runSync(none)
})

/**
 * Reports an outage if the effect fails because of one, and its end if it succeeds.
 */
export const noted = <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
  Effect.flatMap(CurrentOutages, (outages) =>
    effect.pipe(
      Effect.tap(() => worked(outages)),
      Effect.tapCause((cause) => isOfDatabase(cause) ? failed(outages, cause) : Effect.void)
    ))

/**
 * Runs an effect until it does not fail because of the database: at once if another transaction was in the way, else with
 * growing pauses up to 5 seconds.
 */
export const untilItPasses = <A, E, R>(
  effect: Effect.Effect<A, E, R>
): Effect.Effect<A, Exclude<E, SqlError.SqlError>, R> =>
  Effect.flatMap(
    CurrentOutages,
    (outages) => waitOut(outages, effect, isOfDatabase) as Effect.Effect<A, Exclude<E, SqlError.SqlError>, R>
  )

/**
 * Runs an effect in a transaction. If its COMMIT or ROLLBACK fails, as when the connection is lost, that is a failure. With
 * `withTransaction` it is a defect.
 */
export const inTransaction =
  (sql: SqlClient.SqlClient) => <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, E | SqlError.SqlError, R> =>
    Effect.catchCause(sql.withTransaction(effect), (cause): Effect.Effect<never, E | SqlError.SqlError> => {
      const failure = cause.reasons.find((reason) => Cause.isDieReason(reason) && SqlError.isSqlError(reason.defect))
      return failure === undefined || Cause.hasInterrupts(cause)
        ? Effect.failCause(cause)
        : Effect.fail((failure as Cause.Die).defect as SqlError.SqlError)
    })
