/**
 * `openwatch run` as a real process, in a folder of its own.
 */
import { Deferred, Effect, Fiber, FileSystem, Queue, Stream } from "effect"
import { ChildProcess } from "effect/process"
import * as Net from "node:net"
import { fileURLToPath } from "node:url"
import { environment } from "../cli/command.ts"

const bin = fileURLToPath(new URL("../../bin/openwatch.js", import.meta.url))

/** A host of the inventory. */
export interface Entry {
  readonly name: string
  readonly address: string
  readonly port: number
}

/** Writes the inventory. */
export const writeHosts = (folder: string, hosts: ReadonlyArray<Entry>) =>
  Effect.flatMap(FileSystem.FileSystem, (fs) => fs.writeFileString(`${folder}/hosts.yaml`, JSON.stringify({ hosts })))

/** A folder with a configuration that has this `http` entry and watches the folder `scans`; nothing is stored yet. */
export const makeFolder = Effect.fnUntraced(function*(http: object | false, hosts: ReadonlyArray<Entry>) {
  const fs = yield* FileSystem.FileSystem
  const folder = yield* fs.makeTempDirectoryScoped()
  yield* fs.makeDirectory(`${folder}/scans`)
  yield* writeHosts(folder, hosts)
  yield* fs.writeFileString(
    `${folder}/openwatch.yaml`,
    JSON.stringify({
      inventory: "hosts.yaml",
      scans: "scans",
      liveness: { failure_threshold: 1 },
      http,
      channels: [{ type: "console", group_wait: 0 }]
    })
  )
  return folder
})

const linesOf = (stream: Stream.Stream<Uint8Array, unknown>) =>
  stream.pipe(Stream.decodeText(), Stream.splitLines, Stream.orDie)

/** Starts it; it is killed with the scope if it has not ended by then. */
export const start = Effect.fnUntraced(function*(folder: string, variables: Record<string, string> = {}) {
  const handle = yield* ChildProcess.make(
    process.execPath,
    [bin, "run", `${folder}/openwatch.yaml`, "--data", `${folder}/data`],
    { env: { ...environment, ...variables }, extendEnv: false, stdin: "ignore" }
  )
  const url = yield* Deferred.make<string>()
  const lines: Array<string> = []
  const stdout = yield* linesOf(handle.stdout).pipe(
    Stream.runForEach((line) => Effect.sync(() => lines.push(line))),
    Effect.forkScoped
  )
  const stderr = yield* linesOf(handle.stderr).pipe(
    Stream.tap((line) => {
      const [, found] = /The live page is at (\S+)/.exec(line) ?? []
      return found === undefined ? Effect.void : Deferred.succeed(url, found)
    }),
    Stream.runCollect,
    Effect.tap((lines) => Deferred.die(url, new Error(`openwatch run has ended:\n${lines.join("\n")}`))),
    Effect.forkScoped
  )
  const ended = Effect.map(Effect.all([handle.exitCode, Fiber.join(stdout)]), ([code]) => Number(code))
  return {
    pid: Number(handle.pid),
    /** What it has printed so far. */
    lines,
    /** Where the page is, once it is served. */
    url: Deferred.await(url),
    /** The log, once it has ended. */
    stderr: Fiber.join(stderr),
    /** The exit status, once it has ended. */
    ended,
    /** Asks it to stop; the exit status. */
    stop: Effect.andThen(Effect.sync(() => process.kill(Number(handle.pid), "SIGTERM")), ended)
  }
})

/** Greets everyone on a port of the loopback like an SSH server, until it is closed: by hand, or with the scope. */
export const sshServer = Effect.gen(function*() {
  const closed = yield* Queue.unbounded<void>()
  const server = Net.createServer((socket) => {
    socket.on("error", () => {})
    socket.end("SSH-2.0-test\r\n")
  })
  server.on("close", () => Queue.offerUnsafe(closed, undefined))
  yield* Effect.acquireRelease(
    Effect.callback<void>((resume) => void server.listen(0, "127.0.0.1", () => resume(Effect.void))),
    () => Effect.sync(() => server.close())
  )
  return {
    port: (server.address() as Net.AddressInfo).port,
    close: Effect.andThen(Effect.sync(() => server.close()), Queue.take(closed))
  }
})
