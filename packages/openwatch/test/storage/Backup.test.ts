import { NodeServices } from "@effect/platform-node"
import { assert, describe, it } from "@effect/vitest"
import { Storage } from "@openwatch/openwatch"
import { Array, Effect, FileSystem, Layer } from "effect"
import { SqlClient } from "effect/sql"
import { open } from "node:fs/promises"
import * as Backup from "../../src/storage/Backup.ts"

const dataFolder = Effect.gen(function*() {
  const fs = yield* FileSystem.FileSystem
  const folder = yield* fs.makeTempDirectoryScoped()
  const location: Storage.DataFolder = { _tag: "DataFolder", path: `${folder}/data` }
  return { folder, location, file: `${folder}/copy.sqlite` }
})

const insert = (id: string) =>
  Effect.flatMap(
    SqlClient.SqlClient,
    (sql) => sql`INSERT INTO host_states ${sql.insert({ host_id: id, reachable: 1, occurred_at: 1 })}`
  )

const count = Effect.flatMap(
  SqlClient.SqlClient,
  (sql) => Effect.map(sql<{ count: number }>`SELECT COUNT(*) AS count FROM host_states`, ([row]) => row!.count)
)

const openStorage = (location: Storage.Location) => Layer.fresh(Storage.layer(location))

const error = (copy: ReturnType<typeof Backup.copy>) => Effect.map(Effect.flip(copy), ({ message }) => message)

describe("a backup", () => {
  it.layer(NodeServices.layer)((it) => {
    it.effect("has what is stored, is for its owner alone, and is a database to go on with", () =>
      Effect.gen(function*() {
        const fs = yield* FileSystem.FileSystem
        const { file, folder, location } = yield* dataFolder
        yield* Effect.gen(function*() {
          yield* insert("a")
          // The database stays open, with what is new in its write-ahead log.
          assert.isAbove(yield* Backup.copy(location, file), 4_096)
          yield* insert("b")
        }).pipe(Effect.provide(openStorage(location)))
        assert.strictEqual((yield* fs.stat(file)).mode & 0o777, 0o600)
        assert.deepStrictEqual((yield* fs.readDirectory(folder)).toSorted(), ["copy.sqlite", "data"])

        const restored: Storage.DataFolder = { _tag: "DataFolder", path: `${folder}/restored` }
        yield* fs.makeDirectory(restored.path)
        yield* fs.rename(file, `${restored.path}/openwatch.sqlite`)
        assert.strictEqual(yield* Effect.provide(count, openStorage(restored)), 1)
      }).pipe(Effect.scoped))

    it.effect("is made while others write", () =>
      Effect.gen(function*() {
        const { file, folder, location } = yield* dataFolder
        yield* Effect.gen(function*() {
          const sql = yield* SqlClient.SqlClient
          const filler = Array.makeBy(5_000, (n) => ({
            host_id: `filler-${n}-${"x".repeat(500)}`,
            reachable: 1,
            occurred_at: 1
          }))
          yield* sql`INSERT INTO host_states ${sql.insert(filler)}`
          let isCopied = false
          let written = 0
          yield* Effect.all([
            Effect.ensuring(Backup.copy(location, file), Effect.sync(() => isCopied = true)),
            Effect.whileLoop({
              while: () => !isCopied,
              body: () => Effect.andThen(insert(`later-${written++}`), Effect.promise(() => new Promise(setImmediate))),
              step: () => {}
            })
          ], { concurrency: 2 })
          assert.isAbove(written, 0)
        }).pipe(Effect.provide(openStorage(location)))
        const fs = yield* FileSystem.FileSystem
        yield* fs.makeDirectory(`${folder}/restored`)
        yield* fs.rename(file, `${folder}/restored/openwatch.sqlite`)
        const restored = openStorage({ _tag: "DataFolder", path: `${folder}/restored` })
        assert.isAtLeast(yield* Effect.provide(count, restored), 5_000)
      }).pipe(Effect.scoped), 60_000)

    it.effect("writes over nothing", () =>
      Effect.gen(function*() {
        const fs = yield* FileSystem.FileSystem
        const { file, location } = yield* dataFolder
        yield* fs.writeFileString(file, "precious")
        const message = yield* error(Backup.copy(location, file)).pipe(Effect.provide(openStorage(location)))
        assert.strictEqual(
          message,
          `data folder ${location.path}: ${file} is there already; a backup does not write over it`
        )
        assert.strictEqual(yield* fs.readFileString(file), "precious")
      }).pipe(Effect.scoped))

    it.effect("of a database that is damaged is not made, and nothing is left of it", () =>
      Effect.gen(function*() {
        const fs = yield* FileSystem.FileSystem
        const { file, folder, location } = yield* dataFolder
        yield* Effect.provide(
          Effect.forEach(Array.range(1, 500), (n) => insert(`${n}${"x".repeat(500)}`)),
          openStorage(location)
        )
        yield* Effect.promise(async () => {
          const database = await open(`${location.path}/openwatch.sqlite`, "r+")
          const { size } = await database.stat()
          await database.write(Buffer.alloc(40_960, 7), 0, 40_960, size - 81_920)
          await database.close()
        })
        assert.match(yield* error(Backup.copy(location, file)), /cannot be copied to .*copy.sqlite: /)
        assert.deepStrictEqual(yield* fs.readDirectory(folder), ["data"])
      }).pipe(Effect.scoped))

    it.effect("is not made of a data folder where nothing is stored, nor into a folder that there is not", () =>
      Effect.gen(function*() {
        const { file, folder, location } = yield* dataFolder
        assert.match(yield* error(Backup.copy(location, file)), /nothing is stored there/)
        yield* Effect.provide(count, openStorage(location))
        assert.match(
          yield* error(Backup.copy(location, `${folder}/no/copy`)),
          /: there is no folder .*\/no$/
        )
      }).pipe(Effect.scoped))
  })
})
