import { NodeServices } from "@effect/platform-node"
import { assert, describe, layer, vi } from "@effect/vitest"
import { Effect, FileSystem, Layer } from "effect"
import { fileURLToPath } from "node:url"
import type { Page } from "playwright-core"
import { freePort } from "../../../../test/servers/freePort.ts"
import { Browser, isMissing, openPage, see } from "../../../inspector/test/browser/browser.ts"
import * as OpenWatch from "./openwatchRun.ts"

// Waits end as soon as what they wait for is there; a busy machine is given time.
vi.setConfig({ testTimeout: 60_000 })

const token = "correct horse battery staple"

/** Results of real scans of web-01.example.org. */
const results = fileURLToPath(new URL("../xccdf", import.meta.url))

/** The page gets the events as they are published. */
const seeLive = (page: Page) => see(page, ".status", "Live")

describe.skipIf(isMissing)("openwatch run in a browser", () => {
  layer(Layer.merge(Browser.layer, NodeServices.layer), { excludeTestServices: true })((it) => {
    it.effect("a host that does not answer any more is an event, a tile and an alert, each once", () =>
      Effect.gen(function*() {
        const { close, port } = yield* OpenWatch.sshServer
        const web = { name: "web-1", address: "127.0.0.1", port }
        const folder = yield* OpenWatch.makeFolder({ port: 0 }, [web, { ...web, name: "web-2" }])
        const { url } = yield* OpenWatch.start(folder)
        const { page, problems } = yield* openPage(yield* url)
        yield* see(page, ".tile.reachable", "web-1")
        yield* see(page, ".tile.reachable", "web-2")
        yield* see(page, ".alerts", "None. All is as it should be.")
        yield* seeLive(page)

        yield* close
        // A host that moves is probed at once, without an interval's wait.
        yield* OpenWatch.writeHosts(folder, [{ ...web, address: "localhost" }, { ...web, name: "web-2" }])
        yield* see(page, ".events li", "web-1 (localhost:")
        yield* see(page, ".tile.unreachable", "web-1")
        yield* see(page, ".tile.reachable", "web-2")
        yield* see(page, ".choice.unreachable", "1 unreachable")
        yield* see(page, ".alerts li", "is unreachable: connection refused")
        const [first, ...others] = yield* Effect.promise(() => page.locator(".events .sentence").allInnerTexts())
        assert.match(first ?? "", /^web-1 \(localhost:\d+\) is no longer reachable: connection refused$/)
        assert.lengthOf(others.filter((text) => text.startsWith("web-1 (localhost:")), 0)
        assert.deepStrictEqual(problems, [])
      }).pipe(Effect.scoped))

    it.effect("a scan shows as the host's score, in its history, and as an alert where it is worse", () =>
      Effect.gen(function*() {
        const fs = yield* FileSystem.FileSystem
        const { port } = yield* OpenWatch.sshServer
        const folder = yield* OpenWatch.makeFolder({ port: 0 }, [{
          name: "web-01.example.org",
          address: "127.0.0.1",
          port
        }])
        const { url } = yield* OpenWatch.start(folder)
        const { page, problems } = yield* openPage(yield* url)
        yield* fs.copyFile(`${results}/base.xml`, `${folder}/scans/base.xml`)
        yield* see(page, ".tile", "score 90.9 %")
        yield* fs.copyFile(`${results}/drifted.xml`, `${folder}/scans/drifted.xml`)
        yield* see(page, ".tile", "score 77.3 %")
        yield* see(
          page,
          ".alerts li",
          `web-01.example.org (127.0.0.1:${port}) drifted (major) in DEBIAN-11/anssi_np_nt28_high: 90.91 to 77.27 ` +
            "(-13.64 points)"
        )
        yield* Effect.promise(() => page.locator(".tile").click())
        yield* Effect.promise(() =>
          page.getByRole("img", { name: "Score of web-01.example.org in percent, over 2 scans" }).waitFor()
        )
        assert.deepStrictEqual(problems, [])
      }).pipe(Effect.scoped))

    it.effect("a page that is open does not keep it from stopping, and goes on when it runs again", () =>
      Effect.gen(function*() {
        const { close, port } = yield* OpenWatch.sshServer
        const web = { name: "web-1", address: "127.0.0.1", port }
        const folder = yield* OpenWatch.makeFolder({ port: yield* Effect.promise(freePort) }, [web])
        const first = yield* OpenWatch.start(folder)
        const { page, problems } = yield* openPage(yield* first.url)
        yield* see(page, ".tile.reachable", "web-1")
        yield* seeLive(page)
        assert.strictEqual(yield* first.stop, 0)
        yield* see(page, ".status", "Reconnecting")

        yield* close
        yield* OpenWatch.writeHosts(folder, [{ ...web, address: "localhost" }])
        const second = yield* OpenWatch.start(folder)
        assert.strictEqual(yield* second.url, yield* first.url)
        yield* seeLive(page)
        yield* see(page, ".tile.unreachable", "web-1")
        yield* see(page, ".events li", "web-1 (localhost:")
        // What happened before is read from the store, and shown once.
        yield* see(page, ".notice", "The server was restarted")
        const shown = yield* Effect.promise(() => page.locator(".events .sentence").allInnerTexts())
        assert.lengthOf(shown.filter((text) => /is reachable, answered/.test(text)), 1)
        const fresh = yield* openPage(yield* second.url)
        yield* see(fresh.page, ".events li", /web-1 \(127\.0\.0\.1:\d+\) is reachable, answered/)
        assert.deepStrictEqual(problems, [])
      }).pipe(Effect.scoped))

    it.effect("where there is a token, the page shows nothing until it is given", () =>
      Effect.gen(function*() {
        const { port } = yield* OpenWatch.sshServer
        const folder = yield* OpenWatch.makeFolder(
          { host: "0.0.0.0", port: 0, token_env: "PAGE_TOKEN" },
          [{ name: "web-1", address: "127.0.0.1", port }]
        )
        const { url } = yield* OpenWatch.start(folder, { PAGE_TOKEN: token })
        const { page, problems } = yield* openPage(yield* url)
        yield* see(page, ".status", "Signed out")
        assert.strictEqual(yield* Effect.promise(() => page.getByText("web-1").count()), 0)
        yield* Effect.promise(async () => {
          await page.getByLabel("Token").fill(token)
          await page.keyboard.press("Enter")
        })
        yield* seeLive(page)
        yield* see(page, ".tile.reachable", "web-1")
        assert.deepStrictEqual(problems, [])
      }).pipe(Effect.scoped))
  })
})
