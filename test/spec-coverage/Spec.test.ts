import { assert, describe, it } from "@effect/vitest"
import { Result } from "effect"
import { decodeManifest, decodeSpecs } from "./Spec.ts"

const demo = `spec:
  id: demo
  version: "1.0.0"
  status: approved
  tier: 1
  context:
    system: Demo
  objective:
    summary: Shows what a spec must hold at least.
  constraints:
    - id: C-01
      description: It has one rule.
  acceptance_criteria:
    - id: AC-01
      description: It follows the rule.
      references_constraints: [C-01]
`

const manifest = `schema_version: 1
system:
  name: demo
settings:
  specs_dir: specs
  strictness: threshold
`

const faultsIn = (text: string) => decodeSpecs([["specs/demo.spec.yaml", text]]).faults
const faultsInManifest = (text: string) =>
  Result.match(decodeManifest(["specter.yaml", text]), {
    onFailure: (faults) => faults,
    onSuccess: () => []
  })

describe("a spec", () => {
  it("may leave out what is optional", () => {
    const { faults, specs } = decodeSpecs([["specs/demo.spec.yaml", demo]])
    assert.deepStrictEqual(faults, [])
    assert.deepStrictEqual(specs.map(({ id, tier }) => ({ id, tier })), [{ id: "demo", tier: 1 }])
  })

  it.each([
    [
      "an id that is not kebab case",
      "id: demo",
      "id: Demo_1",
      `spec.id: Expected a kebab-case id such as system-event-bus, got "Demo_1"`
    ],
    ["a version without quotes", `"1.0.0"`, "1.0", "spec.version: Expected string, got 1"],
    [
      "a version that is not semantic",
      "1.0.0",
      "1.0",
      `spec.version: Expected a semantic version such as 1.0.0, got "1.0"`
    ],
    ["a tier out of range", "tier: 1", "tier: 4", "spec.tier: Expected 1 | 2 | 3, got 4"],
    [
      "an unknown status",
      "approved",
      "done",
      `spec.status: Expected "draft" | "review" | "approved" | "deprecated" | "removed", got "done"`
    ],
    ["a missing key", "    system: Demo", "    feature: Demo", "spec.context.system: Expected a value, it is missing"],
    [
      "an unknown key",
      "summary:",
      "summery:",
      "spec.objective.summery: Unexpected key, expected one of summary, scope"
    ],
    [
      "a constraint id without digits",
      "- id: C-01",
      "- id: C-1",
      `spec.constraints[0].id: Expected a constraint id such as C-01, got "C-1"`
    ],
    [
      "a criterion id without digits",
      "- id: AC-01",
      "- id: AC1",
      `spec.acceptance_criteria[0].id: Expected a criterion id such as AC-01, got "AC1"`
    ],
    [
      "a reference to no constraint",
      "[C-01]",
      "[C-01, C-02]",
      "spec.acceptance_criteria[0].references_constraints[1]: Expected one of C-01, got C-02"
    ],
    [
      "a second constraint of one id",
      "  acceptance",
      "    - id: C-01\n      description: Again.\n  acceptance",
      "spec.constraints[1].id: Expected a unique id, got a second C-01"
    ],
    [
      "a second criterion of one id",
      "      references_constraints: [C-01]",
      "    - id: AC-01\n      description: Again.",
      "spec.acceptance_criteria[1].id: Expected a unique id, got a second AC-01"
    ]
  ])("with %s is refused", (_situation, text, replacement, fault) => {
    assert.include(demo, text)
    assert.include(faultsIn(demo.replace(text, replacement)), `specs/demo.spec.yaml: ${fault}`)
  })

  it("tells all of its faults at once", () => {
    assert.strictEqual(faultsIn(demo.replace("tier: 1", "tier: 0").replace("approved", "done")).length, 2)
  })

  it("is refused when it is empty or not YAML", () => {
    assert.deepStrictEqual(faultsIn(""), ["specs/demo.spec.yaml: Expected object, got null"])
    assert.deepStrictEqual(faultsIn("spec: 1\nspec: 2"), [
      "specs/demo.spec.yaml: Expected YAML, got SyntaxError: Duplicate key 'spec' at line 2"
    ])
  })

  it("is refused when another has its id", () => {
    const { faults, specs } = decodeSpecs([["specs/a.spec.yaml", demo], ["specs/b.spec.yaml", demo]])
    assert.deepStrictEqual(faults, [
      "specs/b.spec.yaml: spec.id: Expected a unique id, got demo, which is that of specs/a.spec.yaml"
    ])
    assert.strictEqual(specs.length, 1)
  })
})

describe("the manifest", () => {
  it("may leave out the coverage that tiers need", () => {
    assert.deepStrictEqual(faultsInManifest(manifest), [])
  })

  it("cannot ask for less than all of tier 1", () => {
    assert.deepStrictEqual(faultsInManifest(`${manifest}  coverage:\n    tier1: 90\n    tier2: 101\n`), [
      "specter.yaml: settings.coverage.tier1: Expected 100, got 90",
      "specter.yaml: settings.coverage.tier2: Expected a value between 0 and 100, got 101"
    ])
  })

  it("with an unknown key is refused", () => {
    assert.deepStrictEqual(faultsInManifest(manifest.replace("specs_dir", "specs_folder")), [
      "specter.yaml: settings.specs_folder: Unexpected key, expected one of specs_dir, coverage, strictness",
      "specter.yaml: settings.specs_dir: Expected a value, it is missing"
    ])
  })
})
