import { assert, it } from "@effect/vitest"
import { Effect, Logger, Schedule } from "effect"
import { retryPause } from "../src/internal/retryPause.ts"

it.effect("a schedule is replayed up to the attempt that failed, and keeps its last pause once it has ended", () =>
  Effect.gen(function*() {
    const schedule = Schedule.exponential("1 second").pipe(Schedule.upTo({ times: 2 }))
    const pauses = yield* Effect.forEach([1, 2, 3], (attempt) => retryPause(schedule, attempt))
    assert.deepStrictEqual(pauses, [1_000, 2_000, 2_000])
  }))

it.effect("in place of a schedule that throws there are the default pauses, and the log says so", () => {
  const lines: Array<string> = []
  const logger = Logger.make(({ message }) => lines.push(String(message)))
  return Effect.gen(function*() {
    const schedule = Schedule.spaced("1 second").pipe(Schedule.map(() => {
      throw new Error("a fault of the schedule")
    }))
    assert.strictEqual(yield* retryPause(schedule, 3), 4_000)
    assert.deepStrictEqual(lines, [
      "The retry of a consumer has thrown; the default pause is taken,Error: a fault of the schedule"
    ])
  }).pipe(Effect.provide(Logger.layer([logger])))
})
