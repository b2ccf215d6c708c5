/**
 * What `on` runs: fibers that take events of a subscription and call its handler, and outlive the handler's failures.
 */
import { Cause, Context, type Duration, Effect, Exit, Fiber, Latch, type Schedule, Scope, Tracer } from "effect"
import type { AnyEvent } from "../EventBus.ts"
import type { SubscriptionHandle } from "../Subscription.ts"
import { quietly } from "./losses.ts"
import { Empty, type Waiter } from "./storage.ts"
import type { Handlers, Host, SubscriptionImpl } from "./subscription.ts"
import { eventOf, type Stored, Traced } from "./traced.ts"

/**
 * What `on` was given. The types of its failures are forgotten; what it requires is in the context that its fibers run
 * with.
 */
export interface Handler {
  readonly handle: (event: AnyEvent, handle: SubscriptionHandle) => Effect.Effect<unknown, unknown>
  readonly concurrency: number
  readonly retry: Schedule.Schedule<unknown> | undefined
  readonly onFailure: ((event: AnyEvent, cause: Cause.Cause<any>) => Effect.Effect<unknown>) | undefined
  readonly drain: Duration.Duration | undefined
}

/**
 * The worker in whose handler a fiber runs: a handler must not wait for itself. The fibers that a handler forks inherit it;
 * one that outlives its event cannot be told from those of the worker's next event.
 */
const CurrentWorker = Context.Reference<Worker | undefined>("@openwatch/event-bus/CurrentWorker", {
  defaultValue: () => undefined
})

/** One fiber that handles one event at a time, and waits for the next. */
class Worker implements Waiter {
  readonly count = 1
  readonly handling: Handling
  /** What its handler is busy with. */
  item: Stored | undefined = undefined
  fiber: Fiber.Fiber<void> | undefined = undefined
  /** Ends the wait. */
  resume: ((effect: Effect.Effect<void>) => void) | undefined = undefined

  constructor(handling: Handling) {
    this.handling = handling
  }

  run(): void {
    this.resume!(Effect.void)
  }
}

export class Handling implements Handlers {
  failures = 0
  readonly handle: SubscriptionHandle
  private readonly subscription: SubscriptionImpl
  private readonly host: Host
  private readonly handler: Handler
  private readonly context: Context.Context<never>
  private readonly workers = new Set<Worker>()
  private readonly ended = Latch.makeUnsafe()
  private isClosed = false

  constructor(
    host: Host,
    subscription: SubscriptionImpl,
    handler: Handler,
    context: Context.Context<never>
  ) {
    this.host = host
    this.subscription = subscription
    this.handler = handler
    this.context = Context.omit(Tracer.ParentSpan)(context)
    this.handle = {
      name: subscription.name,
      snapshot: subscription.snapshot,
      losses: subscription.losses,
      unsubscribe: Effect.uninterruptible(
        Effect.andThen(Effect.suspend(() => this.close()), Scope.close(subscription.scope, Exit.void))
      )
    }
    subscription.handlers = this
    for (let i = 0; i < handler.concurrency; i++) this.start()
  }

  get isActive(): boolean {
    return this.workers.size > 0
  }

  get running(): number {
    let running = 0
    for (const worker of this.workers) if (worker.item !== undefined) running++
    return running
  }

  /** What the closing of the subscriber's scope does: drains, where that was asked for, then closes. */
  readonly release: Effect.Effect<void> = Effect.suspend(() => {
    const { drain } = this.handler
    if (drain === undefined || this.currentWorker() !== undefined) return this.close()
    this.subscription.drainUnsafe()
    const deadline = Effect.runForkWith(this.context)(
      Effect.andThen(Effect.sleep(drain), Effect.suspend(() => this.close()))
    )
    return Effect.andThen(this.ended.await, Effect.sync(() => deadline.interruptUnsafe()))
  })

  /** Discards what is pending and interrupts the handlers, all but the one that asks for it. */
  private close(): Effect.Effect<void> {
    this.isClosed = true
    this.subscription.closeUnsafe()
    const current = this.currentWorker()
    for (const worker of this.workers) {
      if (worker !== current) worker.fiber?.interruptUnsafe()
    }
    return current === undefined ? this.ended.await : Effect.void
  }

  private currentWorker(): Worker | undefined {
    const fiber = Fiber.getCurrent()
    const worker = fiber === undefined ? undefined : Context.get(fiber.context, CurrentWorker)
    return worker?.handling === this && worker.item !== undefined ? worker : undefined
  }

