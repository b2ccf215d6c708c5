/**
 * Makes sure that one `openwatch run` at a time has a task on a database. Two of them would probe every host twice, and
 * each would send what the other has stored. The second one says so, and ends. Other commands may run beside it.
 *
 * With SQLite the lock is a transaction on a file of its own. With PostgreSQL it is an advisory lock of a connection of
 * its own. The system releases both when the process ends, however it ends.
 */
import * as PgClient from "@effect/sql-pg/PgClient"
import { Context, Duration, Effect, Layer, Path, Schedule, Schema, Scope } from "effect"
import * as CliError from "effect/cli/CliError"
import * as SqlClient from "effect/sql/SqlClient"
import type * as SqlError from "effect/sql/SqlError"
import { DatabaseSync } from "node:sqlite"
import { describeSqlError } from "./describeSqlError.ts"
import { type Location, nameOf, type Postgres, StorageError } from "./Storage.ts"

/** What a run does with a database, and no two at once. */
export const tasks = { probing: "probes hosts", scans: "takes in scans", routing: "routes alerts" } as const

/** What a run does with a database, and no two at once. */
export type Task = keyof typeof tasks

/** Another run has the task. */
export class TaskTaken extends Schema.TaggedError<TaskTaken>()("TaskTaken", {
  database: Schema.String,
  what: Schema.String
}) {
  override get message(): string {
    return `another openwatch run ${this.what} with ${this.database}: stop it, or give this one another ` +
      "(`--data`, or DATABASE_URL)"
  }

  override get [CliError.userMessage](): string {
    return this.message
  }
}

/** The tasks that a run has. */
export class RunLock extends Context.Service<RunLock, {
  /** Keeps the tasks, for ever. Fails if another run has taken one of them while the database was away. */
  readonly keep: Effect.Effect<never, TaskTaken>
}>()("@openwatch/openwatch/storage/RunLock") {}

const lockFile = (folder: string, task: Task, taken: TaskTaken) =>
  Effect.gen(function*() {
    const path = yield* Path.Path
    const file = path.join(folder, `${task}.lock`)
    yield* Effect.acquireRelease(
      Effect.try({
        try: () => {
          const database = new DatabaseSync(file, { timeout: 0 })
          try {
            database.exec("BEGIN EXCLUSIVE")
          } catch (error) {
            database.close()
            throw error
          }
          return database
        },
        catch: (error) =>
          error instanceof Error && error.message.includes("locked")
            ? taken
            : new StorageError({ database: taken.database, problem: `${file} cannot be locked: ${String(error)}` })
      }),
      (database) => Effect.sync(() => database.close())
    )
  })

/** How often to look whether the connection that holds the locks is still there. */
const lookInterval = Duration.seconds(5)

/** A number that no other program uses for its locks, with any luck: the first bytes of "openwatch". */
const space = 0x6f70656e

/** A connection that holds the locks of these tasks until the scope closes. */
const lockConnection = Effect.fnUntraced(function*(
  location: Postgres,
  wanted: ReadonlyArray<Task>,
  taken: (task: Task) => TaskTaken
) {
  const context = yield* Layer.build(
    PgClient.layer({
      url: location.url,
      applicationName: "openwatch run",
      connectTimeout: "10 seconds",
      maxConnections: 1
    })
  )
  const connection = yield* Effect.flatMap(SqlClient.SqlClient, (sql) => sql.reserve).pipe(Effect.provide(context))
  for (const task of wanted) {
    const [row] = yield* connection.executeValues("SELECT pg_try_advisory_lock($1, $2)", [
      space,
      Object.keys(tasks).indexOf(task)
    ])
    if (row?.[0] !== true) return yield* taken(task)
  }
  return connection.executeValues("SELECT 1", [])
})

/** Waits until the connection is gone. */
const untilGone = (look: Effect.Effect<unknown, SqlError.SqlError>): Effect.Effect<void> =>
  look.pipe(Effect.delay(lookInterval), Effect.forever, Effect.ignore)

/** Takes tasks until the scope closes. Fails where another run has one of them. */
export const take = Effect.fn("RunLock.take")(function*(location: Location, wanted: ReadonlyArray<Task>) {
  const taken = (task: Task) => new TaskTaken({ database: nameOf(location), what: tasks[task] })
  if (location._tag === "DataFolder") {
    for (const task of wanted) yield* lockFile(location.path, task, taken(task))
    return RunLock.of({ keep: Effect.never })
  }
  const scope = yield* Effect.scope
  let current = yield* Scope.fork(scope)
  const connect = Effect.suspend(() => Scope.provide(lockConnection(location, wanted, taken), current))
  let look = yield* connect.pipe(
    Effect.catchTag("SqlError", (error) =>
      Effect.fail(
        new StorageError({ database: nameOf(location), problem: `cannot be locked: ${describeSqlError(error)}` })
      ))
  )
  const again = Effect.gen(function*() {
    yield* Effect.ignoreCause(Scope.close(current, yield* Effect.exit(Effect.void)))
    current = yield* Scope.fork(scope)
    look = yield* connect
  }).pipe(
    Effect.retry({ while: (error) => error._tag === "SqlError", schedule: Schedule.spaced("1 second") }),
    Effect.catchTag("SqlError", (error) => Effect.die(error))
  )
  return RunLock.of({
    keep: Effect.forever(Effect.andThen(Effect.suspend(() => untilGone(look)), again))
  })
})

/** Takes tasks once the database is open. */
export const layer = (location: Location, wanted: ReadonlyArray<Task>) =>
  Layer.effect(RunLock, Effect.andThen(SqlClient.SqlClient, take(location, wanted)))
