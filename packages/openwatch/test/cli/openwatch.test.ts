import { NodeServices } from "@effect/platform-node"
import { assert, describe, it } from "@effect/vitest"
import { hostIdFromName, SystemEventBus } from "@openwatch/openwatch"
import { Deferred, Effect, Fiber, FileSystem, Queue, Schema, type Scope, Stream } from "effect"
import { ChildProcess } from "effect/process"
import { existsSync } from "node:fs"
import * as Net from "node:net"
import { constants } from "node:os"
import { fileURLToPath } from "node:url"
import * as Command from "./command.ts"

/** The command with nothing of this process's environment: no `NODE_OPTIONS`, no color that is forced. */
const openwatch = (...args: ReadonlyArray<string>) => Command.openwatch(args, { env: { TZ: "Pacific/Kiritimati" } })

const text = (stream: Stream.Stream<Uint8Array, unknown>) =>
  stream.pipe(Stream.decodeText(), Stream.mkString, Effect.orDie)

/** Runs the command to its end. */
const run = (...args: ReadonlyArray<string>) => Command.run(openwatch(...args))

const linesOf = (output: string) => output.split("\n").slice(0, -1)

/** A TCP server that says this to each who connects. */
const listen = (greeting: string) =>
  Effect.gen(function*() {
    const opened = yield* Queue.unbounded<void>()
    const closed = yield* Queue.unbounded<void>()
    let connections = 0
    const server = Net.createServer((socket) => {
      connections++
      Queue.offerUnsafe(opened, undefined)
      socket.on("error", () => {})
      socket.on("close", () => Queue.offerUnsafe(closed, undefined))
      socket.resume()
      socket.write(greeting)
    })
    yield* Effect.acquireRelease(
      Effect.callback<void>((resume) => {
        server.listen(0, "127.0.0.1", () => resume(Effect.void))
      }),
      () => Effect.sync(() => server.close())
    )
    return {
      port: (server.address() as Net.AddressInfo).port,
      /** How many there were. */
      connections: () => connections,
      /** Waits for the next one to open. */
      opened: Queue.take(opened),
      /** Waits until so many are closed. */
      closed: (count: number) => Queue.takeN(closed, count)
    }
  })

const ssh = listen("SSH-2.0-test\r\n")

/** A port where nothing listens. */
const deadPort = Effect.map(Effect.scoped(ssh), ({ port }) => port)

/** A file with this text, in a folder of its own. */
const inventory = (contents: string) =>
  Effect.gen(function*() {
    const fs = yield* FileSystem.FileSystem
    const file = yield* fs.makeTempFileScoped({ suffix: ".yaml" })
    yield* fs.writeFileString(file, contents)
    return file
  })

const entry = (name: string, port: number) => `  - { name: ${name}, address: 127.0.0.1, port: ${port} }\n`

const twoHosts = Effect.gen(function*() {
  const server = yield* ssh
  const dead = yield* deadPort
  const file = yield* inventory(`hosts:\n${entry("up", server.port)}${entry("down", dead)}`)
  return { server, dead, file }
})

/** Long names make long lines: more than a pipe and its reader take in unread. */
const manyHosts = (port: number) =>
  inventory(`hosts:\n${Array.from({ length: 400 }, (_, n) => entry(`host-${n}-${"x".repeat(2_000)}`, port)).join("")}`)

const hasTerminal = (process.env["CI"] ?? "") !== "" || existsSync("/usr/bin/script")
if (!hasTerminal) {
  console.log("skipped: progress on a terminal needs /usr/bin/script (Debian: apt-get install bsdutils)")
}

type Test<A, E> = Effect.Effect<A, E, NodeServices.NodeServices | Scope.Scope>

const live = Object.assign(
  <A, E>(name: string, test: Test<A, E>) => it.live(name, () => Effect.provide(test, NodeServices.layer), 60_000),
  {
    skipIf: (condition: boolean) => <A, E>(name: string, test: Test<A, E>) =>
      it.live.skipIf(condition)(name, () => Effect.provide(test, NodeServices.layer), 60_000)
  }
)

