import { assert, describe, it } from "@effect/vitest"
import { measure, type Run, table, type TestOutcome } from "./coverage.ts"
import type { Spec } from "./Spec.ts"

const spec = (id: string, tier: Spec["tier"]): Spec => ({
  id,
  version: "1.0.0",
  status: "approved",
  tier,
  context: { system: "Demo" },
  objective: { summary: "Shows how coverage is measured." },
  constraints: [{ id: "C-01", description: "It has one rule." }],
  acceptance_criteria: [{ id: "AC-01", description: "It starts." }, { id: "AC-02", description: "It stops.\n" }]
})

const annotate = (...texts: ReadonlyArray<string>) => texts.map((text, index) => ({ text, line: index + 1 }))

const test = (criterion: `${string}/${string}`, changes: Partial<TestOutcome> = {}): TestOutcome => {
  const [id, ac] = criterion.split("/")
  return {
    title: `[${criterion}] does it`,
    place: `${ac}.test.ts:3`,
    state: "passed",
    annotations: annotate(`// @spec ${id}`, `// @ac ${ac}`),
    ...changes
  }
}

const run = (changes: Partial<Run>) =>
  measure({ specs: [spec("demo", 1)], faults: [], thresholds: {}, tests: [], strays: [], narrowedBy: [], ...changes })

const problemsOf = (...tests: ReadonlyArray<TestOutcome>) => run({ tests, narrowedBy: ["--project"] }).problems

describe("a criterion", () => {
  it("is covered by a test that passes", () => {
    assert.deepStrictEqual(run({ tests: [test("demo/AC-01"), test("demo/AC-02")] }), {
      rows: [{ id: "demo", covered: 2, total: 2 }],
      notes: [],
      problems: []
    })
  })

  it("without a test fails the run", () => {
    assert.deepStrictEqual(run({ tests: [test("demo/AC-01")] }), {
      rows: [{ id: "demo", covered: 1, total: 2 }],
      notes: [],
      problems: ["demo/AC-02 has no test: It stops."]
    })
  })

  it("is not covered by a test that is skipped", () => {
    const { problems } = run({ tests: [test("demo/AC-01"), test("demo/AC-02", { state: "skipped" })] })
    assert.deepStrictEqual(problems, ["demo/AC-02 is skipped at AC-02.test.ts:3: It stops."])
  })

  it("is not covered while one of its tests fails", () => {
    const tests = [
      test("demo/AC-01"),
      test("demo/AC-02"),
      test("demo/AC-02", { state: "failed", place: "b.test.ts:9" })
    ]
    assert.deepStrictEqual(run({ tests }).problems, ["demo/AC-02 fails at b.test.ts:9: It stops."])
  })

  it("without a test does not fail a partial run, and is not listed", () => {
    assert.deepStrictEqual(run({ tests: [test("demo/AC-01")], narrowedBy: ["--project", "--dir"] }), {
      rows: [{ id: "demo", covered: 1, total: 2 }],
      notes: ["Partial run (--project, --dir): uncovered criteria do not fail it"],
      problems: []
    })
  })

  it("of tier 2 or 3 fails the run only below the project's threshold", () => {
    const specs = [spec("demo", 2), spec("other", 3)]
    const tests = [test("demo/AC-01"), test("other/AC-01")]
    assert.deepStrictEqual(run({ specs, tests, thresholds: { tier2: 50, tier3: 51 } }), {
      rows: [{ id: "demo", covered: 1, total: 2 }, { id: "other", covered: 1, total: 2 }],
      notes: ["demo/AC-02 has no test: It stops."],
      problems: ["other/AC-02 has no test: It stops."]
    })
    assert.deepStrictEqual(run({ specs, tests }).problems, [])
  })
})

describe("a test", () => {
  it("of no criterion is none of the specs' business", () => {
    assert.deepStrictEqual(problemsOf(test("demo/AC-01", { title: "adds [1/2]", annotations: [] })), [])
  })

  it("of a criterion that its spec does not have fails the run", () => {
    assert.deepStrictEqual(problemsOf(test("demo/AC-1")), [
      "AC-1.test.ts:3: No spec has demo/AC-1, expected one of demo/AC-01, demo/AC-02"
    ])
  })

  it("of a spec that does not exist fails the run", () => {
    assert.deepStrictEqual(problemsOf(test("omed/AC-01")), [
      "AC-01.test.ts:3: No spec has omed/AC-01, expected one of demo"
    ])
  })

  it("of a spec that could not be read fails it for that alone", () => {
    const { problems } = run({ tests: [test("omed/AC-01")], faults: ["omed.spec.yaml: no"], narrowedBy: ["--project"] })
    assert.deepStrictEqual(problems, ["omed.spec.yaml: no"])
  })

  it("of two criteria fails the run", () => {
    assert.deepStrictEqual(problemsOf(test("demo/AC-01", { title: "[demo/AC-01] > [demo/AC-02] both" })), [
      `AC-01.test.ts:3: "[demo/AC-01] > [demo/AC-02] both" names demo/AC-01 and demo/AC-02, expected one criterion for each test`
    ])
  })

  it.each([
    ["another criterion", annotate("// @spec demo", "// @ac AC-02"), "// @spec demo // @ac AC-02"],
    ["half of it", annotate("// @ac AC-01"), "// @ac AC-01"],
    [
      "two criteria",
      annotate("// @spec demo", "// @ac AC-01", "// @ac AC-02"),
      "// @spec demo // @ac AC-01 // @ac AC-02"
    ],
    ["nothing", [], "no annotation"]
  ])("with a criterion in its title and %s above it fails the run and covers nothing", (_what, annotations, found) => {
    const tests = [test("demo/AC-01", { annotations }), test("demo/AC-02")]
    assert.deepStrictEqual(run({ tests, narrowedBy: ["--project"] }), {
      rows: [{ id: "demo", covered: 1, total: 2 }],
      notes: ["Partial run (--project): uncovered criteria do not fail it"],
      problems: [`AC-01.test.ts:3: "[demo/AC-01] does it" has ${found} above it, expected // @spec demo // @ac AC-01`]
    })
  })

  it("with a criterion above it alone fails the run", () => {
    assert.deepStrictEqual(problemsOf(test("demo/AC-01", { title: "does it" })), [
      `AC-01.test.ts:3: "does it" has // @spec demo // @ac AC-01 above it, expected none, as its title names no criterion`
    ])
  })

  it("has to follow an annotation", () => {
    const strays = [{ path: "a.test.ts", line: 7, text: "// @ac AC-01" }]
    assert.deepStrictEqual(run({ strays, narrowedBy: ["--project"] }).problems, [
      "a.test.ts:7: // @ac AC-01 is above no test"
    ])
  })
})

describe("the table", () => {
  it("has a line for each spec, aligned", () => {
    assert.deepStrictEqual(
      table([{ id: "system-event-bus", covered: 13, total: 13 }, { id: "demo", covered: 2, total: 3 }]),
      ["system-event-bus  13/13  100%", "demo                2/3   66%"]
    )
  })

  it("says 100% only when nothing is missing", () => {
    assert.deepStrictEqual(table([{ id: "demo", covered: 999, total: 1000 }]), ["demo  999/1000  99%"])
  })
})
