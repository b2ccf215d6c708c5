/**
 * A channel: a way by which alerts reach people or their programs.
 *
 * A channel only knows how to send once. Time-outs, retries and counting are the router's.
 */
import { Context, Data, type Duration, Effect, Layer } from "effect"
import { type Alert, AllSeverities, type Severity } from "./Alert.ts"
import type { AlertChanged, AlertEnded, AlertRaised } from "./AlertOutbox.ts"

/** An alert could not be sent. The message is stored and shown: it holds no secret. */
export class ChannelError extends Data.TaggedError("ChannelError")<{
  readonly message: string
  /** Whether it may work later. */
  readonly isRetryable: boolean
  /** How long the receiver asked to be left alone. */
  readonly retryAfter?: Duration.Duration | undefined
}> {}

/** Which alerts a channel gets. */
export interface Routing {
  /** Unique among the channels; what was and was not delivered is stored under it. */
  readonly name: string
  /** Tags that an alert must have, all of them, with these values. None: every alert. */
  readonly requiredTags: Readonly<Record<string, string>>
  /** How urgent an alert has to be; where there is none, any is urgent enough. */
  readonly minSeverity?: Severity | undefined
}

/** A way to send alerts. */
export interface AlertChannel extends Routing {
  /** Sends the alert once. May be interrupted when it takes too long. */
  readonly send: (alert: Alert) => Effect.Effect<void, ChannelError>
  /**
   * Sends once that an alert is over of which no other alert tells, as when its host is not watched any more. A channel without
   * it does not tell.
   */
  readonly sendEnding?: (ending: AlertEnded) => Effect.Effect<void, ChannelError>
  /** Sends once that somebody looks after an alert, or has silenced it. A channel without it does not tell. */
  readonly sendChange?: (changed: AlertChanged) => Effect.Effect<void, ChannelError>
  /** Where what comes within a while is sent as one message. */
  readonly grouping?: Grouping | undefined
}

/** How a channel sends several at a time. */
export interface Grouping {
  /** How long to wait for more from the first on. */
  readonly wait: Duration.Duration
  /** The least time between two messages. */
  readonly interval: Duration.Duration
  /** Sends once what is told: never nothing, in the order in which it was raised. */
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
  /** These channels, no two with one name. */
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
