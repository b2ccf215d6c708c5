import { assert, describe, it } from "@effect/vitest"
import { weave } from "./assertions.ts"

/** The code without the import at its end. */
const woven = (code: string): string => weave(code, "./equal.ts").code.split("\nimport { $equal }")[0]!

describe("assertions of the documentation", () => {
  it("an expression", () => assert.strictEqual(woven("a + b // => 3"), "$equal(a + b, 3, 1)"))

  it("a constant", () => assert.strictEqual(woven("\nconst a = f() // => [1]"), "\nconst a = f(); $equal(a, [1], 2)"))

  it("a yield within a generator, with an indentation", () =>
    assert.strictEqual(
      woven("gen(function*() {\n  yield* take // => { n: 1 }\n})"),
      "gen(function*() {\n  $equal(yield* take, { n: 1 }, 2)\n})"
    ))

  it("an expression of several lines", () =>
    assert.strictEqual(woven("f(\n  1\n) // => 2"), "$equal(f(\n  1\n), 2, 3)"))

  it("several, each in its line", () => {
    const { code, lines } = weave("a // => 1\nb\nc // => 2", "./equal.ts")
    assert.deepStrictEqual(lines, [1, 3])
    assert.strictEqual(
      code,
      "$equal(a, 1, 1)\nb\n$equal(c, 2, 3)\nimport { $equal } from \"./equal.ts\"; void $equal\n"
    )
  })

  it("not what looks like one in a string, nor another comment", () => {
    const code = "const text = \"a // => 1\" // which => that"
    assert.strictEqual(woven(code), code)
  })

  it("one that follows no expression is refused", () =>
    assert.throws(
      () => weave("a\n// => 1", "./equal.ts"),
      "line 2: \"// => 1\" must follow an expression or a constant on the same line"
    ))
})
