/**
 * `openwatch run`: watch the fleet, and tell of it by alerts.
 */
import { Console, DateTime, Effect, Layer, Option, Stream } from "effect"
import * as Argument from "effect/cli/Argument"
import * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"
import { AlertChannels } from "../alert-router/AlertChannel.ts"
import * as AlertRouter from "../alert-router/AlertRouter.ts"
import { HostLabel } from "../alert-router/HostLabel.ts"
import { HostTags } from "../alert-router/HostTags.ts"
import * as Retelling from "../alert-router/Retelling.ts"
import * as SqlAlertStore from "../alert-store/SqlAlertStore.ts"
import * as SqlDeliveryStore from "../alert-store/SqlDeliveryStore.ts"
import * as Channels from "../channels/Channels.ts"
import * as ReceiverClient from "../channels/ReceiverClient.ts"
import * as Configuration from "../configuration/Configuration.ts"
import * as DriftDetector from "../drift-detector/DriftDetector.ts"
import type * as Scan from "../drift-detector/Scan.ts"
import * as TargetHosts from "../drift-detector/TargetHosts.ts"
import { counted } from "../events/counted.ts"
import type { HostId } from "../events/HostId.ts"
import { SystemEventBus } from "../events/SystemEventBus.ts"
import type { Host } from "../inventory/Host.ts"
import * as Inventory from "../inventory/Inventory.ts"
import * as LivePage from "../live-page/LivePage.ts"
import * as ProcessView from "../live-page/ProcessView.ts"
import * as StoredFleet from "../live-page/StoredFleet.ts"
import * as LivenessLoop from "../liveness/LivenessLoop.ts"
import { Probe } from "../liveness/Probe.ts"
import * as ProbeActivity from "../liveness/ProbeActivity.ts"
import * as FleetCounts from "../storage/FleetCounts.ts"
import * as HostHistory from "../storage/HostHistory.ts"
import * as HostStates from "../storage/HostStates.ts"
import * as Maintenances from "../storage/Maintenances.ts"
import * as Outboxes from "../storage/Outboxes.ts"
import * as Retention from "../storage/Retention.ts"
import * as RunLock from "../storage/RunLock.ts"
import * as Scans from "../storage/Scans.ts"
import * as Nats from "./nats.ts"
import * as StorageOptions from "./storageOptions.ts"

// Not `Argument.Path`, which makes paths absolute: errors name the file as it was given.
const configuration = Argument.String("CONFIG.yaml").pipe(
  Argument.withDescription("File that says what is watched and where alerts go")
)

/** The hosts that the inventory has now, and what is found by them. */
interface Fleet {
  hosts: ReadonlyArray<Host>
  byId: ReadonlyMap<HostId, Host>
  hostOf: (target: Scan.ScanTarget) => TargetHosts.TargetHost
}

const fleetOf = (hosts: ReadonlyArray<Host>): Fleet => ({
  hosts,
  byId: new Map(hosts.map((host) => [host.id, host])),
  hostOf: TargetHosts.make(hosts)
})

/** Works while it is built: probes hosts, and takes in scans. */
const publishers = (fleet: Fleet, configuration: Configuration.Configuration) =>
  Layer.effectDiscard(Effect.gen(function*() {
    const { changesPerHour, driftThresholds: thresholds, failureThreshold, interval, inventory, probesHosts } =
      configuration
    const { retryInterval, scans } = configuration
    const { hosts } = fleet
    yield* Effect.logInfo(
      probesHosts ? `Watching ${counted(hosts.length, "host")}` : "Watching no hosts"
    )
    if (scans !== undefined) yield* Effect.logInfo(`Watching the folder ${scans} for scans`)
    const inventories = inventory === undefined ? Stream.never : yield* Inventory.follow(inventory)
    const changes = Stream.map(inventories, ({ hosts }) => {
      Object.assign(fleet, fleetOf(hosts))
      return hosts
    })
    const hostOf = (target: Scan.ScanTarget) => fleet.hostOf(target)
    yield* Effect.all([
      probesHosts
        ? LivenessLoop.watch(hosts, {
          interval,
          failureThreshold,
          retryInterval,
          changesPerHour,
          changes,
          hostStates: yield* HostStates.HostStates
        })
        : Stream.runDrain(changes),
      scans === undefined ? Effect.never : DriftDetector.watch(scans, { hostOf, thresholds }),
      (yield* RunLock.RunLock).keep
    ], { concurrency: "unbounded", discard: true })
  })).pipe(Layer.provide([HostStates.layer, Scans.layer]))

const describe = (
  router: AlertRouter.RouterMetrics,
  bus: Effect.Success<SystemEventBus["Service"]["metrics"]>
): string => {
  const failures = Object.entries(router.channelFailures).map(([channel, count]) => `, ${count} to ${channel}`).join("")
  return `${
    counted(bus.publishedCount, "event")
  } published, ${bus.droppedCount} dropped; ${router.received} received, ` +
    `${
      counted(router.routed, "alert")
    } routed, ${router.deduped} deduplicated; failures: ${router.persistFailed} to store${failures}`
}

