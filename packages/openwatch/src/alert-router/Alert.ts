/**
 * An alert: what an event means to the people who run the fleet, and how urgent it is.
 *
 * Everything here is pure: which event raises which alert, which alerts it ends, and when two alerts are the same.
 */
import { DateTime, Schema } from "effect"
import { ChangedRules, type DriftDetected, SeverityCounts } from "../events/DriftDetected.ts"
import { changeOf, type HeartbeatPulse, Reason } from "../events/HeartbeatPulse.ts"
import { HostId } from "../events/HostId.ts"
import { describe as describeHost, NamedHost } from "../events/NamedHost.ts"
import { describe as describeSeries, keyOf, Series } from "../events/Series.ts"
import type { SystemEventBus } from "../events/SystemEventBus.ts"
import { type AlertState, isOpen } from "./Lifecycle.ts"

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

/** The tags that every alert has, beside those of its host. Only drift alerts have `score_delta`. */
export const AllAlertTags = ["severity", "alert_type", "host_id", "host", "score_delta"] as const

/**
 * Returns the state in which an alert of a severity begins. An alert of severity `info` asks nobody to do anything. So
 * it is never open, and is stored as resolved.
 */
export const initialState = (severity: Severity): AlertState => severity === "info" ? "resolved" : "active"

/** How the score of a series moved. */
export const AlertDrift = Schema.Struct({
  series: Schema.optionalKey(Series),
  /** In percent. */
  priorScore: Schema.Finite,
  currentScore: Schema.Finite,
  /** In percentage points. */
  scoreDelta: Schema.Finite,
  /** The score from which it first fell, and to which it has not come back. */
  fellFrom: Schema.optionalKey(Schema.Finite),
  becameFailing: SeverityCounts,
  becamePassing: SeverityCounts,
  rules: Schema.optionalKey(ChangedRules)
})

/**
 * Why an alert that is still open is sent late, or again: its silence is over, the maintenance of its host is over, or
 * nobody has looked after it for long.
 */
export const Again = Schema.Literals(["silence", "maintenance", "reminder"])

/** Why an alert that is still open is sent late, or again. */
export type Again = typeof Again.Type

/** An alert, as channels get it. */
export class Alert extends Schema.Class<Alert>("Alert")({
  /** A UUIDv7 (RFC 9562 section 5.7). The same alert has the same id however often it is sent. */
  id: Schema.String.check(Schema.isUUID()),
  type: AlertType,
  severity: Severity,
  hostId: HostId,
  /** What people call the host. */
  host: Schema.optionalKey(NamedHost),
  /** One line that tells people what happened, to which host, and why. */
  title: Schema.String,
  /**
   * The key, `type` + bar + `host` + bar + `rule`. Two alerts with the same key tell of the same thing. The rule is the
   * series of a drift, or `flapping`.
   */
  dedupKey: Schema.String,
  /**
   * The problem that it is of. Alerts that end it, or take its place, have the same, also where the host has been renamed meanwhile.
   */
  problem: Schema.optionalKey(Schema.String),
  /** Why the host does not answer. */
  reason: Schema.optionalKey(Reason),
  /** How the score moved. */
  drift: Schema.optionalKey(AlertDrift),
  /** The id of the alert that this one ends. */
  resolves: Schema.optionalKey(Schema.String),
  /** The id of the alert whose place this one takes. It is of the same problem, which has become worse. */
  supersedes: Schema.optionalKey(Schema.String),
  /** The page that shows its host, if that is known. */
  link: Schema.optionalKey(Schema.String),
  /**
   * The tags by which channels are chosen: those of the host in the inventory, `severity`, `alert_type`, `host_id`,
   * `host`, and for drift `score_delta`, in points.
   */
  tags: Schema.Record(Schema.String, Schema.String),
  /** Why it is sent late, or again: see `Again`. */
  again: Schema.optionalKey(Again),
  /** Since when it is to be sent late, or again. By this, reminders of one alert differ. */
  againAt: Schema.optionalKey(Schema.DateTimeUtc),
  /** When what it tells of happened, by the event. */
  occurredAt: Schema.DateTimeUtc
}) {}

