/**
 * The database of OpenWatch: SQLite in a data folder, or PostgreSQL.
 *
 * Opening it brings its tables up to date, in one transaction. So two processes may start at the same time. Each
 * concern has a small service of its own: `AlertStore`, `HostStates`, `Scans`. Events are kept by `Outboxes`.
 */
import * as PgClient from "@effect/sql-pg/PgClient"
import * as NodeSqlite from "@openwatch/event-bus-sql/NodeSqlite"
import { Effect, FileSystem, Layer, Path, Redacted, Result, Schema } from "effect"
import * as CliError from "effect/cli/CliError"
import * as Migrator from "effect/sql/Migrator"
import * as SqlClient from "effect/sql/SqlClient"
import * as SqlError from "effect/sql/SqlError"
import { describeSqlError } from "./describeSqlError.ts"
import { migrations, schemaVersion } from "./migrations.ts"

/** SQLite, in `openwatch.sqlite` in a folder of its own. */
export interface DataFolder {
  readonly _tag: "DataFolder"
  /** The path as it was given. The folder is made if it is missing. */
  readonly path: string
}

/** PostgreSQL, at a URL. */
export interface Postgres {
  readonly _tag: "Postgres"
  readonly url: Redacted.Redacted
}

/** Where the data is kept. */
export type Location = DataFolder | Postgres

/** The database could not be opened or brought up to date. The message names the database, and never a password. */
export class StorageError extends Schema.TaggedError<StorageError>()("StorageError", {
  /** Which database. */
  database: Schema.String,
  problem: Schema.String
}) {
  override get message(): string {
    return `${this.database}: ${this.problem}`
  }

  override get [CliError.userMessage](): string {
    return this.message
  }
}

/**
 * Returns the location that `DATABASE_URL` names or, if it is not set, the data folder. An error does not repeat the
 * URL, which may hold a password.
 */
export const locate = (
  options: { readonly databaseUrl: string | undefined; readonly dataFolder: string }
): Result.Result<Location, StorageError> => {
  if (options.databaseUrl === undefined || options.databaseUrl === "") {
    return Result.succeed({ _tag: "DataFolder", path: options.dataFolder })
  }
  return isPostgresUrl(options.databaseUrl)
    ? Result.succeed({ _tag: "Postgres", url: Redacted.make(options.databaseUrl, { label: "DATABASE_URL" }) })
    : Result.fail(
      new StorageError({
        database: "DATABASE_URL",
        problem: "not a URL of PostgreSQL; expected postgresql://USER:PASSWORD@HOST:PORT/DATABASE"
      })
    )
}

const isPostgresUrl = (text: string): boolean => {
  const url = URL.parse(text)
  return url !== null && (url.protocol === "postgres:" || url.protocol === "postgresql:") && url.hostname !== "" &&
    url.pathname.length > 1
}

/** The name of a location in messages: host and database, or the folder. It never has a password. */
export const nameOf = (location: Location): string => {
  if (location._tag === "DataFolder") return `data folder ${location.path}`
  const url = new URL(Redacted.value(location.url))
  return `PostgreSQL database "${decodeURIComponent(url.pathname.slice(1))}" on ${url.hostname}:${url.port || 5432}`
}

const migrate = (database: string) =>
  Effect.gen(function*() {
    const sql = yield* SqlClient.SqlClient
    yield* Migrator.make({})({ loader: Migrator.fromRecord(migrations), table: "openwatch_migrations" })
    const [found] = yield* sql<{ version: number }>`SELECT MAX(migration_id) AS version FROM openwatch_migrations`
    if (found !== undefined && found.version > schemaVersion) {
      yield* new StorageError({
        database,
        problem: `its schema is version ${found.version}, this openwatch knows version ${schemaVersion}; ` +
          "use the openwatch that made it, or a newer one"
      })
    }
  }).pipe(
    Effect.catchTag("MigrationError", ({ cause, message }) =>
      Effect.fail(
        new StorageError({
          database,
          problem: `cannot be brought up to date: ${message}${
            SqlError.isSqlError(cause) ? `: ${describeSqlError(cause)}` : ""
          }`
        })
      ))
  )

/** Returns the file of SQLite in a data folder. The folder is made private, unless the file has to be there already. */
export const sqliteFile = Effect.fnUntraced(function*(location: DataFolder, mustExist: boolean) {
  const fs = yield* FileSystem.FileSystem
  const path = yield* Path.Path
  const file = path.join(location.path, "openwatch.sqlite")
  const fail = (problem: string) => new StorageError({ database: nameOf(location), problem })
  /** Returns whether it is there. SQLite would only say that it cannot open or write what this user may not use. */
  const find = (place: string) =>
    fs.access(place, { readable: true, writable: true }).pipe(
      Effect.as(true),
      Effect.catch(({ message, reason }) =>
        reason._tag === "NotFound"
          ? Effect.succeed(false)
          : Effect.fail(
            fail(
              reason._tag === "PermissionDenied"
                ? `permission denied: whoever runs this has to be able to read and write ${place}`
                : message
            )
          )
      )
    )
  if (mustExist) {
    if (!(yield* find(file))) {
      return yield* fail("nothing is stored there; `openwatch run` makes it, `--data` names another")
    }
  } else {
    // What is stored may say more about the fleet than everyone on the machine should know.
    yield* fs.makeDirectory(location.path, { recursive: true, mode: 0o700 }).pipe(
      Effect.mapError((error) => fail(`cannot be made: ${error.message}`))
    )
    // Where it existed, too. A file system without modes, or another owner, is for whoever set it up so.
    const { mode } = yield* Effect.mapError(fs.stat(location.path), (error) => fail(error.message))
    if ((mode & 0o077) !== 0) {
      yield* fs.chmod(location.path, 0o700).pipe(
        Effect.catch((error) =>
          Effect.logWarning(`The data folder ${location.path} can be read by others on this machine: ${error.message}`)
        )
      )
    }
    yield* find(location.path)
    yield* find(file)
  }
  return file
})

/** The database at a location, as it is. */
export const clientLayer = (location: Location, mustExist = false) =>
  location._tag === "Postgres"
    ? PgClient.layer({
      url: location.url,
      applicationName: "openwatch",
      connectTimeout: "10 seconds",
      // Each outbox listens on one, and the router holds one.
      maxConnections: 8
    })
    : Layer.unwrap(Effect.map(sqliteFile(location, mustExist), NodeSqlite.layer))

/**
 * The database at a location, with its tables up to date. With `mustExist`, a data folder without a database is an
 * error. Otherwise the database is made.
 */
export const layer = (
  location: Location,
  options?: { readonly mustExist?: boolean }
): Layer.Layer<SqlClient.SqlClient, StorageError, FileSystem.FileSystem | Path.Path> => {
  const database = nameOf(location)
  const migrated = Layer.effectDiscard(migrate(database)).pipe(
    Layer.provideMerge(clientLayer(location, options?.mustExist))
  )
  return migrated.pipe(
    Layer.catchTag(
      "SqlError",
      (error) =>
        Layer.effectContext(
          Effect.fail(new StorageError({ database, problem: `cannot be opened: ${describeSqlError(error)}` }))
        )
    )
  )
}
