/**
 * A typed, in-process event bus for Effect.
 *
 * @module
 */
/**
 * Declares and makes event buses, and has their types. An application begins with {@link EventBus.Service}, which
 * declares its bus. A part of it takes an {@link EventBus.EventBus}, or only the {@link EventBus.Publisher} or {@link
 * EventBus.Subscriber} half of one.
 */
export * as EventBus from "./EventBus.ts"
export type { Loss, Overflow, State, Subscription, SubscriptionHandle, SubscriptionSnapshot } from "./Subscription.ts"
