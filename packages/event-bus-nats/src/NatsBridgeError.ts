/**
 * Why a bridge could not start.
 */
import { Schema } from "effect"

/**
 * Why a bridge could not start.
 *
 * - `"unreachable"`: no server could be reached, or none accepted the credentials (`start: "fail"`).
 * - `"mismatch"`: the stream, or the consumer of the queue, is there and is not what the options say.
 * - `"handledBy"`: there is no such subscription, or it cannot be used.
 */
export class NatsBridgeError extends Schema.TaggedError<NatsBridgeError>()("NatsBridgeError", {
  reason: Schema.Literals(["unreachable", "mismatch", "handledBy"]),
  message: Schema.String,
  cause: Schema.optional(Schema.Defect())
}) {}
