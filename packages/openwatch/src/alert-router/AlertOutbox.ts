/**
 * What becomes of alerts, as events that must not be lost. Each is stored in the transaction that changes the alert.
 * Every channel is a consumer of them.
 */
import { EventBus } from "@openwatch/event-bus"
import { Outbox } from "@openwatch/event-bus-sql"
import { Schema } from "effect"
import { Alert } from "./Alert.ts"

/** The names of the channels that an event is for. This is decided when it is stored. */
const Channels = Schema.Array(Schema.String)

/** An alert was raised. */
export class AlertRaised extends Schema.TaggedClass<AlertRaised>()("AlertRaised", {
  alert: Alert,
  channels: Channels,
  occurredAt: Schema.DateTimeUtc
}) {}

/**
 * How an alert ended: the host or the score has recovered, another alert of the same problem has taken its place, its
 * host is no longer watched, or somebody has resolved or dismissed it.
 */
export const How = Schema.Literals(["recovered", "superseded", "removed", "resolved", "dismissed"])

/** How an alert ended. */
export type How = typeof How.Type

/** An alert is over. */
export class AlertEnded extends Schema.TaggedClass<AlertEnded>()("AlertEnded", {
  alert: Alert,
  how: How,
  /** Who has ended it: somebody by name, or `openwatch`. */
  who: Schema.String,
  /** In words. */
  why: Schema.String,
  /** The id of the alert that tells of the end, if there is one. */
  toldBy: Schema.optionalKey(Schema.String),
  /** The channels that have the alert, or were to have it. None if another alert tells them. */
  channels: Channels,
  occurredAt: Schema.DateTimeUtc
}) {}

/** Somebody has acknowledged or silenced an alert. */
export class AlertChanged extends Schema.TaggedClass<AlertChanged>()("AlertChanged", {
  alert: Alert,
  to: Schema.Literals(["acknowledged", "silenced"]),
  /** The channels that have the alert, or were to have it. */
  channels: Channels,
  occurredAt: Schema.DateTimeUtc
}) {}

/** The bus of what becomes of alerts. */
export class AlertBus extends EventBus.Service<AlertBus>()("@openwatch/AlertBus", {
  events: [AlertRaised, AlertEnded, AlertChanged]
}) {}

/** The outbox of the events of `AlertBus`. Events of one host keep their order. */
export class AlertOutbox extends Outbox.Service<AlertOutbox>()("@openwatch/AlertOutbox", {
  bus: AlertBus,
  keys: ({ alert }) => alert.hostId
}) {}
