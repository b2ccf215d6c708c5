/**
 * A host's identity: a UUID, always in lower case. RFC 9562 section 4 allows both cases. With one of them, two ids mean
 * the same host exactly if they are the same string.
 */
import { Schema } from "effect"

/** The schema of a host's identity. */
export const HostId = Schema.String.check(Schema.isUUID(), Schema.isLowercased()).pipe(Schema.brand("HostId"))

/** A host's identity: a UUID in lower case. */
export type HostId = typeof HostId.Type
