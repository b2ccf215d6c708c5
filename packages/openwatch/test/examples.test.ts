import { NodeServices } from "@effect/platform-node"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Stream } from "effect"
import { ChildProcess } from "effect/process"
import * as Net from "node:net"
import { fileURLToPath } from "node:url"

const start = Effect.gen(function*() {
  const handle = yield* ChildProcess.make(
    process.execPath,
    ["--conditions=@openwatch/source", fileURLToPath(new URL("../../../examples/start.ts", import.meta.url))],
    { stdin: "ignore" }
  )
  const text = (stream: typeof handle.stdout) => stream.pipe(Stream.decodeText(), Stream.mkString)
  const [stdout, stderr] = yield* Effect.all([text(handle.stdout), text(handle.stderr)], { concurrency: 2 })
  return { stdout, stderr, exitCode: Number(yield* handle.exitCode) }
}).pipe(Effect.scoped, Effect.provide(NodeServices.layer))

describe("npm start", () => {
  it.live("shows probes, scans and alerts together", () =>
    Effect.gen(function*() {
      const { exitCode, stdout } = yield* start
      assert.match(stdout, /this-machine \(127\.0\.0\.1:22022\) is reachable, answered in .+ ms\n/)
      assert.match(stdout, /nobody-home \(127\.0\.0\.1:22023\) is not reachable\n/)
      assert.match(stdout, /\n3 events published .*, 3 delivered, 0 dropped, 0 without a subscriber\n/)

      const [, , down, baseline, drifted, moved, list] = stdout.split(/^\$ .*\n/m)
      assert.match(down ?? "", /  high      nobody-home is unreachable\n/)
      assert.match(baseline ?? "", /of web-01\.example\.org: score 90\.91, the first scan with this profile\n/)
      assert.match(drifted ?? "", /\nweb-01\.example\.org: score 77\.27, major \(-13\.64 points\)\n/)
      assert.match(drifted ?? "", /  high      web-01\.example\.org drifted/)
      assert.match(moved ?? "", /  info      nobody-home is reachable again\n/)
      assert.match(moved ?? "", /\n5 events published, 0 dropped; 5 received, 3 alerts routed, /)
      assert.match(list ?? "", /  active    high      web-01\.example\.org drifted/)
      assert.match(list ?? "", /  resolved  high      nobody-home is unreachable\n/)
      assert.strictEqual(exitCode, 0)
    }), 120_000)

  it.live("says so when its port is taken", () =>
    Effect.gen(function*() {
      const server = Net.createServer()
      yield* Effect.acquireRelease(
        Effect.callback<void>((resume) => {
          server.listen(22_022, "127.0.0.1", () => resume(Effect.void))
        }),
        () => Effect.sync(() => server.close())
      )
      const { exitCode, stderr, stdout } = yield* start
      assert.strictEqual(stdout, "")
      assert.strictEqual(
        stderr,
        "error: the example cannot listen on port 22022 (another program listens there); " +
          "give this-machine another in examples/hosts.yaml\n"
      )
      assert.strictEqual(exitCode, 1)
    }), 30_000)
})
