/**
 * `npm start`: OpenWatch looks at the hosts of `hosts.yaml` once.
 *
 * So that one of them answers, this program listens on its port and greets as an SSH server would. All else is the real
 * command.
 */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as NodeServices from "@effect/platform-node/NodeServices"
import { Inventory } from "@openwatch/openwatch"
import { Console, Data, Effect } from "effect"
import { ChildProcess } from "effect/process"
import * as Net from "node:net"
import { fileURLToPath } from "node:url"

const root = fileURLToPath(new URL("..", import.meta.url))
const inventory = "examples/hosts.yaml"

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

const program = Effect.gen(function*() {
  const { hosts } = yield* Inventory.load(`${root}${inventory}`)
  for (const host of hosts) {
    if (host.name === "this-machine") yield* listen(host.port)
  }

  yield* Console.log(`$ openwatch check hosts ${inventory} --once\n`)
  const command = yield* ChildProcess.make(
    process.execPath,
    ["packages/openwatch/bin/openwatch.js", "check", "hosts", inventory, "--once"],
    { cwd: root, stdin: "inherit", stdout: "inherit", stderr: "inherit" }
  )
  process.exitCode = yield* command.exitCode
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
