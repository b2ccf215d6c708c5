/**
 * `openwatch scan import`: imports the results of scans.
 */
import { Console, DateTime, Effect, Layer, Option, Schema } from "effect"
import * as Argument from "effect/cli/Argument"
import * as CliError from "effect/cli/CliError"
import * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"
import * as Configuration from "../configuration/Configuration.ts"
import * as DriftDetector from "../drift-detector/DriftDetector.ts"
import * as Scan from "../drift-detector/Scan.ts"
import * as TargetHosts from "../drift-detector/TargetHosts.ts"
import * as Xccdf from "../drift-detector/Xccdf.ts"
import { clean } from "../events/PlainText.ts"
import { SystemEventBus } from "../events/SystemEventBus.ts"
import * as Inventory from "../inventory/Inventory.ts"
import { describeSqlError } from "../storage/describeSqlError.ts"
import * as Outboxes from "../storage/Outboxes.ts"
import * as Scans from "../storage/Scans.ts"
import { json as jsonFlag, jsonLine } from "./jsonLine.ts"
import * as Progress from "./Progress.ts"
import * as StorageOptions from "./storageOptions.ts"

// Not `Argument.Path`, which makes paths absolute: errors name the file as it was given.
const files = Argument.String("FILE").pipe(
  Argument.withDescription(
    "Result of `oscap xccdf eval`: XCCDF (--results) or ARF (--results-arf), perhaps packed with gzip or bzip2"
  ),
  Argument.variadic({ min: 1 })
)

const configuration = Flag.String("config").pipe(
  Flag.withMetavar("CONFIG.yaml"),
  Flag.withDescription("Configuration that names the inventory and the thresholds of drift"),
  Flag.optional
)

const json = jsonFlag("Print one JSON object a line, for each file that was taken in")

/** Some files could not be read. Each has been named. */
export class FilesRejected extends Schema.TaggedError<FilesRejected>()("FilesRejected", {
  rejected: Schema.Int,
  of: Schema.Int
}) {
  override get message(): string {
    return this.of === 1
      ? "the file could not be taken in"
      : `${this.rejected} of ${this.of} files could not be taken in`
  }

  override get [CliError.userMessage](): string {
    return this.message
  }
}

const formatJson = (file: string, { host, outcome, scan, scanId, score }: DriftDetector.Import): string =>
  jsonLine({
    file,
    scanId,
    hostId: host.id,
    host: host.name,
    benchmark: scan.series.benchmark,
    profile: scan.series.profile,
    endTime: scan.endTime,
    score,
    outcome: typeof outcome === "string" ? outcome : outcome.type,
    drift: typeof outcome === "string" ? null : outcome
  })

const optionsOf = Effect.fnUntraced(function*(file: Option.Option<string>) {
  if (Option.isNone(file)) return { hostOf: TargetHosts.make([]) }
  const configuration = yield* Configuration.loadForScans(file.value)
  const hosts = yield* Inventory.hostsOf(configuration.inventory)
  return { hostOf: TargetHosts.make(hosts), thresholds: configuration.driftThresholds }
})

const history = Flag.Boolean("history").pipe(
  Flag.withoutNegation,
  Flag.withDescription("Keep the scans for the history alone: compare none with another, and publish nothing"),
  Flag.withDefault(false)
)

/** A scan, and the file that it is from. */
interface Read {
  readonly file: string
  readonly scan: Scan.Scan
}

/**
 * The command. It imports the scans in the order in which they ended. If a file cannot be read, the others are imported
 * all the same.
 */
export const scanImport = Command.make(
  "import",
  { files, configuration, data: StorageOptions.data, history, json },
  Effect.fnUntraced(function*({ configuration, data, files, history, json }) {
    const options = { ...(yield* optionsOf(configuration)), isHistory: history }

    const importAll = Effect.gen(function*() {
      const rejected = new Set<string>()
      const reject = (file: string, message: string) => {
        rejected.add(file)
        Progress.clear()
        return Console.error(clean(`error: ${message}`))
      }
      const read = yield* Effect.forEach(files, (file, at) => {
        Progress.show(() => `${at} of ${files.length} files read`)
        return Xccdf.readFile(file).pipe(
          Effect.map((scans) => scans.map((scan): Read => ({ file, scan }))),
          Effect.catch((error) => Effect.as(reject(file, error.message), []))
        )
      })
      const now = yield* DateTime.now
      const endOf = ({ scan }: Read) => DateTime.toEpochMillis(Option.getOrElse(Scan.scannedAt(scan), () => now))
      const scans = read.flat().toSorted((a, b) => endOf(a) - endOf(b))
      // On a terminal the scans that are named are progress enough.
      const showProgress = !process.stdout.isTTY
      for (const [at, { file, scan }] of scans.entries()) {
        if (showProgress) Progress.show(() => `${at} of ${scans.length} scans taken in`)
        else Progress.clear()
        yield* DriftDetector.take(scan, options).pipe(
          Effect.flatMap((done) => Console.log(json ? formatJson(file, done) : DriftDetector.describe(done))),
          Effect.catch((error) => reject(file, `scan ${file} is not stored: ${describeSqlError(error)}`))
        )
      }
      Progress.clear()
      if (rejected.size > 0) yield* new FilesRejected({ rejected: rejected.size, of: files.length })
    })

    yield* importAll.pipe(
      Effect.provide(
        Scans.layer.pipe(
          Layer.provide(Outboxes.system()),
          Layer.provide(SystemEventBus.layer),
          Layer.provide(StorageOptions.layer(data))
        )
      )
    )
  })
).pipe(
  Command.withDescription(
    "Take in the results of scans, in the order in which they ended, and compare each with what was told last of the same " +
      "host, benchmark and profile. " +
      "A scan is of the host of the inventory that has the name of its target, or else one of its addresses; otherwise of " +
      "a host with the id that the name gives. Alerts are sent by `openwatch run`, at once where it is running."
  ),
  Command.withShortDescription("Take in the results of scans"),
  Command.withExamples([
    { command: "openwatch scan import results.xml", description: "Keep the scan in ./.openwatch" },
    { command: "openwatch scan import --config openwatch.yaml scans/*.xml", description: "With the inventory's hosts" }
  ])
)
