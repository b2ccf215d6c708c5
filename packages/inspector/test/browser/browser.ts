/**
 * A real browser for tests: Debian's Chromium, driven by playwright-core, which brings none of its own.
 */
import { Context, Effect, Layer } from "effect"
import { accessSync, constants } from "node:fs"
import { delimiter, join } from "node:path"
import { type Browser as PlaywrightBrowser, type BrowserContextOptions, chromium, type Page } from "playwright-core"

/** Where a Chromium is, if the machine has one. */
export const executablePath: string | undefined = ["chromium", "chromium-browser", "google-chrome"]
  .flatMap((name) => (process.env["PATH"] ?? "").split(delimiter).map((folder) => join(folder, name)))
  .find((path) => {
    try {
      accessSync(path, constants.X_OK)
      return true
    } catch {
      return false
    }
  })

/** Tests of the page are left out where there is no browser, and nowhere else: CI has to have one. */
export const isMissing = executablePath === undefined && (process.env["CI"] ?? "") === ""

if (isMissing) {
  console.log("skipped: the page's tests need Chromium in PATH (Debian: apt-get install chromium)")
}

export class Browser extends Context.Service<Browser, PlaywrightBrowser>()("test/Browser") {
  static readonly layer: Layer.Layer<Browser> = Layer.effect(
    Browser,
    Effect.acquireRelease(
      Effect.promise(() => {
        if (executablePath === undefined) throw new Error("no chromium in PATH: apt-get install chromium")
        return chromium.launch({
          executablePath,
          args: [
            "--no-sandbox",
            "--disable-gpu",
            "--disable-quic",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync"
          ]
        })
      }),
      (browser) => Effect.promise(() => browser.close())
    )
  )
}

/**
 * A page of a context of its own, so without cookies, and what went wrong in it: errors, and what its policy blocked.
 * `prepare` is done before it loads.
 */
export const openPage = Effect.fnUntraced(function*(
  url: string,
  options: BrowserContextOptions = {},
  prepare?: (page: Page) => Promise<unknown>
) {
  const browser = yield* Browser
  const context = yield* Effect.acquireRelease(
    Effect.promise(() => browser.newContext({ viewport: { width: 1400, height: 1000 }, ...options })),
    (context) => Effect.promise(() => context.close())
  )
  // As long as a test may take, less what says where it was.
  context.setDefaultTimeout(55_000)
  const page = yield* Effect.promise(() => context.newPage())
  const problems: Array<string> = []
  page.on("pageerror", (error) => problems.push(String(error)))
  page.on("console", (message) => {
    // A request that a test makes fail is reported as well; it is not the page's fault.
    if (message.type() === "error" && !message.text().startsWith("Failed to load resource")) {
      problems.push(message.text())
    }
  })
  yield* Effect.promise(async () => {
    await prepare?.(page)
    await page.goto(url)
  })
  return { page, problems }
})

/** Waits until the locator's text matches. */
export const see = (page: Page, selector: string, text: string | RegExp): Effect.Effect<void> =>
  Effect.promise(() => page.locator(selector).filter({ hasText: text }).first().waitFor())