/** The live page, once its address is taken. */
const livePage = Effect.fnUntraced(function*(fleet: Fleet, configuration: Configuration.Configuration) {
  const { channels, http, interval, maintenance, probesHosts } = configuration
  if (http === undefined) return Layer.empty
  const { layer } = yield* LivePage.listen(http)
  return layer.pipe(
    Layer.provide([
      StoredFleet.layer(() => fleet.hosts, maintenance),
      ProcessView.layer({ hosts: () => fleet.hosts, channels: channels.map(({ name }) => name), interval, probesHosts })
    ]),
    Layer.provide([HostHistory.layer, HostStates.layer, Scans.layer, Maintenances.layer, FleetCounts.layer])
  )
})

/** The router, which prints a last line of counters once it has stopped; nothing where another process has one. */
const router = ({ http, remindAfter, retryFor, routesAlerts, timeToLive }: Configuration.Configuration) =>
  routesAlerts ?
    Layer.unwrap(Effect.map(SystemEventBus, (bus) =>
      AlertRouter.layer({
        timeToLive,
        retryFor,
        ...(http?.url === undefined ? {} : { linkTo: LivePage.addressOfHost(http.url) }),
        onStop: (router) => Effect.flatMap(bus.metrics, (bus) => Console.log(describe(router, bus)))
      }))).pipe(
        Layer.catchTag("OutboxError", (error) => Layer.effectContext(Effect.fail(Outboxes.toStorageError(error)))),
        Layer.merge(Retelling.layer({ remindAfter }))
      ) :
    Layer.empty

const tasksOf = ({ probesHosts, routesAlerts, scans }: Configuration.Configuration): ReadonlyArray<RunLock.Task> => [
  ...(probesHosts ? ["probing" as const] : []),
  ...(scans === undefined ? [] : ["scans" as const]),
  ...(routesAlerts ? ["routing" as const] : [])
]

const port = Flag.Int("port").pipe(
  Flag.withMetavar("PORT"),
  Flag.withDescription(
    "Port of the live page, 0 for any that is free (default: `http.port` of the configuration, or 7420)"
  ),
  Flag.filter((port) => port >= 0 && port <= 65_535, () => "a port, 0 to 65535"),
  Flag.optional
)

/** The configuration with what the command line says of it. */
const withPort = (
  configuration: Configuration.Configuration,
  port: Option.Option<number>
): Configuration.Configuration =>
  configuration.http === undefined || Option.isNone(port)
    ? configuration
    : { ...configuration, http: { ...configuration.http, port: port.value } }

/** The command; nothing starts unless the configuration and the inventory are right, and address and database are there. */
export const run = Command.make(
  "run",
  { configuration, port, data: StorageOptions.data },
  Effect.fnUntraced(function*({ configuration: file, data, port }) {
    const configuration = withPort(yield* Configuration.load(file, process.env), port)
    const fleet = fleetOf(yield* Inventory.hostsOf(configuration.inventory))
    yield* Configuration.checkTags(configuration, fleet.hosts)
    for (const note of Configuration.overMaintenance(configuration, yield* DateTime.now)) yield* Effect.logWarning(note)
    const location = yield* StorageOptions.location(data)
    const tasks = tasksOf(configuration)
    const page = yield* livePage(fleet, configuration).pipe(
      // Where it is another run that has the address, that is what is wrong.
      Effect.tapErrorTag(
        "LivePageError",
        () => RunLock.take(location, tasks).pipe(Effect.scoped, Effect.catchTag("StorageError", () => Effect.void))
      )
    )

    // Each layer starts after those below it and stops before them: publishers and page, bridge, router, channels, outboxes,
    // bus, database.
    yield* Layer.mergeAll(publishers(fleet, configuration), page, Retention.layer(configuration.retention)).pipe(
      Layer.provide(Layer.provide(ProbeActivity.layer, Probe.layerTcp())),
      Layer.provide(Nats.layer(configuration)),
      Layer.provide(router(configuration)),
      Layer.provide(Layer.provide(Maintenances.suppressing(configuration.maintenance), Maintenances.layer)),
      Layer.provide([
        Layer.succeed(HostLabel, (hostId: HostId) => fleet.byId.get(hostId)?.name ?? hostId),
        Layer.succeed(HostTags, (hostId: HostId) => fleet.byId.get(hostId)?.tags ?? {})
      ]),
      Layer.provide(AlertChannels.layer(Channels.make(configuration.channels))),
      Layer.provide([ReceiverClient.layer, DateTime.layerCurrentZoneLocal]),
      Layer.provide([SqlAlertStore.layer, SqlDeliveryStore.layer]),
      // Nobody else has these tasks while this one runs.
      Layer.provide(Outboxes.layer({ process: tasks.join("-") })),
      Layer.provide(SystemEventBus.layerWith({ drain: "10 seconds" })),
      Layer.provide(RunLock.layer(location, tasks)),
      Layer.provide(StorageOptions.layer(data)),
      Layer.build
    )
  }, Effect.scoped)
).pipe(
  Command.withDescription(
    "Watch the hosts of the inventory, and the folder of scans, until interrupted, and show them live in a browser. When a host cannot be reached any more, " +
      "or can be again, and when a scan is clearly worse or better than the last one, an alert is stored and sent to the channels of the configuration. What SIGINT or SIGTERM finds unfinished is finished, or " +
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
