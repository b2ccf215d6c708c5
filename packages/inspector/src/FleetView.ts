/**
 * What the page shows of a fleet: the one thing that an application with hosts and alerts gives the inspector beside its
 * bus. Each field is read anew for every request.
 */
import type { Effect } from "effect"
import { Context } from "effect"
import type { HostNotFound, HostState, OpenAlert, Score } from "./InspectorApi.ts"

/** Reads the fleet's state. A read that cannot be answered is a defect: the request fails with 500. It is the view that logs why. */
export class FleetView extends Context.Service<FleetView, {
  /** The watched hosts, in the order in which they are to be shown. */
  readonly hosts: Effect.Effect<ReadonlyArray<typeof HostState.Type>>
  /** The alerts that are open, newest first. */
  readonly openAlerts: Effect.Effect<ReadonlyArray<typeof OpenAlert.Type>>
  /** The scores of a host's scans, oldest first; none for a host that was never scanned. */
  readonly scores: (hostId: string) => Effect.Effect<ReadonlyArray<typeof Score.Type>, HostNotFound>
}>()("@openwatch/inspector/FleetView") {}
