/**
 * What `consume` runs: one fiber with the whole stream of a subscription, which is run again when it fails.
 */
import { Cause, type Context, type Duration, Effect, Exit, Pull, Schedule, Scope, Stream } from "effect"
import type { NonEmptyArray } from "effect/Array"
import type { AnyEvent } from "../EventBus.ts"
import { Empty } from "./storage.ts"
import type { Host, SubscriptionImpl } from "./subscription.ts"
import { closeScope, outcomeOf, Supervision, type Worker } from "./supervision.ts"

/** What `consume` was given. What it requires is in the context that its fiber runs with. */
export interface Consumer {
  readonly body: (events: Stream.Stream<any>) => Effect.Effect<unknown, unknown, Scope.Scope>
  readonly retry: Schedule.Schedule<unknown, any> | undefined
  readonly drain: Duration.Duration | undefined
}

/** Events taken at a time: what is running, and lost with a body that fails. */
const pullSize = 16

const defaultRetry = Schedule.min([Schedule.exponential("100 millis"), Schedule.spaced("30 seconds")])

type Step = (cause: Cause.Cause<unknown>) => Pull.Pull<unknown, unknown, unknown>

export class Consuming extends Supervision {
  /** The events that were pulled last. */
  running = 0
  private restarts = 0
  /** How many pulls wait: the body may run the stream several times at once. */
  private pulling = 0
  /** Whether this run of the body has taken anything. */
  private hasTaken = false
  /** Why the last run has failed. */
  private failure: Cause.Cause<unknown> | undefined = undefined
  /** What a run acquires is released when it ends. */
  private scope = Scope.makeUnsafe()
  private readonly consumer: Consumer
  private readonly worker: Worker = { supervision: this, idleWaits: 0, fiber: undefined }
  private step: Step | undefined = undefined

  constructor(host: Host, subscription: SubscriptionImpl, consumer: Consumer, context: Context.Context<never>) {
    super(host, subscription, consumer.drain, context)
    this.consumer = consumer
    this.start(this.worker)
  }

  get settled(): number {
    return this.subscription.cursor.taken - this.running
  }

  isBusy(isAskedInside: boolean): boolean {
    if (isAskedInside && this.worker.idleWaits > 0) return false
    const isResting = (this.pulling > 0 && this.running === 0) || this.worker.idleWaits > 0
    return this.isActive && !(isResting && this.subscription.cursor.pending === 0)
  }

  override snapshotUnsafe() {
    return { ...super.snapshotUnsafe(), restarts: this.restarts }
  }

  /** One run of the body, after the pause that follows a failure. */
  protected work(): Effect.Effect<unknown, unknown> {
    return Effect.gen({ self: this }, function*() {
      const { cursor } = this.subscription
      // Not inside `consume`: replayed events are taken later.
      yield* Effect.yieldNow
      // The subscription has ended: the stream would have nothing to give.
      if (cursor.isEnded) return
      if (this.failure !== undefined) {
        if (this.hasTaken) this.step = undefined
        // A drain has little time, but a run that takes nothing would use it up with failing.
        if ((cursor.isOpen || !this.hasTaken) && !(yield* this.pause(this.failure))) {
          yield* this.subscription.annotate(Effect.logError("A consumer is given up: its retry has ended"), {})
          return
        }
        // So it has in the pause.
        if (cursor.isEnded) return
        this.restarts++
      }
      this.hasTaken = false
      this.scope = Scope.makeUnsafe()
      yield* Scope.provide(Effect.suspend(() => this.consumer.body(this.events)), this.scope)
    })
  }

  protected conclude(worker: Worker, exit: Exit.Exit<unknown, unknown>): Effect.Effect<void> {
    return Effect.uninterruptible(Effect.flatMap(closeScope(this.scope, exit), (exit) => {
      this.count(exit)
      if (Exit.isSuccess(exit)) return Effect.sync(() => this.closeUnsafe(worker))
      this.failure = exit.cause
      return this.report(exit.cause)
    }))
  }

  /** The body of a run has ended, and with it what it had pulled. */
  private count(exit: Exit.Exit<unknown, unknown>): void {
    this[outcomeOf(exit)] += this.running
    this.running = 0
  }

  private report(cause: Cause.Cause<unknown>): Effect.Effect<void> {
    // The close says how much it has interrupted.
    if (this.isClosed && Cause.hasInterruptsOnly(cause)) return Effect.void
    const logging = Cause.hasInterruptsOnly(cause)
      ? Effect.logDebug("A consumer was interrupted", cause)
      : Effect.logError("A consumer failed", cause)
    return this.subscription.annotate(logging, { restarts: this.restarts })
  }

  /** Waits as long as `retry` says, or until the subscription begins to drain. Returns false when the schedule has ended. */
  private pause(cause: Cause.Cause<unknown>): Effect.Effect<boolean> {
    return Effect.gen({ self: this }, function*() {
      const step = this.step ??= yield* Schedule.toStepWithSleep(this.consumer.retry ?? defaultRetry) as Effect.Effect<
        Step
      >
      const next = Pull.matchEffect(step(cause), {
        onSuccess: () => Effect.succeed(true),
        onDone: () => Effect.succeed(false),
        onFailure: (failure) => Effect.as(this.report(failure), false)
      })
      return yield* this.subscription.cursor.isOpen
        ? Effect.raceFirst(next, this.intakeClosed)
        : next
    })
  }

  /** More than can ever be pending: this waits for the end alone. */
  private readonly intakeClosed: Effect.Effect<boolean> = Effect.orElseSucceed(
    this.subscription.taking(() => true, Number.POSITIVE_INFINITY),
    () => true
  )

  private readonly events: Stream.Stream<AnyEvent> = Stream.fromPull(Effect.succeed(Effect.acquireUseRelease(
    Effect.sync(() => {
      // Whoever asks for more has done with what it had.
      this.count(Exit.void)
      this.pulling++
      this.subscription.members.onIdle()
    }),
    () => this.subscription.taking(this.pull),
    () =>
      Effect.sync(() => {
        this.pulling--
      })
  )))

  private readonly pull = (): NonEmptyArray<AnyEvent> | Empty => {
    const events = this.subscription.pollUpTo(pullSize)
    if (events.length === 0) return Empty
    this.running += events.length
    this.hasTaken = true
    return events as NonEmptyArray<AnyEvent>
  }
}