/** What the title of such an alert begins with. */
export const stillOpen: { readonly [A in Again]: string } = {
  silence: "Still open after a silence",
  maintenance: "Still open after maintenance",
  reminder: "Still open"
}

/** Returns the alert as it is sent late, or again, since a time. */
export const again = (alert: Alert, why: Again, at: DateTime.Utc): Alert =>
  new Alert(Object.assign({}, alert, { again: why, againAt: at, title: `${stillOpen[why]}: ${alert.title}` }))

/** The open alerts of one host that an event ends. */
export interface Ending {
  readonly types: ReadonlyArray<AlertType>
  /** Only those with this third part of the key. Default: all. */
  readonly rule?: string | undefined
}

/** What follows from an event. */
export interface Consequence {
  /** The alert to be raised. */
  readonly alert: Alert | undefined
  /** The third part of its key. */
  readonly rule: string
  /** The alerts that are over. */
  readonly ends: Ending | undefined
  /**
   * Whether the alert is of the same problem as those that it ends. If so, the problem goes on, and the alert takes
   * their place.
   */
  readonly isWorse: boolean
  /** The alerts that could be ended by one like this. If such an alert was raised meanwhile, this one is no repeat. */
  readonly couldEnd: Ending | undefined
}

/** The problem of an alert: `unreachable|host`, or `drift|host|series`. */
export const problemOf = (type: AlertType, hostId: HostId, rule: string): string =>
  type.startsWith("host_") ? `unreachable|${hostId}` : `drift|${hostId}|${rule}`

/** The third part of the key of an alert about a host that is flapping. */
export const flappingRule = "flapping"

const drifts: ReadonlyArray<AlertType> = ["drift_major", "drift_minor"]

const rounded = (points: number): string => String(Math.round(points * 100) / 100)

/** What is told of an event. Nothing, if there is no type. */
interface Told extends Omit<Consequence, "alert"> {
  readonly type: AlertType | undefined
  readonly title: string
}

const nothing: Told = { type: undefined, title: "", rule: "", ends: undefined, isWorse: false, couldEnd: undefined }

const tellPulse = (event: HeartbeatPulse, host: string): Told => {
  const change = changeOf(event)
  const hostAlerts: Ending = { types: ["host_unreachable"] }
  const why = event.reason === undefined ? "" : `: ${event.reason.text}`
  if (change === "removed") return { ...nothing, ends: { types: AllAlertTypes } }
  if (change === "flapping") {
    return {
      type: "host_unreachable",
      title: `${host} is flapping: it keeps changing, and is ${
        event.reachable ? "reachable" : "unreachable"
      } now${why}`,
      rule: flappingRule,
      ends: { types: ["host_unreachable"], rule: "" },
      isWorse: true,
      couldEnd: undefined
    }
  }
  if (!event.reachable) {
    return {
      type: "host_unreachable",
      title: `${host} is unreachable${why}`,
      rule: "",
      ends: change === "steady" ? { types: ["host_unreachable"], rule: flappingRule } : undefined,
      isWorse: true,
      couldEnd: undefined
    }
  }
  return event.priorReachable === false || change === "steady"
    ? {
      type: "host_recovered",
      title: `${host} is ${change === "steady" ? "reachable, and steady again" : "reachable again"}`,
      rule: "",
      ends: hostAlerts,
      isWorse: false,
      couldEnd: hostAlerts
    }
    : nothing
}

