/**
 * Compares the public surface of each package with the report that is committed beside it (`api.txt`), or writes the
 * reports anew with `--update`. It reads what `tsc --build` emitted.
 */
import { existsSync, globSync, readFileSync, writeFileSync } from "node:fs"
import { dirname, join, relative } from "node:path"
import { apiReport } from "./ApiReport.ts"

const root = join(import.meta.dirname, "../..")
const isUpdate = process.argv.includes("--update")

const read = (path: string): string => {
  if (existsSync(path)) return readFileSync(path, "utf8")
  throw new Error(`${relative(root, path)} is missing: "npm run check:types" makes it`)
}

/** The lines that one of both has more often than the other, in their order. */
const linesOnlyIn = (text: string, other: string): ReadonlyArray<string> => {
  const counts = new Map<string, number>()
  for (const line of other.split("\n")) counts.set(line, (counts.get(line) ?? 0) + 1)
  return text.split("\n").filter((line) => {
    const count = counts.get(line) ?? 0
    counts.set(line, count - 1)
    return count <= 0
  })
}

for (const manifestPath of globSync("packages/*/package.json", { cwd: root }).toSorted()) {
  const folder = dirname(join(root, manifestPath))
  const manifest: {
    readonly name: string
    readonly exports?: Record<string, { readonly types: string }>
  } = JSON.parse(read(join(folder, "package.json")))
  if (manifest.exports === undefined) continue
  const entries = new Map(
    Object.entries(manifest.exports).map(([name, { types }]) => [
      `${manifest.name}${name.slice(1)}`,
      types.replace(/^\.\/dist\//, "")
    ])
  )
  const report = apiReport(entries, (path) => read(join(folder, "dist", path)))
  const reportPath = join(folder, "api.txt")
  const committed = existsSync(reportPath) ? readFileSync(reportPath, "utf8") : ""
  if (report === committed) continue
  if (isUpdate) writeFileSync(reportPath, report)
  else {
    process.exitCode = 1
    console.error(
      [
        `The public surface of ${manifest.name} is not what ${relative(root, reportPath)} says:`,
        ...linesOnlyIn(committed, report).map((line) => `- ${line}`),
        ...linesOnlyIn(report, committed).map((line) => `+ ${line}`),
        "If that is meant, run \"npm run api\" and commit the report with the change.",
        ""
      ].join("\n")
    )
  }
}
