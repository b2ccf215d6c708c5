import { assert, describe, it } from "@effect/vitest"
import { existsSync, globSync, readFileSync } from "node:fs"
import { dirname, join, normalize } from "node:path"

const root = join(import.meta.dirname, "../..")

const withoutCode = (text: string): string => text.replaceAll(/^```[^]*?^```$/gm, "")

/** The anchors that GitHub makes of the headings of a page. */
const anchorsOf = (text: string): ReadonlySet<string> =>
  new Set(
    Array.from(withoutCode(text).matchAll(/^#+ (.+)$/gm), ([, heading]) =>
      heading!.toLowerCase().replaceAll(/[^\p{Letter}\p{Number} _-]/gu, "").replaceAll(" ", "-"))
  )

describe("the links of the documentation", () => {
  const pages = globSync(["*.md", "packages/*/*.md", "docs/**/*.md"], { cwd: root, exclude: ["**/node_modules"] })
  for (const page of pages.toSorted()) {
    it(`${page}: each leads to a file, and to a heading of it`, () => {
      const broken: Array<string> = []
      for (const [, link] of withoutCode(readFileSync(join(root, page), "utf8")).matchAll(/\]\(([^)\s]+)\)/g)) {
        if (/^[a-z]+:/.test(link!)) continue
        const [path, anchor] = link!.split("#") as [string, string | undefined]
        const target = path === "" ? page : normalize(join(dirname(page), path))
        const isThere = existsSync(join(root, target)) &&
          (anchor === undefined || anchorsOf(readFileSync(join(root, target), "utf8")).has(anchor))
        if (!isThere) broken.push(link!)
      }
      assert.deepStrictEqual(broken, [])
    })
  }
})
