/**
 * OpenWatch watches a fleet of Linux hosts: is each one reachable, and is it still as compliant as it was?
 *
 * @module
 */
export * as Drift from "./drift-detector/Drift.ts"
export * as DriftDetector from "./drift-detector/DriftDetector.ts"
export * as Scan from "./drift-detector/Scan.ts"
export * as ScanFolder from "./drift-detector/ScanFolder.ts"
export * as TargetHosts from "./drift-detector/TargetHosts.ts"
export * as Xccdf from "./drift-detector/Xccdf.ts"
export { DriftDetected, DriftType, SeverityCounts } from "./events/DriftDetected.ts"
export { HeartbeatPulse } from "./events/HeartbeatPulse.ts"
export { HostId } from "./events/HostId.ts"
export { AllEventKinds, type EventKind, SystemEventBus } from "./events/SystemEventBus.ts"
export { Host, hostIdFromName, hostNamespace } from "./inventory/Host.ts"
export * as Inventory from "./inventory/Inventory.ts"
export * as LivenessLoop from "./liveness/LivenessLoop.ts"
export * as Probe from "./liveness/Probe.ts"
export * as Reachability from "./liveness/Reachability.ts"
