/**
 * What the page shows of a fleet. An application with hosts and alerts gives this to the inspector, beside its bus.
 * Each field is read anew for every request.
 */
import type { Effect } from "effect"
import { Context } from "effect"
import type {
  AlertChange,
  AlertNotFound,
  AlertsChanged,
  AlertsNotChanged,
  AlertsUnavailable,
  AlertTransition,
  HostNotFound,
  HostPast,
  HostState,
  Maintenance,
  OpenAlert,
  Score
} from "./InspectorApi.ts"

/**
 * Reads the state of the fleet. A read that fails is a defect, and the request gets the status 500. The view itself has
 * to log why.
 */
export class FleetView extends Context.Service<FleetView, {
  /** The watched hosts, in the order in which they are to be shown. */
  readonly hosts: Effect.Effect<ReadonlyArray<typeof HostState.Type>>
  /** The open alerts, the most severe first, and the newest among equals: the page shows them in this order. */
  readonly openAlerts: Effect.Effect<ReadonlyArray<typeof OpenAlert.Type>>
  /** The maintenance that goes on, and what is planned next, in the order in which it is shown. Without it there is none. */
  readonly maintenance?: Effect.Effect<ReadonlyArray<typeof Maintenance.Type>>
  /** The scores of the scans of a host, oldest first. Empty for a host that was never scanned. */
  readonly scores: (hostId: string) => Effect.Effect<ReadonlyArray<typeof Score.Type>, HostNotFound>
  /** The past of a host. Without this the page shows no past. */
  readonly past?: (hostId: string) => Effect.Effect<typeof HostPast.Type, HostNotFound>
  /** Changes alerts in somebody's name: all of them, or none. Without this the page has no buttons for it. */
  readonly changeAlerts?: (
    change: typeof AlertChange.Type & { readonly who: string }
  ) => Effect.Effect<typeof AlertsChanged.Type, AlertNotFound | AlertsNotChanged | AlertsUnavailable>
  /** The changes of an alert, oldest first. */
  readonly alertHistory?: (
    alertId: string
  ) => Effect.Effect<ReadonlyArray<typeof AlertTransition.Type>, AlertNotFound | AlertsUnavailable>
}>()("@openwatch/inspector/FleetView") {}
