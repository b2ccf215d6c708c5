/**
 * What people are told, in words: of one alert, or of all that came within a while. Each channel that people read
 * formats it in its own way.
 */
import type { DateTime } from "effect"
import { type Again, type Alert, AllSeverities, flappingRule, type Severity, stillOpen } from "../alert-router/Alert.ts"
import type { AlertEnded, AlertRaised } from "../alert-router/AlertOutbox.ts"
import { counted } from "../events/counted.ts"

/** An alert, or the end of an alert, where no other alert says that it ended. */
export type Told = Pick<AlertRaised, "_tag" | "alert"> | AlertEnded

/** Alerts of one kind, each of another host. */
export interface Section {
  readonly severity: Severity
  /** In one line, with the names of the first hosts. */
  readonly headline: string
  /** In a few words, without names. */
  readonly short: string
  /** The first of them. */
  readonly told: ReadonlyArray<Told>
  /** How many others there are. */
  readonly more: number
}

/** What one message says. */
export interface Message {
  /** The severity of the most urgent alert. */
  readonly severity: Severity
  readonly subject: string
  /** The most urgent first: never empty. */
  readonly sections: readonly [Section, ...Array<Section>]
  /** When the last alert happened. */
  readonly occurredAt: DateTime.Utc
  /** The page that shows it, if there is one. */
  readonly link: string | undefined
}

/** How many hosts are named, and how many alerts have a line of their own. */
const named = 20

/** Who has ended an alert, and why. */
export const reasonOf = ({ how, who, why }: AlertEnded): string =>
  how === "removed" ? why : `${how} by ${who}${why === "" ? "" : `: ${why}`}`

/** What is told, in one line. */
export const titleOf = (told: Told): string =>
  told._tag === "AlertRaised" ? told.alert.title : `${reasonOf(told)}; this is over: ${told.alert.title}`

/** How urgent it is. The end of an alert is not urgent. */
export const severityOf = (told: Told): Severity => told._tag === "AlertRaised" ? told.alert.severity : "info"

/** When it happened. */
export const timeOf = (told: Told): DateTime.Utc =>
  told._tag === "AlertRaised" ? told.alert.occurredAt : told.occurredAt

/** What people call the host of an alert. */
export const hostOf = ({ host, hostId, tags }: Alert): string => host?.name ?? tags["host"] ?? hostId

const ruleOf = ({ dedupKey }: Alert): string => dedupKey.split("|").slice(2).join("|")

/** What is told of together. */
const kindOf = (told: Told): string => {
  if (told._tag === "AlertEnded") return `ended ${told.how}`
  const { alert } = told
  return alert.type === "host_unreachable" && ruleOf(alert) === flappingRule ? flappingRule : alert.type
}

/** The verb for several hosts, and for one. */
const verbs: Readonly<Record<string, readonly [many: string, one: string]>> = {
  host_unreachable: ["are unreachable", "is unreachable"],
  [flappingRule]: ["are flapping", "is flapping"],
  host_recovered: ["are reachable again", "is reachable again"],
  drift_major: ["drifted (major)", "drifted (major)"],
  drift_minor: ["drifted (minor)", "drifted (minor)"],
  drift_improvement: ["improved", "improved"],
  "ended removed": ["are not watched any more", "is not watched any more"]
}

const againOf = (told: Told): Again | undefined => told._tag === "AlertRaised" ? told.alert.again : undefined

