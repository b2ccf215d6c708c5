/**
 * What a database said of a failure.
 */
import type { Outbox } from "@openwatch/event-bus-sql"
import type * as SqlError from "effect/sql/SqlError"

/** The driver's message and, where that only says that something failed, the database's own. An outbox says both. */
export const describeSqlError = (error: SqlError.SqlError | Outbox.OutboxError): string => {
  if (error._tag === "OutboxError") return error.message
  const { cause } = error.reason
  const detail = cause instanceof Error && cause.message !== "" ? cause.message : ""
  return detail === "" || error.message.includes(detail) ? error.message : `${error.message}: ${detail}`
}
