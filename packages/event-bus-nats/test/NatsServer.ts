/**
 * A real nats-server on a free port of the loopback, with JetStream in a folder that is removed afterwards.
 */
import { Effect, type Scope } from "effect"
import { type ChildProcess, spawn, spawnSync } from "node:child_process"
import { once } from "node:events"
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { type AddressInfo, connect, createServer, type Socket } from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { freePort } from "../../../test/servers/freePort.ts"

/** With `CI` set the tests run, and fail, where it is not. */
export const isInstalled: boolean = (process.env["CI"] ?? "") !== "" ||
  spawnSync("nats-server", ["--version"]).status === 0

if (!isInstalled) console.warn("Skipped: there is no nats-server here (apt-get install nats-server)")

export interface NatsServer {
  readonly url: string
  readonly port: number
  /** Starts it again, with the same port and the same folder; with another configuration, if one is given. */
  readonly start: (config?: string) => Effect.Effect<void>
  /** SIGKILL: nothing is flushed, no connection is closed in order. */
  readonly kill: Effect.Effect<void>
  /** SIGSTOP and SIGCONT: connections stay, nothing is answered. */
  readonly freeze: Effect.Effect<void>
  readonly thaw: Effect.Effect<void>
}

/** Not started when `isStarted` is false. `config` is a configuration file's text. */
export const make = (
  options: { readonly config?: string; readonly isStarted?: boolean } = {}
): Effect.Effect<NatsServer, never, Scope.Scope> =>
  Effect.gen(function*() {
    const folder = yield* Effect.acquireRelease(
      Effect.sync(() => mkdtempSync(join(tmpdir(), "nats-server-"))),
      (folder) => Effect.sync(() => rmSync(folder, { recursive: true, force: true }))
    )
    const port = yield* Effect.promise(freePort)
    let running: ChildProcess | undefined = undefined

    const start = (config: string = options.config ?? "") =>
      Effect.promise(async () => {
        const file = join(folder, "nats.conf")
        writeFileSync(
          file,
          `listen: "127.0.0.1:${port}"\njetstream { store_dir: ${JSON.stringify(folder)} }\n${config}\n`
        )
        const child = spawn("nats-server", ["-c", file], { stdio: ["ignore", "ignore", "pipe"] })
        running = child
        let log = ""
        await new Promise<void>((resolve, reject) => {
          child.stderr.on("data", (chunk) => {
            log += chunk
            if (log.includes("Server is ready")) resolve()
          })
          child.once("error", (error) => {
            running = undefined
            reject(error)
          })
          child.once("exit", (code) => reject(new Error(`nats-server ended with ${code}: ${log}`)))
        })
      })

    const kill = Effect.promise(async () => {
      const child = running
      running = undefined
      if (child === undefined || child.exitCode !== null || child.signalCode !== null) return
      const exited = once(child, "exit")
      child.kill("SIGKILL")
      await exited
    })

    yield* Effect.addFinalizer(() => kill)
    if (options.isStarted !== false) yield* start()
    return {
      url: `nats://127.0.0.1:${port}`,
      port,
      start,
      kill,
      freeze: Effect.sync(() => {
        const child = running
        if (child === undefined) return
        child.kill("SIGSTOP")
        // The signal is delivered when the kernel gets to it: "T" is stopped.
        while (!/\) T /.test(readFileSync(`/proc/${child.pid}/stat`, "utf8"))) continue
      }),
      thaw: Effect.sync(() => running?.kill("SIGCONT"))
    }
  })

export interface Proxy {
  readonly url: string
  /** Ends all connections in the middle, as a broken cable or a restarted firewall does. */
  readonly cut: Effect.Effect<void>
  /** Passes nothing on any more, in neither direction, and ends nothing. */
  readonly hold: Effect.Effect<void>
  /** Holds the answers back from the nth request on that has this in it. Completes then, with what lets them go on. */
  readonly holdAt: (text: string, nth: number) => Effect.Effect<Effect.Effect<void>>
}

/** A TCP proxy in front of a server. */
export const proxy = (server: NatsServer): Effect.Effect<Proxy, never, Scope.Scope> =>
  Effect.gen(function*() {
    const sockets = new Set<ReturnType<typeof connect>>()
    let onRequest: (request: string, client: Socket, upstream: Socket) => void = () => {}
    const listener = yield* Effect.acquireRelease(
      Effect.promise(async () => {
        const listener = createServer((client) => {
          const upstream = connect(server.port, "127.0.0.1")
          for (const socket of [client, upstream]) {
            sockets.add(socket)
            socket.on("error", () => {})
            socket.on("close", () => {
              sockets.delete(socket)
              client.destroy()
              upstream.destroy()
            })
          }
          client.on("data", (chunk) => onRequest(chunk.toString("latin1"), client, upstream))
          client.pipe(upstream)
          upstream.pipe(client)
        }).listen(0, "127.0.0.1")
        await once(listener, "listening")
        return listener
      }),
      (listener) =>
        Effect.promise(async () => {
          for (const socket of sockets) socket.destroy()
          listener.close()
          await once(listener, "close")
        })
    )
    return {
      url: `nats://127.0.0.1:${(listener.address() as AddressInfo).port}`,
      cut: Effect.sync(() => {
        for (const socket of sockets) socket.resetAndDestroy()
      }),
      hold: Effect.sync(() => {
        for (const socket of sockets) socket.unpipe().pause()
      }),
      holdAt: (text, nth) =>
        Effect.callback((resume) => {
          let count = 0
          onRequest = (request, client, upstream) => {
            count += request.split(text).length - 1
            if (count < nth) return
            onRequest = () => {}
            upstream.unpipe(client).pause()
            resume(Effect.succeed(Effect.sync(() => void upstream.pipe(client))))
          }
        })
    }
  })
