/**
 * The alert store: every alert there was, and what became of sending it.
 */
import { Context, Data, type Duration, type Effect } from "effect"
import type { DateTime } from "effect"
import type { Alert, AlertState, Consequence, Event } from "../alert-router/Alert.ts"

/** The store could not do what was asked, and has done nothing of it. */
export class AlertStoreError extends Data.TaggedError("AlertStoreError")<{
  readonly message: string
  /** `false` when the same request can never work; a database that is away, locked or full may work later. */
  readonly isRetryable: boolean
  readonly cause: unknown
}> {}

/** What the store is asked to take in: an event, and what follows from it. */
export interface Submission extends Consequence {
  readonly event: Event
  /** The names of the channels that want the alert. */
  readonly channels: ReadonlyArray<string>
  /** For how long the alert's repeats are muted. */
  readonly timeToLive: Duration.Duration
}

/** An alert, and the names of the channels that are to have it, or have it. */
export interface Routed {
  readonly alert: Alert
  readonly channels: ReadonlyArray<string>
}

/** What became of a submission. */
export interface Submitted {
  /** The alert is stored; it only repeats one that is (which now counts one more repeat); there was none. */
  readonly outcome: "stored" | "repeat" | "none"
  /** As it is stored. What ends an alert is for the channels of that one, too. */
  readonly raised: Routed | undefined
  readonly ended: ReadonlyArray<Routed>
}

/** `pending` until it is `delivered` or, after too long a time or a final refusal, `given_up`. */
export type DeliveryState = "pending" | "delivered" | "given_up"

/** What is known of the way of an alert, or of its end, to a channel. */
export interface Delivery {
  readonly channel: string
  readonly state: DeliveryState
  /** All attempts so far. */
  readonly attempts: number
  /** Why the last one failed. */
  readonly lastError: string | undefined
  /** Where it is that of the alert's end, of which no other alert tells. */
  readonly isEnding?: true
}

/** An alert, and what became of it. */
export interface StoredAlert {
  readonly alert: Alert
  readonly state: AlertState
  readonly resolvedAt: DateTime.Utc | undefined
  /** How many times it was raised again within its time to live. */
  readonly repeats: number
  /** In the order of the channels' names. */
  readonly deliveries: ReadonlyArray<Delivery>
}

/** Keeps alerts. Once an operation has succeeded, what it stored survives the process and the machine's power. */
export class AlertStore extends Context.Service<AlertStore, {
  /**
   * Resolves what ends; decides whether the alert is a repeat, which one that ends another never is; stores it if not, with
   * its deliveries pending. To be run in a transaction, once for an event.
   */
  readonly submit: (submission: Submission) => Effect.Effect<Submitted, AlertStoreError>
  /** The alerts, newest first, that have this state and did not occur before this time. */
  readonly list: (
    filter?: { readonly state?: AlertState | undefined; readonly since?: DateTime.Utc | undefined }
  ) => Effect.Effect<ReadonlyArray<StoredAlert>, AlertStoreError>
}>()("@openwatch/openwatch/alert-store/AlertStore") {}
