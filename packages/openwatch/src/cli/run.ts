/**
 * `openwatch run`: watch the fleet, and tell of it by alerts.
 */
import { Console, DateTime, Effect, Layer } from "effect"
import * as Argument from "effect/cli/Argument"
import * as Command from "effect/cli/Command"
import * as FetchHttpClient from "effect/http/FetchHttpClient"
import { AlertChannels } from "../alert-router/AlertChannel.ts"
import * as AlertRouter from "../alert-router/AlertRouter.ts"
import { HostLabel } from "../alert-router/HostLabel.ts"
import * as SqlAlertStore from "../alert-store/SqlAlertStore.ts"
import * as Channels from "../channels/Channels.ts"
import * as Configuration from "../configuration/Configuration.ts"
import type { HostId } from "../events/HostId.ts"
import { SystemEventBus } from "../events/SystemEventBus.ts"
import * as Inventory from "../inventory/Inventory.ts"
import * as LivenessLoop from "../liveness/LivenessLoop.ts"
import { Probe } from "../liveness/Probe.ts"
import * as HostStates from "../storage/HostStates.ts"
import * as Outbox from "../storage/Outbox.ts"
import * as StorageOptions from "./storageOptions.ts"

// Not `Argument.Path`, which makes paths absolute: errors name the file as it was given.
const configuration = Argument.String("CONFIG.yaml").pipe(
  Argument.withDescription("File that names the inventory and the channels")
)

/** Works while it is built: publishes what was stored and not announced, then what the probes find. */
const publisher = (hosts: Inventory.Inventory["hosts"], { failureThreshold, interval }: Configuration.Configuration) =>
  Layer.effectDiscard(Effect.gen(function*() {
    const republished = yield* Outbox.republish(AlertRouter.defaultBufferSize)
    if (republished > 0) yield* Effect.logInfo(`${republished} events of an earlier run are published again`)
    yield* Effect.logInfo(`Watching ${hosts.length} ${hosts.length === 1 ? "host" : "hosts"}`)
    yield* LivenessLoop.watch(hosts, { interval, failureThreshold, hostStates: yield* HostStates.HostStates })
  })).pipe(Layer.provide([Probe.layerTcp(), HostStates.layer, Outbox.layer]))

const describe = (
  router: AlertRouter.RouterMetrics,
  bus: Effect.Success<SystemEventBus["Service"]["metrics"]>
): string => {
  const failures = Object.entries(router.channelFailures).map(([channel, count]) => `, ${count} to ${channel}`).join("")
  return `${bus.publishedCount} events published, ${bus.droppedCount} dropped; ${router.received} received, ` +
    `${router.routed} alerts routed, ${router.deduped} deduplicated; failures: ${router.persistFailed} to store${failures}`
}

/** The router, which prints a last line of counters once it has stopped. */
const router = ({ timeToLive }: Configuration.Configuration) =>
  Layer.unwrap(Effect.map(SystemEventBus, (bus) =>
    AlertRouter.layer({
      timeToLive,
      onStop: (router) => Effect.flatMap(bus.metrics, (bus) => Console.log(describe(router, bus)))
    })))

/** The command; nothing starts unless the configuration and the inventory are right and the database is there. */
export const run = Command.make(
  "run",
  { configuration, data: StorageOptions.data },
  Effect.fnUntraced(function*({ configuration: file, data }) {
    const configuration = yield* Configuration.load(file, process.env)
    const { hosts } = yield* Inventory.load(configuration.inventory)
    const names = new Map(hosts.map(({ id, name }) => [id, name]))

    // Each layer starts after those below it and stops before them: publisher, router, bus, channels, store.
    yield* publisher(hosts, configuration).pipe(
      Layer.provide(router(configuration)),
      Layer.provide(Layer.succeed(HostLabel, (hostId: HostId) => names.get(hostId) ?? hostId)),
      Layer.provide(SystemEventBus.layer),
      Layer.provide(AlertChannels.layer(Channels.make(configuration.channels))),
      Layer.provide([FetchHttpClient.layer, DateTime.layerCurrentZoneLocal]),
      Layer.provide(SqlAlertStore.layer),
      Layer.provide(StorageOptions.layer(data)),
      Layer.build,
      Effect.scoped
    )
  })
).pipe(
  Command.withDescription(
    "Watch the hosts of the inventory until interrupted. When one cannot be reached any more, or can be again, an alert is " +
      "stored and sent to the channels of the configuration. What SIGINT or SIGTERM finds unfinished is finished, or " +
      "goes on with the next run; a second signal ends at once."
  ),
  Command.withShortDescription("Watch the fleet and send alerts"),
  Command.withExamples([
    { command: "openwatch run openwatch.yaml", description: "Keep what is stored in ./.openwatch" },
    { command: "openwatch run openwatch.yaml --data /var/lib/openwatch", description: "Keep it elsewhere" },
    {
      command: "DATABASE_URL=postgresql://openwatch@db.example.org/openwatch openwatch run openwatch.yaml",
      description: "Keep it in PostgreSQL"
    }
  ])
)
