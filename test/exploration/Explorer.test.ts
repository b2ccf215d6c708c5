import { assert, describe, it } from "@effect/vitest"
import { Explorer } from "@openwatch/event-bus-conformance"
import { Cause, Clock, Context, Deferred, Effect, Exit, Fiber, Logger, Random, Semaphore } from "effect"

/** Runs the fibers that the program forks, each until it waits or yields, and tells the order of their steps. */
const stepping = (
  fibers: Record<string, ReadonlyArray<"step" | "yield">>,
  seen: Set<string>
): Effect.Effect<void> =>
  Effect.gen(function*() {
    let order = ""
    const forked = Object.entries(fibers).map(([name, steps]) =>
      Effect.forkChild(Effect.forEach(steps, (step) =>
        step === "yield" ? Effect.yieldNow : Effect.sync(() => {
          order += name
        }), { discard: true }))
    )
    yield* Fiber.joinAll(yield* Effect.all(forked))
    seen.add(order)
  })

const failureOf = <A, E>(program: Effect.Effect<A, E>, options?: Explorer.Options) =>
  Effect.flip(Explorer.explore(program, options))

/** A counter that two fibers increment, each reading it first and writing it later. */
const lostUpdate = Effect.gen(function*() {
  let count = 0
  const increment = Effect.flatMap(Effect.sync(() => count), (before) =>
    Effect.sync(() => {
      count = before + 1
    }))
  yield* Fiber.joinAll([yield* Effect.forkChild(increment), yield* Effect.forkChild(increment)])
  if (count !== 2) yield* Effect.fail(`counted ${count}`)
})

/** A fiber that looks whether it must wait, and then waits, without noticing what happens in between. */
const lostWakeUp = Effect.gen(function*() {
  let isThere = false
  let wake: (() => void) | undefined
  const wait = Effect.callback<void>((resume) => {
    wake = () => resume(Effect.void)
  })
  const consumer = yield* Effect.forkChild(
    Effect.flatMap(Effect.sync(() => isThere), (isThere) => isThere ? Effect.void : wait)
  )
  const producer = yield* Effect.forkChild(Effect.sync(() => {
    isThere = true
    wake?.()
  }))
  yield* Fiber.joinAll([consumer, producer])
})

/** Two fibers that take two locks, in opposite order. */
const deadlock = Effect.gen(function*() {
  const [a, b] = [yield* Semaphore.make(1), yield* Semaphore.make(1)]
  const first = yield* Effect.forkChild(a.withPermit(b.withPermit(Effect.void)))
  const second = yield* Effect.forkChild(b.withPermit(a.withPermit(Effect.void)))
  yield* Fiber.joinAll([first, second])
})

