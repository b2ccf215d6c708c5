import { NodeServices } from "@effect/platform-node"
import { assert, describe, it } from "@effect/vitest"
import { FleetView } from "@openwatch/inspector"
import { type HttpSettings, LivePage, ProcessView, Storage } from "@openwatch/openwatch"
import { Effect, FileSystem, Layer, Schedule, type Scope } from "effect"
import * as Http from "node:http"
import * as Net from "node:net"
import { outboxes } from "../storage/Database.ts"
import * as OpenWatch from "./openwatchRun.ts"

const token = "correct horse battery staple"

interface Answer {
  readonly status: number
  readonly text: string
}

/** The answer to a request on a connection of its own; `undefined` where nobody listens. */
const get = (url: string, headers: Http.OutgoingHttpHeaders = {}) =>
  Effect.callback<Answer | undefined>((resume) => {
    Http.get(url, { agent: false, headers }, (response) => {
      let text = ""
      response.setEncoding("utf8").on("data", (chunk: string) => text += chunk)
      response.on("end", () => resume(Effect.succeed({ status: response.statusCode!, text })))
    }).on("error", () => resume(Effect.succeed(undefined)))
  })

/** Connects, says this, and goes on once this much has come back. */
const connect = (url: string, request: string, until: string) =>
  Effect.acquireRelease(
    Effect.callback<Net.Socket>((resume) => {
      const { hostname, port } = new URL(url)
      const socket = Net.connect(Number(port), hostname, () => socket.write(request))
      let text = ""
      const look = () => {
        if (text.includes(until)) resume(Effect.succeed(socket))
      }
      socket.on("error", () => {})
      socket.on("connect", look)
      socket.on("data", (chunk) => {
        text += String(chunk)
        look()
      })
    }),
    (socket) => Effect.sync(() => socket.destroy())
  )

const live = <A, E>(name: string, test: Effect.Effect<A, E, NodeServices.NodeServices | Scope.Scope>) =>
  it.live(name, () => Effect.provide(test, NodeServices.layer), 60_000)

const nobody = { name: "nobody", address: "127.0.0.1", port: 1 }

const isStored = (folder: string) => Effect.flatMap(FileSystem.FileSystem, (fs) => fs.exists(`${folder}/data`))

describe("the live page of openwatch run", () => {
  live(
    "is at the address that is logged, and shows the hosts of the inventory as it is edited",
    Effect.gen(function*() {
      const folder = yield* OpenWatch.makeFolder({ port: 0 }, [nobody])
      const { url } = yield* OpenWatch.start(folder)
      const address = yield* url
      assert.match(address, /^http:\/\/127\.0\.0\.1:\d+\/$/)
      assert.deepStrictEqual(yield* get(`${address}health`), { status: 200, text: `{"status":"ok"}` })
      const parts = { database: null, probes: null, channels: null }
      assert.deepStrictEqual(yield* get(`${address}ready`), {
        status: 200,
        text: JSON.stringify({ status: "ready", parts })
      })
      const metrics = yield* get(`${address}metrics`)
      assert.match(metrics!.text, /^openwatch_open_alerts\{severity="high"\} \d$/m)
      const names = Effect.map(
        get(`${address}api/fleet/hosts`),
        (answer) => (JSON.parse(answer!.text) as ReadonlyArray<{ name: string }>).map(({ name }) => name)
      )
      assert.deepStrictEqual(yield* names, ["nobody"])

      yield* OpenWatch.writeHosts(folder, [{ ...nobody, name: "somebody" }, nobody])
      yield* names.pipe(Effect.repeat({ while: (names) => names.length === 1, schedule: Schedule.spaced("50 millis") }))
      assert.deepStrictEqual(yield* names, ["somebody", "nobody"])
    })
  )

  live(
    "on an address that others reach, is for those who have the token",
    Effect.gen(function*() {
      const folder = yield* OpenWatch.makeFolder({ host: "0.0.0.0", port: 0, token_env: "PAGE_TOKEN" }, [nobody])
      const { stderr, stop, url } = yield* OpenWatch.start(folder, { PAGE_TOKEN: token })
      const address = yield* url
      const bus = `${address}api/bus`
      assert.strictEqual((yield* get(bus))?.status, 401)
      assert.include((yield* get(address))?.text, "<title>OpenWatch</title>")
      assert.strictEqual((yield* get(bus, { authorization: `Bearer ${token}` }))?.status, 200)
      assert.strictEqual(yield* stop, 0)
      assert.notInclude((yield* stderr).join("\n"), token)
    })
  )

  live(
    "on an address that others reach, is not started without a token, nor is anything else",
    Effect.gen(function*() {
      const folder = yield* OpenWatch.makeFolder({ host: "0.0.0.0", port: 0 }, [nobody])
      const { ended, stderr } = yield* OpenWatch.start(folder)
      assert.strictEqual(yield* ended, 1)
      assert.deepStrictEqual(yield* stderr, [
        `error: configuration ${folder}/openwatch.yaml: http.token: Missing: "0.0.0.0" is not a loopback address, ` +
        "so whoever reaches it would see the fleet; set `token` or `token_env`, or leave `host` at 127.0.0.1"
      ])
      assert.isFalse(yield* isStored(folder))
    })
  )

  live(
    "where its address is taken, is not started, nor is anything else",
    Effect.gen(function*() {
      const { port } = yield* OpenWatch.sshServer
      const folder = yield* OpenWatch.makeFolder({ port }, [nobody])
      const { ended, stderr } = yield* OpenWatch.start(folder)
      assert.strictEqual(yield* ended, 1)
      assert.deepStrictEqual(yield* stderr, [
        `error: cannot serve the live page at http://127.0.0.1:${port}/: another program listens there; ` +
        "`http.host` and `http.port` of the configuration, or `--port`, say where, and `http: false` that there is to be none"
      ])
      assert.isFalse(yield* isStored(folder))
    })
  )

  live(
    "keeps nobody waiting who stops it: a page that is open, a connection that asks for nothing, half a request",
    Effect.gen(function*() {
      const folder = yield* OpenWatch.makeFolder({ port: 0 }, [nobody])
      const { stop, url } = yield* OpenWatch.start(folder)
      const address = yield* url
      const { host } = new URL(address)
      yield* connect(address, `GET /api/events HTTP/1.1\r\nHost: ${host}\r\n\r\n`, "text/event-stream")
      yield* connect(address, "", "")
      yield* connect(address, "GET / HTTP/1.1\r\nHost:", "")
      // Node itself gives up on such connections after a minute.
      assert.strictEqual(yield* Effect.timeout(stop, "20 seconds"), 0)
      assert.isUndefined(yield* get(address))
    })
  )
})

