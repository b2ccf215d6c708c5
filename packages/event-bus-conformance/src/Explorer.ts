/**
 * Runs a small program under every schedule of its fibers, instead of under one.
 *
 * The scheduler decides which of the ready fibers runs next, and where a running fiber gives way. A test sees one such
 * schedule, the same each time. `explore` takes the place of the scheduler and the clock. It runs the program again and
 * again, each time with another choice at one place, until no choice is left.
 *
 * **When to use**
 *
 * For what must hold whatever comes first: a subscriber that closes while its handler runs, two fibers that wait for
 * each other, a wake-up between looking and waiting. The program makes everything that it needs, does a few things in a
 * few fibers, and fails if something is wrong. A schedule in which it waits for ever is a failure too.
 *
 * **Details**
 *
 * First come the schedules in which a fiber gives way only where it waits or yields. Then come those in which one fiber
 * is preempted at one place, which may be before any of its steps. Then come those with two preemptions. Most faults
 * need no more. The first failure that is found is one with the fewest preemptions. If there are more than
 * `maxSchedules` with one number of preemptions, `samples` schedules are drawn at random instead, by `seed`.
 *
 * The explorer has a clock of its own. It begins at 0. When nothing is ready, it jumps to the next time that a fiber
 * sleeps until. With `time: "anytime"` it may also jump earlier, as time passes on a busy machine. That counts as a
 * preemption.
 *
 * Logs are dropped. `replay` keeps them.
 *
 * **Gotchas**
 *
 * The same choices must lead to the same run. So provide services with a state inside the program, and seed `Random`.
 * The explorer does not see promises, timers of the platform or I/O: a program that waits for one looks as if it waited
 * for ever. A loop that yields until another fiber has done something may never let it run, and exceeds `maxSteps`.
 * Wait with a `Deferred` or a `Latch` instead.
 *
 * Any fiber that is ready may be next, also among those that one fiber forked. Effect's default scheduler starts those
 * in turn. Priorities of tasks mean nothing here.
 *
 * **Example** (An increment that is lost)
 *
 * ```ts
 * import { Explorer } from "@openwatch/event-bus-conformance"
 * import { Effect, Fiber } from "effect"
 *
 * const program = Effect.gen(function*() {
 *   let count = 0
 *   const increment = Effect.gen(function*() {
 *     const before = yield* Effect.sync(() => count)
 *     yield* Effect.sync(() => {
 *       count = before + 1
 *     })
 *   })
 *   yield* Fiber.joinAll([yield* Effect.forkChild(increment), yield* Effect.forkChild(increment)])
 *   if (count !== 2) yield* Effect.fail(`counted ${count}`)
 * })
 *
 * const failure = await Effect.runPromise(Effect.flip(Explorer.explore(program)))
 * failure.reason // => "Failed"
 *
 * // The same schedule again, as often as it takes to understand it.
 * const again = await Effect.runPromise(Effect.flip(Explorer.replay(program, failure.choices)))
 * again.reason // => "Failed"
 * ```
 */
import { Cause, Data, Effect, Exit } from "effect"
import { type Outcome, run, type RunOptions } from "./internal/run.ts"
import { type Choices, runSchedules, runScripted } from "./internal/schedules.ts"

export type { Choices } from "./internal/schedules.ts"

/** How much to explore. */
export interface Options {
  /** How many preemptions a schedule may have. Default: 2. */
  readonly preemptions?: number | undefined
  /** The number of schedules, with one number of preemptions, up to which all are run. Default: 20,000. */
  readonly maxSchedules?: number | undefined
  /** How many are drawn at random if there are more. Default: 5,000. */
  readonly samples?: number | undefined
  /** The seed of the random draw. Default: 0. */
  readonly seed?: number | undefined
  /** How many tasks and operations one schedule may take. Default: 100,000. */
  readonly maxSteps?: number | undefined
  /**
   * When time passes. `"idle"`: only when nothing else can happen. `"anytime"`: also before something that could
   * happen, which counts as a preemption. Default: `"idle"`.
   */
  readonly time?: "idle" | "anytime" | undefined
}

/** What was explored without a failure. */
export interface Explored {
  /** How many schedules were run. */
  readonly schedules: number
  /**
   * How many schedules there are with no preemption, with one, and so on. A number of preemptions is listed only if all
   * of its schedules were run.
   */
  readonly complete: ReadonlyArray<number>
  /** How many others were drawn at random and run. */
  readonly sampled: number
}

/**
 * A schedule under which the program does not do what it should.
 *
 * - `"Failed"`: it failed, with `cause`.
 * - `"Stuck"`: it waits for ever. Nothing is left to run, and no timer is set.
 * - `"Endless"`: it took more than `maxSteps`.
 * - `"Threw"`: a task threw outside of any fiber, with the error in `cause`. It would have ended the process.
 * - `"Unrepeatable"`: the same choices led to another run, or the choices given to `replay` belong to another program.
 */
