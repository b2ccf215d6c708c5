import { assert, describe, it } from "@effect/vitest"
import { mutantsOf } from "./Mutants.ts"

/** The source with each of its faults. */
const mutated = (source: string): ReadonlyArray<string> =>
  mutantsOf("a.ts", source).map(({ end, replacement, start }) =>
    source.slice(0, start) + replacement + source.slice(end)
  )

describe("mutants", () => {
  it("turn comparisons and arithmetic around", () =>
    assert.deepStrictEqual(mutated("const a = b < c\nconst d = e - f"), [
      "const a = b <= c\nconst d = e - f",
      "const a = b < c\nconst d = e + f"
    ]))

  it("decide what was to be decided", () =>
    assert.deepStrictEqual(mutated("const a = b ? c : d"), ["const a = true ? c : d", "const a = false ? c : d"]))

  it("confuse and with or, drop a negation, and a value for nothing", () =>
    assert.deepStrictEqual(mutated("const a = [b && c, !d, e ?? f]"), [
      "const a = [(b || c), !d, e ?? f]",
      "const a = [b && c, (d), e ?? f]",
      "const a = [b && c, !d, e]"
    ]))

  it("leave out a statement, with what is inside of it changed too", () =>
    assert.deepStrictEqual(mutated("f(1)"), [";", "f(2)"]))

  it("say where they are", () => {
    const [mutant] = mutantsOf("a.ts", "const a = 0\n\nf()").slice(1)
    assert.deepStrictEqual([mutant?.line, mutant?.what], [3, "without f()"])
  })

  it("leave types alone, and texts", () =>
    assert.deepStrictEqual(mutated("const a: 1 | true = b as 2\nconst c = \"d\" + e\nsuper.f()"), []))
})