describe("check hosts --once", () => {
  live(
    "says of each host whether it is reachable, then the counters",
    Effect.gen(function*() {
      const { dead, file, server } = yield* twoHosts
      const { exitCode, stderr, stdout } = yield* run("check", "hosts", file, "--once")
      const [first, second, ...others] = linesOf(stdout)
      assert.match(
        first ?? "",
        new RegExp(
          String
            .raw`^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d  up \(127\.0\.0\.1:${server.port}\) is reachable, answered in [\d.]+ ms$`
        )
      )
      assert.match(
        second ?? "",
        new RegExp(String.raw`  down \(127\.0\.0\.1:${dead}\) is not reachable: connection refused$`)
      )
      assert.deepStrictEqual(others, [
        "2 events published (HeartbeatPulse 2, DriftDetected 0), 2 delivered, 0 dropped, 0 without a subscriber"
      ])
      assert.include(stderr, `down (127.0.0.1:${dead}) did not answer: connection refused`)
      assert.match(stderr, /^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3}\+14:00 INFO  down /)
      assert.match(stderr, /\nerror: 1 of 2 hosts not reachable\n$/)
      assert.notInclude(stdout + stderr, "\u001b")
      assert.strictEqual(exitCode, 1)
      assert.strictEqual(server.connections(), 1)
    })
  )

  live(
    "shows local time",
    Effect.gen(function*() {
      const { file } = yield* twoHosts
      const start = Math.floor(Date.now() / 1_000) * 1_000
      const { stdout } = yield* run("check", "hosts", file, "--once")
      const shown = Date.parse(`${stdout.slice(0, 19).replace(" ", "T")}+14:00`)
      assert.isAtLeast(shown, start)
      assert.isAtMost(shown, Date.now())
    })
  )

  live.skipIf(!hasTerminal)(
    "shows on a terminal how far it is, where its output goes elsewhere",
    Effect.gen(function*() {
      const { file } = yield* twoHosts
      const shown = (words: string) =>
        Effect.flatMap(
          ChildProcess.make(
            "/usr/bin/script",
            ["-qec", `'${process.execPath}' '${Command.bin}' ${words}`, "/dev/null"],
            {
              stdin: "ignore"
            }
          ),
          ({ stdout }) => text(stdout)
        )
      const output = yield* shown(`check hosts '${file}' --once --log-level error >/dev/null`)
      const anew = "\r\u001b[K"
      assert.include(output, `${anew}1 of 2 hosts checked`)
      assert.isTrue(output.endsWith(`${anew}error: 1 of 2 hosts not reachable\r\n`), output)
      const result = fileURLToPath(new URL("../xccdf/base.xml", import.meta.url))
      const data = `${file}.data`
      const scans = yield* shown(`scan import '${result}' '${file}' --data '${data}' >/dev/null`)
      assert.include(scans, `${anew}0 of 2 files read`)
      assert.include(scans, `${anew}error: `)
      assert.include(scans, "1 of 2 files could not be taken in")
    })
  )

  live(
    "--json prints one object a line: the events, then the counters",
    Effect.gen(function*() {
      const { file } = yield* twoHosts
      const { exitCode, stdout } = yield* run("check", "hosts", file, "--once", "--json")
      const lines = linesOf(stdout)
      const decode = Schema.decodeUnknownEffect(Schema.fromJsonString(SystemEventBus.EventJson))
      const events = yield* Effect.forEach(lines.slice(0, -1), (line) => decode(line))
      assert.deepStrictEqual(
        events.map((event) => event._tag === "HeartbeatPulse" && [event.hostId, event.reachable, event.priorReachable]),
        [[hostIdFromName("up"), true, null], [hostIdFromName("down"), false, null]]
      )
      assert.deepStrictEqual(JSON.parse(lines.at(-1)!), {
        _tag: "Counters",
        version: 1,
        publishedCount: 2,
        deliveredCount: 2,
        droppedCount: 0,
        noSubscribersCount: 0,
        publishedByKind: { HeartbeatPulse: 2, DriftDetected: 0 }
      })
      assert.strictEqual(exitCode, 1)
    })
  )

  live(
    "loses no line where a reader is slow",
    Effect.gen(function*() {
      const server = yield* ssh
      const handle = yield* openwatch("check", "hosts", yield* manyHosts(server.port), "--once")
      // It has far more to say than a pipe holds, and has probed the last host before anyone reads.
      yield* server.closed(400)
      const lines = linesOf(yield* text(handle.stdout))
      assert.strictEqual(lines.length, 401)
      assert.match(lines.at(-1)!, /^400 events published /)
      assert.strictEqual(Number(yield* handle.exitCode), 0)
    })
  )
})

