/**
 * Makes the picture of the live page that the README shows: `npm run screenshot`. Needs Chromium.
 *
 * With a folder (`npm run screenshot -- FOLDER`) it writes the page there, in both themes, wide and narrow, to be looked at.
 *
 * It shows `openwatch run` itself. The hosts are names for ports of this machine, some of which close and open; the scans
 * are a real one of OpenSCAP in which some rules were made to fail.
 */
import { NodeServices } from "@effect/platform-node"
import { Console, Effect, FileSystem, Layer } from "effect"
import { statSync, writeFileSync } from "node:fs"
import { fileURLToPath } from "node:url"
import type { Page } from "playwright-core"
import { freePort } from "../../../../test/servers/freePort.ts"
import { Browser, openPage, see } from "../../../inspector/test/browser/browser.ts"
import * as OpenWatch from "./openwatchRun.ts"

const picture = fileURLToPath(new URL("../../../../docs/live-page.webp", import.meta.url))
const scan = fileURLToPath(new URL("../xccdf/base.xml", import.meta.url))
const [folderOfAll] = process.argv.slice(2)

const names = Array.from({ length: 18 }, (_, n) => {
  const role = n < 12 ? "web" : n < 16 ? "db" : "mail"
  return `${role}-${n % 12 + 1}.example.org`
})
const scanned = names[2]!

/** Writes the result of a scan of a host, so many days ago, in which so many more rules have failed. */
const writeScan = Effect.fnUntraced(function*(folder: string, name: string, daysAgo: number, failed: number) {
  const fs = yield* FileSystem.FileSystem
  const end = new Date(Date.now() - daysAgo * 86_400_000).toISOString()
  let left = failed
  const text = (yield* fs.readFileString(scan))
    .replace("web-01.example.org", name)
    .replace(/end-time="[^"]*"/, `end-time="${end}"`)
    .replaceAll("<result>pass</result>", (pass) => left-- > 0 ? "<result>fail</result>" : pass)
  yield* fs.writeFileString(`${folder}/scans/${end.slice(0, 10)}-${name}.xml`, text)
})

const width = 1280

/** Not with `page.screenshot`: it makes PNG, of which this would be 320 kB. */
const shootPicture = Effect.fnUntraced(function*(page: Page) {
  yield* Effect.promise(async () => {
    const height = await page.evaluate<number>("document.documentElement.scrollHeight")
    await page.setViewportSize({ width, height })
    const session = await page.context().newCDPSession(page)
    const { data } = await session.send("Page.captureScreenshot", { format: "webp", quality: 75 })
    writeFileSync(picture, data, "base64")
  })
  yield* Console.log(`${picture}: ${Math.round(statSync(picture).size / 1024)} kB`)
})

const shootAll = Effect.fnUntraced(function*(page: Page, folder: string) {
  for (const colorScheme of ["light", "dark"] as const) {
    for (const shown of [width, 360]) {
      const path = `${folder}/${colorScheme}-${shown}.png`
      yield* Effect.promise(async () => {
        await page.emulateMedia({ colorScheme })
        await page.setViewportSize({ width: shown, height: 800 })
        await page.screenshot({ path, fullPage: true })
      })
      yield* Console.log(path)
    }
  }
})

const program = Effect.gen(function*() {
  const { port } = yield* OpenWatch.sshServer
  const nobody = yield* Effect.promise(freePort)
  const hosts = (isDown: (n: number) => boolean) =>
    names.map((name, n) => ({ name, address: "127.0.0.1", port: isDown(n) ? nobody : port }))
  const folder = yield* OpenWatch.makeFolder({ port: 0 }, hosts((n) => n === 13))
  for (const [n, failed] of [2, 2, 1, 0, 0, 1, 3, 6].entries()) {
    yield* writeScan(folder, scanned, 7 * (8 - n), failed)
  }
  for (const [n, name] of names.entries()) {
    if (n % 4 !== 3 && name !== scanned) yield* writeScan(folder, name, 1 + n / 24, n % 5)
  }

  const { url } = yield* OpenWatch.start(folder)
  const { page } = yield* openPage(yield* url, { colorScheme: "light", viewport: { width, height: 800 } })
  yield* see(page, ".alerts li", "drifted")
  for (const down of [[4, 13], [4, 9, 10, 13], [9, 13], [1, 9, 13], [9, 13, 16], [9, 13]]) {
    yield* OpenWatch.writeHosts(folder, hosts((n) => down.includes(n)))
    yield* see(page, ".choice.unreachable", `${down.length} unreachable`)
  }
  yield* see(page, ".choice.reachable", "16 reachable")
  yield* folderOfAll === undefined ? shootPicture(page) : shootAll(page, folderOfAll)
})

await Effect.runPromise(
  program.pipe(Effect.scoped, Effect.provide(Layer.merge(Browser.layer, NodeServices.layer)))
)
