/**
 * What the live page shows of the fleet: the hosts of the inventory, with what is stored about them.
 */
import { FleetView, InspectorApi } from "@openwatch/inspector"
import { DateTime, Effect, Layer } from "effect"
import * as SqlError from "effect/sql/SqlError"
import { openStates } from "../alert-router/Lifecycle.ts"
import { AlertStore, type AlertStoreError } from "../alert-store/AlertStore.ts"
import { describe as describeSeries } from "../events/Series.ts"
import type { Host } from "../inventory/Host.ts"
import { describeSqlError } from "../storage/describeSqlError.ts"
import { HostStates, type ProbeRecord, type Verdict } from "../storage/HostStates.ts"
import * as Outage from "../storage/Outage.ts"
import { Scans } from "../storage/Scans.ts"

/** The inspector takes what cannot be read for a defect, and answers 500. */
const orDie = <A, E extends SqlError.SqlError | AlertStoreError>(read: Effect.Effect<A, E>): Effect.Effect<A> =>
  read.pipe(
    (read) => Outage.noted(read, (error) => SqlError.isSqlError(error) ? describeSqlError(error) : error.message),
    Effect.orDie
  )

const nameOf = ({ reachable }: Verdict) => reachable ? "reachable" as const : "unreachable" as const

/** The state of a host. What this machine cannot judge is neither what it was nor unknown. */
const stateOf = (verdict: Verdict | undefined, probe: ProbeRecord | undefined) => {
  if (probe?.isJudged === false) {
    return {
      state: "unjudged" as const,
      since: DateTime.makeUnsafe(probe.probedAt),
      reason: `this machine cannot probe it${verdict === undefined ? "" : `; it was ${nameOf(verdict)} before`}`,
      responseTimeMs: null
    }
  }
  return {
    state: verdict === undefined ? "unknown" as const : nameOf(verdict),
    since: verdict?.since ?? null,
    reason: verdict?.reason?.text ?? null,
    responseTimeMs: verdict?.responseTimeMs ?? null
  }
}

/** The fleet of the hosts that are watched when it is looked at. While the database fails, so does looking. */
export const layer = (
  hosts: () => ReadonlyArray<Host>
): Layer.Layer<FleetView, never, HostStates | Scans | AlertStore> =>
  Layer.effect(
    FleetView,
    Effect.gen(function*() {
      const hostStates = yield* HostStates
      const scans = yield* Scans
      const alerts = yield* AlertStore
      return FleetView.of({
        hosts: Effect.gen(function*() {
          const verdicts = yield* hostStates.verdicts
          const scores = yield* scans.lastScores
          const probes = yield* hostStates.probes
          return hosts().map(({ endpoint, id, name, tags }) =>
            Object.assign(
              { id, name, endpoint, tags, score: scores.get(id) ?? null },
              stateOf(verdicts.get(id), probes.get(id))
            )
          )
        }).pipe(orDie),

        openAlerts: Effect.map(alerts.list({ states: openStates }), (open) => open.map(({ alert }) => alert)).pipe(
          orDie
        ),

        scores: Effect.fnUntraced(function*(hostId) {
          const host = hosts().find(({ id }) => id === hostId)
          if (host === undefined) {
            return yield* new InspectorApi.HostNotFound({ message: `No host has the id ${hostId}` })
          }
          const scores = yield* orDie(scans.scores(host.id))
          return scores.map(({ scanId, scannedAt, score, series }) => ({
            scanId,
            profile: describeSeries(series),
            score,
            at: scannedAt
          }))
        })
      })
    })
  )
