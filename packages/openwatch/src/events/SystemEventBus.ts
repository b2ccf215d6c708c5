/**
 * The one bus of OpenWatch. What notices something publishes here, what reacts subscribes here, and neither knows the
 * other.
 *
 * The bus is dispatch to who listens now. It is no audit trail: an event that nobody subscribed to is gone.
 */
import { EventBus } from "@openwatch/event-bus"
import { DriftDetected } from "./DriftDetected.ts"
import { HeartbeatPulse } from "./HeartbeatPulse.ts"

/** The bus that carries the closed set of OpenWatch's events. */
export class SystemEventBus extends EventBus.Service<SystemEventBus>()("@openwatch/SystemEventBus", {
  events: [HeartbeatPulse, DriftDetected]
}) {}

/** Every kind of event there is: a closed set of two. */
export const AllEventKinds = SystemEventBus.kinds

/** The kind of an event: its `_tag`. */
export type EventKind = (typeof AllEventKinds)[number]
