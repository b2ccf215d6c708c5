/**
 * What `on` runs: fibers that take events of a subscription and call its handler, and outlive the handler's failures.
 */
import { Cause, type Context, type Duration, Effect, Exit, type Fiber, type Schedule, Scope } from "effect"
import type { AnyEvent } from "../EventBus.ts"
import type { SubscriptionHandle } from "../Subscription.ts"
import type { Durations } from "./durations.ts"
import { processSpan } from "./spans.ts"
import { Empty, type Waiter } from "./storage.ts"
import type { Host, SubscriptionImpl } from "./subscription.ts"
import { closeScope, outcomeOf, Supervision, type Worker as CurrentFiber } from "./supervision.ts"
import { eventOf, readLate, type Stored, Traced } from "./traced.ts"

/** What a handler returns. */
type Handled = Effect.Effect<unknown, unknown, Scope.Scope>

/**
 * What `on` was given. The types of its failures are forgotten; what it requires is in the context that its fibers run
 * with.
 */
export interface Handler {
  readonly handle: (event: AnyEvent, handle: SubscriptionHandle) => Handled
  readonly concurrency: number
  readonly retry: Schedule.Schedule<unknown> | undefined
  readonly onFailure:
    | ((event: AnyEvent, cause: Cause.Cause<any>) => Effect.Effect<unknown, never, Scope.Scope>)
    | undefined
  readonly drain: Duration.Duration | undefined
  readonly durations: Durations | undefined
}

/** One fiber that handles one event at a time, and waits for the next. */
class Worker implements CurrentFiber, Waiter {
  readonly count = 1
  readonly supervision: Handling
  idleWaits = 0
  /** What it is busy with, until all of it has ended: the handler, its scope and `onFailure`. */
  item: Stored | undefined = undefined
  /** The number of that event among those taken. */
  number = 0
  /** Its `onFailure` was called. */
  isGivenUp = false
  /** To be called when it has ended, where somebody wants to know how long that took. */
  end: (() => void) | undefined = undefined
  /** What the handler acquires is released with its event. */
  scope = Scope.makeUnsafe()
  fiber: Fiber.Fiber<unknown, unknown> | undefined = undefined
  /** Handles the next event, or waits for it. */
  next: Handled = Effect.void
  /** Ends the wait. */
  resume: ((next: Handled) => void) | undefined = undefined

  constructor(supervision: Handling) {
    this.supervision = supervision
  }

  run(): void {
    // With the event itself: the fiber would have to go around its loop to get to it.
    this.resume!(this.next)
  }
}

export class Handling extends Supervision<Worker> {
  private readonly handler: Handler

  constructor(
    host: Host,
    subscription: SubscriptionImpl,
    handler: Handler,
    context: Context.Context<never>
  ) {
    super(host, subscription, handler.drain, context)
    this.handler = handler
    for (let i = 0; i < handler.concurrency; i++) this.start(new Worker(this))
  }

  get running(): number {
    let running = 0
    for (const worker of this.workers) if (worker.item !== undefined) running++
    return running
  }

  get settled(): number {
    let settled = this.subscription.cursor.taken
    for (const { item, number } of this.workers) if (item !== undefined) settled = Math.min(settled, number - 1)
    return settled
  }

  isBusy(isAskedInside: boolean): boolean {
    let isStuck = false
    for (const { idleWaits, item } of this.workers) {
      if (item === undefined) continue
      if (idleWaits === 0) return true
      isStuck = true
    }
    return this.isActive && this.subscription.cursor.pending > 0 && !(isAskedInside && isStuck)
  }

  protected work(worker: Worker): Effect.Effect<void> {
    const { cursor } = this.subscription
    const { durations } = this.handler
    // What a fiber that was interrupted has left behind.
    cursor.cancel(worker)
    worker.resume = undefined
    // The end of the fiber takes the waiter back: a finalizer would be made anew for each wait.
    const wait: Handled = Effect.callback((resume) => {
      worker.resume = resume
      cursor.wait(worker)
      this.subscription.members.onIdle()
    })
    const next = (): Handled => {
      // Waiting comes first: a worker is started inside `on`, where replayed events must not be handled yet.
      const item = worker.resume === undefined ? Empty : cursor.poll()
      if (item === Empty) return cursor.isEnded ? Effect.void : wait
      worker.item = item
      worker.number = cursor.taken
      if (durations !== undefined) worker.end = durations()
      return this.call(item)
    }
    worker.next = Effect.suspend(next)
    const handleAll = Effect.whileLoop<unknown, unknown, Scope.Scope>({
      while: () => worker.item === undefined && !cursor.isEnded,
      body: next,
      step: () => {
        // A scope that was added to ends this loop: it is closed, and the next loop has a new one.
        if (worker.item === undefined || worker.scope.state._tag !== "Empty") return
        worker.item = undefined
        this.handled++
        worker.end?.()
      }
    })
    // One guard around the loop instead of one around each event: what fails pays, what succeeds does not.
    const guarded = Effect.suspend(() => {
      if (worker.scope.state._tag !== "Empty") worker.scope = Scope.makeUnsafe()
      return Effect.matchCauseEffect(Scope.provide(handleAll, worker.scope), {
        onFailure: (cause) => this.recover(worker, cause),
        onSuccess: () => this.conclude(worker, Exit.void)
      })
    })
    return Effect.whileLoop({ while: () => !cursor.isEnded, body: () => guarded, step: () => {} })
  }

