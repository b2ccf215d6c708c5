import { Schema } from "effect"

/**
 * Why something could not be done.
 *
 * - `"database"`: the database failed, or is away.
 * - `"conflict"`: another event has the id.
 * - `"consumer"`: the consumer cannot be served as asked: its row, or another process, says otherwise.
 * - `"tables"`: the tables cannot be brought up to date, or are not as they must be.
 */
export class OutboxError extends Schema.TaggedError<OutboxError>()("OutboxError", {
  reason: Schema.Literals(["database", "conflict", "consumer", "tables"]),
  message: Schema.String,
  /** The same again may succeed: the database was away, or another transaction was in the way. */
  isRetryable: Schema.Boolean,
  cause: Schema.optional(Schema.Defect())
}) {}
