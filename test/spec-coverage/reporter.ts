/**
 * A vitest reporter that ends a run with the coverage of the specs, after vitest's own summary, and fails the run where
 * they are not covered. It reads comments above tests, so vitest has to say where these are: `includeTaskLocation: true`.
 */
import { Result } from "effect"
import { globSync, readFileSync } from "node:fs"
import { join, relative } from "node:path"
import { styleText } from "node:util"
import type { Reporter, SerializedError, TestModule, TestRunEndReason, TestSpecification, Vitest } from "vitest/node"
import { readAnnotations } from "./annotations.ts"
import { type Coverage, measure, type Run, table } from "./coverage.ts"
import { decodeManifest, decodeSpecs, type File } from "./Spec.ts"

const unread = (...faults: ReadonlyArray<string>) => ({ specs: [], faults, thresholds: {} })

const readSpecs = (root: string): Pick<Run, "specs" | "faults" | "thresholds"> => {
  const read = (path: string): File => [path, readFileSync(join(root, path), "utf8")]
  if (globSync("specter.yaml", { cwd: root }).length === 0) return unread(`specter.yaml: Expected a file in ${root}`)
  const manifest = decodeManifest(read("specter.yaml"))
  if (Result.isFailure(manifest)) return unread(...manifest.failure)
  const { coverage: thresholds = {}, specs_dir } = manifest.success.settings
  const paths = globSync(`${specs_dir}/**/*.spec.yaml`, { cwd: root }).toSorted()
  if (paths.length === 0) return unread(`specter.yaml: settings.specs_dir: Expected *.spec.yaml files in ${specs_dir}`)
  return { ...decodeSpecs(paths.map(read)), thresholds }
}

const readTests = (root: string, module: TestModule): Pick<Run, "tests" | "strays"> => {
  const path = relative(root, module.moduleId)
  const annotations = readAnnotations(path, readFileSync(module.moduleId, "utf8"))
  const strays = new Set(annotations.all)
  const tests = Array.from(module.children.allTests(), (test) => {
    const above = test.location === undefined ? [] : annotations.above(test.location)
    for (const annotation of above) strays.delete(annotation)
    const { state } = test.result()
    return {
      title: test.fullName,
      place: `${path}:${test.location?.line ?? 1}`,
      // `it.fails` passes as long as what it says does not hold.
      state: state === "pending" || test.options.fails === true ? "skipped" as const : state,
      annotations: above
    }
  })
  // A module that broke while it was loaded has not told all of its tests.
  return { tests, strays: module.errors().length > 0 ? [] : Array.from(strays, (stray) => ({ ...stray, path })) }
}

const selectsTests = ({ testIds, testLines, testNamePattern, testNames, testTagsFilter }: TestSpecification): boolean =>
  testNamePattern !== undefined ||
  [testIds, testLines, testNames, testTagsFilter].some((some) => some && some.length > 0)

const readNarrowing = async (
  vitest: Vitest,
  specifications: ReadonlyArray<TestSpecification>,
  reason: TestRunEndReason
): Promise<ReadonlyArray<string>> => {
  const { cliExclude, cliOptions, project, tagsFilter } = vitest.config
  const run = new Set(specifications.map(({ moduleId }) => moduleId))
  const all = await vitest.globTestSpecifications()
  const narrowing = {
    // By a file filter, a shard, what has changed or failed last: vitest would find more files by itself.
    "some test files left out": all.some(({ moduleId }) => !run.has(moduleId)),
    "some tests chosen": specifications.some(selectsTests),
    "--testNamePattern": vitest.getGlobalTestNamePattern() !== undefined,
    "--tagsFilter": tagsFilter !== undefined && tagsFilter.length > 0,
    "--project": project.length > 0,
    "--dir": cliOptions.dir !== undefined,
    "--exclude": cliExclude !== undefined,
    interrupted: reason === "interrupted"
  }
  return Object.entries(narrowing).flatMap(([what, holds]) => holds ? [what] : [])
}

const render = ({ notes, problems, rows }: Coverage): string =>
  ["", ...table(rows), ...notes, ...problems.map((problem) => styleText("red", `✗ ${problem}`)), ""].join("\n")

export default class SpecCoverageReporter implements Reporter {
  #vitest!: Vitest
  #specifications: ReadonlyArray<TestSpecification> = []

  onInit(vitest: Vitest): void {
    if (!vitest.config.includeTaskLocation) {
      throw new Error("Spec coverage needs `includeTaskLocation: true` in the vitest configuration")
    }
    this.#vitest = vitest
  }

  onTestRunStart(specifications: ReadonlyArray<TestSpecification>): void {
    this.#specifications = specifications
  }

  async onTestRunEnd(
    modules: ReadonlyArray<TestModule>,
    _errors: ReadonlyArray<SerializedError>,
    reason: TestRunEndReason
  ): Promise<void> {
    const { root, watch } = this.#vitest.config
    const read = modules.map((module) => readTests(root, module))
    const coverage = measure({
      ...readSpecs(root),
      tests: read.flatMap(({ tests }) => tests),
      strays: read.flatMap(({ strays }) => strays),
      narrowedBy: await readNarrowing(this.#vitest, this.#specifications, reason)
    })
    if (coverage.problems.length > 0) process.exitCode = 1
    if (watch) this.#vitest.logger.log(render(coverage))
    // The summaries of other reporters come after this hook.
    else process.once("exit", () => process.stdout.write(render(coverage)))
  }
}
