/**
 * What is done again and again.
 */
import { Outage } from "@openwatch/event-bus-sql"
import { type Duration, Effect } from "effect"

/**
 * Runs an effect again and again, for ever, with a pause after each run. If it fails, the next run does what is left. A
 * defect is logged.
 */
export const repeatedly = <A, E, R>(
  effect: Effect.Effect<A, E, R>,
  pause: Duration.Input
): Effect.Effect<never, never, R> =>
  Outage.noted(effect).pipe(
    Effect.ignore,
    Effect.ignoreCause({ log: "Error" }),
    Effect.andThen(Effect.sleep(pause)),
    Effect.forever
  )
