/**
 * `npm start`: OpenWatch looks at the hosts of `hosts.yaml` once; then it watches them, three times, and tells what changed
 * by alerts.
 *
 * So that one of them answers, this program listens on its port and greets as an SSH server would. All else is the real
 * command.
 */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as NodeServices from "@effect/platform-node/NodeServices"
import { Inventory } from "@openwatch/openwatch"
import { Console, Data, Deferred, Effect, Fiber, FileSystem, Stream } from "effect"
import { ChildProcess } from "effect/process"
import * as Net from "node:net"
import { fileURLToPath } from "node:url"

const root = fileURLToPath(new URL("..", import.meta.url))
const inventory = "examples/hosts.yaml"
const configuration = "examples/openwatch.yaml"

class ListenError extends Data.TaggedError("ListenError")<{ readonly message: string }> {}

/** Greets everyone on this port of the loopback like an SSH server, until the scope closes. */
const listen = (port: number) =>
  Effect.acquireRelease(
    Effect.callback<Net.Server, ListenError>((resume) => {
      const server = Net.createServer((socket) => {
        socket.on("error", () => {})
        socket.end("SSH-2.0-example\r\n")
      })
      server.on("error", (error: NodeJS.ErrnoException) => {
        const why = error.code === "EADDRINUSE" ? "another program listens there" : error.message
        const message = `the example cannot listen on port ${port} (${why}); give this-machine another in ${inventory}`
        resume(Effect.fail(new ListenError({ message })))
      })
      server.listen(port, "127.0.0.1", () => resume(Effect.succeed(server)))
    }),
    (server) => Effect.sync(() => server.close())
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

/** Runs `openwatch run` until it has printed so many alerts, or for three seconds if it is to print none. */
const watch = (data: string, alerts: number) =>
  Effect.gen(function*() {
    const command = yield* ChildProcess.make(
      process.execPath,
      ["packages/openwatch/bin/openwatch.js", "run", configuration, "--data", data],
      { cwd: root, env: withoutDatabase, extendEnv: true, stdin: "inherit", stdout: "pipe", stderr: "pipe" }
    )
    const isWatching = yield* Deferred.make<void>()
    const isDone = yield* Deferred.make<void>()
    yield* command.stderr.pipe(
      Stream.decodeText(),
      Stream.splitLines,
      Stream.runForEach((line) => line.includes("Watching") ? Deferred.succeed(isWatching, undefined) : Effect.void),
      Effect.forkScoped
    )
    let printed = 0
    const printing = yield* command.stdout.pipe(
      Stream.decodeText(),
      Stream.splitLines,
      Stream.runForEach((line) =>
        Effect.andThen(Console.log(line), ++printed === alerts ? Deferred.succeed(isDone, undefined) : Effect.void)
      ),
      Effect.forkScoped
    )
    const stop = Effect.gen(function*() {
      yield* Deferred.await(isWatching)
      yield* alerts === 0 ? Effect.sleep("3 seconds") : Deferred.await(isDone)
      process.kill(Number(command.pid), "SIGTERM")
    })
    // Should it end before, its exit code says so.
    yield* Effect.raceFirst(stop, command.exitCode)
    yield* Fiber.join(printing)
    return yield* command.exitCode
  }).pipe(Effect.scoped)

const program = Effect.gen(function*() {
  const { hosts } = yield* Inventory.load(`${root}${inventory}`)
  const thisMachine = hosts.find(({ name }) => name === "this-machine")
  const listening = thisMachine === undefined ? Effect.void : listen(thisMachine.port)

  const check = Effect.gen(function*() {
    yield* listening
    yield* Console.log(`$ openwatch check hosts ${inventory} --once\n`)
    return yield* openwatch("check", "hosts", inventory, "--once")
  })
  const codes = [yield* Effect.scoped(check)]

  const fs = yield* FileSystem.FileSystem
  const data = yield* fs.makeTempDirectoryScoped()
  yield* Console.log(`\n$ openwatch run ${configuration}    # nobody listens: an alert for each host\n`)
  codes.push(yield* watch(data, hosts.length))
  yield* Console.log(`\n$ openwatch run ${configuration}    # still nobody: that is no news\n`)
  codes.push(yield* watch(data, 0))
  yield* Console.log(`\n$ openwatch run ${configuration}    # this-machine listens again: its alert is over\n`)
  codes.push(yield* Effect.scoped(Effect.andThen(listening, watch(data, thisMachine === undefined ? 0 : 1))))
  yield* Console.log(`\n$ openwatch alerts list\n`)
  codes.push(yield* openwatch("alerts", "list", "--data", data))
  process.exitCode = Math.max(...codes.map(Number))
})

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
  NodeRuntime.runMain
)
