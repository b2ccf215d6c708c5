/**
 * A typed, in-process event bus for Effect.
 *
 * @module
 */
export * as EventBus from "./EventBus.ts"
export type { Loss, Overflow, State, Subscription, SubscriptionHandle, SubscriptionSnapshot } from "./Subscription.ts"