export class ExplorationFailure extends Data.TaggedError("ExplorationFailure")<{
  readonly reason: "Failed" | "Stuck" | "Endless" | "Threw" | "Unrepeatable"
  /** The schedule: `replay` runs it again. */
  readonly choices: Choices
  /** How many schedules were run, this one included. */
  readonly schedules: number
  /** With the reasons `"Failed"` and `"Threw"`. */
  readonly cause?: Cause.Cause<unknown> | undefined
  readonly message: string
}> {}

/**
 * Runs the program under every schedule within the bounds. Fails with the first schedule under which the program fails
 * or does not end.
 *
 * Other fibers run in between. It can be interrupted.
 */
export const explore = <A, E, R>(
  program: Effect.Effect<A, E, R>,
  options: Options = {}
): Effect.Effect<Explored, ExplorationFailure, R> =>
  Effect.gen(function*() {
    const settings = readOptions(options)
    const context = yield* Effect.context<R>()
    const schedules = runSchedules(settings, (chooser) => run(program, context, chooser, settings))
    let count = 0
    for (;;) {
      const next = schedules.next()
      if (next.done === true) return { ...next.value, schedules: count }
      const { choices, outcome } = next.value
      count++
      if (!hasSucceeded(outcome)) return yield* failureOf(outcome, choices, count, settings)
      if (count % schedulesAtOnce === 0) yield* Effect.yieldNow
    }
  })

/**
 * Runs the program once, under the schedule of a failure. Logs are kept.
 */
export const replay = <A, E, R>(
  program: Effect.Effect<A, E, R>,
  choices: Choices,
  options: Options = {}
): Effect.Effect<A, ExplorationFailure, R> =>
  Effect.gen(function*() {
    const settings = { ...readOptions(options), isSilent: false }
    const context = yield* Effect.context<R>()
    const { outcome } = runScripted(choices, (chooser) => run(program, context, chooser, settings))
    return hasSucceeded(outcome) ? outcome.exit.value : yield* failureOf(outcome, choices, 1, settings)
  })

/** How many schedules are run before other fibers are. */
const schedulesAtOnce = 100

const hasSucceeded = <A, E>(
  outcome: Outcome<A, E>
): outcome is { readonly _tag: "Ended"; readonly exit: Exit.Success<A, E> } =>
  outcome._tag === "Ended" && Exit.isSuccess(outcome.exit)

const failureOf = (
  outcome: Outcome<unknown, unknown>,
  choices: Choices,
  schedules: number,
  { maxSteps }: RunOptions
): ExplorationFailure => {
  const { cause, reason, what } = describe(outcome, maxSteps)
  const again = `Run it again: Explorer.replay(program, ${show(choices)})`
  const message = `Under schedule ${schedules} the program ${what}\n${again}`
  return new ExplorationFailure({ reason, choices, schedules, cause, message })
}

const describe = (outcome: Outcome<unknown, unknown>, maxSteps: number): {
  readonly reason: ExplorationFailure["reason"]
  readonly what: string
  readonly cause?: Cause.Cause<unknown>
} => {
  if (outcome._tag === "Stuck") {
    return { reason: "Stuck", what: "waits for ever: nothing is left to run, and no timer is set." }
  }
  if (outcome._tag === "Endless") return { reason: "Endless", what: `did not end within ${maxSteps} steps.` }
  if (outcome._tag === "Threw") {
    const cause = Cause.die(outcome.error)
    return {
      reason: "Threw",
      what: `threw outside of any fiber, which ends the process: ${Cause.pretty(cause)}`,
      cause
    }
  }
  if (outcome._tag === "Ended") {
    const cause = Exit.isFailure(outcome.exit) ? outcome.exit.cause : Cause.empty
    return { reason: "Failed", what: `failed: ${Cause.pretty(cause)}`, cause }
  }
  const why = outcome._tag === "Redundant" ? "nobody else could run where it was preempted" : outcome.message
  return { reason: "Unrepeatable", what: `did not follow its choices: ${why}.` }
}

const show = (choices: Choices): string => {
  const texts = Object.entries(choices).map(([place, taken]) => `${place}: ${taken}`)
  return texts.length === 0 ? "{}" : `{ ${texts.join(", ")} }`
}

const readOptions = (options: Options) => {
  const natural = (name: keyof Options, value: number, least: number): number => {
    if (Number.isSafeInteger(value) && value >= least) return value
    throw new RangeError(`Explorer: ${name} must be an integer of ${least} or more, but is ${value}`)
  }
  const { time = "idle" } = options
  if (time !== "idle" && time !== "anytime") {
    throw new RangeError(`Explorer: time must be "idle" or "anytime", but is ${JSON.stringify(time)}`)
  }
  return {
    preemptions: natural("preemptions", options.preemptions ?? 2, 0),
    maxSchedules: natural("maxSchedules", options.maxSchedules ?? 20_000, 1),
    samples: natural("samples", options.samples ?? 5_000, 0),
    seed: natural("seed", options.seed ?? 0, 0),
    maxSteps: natural("maxSteps", options.maxSteps ?? 100_000, 1),
    isTimeFree: time === "anytime",
    isSilent: true
  }
}
