/**
 * The fleet for Prometheus: series that are made from the store when somebody scrapes.
 *
 * A host that is unknown, or that this machine cannot judge, has no `openwatch_host_up`. While the database is away,
 * there are only the series of `openwatch_ready`, and not what was true before.
 */
import { Clock, Effect, Metric } from "effect"
import { PrometheusMetrics } from "effect/observability"
import { AllSeverities } from "../alert-router/Alert.ts"
import type { HostId } from "../events/HostId.ts"
import type { Host } from "../inventory/Host.ts"
import { FleetCounts } from "../storage/FleetCounts.ts"
import { HostStates, stateOf } from "../storage/HostStates.ts"
import type { Parts } from "./Readiness.ts"

/**
 * How long the database may take. A scraper waits ten seconds by default, and should get the other series even if the
 * database does not respond.
 */
const patience = "3 seconds"

/** Sets one value of a gauge, which has these labels. */
const set = (id: string, description: string) => (attributes: Readonly<Record<string, string>>, value: number) =>
  Metric.update(Metric.gauge(id, { description, attributes }), value)

const hostUp = set("openwatch_host_up", "Whether a host is reachable: 1 or 0; no series where that is not known")
const hosts = set("openwatch_hosts", "Hosts of the inventory by state")
const openAlerts = set("openwatch_open_alerts", "Alerts that are not over")
const complianceScore = set("openwatch_compliance_score", "Score of the newest scan of a series, in percent")
const scanAge = set("openwatch_scan_age_seconds", "Time since the newest scan of a series ended")
const deliveriesPending = set("openwatch_deliveries_pending", "Alerts that are to be sent to a channel and are not yet")
const ready = set("openwatch_ready", "Whether a part of this process works: 1 or 0")

/** Where the hosts and channels of now are found, and what is known of the process. */
export interface Sources {
  readonly hosts: () => ReadonlyArray<Host>
  /** The names of the channels of the configuration. */
  readonly channels: ReadonlyArray<string>
  readonly readiness: Effect.Effect<Parts>
}

/** Makes the text of all series of the fleet, in Prometheus's format. */
export const make = Effect.fnUntraced(function*(sources: Sources) {
  const states = yield* HostStates
  const counts = yield* FleetCounts

  const readFleet = Effect.all([states.verdicts, states.probes, counts.read]).pipe(Effect.timeout(patience))

  const fleet = Effect.gen(function*() {
    const [verdicts, probes, { newestScans, openAlerts: open, pendingDeliveries }] = yield* readFleet
    const inventory = sources.hosts()
    const byState = { reachable: 0, unreachable: 0, unjudged: 0, unknown: 0 }
    const names = new Map<HostId, string>()
    for (const { id, name } of inventory) {
      names.set(id, name)
      const state = stateOf(verdicts.get(id), probes.get(id))
      byState[state]++
      if (state === "reachable" || state === "unreachable") yield* hostUp({ host: name }, state === "reachable" ? 1 : 0)
    }
    for (const [state, count] of Object.entries(byState)) yield* hosts({ state }, count)
    for (const severity of AllSeverities) yield* openAlerts({ severity }, open.get(severity) ?? 0)
    for (const channel of new Set([...sources.channels, ...pendingDeliveries.keys()])) {
      yield* deliveriesPending({ channel }, pendingDeliveries.get(channel) ?? 0)
    }
    const now = yield* Clock.currentTimeMillis
    for (const { endedAt, hostId, score, series } of newestScans) {
      // A host that is known from scans alone has no name that is stored.
      const labels = { host: names.get(hostId) ?? hostId, benchmark: series.benchmark, profile: series.profile }
      yield* complianceScore(labels, score)
      if (endedAt !== 0) yield* scanAge(labels, Math.max(0, now - endedAt) / 1000)
    }
  })

  return Effect.gen(function*() {
    for (const [part, problem] of Object.entries(yield* sources.readiness)) {
      yield* ready({ part }, problem === null ? 1 : 0)
    }
    yield* Effect.ignore(fleet)
    return yield* PrometheusMetrics.format()
    // Series come and go with hosts and scans, so each scrape has a registry of its own.
  }).pipe((text) => Effect.suspend(() => Effect.provideService(text, Metric.MetricRegistry, new Map())))
})
