/**
 * One run of a program under one schedule: a scheduler and a clock that ask, wherever something else could happen next, what
 * does.
 */
import { Clock, Context, Duration, Effect, type Exit, type Fiber, Logger, Random, Scheduler } from "effect"
import { seeded } from "./seeded.ts"

/** Who says what happens next. Places are numbered in the order in which a run comes to them. */
export interface Chooser {
  /**
   * Which of the ready tasks runs next, from 0, the oldest. `free` is their number; `all` is one more where time may go by
   * instead, which is what the last number says.
   */
  readonly next: (place: number, free: number, all: number) => number
  /** Whether the fiber that runs gives way here. `isAlone`: no task is ready that could run instead. */
  readonly preempts: (place: number, isAlone: boolean) => boolean
  /** Another fiber runs inside the same task: those who ran before it in this task were not alone. */
  readonly fiberChanged: () => void
  readonly taskEnded: () => void
}

/** What came of a run. */
export type Outcome<A, E> =
  | { readonly _tag: "Ended"; readonly exit: Exit.Exit<A, E> }
  /** Nothing is left to run, and no timer is set. */
  | { readonly _tag: "Stuck" }
  /** It took more steps than it may. */
  | { readonly _tag: "Endless" }
  /** A task threw: outside of this run that ends the process. */
  | { readonly _tag: "Threw"; readonly error: unknown }
  /** The fiber that was preempted was alone after all: nothing ran before it went on. */
  | { readonly _tag: "Redundant" }
  /** The choices are not those of this program. */
  | { readonly _tag: "Unrepeatable"; readonly message: string }

export interface RunOptions {
  /** Tasks and operations of fibers that a run may take. */
  readonly maxSteps: number
  /** Whether time may go by while tasks are ready. */
  readonly isTimeFree: boolean
  readonly isSilent: boolean
}

interface Timer {
  readonly deadline: number
  readonly task: () => void
}

class Run implements Scheduler.Scheduler {
  readonly executionMode = "async"
  readonly clock: Clock.Clock
  private readonly chooser: Chooser
  private readonly options: RunOptions
  private readonly ready: Array<() => void> = []
  private readonly timers: Array<Timer> = []
  /** Why the run goes no further. */
  private outcome: Outcome<never, never> | undefined = undefined
  private now = 0
  private places = 0
  private steps = 0
  /** The fiber of the last operation of this task. */
  private fiber: Fiber.Fiber<unknown, unknown> | undefined = undefined
  /** The next task to be scheduled is what is left of a preempted fiber. */
  private isPreempting = false
  /** What is left of a preempted fiber, and the step of that: it is not the next choice, unless somebody ran in between. */
  private preempted: { readonly task: () => void; readonly step: number } | undefined = undefined

  constructor(chooser: Chooser, options: RunOptions) {
    this.chooser = chooser
    this.options = options
    const millis = () => this.now
    const nanos = () => BigInt(this.now) * 1_000_000n
    this.clock = {
      currentTimeMillisUnsafe: millis,
      currentTimeMillis: Effect.sync(millis),
      currentTimeNanosUnsafe: nanos,
      currentTimeNanos: Effect.sync(nanos),
      monotonicTimeNanosUnsafe: nanos,
      monotonicTimeNanos: Effect.sync(nanos),
      sleep: (duration) => this.sleep(Duration.toMillis(duration))
    }
  }

  shouldYield(fiber: Fiber.Fiber<unknown, unknown>): boolean {
    if (this.outcome !== undefined) return true
    if (!this.step()) return true
    if (fiber !== this.fiber) {
      if (this.fiber !== undefined) this.chooser.fiberChanged()
      this.fiber = fiber
    }
    // No scheduler that counts operations ends a turn before its first, and Effect relies on that: a fiber that is interrupted
    // before it has begun would forget it.
    if (fiber.currentOpCount <= 1) return false
    const isAlone = this.ready.length === 0 && !this.mayTimePass
    this.isPreempting = this.chooser.preempts(this.places++, isAlone)
    return this.isPreempting
  }

  makeDispatcher(): Scheduler.SchedulerDispatcher {
    return {
      scheduleTask: (task) => {
        // What was abandoned may still be woken from outside.
        if (this.outcome !== undefined) return
        this.ready.push(task)
        if (this.isPreempting) this.preempted = { task, step: this.steps }
        this.isPreempting = false
      },
      flush: () => {}
    }
  }

