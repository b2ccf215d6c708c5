import { assert, beforeAll, describe, it } from "@effect/vitest"
import { globSync, readFileSync } from "node:fs"
import { join } from "node:path"
import { type Block, readMarkdown, readSource } from "./blocks.ts"
import { examine } from "./examination.ts"

const root = join(import.meta.dirname, "../..")

const read = (patterns: ReadonlyArray<string>, readBlocks: (path: string, text: string) => ReadonlyArray<Block>) =>
  globSync(patterns, { cwd: root, exclude: ["**/node_modules", "**/dist"] }).toSorted()
    .flatMap((path) => readBlocks(path, readFileSync(join(root, path), "utf8")))

const blocks = [
  ...read(["*.md", "packages/*/*.md", "docs/**/*.md"], readMarkdown),
  ...read(["packages/*/src/**/*.ts"], readSource)
]

describe("the code of the documentation", () => {
  let faults: ReadonlyMap<Block, string> = new Map()
  beforeAll(async () => {
    faults = await examine(root, blocks)
  }, 300_000)

  for (const block of blocks) {
    it(`${block.path}:${block.line} ${block.noRun === undefined ? "compiles and runs" : "compiles"}`, () => {
      assert.strictEqual(faults.get(block), "")
    })
  }
})
