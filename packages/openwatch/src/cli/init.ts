/**
 * `openwatch init`: files to begin with.
 */
import { Console, Effect, FileSystem, Path, Schema } from "effect"
import * as Argument from "effect/cli/Argument"
import * as CliError from "effect/cli/CliError"
import * as Command from "effect/cli/Command"
import * as StarterFiles from "../configuration/StarterFiles.ts"

const folder = Argument.String("DIR").pipe(
  Argument.withDescription("Folder for the files, made where there is none (default: this one)"),
  Argument.withDefault(".")
)

/** The files could not be written. None of them was. */
export class NotWritten extends Schema.TaggedError<NotWritten>()("NotWritten", { message: Schema.String }) {
  override get [CliError.userMessage](): string {
    return this.message
  }
}

/** The command. */
export const init = Command.make(
  "init",
  { folder },
  Effect.fnUntraced(function*({ folder }) {
    const fs = yield* FileSystem.FileSystem
    const path = yield* Path.Path
    const files = [
      { file: path.join(folder, "openwatch.yaml"), text: StarterFiles.configuration },
      { file: path.join(folder, "hosts.yaml"), text: StarterFiles.inventory }
    ]
    for (const { file } of files) {
      if (yield* Effect.orElseSucceed(fs.exists(file), () => false)) {
        yield* new NotWritten({ message: `${file} is there already; nothing was written` })
      }
    }
    const written: Array<string> = []
    yield* Effect.gen(function*() {
      yield* fs.makeDirectory(folder, { recursive: true })
      for (const { file, text } of files) {
        // It may hold secrets one day.
        yield* fs.writeFileString(file, text, { flag: "wx", mode: 0o640 })
        written.push(file)
      }
    }).pipe(
      Effect.tapError(() => Effect.forEach(written, (file) => Effect.ignore(fs.remove(file)))),
      Effect.mapError(({ message }) => new NotWritten({ message: `cannot write to ${folder}: ${message}` }))
    )
    const [configuration, inventory] = written
    yield* Console.log(
      [
        `${inventory}: name your hosts here`,
        `${configuration}: say where alerts go; then`,
        "",
        `  openwatch config check ${configuration}`,
        `  openwatch run ${configuration}`
      ].join("\n")
    )
  })
).pipe(
  Command.withDescription(
    "Write a configuration and an inventory to begin with, openwatch.yaml and hosts.yaml, which explain themselves. Files that are " +
      "there are left alone."
  ),
  Command.withShortDescription("Write files to begin with"),
  Command.withExamples([
    { command: "openwatch init", description: "Write them here" },
    { command: "openwatch init /etc/openwatch", description: "Write them elsewhere" }
  ])
)
