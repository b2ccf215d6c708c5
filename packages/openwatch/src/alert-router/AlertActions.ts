/**
 * What people do with alerts: see `Lifecycle`. What they end is told to the channels that have it, like any other end.
 */
import { DateTime, Effect } from "effect"
import {
  type AlertsRefused,
  AlertStore,
  AlertStoreError,
  type Change,
  type Changed
} from "../alert-store/AlertStore.ts"
import { clean } from "../events/PlainText.ts"
import { AlertEnded, AlertOutbox, AlertRaised } from "./AlertOutbox.ts"

/**
 * Does something with alerts: with all of them or, where that cannot be, with none. Returns what they were and are. An id may be
 * the whole one, or the last 12 characters of it.
 */
export const perform = (
  ids: ReadonlyArray<string>,
  change: Change
): Effect.Effect<ReadonlyArray<Changed>, AlertsRefused | AlertStoreError, AlertStore | AlertOutbox> =>
  Effect.gen(function*() {
    const store = yield* AlertStore
    const outbox = yield* AlertOutbox
    const occurredAt = yield* DateTime.now
    return yield* store.change(ids, { ...change, why: clean(change.why) }, (ended, again) =>
      outbox.publishAll([
        ...ended.map((ended) => new AlertEnded({ ...ended, occurredAt })),
        ...again.map((routed) => new AlertRaised({ ...routed, occurredAt }))
      ]).pipe(
        Effect.mapError((cause) =>
          new AlertStoreError({ message: cause.message, isRetryable: cause.isRetryable, cause })
        )
      ))
  })
