import { Duration, Effect, Pull, Schedule } from "effect"

/** Doubling from a second to five minutes. */
export const defaultRetry: Schedule.Schedule<unknown> = Schedule.min([
  Schedule.exponential("1 second"),
  Schedule.spaced("5 minutes")
])

const replay = (schedule: Schedule.Schedule<unknown, number>, attempts: number): Effect.Effect<number> =>
  Effect.gen(function*() {
    const step = yield* Schedule.toStep(schedule)
    let elapsed = 0
    let pause = 0
    for (let attempt = 1; attempt <= attempts; attempt++) {
      const result = yield* Pull.catchDone(step(elapsed, attempt), () => Effect.undefined)
      if (result === undefined) break
      pause = Duration.toMillis(result[1])
      elapsed += pause
    }
    return Math.ceil(pause)
  })

/**
 * The pause before the next attempt, in milliseconds. Attempts may run in different processes, so the schedule is replayed
 * from its start up to the attempt that failed, with the number of the attempt as its input. One that has ended keeps its
 * last pause. In place of one that throws there is the default: without a pause the event would be tried without end.
 */
export const retryPause = (schedule: Schedule.Schedule<unknown, number>, attempts: number): Effect.Effect<number> =>
  Effect.catchDefect(
    replay(schedule, attempts),
    (defect) =>
      Effect.andThen(
        Effect.logError("The retry of a consumer has thrown; the default pause is taken", defect),
        replay(defaultRetry, attempts)
      )
  )
