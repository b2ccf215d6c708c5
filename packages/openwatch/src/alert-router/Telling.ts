/**
 * What the store says of alerts that have been changed, as events for the channels.
 */
import { DateTime, Effect } from "effect"
import { AlertStoreError, type Telling } from "../alert-store/AlertStore.ts"
import { AlertChanged, AlertEnded, AlertOutbox, AlertRaised } from "./AlertOutbox.ts"

/** Stores the events: to be run in the transaction that makes the changes. */
export const tell = Effect.fnUntraced(function*({ again, changed, ended }: Telling) {
  const outbox = yield* AlertOutbox
  const occurredAt = yield* DateTime.now
  yield* outbox.publishAll([
    ...ended.map((each) => new AlertEnded({ ...each, occurredAt })),
    ...again.map((each) => new AlertRaised({ ...each, occurredAt })),
    ...changed.map((each) => new AlertChanged({ ...each, occurredAt }))
  ]).pipe(
    Effect.mapError((cause) => new AlertStoreError({ message: cause.message, isRetryable: cause.isRetryable, cause }))
  )
})
