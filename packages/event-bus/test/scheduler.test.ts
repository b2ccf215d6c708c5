import { assert, it } from "@effect/vitest"
import { makeSchedule } from "../src/internal/scheduler.ts"

it("a task that throws takes nothing from those after it, nor from those that they schedule", () => {
  const turns: Array<() => void> = []
  const schedule = makeSchedule({ scheduleTask: (task) => void turns.push(task), flush: () => {} })
  const log: Array<string> = []
  const logging = (what: string) => (): void => void log.push(what)
  schedule(() => {
    schedule(logging("scheduled meanwhile"))
    throw new Error("first")
  })
  schedule(logging("second"))
  schedule(() => {
    throw new Error("third")
  })
  schedule(logging("fourth"))
  assert.strictEqual(turns.length, 1)
  for (const turn of turns) {
    try {
      turn()
    } catch (error) {
      log.push(`thrown: ${(error as Error).message}`)
    }
  }
  assert.deepStrictEqual(log, ["thrown: first", "second", "thrown: third", "fourth", "scheduled meanwhile"])
})
