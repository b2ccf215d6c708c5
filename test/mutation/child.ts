/**
 * Runs the tests of the bus against one mutant, given in the environment. Exits with 0 when the mutant survives; the last line it
 * prints is the file of tests that it got to.
 */
import { readFileSync, writeSync } from "node:fs"
import { registerHooks } from "node:module"
import { fileURLToPath } from "node:url"
import { copies, runAll } from "./runner.ts"

const { atMost, file, mutant, tests } = JSON.parse(process.env["MUTATION"]!) as {
  readonly file: string
  readonly mutant: { readonly start: number; readonly end: number; readonly replacement: string } | undefined
  readonly tests: ReadonlyArray<string>
  readonly atMost: number
}

registerHooks({
  resolve: (specifier, context, next) => {
    if (specifier === "@effect/vitest") return next(new URL("runner.ts", import.meta.url).href, context)
    const resolved = next(specifier, context)
    if (copies.count === 0 || !resolved.url.includes("/packages/event-bus/src/")) return resolved
    return { ...resolved, url: `${resolved.url}?copy=${copies.count}` }
  },
  load: (url, context, next) => {
    const path = url.startsWith("file:") ? fileURLToPath(url.replace(/\?.*$/, "")) : url
    if (mutant === undefined || path !== file) return next(url, context)
    const source = readFileSync(path, "utf8")
    return {
      format: "module-typescript",
      source: source.slice(0, mutant.start) + mutant.replacement + source.slice(mutant.end),
      shortCircuit: true
    }
  }
})

// A mutant may break what ends a test: what nobody waits for counts too.
const fail = (error: unknown): never => {
  writeSync(2, `${String(error)}\n`)
  process.exit(1)
}
process.on("uncaughtException", fail)
process.on("unhandledRejection", fail)
// Errors that tests expect are logged.
console.log = console.error = console.warn = () => {}

for (const test of tests) {
  writeSync(1, `${test}\n`)
  await import(test)
  const failed = await runAll(/heap|laws|storage/.test(test) ? 15_000 : atMost * 1_000 / 6)
  if (failed !== undefined) fail(failed)
}
process.exit(0)
