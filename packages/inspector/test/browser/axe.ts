/**
 * axe-core, which looks for what people with a disability would stumble over.
 */
import { Effect } from "effect"
import { readFileSync } from "node:fs"
import { createRequire } from "node:module"
import type { Page } from "playwright-core"

const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8")

/** What axe-core finds wrong with the page as it is now. */
export const violations = (page: Page) =>
  Effect.promise(async () => {
    // Through the debugger: the page's own policy would not let a script in.
    await page.evaluate(axe)
    const { violations } = await page.evaluate("axe.run()") as {
      readonly violations: ReadonlyArray<
        { readonly id: string; readonly nodes: ReadonlyArray<{ readonly html: string }> }
      >
    }
    return violations.map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html).join(" ")}`)
  })
