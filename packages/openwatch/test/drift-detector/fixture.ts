import { NodeServices } from "@effect/platform-node"
import { Scans, Storage } from "@openwatch/openwatch"
import { Effect, FileSystem, Layer } from "effect"
import { fileURLToPath } from "node:url"
import { outboxes } from "../storage/Database.ts"

/** A real scan by OpenSCAP, and one of the same host after three permission faults. */
export const base = fileURLToPath(new URL("../xccdf/base.xml", import.meta.url))
export const drifted = fileURLToPath(new URL("../xccdf/drifted.xml", import.meta.url))

/** A rule as a result file has it. */
export const rule = (id: string, result: string, severity = "medium"): string =>
  `<rule-result idref="${id}" severity="${severity}"><result>${result}</result></rule-result>`

/** So many rules that pass, and so many that fail. */
export const rules = (passed: number, failed: number): string =>
  Array.from({ length: passed + failed }, (_, n) => rule(`rule-${n}`, n < passed ? "pass" : "fail")).join("\n")

export interface TestResult {
  readonly body?: string
  readonly target?: string
  readonly addresses?: ReadonlyArray<string>
  readonly profile?: string
  readonly attributes?: string
}

let minute = 0

/** A `TestResult`, as a document of its own; each one ends at a time of its own. */
export const testResult = (options: TestResult): string => {
  const { addresses = [], body = rules(1, 1), profile = "strict", target = "web-1" } = options
  const attributes = options.attributes ?? `end-time="2026-01-01T00:${String(minute++).padStart(2, "0")}:00Z"`
  return `<TestResult xmlns="http://checklists.nist.gov/xccdf/1.2" id="result" ${attributes}>
  <profile idref="${profile}"/>
  <target>${target}</target>
  ${addresses.map((address) => `<target-address>${address}</target-address>`).join("")}
  ${body}
</TestResult>`
}

/** A file with this text, in a folder of its own. */
export const file = (text: string | Uint8Array) =>
  Effect.gen(function*() {
    const fs = yield* FileSystem.FileSystem
    const path = yield* fs.makeTempFileScoped({ suffix: ".xml" })
    yield* fs.writeFile(path, typeof text === "string" ? Buffer.from(text) : text)
    return path
  })

/** The tables in a data folder, and the bus. */
export const stored = (path: string) =>
  Scans.layer.pipe(
    Layer.provideMerge(outboxes),
    Layer.provideMerge(Storage.layer({ _tag: "DataFolder", path })),
    Layer.fresh
  )

/** A database of its own, and the bus. */
export const layer = Layer.unwrap(
  Effect.flatMap(FileSystem.FileSystem, (fs) => Effect.map(fs.makeTempDirectoryScoped(), stored))
).pipe(Layer.provideMerge(NodeServices.layer))