describe("schedules", () => {
  it.effect("of a program of one fiber there is one", () =>
    Effect.gen(function*() {
      const explored = yield* Explorer.explore(Effect.andThen(Effect.yieldNow, Effect.sleep("1 hour")))
      assert.deepStrictEqual(explored, { schedules: 1, complete: [1, 0, 0], sampled: 0 })
    }))

  it.effect("of fibers that never give way are the orders in which they begin", () =>
    Effect.gen(function*() {
      const seen = new Set<string>()
      const program = stepping({ a: ["step", "step"], b: ["step"], c: ["step"], d: ["step"] }, seen)
      const { complete } = yield* Explorer.explore(program, { preemptions: 0 })
      assert.deepStrictEqual(complete, [24])
      assert.strictEqual(seen.size, 24)
    }))

  it.effect("of fibers that yield are all the ways to interleave what is between", () =>
    Effect.gen(function*() {
      const seen = new Set<string>()
      const steps = ["step", "yield", "step", "yield", "step"] as const
      const { complete } = yield* Explorer.explore(stepping({ a: steps, b: steps }, seen), { preemptions: 0 })
      // Six places, of which three are of a.
      assert.deepStrictEqual(complete, [20])
      assert.strictEqual(seen.size, 20)
    }))

  it.effect("with preemptions give way between any two steps, as often as there are preemptions", () =>
    Effect.gen(function*() {
      const orders = (preemptions: number) => {
        const seen = new Set<string>()
        const program = stepping({ a: ["step", "step", "step"], b: ["step", "step", "step"] }, seen)
        return Effect.as(Explorer.explore(program, { preemptions }), seen)
      }
      assert.sameMembers(Array.from(yield* orders(0)), ["aaabbb", "bbbaaa"])
      assert.sameMembers(Array.from(yield* orders(1)), ["aaabbb", "abbbaa", "aabbba", "bbbaaa", "baaabb", "bbaaab"])
      const twice = yield* orders(2)
      for (const order of ["abbaab", "aababb", "babbaa"]) assert.include(twice, order)
      assert.notInclude(twice, "ababab")
    }))

  it.effect("are counted, each once", () =>
    Effect.gen(function*() {
      let ended = 0
      const program = Effect.andThen(
        stepping({ a: ["step", "yield"], b: ["step", "step"] }, new Set()),
        Effect.sync(() => ended++)
      )
      const { complete, schedules } = yield* Explorer.explore(program)
      assert.strictEqual(ended, schedules)
      assert.strictEqual(complete.reduce((sum, count) => sum + count), schedules)
      assert.deepStrictEqual(complete[0], 3)
    }))

  it.effect("of which there are too many are drawn at random, by a seed", () =>
    Effect.gen(function*() {
      const orders = (seed: number) =>
        Effect.gen(function*() {
          const runs: Array<string> = []
          const steps = ["step", "yield", "step", "yield", "step"] as const
          const seen = new Set<string>()
          const program = Effect.andThen(
            stepping({ a: steps, b: steps, c: steps }, seen),
            Effect.sync(() => {
              runs.push(...seen)
              seen.clear()
            })
          )
          const explored = yield* Explorer.explore(program, { preemptions: 1, maxSchedules: 2_000, samples: 50, seed })
          // Nine places of which three are of a, and three of the others of b.
          assert.deepStrictEqual(explored.complete, [1_680])
          assert.isAtLeast(explored.sampled, 50)
          assert.strictEqual(explored.schedules, 1_680 + explored.sampled)
          return runs.slice(-50).join()
        })
      const first = yield* orders(1)
      assert.strictEqual(first, yield* orders(1))
      assert.notStrictEqual(first, yield* orders(2))
    }))
})

