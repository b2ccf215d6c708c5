/**
 * Sends open alerts late, or again: when their silence or the maintenance of their hosts is over, and, with
 * `remindAfter`, when nobody has looked after them for long.
 *
 * What is due is read from the store. So it is also sent after a restart. It is an event, stored in the same
 * transaction that marks the alert as told. So it is sent once.
 */
import type { Outbox } from "@openwatch/event-bus-sql"
import { DateTime, Duration, Effect, Layer } from "effect"
import { AlertStore, type AlertStoreError } from "../alert-store/AlertStore.ts"
import { repeatedly } from "../storage/repeatedly.ts"
import type { AlertOutbox } from "./AlertOutbox.ts"
import { InMaintenance } from "./Suppression.ts"
import { tell } from "./Telling.ts"

/** What is sent again, beside what was held back. */
export interface Options {
  /** How long an alert may be active until it is sent again, each time. Default: for ever. */
  readonly remindAfter?: Duration.Duration | undefined
}

/** The shortest and the longest time after which an alert can be sent again. */
export const remindAfterRange = { minimum: Duration.minutes(5), maximum: Duration.days(30) }

/** How often to look for what is due. */
const lookInterval = Duration.seconds(10)

/** Sends what is due now. */
export const look = Effect.fn("Retelling.look")(function*(
  { remindAfter }: Options = {}
): Effect.fn.Return<void, AlertStoreError | Outbox.OutboxError, AlertStore | AlertOutbox> {
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

/** Looks every ten seconds for as long as the layer is there. If the database is away, the next look does it. */
export const layer = (options?: Options): Layer.Layer<never, never, AlertStore | AlertOutbox> =>
  Layer.effectDiscard(
    Effect.forkScoped(repeatedly(look(options), lookInterval))
  )
