/**
 * A host's identity: a UUID, always in lower case, so that two ids are the same host exactly when they are the same
 * string (RFC 9562 section 4 lets UUIDs be written in either case).
 */
import { Schema } from "effect"

/** The schema of a host's identity. */
export const HostId = Schema.String.check(Schema.isUUID(), Schema.isLowercased()).pipe(Schema.brand("HostId"))

/** A host's identity: a UUID in lower case. */
export type HostId = typeof HostId.Type