describe("faults", () => {
  it.effect("a lost update is found with one preemption, not without, and replayed", () =>
    Effect.gen(function*() {
      yield* Explorer.explore(lostUpdate, { preemptions: 0 })
      const failure = yield* failureOf(lostUpdate)
      assert.strictEqual(failure.reason, "Failed")
      assert.strictEqual(failure.cause && Cause.squash(failure.cause), "counted 1")
      const again = yield* Effect.flip(Explorer.replay(lostUpdate, failure.choices))
      assert.strictEqual(again.reason, "Failed")
      const text = JSON.stringify(failure.choices).replaceAll("\"", "").replaceAll(/([:,])/g, "$1 ")
      assert.include(failure.message, `Explorer.replay(program, ${text.replace("{", "{ ").replace("}", " }")})`)
    }))

  it.effect("a lost update is found at random, and replayed", () =>
    Effect.gen(function*() {
      const failure = yield* failureOf(lostUpdate, { maxSchedules: 3, samples: 1_000 })
      assert.strictEqual(failure.reason, "Failed")
      assert.isAbove(failure.schedules, 3)
      assert.strictEqual((yield* Effect.flip(Explorer.replay(lostUpdate, failure.choices))).reason, "Failed")
    }))

  it.effect("a lost wake-up is found", () =>
    Effect.gen(function*() {
      yield* Explorer.explore(lostWakeUp, { preemptions: 0 })
      const failure = yield* failureOf(lostWakeUp, { preemptions: 1 })
      assert.strictEqual(failure.reason, "Stuck")
      assert.strictEqual((yield* Effect.flip(Explorer.replay(lostWakeUp, failure.choices))).reason, "Stuck")
    }))

  it.effect("a deadlock is found", () =>
    Effect.gen(function*() {
      yield* Explorer.explore(deadlock, { preemptions: 0 })
      assert.strictEqual((yield* failureOf(deadlock, { preemptions: 1 })).reason, "Stuck")
    }))

  it.effect("a fiber resumed inside another's step may be preempted there", () =>
    Effect.gen(function*() {
      const seen = new Set<string>()
      yield* Explorer.explore(
        Effect.gen(function*() {
          let order = ""
          const step = (name: string) =>
            Effect.sync(() => {
              order += name
            })
          const gate = yield* Deferred.make<void>()
          const waiting = yield* Effect.forkChild(Effect.andThen(Deferred.await(gate), step("b")))
          yield* Effect.yieldNow
          yield* Deferred.succeed(gate, undefined)
          yield* step("a")
          yield* Fiber.join(waiting)
          seen.add(order)
        }),
        { preemptions: 1 }
      )
      assert.sameMembers(Array.from(seen), ["ba", "ab"])
    }))

  it.effect("what goes on for ever is endless, whether it yields, sleeps or does neither", () =>
    Effect.gen(function*() {
      const options = { preemptions: 0, maxSteps: 1_000 }
      for (const restless of [Effect.yieldNow, Effect.sleep("1 second"), Effect.void]) {
        const failure = yield* failureOf(Effect.forever(restless, { disableYield: true }), options)
        assert.strictEqual(failure.reason, "Endless")
        assert.include(failure.message, "did not end within 1000 steps")
      }
    }))

  it.effect("what waits for ever beside one that goes on for ever is endless", () =>
    Effect.gen(function*() {
      const program = Effect.andThen(Effect.forkChild(Effect.forever(Effect.sleep("1 second"))), Effect.never)
      assert.strictEqual((yield* failureOf(program, { maxSteps: 1_000 })).reason, "Endless")
    }))

  it.effect("an error thrown outside of any fiber is one", () =>
    Effect.gen(function*() {
      const program = Effect.gen(function*() {
        const fiber = yield* Effect.forkChild(Effect.void)
        fiber.addObserver(() => {
          throw new Error("a bad observer")
        })
        yield* Effect.sleep("1 second")
      })
      const failure = yield* failureOf(program)
      assert.strictEqual(failure.reason, "Threw")
      assert.include(failure.message, "a bad observer")
    }))

  it.effect("a program that does something else the next time is unrepeatable", () =>
    Effect.gen(function*() {
      let runs = 0
      const program = Effect.suspend(() =>
        runs++ === 0 ? stepping({ a: ["step"], b: ["step"] }, new Set()) : Effect.void
      )
      assert.strictEqual((yield* failureOf(program)).reason, "Unrepeatable")
    }))
})

describe("time", () => {
  const clockAfter = (sleep: Effect.Effect<void>) => Effect.andThen(sleep, Clock.currentTimeMillis)

  it.effect("begins at 0 and goes by when nothing else can happen", () =>
    Effect.gen(function*() {
      const program = Effect.gen(function*() {
        const sleeper = yield* Effect.forkChild(clockAfter(Effect.sleep("1 hour")))
        const worker = yield* Effect.forkChild(clockAfter(Effect.yieldNow))
        assert.deepStrictEqual([yield* Fiber.join(worker), yield* Fiber.join(sleeper)], [0, 3_600_000])
      })
      yield* Explorer.explore(program)
    }))

  it.effect("wakes those who sleep until the same moment in any order, and others in theirs", () =>
    Effect.gen(function*() {
      const seen = new Set<string>()
      yield* Explorer.explore(
        Effect.gen(function*() {
          let order = ""
          const sleeper = (name: string, millis: number) =>
            Effect.forkChild(Effect.andThen(
              Effect.sleep(millis),
              Effect.sync(() => {
                order += name
              })
            ))
          yield* Fiber.joinAll([yield* sleeper("a", 10), yield* sleeper("b", 10), yield* sleeper("c", 20)])
          seen.add(order)
        }),
        { preemptions: 0 }
      )
      assert.sameMembers(Array.from(seen), ["abc", "bac"])
    }))

  it.effect("ends for those who no longer sleep", () =>
    Effect.gen(function*() {
      const program = Effect.gen(function*() {
        const sleeper = yield* Effect.forkChild(Effect.sleep("1 hour"))
        yield* Effect.yieldNow
        yield* Fiber.interrupt(sleeper)
        yield* Effect.sleep("1 second")
        assert.strictEqual(yield* Clock.currentTimeMillis, 1_000)
      })
      yield* Explorer.explore(program)
    }))

  it.effect("goes by on a busy machine too, if that is asked for", () =>
    Effect.gen(function*() {
      const program = Effect.gen(function*() {
        const worker = yield* Effect.forkChild(Effect.andThen(Effect.yieldNow, Effect.yieldNow))
        yield* Effect.timeout(Fiber.join(worker), "1 second")
      })
      yield* Explorer.explore(program)
      yield* Explorer.explore(program, { time: "anytime", preemptions: 0 })
      const failure = yield* failureOf(program, { time: "anytime" })
      assert.isTrue(failure.cause !== undefined && Cause.isTimeoutError(Cause.squash(failure.cause)))
      const again = yield* Effect.flip(Explorer.replay(program, failure.choices, { time: "anytime" }))
      assert.strictEqual(again.reason, "Failed")
    }))
})

