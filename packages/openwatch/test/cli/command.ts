/**
 * Commands as processes of their own.
 */
import { Effect, Stream } from "effect"
import { ChildProcess } from "effect/process"
import { fileURLToPath } from "node:url"

/** The command line, as it is installed. */
export const bin = fileURLToPath(new URL("../../bin/openwatch.js", import.meta.url))

/** What every process gets of this one's environment. Most of what a short one takes is spent compiling. */
export const environment = {
  PATH: process.env["PATH"],
  NODE_COMPILE_CACHE: process.env["NODE_COMPILE_CACHE"],
  TZ: "UTC"
}

/** Runs a command to its end. */
export const run = (command: ChildProcess.Command) =>
  Effect.gen(function*() {
    const handle = yield* command
    const text = (stream: Stream.Stream<Uint8Array, unknown>) =>
      stream.pipe(Stream.decodeText(), Stream.mkString, Effect.orDie)
    const [stdout, stderr, exitCode] = yield* Effect.all([text(handle.stdout), text(handle.stderr), handle.exitCode], {
      concurrency: "unbounded"
    })
    return { stdout, stderr, exitCode: Number(exitCode) }
  }).pipe(Effect.scoped)

/** `openwatch` with these words, and nothing of this process's environment but that. */
export const openwatch = (words: ReadonlyArray<string>, options: {
  readonly cwd?: string
  readonly env?: Readonly<Record<string, string>>
} = {}) =>
  ChildProcess.make(process.execPath, [bin, ...words], {
    ...options,
    env: { ...environment, ...options.env },
    extendEnv: false,
    stdin: "ignore"
  })
