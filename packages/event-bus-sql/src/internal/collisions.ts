import { Cause, Clock, Effect, Random } from "effect"
import { isCollision } from "./outage.ts"

/** How long an effect is tried again, in milliseconds. */
const patience = 10_000

/** How often it is tried again in the next turns, before it pauses. */
const turns = 20

/**
 * The pause before an effect is tried again that has collided so many times with another transaction: none at first, since
 * most are short, and the other may be one of this very process.
 */
export const collisionPause = (collisions: number): Effect.Effect<void> =>
  collisions < turns
    ? Effect.yieldNow
    : Effect.flatMap(Random.next, (random) => Effect.sleep(5 + 20 * random))

/** Tries an effect again for a while as long as another transaction is in the way. */
export const retryCollisions = <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
  Effect.flatMap(Clock.currentTimeMillis, (start) => {
    const attempt = (collisions: number): Effect.Effect<A, E, R> =>
      Effect.catchCause(effect, (cause) =>
        Cause.hasInterrupts(cause) || !isCollision(cause)
          ? Effect.failCause(cause)
          : Effect.flatMap(Clock.currentTimeMillis, (now) =>
            now - start > patience
              ? Effect.failCause(cause)
              : Effect.andThen(collisionPause(collisions), attempt(collisions + 1))))
    return attempt(0)
  })