describe("an exploration", () => {
  class Greeting extends Context.Service<Greeting, string>()("Greeting") {}

  it.effect("has the services around it", () =>
    Effect.gen(function*() {
      const program = Effect.flatMap(Greeting, (greeting) => greeting === "hello" ? Effect.void : Effect.fail(greeting))
      yield* Effect.provideService(Explorer.explore(program), Greeting, "hello")
    }))

  it.effect("gives each run the same chances", () =>
    Effect.gen(function*() {
      const seen = new Set<number>()
      const chance = Effect.flatMap(Random.next, (n) => Effect.sync(() => seen.add(n)))
      yield* Explorer.explore(Effect.andThen(stepping({ a: ["step"], b: ["step"] }, new Set()), chance))
      assert.strictEqual(seen.size, 1)
    }))

  it.effect("drops logs, and a replay keeps them", () =>
    Effect.gen(function*() {
      const logged: Array<unknown> = []
      const logger = Logger.make(({ message }) => logged.push(message))
      const program = Effect.as(Effect.logInfo("hello"), 42)
      yield* Effect.provide(Explorer.explore(program), Logger.layer([logger]))
      assert.deepStrictEqual(logged, [])
      assert.strictEqual(yield* Effect.provide(Explorer.replay(program, {}), Logger.layer([logger])), 42)
      assert.deepStrictEqual(logged, [["hello"]])
    }))

  it.effect("leaves room for others, and can be interrupted", () =>
    Effect.gen(function*() {
      const steps = Array.from({ length: 12 }, (_, i) => i % 2 === 0 ? "step" : "yield")
      const exploring = yield* Effect.forkChild(
        Explorer.explore(stepping({ a: steps, b: steps, c: steps }, new Set()), { maxSchedules: 1_000_000 })
      )
      for (let i = 0; i < 3; i++) yield* Effect.yieldNow
      assert.isUndefined(exploring.pollUnsafe())
      yield* Fiber.interrupt(exploring)
    }))

  it.effect("refuses choices of another program", () =>
    Effect.gen(function*() {
      const program = stepping({ a: ["step"], b: ["step"] }, new Set())
      const messageOf = (choices: Explorer.Choices) =>
        Effect.map(Effect.flip(Explorer.replay(program, choices)), ({ message }) => message.split("\n")[0])
      const { choices } = yield* failureOf(Effect.andThen(program, Effect.fail("always")), { preemptions: 0 })
      assert.deepStrictEqual(choices, {})
      assert.strictEqual(
        yield* messageOf({ 999: 1 }),
        "Under schedule 1 the program did not follow its choices: it never came to choice 999."
      )
    }))

  it.effect("refuses options that make no sense", () =>
    Effect.gen(function*() {
      const messageOf = (options: Record<string, unknown>) =>
        Effect.map(Effect.exit(Explorer.explore(Effect.void, options)), (exit) =>
          Exit.isFailure(exit) ? String(Cause.squash(exit.cause)) : "")
      assert.strictEqual(
        yield* messageOf({ preemptions: -1 }),
        "RangeError: Explorer: preemptions must be an integer of 0 or more, but is -1"
      )
      assert.strictEqual(
        yield* messageOf({ maxSchedules: 1.5 }),
        "RangeError: Explorer: maxSchedules must be an integer of 1 or more, but is 1.5"
      )
      assert.strictEqual(
        yield* messageOf({ time: "never" }),
        "RangeError: Explorer: time must be \"idle\" or \"anytime\", but is \"never\""
      )
    }))
})
