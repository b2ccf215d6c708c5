/**
 * A page and an HTTP API that show an event bus live.
 *
 * @module
 */
export { FleetView } from "./FleetView.ts"
export * as Inspector from "./Inspector.ts"
export * as InspectorApi from "./InspectorApi.ts"
export type { OutboxLetterKey, OutboxView } from "./OutboxView.ts"
