/**
 * A channel: a way by which alerts reach people or their programs.
 *
 * A channel only makes one attempt to send. The router does the rest: time-outs, retries, counting.
 */
import { Context, Data, type Duration, Effect, Layer } from "effect"
import { type Alert, AllSeverities, type Severity } from "./Alert.ts"
import type { AlertChanged, AlertEnded, AlertRaised } from "./AlertOutbox.ts"

/** An alert could not be sent. The message is stored and shown, so it has no secret in it. */
export class ChannelError extends Data.TaggedError("ChannelError")<{
  readonly message: string
  /** Whether it may work later. */
  readonly isRetryable: boolean
  /** How long the receiver asked to be left alone. */
  readonly retryAfter?: Duration.Duration | undefined
}> {}

/** Which alerts a channel gets. */
export interface Routing {
  /** Unique among the channels. Deliveries are stored under it. */
  readonly name: string
  /** The tags, with their values, that an alert must have: all of them. If there are none, every alert has them. */
  readonly requiredTags: Readonly<Record<string, string>>
  /** How urgent an alert has to be. Default: any. */
  readonly minSeverity?: Severity | undefined
}

/** A way to send alerts. */
export interface AlertChannel extends Routing {
  /** Sends the alert once. It is interrupted if it takes too long. */
  readonly send: (alert: Alert) => Effect.Effect<void, ChannelError>
  /**
   * Sends once that an alert is over, if no other alert says so: for example when its host is no longer watched. A
   * channel without it does not tell.
   */
  readonly sendEnding?: (ending: AlertEnded) => Effect.Effect<void, ChannelError>
  /** Sends once that somebody looks after an alert, or has silenced it. A channel without it does not tell. */
  readonly sendChange?: (changed: AlertChanged) => Effect.Effect<void, ChannelError>
  /** How several alerts are sent as one message. Default: each alert is sent by itself. */
  readonly grouping?: Grouping | undefined
}

/** How a channel sends several at a time. */
export interface Grouping {
  /** How long the first alert waits for others. */
  readonly wait: Duration.Duration
  /** The least time between two messages. */
  readonly interval: Duration.Duration
  /** Sends these once, in the order in which they were raised. There is at least one. */
  readonly send: (told: ReadonlyArray<AlertRaised | AlertEnded>) => Effect.Effect<void, ChannelError>
}

/** Whether a channel wants an alert. */
export const wants = ({ minSeverity = "info", requiredTags }: Routing, { severity, tags }: Alert): boolean =>
  AllSeverities.indexOf(severity) <= AllSeverities.indexOf(minSeverity) &&
  Object.entries(requiredTags).every(([tag, value]) => Object.hasOwn(tags, tag) && tags[tag] === value)

/** The channels that alerts are sent to. */
export class AlertChannels extends Context.Service<AlertChannels, ReadonlyArray<AlertChannel>>()(
  "@openwatch/openwatch/alert-router/AlertChannels"
) {
  /** Provides these channels. No two may have the same name. */
  static readonly layer = <R = never>(
    channels: ReadonlyArray<AlertChannel> | Effect.Effect<ReadonlyArray<AlertChannel>, never, R>
  ): Layer.Layer<AlertChannels, never, R> =>
    Layer.effect(
      AlertChannels,
      (Effect.isEffect(channels) ? channels : Effect.succeed(channels)).pipe(
        Effect.tap((channels) => {
          const names = channels.map(({ name }) => name)
          const twice = names.find((name, index) => names.indexOf(name) !== index)
          return twice === undefined ? Effect.void : Effect.die(new Error(`two alert channels are named "${twice}"`))
        })
      )
    )
}
