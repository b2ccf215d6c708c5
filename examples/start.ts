/**
 * `npm start`: OpenWatch looks at the hosts of `hosts.yaml` once; then it watches them, takes in two real scans by OpenSCAP
 * and a change of its inventory, and tells what changed by alerts. In a terminal it goes on then, for its live page to be
 * looked at, until Ctrl-C; with `--once`, or without a terminal, it ends by itself. `--port` says where its page is.
 *
 * So that some of the hosts answer, this program listens on their port and greets as an SSH server would. All else is the
 * real command, on a copy of the example's files.
 */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as NodeServices from "@effect/platform-node/NodeServices"
import { HttpSettings, Inventory } from "@openwatch/openwatch"
import { Cause, Console, Data, Deferred, Effect, Exit, Fiber, FileSystem, Queue, Runtime, Stream } from "effect"
import { ChildProcess } from "effect/process"
import * as Net from "node:net"
import { fileURLToPath } from "node:url"
import { parseArgs } from "node:util"

const root = fileURLToPath(new URL("..", import.meta.url))
const inventory = "examples/hosts.yaml"
const configuration = "examples/openwatch.yaml"

/** Results of real scans: of a host, and of the same one after three permission faults. */
const results = "packages/openwatch/test/xccdf"

const isOnce = process.argv.includes("--once") || !(process.stdin.isTTY && process.stdout.isTTY)

class ListenError extends Data.TaggedError("ListenError")<{ readonly message: string }> {}

/** Greets everyone on this port of the loopback like an SSH server, until the scope closes. Returns the port. */
const listen = (port: number) =>
  Effect.acquireRelease(
    Effect.callback<Net.Server, ListenError>((resume) => {
      const server = Net.createServer((socket) => {
        socket.on("error", () => {})
        socket.end("SSH-2.0-example\r\n")
      })
      server.on("error", ({ message }) => resume(Effect.fail(new ListenError({ message }))))
      server.listen(port, "127.0.0.1", () => resume(Effect.succeed(server)))
    }),
    (server) => Effect.sync(() => server.close())
  ).pipe(Effect.map((server) => (server.address() as Net.AddressInfo).port))

/** Where the port is taken, one that is free will do as well: nobody has asked for this one. */
const listenNear = (port: number) =>
  listen(port).pipe(
    Effect.catchTag("ListenError", ({ message }) =>
      Effect.tap(listen(0), (free) =>
        Console.log(`(port ${port} is taken (${message}): the example listens on ${free})\n`)))
  )

/** `--port` of this program is that of the page. */
const { values: { port: givenPort } } = parseArgs({ options: { port: { type: "string" }, once: { type: "boolean" } } })

/**
 * Where the page is: at the port that was asked for, or where OpenWatch's always is, unless a program listens there. That may well be
 * an OpenWatch that is really used.
 */
const pagePort = givenPort !== undefined
  ? Effect.succeed(["--port", givenPort])
  : Effect.scoped(listen(HttpSettings.defaultPort)).pipe(
    Effect.as<ReadonlyArray<string>>([]),
    Effect.orElseSucceed(() => ["--port", "0"])
  )

/** The example leaves a database that is really used alone. */
const withoutDatabase = { DATABASE_URL: "" }

/** Runs a command with these arguments to its end; its exit code. */
const openwatch = (...args: ReadonlyArray<string>) =>
  Effect.gen(function*() {
    const command = yield* ChildProcess.make(process.execPath, ["packages/openwatch/bin/openwatch.js", ...args], {
      cwd: root,
      env: withoutDatabase,
      extendEnv: true,
      stdin: "inherit",
      stdout: "inherit",
      stderr: "inherit"
    })
    return yield* command.exitCode
  })

/** Starts `openwatch run`, and prints its output; how to wait for a part of it, and to stop it. */
const watch = Effect.fnUntraced(function*(configuration: string, data: string, flags: ReadonlyArray<string>) {
  const command = yield* ChildProcess.make(
    process.execPath,
    ["packages/openwatch/bin/openwatch.js", "run", configuration, "--data", data, ...flags],
    { cwd: root, env: withoutDatabase, extendEnv: true, stdin: "inherit", stdout: "pipe", stderr: "pipe" }
  )
  const lines = yield* Queue.unbounded<string, Cause.Done>()
  const page = yield* Deferred.make<string, ListenError>()
  const read = (stream: typeof command.stdout, print: (line: string) => Effect.Effect<void>) =>
    stream.pipe(
      Stream.decodeText(),
      Stream.splitLines,
      Stream.runForEach((line) => Effect.andThen(print(line), Queue.offer(lines, line)))
    )
  // Standard error is the log: of it, what tells of scans and of the inventory, and what went wrong.
  const isShown = (line: string) => /Scan |inventory|^error:/.test(line)
  const readLog = (line: string) => {
    const [, url] = /The live page is at (\S+)/.exec(line) ?? []
    return (url === undefined ? Effect.void : Deferred.succeed(page, url)).pipe(
      Effect.andThen(isShown(line) ? Console.log(line.replace(/^\S+ \S+ [A-Z]+ +/, "(log) ")) : Effect.void)
    )
  }
  const notServed = Deferred.fail(page, new ListenError({ message: "openwatch run has not served its live page" }))
  const reading = yield* Effect.all([
    read(command.stdout, (line) => Console.log(line)),
    read(command.stderr, readLog)
  ], { concurrency: "unbounded" }).pipe(
    Effect.ensuring(Queue.end(lines)),
    Effect.ensuring(notServed),
    Effect.forkScoped
  )
  const ended = Effect.andThen(Fiber.join(reading), command.exitCode)
  return {
    /** Where the live page is. */
    page: Deferred.await(page),
    /** Waits for a line with this text; should the command end before, its exit code says so. */
    until: (text: string) =>
      Effect.ignore(Effect.repeat(Queue.take(lines), { until: (line: string) => line.includes(text) })),
    /** Its exit code, once it has ended by itself. */
    ended,
    stop: Effect.gen(function*() {
      if (yield* command.isRunning) process.kill(Number(command.pid), "SIGTERM")
      return yield* ended
    })
  }
})

