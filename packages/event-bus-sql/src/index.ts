/**
 * Durable events beside an event bus: stored in the transaction of the state that they tell of, and handled at least once
 * by named consumers.
 *
 * @module
 */
export * as Outage from "./Outage.ts"
export * as Outbox from "./Outbox.ts"
