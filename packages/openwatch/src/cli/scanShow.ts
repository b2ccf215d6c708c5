/**
 * `openwatch scan show`: what did a scan find, and how does it differ from another one?
 */
import { Console, DateTime, Effect, Option } from "effect"
import * as Argument from "effect/cli/Argument"
import * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"
import { counted } from "../events/counted.ts"
import type { ChangedRule } from "../events/DriftDetected.ts"
import { describe as describeSeries } from "../events/Series.ts"
import { type ScanReport, Scans } from "../storage/Scans.ts"
import { json as jsonFlag } from "./jsonLine.ts"
import { jsonOf, NoSuchScans } from "./scanList.ts"
import * as StorageOptions from "./storageOptions.ts"
import { withScans } from "./storedScans.ts"
import { formatTime } from "./Table.ts"

/** What two scans have in common of the rules that fail, and what not. */
export interface Comparison {
  /** These fail, and did not in the other. */
  readonly failing: ReadonlyArray<ChangedRule>
  /** These failed in the other. */
  readonly notFailing: ReadonlyArray<ChangedRule>
  /** These fail in both. */
  readonly both: ReadonlyArray<ChangedRule>
}

/** Compares a scan with another. `undefined` if the rules of one of them are not stored. */
export const compare = (scan: ScanReport, other: ScanReport): Comparison | undefined => {
  if (scan.failing === undefined || other.failing === undefined) return undefined
  const here = new Set(scan.failing.map(({ id }) => id))
  const there = new Set(other.failing.map(({ id }) => id))
  return {
    failing: scan.failing.filter(({ id }) => !there.has(id)),
    notFailing: other.failing.filter(({ id }) => !here.has(id)),
    both: scan.failing.filter(({ id }) => there.has(id))
  }
}

const notKept = "Which rules failed was not kept by the version that took it in."

const ruleLine = ({ id, severity, title }: ChangedRule): string =>
  `  ${severity.padEnd(8)}  ${id}${title === undefined ? "" : `  ${title}`}`

const rules = (count: number): string => counted(count, "rule")

const heading = (scan: ScanReport, zone: DateTime.TimeZone): ReadonlyArray<string> => {
  const { counts, hostId, hostName, scanId, scannedAt, score, series } = scan
  return [
    `Scan     ${scanId}`,
    `Host     ${hostName}${hostName === hostId ? "" : ` (${hostId})`}`,
    `Series   ${describeSeries(series)}${series.profile === "" ? "" : ` (${series.profile})`}`,
    `Ended    ${formatTime(scannedAt, zone)}`,
    `Score    ${score.toFixed(2)} %${
      counts === undefined ? "" : `: ${rules(counts.passed)} passed, ${rules(counts.failed)} failed`
    }`
  ]
}

/** A scan in words. */
export const formatScan = (scan: ScanReport, zone: DateTime.TimeZone): ReadonlyArray<string> => [
  ...heading(scan, zone),
  "",
  ...(scan.failing === undefined
    ? [notKept]
    : scan.failing.length === 0
    ? ["No rule fails."]
    : [`${rules(scan.failing.length)} fail${scan.failing.length === 1 ? "s" : ""}:`, ...scan.failing.map(ruleLine)])
]

const listed = (title: string, list: ReadonlyArray<ChangedRule>): ReadonlyArray<string> => [
  "",
  `${title}: ${list.length}`,
  ...list.map(ruleLine)
]

/** Returns in words how a scan differs from another one. */
export const formatComparison = (
  scan: ScanReport,
  other: ScanReport,
  zone: DateTime.TimeZone
): ReadonlyArray<string> => {
  const delta = scan.score - other.score
  const comparison = compare(scan, other)
  const differences = [
    ...(scan.hostId === other.hostId ? [] : [`host ${other.hostName}`]),
    ...(describeSeries(scan.series) === describeSeries(other.series) ? [] : [`series ${describeSeries(other.series)}`])
  ]
  return [
    ...heading(scan, zone),
    `Against  ${other.scanId}, ended ${formatTime(other.scannedAt, zone)}, score ${other.score.toFixed(2)} %`,
    `Change   ${delta > 0 ? "+" : ""}${delta.toFixed(2)} points`,
    ...(differences.length === 0 ? [] : [`Note     the other is of another: ${differences.join(", ")}`]),
    ...(comparison === undefined
      ? ["", notKept]
      : [
        ...listed("Fail, and did not", comparison.failing),
        ...listed("Failed, and do not", comparison.notFailing),
        ...listed("Fail in both", comparison.both)
      ])
  ]
}

const failingJson = (failing: ReadonlyArray<ChangedRule> | undefined) =>
  failing?.map(({ id, severity, title }) => ({ id, title: title ?? null, severity })) ?? null

const reportJson = (scan: ScanReport) => ({ ...jsonOf(scan), failing: failingJson(scan.failing) })

const changesJson = (comparison: Comparison | undefined) =>
  comparison === undefined ? null : {
    failing: failingJson(comparison.failing),
    notFailing: failingJson(comparison.notFailing),
    both: failingJson(comparison.both)
  }

const formatJson = (scan: ScanReport, other: ScanReport | undefined): string =>
  JSON.stringify({
    ...reportJson(scan),
    ...(other === undefined ? {} : { against: reportJson(other), changes: changesJson(compare(scan, other)) })
  })

const find = Effect.fnUntraced(function*(id: string) {
  const fail = (problem: string) =>
    new NoSuchScans({ message: `${problem}; \`openwatch scan list\` shows the ids of scans` })
  if (!/^[0-9a-f-]{6,36}$/i.test(id)) {
    return yield* fail(`${JSON.stringify(id)} is no id of a scan, nor six characters or more of the beginning of one`)
  }
  const [scan, another] = yield* (yield* Scans).find(id)
  if (scan === undefined) return yield* fail(`no scan has the id ${id}`)
  if (another !== undefined) return yield* fail(`the ids of several scans begin with ${id}`)
  return scan
})

const id = Argument.String("ID").pipe(
  Argument.withDescription("Id of a scan, or the beginning of it: six characters or more")
)

const against = Flag.String("against").pipe(
  Flag.withMetavar("ID"),
  Flag.withDescription("Id of another scan, mostly an earlier one: say what is other than in that"),
  Flag.optional
)

const json = jsonFlag("Print one JSON object")

/** The command. */
export const scanShow = Command.make(
  "show",
  { id, against, json, data: StorageOptions.data },
  Effect.fnUntraced(function*({ against, data, id, json }) {
    const [scan, other] = yield* Effect.all([
      find(id),
      Option.isNone(against) ? Effect.succeed(undefined) : find(against.value)
    ]).pipe(withScans(data))
    const zone = yield* DateTime.CurrentTimeZone
    const lines = other === undefined ? formatScan(scan, zone) : formatComparison(scan, other, zone)
    yield* Console.log(json ? formatJson(scan, other) : lines.join("\n"))
  }, Effect.provide(DateTime.layerCurrentZoneLocal))
).pipe(
  Command.withDescription(
    "Show a scan: its host, series and score, and the rules that fail, the most severe first. With --against, say what is " +
      "other than in another scan."
  ),
  Command.withShortDescription("Show a scan, or what is other than in another one"),
  Command.withExamples([
    { command: "openwatch scan show 7f2c9d1e-5b3a", description: "Which rules fail" },
    { command: "openwatch scan show 7f2c9d1e-5b3a --against 0f6d2c11-9a40", description: "What has changed" }
  ])
)
