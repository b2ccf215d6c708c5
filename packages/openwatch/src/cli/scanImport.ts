/**
 * `openwatch scan import`: take in the results of scans.
 */
import { Console, Effect, Layer, Option, Schema } from "effect"
import * as Argument from "effect/cli/Argument"
import * as CliError from "effect/cli/CliError"
import * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"
import * as Configuration from "../configuration/Configuration.ts"
import * as DriftDetector from "../drift-detector/DriftDetector.ts"
import * as TargetHosts from "../drift-detector/TargetHosts.ts"
import { SystemEventBus } from "../events/SystemEventBus.ts"
import * as Inventory from "../inventory/Inventory.ts"
import { describeSqlError } from "../storage/describeSqlError.ts"
import * as Scans from "../storage/Scans.ts"
import * as StorageOptions from "./storageOptions.ts"

// Not `Argument.Path`, which makes paths absolute: errors name the file as it was given.
const files = Argument.String("FILE").pipe(
  Argument.withDescription("Result of `oscap xccdf eval`: XCCDF (--results) or ARF (--results-arf)"),
  Argument.variadic({ min: 1 })
)

const configuration = Flag.String("config").pipe(
  Flag.withMetavar("CONFIG.yaml"),
  Flag.withDescription("Configuration that names the inventory and the thresholds of drift"),
  Flag.optional
)

const json = Flag.Boolean("json").pipe(
  Flag.withoutNegation,
  Flag.withDescription("Print one JSON object a line, for each file that was taken in"),
  Flag.withDefault(false)
)

/** Some files could not be read; each has been named. */
export class FilesRejected extends Schema.TaggedError<FilesRejected>()("FilesRejected", {
  rejected: Schema.Int,
  of: Schema.Int
}) {
  override get message(): string {
    return `${this.rejected} of ${this.of} files could not be taken in`
  }

  override get [CliError.userMessage](): string {
    return this.message
  }
}

const formatJson = (file: string, { host, outcome, scan, scanId, score }: DriftDetector.Import): string =>
  JSON.stringify({
    file,
    scanId,
    hostId: host.id,
    host: host.name,
    profile: scan.profile,
    score,
    outcome: typeof outcome === "string" ? outcome : outcome.type,
    drift: typeof outcome === "string" ? null : outcome
  })

const optionsOf = Effect.fnUntraced(function*(file: Option.Option<string>) {
  if (Option.isNone(file)) return { hostOf: TargetHosts.make([]) }
  const configuration = yield* Configuration.load(file.value, process.env)
  const hosts = yield* Inventory.hostsOf(configuration.inventory)
  return { hostOf: TargetHosts.make(hosts), thresholds: configuration.driftThresholds }
})

/** The command: takes in file after file, also those after one that cannot be read. */
export const scanImport = Command.make(
  "import",
  { files, configuration, data: StorageOptions.data, json },
  Effect.fnUntraced(function*({ configuration, data, files, json }) {
    const options = yield* optionsOf(configuration)

    const importAll = Effect.gen(function*() {
      let rejected = 0
      for (const file of files) {
        yield* DriftDetector.importFile(file, options).pipe(
          Effect.flatMap((done) => Console.log(json ? formatJson(file, done) : DriftDetector.describe(done))),
          Effect.catchTag(["ScanFileError", "SqlError"], (error) => {
            rejected++
            return Console.error(
              `error: ${
                error._tag === "SqlError" ? `scan ${file} is not stored: ${describeSqlError(error)}` : error.message
              }`
            )
          })
        )
      }
      if (rejected > 0) yield* new FilesRejected({ rejected, of: files.length })
    })

    yield* importAll.pipe(
      Effect.provide(
        Layer.mergeAll(Scans.layer, SystemEventBus.layer).pipe(Layer.provide(StorageOptions.layer(data)))
      )
    )
  })
).pipe(
  Command.withDescription(
    "Take in the results of scans, in the order given, and compare each with the last one of the same host and profile. " +
      "A scan is of the host of the inventory that has the name of its target, or else one of its addresses; otherwise of " +
      "a host with the id that the name gives. Alerts are sent by `openwatch run`, at once where it is running."
  ),
  Command.withShortDescription("Take in the results of scans"),
  Command.withExamples([
    { command: "openwatch scan import results.xml", description: "Keep the scan in ./.openwatch" },
    { command: "openwatch scan import --config openwatch.yaml scans/*.xml", description: "With the inventory's hosts" }
  ])
)
