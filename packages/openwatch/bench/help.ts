/**
 * What `openwatch --help` costs beside importing `effect/cli` alone: processor time of whole processes, as the sources run and as
 * the package is installed (after `npm run build`), each with what was compiled kept and thrown away. Runs of all kinds take turns,
 * so that what else the machine does is shared out.
 *
 * `npm run bench:help -w @openwatch/openwatch -- [TURNS]`. Ends with 1 where it is more than 1.6 times as much.
 */
import { spawnSync } from "node:child_process"
import { existsSync, mkdtempDisposableSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { pathToFileURL } from "node:url"

const turns = Number(process.argv[2] ?? 11)
const root = join(import.meta.dirname, "..")
const url = (file: string) => pathToFileURL(join(root, file)).href

/** Prints what the process has used, in microseconds, on standard error. */
const meter = "data:text/javascript," + encodeURIComponent(
  `import { writeSync } from "node:fs"
  process.on("exit", () => {
    const { system, user } = process.cpuUsage()
    writeSync(2, "used " + (system + user))
  })`
)

using folder = mkdtempDisposableSync(join(tmpdir(), "help-"))

const measure = (args: ReadonlyArray<string>, cache: boolean): number => {
  const { status, stderr } = spawnSync(process.execPath, ["--import", meter, ...args], {
    cwd: root,
    encoding: "utf8",
    env: { PATH: process.env["PATH"], ...(cache ? { CACHE_DIRECTORY: folder.path } : {}) }
  })
  const [, used] = /used (\d+)$/.exec(stderr) ?? []
  if (status !== 0 || used === undefined) throw new Error(`${args.join(" ")} has failed: ${stderr}`)
  return Number(used) / 1_000
}

const bin = join(root, "bin/openwatch.js")
const installed = `process.argv.splice(1, 0, ${JSON.stringify(bin)}); await import(${
  JSON.stringify(url("dist/main.js"))
})`
const alone = ["--input-type=module", "--eval", `await import("effect/cli")`]

const kinds = [
  { what: "effect/cli alone", run: () => measure(alone, false) },
  { what: "--help of the sources", run: () => measure([bin, "--help"], false) },
  { what: "--help of the sources, compiled before", run: () => measure([bin, "--help"], true) },
  ...(existsSync(join(root, "dist/main.js"))
    ? [{
      what: "--help as installed",
      run: () => measure(["--input-type=module", "--eval", installed, "--", "--help"], false)
    }]
    : [])
].map(({ run, what }) => ({ what, run, used: [] as Array<number> }))

// The first turn fills caches.
for (let turn = 0; turn <= turns; turn++) {
  for (const { run, used } of kinds) {
    const millis = run()
    if (turn > 0) used.push(millis)
  }
}

const median = (values: ReadonlyArray<number>) => values.toSorted((a, b) => a - b)[values.length >> 1]!
const base = median(kinds[0]!.used)
for (const { used, what } of kinds) {
  const millis = median(used)
  console.log(`${what.padEnd(40)} ${millis.toFixed(0).padStart(6)} ms  ${(millis / base).toFixed(2)}x`)
  if (millis > 1.6 * base) process.exitCode = 1
}
