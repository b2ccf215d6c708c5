/**
 * `openwatch scan list`: which scans are there?
 */
import { Console, DateTime, Effect, Option, Schema } from "effect"
import * as CliError from "effect/cli/CliError"
import * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"
import { describe as describeSeries } from "../events/Series.ts"
import { Scans, type TakenScan } from "../storage/Scans.ts"
import { json as jsonFlag, version } from "./jsonLine.ts"
import * as StorageOptions from "./storageOptions.ts"
import { withScans } from "./storedScans.ts"
import { cut, formatTime, terminalWidth } from "./Table.ts"

/** No scan is what was asked for. */
export class NoSuchScans extends Schema.TaggedError<NoSuchScans>()("NoSuchScans", { message: Schema.String }) {
  override get [CliError.userMessage](): string {
    return this.message
  }
}

/** As a program reads it. */
export const jsonOf = ({ counts, hostId, hostName, scanId, scannedAt, score, series }: TakenScan) => ({
  version,
  scanId,
  hostId,
  host: hostName,
  benchmark: series.benchmark,
  profile: series.profile,
  endedAt: DateTime.formatIso(scannedAt),
  score,
  passed: counts?.passed ?? null,
  failed: counts?.failed ?? null
})

/** How much of an id is shown. It is enough to name a scan. */
export const shortId = (scanId: string): string => scanId.slice(0, 13)

/** Returns a line for each scan, cut off at `width`. */
export const formatTable = (
  scans: ReadonlyArray<TakenScan>,
  zone: DateTime.TimeZone,
  width = Infinity
): ReadonlyArray<string> => {
  const hosts = Math.max(4, ...scans.map(({ hostName }) => hostName.length))
  return cut([
    `ENDED                   ID              SCORE  FAILED  ${"HOST".padEnd(hosts)}  SERIES`,
    ...scans.map(({ counts, hostName, scanId, scannedAt, score, series }) =>
      `${formatTime(scannedAt, zone)}  ${shortId(scanId).padEnd(13)}  ${score.toFixed(2).padStart(6)}  ${
        String(counts?.failed ?? "?").padStart(6)
      }  ${hostName.padEnd(hosts)}  ${describeSeries(series)}`
    )
  ], width)
}

const named = 10

const someOf = (names: ReadonlyArray<string>): string =>
  names.length <= named
    ? names.join(", ")
    : `${names.slice(0, named).join(", ")} and ${names.length - named} more`

/** Says which of the two filters finds nothing, and what it could be. */
const nothingFound = Effect.fnUntraced(function*(host: string | undefined, profile: string | undefined) {
  const scans = yield* (yield* Scans).list()
  if (scans.length === 0) return "nothing is stored yet; `openwatch scan import FILE` takes scans in"
  const namesOf = (scans: ReadonlyArray<TakenScan>) => [...new Set(scans.map(({ hostName }) => hostName))].toSorted()
  const of = host === undefined ? scans : yield* (yield* Scans).list({ host })
  if (of.length === 0) return `no scan is of the host ${host}; there are scans of: ${someOf(namesOf(scans))}`
  const profiles = [...new Set(of.map(({ series }) => series.profile === "" ? "(none)" : series.profile))].toSorted()
  return `no scan${host === undefined ? "" : ` of ${host}`} is with the profile ${profile}; there are: ${
    someOf(profiles)
  }`
})

const host = Flag.String("host").pipe(
  Flag.withMetavar("HOST"),
  Flag.withDescription("Only scans of the host with this name or id"),
  Flag.optional
)

const profile = Flag.String("profile").pipe(
  Flag.withMetavar("PROFILE"),
  Flag.withDescription("Only scans with this profile: its id, or what comes after _profile_ in it"),
  Flag.optional
)

const limit = Flag.Int("limit").pipe(
  Flag.withMetavar("NUMBER"),
  Flag.withDescription("At most so many scans, the newest (default: 50)"),
  Flag.filter((limit) => limit > 0, () => "a number above 0"),
  Flag.withDefault(50)
)

const json = jsonFlag("Print one JSON object a line for each scan")

/** The command. */
export const scanList = Command.make(
  "list",
  { host, profile, limit, json, data: StorageOptions.data },
  Effect.fnUntraced(function*(flags) {
    const filter = { host: Option.getOrUndefined(flags.host), profile: Option.getOrUndefined(flags.profile) }
    const scans = yield* Effect.gen(function*() {
      const found = yield* (yield* Scans).list({ ...filter, limit: flags.limit })
      if (found.length > 0 || (filter.host ?? filter.profile) === undefined) return found
      return yield* new NoSuchScans({ message: yield* nothingFound(filter.host, filter.profile) })
    }).pipe(withScans(flags.data))
    const zone = yield* DateTime.CurrentTimeZone
    const lines = flags.json
      ? scans.map((scan) => JSON.stringify(jsonOf(scan)))
      : scans.length === 0
      ? ["No scans"]
      : formatTable(scans, zone, terminalWidth())
    if (lines.length > 0) yield* Console.log(lines.join("\n"))
  }, Effect.provide(DateTime.layerCurrentZoneLocal))
).pipe(
  Command.withDescription("List the scans that were taken in, by when they ended, the newest first"),
  Command.withShortDescription("List scans, the newest first"),
  Command.withExamples([
    { command: "openwatch scan list --host web-1", description: "The last scans of a host" },
    { command: "openwatch scan list --profile cis --limit 1000 --json", description: "For a program to read" }
  ])
)
