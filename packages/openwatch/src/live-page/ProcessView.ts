/**
 * What is told of the process to programs that watch it: metrics, and whether its parts work.
 */
import { Context, Effect, Layer } from "effect"
import type { ProbeActivity } from "../liveness/ProbeActivity.ts"
import type { FleetCounts } from "../storage/FleetCounts.ts"
import type { HostStates } from "../storage/HostStates.ts"
import * as FleetMetrics from "./FleetMetrics.ts"
import * as Readiness from "./Readiness.ts"

/** What is told of the process. */
export class ProcessView extends Context.Service<ProcessView, {
  /** In Prometheus's text format. */
  readonly metrics: Effect.Effect<string>
  readonly readiness: Effect.Effect<Readiness.Parts>
}>()("@openwatch/openwatch/live-page/ProcessView") {}

/** The process that has these duties. */
export const layer = (
  options: Omit<FleetMetrics.Sources, "readiness"> & Pick<Readiness.Duties, "probesHosts" | "interval">
): Layer.Layer<ProcessView, never, HostStates | FleetCounts | ProbeActivity> =>
  Layer.effect(
    ProcessView,
    Effect.gen(function*() {
      const { channels, hosts, interval, probesHosts } = options
      const readiness = yield* Readiness.make({
        hosts: () => hosts().length,
        probesHosts,
        interval,
        channels: channels.length
      })
      return { metrics: yield* FleetMetrics.make({ hosts, channels, readiness }), readiness }
    })
  )
