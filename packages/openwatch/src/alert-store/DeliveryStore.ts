/**
 * The delivery store: what each channel is to have, and what became of sending it.
 *
 * A delivery is made with its alert (see `AlertStore`). Where no other alert says that an alert ended, its end is a delivery
 * of its own, made when the channel comes to it. That somebody looks after an alert is none: it is sent while it is so.
 */
import { Context, type DateTime, type Effect } from "effect"
import type { AlertChanged, AlertEnded, AlertRaised } from "../alert-router/AlertOutbox.ts"
import type { AlertStoreError, DeliveryState } from "./AlertStore.ts"

/** What a channel is told: an alert, or the end of one. */
export type Told = AlertRaised | AlertEnded

/** What is known of a delivery. */
export interface Due {
  readonly state: DeliveryState
  /** Since when the channel is to have it, in milliseconds since 1970. */
  readonly dueSince: number
  /** Why the last attempt failed. */
  readonly lastError: string | undefined
}

/** A delivery that was gathered to be sent together with others. */
export interface Gathered {
  readonly told: Told
  readonly dueSince: number
  /** In milliseconds since 1970. */
  readonly gatheredAt: number
}

/** What became of one more attempt. */
export interface Attempted {
  readonly state: DeliveryState
  readonly lastError?: string | undefined
}

/** What is due again of an alert. */
export interface Reopened {
  /** Each with its channels. */
  readonly told: ReadonlyArray<Told>
  /** Why something else that was given up is not, such as `is over`. */
  readonly refusal: string | undefined
}

/** Keeps deliveries. Once an operation has succeeded, what it stored survives the process and the machine's power. */
export class DeliveryStore extends Context.Service<DeliveryStore, {
  /**
   * What is known of a delivery; `undefined` where the channel is not to have it. One that was given up and is wanted again
   * (`isRequeued`) is due from now on, unless it is not true any more: see `reopen`.
   */
  readonly due: (
    told: Told,
    channel: string,
    options: { readonly publishedAt: DateTime.Utc; readonly isRequeued: boolean }
  ) => Effect.Effect<Due | undefined, AlertStoreError>
  /**
   * Holds an alert back from a channel that is to have it, if it is silenced or its host is in maintenance, and returns whether
   * it is held. A channel that was told of a problem is always told that it is over. A channel from which the problem was held
   * back is not told of its end either.
   */
  readonly hold: (told: Told, channel: string, isInMaintenance: boolean) => Effect.Effect<boolean, AlertStoreError>
  /** Whether an alert is still what it has become. */
  readonly isStill: (changed: AlertChanged) => Effect.Effect<boolean, AlertStoreError>
  /** Records one more attempt for each: all or none. */
  readonly recordAttempt: (
    told: ReadonlyArray<Told>,
    channel: string,
    attempted: Attempted
  ) => Effect.Effect<void, AlertStoreError>
  /** Has what is due wait to be sent together with others. */
  readonly gather: (told: Told, channel: string) => Effect.Effect<void, AlertStoreError>
  /** What is due to a channel and was gathered, in the order in which it was raised. */
  readonly gathered: (channel: string) => Effect.Effect<ReadonlyArray<Gathered>, AlertStoreError>
  /** When a channel was last sent something with success, in milliseconds since 1970. */
  readonly lastDeliveredAt: (channel: string) => Effect.Effect<number | undefined, AlertStoreError>
  /** Gives up what is due since a time or earlier to other channels than these. */
  readonly giveUpOthers: (
    channels: ReadonlyArray<string>,
    dueUntil: DateTime.Utc
  ) => Effect.Effect<void, AlertStoreError>
  /** The ids of the alerts of which a channel has given something up, in the order in which they were raised. */
  readonly givenUp: (channel: string) => Effect.Effect<ReadonlyArray<string>, AlertStoreError>
  /**
   * Makes what was given up of an alert, and of its end, due again from now on: for all channels, or for one. What is not true any
   * more stays given up: it would open an incident of a problem that is over, or close that of one that is not. Returns `undefined`
   * where no alert has this id. The last 12 characters of the id will do.
   */
  readonly reopen: (alertId: string, channel?: string) => Effect.Effect<Reopened | undefined, AlertStoreError>
}>()("@openwatch/openwatch/alert-store/DeliveryStore") {}