  private start(): void {
    const worker = new Worker(this)
    this.workers.add(worker)
    const fiber = Effect.runForkWith(Context.add(this.context, CurrentWorker, worker))(this.work(worker))
    worker.fiber = fiber
    fiber.addObserver(() => {
      this.workers.delete(worker)
      this.subscription.cursor.cancel(worker)
      const { item } = worker
      if (item !== undefined && !this.isClosed) {
        this.host.run(this.annotate(item, Effect.logDebug("An event handler was interrupted")))
      }
      if (this.subscription.cursor.isEnded) {
        if (this.workers.size > 0) return
        this.subscription.finish()
        this.ended.openUnsafe()
        this.host.onIdle()
      } else {
        // A handler that interrupts the very fiber it runs in ends that fiber, not the subscription.
        this.start()
      }
    })
  }

  private work(worker: Worker): Effect.Effect<void> {
    const { cursor } = this.subscription
    const isGoing = (): boolean => !cursor.isEnded
    const done = (): void => {
      worker.item = undefined
    }
    // The end of the fiber takes the waiter back: a finalizer would be made anew for each wait.
    const wait = Effect.callback<void>((resume) => {
      worker.resume = resume
      cursor.wait(worker)
      this.host.onIdle()
    })
    const handleAll = Effect.whileLoop<unknown, unknown, never>({
      while: isGoing,
      body: () => {
        const item = cursor.poll()
        if (item === Empty) return wait
        worker.item = item
        return this.call(item)
      },
      step: done
    })
    // One guard around the loop instead of one around each event: what fails pays, what succeeds does not.
    const guarded = Effect.catchCause(
      handleAll,
      (cause) => Effect.andThen(this.recover(worker.item!, cause), Effect.sync(done))
    )
    // Waiting comes first: a worker is started inside `on`, where replayed events must not be handled yet.
    return Effect.andThen(wait, Effect.whileLoop({ while: isGoing, body: () => guarded, step: () => {} }))
  }

  private call(item: Stored): Effect.Effect<unknown, unknown> {
    if (!(item instanceof Traced)) return this.handler.handle(item, this.handle)
    const { event, span } = item
    return Effect.withSpan(Effect.suspend(() => this.handler.handle(event, this.handle)), `process ${event._tag}`, {
      root: true,
      kind: "consumer",
      links: [{ span, attributes: {} }],
      attributes: { "event_bus.name": this.host.name, "event_bus.subscription": this.subscription.name }
    })
  }

  private recover(item: Stored, cause: Cause.Cause<unknown>): Effect.Effect<void> {
    const { retry } = this.handler
    if (retry === undefined || !isTyped(cause)) return this.giveUp(item, cause)
    // The first attempt has failed already: the schedule sees that failure first.
    let isFirst = true
    const attempt = Effect.suspend(() => {
      if (!isFirst) return this.call(item)
      isFirst = false
      return Effect.failCause(cause)
    })
    return Effect.retry(attempt, { schedule: retry, while: () => !this.isClosed }).pipe(
      Effect.asVoid,
      Effect.catchCause((cause) => this.giveUp(item, cause))
    )
  }

  private giveUp(item: Stored, cause: Cause.Cause<unknown>): Effect.Effect<void> {
    if (Cause.hasInterruptsOnly(cause)) {
      return this.annotate(item, Effect.logDebug("An event handler was interrupted", cause))
    }
    this.failures++
    const { onFailure } = this.handler
    const report = this.annotate(item, Effect.logError("An event handler failed", cause))
    if (onFailure === undefined) return report
    return Effect.andThen(
      report,
      Effect.catchCause(
        Effect.suspend(() => Effect.asVoid(onFailure(eventOf(item), cause))),
        (defect) => this.annotate(item, Effect.logError("The onFailure of an event handler failed", defect))
      )
    )
  }

  private annotate(item: Stored, logging: Effect.Effect<void>): Effect.Effect<void> {
    const annotations = { bus: this.host.name, subscription: this.subscription.name, kind: eventOf(item)._tag }
    return quietly(Effect.annotateLogs(logging, annotations))
  }
}

/** True for a failure that a schedule may retry: no defect and no interruption in it. */
const isTyped = (cause: Cause.Cause<unknown>): boolean =>
  Cause.hasFails(cause) && !Cause.hasDies(cause) && !Cause.hasInterrupts(cause)
