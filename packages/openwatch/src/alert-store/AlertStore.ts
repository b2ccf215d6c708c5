/**
 * The alert store: every alert there was, and what became of sending it.
 */
import { Context, Data, type Duration, type Effect, type Option } from "effect"
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
  /** The names of the channels that the alert is for. */
  readonly channels: ReadonlyArray<string>
  /** For how long the alert's repeats are muted. */
  readonly timeToLive: Duration.Duration
}

/**
 * What became of a submission: the alert is stored; it only repeats one that is (which now counts one more repeat); its
 * event was submitted before; there was none.
 */
export type Outcome = "stored" | "repeat" | "duplicate" | "none"

/** `pending` until it is `delivered` or, after too many attempts or a final refusal, `given_up`. */
export type DeliveryState = "pending" | "delivered" | "given_up"

/** An alert that a channel is still to get. */
export interface PendingDelivery {
  readonly alert: Alert
  readonly channel: string
  /** Attempts that failed so far. */
  readonly attempts: number
}

/** What became of one more attempt. */
export interface Attempted {
  readonly alertId: string
  readonly channel: string
  readonly state: DeliveryState
  /** All attempts so far. */
  readonly attempts: number
  /** Why the last one failed. */
  readonly lastError: string | undefined
}

/** An alert, and what became of it. */
export interface StoredAlert {
  readonly alert: Alert
  readonly state: AlertState
  readonly resolvedAt: DateTime.Utc | undefined
  /** How many times it was raised again within its time to live. */
  readonly repeats: number
  /** In the order of the channels' names. */
  readonly deliveries: ReadonlyArray<Omit<Attempted, "alertId">>
}

/** Keeps alerts. Once an operation has succeeded, what it stored survives the process and the machine's power. */
export class AlertStore extends Context.Service<AlertStore, {
  /**
   * In one transaction: resolves what ends; decides whether the alert is a repeat, which one that ends another never is;
   * stores it if not, with its deliveries pending; and records that the event needs no announcing any more. An event that
   * was decided on before changes nothing, whatever came since.
   */
  readonly submit: (submission: Submission) => Effect.Effect<Outcome, AlertStoreError>
  /** The oldest alert that the channel is still to get. */
  readonly nextDelivery: (channel: string) => Effect.Effect<Option.Option<PendingDelivery>, AlertStoreError>
  /** Records an attempt. */
  readonly recordAttempt: (attempted: Attempted) => Effect.Effect<void, AlertStoreError>
  /** The alerts, newest first, that have this state and did not occur before this time. */
  readonly list: (
    filter?: { readonly state?: AlertState | undefined; readonly since?: DateTime.Utc | undefined }
  ) => Effect.Effect<ReadonlyArray<StoredAlert>, AlertStoreError>
}>()("@openwatch/openwatch/alert-store/AlertStore") {}
