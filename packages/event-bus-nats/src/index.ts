/**
 * Carries the events of an event bus between processes, over NATS and NATS JetStream.
 *
 * @module
 */
export * as NatsBridge from "./NatsBridge.ts"
