/**
 * A channel that people read: what comes within a while is one message there.
 */
import { Duration, Effect } from "effect"
import type { ChannelError, Routing } from "../alert-router/AlertChannel.ts"
import type { AlertEnded, AlertRaised } from "../alert-router/AlertOutbox.ts"
import { make as makeMessage, type Message, type Told } from "./Message.ts"
import type { TestableChannel } from "./TestAlert.ts"

/** How messages are grouped. */
export interface GroupingOptions {
  /** How long to wait for more from the first alert on: not at all, and nothing is grouped, where it is zero. */
  readonly groupWait: Duration.Duration
  /** The least time between two messages. */
  readonly groupInterval: Duration.Duration
}

/** Makes the channel; `deliver` sends one message, and returns what came back. */
export const make = (
  { groupInterval, groupWait, minSeverity, name, requiredTags }: Routing & Partial<GroupingOptions>,
  deliver: (message: Message, told: ReadonlyArray<Told>) => Effect.Effect<string, ChannelError>
): TestableChannel => {
  const send = (told: ReadonlyArray<Told>) => deliver(makeMessage(told), told)
  return {
    name,
    requiredTags,
    minSeverity,
    send: (alert) => Effect.asVoid(send([{ _tag: "AlertRaised", alert }])),
    sendEnding: (ending) => Effect.asVoid(send([ending])),
    grouping: groupWait === undefined || groupInterval === undefined || Duration.isZero(groupWait) ? undefined : {
      wait: groupWait,
      interval: groupInterval,
      send: (told: ReadonlyArray<AlertRaised | AlertEnded>) => Effect.asVoid(send(told))
    },
    test: (alert) => send([{ _tag: "AlertRaised", alert }])
  }
}
