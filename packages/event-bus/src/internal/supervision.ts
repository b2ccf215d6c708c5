/**
 * How the fibers of a subscription end: those of `on` and those of `consume`.
 *
 * A close interrupts the fibers and waits for them, with one exception. A close that comes from inside a handler, or from a
 * fiber forked in one, neither interrupts nor waits for that handler, which would be waiting for it. Where it closes another
 * subscription it waits for that one, but no longer than until its own fiber is interrupted. So two handlers that close each
 * other never wait in a circle.
 */
import { Cause, Clock, Context, type Duration, Effect, Exit, Fiber, Latch, Scope, Tracer } from "effect"
import type { SubscriptionHandle } from "../Subscription.ts"
import type { Host, SubscriptionImpl } from "./subscription.ts"
import { plural } from "./words.ts"

/** One fiber in which subscriber code runs. */
export interface Worker {
  readonly supervision: Supervision
  /** How often that code is waiting in `awaitIdle`. */
  idleWaits: number
  fiber: Fiber.Fiber<unknown, unknown> | undefined
}

/**
 * The worker that the current fiber belongs to. The fibers that a handler forks inherit it. One that outlives its event cannot
 * be told from those of the worker's next event.
 */
export const CurrentWorker = Context.Reference<Worker | undefined>("@openwatch/event-bus/CurrentWorker", {
  defaultValue: () => undefined
})

export const currentWorker = (): Worker | undefined => {
  const fiber = Fiber.getCurrent()
  return fiber === undefined ? undefined : Context.get(fiber.context, CurrentWorker)
}

/** Which counter says how it has ended. */
export const outcomeOf = (exit: Exit.Exit<unknown, unknown>): "handled" | "interrupted" | "failures" =>
  Exit.isSuccess(exit) ? "handled" : Cause.hasInterruptsOnly(exit.cause) ? "interrupted" : "failures"

/** Releases what an attempt, or a run, has acquired. What fails then is a failure of it. */
export const closeScope = (
  scope: Scope.Closeable,
  exit: Exit.Exit<unknown, unknown>
): Effect.Effect<Exit.Exit<unknown, unknown>> =>
  Effect.uninterruptible(Effect.map(Effect.exit(Scope.close(scope, exit)), (closing) => {
    if (Exit.isSuccess(closing)) return exit
    return Exit.isSuccess(exit) ? closing : Exit.failCause(Cause.combine(exit.cause, closing.cause))
  }))

/** A drain that takes longer than this, in milliseconds of real time, says so. */
const longDrain = 1000

export abstract class Supervision<W extends Worker = Worker> {
  handled = 0
  failures = 0
  interrupted = 0
  readonly handle: SubscriptionHandle
  readonly subscription: SubscriptionImpl
  protected readonly host: Host
  protected readonly context: Context.Context<never>
  protected readonly run: (effect: Effect.Effect<void>) => Fiber.Fiber<void>
  protected isClosed = false
  /** Those whose fiber has not ended. */
  protected readonly workers = new Set<W>()
  private readonly drain: Duration.Duration | undefined
  private readonly ended = Latch.makeUnsafe()
  private deadline: Fiber.Fiber<void> | undefined = undefined
  private longDrainTimer: ReturnType<typeof setTimeout> | undefined = undefined
  /** What was interrupted before the subscription was closed. */
  private interruptedWhileOpen = 0

  constructor(
    host: Host,
    subscription: SubscriptionImpl,
    drain: Duration.Duration | undefined,
    context: Context.Context<never>
  ) {
    this.host = host
    this.subscription = subscription
    this.drain = drain
    this.context = Context.omit(Tracer.ParentSpan, CurrentWorker)(context)
    this.run = Effect.runForkWith(this.context)
    this.handle = {
      name: subscription.name,
      snapshot: subscription.snapshot,
      losses: subscription.losses,
      unsubscribe: Effect.uninterruptible(Effect.suspend(() => this.close(currentWorker())))
    }
    subscription.supervision = this
  }

  get isActive(): boolean {
    return this.workers.size > 0
  }

  abstract readonly running: number
  /** How many of the first events taken have all ended. */
  abstract readonly settled: number

  /** What the snapshot of such a subscription has besides that of any other. */
  snapshotUnsafe(): { readonly handled: number; readonly interrupted: number; readonly settled: number } {
    return { handled: this.handled, interrupted: this.interrupted, settled: this.settled }
  }

  /**
   * Something is left to do, and is being done. A handler that waits in `awaitIdle` does nothing. Whoever asks from inside of
   * a handler does not wait for what is pending behind such a one either: they would wait for each other.
   */
  abstract isBusy(isAskedInside: boolean): boolean

