/**
 * What people call a host whose event does not say, as those of an earlier version do not: who knows the inventory provides
 * the names.
 */
import { Context } from "effect"
import type { HostId } from "../events/HostId.ts"

/** Gives the name under which a host appears in the titles of alerts: its id where nothing else is provided. */
export const HostLabel = Context.Reference<(hostId: HostId) => string>(
  "@openwatch/openwatch/alert-router/HostLabel",
  { defaultValue: () => (hostId) => hostId }
)
