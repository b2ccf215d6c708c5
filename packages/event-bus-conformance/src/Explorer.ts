/**
 * Runs a small program under every schedule of its fibers, instead of the one that happens to be.
 *
 * Fibers interleave: which of those that are ready runs next, and where one that runs gives way, is up to the scheduler. A
 * test sees one way of it, and it is the same one each time. `explore` makes itself the scheduler and the clock, and
 * runs the program again and again: each time with another choice at one place, until there is none left.
 *
 * **When to use**
 *
 * For what must hold whatever comes first: a subscriber that closes while its handler runs, two fibers that wait for each
 * other, a wake-up between looking and waiting. The program makes everything it needs, does a few things in a few fibers,
 * and fails when something is wrong. That it ends is looked after: a schedule in which it waits for ever is a failure.
 *
 * **Details**
 *
 * The schedules are, in this order: those in which a fiber gives way only where it waits or yields; those in which one
 * fiber is preempted at one place, which may be before any of its steps; those with two preemptions. Most faults need no
 * more, and the first that is found is one that needs the fewest. Where there are more than `maxSchedules` of a kind,
 * `samples` schedules are drawn at random instead, by `seed`.
 *
 * Time is the explorer's own. It begins at 0 and goes by when nothing is ready, to the next moment that somebody sleeps
 * until; those who wake then are ready tasks like others. With `time: "anytime"` it may also go by earlier, as it does on a
 * busy machine, which counts as a preemption.
 *
 * Logs are dropped. `replay` keeps them.
 *
 * **Gotchas**
 *
 * The program must do the same when its fibers do: services that have a state are provided inside of it, and `Random` is
 * seeded. Promises, timers of the platform and I/O are not the explorer's: a program that waits for one looks as if it
 * waited for ever. A loop that yields until somebody else has done something is not fair to him, and exceeds `maxSteps`:
 * wait with a `Deferred` or a `Latch`.
 *
 * All fibers that are ready may be next, in any order, also those that one fiber forked: Effect's default scheduler starts
 * them in turn. Priorities of tasks mean nothing here.
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

/** How far to go. */
export interface Options {
  /** How often fibers are preempted at most in one schedule. Default: 2. */
  readonly preemptions?: number | undefined
  /** Up to how many schedules with one number of preemptions are all run. Default: 20,000. */
  readonly maxSchedules?: number | undefined
  /** How many are drawn at random where there are more. Default: 5,000. */
  readonly samples?: number | undefined
  /** The seed of those. Default: 0. */
  readonly seed?: number | undefined
  /** How many tasks and operations one schedule may take. Default: 100,000. */
  readonly maxSteps?: number | undefined
  /**
   * When time goes by. `"idle"`, the default: when nothing else can happen. `"anytime"`: also before something that could
   * happen, for the price of a preemption.
   */
  readonly time?: "idle" | "anytime" | undefined
}

/** What was explored, without a failure. */
export interface Explored {
  /** How many schedules were run. */
  readonly schedules: number
  /** How many there are with no preemption, with one, and so on, as far as all of them were run. */
  readonly complete: ReadonlyArray<number>
  /** How many others were run, at random. */
  readonly sampled: number
}

/**
 * A schedule under which the program does not do what it should.
 *
 * - `"Failed"`: it failed, with `cause`.
 * - `"Stuck"`: it waits for ever. Nothing is left to run, and no timer is set.
 * - `"Endless"`: it took more than `maxSteps`.
 * - `"Threw"`: a task threw outside of any fiber, with the error in `cause`. It would have ended the process.
 * - `"Unrepeatable"`: it does not do the same when it is run again, or the choices given to `replay` are not of it.
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
 * Runs the program under every schedule within the bounds, and fails with the first under which it fails or does not end.
 *
 * Other fibers run in between, and it can be interrupted.
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
 * Runs the program once, under one schedule: the choices of a failure. Logs are kept.
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
