/**
 * Why a bridge could not start.
 */
import { Schema } from "effect"

/**
 * Why a bridge could not start.
 *
 * - `"unreachable"`: no server could be reached, or none accepted the credentials (`start: "fail"`).
 * - `"mismatch"`: the stream, or the consumer of the queue, has other settings than the options.
 * - `"handledBy"`: there is no subscription of this name, or it cannot be used.
 * - `"outbox"`: the outbox did not let the bridge consume its events.
 */
export class NatsBridgeError extends Schema.TaggedError<NatsBridgeError>()("NatsBridgeError", {
  reason: Schema.Literals(["unreachable", "mismatch", "handledBy", "outbox"]),
  message: Schema.String,
  cause: Schema.optional(Schema.Defect())
}) {}
