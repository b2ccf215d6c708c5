/**
 * The tags of a host, which each of its alerts has: who knows the inventory provides them.
 */
import { Context } from "effect"
import type { HostId } from "../events/HostId.ts"

/** Gives the tags that the inventory has for a host: none where nothing else is provided. */
export const HostTags = Context.Reference<(hostId: HostId) => Readonly<Record<string, string>>>(
  "@openwatch/openwatch/alert-router/HostTags",
  { defaultValue: () => () => ({}) }
)
