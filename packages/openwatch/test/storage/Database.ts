/**
 * The databases that OpenWatch runs on, for tests that each of them must pass.
 *
 * PostgreSQL is a cluster of the tests' own, in a temporary folder and on a free port of the loopback. Where it is not
 * installed its tests are skipped, with a line that says so; with `CI` set they run and fail.
 */
import type { Storage } from "@openwatch/openwatch"
import { Context, Effect, FileSystem, Layer, Redacted, type Scope } from "effect"
import { execFile } from "node:child_process"
import { existsSync, readdirSync } from "node:fs"
import * as Net from "node:net"

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

const postgresFolder = "/usr/lib/postgresql"
const binaries = existsSync(postgresFolder)
  ? readdirSync(postgresFolder).toSorted((a, b) => Number(b) - Number(a)).map((version) =>
    `${postgresFolder}/${version}/bin`
  )
  : []

const exec = (file: string, ...args: ReadonlyArray<string>) =>
  Effect.callback<void>((resume) => {
    // PostgreSQL refuses to run as root.
    const asRoot = process.getuid?.() === 0
    const [command, ...rest] = asRoot ? ["runuser", "-u", "postgres", "--", file, ...args] : [file, ...args]
    execFile(command, rest, { cwd: "/" }, (error, _, stderr) => {
      resume(error === null ? Effect.void : Effect.die(new Error(`${file}: ${stderr || error.message}`)))
    })
  })

const freePort = Effect.callback<number>((resume) => {
  const server = Net.createServer()
  server.listen(0, "127.0.0.1", () => {
    const { port } = server.address() as Net.AddressInfo
    server.close(() => resume(Effect.succeed(port)))
  })
})

/** A cluster that can be stopped and started; gone with the scope. */
export const cluster = Effect.gen(function*() {
  const fs = yield* FileSystem.FileSystem
  const bin = binaries[0]
  if (bin === undefined) return yield* Effect.die(new Error(`PostgreSQL is not installed in ${postgresFolder}`))
  const folder = yield* fs.makeTempDirectoryScoped()
  if (process.getuid?.() === 0) yield* fs.chmod(folder, 0o777)
  const data = `${folder}/data`
  const port = yield* freePort
  yield* exec(`${bin}/initdb`, "-D", data, "-A", "trust", "-U", "openwatch", "-E", "UTF8", "--no-sync")
  const options = `-p ${port} -k ${folder} -c listen_addresses=127.0.0.1 -c fsync=off`
  const start = exec(`${bin}/pg_ctl`, "-D", data, "-l", `${folder}/log`, "-o", options, "-w", "start")
  const stop = exec(`${bin}/pg_ctl`, "-D", data, "-m", "immediate", "-w", "stop")
  yield* Effect.acquireRelease(start, () => Effect.ignoreCause(stop))
  const createDatabase = (name: string) =>
    exec(`${bin}/createdb`, "-h", "127.0.0.1", "-p", String(port), "-U", "openwatch", name)
  return { start, stop, port, createDatabase }
}).pipe(Effect.orDie)

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

const isSkipped = binaries.length === 0 && process.env["CI"] === undefined
if (isSkipped) console.log("PostgreSQL is not installed: its tests are skipped (Debian: apt-get install postgresql)")

/** Both, for `describe.skipIf`. */
export const databases = [
  { name: "SQLite", layer: sqlite, isSkipped: false },
  { name: "PostgreSQL", layer: postgres, isSkipped }
] as const
