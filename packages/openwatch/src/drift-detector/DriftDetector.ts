/**
 * The drift detector: imports the results of scans, compares each with the last report of its series (host, benchmark
 * and profile), and publishes a `DriftDetected` if the score has moved far enough (see `Drift`).
 *
 * Scans count in the order in which they ended, not in which they arrive. One that ended before the newest of its
 * series is kept for the history, and changes nothing else.
 *
 * A scan and its event are stored in one step. Neither is there without the other.
 */
import { Outage } from "@openwatch/event-bus-sql"
import { DateTime, Effect, Option } from "effect"
import { DriftDetected } from "../events/DriftDetected.ts"
import { clean } from "../events/PlainText.ts"
import { describe as describeSeries } from "../events/Series.ts"
import { type Compared, Scans } from "../storage/Scans.ts"
import * as Drift from "./Drift.ts"
import { failingOf, formerScanIdOf, outcomeOf, type Scan, scanIdOf, scannedAt, score } from "./Scan.ts"
import type { ScanTarget } from "./Scan.ts"
import * as ScanFolder from "./ScanFolder.ts"
import type { TargetHost } from "./TargetHosts.ts"
import * as Xccdf from "./Xccdf.ts"

/** How scans are judged. */
export interface Options {
  /** Which host a scan is of, see `TargetHosts`. */
  readonly hostOf: (target: ScanTarget) => TargetHost
  /** What makes a drift. Default: `Drift.defaultThresholds`. */
  readonly thresholds?: Drift.Thresholds | undefined
  /** Whether scans only enter the history: nothing is compared, and nothing published. */
  readonly isHistory?: boolean | undefined
}

/** What became of a scan. */
export interface Import {
  readonly scanId: string
  readonly host: TargetHost
  readonly scan: Scan
  /** In percent. */
  readonly score: number
  /**
   * `"known"` if this scan was stored already: nothing was done. `"history"` if it was stored and not compared.
   * `"first"` if it is the first of its series. Else its drift.
   */
  readonly outcome: "known" | "history" | "first" | Drift.Drift
}

/** Imports a scan that was read. */
export const take = Effect.fn("DriftDetector.take")(function*(scan: Scan, options: Options) {
  const scans = yield* Scans
  const thresholds = options.thresholds ?? Drift.defaultThresholds
  const host = options.hostOf(scan.target)
  const scanId = scanIdOf(host.id, scan)
  const outcome = outcomeOf(scan)
  const occurredAt = yield* DateTime.now

  const eventOf = ({ fellFrom, isBack, type, ...drift }: Drift.Drift) =>
    type === "stable"
      ? undefined
      : new DriftDetected({
        ...drift,
        hostId: host.id,
        host: { name: host.name, ...(host.address === undefined ? {} : { address: host.address }) },
        scanId,
        series: scan.series,
        driftType: type,
        ...(fellFrom === undefined ? {} : { fellFrom }),
        ...(type === "improvement" ? { isBack } : {}),
        occurredAt
      })

  const stored = {
    scanId,
    formerScanId: formerScanIdOf(host.id, scan),
    hostId: host.id,
    hostName: host.name,
    series: scan.series,
    failing: failingOf(scan),
    score: score(outcome),
    outcome,
    scannedAt: Option.getOrElse(scannedAt(scan), () => occurredAt)
  }
  const compare = (known: Option.Option<Drift.Known>): Compared<"first" | Drift.Drift> => {
    if (Option.isNone(known)) return { outcome: "first", event: undefined, known: Drift.first(scan) }
    const [drift, next] = Drift.next(known.value, scan, thresholds)
    return { outcome: drift, event: eventOf(drift), known: next }
  }
  const recorded = yield* (options.isHistory === true ? scans.recordHistory(stored) : scans.record(stored, compare))
  const imported: Import = { scanId, host, scan, score: stored.score, outcome: recorded }
  return imported
})

/** Reads the scans in a file, and imports them in the order in which they ended. */
export const importFile = Effect.fn("DriftDetector.importFile")(function*(file: string, options: Options) {
  return yield* Effect.forEach(yield* Xccdf.readFile(file), (scan) => take(scan, options))
})

/** Returns it in words: the host, the series, the score, and how the score moved. */
export const describe = ({ host, outcome, scan, score }: Import): string => {
  const scored = `${host.name}, ${describeSeries(scan.series)}: score ${score.toFixed(2)}`
  if (outcome === "known") return `${scored}, known already`
  if (outcome === "history") return `${scored}, kept for the history alone`
  if (outcome === "first") return `${scored}, the first scan with this profile`
  const delta = `${outcome.scoreDelta > 0 ? "+" : ""}${outcome.scoreDelta.toFixed(2)} points`
  return `${scored}, ${outcome.type === "stable" ? "stable" : outcome.type} (${delta})`
}

/**
 * Imports what is in a folder, and what comes into it, for ever. `ScanFolder` says when a file is ready.
 *
 * If a file is wrong, that is logged, and the file is left alone until it changes. If a file cannot be read for now,
 * that is logged, and the file is tried again. So it is while the database fails.
 */
export const watch = Effect.fn("DriftDetector.watch")(function*(folder: string, options: Options) {
  const scanFolder = yield* ScanFolder.make(folder)
  for (;;) {
    for (const file of yield* scanFolder.look) {
      yield* Effect.gen(function*() {
        for (const scan of yield* Xccdf.readFile(file)) {
          const done = yield* Outage.untilItPasses(take(scan, options))
          yield* Effect.logInfo(`Scan ${clean(file)} of ${describe(done)}`)
        }
      }).pipe(
        Effect.catchTag("ScanFileError", (error) => {
          const isNews = !error.isForNow || scanFolder.tryAgain(file)
          return isNews
            ? Effect.logError(error.isForNow ? `${error.message}; it is tried again` : error.message)
            : Effect.void
        })
      )
    }
    yield* Effect.sleep(ScanFolder.lookInterval)
  }
})
