import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { execFile } from "node:child_process"
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { createRequire } from "node:module"
import { tmpdir } from "node:os"
import { dirname, join } from "node:path"

const vitest = join(dirname(createRequire(import.meta.url).resolve("vitest/package.json")), "vitest.mjs")

const manifest = `schema_version: 1
system:
  name: demo
settings:
  specs_dir: specs
  strictness: threshold
`

const spec = `spec:
  id: demo
  version: "1.0.0"
  status: approved
  tier: 1
  context:
    system: Demo
  objective:
    summary: Shows how a run ends.
  constraints:
    - id: C-01
      description: It has one rule.
  acceptance_criteria:
    - id: AC-01
      description: It starts.
    - id: AC-02
      description: It stops.
`

const starts = `
// @spec demo
// @ac AC-01
test("[demo/AC-01] starts", () => { expect(1 + 1).toBe(2) })
`

const stops = `
// @spec demo
// @ac AC-02
test("[demo/AC-02] stops", () => { expect(2 - 1).toBe(1) })
`

const project = {
  "specter.yaml": manifest,
  "specs/system/demo.spec.yaml": spec,
  "a.test.ts": starts,
  "b.test.ts": stops
}

const options = [
  "--globals",
  "--includeTaskLocation",
  "--no-isolate",
  "--maxWorkers=1",
  "--reporter=default",
  `--reporter=${join(import.meta.dirname, "reporter.ts")}`
]

/** Runs vitest on a folder with these files: its exit code, and the last block of lines that it prints. */
const run = (files: Readonly<Record<string, string>>, ...args: ReadonlyArray<string>) =>
  Effect.acquireUseRelease(
    Effect.sync(() => mkdtempSync(join(tmpdir(), "spec-coverage-"))),
    (cwd) =>
      Effect.callback<{ readonly exitCode: number | null; readonly ending: ReadonlyArray<string> }>((resume) => {
        for (const [path, text] of Object.entries(files)) {
          mkdirSync(join(cwd, dirname(path)), { recursive: true })
          writeFileSync(join(cwd, path), text)
        }
        const env = { ...process.env, FORCE_COLOR: undefined, NO_COLOR: "1" }
        const child = execFile(
          process.execPath,
          [vitest, "run", ...options, ...args],
          { cwd, env },
          (_error, stdout) => {
            const ending = stdout.trimEnd().split("\n\n").at(-1)?.trimStart().split("\n") ?? []
            resume(Effect.succeed({ exitCode: child.exitCode, ending }))
          }
        )
        return Effect.sync(() => child.kill())
      }),
    (cwd) => Effect.sync(() => rmSync(cwd, { recursive: true }))
  )

describe("a run of vitest", { timeout: 60_000 }, () => {
  it.effect("passes and ends with the table when all criteria are covered", () =>
    Effect.gen(function*() {
      const files = {
        ...project,
        "vitest.config.mjs": `export default { test: { globalSetup: "last.mjs" } }`,
        "last.mjs": `export const teardown = () => console.log("\\nwritten after the run\\n")`
      }
      assert.deepStrictEqual(yield* run(files), { exitCode: 0, ending: ["demo  2/2  100%"] })
    }))

  it.effect("fails when a tier-1 criterion has no test, or none that is not skipped or expected to fail", () =>
    Effect.gen(function*() {
      const files = {
        ...project,
        "a.test.ts": starts.replace("test(", "test.skip("),
        "b.test.ts": stops.replace("test(", "test.fails(").replace("toBe(1)", "toBe(2)"),
        "specs/system/demo.spec.yaml": `${spec}    - id: AC-03\n      description: It rests.\n`
      }
      assert.deepStrictEqual(yield* run(files), {
        exitCode: 1,
        ending: [
          "demo  0/3  0%",
          "✗ demo/AC-01 is skipped at a.test.ts:4: It starts.",
          "✗ demo/AC-02 is skipped at b.test.ts:4: It stops.",
          "✗ demo/AC-03 has no test: It rests."
        ]
      })
    }))

  it.effect("names the criterion of a test that fails", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* run({ ...project, "b.test.ts": stops.replace("toBe(1)", "toBe(2)") }), {
        exitCode: 1,
        ending: ["demo  1/2  50%", "✗ demo/AC-02 fails at b.test.ts:4: It stops."]
      })
    }))

  it.effect("fails when a test names a criterion that no spec has", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* run({ ...project, "c.test.ts": starts.replaceAll("AC-01", "AC-09") }), {
        exitCode: 1,
        ending: ["demo  2/2  100%", "✗ c.test.ts:4: No spec has demo/AC-09, expected one of demo/AC-01, demo/AC-02"]
      })
    }))

  it.effect("fails when the comments above a test do not agree with its title", () =>
    Effect.gen(function*() {
      const files = { ...project, "c.test.ts": `${starts.replace("[demo/AC-01] ", "")}\n// @spec demo\n` }
      assert.deepStrictEqual(yield* run(files), {
        exitCode: 1,
        ending: [
          "demo  2/2  100%",
          "✗ c.test.ts:6: // @spec demo is above no test",
          "✗ c.test.ts:4: \"starts\" has // @spec demo // @ac AC-01 above it, expected none, as its title names no criterion"
        ]
      })
    }))

  it.effect("fails when a spec is malformed, and still measures the others", () =>
    Effect.gen(function*() {
      const other = spec.replace("id: demo", "id: other").replace("tier: 1", "tier: one")
      assert.deepStrictEqual(yield* run({ ...project, "specs/other.spec.yaml": other }), {
        exitCode: 1,
        ending: ["demo  2/2  100%", "✗ specs/other.spec.yaml: spec.tier: Expected 1 | 2 | 3, got \"one\""]
      })
    }))

  it.effect("fails when there is no manifest", () =>
    Effect.gen(function*() {
      const { exitCode, ending } = yield* run({ "a.test.ts": starts })
      assert.strictEqual(exitCode, 1)
      assert.match(ending.join("\n"), /^✗ specter\.yaml: Expected a file in .*spec-coverage-\w+$/)
    }))

  it.effect.each(
    [
      ["a file filter", ["a.test"], "some test files left out"],
      ["a line", ["a.test.ts:4"], "some test files left out, some tests chosen"],
      ["a title", ["-t", "starts"], "--testNamePattern"],
      ["an excluded file", ["--exclude", "b.test.ts"], "--exclude"]
    ] as const
  )(
    "passes without all of the criteria when it is narrowed by %s",
    ([_what, args, narrowedBy]) =>
      Effect.gen(function*() {
        assert.deepStrictEqual(yield* run(project, ...args), {
          exitCode: 0,
          ending: ["demo  1/2  50%", `Partial run (${narrowedBy}): uncovered criteria do not fail it`]
        })
      })
  )

  it.effect("passes without all of the criteria, but not with other problems, when it is narrowed to a project", () =>
    Effect.gen(function*() {
      const { "a.test.ts": first, "b.test.ts": second, ...rest } = project
      const config =
        `export default { test: { projects: ["a", "b"].map((root) => ({ extends: true, test: { name: root, root } })) } }`
      const wrong = first.replaceAll("AC-01", "AC-09")
      const files = { ...rest, "vitest.config.mjs": config, "a/a.test.ts": first + wrong, "b/b.test.ts": second }
      assert.deepStrictEqual(yield* run(files, "--project", "a"), {
        exitCode: 1,
        ending: [
          "demo  1/2  50%",
          "Partial run (--project): uncovered criteria do not fail it",
          "✗ a/a.test.ts:8: No spec has demo/AC-09, expected one of demo/AC-01, demo/AC-02"
        ]
      })
    }))
})
