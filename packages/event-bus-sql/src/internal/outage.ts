/**
 * Which failures of a database pass: an outage is waited for, a collision of transactions is tried again at once.
 *
 * Drivers and `withTransaction` do not say it reliably: SQLSTATE 57P01 (the server ends a connection) has no class of its
 * own in `SqlError`, and a ROLLBACK that fails since the connection is gone becomes a defect.
 */
import { Cause, type Effect } from "effect"
import * as SqlError from "effect/sql/SqlError"

/** Everything that a cause carries, typed or as a defect, and what these were caused by. */
const errorsOf = function*(cause: Cause.Cause<unknown>): Generator {
  for (const reason of cause.reasons) {
    let error: unknown = Cause.isFailReason(reason)
      ? reason.error
      : Cause.isDieReason(reason)
      ? reason.defect
      : undefined
    for (let depth = 0; error !== undefined && error !== null && depth < 6; depth++) {
      yield error
      error = SqlError.isSqlError(error)
        ? error.reason
        : typeof error === "object" && "cause" in error
        ? error.cause
        : undefined
    }
  }
}

const codeOf = (error: unknown): string | undefined =>
  typeof error === "object" && error !== null && "code" in error && typeof error.code === "string"
    ? error.code
    : undefined

/**
 * Connections refused or lost, a server that stops, starts, or takes no more of them. A full disk may be emptied, a failing
 * one replaced, and a server that only reads becomes one that writes: after a failover, or where a full disk made it so.
 */
const outageCodes =
  /^(?:08...|25006|53...|57P0[1-35]|58...|ECONN(?:REFUSED|RESET|ABORTED)|EPIPE|ETIMEDOUT|EHOSTUNREACH|ENETUNREACH|EAI_AGAIN)$/

/** SQLite: the disk is full, or cannot be read or written, or is read-only (https://sqlite.org/rescode.html). */
const isSqliteOutage = (error: unknown): boolean => {
  if (typeof error !== "object" || error === null || !("errcode" in error) || typeof error.errcode !== "number") {
    return false
  }
  const primary = error.errcode & 0xff
  return primary === 8 || primary === 10 || primary === 13
}

/** Serialisation failure, deadlock, lock not available. */
const collisionCodes = /^(?:40001|40P01|55P03)$/

const isAny = (cause: Cause.Cause<unknown>, holds: (error: unknown) => boolean): boolean => {
  for (const error of errorsOf(cause)) if (holds(error)) return true
  return false
}

/** The database is away, went away in the middle, or does not take the password until somebody mends it. */
export const isOutage = (cause: Cause.Cause<unknown>): boolean =>
  isAny(
    cause,
    (error) =>
      (SqlError.isSqlErrorReason(error) &&
        (error._tag === "ConnectionError" || error._tag === "AuthenticationError")) ||
      outageCodes.test(codeOf(error) ?? "") || isSqliteOutage(error)
  )

/** Another transaction was in the way; the same again may succeed. SQLite's `BUSY` is one. */
export const isCollision = (cause: Cause.Cause<unknown>): boolean =>
  isAny(cause, (error) =>
    (SqlError.isSqlErrorReason(error) &&
      (error._tag === "DeadlockError" || error._tag === "SerializationError" || error._tag === "LockTimeoutError")) ||
    collisionCodes.test(codeOf(error) ?? ""))

/** The database has failed, in whatever way. */
export const isOfDatabase = (cause: Cause.Cause<unknown>): boolean =>
  !Cause.hasInterrupts(cause) && isAny(cause, SqlError.isSqlError)

/** True where doing the same again may succeed, also after a statement that took too long. */
export const isPassing = (cause: Cause.Cause<unknown>): boolean =>
  isOutage(cause) || isCollision(cause) ||
  isAny(cause, (error) => SqlError.isSqlErrorReason(error) && error.isRetryable)

/** What the database said, in one line. */
export const describe = (cause: Cause.Cause<unknown>): string => {
  const messages: Array<string> = []
  for (const error of errorsOf(cause)) {
    const message = error instanceof Error && error.message !== "" ? error.message : undefined
    if (message !== undefined && !messages.some((known) => known.includes(message))) messages.push(message)
  }
  if (messages.length > 0) return messages.join(": ")
  if (Cause.hasInterruptsOnly(cause)) return "interrupted"
  // An error with fields and no message, or something that is no error.
  return Cause.prettyErrors(cause).map(({ message, name }) => message === "" ? name : message).join(": ")
}

/** The failures of an effect on the database. */
export type DatabaseEffect<A> = Effect.Effect<A, SqlError.SqlError>
