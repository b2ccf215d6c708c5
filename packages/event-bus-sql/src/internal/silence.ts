/**
 * A PostgreSQL that falls silent: its machine is gone, or the network between. No connection ends then, and the operating system
 * finds out after a quarter of an hour. The renewal of the lease is quick, and always under way: what it hears is what is known.
 */
import { Duration, Effect, Fiber } from "effect"
import { monotonicMillis } from "./outages.ts"

/** What waits for the database. */
interface Waiting {
  readonly since: number
  /** It waits for notifications, which may never come. */
  readonly isListening: boolean
  readonly giveUp: () => void
}

/** How many times as long a reply may take as long as the renewal of the lease has its replies. */
const patience = 10

export class Silence {
  /** How long a reply may take. With a short lease a server that is only busy would have all given up, over and over. */
  readonly millis: number
  private readonly waiting = new Set<Waiting>()
  /** Until then a connection may be dead and not know it: any of the pool, so that who uses it next waits as long. */
  private suspiciousUntil = -Infinity

  constructor(leaseMillis: number) {
    this.millis = Math.max(leaseMillis, 10_000)
  }

  /**
   * Runs an effect that can be given up in the middle of a BEGIN or COMMIT, which are not interrupted. Whoever waits goes on,
   * and the effect is left to end when its connection does.
   */
  impatiently<A>(effect: Effect.Effect<A, unknown>, isListening = false): Effect.Effect<A, unknown> {
    return Effect.flatMap(
      monotonicMillis,
      (since) =>
        Effect.withFiber((fiber) =>
          Effect.callback<A, unknown>((resume) => {
            const running = Effect.runForkWith(fiber.context)(effect)
            const giveUp = (): void => {
              running.interruptUnsafe()
              resume(Effect.fail(new Error(`No reply for ${Duration.format(Duration.millis(this.millis))}`)))
            }
            const waiting: Waiting = { since, isListening, giveUp }
            this.waiting.add(waiting)
            running.addObserver((exit) => {
              this.waiting.delete(waiting)
              resume(exit)
            })
            return Fiber.interrupt(running)
          })
        )
    )
  }

  /** The renewal of the lease has had no reply for as long as one may take: gives up whatever has waited as long. */
  suspect(now: number): void {
    this.suspiciousUntil = now + patience * this.millis
    this.giveUp(({ since }) => now - since >= this.millis)
  }

  /** The renewal has had its reply, but may have another connection than what still waits. */
  calm(now: number): void {
    const millis = now < this.suspiciousUntil ? this.millis : patience * this.millis
    this.giveUp(({ isListening, since }) => !isListening && now - since >= millis)
  }

  private giveUp(isLost: (waiting: Waiting) => boolean): void {
    for (const waiting of Array.from(this.waiting).filter(isLost)) waiting.giveUp()
  }
}
