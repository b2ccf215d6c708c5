import { assert, describe, it } from "@effect/vitest"
import { readAnnotations } from "./annotations.ts"

const source = `import { it } from "@effect/vitest"

// Why this test is here.
// @spec demo
// @ac AC-01
it.effect("first", () => Effect.void)

describe("block", () => {
  // @ac AC-02
  it.each([
    1
  ])("second", () => {})

  it("third", () => run(\`
// @spec not-a-comment
// @ac AC-03
  \`))
})

/* @spec demo */
it("fourth", () => {})

// @spec nothing
const helper = 1
`

const { above, all } = readAnnotations("demo.test.ts", source)
const textsAbove = (line: number, column: number) => above({ line, column }).map(({ text }) => text)

describe("the annotations of a test", () => {
  it("are the comment lines above its call", () => {
    assert.deepStrictEqual(textsAbove(6, 4), ["// @spec demo", "// @ac AC-01"])
  })

  it("are found from the middle of a call of many lines", () => {
    assert.deepStrictEqual(textsAbove(12, 5), ["// @ac AC-02"])
  })

  it("are not those of the test before it, nor lines of a string", () => {
    assert.deepStrictEqual(textsAbove(14, 3), [])
  })

  it("are no block comments", () => {
    assert.deepStrictEqual(textsAbove(21, 1), [])
  })

  it("are listed whole, with their lines, whether or not a test follows", () => {
    assert.deepStrictEqual(all, [
      { text: "// @spec demo", line: 4 },
      { text: "// @ac AC-01", line: 5 },
      { text: "// @ac AC-02", line: 9 },
      { text: "// @spec nothing", line: 23 }
    ])
  })
})
