import { Effect } from "effect"

/** Waits for a callback, and goes on in a turn of its own, not inside of it. */
export const inTurn = (register: (resume: () => void) => Effect.Effect<void> | undefined): Effect.Effect<void> =>
  Effect.andThen(Effect.callback<void>((resume) => register(() => resume(Effect.void)) ?? Effect.void), Effect.yieldNow)

/**
 * Wakes one fiber that waits for it. Raised while nobody waits, it is remembered, once.
 */
export class Signal {
  private isRaised = false
  private resume: (() => void) | undefined = undefined

  raise(): void {
    const { resume } = this
    if (resume === undefined) this.isRaised = true
    else {
      this.resume = undefined
      resume()
    }
  }

  /** Returns when the signal is raised, and lowers it. Never inside of `raise`: who raises it may be in the middle. */
  readonly wait: Effect.Effect<void> = inTurn((resume) => {
    if (this.isRaised) {
      this.isRaised = false
      resume()
      return undefined
    }
    this.resume = resume
    return Effect.sync(() => {
      this.resume = undefined
    })
  })
}
