/**
 * The site as its readers get it: built by `npm run docs`, served as plain files, and read in a real browser.
 */
import { assert, describe, layer, vi } from "@effect/vitest"
import { Context, Effect, Layer } from "effect"
import { execFile } from "node:child_process"
import { existsSync, globSync, readFileSync, statSync } from "node:fs"
import { createServer } from "node:http"
import type { AddressInfo } from "node:net"
import { extname, join } from "node:path"
import { promisify } from "node:util"
import type { Page } from "playwright-core"
import { Browser, isMissing, openPage } from "../../packages/inspector/test/browser/browser.ts"

const execute = promisify(execFile)
const site = join(import.meta.dirname, "..")
const built = join(site, "dist/site")

// VitePress is installed by the first `npm run docs`; CI installs it here.
const isWithoutTools = !existsSync(join(site, "node_modules")) && (process.env["CI"] ?? "") === ""
if (isWithoutTools) console.log("skipped: the site's tests need VitePress: npm run docs")

vi.setConfig({ testTimeout: 600_000, hookTimeout: 600_000 })

const types: Record<string, string> = { ".css": "text/css", ".html": "text/html", ".js": "text/javascript" }

/** The built files behind a URL, as any server of files has them. */
class Site extends Context.Service<Site, string>()("test/Site") {
  static readonly layer = Layer.effect(
    Site,
    Effect.gen(function*() {
      // If it fails, the error has what it printed.
      yield* Effect.promise(() => execute(process.execPath, [join(site, "src/main.ts")]))
      const server = yield* Effect.acquireRelease(
        Effect.callback<ReturnType<typeof createServer>>((resume) => {
          const server = createServer((request, response) => {
            const { pathname } = new URL(request.url ?? "/", "http://site")
            const path = join(built, decodeURIComponent(pathname))
            const file = [path, join(path, "index.html"), `${path}.html`]
              .find((path) => existsSync(path) && statSync(path).isFile())
            response.writeHead(file === undefined ? 404 : 200, {
              "content-type": types[extname(file ?? "")] ?? "application/octet-stream"
            })
            response.end(file === undefined ? "" : readFileSync(file))
          }).listen(0, "127.0.0.1", () => resume(Effect.succeed(server)))
        }),
        (server) =>
          Effect.callback<void>((resume) => {
            server.close(() => resume(Effect.void))
            server.closeAllConnections()
          })
      )
      return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
    })
  )
}

interface Found {
  readonly links: ReadonlyArray<string>
  readonly anchors: ReadonlyArray<string>
}

/** The links of each of the files, whole, and the anchors that it has. */
const readAll = (page: Page, files: ReadonlyArray<string>): Effect.Effect<Readonly<Record<string, Found>>> =>
  Effect.promise(() =>
    page.evaluate<Readonly<Record<string, Found>>>(`(async () => {
      const found = {}
      for (const file of ${JSON.stringify(files)}) {
        const text = await (await fetch("/" + file)).text()
        const page = new DOMParser().parseFromString(text, "text/html")
        const links = Array.from(page.querySelectorAll("a[href]"), (link) => link.getAttribute("href"))
        found[file] = {
          links: links.map((link) => new URL(link, new URL(file, location.origin)).href),
          anchors: Array.from(page.querySelectorAll("[id]"), ({ id }) => id)
        }
      }
      return found
    })()`)
  )

/** The paths of the first results of a search. */
const search = (page: Page, words: string) =>
  Effect.promise(async () => {
    // From then on it listens to keys.
    await page.waitForFunction(`document.querySelector("#app").__vue_app__ !== undefined`)
    await page.keyboard.press("Control+k")
    await page.locator("#localsearch-input").fill(words)
    const results = page.locator("#localsearch-list a.result")
    await results.first().waitFor()
    const links = await results.evaluateAll((links) => links.map((link) => link.getAttribute("href") ?? ""))
    return links.slice(0, 5).map((link) => link.split("#")[0]!)
  })

