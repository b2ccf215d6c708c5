import { assert, describe, it } from "@effect/vitest"
import { readMarkdown, readSource } from "./blocks.ts"

describe("blocks of the documentation", () => {
  it("of Markdown, with the line of their code", () =>
    assert.deepStrictEqual(
      readMarkdown("a.md", "# A\n\n```ts\none\ntwo\n```\n\n```sh\nls\n```\n\n```ts\nthree\n```\n"),
      [
        { path: "a.md", line: 4, code: "one\ntwo", noRun: undefined },
        { path: "a.md", line: 13, code: "three", noRun: undefined }
      ]
    ))

  it("of doc comments, and of no other comments", () =>
    assert.deepStrictEqual(
      readSource(
        "a.ts",
        "const a = 1\n\n/**\n * A.\n *\n * ```ts\n * if (a) {\n *   b\n * }\n * ```\n */\nconst b = 2\n/*\n * ```ts\n * c\n * ```\n */\n"
      ),
      [{ path: "a.ts", line: 7, code: "if (a) {\n  b\n}", noRun: undefined }]
    ))

  it("a fence inside a longer one is text", () =>
    assert.deepStrictEqual(readMarkdown("a.md", "````md\n```ts\nno code\n```\n````\n"), []))

  it("one that is not run says why", () => {
    assert.deepStrictEqual(readMarkdown("a.md", "```ts no-run: needs a browser\na\n```"), [
      { path: "a.md", line: 2, code: "a", noRun: "needs a browser" }
    ])
    assert.throws(() => readMarkdown("a.md", "```ts no-run\na\n```"), "a.md:1: a block is fenced as")
  })

  it("a fence that is never closed is refused", () =>
    assert.throws(() => readMarkdown("a.md", "text\n```ts\na"), "a.md:2: this fence is never closed"))
})