  /** Runs one task after the other until the program has ended. */
  runAll<A, E>(begin: () => Fiber.Fiber<A, E>): Outcome<A, E> {
    let fiber: Fiber.Fiber<A, E> | undefined
    let task: (() => void) | undefined = () => {
      fiber = begin()
    }
    let exit: Exit.Exit<A, E> | undefined
    while (task !== undefined && exit === undefined) {
      this.runTask(task)
      exit = fiber?.pollUnsafe()
      task = this.outcome === undefined && exit === undefined ? this.choose() : undefined
    }
    const outcome = this.outcome ?? (exit === undefined ? { _tag: "Stuck" } : { _tag: "Ended", exit })
    // Nobody waits for what is left.
    this.outcome ??= { _tag: "Stuck" }
    return outcome
  }

  private runTask(task: () => void): void {
    if (!this.step()) return
    this.fiber = undefined
    try {
      task()
    } catch (error) {
      this.outcome ??= { _tag: "Threw", error }
    }
    this.chooser.taskEnded()
  }

  /** The next task; none when nothing is left to happen. */
  private choose(): (() => void) | undefined {
    const { preempted } = this
    this.preempted = undefined
    if (preempted?.step !== this.steps) return this.chooseReady()
    remove(this.ready, preempted.task)
    if (this.ready.length === 0 && !this.mayTimePass) {
      this.outcome = { _tag: "Redundant" }
      return undefined
    }
    const task = this.chooseReady()
    this.ready.push(preempted.task)
    return task
  }

  private chooseReady(): (() => void) | undefined {
    const free = this.ready.length
    if (free === 0) return this.letTimePass() ? this.chooseReady() : undefined
    const all = this.mayTimePass ? free + 1 : free
    const place = all === 1 ? undefined : this.places++
    const taken = place === undefined ? 0 : this.chooser.next(place, free, all)
    if (taken < free) return this.ready.splice(taken, 1)[0]
    if (taken < all) return this.letTimePass() ? this.chooseReady() : undefined
    this.outcome = { _tag: "Unrepeatable", message: `choice ${place} is ${taken}, and there are only ${all}` }
    return undefined
  }

  /** True when time may go by although tasks are ready. */
  private get mayTimePass(): boolean {
    return this.options.isTimeFree && this.timers.length > 0
  }

  /** True unless that was too many. */
  private step(): boolean {
    if (++this.steps <= this.options.maxSteps) return true
    this.outcome ??= { _tag: "Endless" }
    return false
  }

  private sleep(millis: number): Effect.Effect<void> {
    if (millis <= 0) return Effect.yieldNow
    if (!Number.isFinite(millis)) return Effect.never
    return Effect.callback((resume) => {
      const timer = { deadline: this.now + millis, task: () => resume(Effect.void) }
      this.timers.push(timer)
      return Effect.sync(() => {
        remove(this.timers, timer)
        remove(this.ready, timer.task)
      })
    })
  }

  /** Goes on to the next moment for which a timer is set. Its timers are then tasks like others. */
  private letTimePass(): boolean {
    if (this.timers.length === 0) return false
    this.now = Math.min(...this.timers.map(({ deadline }) => deadline))
    for (const timer of this.timers.filter(({ deadline }) => deadline === this.now)) {
      remove(this.timers, timer)
      this.ready.push(timer.task)
    }
    return true
  }
}

const remove = <A>(list: Array<A>, item: A): void => {
  const index = list.indexOf(item)
  if (index >= 0) list.splice(index, 1)
}

/** Runs the program once. */
export const run = <A, E, R>(
  program: Effect.Effect<A, E, R>,
  context: Context.Context<R>,
  chooser: Chooser,
  options: RunOptions
): Outcome<A, E> => {
  const run = new Run(chooser, options)
  let inside = context.pipe(
    // The same chances in each run: else choices would not replay it.
    Context.add(Random.Random, seeded(0)),
    Context.add(Scheduler.Scheduler, run),
    Context.add(Clock.Clock, run.clock),
    // What others set would keep the run from being asked.
    Context.add(Scheduler.PreventSchedulerYield, false)
  )
  if (options.isSilent) inside = Context.add(inside, Logger.CurrentLoggers, new Set())
  return run.runAll(() => Effect.runForkWith(inside)(program))
}
