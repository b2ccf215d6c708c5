/**
 * Measures tests: runs them against mutants of the files given, each in a process of its own, and lists those that no test notices.
 *
 *     npm run mutate -- packages/event-bus/src/internal/losses.ts [--every 4] [--lines 12,40] [--heap]
 *     npm run mutate -- packages/openwatch/src/liveness/Reachability.ts --tests 'packages/openwatch/test/liveness/*.test.ts'
 *
 * `--tests`: these files of tests, with commas between several. Without it the tests of the bus run.
 * `--every`: only each fourth mutant. `--lines`: only those that begin there, to look at some again. `--heap`: with the tests of the heap,
 * which find leaks and take longer than all others. `--seconds`: what all tests may take, of processor time, and one a sixth of it; 20.
 *
 * A mutant takes about a second when a test notices it, and as long as all tests when none does: what noticed the last ones runs first.
 */
import { spawn } from "node:child_process"
import { once } from "node:events"
import { globSync, readFileSync } from "node:fs"
import { basename, join, resolve } from "node:path"
import { text } from "node:stream/consumers"
import { parseArgs } from "node:util"
import { type Mutant, mutantsOf } from "./Mutants.ts"

const root = join(import.meta.dirname, "../..")

const { positionals, values } = parseArgs({
  allowPositionals: true,
  options: {
    every: { type: "string" },
    lines: { type: "string" },
    heap: { type: "boolean" },
    tests: { type: "string" },
    seconds: { type: "string" }
  }
})
const every = Number(values.every ?? 1)
const lines = values.lines?.split(",").map(Number)

/** Seconds of processor time that the tests may take: a mutant may turn in a circle for ever. */
const atMost = Number(values.seconds ?? 20)

/** The random ones are few: a mutant that only chance finds is a survivor. */
const environment = {
  LAWS_SEQUENCES: "30",
  LAWS_INTERLEAVINGS: "10",
  STORAGE_SEQUENCES: "100",
  LAWS_SEED: "1",
  STORAGE_SEED: "1",
  // A process starts in half the time.
  NODE_COMPILE_CACHE: join(root, "node_modules/.cache/mutation")
}

/** The tests that may notice a mutant of the file. The slow ones come last. */
const testsOf = (file: string): ReadonlyArray<string> => {
  if (values.tests !== undefined) return globSync(values.tests.split(",")).toSorted().map((path) => resolve(path))
  const isSlow = (path: string): number =>
    ["metrics", "laws", "storage", "heap"].findIndex((name) => path.includes(name))
  return globSync("packages/event-bus/test/*.test.ts", { cwd: root })
    .filter((path) => !path.includes("storage") || /storage|keys/.test(basename(file)))
    .filter((path) => !path.includes("heap") || values.heap === true)
    .toSorted((a, b) => isSlow(a) - isSlow(b))
    .map((path) => join(root, path))
}

/** The file of tests that notices the mutant, if one does. */
const noticedBy = async (
  file: string,
  mutant: Mutant | undefined,
  tests: ReadonlyArray<string>
): Promise<string | undefined> => {
  const child = spawn(
    "sh",
    [
      "-c",
      `ulimit -t ${atMost}; exec "$@"`,
      "sh",
      process.execPath,
      "-C",
      "@openwatch/source",
      "--disable-warning=ExperimentalWarning",
      join(import.meta.dirname, "child.ts")
    ],
    {
      env: { ...process.env, ...environment, MUTATION: JSON.stringify({ file, mutant, tests, atMost }) },
      stdio: ["ignore", "pipe", "ignore"]
    }
  )
  // For what waits in a circle and takes no processor time.
  const timer = setTimeout(() => child.kill("SIGKILL"), 10 * atMost * 1_000)
  const [printed, [code]] = await Promise.all([text(child.stdout), once(child, "exit")])
  clearTimeout(timer)
  return code === 0 ? undefined : printed.trim().split("\n").at(-1)
}

for (const path of positionals) {
  const file = resolve(path)
  const all = mutantsOf(file, readFileSync(file, "utf8"))
  const chosen = all.filter(({ line }, index) => index % every === 0 && lines?.includes(line) !== false)
  let tests = testsOf(file)
  const failing = await noticedBy(file, undefined, tests)
  if (failing !== undefined) throw new Error(`${path}: the tests fail without a mutant: ${failing}`)
  let killed = 0
  for (const mutant of chosen) {
    const noticing = await noticedBy(file, mutant, tests)
    if (noticing === undefined) {
      console.log(`${path}:${mutant.line} survived: ${mutant.what.replaceAll(/\s+/g, " ").slice(0, 160)}`)
    } else {
      killed++
      tests = [noticing, ...tests.filter((test) => test !== noticing)]
    }
  }
  console.log(`${path}: ${killed} of ${chosen.length} killed; ${all.length} mutants in all`)
}
