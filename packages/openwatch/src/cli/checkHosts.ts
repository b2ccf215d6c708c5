/**
 * `openwatch check hosts`: are the hosts of an inventory reachable?
 */
import { DateTime, Duration, Effect, Layer, Option, Schema, Stream } from "effect"
import { Argument, CliError, Command, Flag } from "effect/cli"
import * as TimeSpan from "../configuration/TimeSpan.ts"
import { counted } from "../events/counted.ts"
import { SystemEventBus } from "../events/SystemEventBus.ts"
import * as Inventory from "../inventory/Inventory.ts"
import * as LivenessLoop from "../liveness/LivenessLoop.ts"
import { Probe } from "../liveness/Probe.ts"
import * as EventPrinter from "./EventPrinter.ts"
import { json as jsonFlag } from "./jsonLine.ts"
import * as Progress from "./Progress.ts"

// Not `Argument.Path`, which makes paths absolute: errors name the file as it was given.
const inventory = Argument.String("INVENTORY.yaml").pipe(
  Argument.withDescription("File that names the hosts")
)

const once = Flag.Boolean("once").pipe(
  Flag.withoutNegation,
  Flag.withDescription("Probe until each host's verdict is settled, then end; otherwise go on until interrupted"),
  Flag.withDefault(false)
)

const interval = Flag.String("interval").pipe(
  Flag.withMetavar("TIME"),
  Flag.withDescription("How often each host is probed, 60s to 3600s (default: 300s)"),
  Flag.filterMap(
    (text) => Option.filter(TimeSpan.parse(text), (span) => Duration.between(span, LivenessLoop.intervalRange)),
    () => "a time span from 60s to 3600s, like 5m"
  ),
  Flag.withDefault(LivenessLoop.defaultInterval)
)

const json = jsonFlag("Print one JSON object a line: each event, and at the end the counters")

/** Some hosts are unreachable. What was printed names each, with the reason. */
export class HostsUnreachable extends Schema.TaggedError<HostsUnreachable>()("HostsUnreachable", {
  unreachable: Schema.Int,
  of: Schema.Int
}) {
  override get message(): string {
    return `${this.unreachable} of ${counted(this.of, "host")} not reachable`
  }

  override get [CliError.userMessage](): string {
    return this.message
  }
}

/** The command; nothing is probed unless all of the inventory is right. */
export const checkHosts = Command.make(
  "hosts",
  { inventory, once, interval, json },
  Effect.fnUntraced(function*({ inventory: file, interval, json, once }) {
    const { hosts } = yield* Inventory.load(file)
    let current = hosts
    let unreachable: ReadonlyArray<unknown> = []
    // On a terminal the hosts that are named are progress enough.
    const onProgress = process.stdout.isTTY
      ? undefined
      : (settled: number) => Progress.show(() => `${settled} of ${hosts.length} hosts checked`)

    // The publisher works while its layer is built: subscribers are live before its first event and outlast its last, and
    // should it die, so does the program.
    const publisher = Layer.effectDiscard(
      once
        ? Effect.map(LivenessLoop.settle(hosts, { onProgress }), (found) => {
          unreachable = found
        })
        : LivenessLoop.watch(hosts, {
          interval,
          changes: Stream.map(yield* Inventory.follow(file), ({ hosts }) => {
            current = hosts
            return hosts
          })
        })
    ).pipe(Layer.provide(Probe.layerTcp()))
    const subscriber = EventPrinter.layer({ hosts: () => current, json }).pipe(
      Layer.provide(DateTime.layerCurrentZoneLocal)
    )

    yield* publisher.pipe(
      Layer.provide(subscriber),
      Layer.provide(SystemEventBus.layerWith({ drain: "10 seconds" })),
      Layer.build,
      Effect.scoped,
      Effect.ensuring(Effect.sync(Progress.clear))
    )
    if (unreachable.length > 0) {
      yield* new HostsUnreachable({ unreachable: unreachable.length, of: hosts.length })
    }
  })
).pipe(
  Command.withDescription(
    "Say which hosts of an inventory are reachable, and when that changes. A host is reachable when an SSH server " +
      "answers on its port, and unreachable after two failed probes in a row. With --once it ends with 1 where a host is " +
      "unreachable."
  ),
  Command.withShortDescription("Say which hosts are reachable, and when that changes"),
  Command.withExamples([
    { command: "openwatch check hosts hosts.yaml --once", description: "Look at each host and end" },
    { command: "openwatch check hosts hosts.yaml --interval 2m", description: "Watch them until interrupted" },
    { command: "openwatch check hosts hosts.yaml --once --json", description: "The same for a program to read" }
  ])
)
