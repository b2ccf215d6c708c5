/**
 * The tags of a host, which each of its alerts has. The part that knows the inventory provides them.
 */
import { Context } from "effect"
import type { HostId } from "../events/HostId.ts"

/** Returns the tags that the inventory has for a host. Default: none. */
export const HostTags = Context.Reference<(hostId: HostId) => Readonly<Record<string, string>>>(
  "@openwatch/openwatch/alert-router/HostTags",
  { defaultValue: () => () => ({}) }
)
