/**
 * A `SqlClient` on Node's own SQLite, `node:sqlite`. There is nothing to install.
 *
 * Effect's SQLite driver has no release for Effect 4.1 yet. Once it has one, this module will be removed.
 *
 * The process has one connection, and its statements wait for one another. Other processes may open the same file.
 * Readers never wait (WAL). Writers wait for one another, for as long as `busyTimeout` says. When a commit returns, it
 * is on the disk (`synchronous=FULL`). Statements run on the calling thread, as everything in `node:sqlite` does.
 */
import { Duration, Effect, Layer, Semaphore, Stream } from "effect"
import * as Reactivity from "effect/reactivity/Reactivity"
import * as SqlClient from "effect/sql/SqlClient"
import type * as SqlConnection from "effect/sql/SqlConnection"
import * as SqlError from "effect/sql/SqlError"
import * as Statement from "effect/sql/Statement"
import { DatabaseSync } from "node:sqlite"
import type { SQLInputValue, StatementSync } from "node:sqlite"

/** The options of a client. One that is left out has the default given here. */
export interface Options {
  /**
   * How long a statement waits for the writers of other connections. Waiting blocks the thread. Where several processes
   * write much, 0 leaves the waiting to those who can try again, as an outbox does. Default 5 seconds.
   */
  readonly busyTimeout?: Duration.Input | undefined
}

const messageOf = (cause: unknown): string => cause instanceof Error ? cause.message : String(cause)

// Node has SQLite's number in `errcode`, the classifier looks for it in `errno`.
const sqlError = (cause: unknown, operation: string, message = messageOf(cause)): SqlError.SqlError =>
  new SqlError.SqlError({
    reason: SqlError.classifySqliteError(
      cause instanceof Error && "errcode" in cause ? Object.assign(cause, { errno: cause.errcode }) : cause,
      { message, operation }
    )
  })

interface NodeSqliteConnection extends SqlConnection.Connection {
  readonly database: DatabaseSync
}

const makeConnection = (database: DatabaseSync): NodeSqliteConnection => {
  const run = <A>(query: () => A): Effect.Effect<A, SqlError.SqlError> =>
    Effect.try({ try: query, catch: (cause) => sqlError(cause, "execute") })

  const valuesOf = (statement: StatementSync, params: ReadonlyArray<unknown>): ReadonlyArray<Array<unknown>> => {
    statement.setReturnArrays(true)
    return statement.all(...params as Array<SQLInputValue>) as unknown as ReadonlyArray<Array<unknown>>
  }

  // The objects that `node:sqlite` makes are slow to make and to read.
  const all = (sql: string, params: ReadonlyArray<unknown>): ReadonlyArray<object> => {
    const statement = database.prepare(sql)
    const rows = valuesOf(statement, params)
    if (rows.length === 0) return []
    const columns = statement.columns().map(({ name }) => name)
    return rows.map((values) => {
      const row: Record<string, unknown> = {}
      for (let i = 0; i < columns.length; i++) row[columns[i]!] = values[i]
      return row
    })
  }

  const values = (sql: string, params: ReadonlyArray<unknown>) => run(() => valuesOf(database.prepare(sql), params))

  const execute: SqlConnection.Connection["execute"] = (sql, params, transformRows) =>
    run(() => transformRows === undefined ? all(sql, params) : transformRows(all(sql, params)))

  return {
    database,
    execute,
    executeUnprepared: execute,
    executeRaw: (sql, params) => run(() => all(sql, params)),
    executeValues: values,
    executeValuesUnprepared: values,
    executeStream: (sql, params, transformRows) => Stream.fromIterableEffect(execute(sql, params, transformRows))
  }
}

const open = (file: string, busyMillis: number) =>
  Effect.try({
    try: () => {
      // Changing to WAL waits for others as well.
      const database = new DatabaseSync(file, { timeout: Math.max(busyMillis, 1_000) })
      database.exec("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON")
      database.exec(`PRAGMA busy_timeout = ${busyMillis}`)
      return database
    },
    catch: (cause) => sqlError(cause, "open", `${file}: ${messageOf(cause)}`)
  })

/**
 * Makes the client for a database file, which is created if it is missing. Its folder must be there. Closed with the scope.
 */
export const make = Effect.fnUntraced(function*(file: string, options?: Options) {
  const busyMillis = Math.ceil(Duration.toMillis(Duration.fromInputUnsafe(options?.busyTimeout ?? "5 seconds")))
  const database = yield* Effect.acquireRelease(
    open(file, busyMillis),
    (database) => Effect.sync(() => database.close())
  )
  const acquirers = SqlClient.makeSqliteAcquirers({
    connection: Effect.succeed(makeConnection(database)),
    semaphore: yield* Semaphore.make(1),
    isTransaction: ({ database }) => database.isTransaction
  })
  return yield* SqlClient.make({
    ...acquirers,
    compiler: Statement.makeCompilerSqlite(),
    driver: "node-sqlite",
    // A transaction that begins as a reader cannot become a writer once another process has written.
    beginTransaction: "BEGIN IMMEDIATE",
    spanAttributes: [["db.system.name", "sqlite"]]
  })
})

/** Provides the client for a database file: see {@link make}. */
export const layer = (file: string, options?: Options): Layer.Layer<SqlClient.SqlClient, SqlError.SqlError> =>
  Layer.effect(SqlClient.SqlClient, make(file, options)).pipe(Layer.provide(Reactivity.layer))
