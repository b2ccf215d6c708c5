/**
 * The tables, as the steps that made them. A step that has been released never changes; what changes is a new step.
 *
 * Times are milliseconds since 1970 (UTC).
 */
import { Effect } from "effect"
import * as SqlClient from "effect/sql/SqlClient"

/** The names of the tables of one outbox. */
export interface Tables {
  readonly events: string
  readonly processes: string
  readonly members: string
  readonly consumers: string
  readonly positions: string
  readonly parked: string
  readonly state: string
  readonly migrations: string
}

export const tablesOf = (prefix: string): Tables => ({
  events: `${prefix}events`,
  processes: `${prefix}processes`,
  members: `${prefix}members`,
  consumers: `${prefix}consumers`,
  positions: `${prefix}positions`,
  parked: `${prefix}parked`,
  state: `${prefix}state`,
  migrations: `${prefix}migrations`
})

const initial = (prefix: string) =>
  Effect.gen(function*() {
    const sql = (yield* SqlClient.SqlClient).withoutTransforms()
    const names = tablesOf(prefix)
    const isPostgres = sql.onDialectOrElse({ pg: () => true, orElse: () => false })
    const run = (text: string) => sql.unsafe(text)

    // PostgreSQL evaluates defaults in the order of the columns: the transaction has its number before the event gets
    // its own. The rule for gaps stands on that.
    yield* run(
      isPostgres
        ? `CREATE TABLE ${names.events} (
            tx XID8 NOT NULL DEFAULT pg_current_xact_id(),
            seq BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
            kind TEXT NOT NULL,
            id TEXT NOT NULL,
            slot SMALLINT NOT NULL,
            key_hash TEXT NOT NULL,
            payload JSON NOT NULL,
            trace TEXT,
            published_at BIGINT NOT NULL DEFAULT (extract(epoch FROM clock_timestamp()) * 1000)::bigint,
            UNIQUE (kind, id)
          )`
        : `CREATE TABLE ${names.events} (
            seq INTEGER PRIMARY KEY AUTOINCREMENT,
            kind TEXT NOT NULL,
            id TEXT NOT NULL,
            slot INTEGER NOT NULL,
            key_hash TEXT NOT NULL,
            payload TEXT NOT NULL,
            trace TEXT,
            published_at INTEGER NOT NULL,
            UNIQUE (kind, id)
          )`
    )
    yield* run(`CREATE INDEX ${names.events}_by_kind ON ${names.events} (kind, seq)`)

    // PostgreSQL's lease is a time of the server's, SQLite's a number that its process counts up.
    yield* run(`CREATE TABLE ${names.processes} (
      id TEXT NOT NULL PRIMARY KEY,
      lease_until BIGINT NOT NULL,
      beat BIGINT NOT NULL
    )`)
    yield* run(`CREATE TABLE ${names.members} (
      process TEXT NOT NULL,
      consumer TEXT NOT NULL,
      PRIMARY KEY (process, consumer)
    )`)

    // kinds: a JSON object of each kind and the number of the event behind which the consumer handles it.
    yield* run(`CREATE TABLE ${names.consumers} (
      name TEXT NOT NULL PRIMARY KEY,
      kinds TEXT NOT NULL,
      ordering TEXT NOT NULL,
      partitions INTEGER NOT NULL,
      seen_at BIGINT NOT NULL,
      replaced_by TEXT
    )`)
    yield* run(`CREATE TABLE ${names.positions} (
      consumer TEXT NOT NULL,
      part INTEGER NOT NULL,
      pos BIGINT NOT NULL,
      owner TEXT,
      epoch BIGINT NOT NULL,
      is_unclean INTEGER NOT NULL,
      PRIMARY KEY (consumer, part)
    )${isPostgres ? " WITH (fillfactor = 50)" : ""}`)
    yield* run(`CREATE TABLE ${names.parked} (
      consumer TEXT NOT NULL,
      seq BIGINT NOT NULL,
      part INTEGER NOT NULL,
      key_hash TEXT NOT NULL,
      state TEXT NOT NULL,
      attempts INTEGER NOT NULL,
      due_at BIGINT NOT NULL,
      cause TEXT,
      failed_at BIGINT,
      PRIMARY KEY (consumer, seq)
    )`)
    yield* run(`CREATE INDEX ${names.parked}_by_state ON ${names.parked} (consumer, state, seq)`)

    // What is parked is not deleted with the log.
    yield* run(`CREATE INDEX ${names.parked}_by_event ON ${names.parked} (seq)`)

    // One row. generation: counted up by whatever the other processes have to look at.
    yield* run(`CREATE TABLE ${names.state} (
      id INTEGER NOT NULL PRIMARY KEY,
      generation BIGINT NOT NULL,
      horizon BIGINT NOT NULL
    )`)
    yield* run(`INSERT INTO ${names.state} (id, generation, horizon) VALUES (1, 0, 0)`)
  })

/** Every step, named `<number>_<what>`. */
export const migrations = (prefix: string): Record<string, Effect.Effect<void, unknown, SqlClient.SqlClient>> => ({
  "1_initial": initial(prefix)
})

/** The version of the tables after the last step. */
export const tablesVersion = 1
