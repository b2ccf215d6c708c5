/**
 * The command line of OpenWatch: its commands, and how they speak.
 */
import { Console, Effect } from "effect"
import { CliConfig, CliOutput, Command, GlobalFlag, TerminalCapabilities } from "effect/cli"
import { alertsList } from "./alertsList.ts"
import { alertsResend } from "./alertsResend.ts"
import { checkHosts } from "./checkHosts.ts"
import { run as runCommand } from "./run.ts"
import { scanImport } from "./scanImport.ts"

const check = Command.make("check").pipe(
  Command.withDescription("Look at something now"),
  Command.withSubcommands([checkHosts])
)

const alerts = Command.make("alerts").pipe(
  Command.withDescription("Look at alerts that were raised"),
  Command.withSubcommands([alertsList, alertsResend])
)

const scan = Command.make("scan").pipe(
  Command.withDescription("Look at how compliant hosts are"),
  Command.withSubcommands([scanImport])
)

/** `openwatch` and all of its subcommands. */
export const openwatch = Command.make("openwatch").pipe(
  Command.withDescription(
    "OpenWatch watches a fleet of Linux hosts: is each one reachable, and is it still as compliant as it was?"
  ),
  Command.withSubcommands([runCommand, check, scan, alerts])
)

// One line for one error, as a Unix tool has it.
const formatter = Effect.map(
  TerminalCapabilities.TerminalCapabilities,
  ({ canColor }): CliOutput.Formatter =>
    Object.assign(CliOutput.defaultFormatter({ colors: canColor }), {
      formatError: (error: Error) => `error: ${error.message}`,
      formatErrors: (errors: ReadonlyArray<Error>) => errors.map((error) => `error: ${error.message}`).join("\n")
    })
)

// What goes wrong is said on standard error alone: a program may be reading standard output.
const presenter: CliOutput.Presenter = {
  present: (event) =>
    event._tag === "InvalidInvocation"
      ? Effect.gen(function*() {
        const { formatErrors } = yield* CliOutput.Formatter
        yield* Console.error(formatErrors(event.errors))
        yield* Console.error(`usage: ${event.helpDoc.usage}\nMore: ${event.commandPath.join(" ")} --help`)
      })
      : CliOutput.defaultPresenter.present(event)
}

/** Runs the command line that `Stdio` has. */
export const run = (version: string) =>
  Command.run(openwatch, { version }).pipe(
    Effect.provideService(CliOutput.Presenter, presenter),
    Effect.provideServiceEffect(CliOutput.Formatter, formatter),
    Effect.provideService(
      CliConfig.CliConfig,
      CliConfig.make({
        builtIns: [GlobalFlag.Help, GlobalFlag.Version, GlobalFlag.Completions, GlobalFlag.LogLevel]
      })
    )
  )
