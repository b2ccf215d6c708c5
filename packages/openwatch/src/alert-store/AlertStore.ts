/**
 * The alert store: every alert there was, and what became of sending it.
 */
import { Context, Data, type Duration, type Effect } from "effect"
import type { DateTime } from "effect"
import type * as SqlError from "effect/sql/SqlError"
import type { Again, Alert, Consequence, Event, Severity } from "../alert-router/Alert.ts"
import type { How } from "../alert-router/AlertOutbox.ts"
import type { Action, AlertState } from "../alert-router/Lifecycle.ts"

/** The database has failed. The store has changed nothing. */
export type AlertStoreError = SqlError.SqlError

/** What was asked cannot be done with the named alerts. Nothing was changed. */
export class AlertsRefused extends Data.TaggedError("AlertsRefused")<{
  /** What is wrong with which alert. There is at least one. */
  readonly problems: ReadonlyArray<{ readonly id: string; readonly problem: string; readonly isUnknown: boolean }>
}> {
  override get message(): string {
    return this.problems.map(({ id, problem }) => `alert ${id} ${problem}`).join("\n")
  }
}

/** What the store is to store: an event, and what follows from it. */
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

/** An alert that is over, and the names of the channels that have it, or are to have it. */
export interface Ended extends Routed {
  readonly how: How
  /** Who has ended it: somebody by name, or `openwatch`. */
  readonly who: string
  /** In words. */
  readonly why: string
  /** The id of the alert that tells of the end, if there is one. */
  readonly toldBy?: string
}

/** What channels are to be told of alerts. */
export interface Telling {
  readonly ended: ReadonlyArray<Ended>
  /** Those that are raised, or sent late, or again. */
  readonly raised: ReadonlyArray<Routed>
  /** Those that somebody looks after, or has silenced. */
  readonly changed: ReadonlyArray<Routed & { readonly to: "acknowledged" | "silenced" }>
}

/** What somebody does with alerts, and why. */
export interface Change {
  readonly action: Action
  /** Their name. */
  readonly who: string
  /** In words. Empty if they say nothing. */
  readonly why: string
  /** Until when a silence lasts. Default: until somebody ends it. */
  readonly until?: DateTime.Utc | undefined
}

/** An alert that somebody has changed. */
export interface Changed {
  readonly alert: Alert
  readonly from: AlertState
  readonly to: AlertState
}

/** One change of an alert. */
export interface Transition {
  readonly from: AlertState
  readonly to: AlertState
  readonly at: DateTime.Utc
  readonly who: string
  readonly why: string
  /** Until when it is silenced. `undefined` if it is not, or if nobody said until when. */
  readonly until: DateTime.Utc | undefined
}

/** What became of a submission. */
export interface Submitted {
  /**
   * `"stored"`: the alert is stored. `"repeat"`: it repeats a stored one, which counts the repeat. `"none"`: the event
   * raised no alert.
   */
  readonly outcome: "stored" | "repeat" | "none"
  /** The alert as it is stored. If it ends another, it is also for the channels of that one. */
  readonly raised: Routed | undefined
  readonly ended: ReadonlyArray<Ended>
}

/**
 * A delivery is `pending` until it is `delivered` or, after too long a time or a final refusal, `given_up`. It is
 * `held` while the alert is silenced or its host is in maintenance. If the alert is over before that ends, the delivery
 * is `withheld` for ever.
 */
export type DeliveryState = "pending" | "held" | "delivered" | "given_up" | "withheld"

/** How far an alert, or its end, has come on its way to a channel. */
export interface Delivery {
  readonly channel: string
  readonly state: DeliveryState
  /** All attempts so far. */
  readonly attempts: number
  /** Why the last one failed. */
  readonly lastError: string | undefined
  /** Whether this is the delivery of the alert's end. */
  readonly isEnding?: true
}

/** An alert, and what became of it. */
export interface StoredAlert {
  readonly alert: Alert
  readonly state: AlertState
  /** Until when it is silenced. `undefined` if it is not, or if the silence lasts until somebody ends it. */
  readonly silencedUntil: DateTime.Utc | undefined
  /** Since when it is over. */
  readonly resolvedAt: DateTime.Utc | undefined
  /** How often it was raised again within its time to live. */
  readonly repeats: number
  /** In the order of the channels' names. */
  readonly deliveries: ReadonlyArray<Delivery>
}

/** Which alerts to list. Default: all. */
export interface Filter {
  readonly states?: ReadonlyArray<AlertState> | undefined
  readonly severities?: ReadonlyArray<Severity> | undefined
  /** Of the host with this id or name. */
  readonly host?: string | undefined
  /** Those that occurred at this time or later. */
  readonly since?: DateTime.Utc | undefined
  /** At most so many, the first. */
  readonly limit?: number | undefined
  /**
   * Which come first: the `newest` (the default) or the `worst`. The worst are the open ones, the most severe first.
   * Then come those that are over. Among equals the newest comes first.
   */
  readonly order?: "newest" | "worst" | undefined
}

/** An open alert that is to be sent late, or again. */
export interface DueAgain {
  readonly alert: Alert
  readonly why: Again
}

/** Keeps alerts. Once an operation has succeeded, what it stored survives the process and the machine's power. */
export class AlertStore extends Context.Service<AlertStore, {
  /**
   * Resolves the alerts that the event ends. Then stores its alert with pending deliveries or, if it is a repeat,
   * counts it. An alert that ends another is never a repeat. To be run in a transaction, once for each event.
   */
  readonly submit: (submission: Submission) => Effect.Effect<Submitted, AlertStoreError>
  /** The alerts, in the order of the filter. */
  readonly list: (filter?: Filter) => Effect.Effect<ReadonlyArray<StoredAlert>, AlertStoreError>
  /**
   * Changes the state of alerts: of all of them or, if one cannot be changed, of none. An id may be the whole id, or
   * its last 12 characters. `tell` runs in the same transaction.
   */
  readonly change: <E, R>(
    ids: ReadonlyArray<string>,
    change: Change,
    tell: (telling: Telling) => Effect.Effect<void, E, R>
  ) => Effect.Effect<ReadonlyArray<Changed>, AlertsRefused | AlertStoreError | E, R>
  /**
   * The open alerts whose silence is over, those that were held back for another reason, and those that are active and were told
   * at this time or earlier.
   */
  readonly dueAgain: (toldUntil: DateTime.Utc | undefined) => Effect.Effect<ReadonlyArray<DueAgain>, AlertStoreError>
  /**
   * Ends the silence of an alert that is due again, makes its deliveries due, and runs `tell` in the same transaction.
   * Does nothing if the alert is no longer due.
   */
  readonly tellAgain: <E, R>(
    due: DueAgain,
    tell: (telling: Telling) => Effect.Effect<void, E, R>
  ) => Effect.Effect<void, AlertStoreError | E, R>
  /** The changes of an alert, oldest first. Empty if it is as it was raised. */
  readonly history: (id: string) => Effect.Effect<ReadonlyArray<Transition>, AlertsRefused | AlertStoreError>
}>()("@openwatch/openwatch/alert-store/AlertStore") {}
