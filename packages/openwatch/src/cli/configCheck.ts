/**
 * `openwatch config check`: would `openwatch run` start with these files?
 */
import { Console, DateTime, Effect, FileSystem } from "effect"
import * as Argument from "effect/cli/Argument"
import * as Command from "effect/cli/Command"
import * as Configuration from "../configuration/Configuration.ts"
import { counted } from "../events/counted.ts"
import * as Inventory from "../inventory/Inventory.ts"

const file = Argument.String("CONFIG.yaml").pipe(
  Argument.withDescription("The configuration (default: openwatch.yaml)"),
  Argument.withDefault("openwatch.yaml")
)

/** What a configuration says, in a few lines. */
const describe = (
  configuration: Configuration.Configuration,
  hosts: number,
  hasFolder: boolean
): ReadonlyArray<string> => {
  const { channels, http, inventory, nats, probesHosts, routesAlerts, scans } = configuration
  const names = channels.map(({ name }) => name)
  return [
    inventory === undefined
      ? "no inventory"
      : `${counted(hosts, "host")} in ${inventory}${probesHosts ? "" : ", which are not probed"}`,
    scans === undefined
      ? "no folder of scans"
      : `scans from the folder ${scans}${hasFolder ? "" : ", once it is there"}`,
    !routesAlerts
      ? "no alerts are raised"
      : names.length === 0
      ? "alerts are stored, and sent nowhere"
      : `alerts go to ${counted(names.length, "channel")}: ${names.join(", ")}`,
    ...(nats === undefined ? [] : [`joined to others by NATS as ${nats.source}`]),
    http === undefined
      ? "no live page"
      : `the live page is at ${http.host}, port ${http.port}, ${
        http.token === undefined ? "for this machine" : "with a token"
      }`
  ]
}

/** The command: says all that is wrong with the configuration, or else with its inventory. */
export const configCheck = Command.make(
  "check",
  { file },
  Effect.fnUntraced(function*({ file }) {
    const configuration = yield* Configuration.load(file, process.env)
    const hosts = yield* Inventory.hostsOf(configuration.inventory)
    yield* Configuration.checkTags(configuration, hosts)
    const { exists } = yield* FileSystem.FileSystem
    const hasFolder = configuration.scans !== undefined && (yield* exists(configuration.scans))
    yield* Console.log([`${file} is right:`, ...describe(configuration, hosts.length, hasFolder)].join("\n  "))
    for (const note of Configuration.overMaintenance(configuration, yield* DateTime.now)) {
      yield* Console.log(`note: ${note}`)
    }
  })
).pipe(
  Command.withDescription(
    "Check a configuration and its inventory as `openwatch run` does before it starts: all that is wrong is named with its place " +
      "in the file and what is expected there. Secrets are looked for in this environment. Nothing is started or stored."
  ),
  Command.withShortDescription("Check a configuration and its inventory"),
  Command.withExamples([
    { command: "openwatch config check", description: "Check ./openwatch.yaml" },
    {
      command: "openwatch config check /etc/openwatch/openwatch.yaml && systemctl restart openwatch",
      description: "Restart only with what will start"
    }
  ])
)
