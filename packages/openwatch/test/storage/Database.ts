/**
 * The databases that OpenWatch runs on, for tests that each of them must pass.
 */
import { AlertOutbox, Outboxes, type Storage, SystemEventBus, SystemOutbox } from "@openwatch/openwatch"
import { Context, Effect, FileSystem, Layer, Redacted, Schema, type Scope } from "effect"
import * as SqlClient from "effect/sql/SqlClient"
import { cluster, isSkipped } from "../../../../test/servers/Postgres.ts"

/** Makes databases. */
export class Database extends Context.Service<Database, {
  /** A new, empty one. */
  readonly empty: Effect.Effect<Storage.Location, never, Scope.Scope>
}>()("test/Database") {}

/** SQLite, each in a folder of its own. */
export const sqlite = Layer.effect(
  Database,
  Effect.map(FileSystem.FileSystem, (fs) => ({
    empty: Effect.map(Effect.orDie(fs.makeTempDirectoryScoped()), (path) => ({ _tag: "DataFolder" as const, path }))
  }))
)

/** Where a database of a cluster is. */
export const location = (port: number, database: string): Storage.Location => ({
  _tag: "Postgres",
  url: Redacted.make(`postgresql://openwatch:pa55word@127.0.0.1:${port}/${database}`)
})

/** PostgreSQL. */
export const postgres = Layer.effect(
  Database,
  Effect.gen(function*() {
    const { createDatabase, port } = yield* cluster
    let count = 0
    return {
      empty: Effect.suspend(() => {
        const name = `openwatch_${++count}`
        return Effect.as(createDatabase(name), location(port, name))
      })
    }
  })
)

/** Both, for `describe.skipIf`. */
export const databases = [
  { name: "SQLite", layer: sqlite, isSkipped: false, isPostgres: false },
  { name: "PostgreSQL", layer: postgres, isSkipped, isPostgres: true }
] as const

/** The outboxes and the bus of a database. A test may let hours pass: within a process nothing waits for the next look. */
export const outboxes = Outboxes.layer({ pollInterval: "1 hour", lease: "1 day" }).pipe(
  Layer.provideMerge(SystemEventBus.layer)
)

/** Waits until all that is stored is on the bus, and handled. */
export const awaitIdle = Effect.andThen(
  Effect.flatMap(SystemOutbox, (outbox) => outbox.awaitIdle),
  Effect.flatMap(AlertOutbox, (outbox) => outbox.awaitIdle)
)

const decode = Schema.decodeUnknownSync(Schema.fromJsonString(SystemEventBus.EventJson))

/** The events that are stored, in their order. */
export const storedEvents = Effect.gen(function*() {
  const sql = yield* SqlClient.SqlClient
  const rows = yield* sql<{ payload: string }>`SELECT CAST(payload AS text) AS payload FROM system_events ORDER BY seq`
  return rows.map(({ payload }) => decode(payload))
})