const program = Effect.gen(function*() {
  const { hosts } = yield* Inventory.load(`${root}${inventory}`)
  const port = hosts.find(({ name }) => name === "this-machine")?.port ?? 22022
  const listening = yield* listenNear(port)
  const fs = yield* FileSystem.FileSystem
  const folder = yield* fs.makeTempDirectoryScoped()
  const text = yield* fs.readFileString(`${root}${inventory}`)
  yield* fs.writeFileString(`${folder}/hosts.yaml`, text.replaceAll(`port: ${port}`, `port: ${listening}`))

  yield* Console.log(`$ openwatch check hosts ${inventory} --once\n`)
  // It ends with 1: nobody-home is there to be unreachable.
  const checked = Number(yield* openwatch("check", "hosts", `${folder}/hosts.yaml`, "--once"))
  const codes = [checked === 1 ? 0 : checked]

  const data = `${folder}/data`
  yield* fs.copyFile(`${root}${configuration}`, `${folder}/openwatch.yaml`)
  yield* fs.makeDirectory(`${folder}/scans`)

  yield* Console.log(`\n$ openwatch run ${configuration}    # nobody-home does not answer: an alert\n`)
  const { ended, page, stop, until } = yield* watch(`${folder}/openwatch.yaml`, data, yield* pagePort)
  yield* until(") is unreachable")

  yield* Console.log(
    `\n$ cp ${results}/base.xml examples/scans/    # the first scan of web-01.example.org: its baseline\n`
  )
  yield* fs.copyFile(`${root}${results}/base.xml`, `${folder}/scans/base.xml`)
  yield* until("the first scan")

  yield* Console.log(`\n$ openwatch scan import ${results}/drifted.xml    # three rules fail now: an alert\n`)
  codes.push(
    yield* openwatch("scan", "import", "--config", `${folder}/openwatch.yaml`, "--data", data, `${results}/drifted.xml`)
  )
  yield* until("drifted")

  yield* Console.log(`\n$ sed -i s/22023/22022/ ${inventory}    # nobody-home moves to where somebody answers\n`)
  const moved = (yield* fs.readFileString(`${folder}/hosts.yaml`)).replace("22023", String(listening))
  yield* fs.writeFileString(`${folder}/hosts.yaml`, moved)
  yield* until(") is reachable again")

  const list = Effect.andThen(
    Console.log(`\n$ openwatch alerts list\n`),
    openwatch("alerts", "list", "--data", data)
  )
  if (isOnce) {
    yield* Console.log(`\n^C\n`)
    codes.push(yield* stop, yield* list)
    yield* Console.log(`\nIts live page was at ${yield* page}: in a terminal, and without --once, it stays up.`)
  } else {
    codes.push(yield* list)
    process.exitCode = Math.max(...codes.map(Number))
    yield* Console.log(`\nThe live page is at ${yield* page} until you press Ctrl-C.\n`)
    codes.push(yield* Effect.onInterrupt(ended, () => stop))
  }
  process.exitCode = Math.max(...codes.map(Number))
})

/** Ctrl-C is how it ends where it goes on. */
const teardown: Runtime.Teardown = (exit, onExit) =>
  Exit.isFailure(exit) && Cause.hasInterruptsOnly(exit.cause) && process.exitCode !== undefined
    ? onExit(Number(process.exitCode))
    : Runtime.defaultTeardown(exit, onExit)

program.pipe(
  Effect.catchTag(["ListenError", "InventoryError"], ({ message }) =>
    Effect.andThen(
      Console.error(`error: ${message}`),
      Effect.sync(() => {
        process.exitCode = 1
      })
    )),
  Effect.scoped,
  Effect.provide(NodeServices.layer),
  NodeRuntime.runMain({ teardown })
)
