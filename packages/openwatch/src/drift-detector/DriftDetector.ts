/**
 * The drift detector: takes in the results of scans, compares each with the last one of the same host and profile, and
 * publishes a `DriftDetected` when the score has moved far enough.
 *
 * A scan is stored before its drift is published. What a crash in between leaves unpublished is in the outbox, and is
 * published at the next start.
 */
import { DateTime, Effect, Option, Schedule, Schema } from "effect"
import * as SqlError from "effect/sql/SqlError"
import { DriftDetected } from "../events/DriftDetected.ts"
import { SystemEventBus } from "../events/SystemEventBus.ts"
import { describeSqlError } from "../storage/describeSqlError.ts"
import { Scans } from "../storage/Scans.ts"
import * as Drift from "./Drift.ts"
import { Outcome, outcomeOf, type Scan, scanIdOf, scannedAt, score } from "./Scan.ts"
import type { ScanTarget } from "./Scan.ts"
import * as ScanFolder from "./ScanFolder.ts"
import type { TargetHost } from "./TargetHosts.ts"
import * as Xccdf from "./Xccdf.ts"

/** How scans are judged. */
export interface Options {
  /** Which host a scan is of, see `TargetHosts`. */
  readonly hostOf: (target: ScanTarget) => TargetHost
  /** From where on a score has moved; `Drift.defaultThresholds` by default. */
  readonly thresholds?: Drift.Thresholds | undefined
}

/** What became of a scan. */
export interface Import {
  readonly scanId: string
  readonly host: TargetHost
  readonly scan: Scan
  /** In percent. */
  readonly score: number
  /** `"known"` when this scan was stored already: then nothing was stored, nothing published. */
  readonly outcome: "known" | "first" | Drift.Drift
}

const OutcomeText = Schema.fromJsonString(Outcome)
const encodeOutcome = Schema.encodeSync(OutcomeText)
const decodeOutcome = Schema.decodeUnknownSync(OutcomeText)

/** Takes in a scan that was read. */
export const take = Effect.fn("DriftDetector.take")(function*(scan: Scan, options: Options) {
  const bus = yield* SystemEventBus
  const scans = yield* Scans
  const thresholds = options.thresholds ?? Drift.defaultThresholds
  const host = options.hostOf(scan.target)
  const scanId = scanIdOf(host.id, scan)
  const outcome = outcomeOf(scan)
  const occurredAt = yield* DateTime.now

  const eventOf = ({ type, ...drift }: Drift.Drift) =>
    type === "stable"
      ? undefined
      : new DriftDetected({ ...drift, hostId: host.id, scanId, driftType: type, occurredAt })

  const stored = {
    scanId,
    hostId: host.id,
    profile: scan.profile,
    score: score(outcome),
    scannedAt: Option.getOrElse(scannedAt(scan), () => occurredAt),
    outcome: encodeOutcome(outcome)
  }
  const recorded = yield* scans.record(stored, (baseline) => {
    if (Option.isNone(baseline)) return { outcome: "first" as const, event: undefined }
    const drift = Drift.between(decodeOutcome(baseline.value.outcome), scan, thresholds)
    return { outcome: drift, event: eventOf(drift) }
  }).pipe(
    Effect.tap((recorded) =>
      Option.isSome(recorded) && recorded.value.event !== undefined ? bus.publish(recorded.value.event) : Effect.void
    ),
    // What is stored is published, unless the process dies in between.
    Effect.uninterruptible
  )

  const imported: Import = {
    scanId,
    host,
    scan,
    score: stored.score,
    outcome: Option.match(recorded, { onNone: () => "known" as const, onSome: ({ outcome }) => outcome })
  }
  return imported
})

/** Reads the scan in a file, and takes it in. */
export const importFile = Effect.fn("DriftDetector.importFile")(function*(file: string, options: Options) {
  return yield* take(yield* Xccdf.readFile(file), options)
})

/** In words: the host, the score, and how it moved. */
export const describe = ({ host, outcome, score }: Import): string => {
  const scored = `${host.name}: score ${score.toFixed(2)}`
  if (outcome === "known") return `${scored}, known already`
  if (outcome === "first") return `${scored}, the first scan with this profile`
  const delta = `${outcome.scoreDelta > 0 ? "+" : ""}${outcome.scoreDelta.toFixed(2)} points`
  return `${scored}, ${outcome.type === "stable" ? "stable" : outcome.type} (${delta})`
}

/** Goes on trying: a file that is complete now is not given again. */
const whileTheDatabaseFails = (file: string) =>
  Effect.fnUntraced(function*<A, E, R>(effect: Effect.Effect<A, E | SqlError.SqlError, R>) {
    return yield* effect.pipe(
      Effect.tapError((error) =>
        SqlError.isSqlError(error)
          ? Effect.logWarning(`Scan ${file} is not stored: ${describeSqlError(error)}`)
          : Effect.void
      ),
      Effect.retry({
        while: SqlError.isSqlError,
        schedule: Schedule.min([Schedule.exponential("100 millis"), Schedule.spaced("10 seconds")])
      })
    )
  })

/**
 * Takes in what is in a folder, and what comes into it, for ever: see `ScanFolder` for when a file is ready. A file that
 * cannot be read is logged and left alone until it changes. While the database fails, the file is tried again.
 */
export const watch = Effect.fn("DriftDetector.watch")(function*(folder: string, options: Options) {
  const look = yield* ScanFolder.make(folder)
  for (;;) {
    for (const file of yield* look) {
      yield* importFile(file, options).pipe(
        whileTheDatabaseFails(file),
        Effect.matchEffect({
          onFailure: (error) => Effect.logError(error.message),
          onSuccess: (done) => Effect.logInfo(`Scan ${file} of ${describe(done)}`)
        })
      )
    }
    yield* Effect.sleep(ScanFolder.lookInterval)
  }
})
