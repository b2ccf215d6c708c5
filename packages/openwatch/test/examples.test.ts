import { NodeServices } from "@effect/platform-node"
import { assert, describe, it } from "@effect/vitest"
import { type Cause, Effect, FileSystem, Queue, Stream } from "effect"
import { ChildProcess } from "effect/process"
import { existsSync } from "node:fs"
import * as Net from "node:net"
import { fileURLToPath } from "node:url"

const example = [
  "--conditions=@openwatch/source",
  fileURLToPath(new URL("../../../examples/start.ts", import.meta.url))
]

/** Takes a port of the loopback until the scope closes; returns it. Fails where it is taken. */
const listen = (port: number) =>
  Effect.acquireRelease(
    Effect.callback<Net.Server, Error>((resume) => {
      const server = Net.createServer()
      server.on("error", (error) => resume(Effect.fail(error)))
      server.listen(port, "127.0.0.1", () => resume(Effect.succeed(server)))
    }),
    (server) => Effect.sync(() => server.close())
  ).pipe(Effect.map((server) => (server.address() as Net.AddressInfo).port))

const start = (...flags: ReadonlyArray<string>) =>
  Effect.gen(function*() {
    const handle = yield* ChildProcess.make(process.execPath, [...example, ...flags], { stdin: "ignore" })
    const text = (stream: typeof handle.stdout) => stream.pipe(Stream.decodeText(), Stream.mkString)
    const [stdout, stderr] = yield* Effect.all([text(handle.stdout), text(handle.stderr)], { concurrency: 2 })
    return { stdout, stderr, exitCode: Number(yield* handle.exitCode) }
  }).pipe(Effect.scoped, Effect.provide(NodeServices.layer))

const hasTerminal = (process.env["CI"] ?? "") !== "" || existsSync("/usr/bin/script")
if (!hasTerminal) {
  console.log("skipped: npm start in a terminal needs /usr/bin/script (Debian: apt-get install bsdutils)")
}

/** Runs it in a terminal of its own. */
const inTerminal = (words: ReadonlyArray<string>, options: ChildProcess.CommandOptions) =>
  ChildProcess.make(
    "/usr/bin/script",
    // `exec`: a shell that stays (dash) answers Ctrl-C with a status of its own.
    ["-qec", `exec ${words.map((word) => `'${word}'`).join(" ")}`, "/dev/null"],
    options
  )

describe("npm start", () => {
  it.live.skipIf(!hasTerminal)(
    "in a terminal, goes on with its live page until Ctrl-C, and leaves nothing behind",
    () =>
      Effect.gen(function*() {
        const fs = yield* FileSystem.FileSystem
        const folder = yield* fs.makeTempDirectoryScoped()
        const keys = yield* Queue.unbounded<Uint8Array, Cause.Done>()
        const handle = yield* inTerminal([process.execPath, ...example], {
          env: { TMPDIR: folder },
          extendEnv: true,
          stdin: Stream.fromQueue(keys)
        })
        const isUp = (url: string) => Effect.promise(() => fetch(`${url}health`).then(({ ok }) => ok, () => false))
        const lines = yield* handle.stdout.pipe(
          Stream.decodeText(),
          Stream.splitLines,
          Stream.mapEffect(Effect.fnUntraced(function*(line) {
            const [, url] = /^The live page is at (\S+) until you press Ctrl-C/.exec(line) ?? []
            if (url === undefined) return line
            assert.isTrue(yield* isUp(url))
            yield* Queue.offer(keys, Uint8Array.of(3))
            return url
          })),
          Stream.runCollect
        )
        assert.strictEqual(Number(yield* handle.exitCode), 0)
        const url = lines.find((line) => line.startsWith("http:"))
        assert.isDefined(url, lines.join("\n"))
        assert.isFalse(yield* isUp(url))
        assert.match(
          lines.findLast((line) => line !== "") ?? "",
          /5 events published, 0 dropped; 5 received, 3 alerts routed/
        )
        assert.deepStrictEqual(yield* fs.readDirectory(folder), [])
      }).pipe(Effect.scoped, Effect.provide(NodeServices.layer)),
    120_000
  )

  it.live.skipIf(!hasTerminal)(
    "in a terminal, ends by itself with --once",
    () =>
      Effect.gen(function*() {
        const handle = yield* inTerminal([process.execPath, ...example, "--once"], { stdin: "ignore" })
        const output = yield* handle.stdout.pipe(Stream.decodeText(), Stream.mkString)
        assert.match(output, /Its live page was at http:/)
        assert.strictEqual(Number(yield* handle.exitCode), 0)
      }).pipe(Effect.scoped, Effect.provide(NodeServices.layer)),
    120_000
  )

  it.live("shows probes, scans and alerts together", () =>
    Effect.gen(function*() {
      const { exitCode, stdout } = yield* start()
      assert.match(stdout, /this-machine \(127\.0\.0\.1:22022\) is reachable, answered in .+ ms\n/)
      assert.match(stdout, /nobody-home \(127\.0\.0\.1:22023\) is not reachable: connection refused\n/)
      assert.match(stdout, /\n3 events published .*, 3 delivered, 0 dropped, 0 without a subscriber\n/)

      const [, , down, baseline, drifted, moved, list] = stdout.split(/^\$ .*\n/m)
      assert.match(down ?? "", /  high      nobody-home \(127\.0\.0\.1:22023\) is unreachable: connection refused\n/)
      assert.match(
        baseline ?? "",
        /of web-01\.example\.org, DEBIAN-11\/anssi_np_nt28_high: score 90\.91, the first scan with this profile\n/
      )
      assert.match(
        drifted ?? "",
        /\nweb-01\.example\.org, DEBIAN-11\/anssi_np_nt28_high: score 77\.27, major \(-13\.64 points\)\n/
      )
      assert.match(drifted ?? "", /  high      web-01\.example\.org .*drifted \(major\)/)
      assert.match(moved ?? "", /  info      nobody-home .* is reachable again\n/)
      assert.match(moved ?? "", /\n5 events published, 0 dropped; 5 received, 3 alerts routed, /)
      assert.match(list ?? "", /  active +high +web-01\.example\.org .*drifted \(major\)/)
      assert.match(list ?? "", /  resolved +high +nobody-home .* is unreachable: connection refused\n/)
      assert.match(list ?? "", /\nIts live page was at http:\/\/127\.0\.0\.1:\d+\/: in a terminal, /)
      assert.strictEqual(exitCode, 0)
    }), 120_000)

  it.live("takes a free port where its own is taken, and has its page where it is told", () =>
    Effect.gen(function*() {
      const page = yield* Effect.scoped(listen(0))
      yield* Effect.ignore(listen(22_022))
      const { exitCode, stderr, stdout } = yield* start("--port", String(page))
      const [, port] = /^\(port 22022 is taken \(.*EADDRINUSE.*\): the example listens on (\d+)\)\n/.exec(stdout) ?? []
      assert.isDefined(port, stdout + stderr)
      assert.include(stdout, `this-machine (127.0.0.1:${port}) is reachable`)
      assert.include(stdout, `nobody-home (127.0.0.1:${port}) is reachable again`)
      assert.include(stdout, `\nIts live page was at http://127.0.0.1:${page}/: `)
      assert.strictEqual(exitCode, 0)
    }).pipe(Effect.scoped), 120_000)
})
