/**
 * What becomes of a loss: it is gathered for whoever reads `losses`, and for a warning in the log.
 */
import { Cause, type DateTime, Effect, type Fiber, Stream } from "effect"
import type { NonEmptyArray } from "effect/Array"
import type { Loss } from "../Subscription.ts"
import type { Host, SubscriptionImpl } from "./subscription.ts"
import { eventOf, readLate } from "./traced.ts"
import { plural } from "./words.ts"

/**
 * Adds up losses until somebody takes the sum. Adding makes no garbage, since a stuck subscription loses all the time.
 */
class Gathering {
  private dropped = 0
  private since: DateTime.Utc | undefined = undefined
  private until: DateTime.Utc | undefined = undefined

  add(dropped: number, since: DateTime.Utc, until: DateTime.Utc): void {
    if (this.dropped === 0) this.since = since
    this.dropped += dropped
    this.until = until
  }

  /** What was gathered, if anything. */
  take(): Loss | undefined {
    const { dropped, since, until } = this
    this.dropped = 0
    return dropped === 0 ? undefined : { dropped, since: since!, until: until! }
  }
}

/** At most one warning in this time for each subscription, in milliseconds. */
const quietMillis = 10_000

/** The losses of one subscription. */
export class Losses {
  private readonly subscription: SubscriptionImpl
  private readonly host: Host
  /** All that was lost so far. */
  private readonly all = new Gathering()
  /** What the log was not told yet. */
  private readonly unlogged = new Gathering()
  /** These two, and one for each reader. */
  private readonly gatherings = new Set([this.all, this.unlogged])
  /** What wakes the readers that wait. */
  private readonly waiting = new Set<() => void>()
  private isWarning = false
  private fiber: Fiber.Fiber<void> | undefined = undefined

  constructor(subscription: SubscriptionImpl, host: Host) {
    this.subscription = subscription
    this.host = host
  }

  /**
   * Called when something was lost. The log is told of the first loss of a subscription at once, of the further ones
   * together, at most once in ten seconds.
   */
  onLoss(): void {
    if (!this.isWarning) {
      this.isWarning = true
      // A logger is somebody else's code: it does not run inside a publish.
      this.host.schedule(() => {
        this.fiber = this.host.run(this.warn)
      })
    }
    this.notify()
  }

  /** No more will be lost. Ends the quiet time, and warns of what was gathered in it. */
  close(): void {
    this.fiber?.interruptUnsafe()
    const loss = this.take(this.unlogged)
    if (loss !== undefined) this.host.run(this.log(loss))
  }

  /** Wakes whoever waits for a loss, or for the end of the subscription. Lost events are read then, not inside a publish. */
  notify(): void {
    this.waiting.forEach(this.host.schedule)
    this.waiting.clear()
  }

  readonly stream: Stream.Stream<Loss> = Stream.unwrap(Effect.map(
    Effect.acquireRelease(
      Effect.sync(() => this.gather()),
      (gathering) => Effect.sync(() => this.gatherings.delete(gathering))
    ),
    (gathering) => Stream.fromPull(Effect.succeed(this.pull(gathering)))
  ))

  private gather(): Gathering {
    const gathering = Object.assign(new Gathering(), this.all)
    this.gatherings.add(gathering)
    return gathering
  }

  /** The next sum of a gathering: done when the subscription is closed and nothing is left. */
  private pull(gathering: Gathering): Effect.Effect<NonEmptyArray<Loss>, Cause.Done> {
    const look: Effect.Effect<NonEmptyArray<Loss>, Cause.Done> = Effect.callback((resume) => {
      const loss = this.take(gathering)
      if (loss !== undefined) return resume(Effect.succeed([loss]))
      if (this.subscription.state === "closed") return resume(Cause.done())
      const again = (): void => resume(look)
      this.waiting.add(again)
      return Effect.sync(() => this.waiting.delete(again))
    })
    return look
  }

  /** Passes on what the cursor has lost to all who gather it. */
  private collect(): void {
    const lost = this.subscription.cursor.collectLosses()
    if (lost === undefined) return
    const first = readLate(eventOf(lost.first), "occurredAt")
    const last = readLate(eventOf(lost.last), "occurredAt")
    // Of events that can no longer be read it is known only that they are lost now.
    const since = first ?? last ?? this.host.now()
    for (const gathering of this.gatherings) gathering.add(lost.dropped, since, last ?? since)
  }

  private take(gathering: Gathering): Loss | undefined {
    this.collect()
    return gathering.take()
  }

  private readonly warn: Effect.Effect<void> = Effect.suspend(() => {
    const loss = this.take(this.unlogged)
    this.isWarning = loss !== undefined
    return loss === undefined
      ? Effect.void
      : this.log(loss).pipe(Effect.andThen(Effect.sleep(quietMillis)), Effect.andThen(this.warn))
  })

  private log({ dropped, since, until }: Loss): Effect.Effect<void> {
    const { cursor, overflow } = this.subscription
    return this.subscription.annotate(
      Effect.logWarning(`A full buffer lost ${plural(dropped, "event")}`),
      { bufferSize: cursor.capacity, overflow, since, until }
    )
  }
}