describe("check hosts with an inventory that is wrong says so, probes nothing, and exits with 1", () => {
  const refused = (file: string, message: string) =>
    Effect.gen(function*() {
      const { exitCode, stderr, stdout } = yield* run("check", "hosts", file, "--once")
      assert.strictEqual(stderr, `error: inventory ${file}${message}\n`)
      assert.strictEqual(stdout, "")
      assert.strictEqual(exitCode, 1)
    })

  live("no such file", refused("no/such/hosts.yaml", ": no such file"))

  live(
    "an empty file",
    Effect.gen(function*() {
      yield* refused(yield* inventory(""), ": the file is empty: expected a mapping with the key `hosts`")
    })
  )

  const withGoodHost = (more: string, message: string) =>
    Effect.gen(function*() {
      const server = yield* ssh
      yield* refused(yield* inventory(`hosts:\n${entry("good", server.port)}${more}`), message)
      assert.strictEqual(server.connections(), 0)
    })

  live("a port of 70000", withGoodHost(entry("web", 70_000), ": hosts[1].port: Expected a port, 1 to 65535, got 70000"))

  live(
    "two hosts with one name",
    withGoodHost(entry("good", 22), ": hosts[1].name: \"good\" is already the name of hosts[0]")
  )

  live(
    "YAML that cannot be read",
    withGoodHost("\t- name: a\n", ": not readable as YAML: Tabs cannot be used for YAML indentation at line 3")
  )

  live(
    "several things at once",
    withGoodHost(
      "  - { name: web, adress: 10.0.0.1 }\n",
      " has 2 errors:\n  hosts[1].adress: Unknown key: a host has `name`, `address`, `port`, `id` and `tags`\n  hosts[1].address: Missing"
    )
  )
})

describe("a command line that is wrong exits with 2 and says how it would be right", () => {
  const misused = (args: ReadonlyArray<string>, message: string, usage: string) =>
    live(
      `openwatch ${args.join(" ")}`,
      Effect.gen(function*() {
        const { exitCode, stderr, stdout } = yield* run(...args)
        assert.strictEqual(stdout, "")
        const lines = linesOf(stderr)
        assert.strictEqual(lines[0], `error: ${message}`)
        assert.strictEqual(lines.at(-2), `usage: ${usage}`)
        assert.match(lines.at(-1) ?? "", /^More: openwatch.* --help$/)
        assert.strictEqual(exitCode, 2)
      })
    )

  const usage = "openwatch check hosts [flags] <INVENTORY.yaml>"

  misused(["check", "hosts"], "Missing required argument: INVENTORY.yaml", usage)
  misused(
    ["check", "hosts", "a.yaml", "--interval", "soon"],
    "Invalid value for flag --interval: \"soon\". Expected: a time span from 60s to 3600s, like 5m",
    usage
  )
  misused(
    ["check", "hosts", "a.yaml", "--interval", "5s"],
    "Invalid value for flag --interval: \"5s\". Expected: a time span from 60s to 3600s, like 5m",
    usage
  )
  misused(
    ["check", "hots"],
    "Unknown subcommand \"hots\" for \"openwatch check\"",
    "openwatch check <subcommand> [flags]"
  )
  misused(["check", "hosts", "a.yaml", "--twice"], "Unrecognized flag: --twice in command openwatch check hosts", usage)
})

