/**
 * The events of OpenWatch that must not be lost. Each is stored in the transaction of the fact that it tells of. Once
 * that has committed, the event is published on the `SystemEventBus` of every process of this database. The alert
 * router handles it, whatever is killed in between.
 */
import { Outbox } from "@openwatch/event-bus-sql"
import { Effect } from "effect"
import * as SqlError from "effect/sql/SqlError"
import { eventIdOf } from "./EventId.ts"
import { SystemEventBus } from "./SystemEventBus.ts"

/** The outbox of the events of `SystemEventBus`. Events of one host keep their order. */
export class SystemOutbox extends Outbox.Service<SystemOutbox>()("@openwatch/SystemOutbox", {
  bus: SystemEventBus,
  keys: ({ hostId }) => hostId
}) {}

/** The prefix of the id of an event that another process has noticed. Such an event is not sent on. */
const foreign = "from/"

/** Whether the event with this id in the outbox was noticed by another process. */
export const isForeignId = (id: string): boolean => id.startsWith(foreign)

/**
 * Returns the function that stores an event in the transaction around it. If an event is stored again, for example
 * because the reply to a COMMIT was lost, it is there once.
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
