/**
 * The channels of this process that take nothing now, by their names: the last attempt to send to each has failed, and will be
 * made again. Written by whoever sends, read by those who ask whether the process works.
 */
import { Context } from "effect"

/** A process has one set of channels, so all of it shares what is known. */
export const FailingChannels = Context.Reference<Set<string>>("@openwatch/openwatch/alert-router/FailingChannels", {
  defaultValue: () => new Set()
})
