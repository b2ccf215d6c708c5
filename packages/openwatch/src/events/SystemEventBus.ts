/**
 * The bus of OpenWatch. Parts that notice something publish here, and parts that react subscribe here. Neither knows
 * the other.
 *
 * An event reaches those who are subscribed at that moment. What must not be lost is published through `SystemOutbox`.
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
