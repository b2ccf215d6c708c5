/**
 * As much of `@effect/vitest` as the tests need: they run one after the other, until the first one fails. A process
 * with it is up in half a second, where a test runner takes several; a mutant needs one each.
 */
import * as chai from "chai"
import { Arbitrary, Effect, Exit, Layer, Scope } from "effect"
import { TestClock, TestConsole } from "effect/testing"

type Body = (context: { readonly signal: AbortSignal }) => unknown

const tests: Array<{ readonly name: string; readonly body: Body }> = []

const real = { setTimeout: globalThis.setTimeout, clearTimeout: globalThis.clearTimeout }

const noContext = { signal: new AbortController().signal }

const add = (name: string, ...given: ReadonlyArray<unknown>): void => {
  tests.push({ name, body: bodyOf(given) })
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

type Test = Effect.Effect<unknown, unknown, Scope.Scope>

type Provide = (test: Effect.Effect<unknown, unknown>) => Effect.Effect<unknown, unknown>

/** The body is the function among what is given; the rest is options. */
const bodyOf = (given: ReadonlyArray<unknown>): any => given.find((part) => typeof part === "function")

const skipIf = <Given extends ReadonlyArray<unknown>>(test: (...given: Given) => void) => (isSkipped: boolean) =>
  isSkipped ? () => {} : test

/** A property is tried with the same values each time, so that a mutant is noticed always or never. */
const property = (arbitraries: ReadonlyArray<any>, body: (values: ReadonlyArray<unknown>) => unknown): Test =>
  Effect.flatMap(
    Arbitrary.checkEffect(
      Arbitrary.all(arbitraries.map((given) => Arbitrary.isArbitrary(given) ? given : Arbitrary.schema(given))),
      (values) =>
        Effect.catchCause(
          Effect.suspend(() => {
            const checked = body(values)
            return Effect.as(Effect.isEffect(checked) ? checked as Test : Effect.void, true)
          }),
          Effect.fail
        ),
      { seed: 1 }
    ),
    (result) => {
      const failure = Arbitrary.formatCheckFailure(result)
      return failure === undefined ? Effect.void : Effect.die(new Error(failure))
    }
  )

const effectTests = (provide: Provide) => {
  const addEffect = (name: string, body: () => Test): void =>
    add(name, () => Effect.runPromise(provide(Effect.scoped(Effect.suspend(body)))))
  const test = (name: string, ...given: ReadonlyArray<unknown>): void => addEffect(name, bodyOf(given))
  return Object.assign(test, {
    each: (cases: ReadonlyArray<unknown>) => (name: string, body: (value: unknown) => Test) =>
      cases.forEach((value) => addEffect(name, () => body(value))),
    skipIf: skipIf(test),
    prop: (name: string, ...[arbitraries, body]: Parameters<typeof property>) =>
      addEffect(name, () => property(arbitraries, body))
  })
}

const testServices = Layer.mergeAll(TestClock.layer(), TestConsole.layer) as Layer.Layer<never>

/** The tests of its body share what the layer makes. It is closed after the last of them. */
export const layer =
  (services: Layer.Layer<any, unknown>, options: { readonly excludeTestServices?: boolean } = {}) =>
  (...given: ReadonlyArray<unknown>): void => {
    const all = options.excludeTestServices === true ? services : Layer.provideMerge(services, testServices)
    const scope = Scope.makeUnsafe()
    const context = Effect.runSync(Effect.cached(Layer.buildWithScope(all, scope)))
    const tests = effectTests((test) => Effect.flatMap(context, (context) => Effect.provideContext(test, context)))
    const inner = (services: Layer.Layer<any, unknown, any>) =>
      layer(Layer.provideMerge(services, all), { excludeTestServices: true })
    bodyOf(given)(Object.assign(add.bind(undefined), { effect: tests, live: tests, layer: inner }))
    add("closing the layer", () => Effect.runPromise(Scope.close(scope, Exit.void)))
  }

export const { assert } = chai

const live = effectTests((test) => test)

export const it = Object.assign(add, {
  effect: effectTests(Effect.provide(testServices)),
  live,
  layer,
  each: (cases: ReadonlyArray<unknown>) => (name: string, body: (value: unknown) => unknown) =>
    cases.forEach((value) => add(name, () => body(value))),
  prop: live.prop
})

const group = (...given: ReadonlyArray<unknown>): void => bodyOf(given)()

export const describe = Object.assign(group, {
  each: (cases: ReadonlyArray<unknown>) => (_: string, body: (value: unknown) => void) =>
    cases.forEach((value) => body(value)),
  skipIf: skipIf(group)
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
