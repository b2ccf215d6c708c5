/**
 * Measures many things side by side: each is run for a short time, round after round, so that a drift of the machine
 * meets all of them alike, and the median of the rounds counts.
 */
import { Bench } from "tinybench"
import type { Effort } from "./measurements.ts"

export interface Task {
  readonly name: string
  /** What is measured. */
  readonly run: () => unknown
  /** The result of `run` is a promise that belongs to the measurement. */
  readonly isAsync?: boolean
  /** How many of the things whose cost is wanted one `run` does. */
  readonly operations: number
  /** Runs after each `run`, and is not measured. */
  readonly settle?: () => void | Promise<void>
}

/**
 * The nanoseconds that one operation of each task takes: the mean of the operations of one run, of the runs of a round the
 * median, and of the rounds the median. So another process that takes the processor away for a while does not count.
 */
export const measure = async (tasks: ReadonlyArray<Task>, effort: Effort): Promise<Array<number>> => {
  const medians = tasks.map((): Array<number> => [])
  const paces: Array<Pace> = []
  for (const task of tasks) paces.push(await warmUp(task, effort))
  for (let round = 0; round < effort.rounds; round++) {
    for (let i = 0; i < tasks.length; i++) {
      // Each round begins elsewhere: who runs after whom must not decide.
      const at = (i + round) % tasks.length
      const { every, iterations } = paces[at]!
      if (round % every === 0) medians[at]!.push(await medianNanos(tasks[at]!, iterations))
    }
  }
  return medians.map(median)
}

/** How a task is run: in every so many rounds, so many times. */
interface Pace {
  readonly every: number
  readonly iterations: number
}

/** What takes longer than a round may is run in some of the rounds, but in so many at least. */
const fewestRounds = 3

const warmUp = async (task: Task, { rounds, taskMillis, warmUpMillis }: Effort): Promise<Pace> => {
  const start = performance.now()
  let runs = 0
  do {
    await task.run()
    await task.settle?.()
    runs++
  } while (performance.now() - start < warmUpMillis)
  const runMillis = (performance.now() - start) / runs
  return {
    iterations: Math.ceil(taskMillis / runMillis),
    every: Math.min(Math.ceil(runMillis / taskMillis), Math.floor(rounds / fewestRounds))
  }
}

const medianNanos = async (task: Task, iterations: number): Promise<number> => {
  // `settle` may cost a thousand times what is measured: a number of iterations bounds it, a time would not.
  const bench = new Bench({ iterations, time: 0, warmup: false, throws: true })
  bench.add(task.name, task.run, { async: task.isAsync ?? false, afterEach: () => task.settle?.() })
  await bench.run()
  const result = bench.tasks[0]!.result
  if (result.state !== "completed") throw new Error(`${task.name}: the measurement is ${result.state}`)
  return result.latency.p50 * 1e6 / task.operations
}

export const median = (values: ReadonlyArray<number>): number => {
  const sorted = values.toSorted((a, b) => a - b)
  const middle = sorted.length >> 1
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2
}