describe("help", () => {
  live(
    "shows every flag of check hosts",
    Effect.gen(function*() {
      const { exitCode, stderr, stdout } = yield* run("check", "hosts", "--help")
      for (const word of ["openwatch check hosts [flags] <INVENTORY.yaml>", "--once", "--interval TIME", "--json"]) {
        assert.include(stdout, word)
      }
      assert.strictEqual(stderr, "")
      assert.strictEqual(exitCode, 0)
    })
  )

  live(
    "leads from openwatch to check to hosts",
    Effect.gen(function*() {
      assert.include((yield* run("--help")).stdout, "check ")
      assert.include((yield* run("check", "--help")).stdout, "hosts ")
    })
  )
})

describe("check hosts without --once", () => {
  /** Starts the command; its output is read along. */
  const start = (file: string, ...flags: ReadonlyArray<string>) =>
    Effect.gen(function*() {
      const handle = yield* openwatch("check", "hosts", file, ...flags)
      const firstLine = yield* Deferred.make<void>()
      const output = yield* handle.stdout.pipe(
        Stream.decodeText(),
        Stream.splitLines,
        Stream.tap(() => Deferred.succeed(firstLine, undefined)),
        Stream.runCollect,
        Effect.forkScoped
      )
      return { handle, firstLine: Deferred.await(firstLine), lines: Fiber.join(output) }
    })

  for (const [signal, status] of [["SIGTERM", 0], ["SIGINT", 0], ["SIGHUP", 129]] as const) {
    live(
      `goes on until ${signal}, then prints the counters and exits with ${status}`,
      Effect.gen(function*() {
        const { file } = yield* twoHosts
        const { firstLine, handle, lines } = yield* start(file)
        yield* firstLine
        assert.isTrue(yield* handle.isRunning)
        process.kill(handle.pid, signal)
        assert.strictEqual(Number(yield* handle.exitCode), status)
        const [event, ...counters] = yield* lines
        assert.match(event ?? "", / up .* is reachable/)
        assert.deepStrictEqual(counters, [
          "1 event published (HeartbeatPulse 1, DriftDetected 0), 1 delivered, 0 dropped, 0 without a subscriber"
        ])
      })
    )
  }

  live(
    "a signal in the middle of a probe closes its connection",
    Effect.gen(function*() {
      const server = yield* listen("")
      const { handle, lines } = yield* start(yield* inventory(`hosts:\n${entry("silent", server.port)}`))
      yield* server.opened
      process.kill(handle.pid, "SIGTERM")
      yield* server.closed(1)
      assert.strictEqual(Number(yield* handle.exitCode), 0)
      assert.strictEqual((yield* lines).length, 1)
    })
  )

  live(
    "a second signal ends it at once, though the first has not",
    Effect.gen(function*() {
      const server = yield* ssh
      const handle = yield* openwatch("check", "hosts", yield* manyHosts(server.port), "--once")
      // Nobody reads: what is left to print keeps the process from ending, also by the first signal.
      yield* server.closed(400)
      process.kill(handle.pid, "SIGINT")
      process.kill(handle.pid, "SIGTERM")
      // Both are pending at once, and the system delivers them in either order.
      assert.include([128 + constants.signals.SIGINT, 128 + constants.signals.SIGTERM], yield* handle.exitCode)
    })
  )

  live(
    "ends when nobody reads its output any more",
    Effect.gen(function*() {
      const { port } = yield* ssh
      const file = yield* manyHosts(port)
      const pipeline = ChildProcess.make(
        "bash",
        ["-c", "set -o pipefail; \"$0\" \"$1\" check hosts \"$2\" | head -n 1", process.execPath, Command.bin, file],
        { stdin: "ignore" }
      )
      const handle = yield* pipeline
      assert.strictEqual(linesOf(yield* text(handle.stdout)).length, 1)
      assert.strictEqual(Number(yield* handle.exitCode), 0)
    })
  )
})
