/**
 * Makes the picture of the live page that the README shows: `npm run screenshot`. Needs Chromium.
 *
 * The fleet and what happens to it are made up; the server, the bus and the page are the real ones.
 */
import { FleetView } from "@openwatch/inspector"
import { DriftDetected, HeartbeatPulse, hostIdFromName, LivePage, SystemEventBus } from "@openwatch/openwatch"
import { Console, DateTime, Effect, Layer, Logger, Schedule } from "effect"
import { statSync, writeFileSync } from "node:fs"
import { fileURLToPath } from "node:url"
import { Browser, openPage, see } from "../../../inspector/test/browser/browser.ts"
import { fleet } from "../../../inspector/test/browser/scene.ts"

const file = fileURLToPath(new URL("../../../../docs/inspector.webp", import.meta.url))

/** Hosts that come and go in waves, to a router that keeps up and a report that does not. */
const traffic = Effect.gen(function*() {
  const bus = yield* SystemEventBus
  yield* bus.on(["HeartbeatPulse", "DriftDetected"], () => Effect.void, { name: "alert-router" })
  yield* bus.on("DriftDetected", () => Effect.void, { name: "nats-bridge" })
  yield* bus.on("HeartbeatPulse", () => Effect.sleep("2 seconds"), {
    name: "weekly-report",
    bufferSize: 64,
    overflow: "sliding"
  })
  const none = { critical: 0, high: 0, medium: 0, low: 0 }
  let n = 0
  yield* Effect.gen(function*() {
    const occurredAt = yield* DateTime.now
    for (let i = 0; i < 3 + 2 * Math.sin(n / 20); i++) {
      const reachable = (n + i) % 3 > 0
      yield* bus.publish(
        new HeartbeatPulse({
          hostId: hostIdFromName(`web-${(n + i) % 12}`),
          reachable,
          priorReachable: !reachable,
          responseTimeMs: reachable ? 3.5 + i : 0,
          occurredAt
        })
      )
    }
    if (n % 3 === 0) {
      yield* bus.publish(
        new DriftDetected({
          hostId: hostIdFromName(`web-${n % 12}`),
          scanId: `scan-${n}`,
          driftType: "major",
          priorScore: 90.91,
          currentScore: 77.27,
          scoreDelta: -13.64,
          becameFailing: { ...none, medium: 3 },
          becamePassing: none,
          occurredAt
        })
      )
    }
    n++
  }).pipe(Effect.repeat(Schedule.spaced("100 millis")), Effect.forkScoped)
})

const program = Effect.gen(function*() {
  yield* traffic
  const { page } = yield* openPage(yield* LivePage.url, {
    colorScheme: "light",
    viewport: { width: 1360, height: 1180 }
  })
  yield* see(page, "tr.slow", "losing events")
  // Enough samples for the lines to be lines.
  yield* Effect.sleep("40 seconds")
  yield* Effect.promise(async () => {
    // Not `page.screenshot`: of the same picture it would make a file twice as large.
    const session = await page.context().newCDPSession(page)
    const { data } = await session.send("Page.captureScreenshot", { format: "webp", quality: 75 })
    writeFileSync(file, data, "base64")
  })
  yield* Console.log(`${file}: ${Math.round(statSync(file).size / 1024)} kB`)
})

const page = LivePage.layer({ host: "127.0.0.1", port: 0, token: undefined, hosts: [] }).pipe(
  Layer.provide(Layer.succeed(FleetView, fleet)),
  Layer.provideMerge(SystemEventBus.layer)
)

// The slow subscription would log its losses.
const silent = Logger.layer([])

await Effect.runPromise(
  program.pipe(Effect.scoped, Effect.provide(Layer.merge(page, Browser.layer).pipe(Layer.provideMerge(silent))))
)
