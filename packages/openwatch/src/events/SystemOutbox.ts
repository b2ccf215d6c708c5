/**
 * The events of OpenWatch that must not be lost: each is stored in the transaction of the fact that it tells of. Once that has
 * committed, it is on the `SystemEventBus` of every process of this database, and the alert router handles it, whatever is
 * killed in between.
 */
import { Outbox } from "@openwatch/event-bus-sql"
import { Effect } from "effect"
import * as SqlError from "effect/sql/SqlError"
import { eventIdOf } from "./EventId.ts"
import { SystemEventBus } from "./SystemEventBus.ts"

/** What is stored for the events of `SystemEventBus`. Those of one host keep their order. */
export class SystemOutbox extends Outbox.Service<SystemOutbox>()("@openwatch/SystemOutbox", {
  bus: SystemEventBus,
  keys: { HeartbeatPulse: ({ hostId }) => hostId, DriftDetected: ({ hostId }) => hostId }
}) {}

/** Before the id of an event that another process has noticed. It is not sent on. */
const foreign = "from/"

/** Whether an event was noticed by another process, by the id of its delivery. */
export const isForeignId = (id: string): boolean => id.startsWith(foreign)

/**
 * Stores events, each in the transaction around it. One that is stored again, as after a commit whose answer was lost, is
 * stored once.
 */
export const storeIn = (outbox: SystemOutbox["Service"]) =>
(
  event: typeof SystemEventBus.Event.Type,
  options?: { readonly isForeign?: boolean }
): Effect.Effect<void, SqlError.SqlError> =>
  // Where it is the database that has failed, it is that error.
  outbox.publish(event, { id: `${options?.isForeign === true ? foreign : ""}${eventIdOf(event)}` }).pipe(
    Effect.catch((error) => SqlError.isSqlError(error.cause) ? Effect.fail(error.cause) : Effect.die(error))
  )