  /** What the fiber of a worker runs. */
  protected abstract work(worker: W): Effect.Effect<unknown, unknown>

  /** Counts what the fiber of a worker has left undone: it was interrupted, or what subscriber code returned is no effect. */
  protected abstract conclude(worker: W, exit: Exit.Exit<unknown, unknown>): Effect.Effect<void>

  /** Starts the fiber of a worker, and another one when it has ended before the subscription has. */
  protected start(worker: W): void {
    this.workers.add(worker)
    const run = Effect.runForkWith(Context.add(this.context, CurrentWorker, worker))
    worker.fiber = run(this.work(worker))
    const onEnd = (exit: Exit.Exit<unknown, unknown>): void => {
      worker.fiber = run(this.conclude(worker, exit))
      worker.fiber.addObserver((exit) => {
        // Concluding runs subscriber code too, which may end that fiber.
        if (Exit.isFailure(exit)) return onEnd(exit)
        // A handler may interrupt the very fiber that it runs in.
        if (!this.subscription.cursor.isEnded) return this.start(worker)
        this.workers.delete(worker)
        if (!this.isActive) this.end()
      })
    }
    worker.fiber.addObserver(onEnd)
  }

  /** What the closing of the subscriber's scope does. */
  readonly release: Effect.Effect<void> = Effect.suspend(() => this.releaseUnsafe())

  /** Drains where that was asked for, else closes. What it returns waits for the end. */
  releaseUnsafe(): Effect.Effect<void> {
    const current = currentWorker()
    if (this.drain === undefined || this.isClosed || current?.supervision === this) return this.close(current)
    this.subscription.drainUnsafe()
    if (this.deadline === undefined && this.isActive) {
      this.deadline = this.run(Effect.andThen(Effect.sleep(this.drain), Effect.sync(() => this.closeUnsafe(undefined))))
      this.watchDrain()
    }
    if (current === undefined) return this.ended.await
    return Effect.onInterrupt(
      Effect.interruptible(this.ended.await),
      () => Effect.sync(() => this.closeUnsafe(current))
    )
  }

  private close(current: Worker | undefined): Effect.Effect<void> {
    this.closeUnsafe(current)
    if (current === undefined) return this.ended.await
    return current.supervision === this ? Effect.void : Effect.interruptible(this.ended.await)
  }

  /** Discards what is pending and interrupts the handlers, all but the one that asks for it. */
  protected closeUnsafe(current: Worker | undefined): void {
    if (!this.isClosed) this.interruptedWhileOpen = this.interrupted
    this.isClosed = true
    this.subscription.closeUnsafe()
    for (const worker of this.workers) {
      if (worker !== current) worker.fiber?.interruptUnsafe()
    }
  }

  /** The last fiber has ended, and no other will start. */
  private end(): void {
    this.deadline?.interruptUnsafe()
    clearTimeout(this.longDrainTimer)
    this.subscription.finish()
    this.warnOfLoss()
    // Not before: the subscriber's scope waits for a handler that has unsubscribed itself and still runs.
    this.run(Scope.close(this.subscription.scope, Exit.void))
    this.ended.openUnsafe()
    this.subscription.members.onIdle()
  }

  private warnOfLoss(): void {
    const { discarded } = this.subscription.cursor
    const interrupted = this.isClosed ? this.interrupted - this.interruptedWhileOpen : 0
    if (discarded === 0 && interrupted === 0) return
    this.run(this.subscription.annotate(
      Effect.logWarning(
        `Closing a subscription discarded ${plural(discarded, "pending event")} and interrupted ${
          plural(interrupted, "handler")
        }; to keep them, give it, or the bus, more time to drain: { drain: "10 seconds" }`
      ),
      { discarded, interrupted }
    ))
  }

  /** Says once that a drain takes long: it may wait for a handler that waits for a clock which nobody moves. */
  private watchDrain(): void {
    const clock = Context.get(this.context, Clock.Clock)
    const start = clock.currentTimeMillisUnsafe()
    this.longDrainTimer = setTimeout(() => {
      const { running, subscription: { cursor: { pending } } } = this
      const still = `A drain still waits for ${plural(running, "handler")} and ${plural(pending, "pending event")}`
      this.run(this.subscription.annotate(
        clock.currentTimeMillisUnsafe() === start
          ? Effect.logWarning(`${still}, and Clock stands still: under TestClock, adjust it while the scope closes`)
          : Effect.logInfo(still),
        { pending, running }
      ))
    }, longDrain)
  }
}
