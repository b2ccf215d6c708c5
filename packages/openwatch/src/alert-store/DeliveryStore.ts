/**
 * The delivery store: what each channel is to have, and what became of sending it.
 *
 * A delivery is made with its alert (see `AlertStore`). If no other alert says that an alert ended, its end is a
 * delivery of its own. It is made when the channel comes to it. That an alert was acknowledged or silenced is no
 * delivery. It is sent as long as it is true.
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
   * Returns what is known of a delivery. `undefined` if the channel is not to have it. If it was given up and is wanted
   * again (`isRequeued`), it is due from now on, unless it is no longer true (see `reopen`).
   */
  readonly due: (
    told: Told,
    channel: string,
    options: { readonly publishedAt: DateTime.Utc; readonly isRequeued: boolean }
  ) => Effect.Effect<Due | undefined, AlertStoreError>
  /**
   * Holds an alert back from a channel if the alert is silenced or its host is in maintenance. Returns whether it is
   * held. A channel that was told of a problem is always told of its end. A channel from which the problem was held
   * back is not.
   */
  readonly hold: (told: Told, channel: string, isInMaintenance: boolean) => Effect.Effect<boolean, AlertStoreError>
  /** Whether an alert is still what it has become. */
  readonly isStill: (changed: AlertChanged) => Effect.Effect<boolean, AlertStoreError>
  /** Records one more attempt for each of these: all or none. `tell` runs in the same transaction. */
  readonly recordAttempt: <E = never, R = never>(
    told: ReadonlyArray<Told>,
    channel: string,
    attempted: Attempted,
    tell?: Effect.Effect<void, E, R>
  ) => Effect.Effect<void, AlertStoreError | E, R>
  /** Marks what is due to wait, until it is sent together with others. */
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
   * Makes what was given up of an alert, and of its end, due again from now on: for all channels, or for one. What is
   * no longer true stays given up. It would open an incident of a problem that is over, or close that of one that is
   * not. Returns `undefined` if no alert has this id. The last 12 characters of the id are enough. `tell` runs in the
   * same transaction.
   */
  readonly reopen: <E, R>(
    alertId: string,
    channel: string | undefined,
    tell: (told: ReadonlyArray<Told>) => Effect.Effect<void, E, R>
  ) => Effect.Effect<Reopened | undefined, AlertStoreError | E, R>
}>()("@openwatch/openwatch/alert-store/DeliveryStore") {}
