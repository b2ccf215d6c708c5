/**
 * What is wrong with the machine that OpenWatch runs on is no verdict on a host: with real networks, names and processes.
 */
import { NodeServices } from "@effect/platform-node"
import { assert, describe, it } from "@effect/vitest"
import { Effect, FileSystem } from "effect"
import { ChildProcess } from "effect/process"
import { execFileSync } from "node:child_process"
import * as Net from "node:net"
import { fileURLToPath } from "node:url"
import * as Command from "../cli/command.ts"
import * as OpenWatch from "../live-page/openwatchRun.ts"

const inNamespace = fileURLToPath(new URL("inNamespace.ts", import.meta.url))
const withoutDescriptors = fileURLToPath(new URL("withoutDescriptors.ts", import.meta.url))

/** Whether this user may make namespaces, and has what is needed in them. */
const hasNamespaces = (() => {
  try {
    execFileSync("unshare", ["-n", "-m", "sh", "-c", "ip link set lo up && mount --bind /etc/hosts /etc/hosts"], {
      stdio: "ignore"
    })
    return true
  } catch {
    return false
  }
})()
const isSkipped = !hasNamespaces && (process.env["CI"] ?? "") === ""
if (isSkipped) {
  // oxlint-disable-next-line no-console
  console.log("Namespaces cannot be made: the tests without a network are skipped (as root, with iproute2)")
}

const run = (command: string, ...args: ReadonlyArray<string>) =>
  Effect.gen(function*() {
    const { exitCode: code, stderr, stdout } = yield* Command.run(ChildProcess.make(command, args, {
      env: Command.environment,
      extendEnv: false,
      stdin: "ignore"
    }))
    const events = stdout.split("\n").filter((line) => line.startsWith("{")).map((line) => JSON.parse(line))
    return { stderr, code, pulses: events.filter(({ _tag }) => _tag === "HeartbeatPulse") }
  })

const folder = Effect.flatMap(FileSystem.FileSystem, (fs) => fs.makeTempDirectoryScoped())

const numbered = (what: string, count: number) => Array.from({ length: count }, (_, n) => `${what}-${n}`)

/**
 * The same, in namespaces with a loopback and the tests' name server, and with so many file descriptors. `asked` has the names
 * for which a process was started.
 */
const checkNames = (names: ReadonlyArray<string>, descriptors = 1_024) =>
  Effect.gen(function*() {
    const fs = yield* FileSystem.FileSystem
    const path = yield* folder
    yield* fs.writeFileString(`${path}/resolv.conf`, "nameserver 127.0.0.1\noptions timeout:30 attempts:1\n")
    const getent = execFileSync("sh", ["-c", "command -v getent"], { encoding: "utf8" }).trim()
    yield* fs.makeDirectory(`${path}/bin`)
    yield* fs.writeFileString(`${path}/bin/getent`, `#!/bin/sh\necho "$3" >>${path}/asked\nexec ${getent} "$@"\n`)
    yield* fs.chmod(`${path}/bin/getent`, 0o755)
    yield* fs.writeFileString(`${path}/asked`, "")
    const script = "ip link set lo up && mount --bind \"$0\"/resolv.conf /etc/resolv.conf && " +
      "PATH=\"$0\"/bin:$PATH exec \"$@\""
    const command = [
      process.execPath,
      "-C",
      "@openwatch/source",
      inNamespace,
      Command.bin,
      path,
      String(descriptors),
      ...names
    ]
    const outcome = yield* run("unshare", "-n", "-m", "sh", "-c", script, path, ...command)
    return { ...outcome, asked: (yield* fs.readFileString(`${path}/asked`)).split("\n") }
  })

