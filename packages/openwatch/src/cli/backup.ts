/**
 * `openwatch backup`: a copy of what is stored.
 */
import { Console, Effect } from "effect"
import * as Argument from "effect/cli/Argument"
import * as Command from "effect/cli/Command"
import * as Backup from "../storage/Backup.ts"
import { nameOf, StorageError } from "../storage/Storage.ts"
import * as StorageOptions from "./storageOptions.ts"

const file = Argument.String("FILE").pipe(Argument.withDescription("Where the copy goes; nothing may be there yet"))

/** The command. */
export const backup = Command.make(
  "backup",
  { file, data: StorageOptions.data },
  Effect.fnUntraced(function*({ data, file }) {
    const location = yield* StorageOptions.location(data)
    const noFile = new StorageError({
      database: nameOf(location),
      problem: "PostgreSQL has a backup of its own: `pg_dump --format=custom --file=FILE \"$DATABASE_URL\"`"
    })
    const bytes = yield* (location._tag === "Postgres" ? noFile : Backup.copy(location, file))
    yield* Console.log(`${file}: ${(bytes / 1_048_576).toFixed(1)} MiB, as ${nameOf(location)} is now`)
  })
).pipe(
  Command.withDescription(
    "Copy the database of a data folder to a file, also while `openwatch run` uses it. The copy is as the database was at one " +
      "moment. To go back to it, stop `openwatch run`, and put the copy as openwatch.sqlite into an empty data folder."
  ),
  Command.withShortDescription("Copy what is stored to a file"),
  Command.withExamples([
    { command: "openwatch backup /var/backups/openwatch-$(date +%F).sqlite", description: "Once a day, by a timer" }
  ])
)