describe("durable events on the live page of openwatch run", () => {
  live(
    "are those of what is noticed, and of what becomes of alerts",
    Effect.gen(function*() {
      const folder = yield* OpenWatch.makeFolder({ port: 0 }, [nobody])
      const { url } = yield* OpenWatch.start(folder)
      const answer = yield* get(`${yield* url}api/outboxes`)
      const outboxes = JSON.parse(answer!.text) as ReadonlyArray<{
        readonly name: string
        readonly problem: unknown
        readonly consumers: ReadonlyArray<{ readonly name: string; readonly dead: number }>
      }>
      assert.deepStrictEqual(
        outboxes.map(({ consumers, name, problem }) => [name, problem, consumers.map(({ name }) => name)]),
        [
          ["@openwatch/SystemOutbox", null, ["alert-router"]],
          ["@openwatch/AlertOutbox", null, ["channel/console"]]
        ]
      )
    })
  )
})

describe("an address that is taken before there is anything to show", () => {
  const nothing = Layer.mergeAll(
    outboxes.pipe(Layer.provide(Layer.unwrap(Effect.map(
      Effect.flatMap(FileSystem.FileSystem, (fs) => fs.makeTempDirectoryScoped()),
      (path) => Storage.layer({ _tag: "DataFolder", path })
    )))),
    Layer.succeed(
      FleetView,
      FleetView.of({ hosts: Effect.succeed([]), openAlerts: Effect.succeed([]), scores: () => Effect.succeed([]) })
    ),
    Layer.succeed(ProcessView.ProcessView, { metrics: Effect.succeed(""), readiness: Effect.succeed({}) })
  )
  const settings: HttpSettings.HttpSettings = { host: "127.0.0.1", port: 0, token: undefined, hosts: [] }

  it.live("answers 503 until the page is served, and nothing after it", () =>
    Effect.gen(function*() {
      const { layer, url } = yield* LivePage.listen(settings)
      assert.deepStrictEqual(yield* get(url), { status: 503, text: "OpenWatch is starting, or stopping.\n" })
      assert.deepStrictEqual(yield* get(`${url}health`), { status: 200, text: `{"status":"ok"}` })
      assert.strictEqual((yield* get(`${url}ready`))?.status, 503)
      const served = get(`${url}health`).pipe(Effect.provide(Layer.provide(layer, nothing)))
      assert.strictEqual((yield* served)?.status, 200)
      assert.isUndefined(yield* get(url))
    }).pipe(Effect.scoped, Effect.provide(NodeServices.layer)))

  it.live("is given back where the page is never served", () =>
    Effect.gen(function*() {
      const { url } = yield* Effect.scoped(LivePage.listen(settings))
      assert.isUndefined(yield* get(url))
    }))
})
