/**
 * The channels that a configuration names.
 */
import { type DateTime, Effect } from "effect"
import type * as HttpClient from "effect/http/HttpClient"
import type { AlertChannel } from "../alert-router/AlertChannel.ts"
import type { ChannelConfiguration } from "../configuration/ChannelConfiguration.ts"
import * as Console from "./Console.ts"
import * as Slack from "./Slack.ts"
import * as Webhook from "./Webhook.ts"

const makeOne = (
  channel: ChannelConfiguration
): Effect.Effect<AlertChannel, never, DateTime.CurrentTimeZone | HttpClient.HttpClient> => {
  if (channel.type === "console") return Console.make(channel)
  return channel.type === "webhook" ? Webhook.make(channel) : Slack.make(channel)
}

/** Makes each channel. */
export const make = (channels: ReadonlyArray<ChannelConfiguration>) =>
  Effect.forEach(channels, (channel) => makeOne(channel))
