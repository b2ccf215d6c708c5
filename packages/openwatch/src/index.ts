/**
 * OpenWatch watches a fleet of Linux hosts: is each one reachable, and is it still as compliant as it was?
 *
 * @module
 */
export * as Alert from "./alert-router/Alert.ts"
export { type AlertChannel, AlertChannels, ChannelError } from "./alert-router/AlertChannel.ts"
export * as AlertRouter from "./alert-router/AlertRouter.ts"
export { HostLabel } from "./alert-router/HostLabel.ts"
export * as AlertStore from "./alert-store/AlertStore.ts"
export * as SqlAlertStore from "./alert-store/SqlAlertStore.ts"
export * as ConsoleChannel from "./channels/Console.ts"
export * as SlackChannel from "./channels/Slack.ts"
export * as WebhookChannel from "./channels/Webhook.ts"
export * as Configuration from "./configuration/Configuration.ts"
export { DriftDetected, DriftType, SeverityCounts } from "./events/DriftDetected.ts"
export { HeartbeatPulse } from "./events/HeartbeatPulse.ts"
export { HostId } from "./events/HostId.ts"
export { AllEventKinds, type EventKind, SystemEventBus } from "./events/SystemEventBus.ts"
export { Host, hostIdFromName, hostNamespace } from "./inventory/Host.ts"
export * as Inventory from "./inventory/Inventory.ts"
export * as LivenessLoop from "./liveness/LivenessLoop.ts"
export * as Probe from "./liveness/Probe.ts"
export * as Reachability from "./liveness/Reachability.ts"
export * as HostStates from "./storage/HostStates.ts"
export * as Outbox from "./storage/Outbox.ts"
export * as Scans from "./storage/Scans.ts"
export * as Storage from "./storage/Storage.ts"
