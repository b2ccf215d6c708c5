/**
 * What becomes of a loss: it is gathered for whoever reads `losses`, and for a warning in the log.
 */
import { Cause, type DateTime, Effect, type Fiber } from "effect"
import type { NonEmptyArray } from "effect/Array"
import type { Loss } from "../Subscription.ts"
import { plural } from "./words.ts"

/**
 * Adds up losses until somebody takes the sum. Adding makes no garbage, since a stuck subscription loses all the time.
 */
export class Gathering {
  private dropped = 0
  private since: DateTime.Utc | undefined = undefined
  private until: DateTime.Utc | undefined = undefined
  private onGathered: (() => void) | undefined = undefined

  add(dropped: number, since: DateTime.Utc, until: DateTime.Utc): void {
    if (this.dropped === 0) this.since = since
    this.dropped += dropped
    this.until = until
    this.notify()
  }

  /** What was gathered, if anything. */
  get sum(): Loss | undefined {
    return this.dropped === 0 ? undefined : { dropped: this.dropped, since: this.since!, until: this.until! }
  }

  take(): Loss | undefined {
    const sum = this.sum
    this.dropped = 0
    return sum
  }

  notify(): void {
    const onGathered = this.onGathered
    this.onGathered = undefined
    onGathered?.()
  }

  wait(onGathered: () => void): void {
    this.onGathered = onGathered
  }
}

/** The next sum of a gathering, as a pull: done when `isEnded` says so and nothing is left. */
export const pull = (
  gathering: Gathering,
  options: {
    /** Run before each look. */
    readonly settle: () => void
    readonly isEnded: () => boolean
    readonly schedule: (task: () => void) => void
  }
): Effect.Effect<NonEmptyArray<Loss>, Cause.Done> =>
  Effect.suspend(function look(): Effect.Effect<NonEmptyArray<Loss>, Cause.Done> {
    options.settle()
    const loss = gathering.take()
    if (loss !== undefined) return Effect.succeed([loss])
    if (options.isEnded()) return Cause.done()
    return Effect.callback<NonEmptyArray<Loss>, Cause.Done>((resume) => {
      const again = (): void => resume(Effect.suspend(look))
      // The fiber may have been preempted since it looked.
      if (gathering.sum !== undefined || options.isEnded()) again()
      else gathering.wait(() => options.schedule(again))
    })
  })

/** Logs so that a logger that fails does not fail the fiber that logs. */
export const quietly = (logging: Effect.Effect<void>): Effect.Effect<void> =>
  Effect.catchCause(logging, () => Effect.void)

/** At most one warning in this time for each subscription, in milliseconds. */
const quietMillis = 10_000

/** Warns of the first loss of a subscription at once, of the further ones together, at most once in ten seconds. */
export class LossWarning {
  readonly gathering = new Gathering()
  private readonly collect: () => void
  private readonly annotations: Record<string, unknown>
  private readonly run: (effect: Effect.Effect<void>) => Fiber.Fiber<void>
  private readonly schedule: (task: () => void) => void
  private fiber: Fiber.Fiber<void> | undefined = undefined
  private isActive = false
  private isClosed = false

  constructor(options: {
    readonly annotations: Record<string, unknown>
    /** Brings what was lost into `gathering`. */
    readonly collect: () => void
    readonly run: (effect: Effect.Effect<void>) => Fiber.Fiber<void>
    readonly schedule: (task: () => void) => void
  }) {
    this.annotations = options.annotations
    this.collect = options.collect
    this.run = options.run
    this.schedule = options.schedule
  }

  /** To be called when something was lost. */
  start(): void {
    if (this.isActive || this.isClosed) return
    this.isActive = true
    // A logger is somebody else's code: it does not run inside a publish.
    this.schedule(() => {
      this.fiber = this.run(this.warn)
    })
  }

  /** Ends the quiet time, and warns of what was gathered in it. */
  close(): void {
    this.collect()
    this.isClosed = true
    this.fiber?.interruptUnsafe()
    const loss = this.gathering.take()
    if (loss !== undefined) this.run(this.log(loss))
  }

  private readonly warn: Effect.Effect<void> = Effect.suspend(() => {
    this.collect()
    const loss = this.gathering.take()
    if (loss === undefined) {
      this.isActive = false
      this.fiber = undefined
      return Effect.void
    }
    return this.log(loss).pipe(Effect.andThen(Effect.sleep(quietMillis)), Effect.andThen(this.warn))
  })

  private log(loss: Loss): Effect.Effect<void> {
    return quietly(Effect.annotateLogs(
      Effect.logWarning(`A full buffer lost ${plural(loss.dropped, "event")}`),
      { ...this.annotations, since: loss.since, until: loss.until }
    ))
  }
}
