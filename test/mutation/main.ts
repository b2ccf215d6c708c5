/**
 * Measures the tests of the bus: runs them against mutants of the files given, each in a process of its own, and lists those that
 * no test notices.
 *
 *     npm run mutate -- packages/event-bus/src/internal/losses.ts [--every 4] [--from 0] [--count 20]
 *
 * `--every`: only each fourth mutant, from `--from` on, `--count` of them.
 */
import { spawn } from "node:child_process"
import { once } from "node:events"
import { globSync, readFileSync } from "node:fs"
import { basename, join, resolve } from "node:path"
import { parseArgs } from "node:util"
import { type Mutant, mutantsOf } from "./Mutants.ts"

const root = join(import.meta.dirname, "../..")

const { positionals, values } = parseArgs({
  allowPositionals: true,
  options: { every: { type: "string" }, from: { type: "string" }, count: { type: "string" } }
})
const every = Number(values.every ?? 1)
const from = Number(values.from ?? 0)
const count = Number(values.count ?? Number.POSITIVE_INFINITY)

/** The random ones last, and few: a mutant that only chance finds is a survivor. */
const environment = {
  LAWS_SEQUENCES: "30",
  LAWS_INTERLEAVINGS: "10",
  STORAGE_SEQUENCES: "100",
  LAWS_SEED: "1",
  STORAGE_SEED: "1"
}

const testsOf = (file: string): ReadonlyArray<string> => {
  const isStorage = basename(file) === "storage.ts"
  const all = globSync("packages/event-bus/test/*.test.ts", { cwd: root }).map((path) => join(root, path))
    // Takes long; what it finds are leaks.
    .filter((path) => !path.includes("heap"))
    .filter((path) => isStorage || !path.includes("storage"))
  const isRandom = (path: string): boolean => path.includes("laws") || path.includes("storage")
  return [...all.filter((path) => !isRandom(path)), ...all.filter(isRandom)]
}

/** Whether a test fails, or they take too long. */
const isKilled = async (file: string, mutant: Mutant | undefined): Promise<boolean> => {
  const child = spawn(
    process.execPath,
    ["-C", "@openwatch/source", "--disable-warning=ExperimentalWarning", join(import.meta.dirname, "child.ts")],
    {
      env: { ...process.env, ...environment, MUTATION: JSON.stringify({ file, mutant, tests: testsOf(file) }) },
      stdio: "ignore"
    }
  )
  const timer = setTimeout(() => child.kill("SIGKILL"), 120_000)
  const [code] = await once(child, "exit")
  clearTimeout(timer)
  return code !== 0
}

for (const path of positionals) {
  const file = resolve(path)
  const all = mutantsOf(file, readFileSync(file, "utf8"))
  const chosen = all.filter((_, index) => index % every === 0).slice(from, from + count)
  if (await isKilled(file, undefined)) throw new Error(`${path}: the tests fail without a mutant`)
  let killed = 0
  for (const mutant of chosen) {
    if (await isKilled(file, mutant)) killed++
    else console.log(`${path}:${mutant.line} survived: ${mutant.what.replaceAll(/\s+/g, " ").slice(0, 160)}`)
  }
  console.log(`${path}: ${killed} of ${chosen.length} killed; ${all.length} mutants in all`)
}
