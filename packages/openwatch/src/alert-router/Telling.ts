/**
 * What the store says of alerts that have been changed, as events for the channels.
 */
import type { Outbox } from "@openwatch/event-bus-sql"
import { DateTime, Effect } from "effect"
import type { Telling } from "../alert-store/AlertStore.ts"
import { AlertChanged, AlertEnded, AlertOutbox, AlertRaised } from "./AlertOutbox.ts"

/** Stores the events: to be run in the transaction that makes the changes. */
export const tell = Effect.fnUntraced(function*(
  { again, changed, ended }: Telling
): Effect.fn.Return<void, Outbox.OutboxError, AlertOutbox> {
  const outbox = yield* AlertOutbox
  const occurredAt = yield* DateTime.now
  yield* outbox.publishAll([
    ...ended.map((each) => new AlertEnded({ ...each, occurredAt })),
    ...again.map((each) => new AlertRaised({ ...each, occurredAt })),
    ...changed.map((each) => new AlertChanged({ ...each, occurredAt }))
  ])
})
