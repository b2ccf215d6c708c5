/**
 * Sends open alerts late, or again: when their silence or the maintenance of their hosts is over, and, where that is wanted, when
 * nobody has looked after them for long.
 *
 * What is due is read from the store, so it is sent after a restart, too; and it is an event that is stored in the step that marks
 * it as told, so it is sent once.
 */
import { DateTime, Duration, Effect, Layer } from "effect"
import { AlertStore } from "../alert-store/AlertStore.ts"
import * as Outage from "../storage/Outage.ts"
import type { AlertOutbox } from "./AlertOutbox.ts"
import { InMaintenance } from "./Suppression.ts"
import { tell } from "./Telling.ts"

/** What is told again beside what was held back. */
export interface Options {
  /** How long an alert may be active until it is sent again, each time: never by default. */
  readonly remindAfter?: Duration.Duration | undefined
}

/** The shortest and the longest time after which an alert can be sent again. */
export const remindAfterRange = { minimum: Duration.minutes(5), maximum: Duration.days(30) }

/** How often to look for what is due. */
const lookInterval = Duration.seconds(10)

/** Tells what is due now. */
export const look = Effect.fn("Retelling.look")(function*({ remindAfter }: Options = {}) {
  const store = yield* AlertStore
  const inMaintenance = yield* InMaintenance
  const now = yield* DateTime.now
  const remindBefore = remindAfter === undefined ? undefined : DateTime.subtractDuration(now, remindAfter)
  const all = yield* store.dueAgain(remindBefore)
  if (all.length === 0) return
  const isInMaintenance = yield* inMaintenance
  for (const due of all) {
    if (due.why !== "silence" && isInMaintenance(due.alert)) continue
    yield* store.tellAgain(due, tell)
  }
})

/** Looks every ten seconds while the layer is there. What an outage of the database leaves is for the next time. */
export const layer = (options?: Options): Layer.Layer<never, never, AlertStore | AlertOutbox> =>
  Layer.effectDiscard(
    Effect.forkScoped(Outage.repeatedly(Outage.noted(look(options), ({ message }) => message), lookInterval))
  )
