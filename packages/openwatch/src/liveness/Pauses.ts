/**
 * Notices that this process was paused: stopped by a signal, starved of processor time, or on a machine that slept. A
 * probe that runs out of time meanwhile says nothing about its host.
 */
import { Clock, Duration, Effect, type Scope } from "effect"

/** How often to look at the clock. */
const tick = Duration.millis(250)

/** A look that comes later than this, in milliseconds, comes after a pause. */
const longestTick = 1_250

/** Knows of pauses. */
export interface Pauses {
  /** Whether the process was paused since a time, in milliseconds of `now`. */
  readonly since: (time: number) => Effect.Effect<boolean>
  /** Now, in milliseconds of a clock that cannot be set back. */
  readonly now: Effect.Effect<number>
}

/** Looks for pauses until the scope closes. */
export const make: Effect.Effect<Pauses, never, Scope.Scope> = Effect.gen(function*() {
  const now = Effect.map(Clock.monotonicTimeNanos, (nanos) => Number(nanos) / 1e6)
  let lookedAt = yield* now
  let pausedUntil = -Infinity
  const look = Effect.map(now, (at) => {
    if (at - lookedAt > longestTick) pausedUntil = at
    lookedAt = at
  })
  yield* look.pipe(Effect.delay(tick), Effect.forever, Effect.forkScoped)
  // The pause that has just ended may not have been looked at yet.
  return { now, since: (time) => Effect.map(look, () => pausedUntil > time) }
})
