/**
 * The command line of OpenWatch: its commands, and how they speak.
 *
 * A command is loaded when the command line names it: `openwatch --help` needs the names of all of them, and none of the
 * database, the probes and the page.
 */
import type * as NodeServices from "@effect/platform-node/NodeServices"
import * as CliConfig from "effect/cli/CliConfig"
import * as CliOutput from "effect/cli/CliOutput"
import * as Command from "effect/cli/Command"
import * as GlobalFlag from "effect/cli/GlobalFlag"
import * as TerminalCapabilities from "effect/cli/TerminalCapabilities"
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import * as Stdio from "effect/Stdio"
import * as Logging from "./Logging.ts"

/** A command whatever it is called and told. It has what the platform has. */
// Names are invariant, so the type of all commands is not that of a union of names.
type AnyCommand = Command.Command<any, any, any, unknown, NodeServices.NodeServices>

/** The commands, each with what `openwatch --help` says of it, which is what it says of itself. */
const commands = {
  init: {
    summary: "Write files to begin with",
    load: async (): Promise<AnyCommand> => (await import("./init.ts")).init
  },
  config: {
    summary: "Look at a configuration",
    load: async (): Promise<AnyCommand> => (await import("./config.ts")).config
  },
  run: {
    summary: "Watch the fleet and send alerts",
    load: async (): Promise<AnyCommand> => (await import("./run.ts")).run
  },
  check: {
    summary: "Look at something now",
    load: async (): Promise<AnyCommand> => (await import("./check.ts")).check
  },
  scan: {
    summary: "Look at how compliant hosts are",
    load: async (): Promise<AnyCommand> => (await import("./scan.ts")).scan
  },
  alerts: {
    summary: "Look at alerts, and say what becomes of them",
    load: async (): Promise<AnyCommand> => (await import("./alerts.ts")).alerts
  },
  maintenance: {
    summary: "Have nothing sent of some hosts for a while",
    load: async (): Promise<AnyCommand> => (await import("./maintenance.ts")).maintenance
  },
  channels: {
    summary: "Look after the ways by which alerts are sent",
    load: async (): Promise<AnyCommand> => (await import("./channels.ts")).channels
  },
  backup: {
    summary: "Copy what is stored to a file",
    load: async (): Promise<AnyCommand> => (await import("./backup.ts")).backup
  }
} as const

type Name = keyof typeof commands

const names = Object.keys(commands) as ReadonlyArray<Name>

/** A command that is not loaded, as the help of all of them shows it. */
const notLoaded = (name: Name): AnyCommand => Command.make(name).pipe(Command.withDescription(commands[name].summary))

/** `openwatch`, with those of its commands loaded that are named. */
export const load = (named: (name: Name) => boolean) =>
  Effect.map(
    Effect.forEach(names, (name) =>
      named(name) ? Effect.promise(() => commands[name].load()) : Effect.sync(() => notLoaded(name))),
    (loaded) =>
      Command.make("openwatch").pipe(
        Command.withDescription(
          "OpenWatch watches a fleet of Linux hosts: is each one reachable, and is it still as compliant as it was?"
        ),
        Command.withSubcommands(loaded),
        Command.withGlobalFlags([Logging.LogFormat])
      )
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

/** Completions are made of all commands with their flags. */
const isAboutAll = (word: string) => word === "--completions" || word.startsWith("--completions=")

/** Runs the command line that `Stdio` has. */
export const run = (version: string) =>
  Effect.gen(function*() {
    const words = yield* Effect.flatMap(Stdio.Stdio, ({ args }) => args)
    const all = words.some(isAboutAll)
    const openwatch = yield* load((name) => all || words.includes(name))
    yield* Command.run(openwatch, { version })
  }).pipe(
    Effect.provideService(CliOutput.Presenter, presenter),
    Effect.provideServiceEffect(CliOutput.Formatter, formatter),
    Effect.provideService(
      CliConfig.CliConfig,
      CliConfig.make({
        builtIns: [GlobalFlag.Help, GlobalFlag.Version, GlobalFlag.Completions, GlobalFlag.LogLevel]
      })
    )
  )
