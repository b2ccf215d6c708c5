/**
 * A typed, in-process event bus for Effect.
 *
 * @module
 */
/**
 * What declares, makes and types event buses. An application begins with {@link EventBus.Service}, which declares its bus; a
 * part of it takes an {@link EventBus.EventBus}, or the {@link EventBus.Publisher} or {@link EventBus.Subscriber} half of one.
 */
export * as EventBus from "./EventBus.ts"
export type { Loss, Overflow, State, Subscription, SubscriptionHandle, SubscriptionSnapshot } from "./Subscription.ts"