  private call(item: Stored): Handled {
    if (!this.host.isTraced || !Traced.is(item)) return this.handler.handle(item as AnyEvent, this.handle)
    const { event, span } = item
    const handling = Effect.suspend(() => this.handler.handle(event, this.handle))
    return processSpan(handling, event._tag, this.host.name, this.subscription.name, span)
  }

  private recover(worker: Worker, cause: Cause.Cause<unknown>): Effect.Effect<void> {
    const { retry } = this.handler
    if (retry === undefined || !isTyped(cause)) return this.conclude(worker, Exit.failCause(cause))
    // The first attempt has failed already: the schedule sees that failure first.
    let isFirst = true
    const attempt = Effect.suspend((): Effect.Effect<Exit.Exit<unknown, unknown>> => {
      if (isFirst) {
        isFirst = false
        return closeScope(worker.scope, Exit.failCause(cause))
      }
      worker.scope = Scope.makeUnsafe()
      return Effect.flatMap(
        Effect.exit(Scope.provide(Effect.suspend(() => this.call(worker.item!)), worker.scope)),
        (exit) => closeScope(worker.scope, exit)
      )
    })
    return Effect.flatMap(
      Effect.exit(Effect.retry(Effect.flatten(attempt), { schedule: retry, while: () => !this.isClosed })),
      (exit) => this.conclude(worker, exit)
    )
  }

  /** The event has ended with the last attempt: it is counted once its scope is closed and `onFailure` has run. */
  protected conclude(worker: Worker, exit: Exit.Exit<unknown, unknown>): Effect.Effect<void> {
    if (worker.item === undefined) return Effect.void
    return Effect.uninterruptibleMask((restore) =>
      Effect.flatMap(closeScope(worker.scope, exit), (exit) => {
        const outcome = outcomeOf(exit)
        const count = Effect.sync(() => {
          this[outcome]++
          worker.item = undefined
          worker.isGivenUp = false
          worker.end?.()
        })
        if (Exit.isSuccess(exit)) return count
        const report = outcome === "failures"
          ? this.giveUp(worker, exit.cause)
          : this.isClosed
          ? Effect.void
          : this.log(worker, Effect.logDebug("An event handler was interrupted", exit.cause))
        return Effect.ensuring(restore(report), count)
      })
    )
  }

  private giveUp(worker: Worker, cause: Cause.Cause<unknown>): Effect.Effect<void> {
    const { onFailure } = this.handler
    if (onFailure === undefined) return this.log(worker, Effect.logError("An event handler failed", cause))
    const logDefect = (defect: Cause.Cause<unknown>) =>
      this.log(worker, Effect.logError("The onFailure of an event handler failed", defect))
    // What it returned was no effect, and has ended the fiber.
    if (worker.isGivenUp) return logDefect(cause)
    worker.isGivenUp = true
    return Effect.andThen(
      this.log(worker, Effect.logDebug("An event handler failed", cause)),
      // Also where a close interrupts it: nobody else has been told of the failure.
      Effect.exit(
        Effect.onError(Effect.scoped(Effect.suspend(() => onFailure(eventOf(worker.item!), cause))), logDefect)
      )
    )
  }

  private log({ item }: Worker, logging: Effect.Effect<void>): Effect.Effect<void> {
    return this.subscription.annotate(logging, { kind: kindOf(item!) })
  }
}

/** For logs, which must not fail over an event that can no longer be read. */
const kindOf = (item: Stored): string => readLate(eventOf(item), "_tag") ?? "(cannot be read)"

/** True for a failure that a schedule may retry: no defect and no interruption in it. */
const isTyped = (cause: Cause.Cause<unknown>): boolean =>
  Cause.hasFails(cause) && !Cause.hasDies(cause) && !Cause.hasInterrupts(cause)
