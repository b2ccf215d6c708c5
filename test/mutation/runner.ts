/**
 * As much of `@effect/vitest` as the tests of the bus need: they run one after the other, until the first one fails. A process
 * with it is up in half a second, where a test runner takes several; a mutant needs one each.
 */
import * as chai from "chai"
import { Effect, Layer, type Scope } from "effect"
import { TestClock, TestConsole } from "effect/testing"

type Body = (context: { readonly signal: AbortSignal }) => unknown

const tests: Array<{ readonly name: string; readonly body: Body }> = []

const real = { setTimeout: globalThis.setTimeout, clearTimeout: globalThis.clearTimeout }

const noContext = { signal: new AbortController().signal }

/** The body is the function among what is given; the rest is options. */
const add = (name: string, ...given: ReadonlyArray<unknown>): void => {
  tests.push({ name, body: given.find((part) => typeof part === "function") as Body })
}

/** Milliseconds of processor time that this process has used. */
const processorTime = (): number => {
  const { system, user } = process.cpuUsage()
  return (system + user) / 1_000
}

/**
 * Runs what was collected since it was last called. Returns the name of the first that fails, or that takes more than so many
 * milliseconds of processor time, which is the same on a busy machine, or ten times as many of any time. A test that waits for what
 * can never come ends the process: its time limit keeps no process from ending.
 */
export const runAll = async (atMost: number): Promise<string | undefined> => {
  for (const { body, name } of tests.splice(0)) {
    let timer: NodeJS.Timeout | undefined
    const tooLong = new Promise<never>((_, reject) => {
      const used = processorTime()
      const begin = performance.now()
      timer = setInterval(() => {
        if (processorTime() - used < atMost && performance.now() - begin < 10 * atMost) return
        reject(new Error("It takes too long"))
      }, 100).unref()
    })
    try {
      await Promise.race([body(noContext), tooLong])
    } catch (error) {
      return `${name}: ${String(error).slice(0, 200)}`
    } finally {
      clearInterval(timer)
    }
  }
  return undefined
}

const effectTest = (layer: Layer.Layer<never>) => (name: string, ...given: ReadonlyArray<unknown>) => {
  const body = given.find((part) => typeof part === "function") as () => Effect.Effect<unknown, unknown, Scope.Scope>
  add(name, () => Effect.runPromise(Effect.scoped(Effect.suspend(body)).pipe(Effect.provide(layer))))
}

export const { assert } = chai

export const it = Object.assign(add, {
  effect: effectTest(Layer.mergeAll(TestClock.layer(), TestConsole.layer) as Layer.Layer<never>),
  live: effectTest(Layer.empty)
})

export const describe = Object.assign((_: string, body: () => void) => body(), {
  each: (cases: ReadonlyArray<unknown>) => (_: string, body: (value: unknown) => void) =>
    cases.forEach((value) => body(value))
})

/** How many copies of the bus there are: each `import` of it after this gets a new one. */
export const copies = { count: 0 }

interface Timer {
  readonly task: () => void
  readonly at: number
}

let now = 0
let timers = new Set<Timer>()

export const vi = {
  resetModules: () => {
    copies.count++
  },
  useFakeTimers: () => {
    now = 0
    timers = new Set()
    Object.assign(globalThis, {
      setTimeout: (task: () => void, millis: number) => {
        const timer = { task, at: now + millis }
        timers.add(timer)
        return timer
      },
      clearTimeout: (timer: Timer) => timers.delete(timer)
    })
  },
  useRealTimers: () => {
    Object.assign(globalThis, real)
  },
  advanceTimersByTime: (millis: number) => {
    now += millis
    for (const timer of timers) {
      if (timer.at <= now && timers.delete(timer)) timer.task()
    }
  }
}