describe.skipIf(isMissing || isWithoutTools)("the site", () => {
  layer(Layer.mergeAll(Browser.layer, Site.layer), { excludeTestServices: true, timeout: 600_000 })((it) => {
    it.effect("each link of each page leads to a page, and to a heading of it", () =>
      Effect.gen(function*() {
        const url = yield* Site
        const { page } = yield* openPage(url)
        const files = globSync("**/*.html", { cwd: built }).filter((file) => file !== "404.html")
        const found = yield* readAll(page, files)
        const targetOf = (link: string) => {
          const { hash, pathname } = new URL(link)
          const path = decodeURIComponent(pathname.slice(1))
          const target = found[path] ?? found[`${path}index.html`] ?? found[`${path}.html`]
          return { target, anchor: decodeURIComponent(hash.slice(1)) }
        }
        const broken = files.flatMap((file) =>
          found[file]!.links.filter((link) => {
            if (!link.startsWith(url)) return false
            const { anchor, target } = targetOf(link)
            return target === undefined || (anchor !== "" && !target.anchors.includes(anchor))
          }).map((link) => `${file}: ${link}`)
        )
        assert.deepStrictEqual(broken, [])
        assert.isAbove(files.length, 40)
      }))

    for (
      const path of ["/", "/contents.html", "/recipes.html", "/benchmarks.html", "/reference/event-bus/EventBus.html"]
    ) {
      it.effect(`${path} loads without an error, and from its own server alone`, () =>
        Effect.gen(function*() {
          const url = yield* Site
          const asked = new Set<string>()
          const failed: Array<string> = []
          const { page, problems } = yield* openPage(`${url}${path}`, {}, async (page) => {
            page.on("request", (request) => asked.add(new URL(request.url()).origin))
            page.on("response", (response) => {
              if (response.status() >= 400) failed.push(response.url())
            })
          })
          yield* Effect.promise(() => page.locator("h1").waitFor())
          assert.deepStrictEqual([...problems, ...failed], [])
          assert.deepStrictEqual(Array.from(asked), [url])
        }))
    }

    for (
      const [words, path] of [
        ["how to install", "/getting-started.html"],
        ["what is lost when", "/delivery.html"],
        ["how to shut down", "/shutdown.html"],
        ["how to test", "/testing.html"],
        ["how to make an event survive", "/durable-events.html"],
        ["how to see a slow subscriber", "/buffers.html"],
        ["how to write a bridge", "/bridges.html"],
        ["what a version promises", "/stability.html"],
        ["backpressure", "/buffers.html"],
        ["takeBetween", "/reference/event-bus/"]
      ] as const
    ) {
      it.effect(`a search for "${words}" finds ${path}`, () =>
        Effect.gen(function*() {
          const { page, problems } = yield* openPage(yield* Site)
          const found = yield* search(page, words)
          assert.include(found, path)
          yield* Effect.promise(() => page.locator(`#localsearch-list a[href^="${path}"]`).first().click())
          yield* Effect.promise(() => page.waitForURL(`**${path}*`))
          assert.deepStrictEqual(problems, [])
        }))
    }

    for (const [colorScheme, isDark] of [["light", false], ["dark", true]] as const) {
      it.effect(`a reader who prefers ${colorScheme} gets ${colorScheme} pages, with text that stands out`, () =>
        Effect.gen(function*() {
          const { page } = yield* openPage(`${yield* Site}/delivery.html`, { colorScheme })
          const [background, text] = yield* Effect.promise(() =>
            page.evaluate<[number, number]>(`["backgroundColor", "color"].map((property) => {
              const [red, green, blue] = getComputedStyle(document.body)[property].match(/\\d+/g).map(Number)
              return (red + green + blue) / 3
            })`)
          )
          assert.strictEqual(background < 128, isDark)
          assert.isAbove(Math.abs(background - text), 128)
        }))
    }
  })
})