const sectionOf = (told: readonly [Told, ...Array<Told>], allOvers: ReadonlySet<string>): Section => {
  const [first] = told
  const last = told[told.length - 1]!
  const again = againOf(first)
  const overs = first._tag === "AlertEnded" ? new Set<string>() : allOvers
  const hosts = new Map<string, string>()
  const problems = new Set<string>()
  for (const { alert } of told) {
    const name = hostOf(alert)
    // Where a host came and went, its last alert says how it is now.
    hosts.set(alert.hostId, overs.has(alert.id) ? `${name} (over)` : name)
    problems.add(`${alert.hostId}|${ruleOf(alert)}`)
  }
  const verb = verbs[kindOf(first)]
  const prefix = again === undefined ? "" : `${stillOpen[again]}: `
  const what = prefix + (verb === undefined
    ? `${counted(told.length, "alert")} ${told.length === 1 ? "is" : "are"} over`
    : `${counted(hosts.size, "host")} ${hosts.size === 1 ? verb[1] : verb[0]}`)
  const names = Array.from(hosts.values())
  const list = names.slice(0, named).join(", ")
  const others = names.length > named ? ` and ${names.length - named} more` : ""
  const isOfOne = problems.size === 1
  const headline = isOfOne
    ? titleOf(last)
    : hosts.size === 1 && verb !== undefined
    ? `${prefix}${list} ${verb[1]} in ${problems.size} series`
    : `${what}: ${list}${others}`
  return {
    severity: severityOf(last),
    headline,
    short: isOfOne ? headline : what,
    told: told.slice(0, named),
    more: Math.max(0, told.length - named)
  }
}

/** The message for these alerts, which are never none, and in the order in which they happened. */
export const make = (told: ReadonlyArray<Told>): Message => {
  const kinds = Map.groupBy(told, (each) => `${kindOf(each)} ${againOf(each) ?? ""}`)
  // What is over within the same message.
  const overs = new Set(told.flatMap((each) => {
    if (each._tag === "AlertEnded") return [each.alert.id]
    const { resolves, supersedes } = each.alert
    return [resolves, supersedes].filter((id) => id !== undefined)
  }))
  const sections = Array.from(
    kinds.values(),
    ([first, ...others]) => sectionOf([first!, ...others], overs)
  ).toSorted((a, b) => AllSeverities.indexOf(a.severity) - AllSeverities.indexOf(b.severity))
  const [first, ...others] = sections as [Section, ...Array<Section>]
  const last = told[told.length - 1]!
  const links = new Set(told.map(({ alert }) => alert.link))
  const [link] = links
  return {
    severity: first.severity,
    subject: [first, ...others].map(({ short }) => short).join("; "),
    sections: [first, ...others],
    occurredAt: timeOf(last),
    // The page of one host, or that of all.
    link: links.size === 1 ? link : link?.replace(/#.*$/, "")
  }
}

/** Which alert it is, for programs and for `openwatch alerts`. */
export const keysOf = ({ dedupKey, id, resolves, supersedes }: Alert): ReadonlyArray<readonly [string, string]> => [
  ["Alert", id],
  ["Key", dedupKey],
  ...(resolves === undefined ? [] : [["Ends", resolves] as const]),
  ...(supersedes === undefined ? [] : [["In place of", supersedes] as const])
]

/** What else can be said of an alert: its host, why, and which rules changed. */
export const factsOf = ({ drift, host, hostId, reason, tags }: Alert): ReadonlyArray<readonly [string, string]> => {
  const rules = (of: "becameFailing" | "becamePassing") => {
    const { critical, high, low, medium } = drift?.[of] ?? { critical: 0, high: 0, low: 0, medium: 0 }
    const count = critical + high + medium + low
    const first = (drift?.rules?.[of] ?? []).slice(0, named).map(({ id, title }) => title ?? id)
    const others = count > first.length && first.length > 0 ? ` and ${count - first.length} more` : ""
    return count === 0 ? undefined : `${count}${first.length === 0 ? "" : `: ${first.join(", ")}${others}`}`
  }
  const failing = rules("becameFailing")
  const passing = rules("becamePassing")
  return [
    ["Host", host === undefined ? tags["host"] ?? hostId : host.name],
    ...(host?.address === undefined ? [] : [["Address", host.address] as const]),
    ...(reason === undefined ? [] : [["Reason", reason.text] as const]),
    ...(failing === undefined ? [] : [["Rules that fail now", failing] as const]),
    ...(passing === undefined ? [] : [["Rules that pass now", passing] as const])
  ]
}
