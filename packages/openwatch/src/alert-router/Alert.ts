/**
 * An alert: what an event means to the people who run the fleet, and how urgent it is.
 *
 * Everything here is pure: which event gives which alert, which alerts it resolves, and what makes two alerts the same.
 */
import { DateTime, Schema } from "effect"
import { HostId } from "../events/HostId.ts"
import type { SystemEventBus } from "../events/SystemEventBus.ts"

/** An event of the bus. */
export type Event = typeof SystemEventBus.Event.Type

/** How urgent an alert is, the most urgent first: a closed set of five. */
export const AllSeverities = ["critical", "high", "medium", "low", "info"] as const

/** How urgent an alert is. */
export const Severity = Schema.Literals(AllSeverities)

/** How urgent an alert is. */
export type Severity = typeof Severity.Type

/** What an alert is about: a closed set of five. */
export const AllAlertTypes = [
  "host_unreachable",
  "host_recovered",
  "drift_major",
  "drift_minor",
  "drift_improvement"
] as const

/** What an alert is about. */
export const AlertType = Schema.Literals(AllAlertTypes)

/** What an alert is about. */
export type AlertType = typeof AlertType.Type

/** The severity of each type. */
export const severityOf: { readonly [T in AlertType]: Severity } = {
  host_unreachable: "high",
  host_recovered: "info",
  drift_major: "high",
  drift_minor: "medium",
  drift_improvement: "info"
}

/** The types whose open alerts, of the same host, an alert of this type resolves. */
export const resolvedBy: { readonly [T in AlertType]: ReadonlyArray<AlertType> } = {
  host_unreachable: [],
  host_recovered: ["host_unreachable"],
  drift_major: [],
  drift_minor: [],
  drift_improvement: ["drift_major", "drift_minor"]
}

/**
 * Whether an alert needs somebody until it is resolved. An alert of severity `info` does not: it is never open, and is
 * stored as resolved.
 */
export type AlertState = "active" | "resolved"

/** The state in which an alert of a severity begins. */
export const initialState = (severity: Severity): AlertState => severity === "info" ? "resolved" : "active"

/** An alert, as channels get it. */
export class Alert extends Schema.Class<Alert>("Alert")({
  /** A UUIDv7 (RFC 9562 section 5.7). The same alert has the same id however often it is sent. */
  id: Schema.String.check(Schema.isUUID()),
  type: AlertType,
  severity: Severity,
  hostId: HostId,
  /** One line that tells people what happened, and to which host. */
  title: Schema.String,
  /** What channels are chosen by: `severity`, `alert_type`, `host_id`, and for drift `score_delta`, in points. */
  tags: Schema.Record(Schema.String, Schema.String),
  /** When what it tells of happened, by the event. */
  occurredAt: Schema.DateTimeUtc
}) {}

/** `type|host|rule`: two alerts with one key tell of the same thing. No type has a rule yet, so that part is empty. */
export const dedupKey = (alert: Alert): string => `${alert.type}|${alert.hostId}|`

const typeOf = (event: Event): AlertType | undefined => {
  if (event._tag === "DriftDetected") return `drift_${event.driftType}`
  if (!event.reachable) return "host_unreachable"
  return event.priorReachable === false ? "host_recovered" : undefined
}

const rounded = (points: number): string => String(Math.round(points * 100) / 100)

const titleOf = (event: Event, host: string): string => {
  if (event._tag === "HeartbeatPulse") return `${host} is ${event.reachable ? "reachable again" : "unreachable"}`
  const verb = event.driftType === "improvement" ? "improved" : `drifted (${event.driftType})`
  const sign = event.scoreDelta > 0 ? "+" : ""
  return `${host} ${verb}: ${rounded(event.priorScore)} to ${rounded(event.currentScore)} ` +
    `(${sign}${rounded(event.scoreDelta)} points)`
}

/** The alert that an event gives, if it gives one. `host` is what people call the event's host. */
export const fromEvent = (event: Event, options: { readonly id: string; readonly host: string }): Alert | undefined => {
  const type = typeOf(event)
  if (type === undefined) return undefined
  const severity = severityOf[type]
  return new Alert({
    id: options.id,
    type,
    severity,
    hostId: event.hostId,
    title: titleOf(event, options.host),
    tags: {
      severity,
      alert_type: type,
      host_id: event.hostId,
      ...(event._tag === "DriftDetected" ? { score_delta: rounded(event.scoreDelta) } : {})
    },
    occurredAt: event.occurredAt
  })
}

/** The last stored alert with the same key, as deduplication looks at it. */
export interface Previous {
  readonly state: AlertState
  readonly occurredAt: DateTime.Utc
  /** Whether an alert that it resolves was raised after it. */
  readonly isRaisedAgain: boolean
}

/**
 * Whether an alert only repeats the previous one: it follows within the time to live, in milliseconds, and what the
 * previous one told of has not ended since.
 *
 * A clock that was set back gives an alert that is older than the previous one. As distance is what counts, it mutes
 * repeats for no longer than the time to live.
 */
export const isRepeat = (alert: Alert, previous: Previous, timeToLive: number): boolean => {
  const distance = Math.abs(DateTime.toEpochMillis(alert.occurredAt) - DateTime.toEpochMillis(previous.occurredAt))
  const hasEnded = alert.severity === "info" ? previous.isRaisedAgain : previous.state === "resolved"
  return distance < timeToLive && !hasEnded
}
