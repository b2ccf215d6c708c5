/**
 * The name of a host, for events of an earlier version, which do not have it. The part that knows the inventory
 * provides it.
 */
import { Context } from "effect"
import type { HostId } from "../events/HostId.ts"

/** Returns the name under which a host appears in the titles of alerts. Default: its id. */
export const HostLabel = Context.Reference<(hostId: HostId) => string>(
  "@openwatch/openwatch/alert-router/HostLabel",
  { defaultValue: () => (hostId) => hostId }
)
