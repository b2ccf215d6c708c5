/**
 * The databases that OpenWatch runs on, for tests that each of them must pass.
 */
import type { Storage } from "@openwatch/openwatch"
import { Context, Effect, FileSystem, Layer, Redacted, type Scope } from "effect"
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
  { name: "SQLite", layer: sqlite, isSkipped: false },
  { name: "PostgreSQL", layer: postgres, isSkipped }
] as const
