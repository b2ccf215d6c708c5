/**
 * What `consume` runs: one fiber with the whole stream of a subscription, which is run again when it fails.
 */
import { Cause, type Context, type Duration, Effect, Exit, Pull, Schedule, type Scope, Stream } from "effect"
import type { NonEmptyArray } from "effect/Array"
import type { AnyEvent } from "../EventBus.ts"
import { Empty } from "./storage.ts"
import type { Host, SubscriptionImpl } from "./subscription.ts"
import { Supervision, type Worker } from "./supervision.ts"

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
  /** The events of the last pull. */
  running = 0
  private restarts = 0
  private isPulling = false
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
    const isResting = (this.isPulling && this.running === 0) || this.worker.idleWaits > 0
    return this.isActive && !(isResting && this.subscription.cursor.pending === 0)
  }

  override snapshotUnsafe() {
    return { ...super.snapshotUnsafe(), restarts: this.restarts }
  }

  protected restart(): void {
    this.restarts++
    this.start(this.worker)
  }

  protected work(): Effect.Effect<void> {
    return Effect.gen({ self: this }, function*() {
      const { cursor } = this.subscription
      // Not inside `consume`: replayed events are taken later.
      yield* Effect.yieldNow
      while (!this.isClosed) {
        const before = cursor.taken
        const exit = yield* Effect.exit(Effect.scoped(Effect.suspend(() => this.consumer.body(this.events))))
        this.count(exit)
        if (Exit.isSuccess(exit)) break
        yield* this.report(exit.cause)
        if (cursor.isEnded) break
        if (cursor.taken > before) this.step = undefined
        if (cursor.isOpen && !(yield* this.pause(exit.cause))) {
          yield* this.subscription.annotate(Effect.logError("A consumer is given up: its retry has ended"), {})
          break
        }
        this.restarts++
      }
      this.closeUnsafe(this.worker)
    })
  }

  protected conclude(_: Worker, exit: Exit.Exit<unknown, unknown>): Effect.Effect<void> {
    return Effect.sync(() => this.count(exit))
  }

  /** The body of a run has ended, and with it what it had pulled. */
  private count(exit: Exit.Exit<unknown, unknown>): void {
    const outcome = Exit.isSuccess(exit)
      ? "handled"
      : Cause.hasInterruptsOnly(exit.cause)
      ? "interrupted"
      : "failures"
    this[outcome] += this.running
    this.running = 0
  }

  private report(cause: Cause.Cause<unknown>): Effect.Effect<void> {
    const restarts = { restarts: this.restarts }
    return Cause.hasInterruptsOnly(cause)
      ? this.subscription.annotate(Effect.logDebug("A consumer was interrupted", cause), restarts)
      : this.subscription.annotate(Effect.logError("A consumer failed", cause), restarts)
  }

  /** Waits as long as `retry` says, but not while the subscription drains. Returns false when it has ended. */
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
      return yield* Effect.raceFirst(next, Effect.as(this.intakeClosed, true))
    })
  }

  /** More than can ever be pending: this waits for the end alone. */
  private readonly intakeClosed: Effect.Effect<void> = Effect.suspend(() =>
    Effect.ignore(this.subscription.taking(() => true, Number.POSITIVE_INFINITY))
  )

  private readonly events: Stream.Stream<AnyEvent> = Stream.fromPull(Effect.succeed(Effect.suspend(() => {
    // Whoever asks for more has done with what it had.
    this.count(Exit.void)
    this.isPulling = true
    this.host.onIdle(this.subscription)
    return Effect.ensuring(
      this.subscription.taking(this.pull),
      Effect.sync(() => {
        this.isPulling = false
      })
    )
  })))

  private readonly pull = (): NonEmptyArray<AnyEvent> | Empty => {
    const events = this.subscription.pollUpTo(pullSize)
    if (events.length === 0) return Empty
    this.running = events.length
    return events as NonEmptyArray<AnyEvent>
  }
}
