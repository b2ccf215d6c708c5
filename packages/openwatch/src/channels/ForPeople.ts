/**
 * A channel that people read: what comes within a while is one message.
 */
import { Duration, Effect, type Redacted } from "effect"
import * as HttpClient from "effect/http/HttpClient"
import type { ChannelError, Routing } from "../alert-router/AlertChannel.ts"
import type { AlertEnded, AlertRaised } from "../alert-router/AlertOutbox.ts"
import { ask } from "./http.ts"
import { make as makeMessage, type Message, type Told } from "./Message.ts"
import type { TestableChannel } from "./TestAlert.ts"

/** How messages are grouped. */
export interface GroupingOptions {
  /** How long the first alert waits for others. Zero: nothing is grouped. */
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

/** Makes the channel of a webhook that takes messages in a format of its own. */
export const posting =
  (format: (message: Message) => string) =>
  (options: Routing & Partial<GroupingOptions> & { readonly url: Redacted.Redacted }) =>
    Effect.map(
      HttpClient.HttpClient,
      (client) =>
        make(options, (message) =>
          ask({ url: options.url, body: format(message) }).pipe(Effect.provideService(HttpClient.HttpClient, client)))
    )
