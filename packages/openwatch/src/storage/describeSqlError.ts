/**
 * What a database said of a failure.
 */
import type * as SqlError from "effect/sql/SqlError"

/** The driver's message and, where that only says that something failed, the database's own. */
export const describeSqlError = (error: SqlError.SqlError): string => {
  const { cause } = error.reason
  const detail = cause instanceof Error && cause.message !== "" ? cause.message : ""
  return detail === "" || error.message.includes(detail) ? error.message : `${error.message}: ${detail}`
}
