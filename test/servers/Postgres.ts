/**
 * A PostgreSQL cluster of the tests' own, in a temporary folder and on a free port of the loopback. Where it is not
 * installed its tests are skipped, with a line that says so; with `CI` set they run and fail.
 */
import { Effect, FileSystem } from "effect"
import { execFile } from "node:child_process"
import { existsSync, readdirSync } from "node:fs"
import { freePort } from "./freePort.ts"

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

const makeFolder = Effect.gen(function*() {
  const fs = yield* FileSystem.FileSystem
  const bin = binaries[0]
  if (bin === undefined) return yield* Effect.die(new Error(`PostgreSQL is not installed in ${postgresFolder}`))
  const folder = yield* fs.makeTempDirectoryScoped()
  if (process.getuid?.() === 0) yield* fs.chmod(folder, 0o777)
  const data = `${folder}/data`
  const initialize = exec(`${bin}/initdb`, "-D", data, "-A", "trust", "-U", "openwatch", "-E", "UTF8", "--no-sync")
  return { bin, folder, data, initialize }
})

/** The environment variable that says where {@link template} is. */
const templateVariable = "POSTGRES_TEMPLATE"

/** The data of a cluster that is never started. Until the scope closes, the clusters of this process and its children begin as copies. */
export const template = Effect.gen(function*() {
  const { data, initialize } = yield* makeFolder
  yield* initialize
  yield* Effect.acquireRelease(
    Effect.sync(() => process.env[templateVariable] = data),
    () => Effect.sync(() => delete process.env[templateVariable])
  )
}).pipe(Effect.orDie)

/** A cluster that can be stopped and started; gone with the scope. */
export const cluster = Effect.gen(function*() {
  const { bin, data, folder, initialize } = yield* makeFolder
  const made = process.env[templateVariable]
  yield* made === undefined ? initialize : exec("cp", "-R", made, data)
  const port = yield* Effect.promise(freePort)
  const options = `-p ${port} -k ${folder} -c listen_addresses=127.0.0.1 -c fsync=off`
  const start = exec(`${bin}/pg_ctl`, "-D", data, "-l", `${folder}/log`, "-o", options, "-w", "start")
  const stop = exec(`${bin}/pg_ctl`, "-D", data, "-m", "immediate", "-w", "stop")
  yield* Effect.acquireRelease(start, () => Effect.ignoreCause(stop))
  const createDatabase = (name: string) =>
    exec(`${bin}/createdb`, "-h", "127.0.0.1", "-p", String(port), "-U", "openwatch", name)
  return { start, stop, port, createDatabase }
}).pipe(Effect.orDie)

export const isMissing = binaries.length === 0

/** True where there is no PostgreSQL, and its tests may be skipped. */
export const isSkipped = isMissing && (process.env["CI"] ?? "") === ""
if (isSkipped) console.log("PostgreSQL is not installed: its tests are skipped (Debian: apt-get install postgresql)")
