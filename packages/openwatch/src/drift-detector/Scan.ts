/**
 * A scan: which rules of a profile a host passed, which it failed, and the score.
 *
 * The words are those of XCCDF 1.2 (NISTIR 7275 revision 4). A rule that did not apply, was not checked, was not
 * selected or only informs is no part of a scan.
 */
import { DateTime, Option, Schema } from "effect"
import { v5 } from "uuid"
import type { ChangedRule } from "../events/DriftDetected.ts"
import type { HostId } from "../events/HostId.ts"
import type { Series } from "../events/Series.ts"

/** How much a rule matters, most first. */
export const severities = ["critical", "high", "medium", "low"] as const

/** How much a rule matters. */
export type Severity = (typeof severities)[number]

/** A rule that counted. */
export interface Rule {
  readonly severity: Severity
  readonly passed: boolean
  /** Absent if the file has none. A `TestResult` by itself names rules only by their ids. */
  readonly title?: string
}

/** What was scanned, as the scanner names it. */
export interface ScanTarget {
  /** Never empty. */
  readonly name: string
  /** The addresses that the scanner found, loopback included. */
  readonly addresses: ReadonlyArray<string>
}

/** A scan as it was read. */
export interface Scan {
  /** The id of the `TestResult`. The scanner derives it from the profile, so all scans of a host have the same. */
  readonly testResultId: string
  readonly target: ScanTarget
  readonly series: Series
  /** When the scan started, as the file has it. Empty if the file does not say. */
  readonly startTime: string
  /** When the scan ended, as the file has it. */
  readonly endTime: string
  /** The rules that counted, by id: never empty. */
  readonly rules: ReadonlyMap<string, Rule>
}

const scanNamespace = "5f0c9f2e-3a77-4a0c-9d53-0c7b7a5b7d0e"

/**
 * Returns the id of a scan of a host: the UUIDv5 (RFC 9562 section 5.5) of its content. The same scan has the same id,
 * wherever its file is and however it is written. Two scans have different ids, even if they share the id in the file
 * and the times.
 */
export const scanIdOf = (hostId: HostId, { endTime, rules, series, startTime }: Scan): string => {
  const states = [...rules].map(([id, { passed, severity }]) => [id, severity, passed])
    .toSorted(([a], [b]) => a! < b! ? -1 : 1)
  return v5(JSON.stringify([hostId, series.benchmark, series.profile, startTime, endTime, states]), scanNamespace)
}

/** Returns the id that an earlier version has given to the scan, so that it is recognized. */
export const formerScanIdOf = (hostId: HostId, { endTime, series, startTime, testResultId }: Scan): string =>
  v5(JSON.stringify([hostId, series.profile, testResultId, startTime, endTime]), scanNamespace)

// Of other texts `DateTime` makes something too, of "7" the July of 2001.
const time = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)?$/

/**
 * Returns when the scan ended, if the file has a time there (XML Schema's `dateTime`). A time without a zone is taken
 * for UTC.
 */
export const scannedAt = ({ endTime }: Scan): Option.Option<DateTime.Utc> =>
  time.test(endTime.trim()) ? Option.map(DateTime.make(endTime.trim()), DateTime.toUtc) : Option.none()

/** Whether the time at which the scan ended is written with its zone. */
export const hasZone = ({ endTime }: Scan): boolean => time.exec(endTime.trim())?.[2] !== undefined

/** Which rules passed and which failed, by their ids. */
export const Outcome = Schema.Struct({ passed: Schema.Array(Schema.String), failed: Schema.Array(Schema.String) })

/** Which rules passed and which failed, by their ids. */
export type Outcome = typeof Outcome.Type

/** The outcome of a scan. */
export const outcomeOf = ({ rules }: Scan): Outcome => {
  const passed: Array<string> = []
  const failed: Array<string> = []
  for (const [id, rule] of rules) (rule.passed ? passed : failed).push(id)
  return { passed, failed }
}

/** The rules that failed. */
export const failingOf = ({ rules }: Scan): ReadonlyArray<ChangedRule> => {
  const failing: Array<ChangedRule> = []
  for (const [id, { passed, severity, title }] of rules) {
    if (!passed) failing.push({ id, severity, ...(title === undefined ? {} : { title }) })
  }
  return failing
}

/** The share of rules that passed, in percent: passed / (passed + failed) x 100. At least one rule has counted. */
export const score = ({ failed, passed }: Outcome): number => passed.length * 100 / (passed.length + failed.length)