const tellDrift = (event: DriftDetected, host: string): Told => {
  const isBetter = event.driftType === "improvement"
  const rule = event.series === undefined ? "" : keyOf(event.series)
  const series = event.series === undefined ? "" : ` in ${describeSeries(event.series)}`
  const verb = isBetter ? "improved" : `drifted (${event.driftType})`
  const sign = event.scoreDelta > 0 ? "+" : ""
  // An event of an earlier version does not say; there every improvement ended what was open.
  const isBack = event.isBack ?? true
  const open: Ending = { types: drifts, rule }
  return {
    type: `drift_${event.driftType}`,
    title: `${host} ${verb}${series}: ${rounded(event.priorScore)} to ${rounded(event.currentScore)} ` +
      `(${sign}${rounded(event.scoreDelta)} points)${
        isBetter && isBack && event.fellFrom !== undefined ? ", and is back" : ""
      }`,
    rule,
    ends: (isBetter ? isBack : event.series !== undefined) ? open : undefined,
    isWorse: !isBetter,
    couldEnd: isBetter ? open : undefined
  }
}

/**
 * Returns what follows from an event. `hostLabel` is the name of its host, for events of an earlier version, which do
 * not have it. `hostTags` are the tags of its host. `link` is the page that shows it.
 */
export const fromEvent = (
  event: Event,
  options: {
    readonly id: string
    readonly hostLabel: string
    readonly hostTags?: Readonly<Record<string, string>> | undefined
    readonly link?: string | undefined
  }
): Consequence => {
  const label = event.host === undefined ? options.hostLabel : describeHost(event.host)
  const told = event._tag === "HeartbeatPulse" ? tellPulse(event, label) : tellDrift(event, label)
  const { title, type, ...consequence } = told
  if (type === undefined) return { ...consequence, alert: undefined }
  const severity = severityOf[type]
  const alert = new Alert({
    id: options.id,
    type,
    severity,
    hostId: event.hostId,
    ...(event.host === undefined ? {} : { host: event.host }),
    title,
    dedupKey: `${type}|${event.hostId}|${consequence.rule}`,
    problem: problemOf(type, event.hostId, consequence.rule),
    ...(event._tag === "HeartbeatPulse"
      ? event.reason === undefined ? {} : { reason: event.reason }
      : { drift: driftOf(event) }),
    ...(options.link === undefined ? {} : { link: options.link }),
    tags: {
      ...options.hostTags,
      severity,
      alert_type: type,
      host_id: event.hostId,
      host: event.host?.name ?? options.hostLabel,
      ...(event._tag === "DriftDetected" ? { score_delta: rounded(event.scoreDelta) } : {})
    },
    occurredAt: event.occurredAt
  })
  return { ...consequence, alert }
}

const driftOf = (
  { becameFailing, becamePassing, currentScore, fellFrom, priorScore, rules, scoreDelta, series }: DriftDetected
): typeof AlertDrift.Type => ({
  ...(series === undefined ? {} : { series }),
  priorScore,
  currentScore,
  scoreDelta,
  ...(fellFrom === undefined ? {} : { fellFrom }),
  becameFailing,
  becamePassing,
  ...(rules === undefined ? {} : { rules })
})

/** The last stored alert with the same key, as deduplication looks at it. */
export interface Previous {
  readonly state: AlertState
  readonly occurredAt: DateTime.Utc
  /** Whether an alert that it could end was raised after it. */
  readonly isRaisedAgain: boolean
}

/**
 * Whether an alert that ends nothing only repeats the previous one. It does if it follows within the time to live, in
 * milliseconds, and the problem of the previous one has not ended since.
 *
 * If a clock was set back, an alert may be older than the previous one. Only the distance between the two counts. So
 * repeats are muted for no longer than the time to live.
 */
export const isRepeat = (alert: Alert, previous: Previous, timeToLive: number): boolean => {
  const distance = Math.abs(DateTime.toEpochMillis(alert.occurredAt) - DateTime.toEpochMillis(previous.occurredAt))
  const hasEnded = alert.severity === "info" ? previous.isRaisedAgain : !isOpen(previous.state)
  return distance < timeToLive && !hasEnded
}
