/**
 * The id of an event is made of its content. So an event has the same id when it is published again after a crash, and
 * in every process that a bridge brings it to.
 */
import { Schema } from "effect"
import { v5 } from "uuid"
import { SystemEventBus } from "./SystemEventBus.ts"

/** An event as text. It is the same text for the same event, also after it was sent as JSON and read again. */
export const EventText = Schema.fromJsonString(SystemEventBus.EventJson)

const encode = Schema.encodeSync(EventText)

/**
 * The namespace (RFC 9562 section 6.6) of event ids. It never changes: with another one, every event that is delivered once
 * more would be taken for a new one.
 */
const eventNamespace = "6c0f5f0e-3c3b-4c53-9d6b-0a8a4a1b7f52"

/** The id of an event: the UUIDv5 (RFC 9562 section 5.5) of its text. */
export const eventIdOf = (event: typeof SystemEventBus.Event.Type): string => v5(encode(event), eventNamespace)
