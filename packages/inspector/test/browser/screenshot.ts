/**
 * Makes the picture of the page that the README shows: `npm run screenshot -w @openwatch/inspector`. Needs Chromium.
 */
import { Console, Effect, Layer, Logger } from "effect"
import { statSync, writeFileSync } from "node:fs"
import { fileURLToPath } from "node:url"
import { port, server } from "../fixture.ts"
import { Browser, openPage, see } from "./browser.ts"
import { fleet, traffic } from "./scene.ts"

const file = fileURLToPath(new URL("../../../../docs/inspector.webp", import.meta.url))

const program = Effect.gen(function*() {
  yield* traffic
  const { page } = yield* openPage(`http://127.0.0.1:${yield* port}/`, {
    colorScheme: "light",
    viewport: { width: 1280, height: 1180 }
  })
  yield* see(page, "tr.slow", "losing events")
  // Enough samples for the lines to be lines.
  yield* Effect.sleep("40 seconds")
  yield* Effect.promise(async () => {
    // Not `page.screenshot`: of the same picture it would make a file four times as large.
    const session = await page.context().newCDPSession(page)
    const { data } = await session.send("Page.captureScreenshot", { format: "webp", quality: 80 })
    writeFileSync(file, data, "base64")
  })
  yield* Console.log(`${file}: ${Math.round(statSync(file).size / 1024)} kB`)
})

await Effect.runPromise(program.pipe(
  Effect.scoped,
  Effect.provide(
    // The slow subscription of the scene would log its losses.
    Layer.mergeAll(server({ fleet, title: "OpenWatch" }), Browser.layer).pipe(Layer.provideMerge(Logger.layer([])))
  )
))
