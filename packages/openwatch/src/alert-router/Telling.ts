/**
 * What the store says of alerts, as events for the channels.
 */
import type { Outbox } from "@openwatch/event-bus-sql"
import { DateTime, Effect } from "effect"
import type { Telling } from "../alert-store/AlertStore.ts"
import { AlertChanged, AlertEnded, AlertOutbox, AlertRaised } from "./AlertOutbox.ts"

/** Stores the events: to be run in the transaction that makes the changes. They occur now, or when it is said. */
export const tell = Effect.fnUntraced(function*(
  { changed, ended, raised }: Telling,
  at?: DateTime.Utc
): Effect.fn.Return<void, Outbox.OutboxError, AlertOutbox> {
  const outbox = yield* AlertOutbox
  const occurredAt = at ?? (yield* DateTime.now)
  yield* outbox.publishAll([
    ...raised.map((each) => new AlertRaised({ ...each, occurredAt })),
    ...ended.map((each) => new AlertEnded({ ...each, occurredAt })),
    ...changed.map((each) => new AlertChanged({ ...each, occurredAt }))
  ])
})
