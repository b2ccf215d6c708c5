/**
 * The channels that a configuration names.
 */
import { type DateTime, Effect } from "effect"
import type * as HttpClient from "effect/http/HttpClient"
import type { ChannelConfiguration } from "../configuration/ChannelConfiguration.ts"
import * as Console from "./Console.ts"
import * as Email from "./Email.ts"
import * as PagerDuty from "./PagerDuty.ts"
import * as Slack from "./Slack.ts"
import * as Teams from "./Teams.ts"
import type { TestableChannel } from "./TestAlert.ts"
import * as Webhook from "./Webhook.ts"

/** Makes a channel. */
export const makeOne = (
  channel: ChannelConfiguration
): Effect.Effect<TestableChannel, never, DateTime.CurrentTimeZone | HttpClient.HttpClient> => {
  switch (channel.type) {
    case "console":
      return Console.make(channel)
    case "email":
      return Email.make(channel)
    case "pagerduty":
      return PagerDuty.make(channel)
    case "slack":
      return Slack.make(channel)
    case "teams":
      return Teams.make(channel)
    default:
      return Webhook.make(channel)
  }
}

/** Makes each channel. */
export const make = (channels: ReadonlyArray<ChannelConfiguration>) => Effect.forEach(channels, makeOne)
