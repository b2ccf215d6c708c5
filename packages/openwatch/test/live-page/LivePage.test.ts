import { assert, describe, layer, vi } from "@effect/vitest"
import {
  DriftDetected,
  Host,
  hostIdFromName,
  LivenessLoop,
  LivePage,
  Probe,
  SystemEventBus
} from "@openwatch/openwatch"
import { DateTime, Effect, Exit, Layer, Redacted } from "effect"
import { FetchHttpClient, HttpClient } from "effect/http"
import * as Net from "node:net"
import { Browser, isMissing, openPage, see } from "../../../inspector/test/browser/browser.ts"
import * as FleetStore from "./FleetStore.ts"

// Waits end as soon as what they wait for is there; a busy machine is given time.
vi.setConfig({ testTimeout: 60_000 })

/** Greets like an SSH server, on a free port. */
const sshServer = Effect.acquireRelease(
  Effect.callback<Net.Server>((resume) => {
    const server = Net.createServer((socket) => {
      socket.on("error", () => {})
      socket.end("SSH-2.0-test\r\n")
    })
    server.listen(0, "127.0.0.1", () => resume(Effect.succeed(server)))
  }),
  (server) => Effect.sync(() => server.close())
)

const hostAt = (name: string, server: Net.Server): Host =>
  new Host({ id: hostIdFromName(name), name, address: "127.0.0.1", port: (server.address() as Net.AddressInfo).port })

const settings = { host: "127.0.0.1", port: 0, token: undefined, hosts: [] }

const openWatch = (hosts: ReadonlyArray<Host>) =>
  LivePage.layer(settings).pipe(
    Layer.provideMerge(FleetStore.layer(hosts)),
    Layer.provideMerge(SystemEventBus.layer),
    Layer.provideMerge(Probe.Probe.layerTcp())
  )

describe.skipIf(isMissing)("the live page of a fleet", () => {
  layer(Browser.layer, { excludeTestServices: true })((it) => {
    it.effect("shows within a second what a real probe found, and what follows from it", () =>
      Effect.gen(function*() {
        const server = yield* sshServer
        const web = hostAt("web-1", server)
        yield* Effect.gen(function*() {
          const { page, problems } = yield* openPage(yield* LivePage.url)
          yield* see(page, ".grid button.unknown", "web-1")
          const seeSoon = (selector: string, text: string) =>
            Effect.promise(() => page.locator(selector).filter({ hasText: text }).first().waitFor({ timeout: 1000 }))

          yield* LivenessLoop.settle([web])
          yield* seeSoon(".events li", "reachable: true")
          yield* see(page, ".grid button.reachable", "web-1")

          yield* Effect.sync(() => server.close())
          yield* LivenessLoop.settle([web])
          yield* seeSoon(".events li", "reachable: false")
          yield* see(page, ".grid button.unreachable", "web-1")
          yield* see(page, ".alerts li", "Host is unreachable")

          const bus = yield* SystemEventBus
          const none = { critical: 0, high: 0, medium: 0, low: 0 }
          yield* bus.publish(
            new DriftDetected({
              hostId: web.id,
              scanId: "scan-1",
              driftType: "major",
              priorScore: 90.91,
              currentScore: 77.27,
              scoreDelta: -13.64,
              becameFailing: { ...none, medium: 3 },
              becamePassing: none,
              occurredAt: yield* DateTime.now
            })
          )
          yield* see(page, ".alerts li", "Compliance moved by -13.64 points")
          yield* see(page, ".grid button", "score 77.3 %")
          yield* Effect.promise(() => page.getByRole("button", { name: /web-1/ }).click())
          yield* Effect.promise(() =>
            page.getByRole("img", { name: "Score of web-1 in percent, over 1 scans" }).waitFor()
          )
          assert.deepStrictEqual(problems, [])
        }).pipe(Effect.provide(openWatch([web])))
      }).pipe(Effect.scoped))
  })
})

layer(FetchHttpClient.layer)("the live page's server", (it) => {
  it.effect("answers at the address that it names", () =>
    Effect.gen(function*() {
      const answer = yield* HttpClient.get(`${yield* LivePage.url}health`)
      assert.strictEqual(yield* answer.text, `{"status":"ok"}`)
    }).pipe(Effect.provide(openWatch([]))))

  it.effect("asks for the token where one is set", () =>
    Effect.gen(function*() {
      const answer = yield* HttpClient.get(`${yield* LivePage.url}api/bus`)
      assert.strictEqual(answer.status, 401)
    }).pipe(Effect.provide(
      LivePage.layer({ ...settings, host: "0.0.0.0", token: Redacted.make("correct horse battery staple") }).pipe(
        Layer.provide(FleetStore.layer([])),
        Layer.provide(SystemEventBus.layer)
      )
    )))

  it.effect("says which address is taken, and what to change", () =>
    Effect.gen(function*() {
      const { port } = (yield* sshServer).address() as Net.AddressInfo
      const exit = yield* Effect.exit(Layer.build(
        LivePage.layer({ ...settings, port }).pipe(
          Layer.provide(FleetStore.layer([])),
          Layer.provide(SystemEventBus.layer)
        )
      ))
      assert.isTrue(Exit.isFailure(exit))
      assert.include(
        String(exit),
        `cannot serve http://127.0.0.1:${port}/: another program listens there; \`http.host\` and \`http.port\``
      )
    }).pipe(Effect.scoped))
})