describe.skipIf(isSkipped)("a fault of this machine is no verdict on a host", () => {
  // @spec system-liveness-loop
  // @ac AC-10
  it.live("[system-liveness-loop/AC-10] without a network no host is called unreachable", () =>
    Effect.gen(function*() {
      const fs = yield* FileSystem.FileSystem
      const file = `${yield* folder}/hosts.yaml`
      const addresses = ["192.0.2.1", "2001:db8::1", "web.example.org"]
      yield* fs.writeFileString(
        file,
        JSON.stringify({ hosts: addresses.map((address) => ({ name: address, address })) })
      )
      const { code, pulses, stderr } = yield* run(
        "unshare",
        "-n",
        process.execPath,
        Command.bin,
        "check",
        "hosts",
        "--once",
        "--json",
        file
      )
      assert.deepStrictEqual(pulses, [])
      assert.match(stderr, /error: .* and 2 more not probed: this machine could not probe it/)
      assert.strictEqual(code, 1)
    }).pipe(Effect.scoped, Effect.provide(NodeServices.layer)), 90_000)

  // @spec system-liveness-loop
  // @ac AC-25
  it.live(
    "[system-liveness-loop/AC-25] slow names take nothing from others, and one that is not found is its host's matter",
    () =>
      Effect.gen(function*() {
        const names = [...numbered("slow", 8), ...numbered("web", 10), "none-1", "refused-1"]
        const { pulses } = yield* checkNames(names)
        const of = (what: string) => pulses.filter(({ host }) => host.name.startsWith(what))
        assert.isTrue(of("web").every(({ reachable }) => reachable))
        assert.strictEqual(of("web").length, 10)
        assert.isTrue(of("slow").every(({ reachable }) => reachable))
        assert.strictEqual(of("slow").length, 8)
        for (const name of ["none-1", "refused-1"]) {
          const [pulse] = of(name)
          assert.deepStrictEqual([pulse?.reachable, pulse?.reason.code], [false, "NameNotResolved"])
          assert.include(pulse?.reason.text, "the name could not be resolved")
        }
      }).pipe(Effect.scoped, Effect.provide(NodeServices.layer)),
    120_000
  )

  it.live(
    "a name that the resolver is slow to deny costs one process for each of its two probes",
    () =>
      Effect.gen(function*() {
        const { asked, pulses } = yield* checkNames(["late-1"])
        assert.deepStrictEqual(pulses.map(({ reason }) => reason.text), ["the name could not be resolved (ENOTFOUND)"])
        assert.deepStrictEqual(asked, ["late-1.test", "late-1.test", ""])
      }).pipe(Effect.scoped, Effect.provide(NodeServices.layer)),
    90_000
  )

  // @spec system-liveness-loop
  // @ac AC-10
  it.live(
    "[system-liveness-loop/AC-10] while no name can be resolved, it is this machine's matter",
    () =>
      Effect.gen(function*() {
        const { pulses, stderr } = yield* checkNames(["refused-1", "refused-2"])
        assert.deepStrictEqual(pulses, [])
        assert.include(stderr, "this machine could not probe it (EAI_AGAIN)")
      }).pipe(Effect.scoped, Effect.provide(NodeServices.layer)),
    90_000
  )

  // @spec system-liveness-loop
  // @ac AC-10
  it.live(
    "[system-liveness-loop/AC-10] names that are not resolved for want of descriptors are not, though others were",
    () =>
      Effect.gen(function*() {
        const { pulses, stderr } = yield* checkNames(numbered("web", 200), 40)
        assert.deepStrictEqual(pulses.filter(({ reachable }) => !reachable), [])
        assert.isAbove(pulses.length, 0)
        assert.include(stderr, "this machine could not probe it (EMFILE)")
      }).pipe(Effect.scoped, Effect.provide(NodeServices.layer)),
    90_000
  )
})

describe("a machine without descriptors", () => {
  const resolve = (...args: ReadonlyArray<string>) =>
    Effect.gen(function*() {
      const command = [process.execPath, "-C", "@openwatch/source", withoutDescriptors, ...args]
      const { stdout } = yield* Command.run(
        ChildProcess.make("sh", ["-c", "ulimit -n 64; exec \"$@\"", "sh", ...command], { stdin: "ignore" })
      )
      return JSON.parse(stdout)
    }).pipe(Effect.scoped, Effect.provide(NodeServices.layer))

  it.live("resolves no name, which is no matter of the name, even if it never resolved one", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* resolve("web-1.test"), { code: "EMFILE", _tag: "ResolverFault" })
    }))

  it.live("finds a name in a process of its own if it lacked them only while the resolver looked for it", () =>
    Effect.gen(function*() {
      assert.include(yield* resolve("localhost", "released"), "127.0.0.1")
    }))
})

describe("a process that was paused", () => {
  // @spec system-liveness-loop
  // @ac AC-10
  it.live("[system-liveness-loop/AC-10] in the middle of its probes takes them for void", () =>
    Effect.gen(function*() {
      // Greets nobody before the pause: all of them wait when the process stops.
      const waiting = new Set<Net.Socket>()
      let isGreeting = false
      let greeted = 0
      const server = Net.createServer((socket) => {
        socket.on("error", () => {})
        if (isGreeting) {
          socket.on("close", () => void greeted++)
          socket.end("SSH-2.0-test\r\n")
          return
        }
        waiting.add(socket)
        socket.on("close", () => waiting.delete(socket))
      })
      yield* Effect.acquireRelease(
        Effect.callback<void>((resume) => void server.listen(0, "127.0.0.1", () => resume(Effect.void))),
        () => Effect.sync(() => server.close())
      )
      const { port } = server.address() as Net.AddressInfo
      const hosts = Array.from({ length: 23 }, (_, n) => ({ name: `web-${n}`, address: "127.0.0.1", port }))
      const path = yield* OpenWatch.makeFolder(false, hosts)
      const { lines, pid, stop } = yield* OpenWatch.start(path)
      const until = (isSo: () => boolean) =>
        Effect.gen(function*() {
          while (!isSo()) yield* Effect.sleep("20 millis")
        })
      yield* until(() => waiting.size === hosts.length)
      process.kill(pid, "SIGSTOP")
      const before = lines.length
      // Longer than a probe may take.
      yield* Effect.sleep("6500 millis")
      isGreeting = true
      process.kill(pid, "SIGCONT")
      const unreachable = () => lines.slice(before).filter((line) => line.includes("unreachable"))
      // All are probed again.
      yield* until(() => greeted >= hosts.length || unreachable().length > 0)
      yield* stop
      assert.deepStrictEqual(unreachable(), [])
    }).pipe(Effect.scoped, Effect.provide(NodeServices.layer)), 90_000)
})
