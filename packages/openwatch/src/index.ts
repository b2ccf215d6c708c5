/**
 * OpenWatch watches a fleet of Linux hosts: is each one reachable, and is it still as compliant as it was?
 *
 * @module
 */
export { DriftDetected, DriftType, SeverityCounts } from "./events/DriftDetected.ts"
export { HeartbeatPulse } from "./events/HeartbeatPulse.ts"
export { HostId } from "./events/HostId.ts"
export { AllEventKinds, type EventKind, SystemEventBus } from "./events/SystemEventBus.ts"
export { Host, hostIdFromName, hostNamespace } from "./inventory/Host.ts"
export * as Inventory from "./inventory/Inventory.ts"
export * as HttpSettings from "./live-page/HttpSettings.ts"
export * as LivePage from "./live-page/LivePage.ts"
export * as LivenessLoop from "./liveness/LivenessLoop.ts"
export * as Probe from "./liveness/Probe.ts"
export * as Reachability from "./liveness/Reachability.ts"
