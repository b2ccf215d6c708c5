/**
 * Waiting for a database that is away. One line of the log tells of it, and one of its end, however many wait.
 */
import { Cause, Clock, Effect, Random } from "effect"
import { collisionPause } from "./collisions.ts"
import { describe, isCollision } from "./outage.ts"

/** What is known of outages. */
export interface Outages {
  /** Whether the database is away. */
  isAway: boolean
  /** When something failed last, in milliseconds of a clock that cannot be set back. */
  failedAt: number
}

/** The longest pause between two attempts, in milliseconds. */
const longestPause = 5_000

/**
 * An outage is over when something works, and nothing has failed for so long, in milliseconds. While a disk is full, reading
 * works: whoever waits to write has failed again by then.
 */
const quiet = longestPause + 1_000

/** The time of a clock that cannot be set back, in milliseconds. */
export const monotonicMillis = Effect.map(Clock.monotonicTimeNanos, (nanos) => Number(nanos / 1_000_000n))

/** An attempt has failed. */
export const failed = (outages: Outages, cause: Cause.Cause<unknown>): Effect.Effect<void> =>
  Effect.flatMap(monotonicMillis, (now) => {
    outages.failedAt = now
    if (outages.isAway) return Effect.void
    outages.isAway = true
    return Effect.logWarning(`The database is away: ${describe(cause)}; what is to be stored waits for it`)
  })

/** An attempt was successful. */
export const worked = (outages: Outages): Effect.Effect<void> =>
  Effect.suspend(() =>
    !outages.isAway ? Effect.void : Effect.flatMap(monotonicMillis, (now) => {
      if (!outages.isAway || now - outages.failedAt < quiet) return Effect.void
      outages.isAway = false
      return Effect.logInfo("The database works again")
    })
  )

/** Runs an effect until it succeeds, or fails in a way that is not waited for. */
export const waitOut = <A, E, R>(
  outages: Outages,
  effect: Effect.Effect<A, E, R>,
  isWaitedFor: (cause: Cause.Cause<E>) => boolean
): Effect.Effect<A, E, R> => {
  const attempt = (failures: number): Effect.Effect<A, E, R> =>
    Effect.matchCauseEffect(effect, {
      onSuccess: (value) => outages.isAway ? Effect.as(worked(outages), value) : Effect.succeed(value),
      onFailure: (cause): Effect.Effect<A, E, R> => {
        if (Cause.hasInterruptsOnly(cause) || !isWaitedFor(cause)) return Effect.failCause(cause)
        const pause = isCollision(cause) ? collisionPause(failures) : Effect.andThen(
          failed(outages, cause),
          Effect.flatMap(Random.next, (random) =>
            Effect.sleep(Math.min(longestPause, 50 * 2 ** Math.min(failures, 10)) * (0.5 + random / 2)))
        )
        return Effect.andThen(pause, attempt(failures + 1))
      }
    })
  return attempt(0)
}
