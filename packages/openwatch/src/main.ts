/**
 * The process: runs the command line, and turns its end and the signals that it gets into an exit status.
 *
 * The status is 0 if what was asked for worked, also after a graceful stop by SIGINT or SIGTERM. It is 1 if it did not
 * work, and 2 if the command line is wrong. A second signal ends the process at once, with the shell's status for that
 * signal.
 *
 * SIGHUP is a graceful stop with the shell's status. Nobody may have meant it: a terminal was closed, or somebody took it
 * for a request to read the configuration again. So a service manager has to see that the process is to be started again.
 */
import * as NodeServices from "@effect/platform-node/NodeServices"
// Not from "effect", which is all of it: this, and what it imports, is loaded for `--help`.
import * as Cause from "effect/Cause"
import * as CliError from "effect/cli/CliError"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Runtime from "effect/Runtime"
import { createRequire } from "node:module"
import { constants } from "node:os"
import * as Logging from "./cli/Logging.ts"
import { run } from "./cli/openwatch.ts"

const { version } = createRequire(import.meta.url)("../package.json") as { readonly version: string }

const teardown: Runtime.Teardown = (exit, onExit) => {
  if (Exit.isSuccess(exit) || Cause.hasInterruptsOnly(exit.cause)) return onExit(0)
  const error = Cause.squash(exit.cause)
  onExit(error instanceof CliError.ShowHelp && error.errors.length > 0 ? 2 : Runtime.getErrorExitCode(error))
}

const runMain = Runtime.makeRunMain(({ fiber, teardown }) => {
  const stop = () => fiber.interruptUnsafe(fiber.id)

  const statusOf = (signal: NodeJS.Signals): number => 128 + constants.signals[signal]
  let stoppedBy: NodeJS.Signals | undefined
  const onSignal = (signal: NodeJS.Signals) => {
    if (stoppedBy !== undefined) process.exit(statusOf(signal))
    stoppedBy = signal
    stop()
  }
  process.on("SIGINT", onSignal)
  process.on("SIGTERM", onSignal)
  process.on("SIGHUP", onSignal)

  // Whoever was reading (`| head`) has gone: nobody is left to tell.
  process.stdout.on("error", ({ code }: NodeJS.ErrnoException) => {
    if (code === "EPIPE") stop()
  })
  // What cannot be logged, for example while the disk is full, is no reason to stop.
  process.stderr.on("error", () => {})

  fiber.addObserver((exit) =>
    teardown(exit, (code) => {
      const status = stoppedBy === "SIGHUP" ? statusOf(stoppedBy) : code
      // A pipe takes in only so much at a time, and `process.exit` would lose the rest.
      process.stdout.write("", () => process.stderr.write("", () => process.exit(status)))
    })
  )
})

run(version).pipe(
  Effect.tapCause((cause) => {
    const isReported = Cause.hasInterruptsOnly(cause) || !Runtime.getErrorReported(Cause.squash(cause))
    return isReported ? Effect.void : Effect.logError(cause)
  }),
  Effect.provide(Logging.layer),
  Effect.provide(NodeServices.layer),
  runMain({ disableErrorReporting: true, teardown })
)
