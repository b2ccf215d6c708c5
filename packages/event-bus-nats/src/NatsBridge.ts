/**
 * A bridge beside an event bus: it sends some kinds of events to a NATS server, and publishes on the bus what other
 * processes sent there.
 *
 * **What is delivered**
 *
 * - `mode: "core"`: at most once. A process that is not connected never gets what is sent meanwhile. What was on its
 *   way when a connection broke is counted as lost.
 * - `mode: "jetstream"`: an event is *accepted* once the server has stored it, and counts as exported only then. From
 *   there it reaches every importing bus at least once, also if its process was down meanwhile. Until then it waits in
 *   the export buffer of its process. That buffer is bounded, and counts what it drops.
 *
 * A process never imports what it exported, and never exports what it imported. So processes may import from each other
 * in a ring. The events of one sender arrive in the order of sending, unless one of them had to be sent again.
 *
 * **When to use**
 *
 * When parts of one application run in several processes or on several machines, and events of one must reach the
 * others. Inside one process the bus is enough. A request that needs a reply is not an event, and neither is state that
 * must be queried.
 *
 * **Gotchas**
 *
 * The bridge publishes and subscribes. So subscribers start before it and publishers after it, as in
 * `publishers.pipe(Layer.provideMerge(bridge), Layer.provideMerge(subscribers), Layer.provideMerge(bus))`.
 */
import type { EventBus } from "@openwatch/event-bus"
import { Context, Effect, Layer, Option, type Scope } from "effect"
import type { Health } from "./Health.ts"
import { makeBridge } from "./internal/bridge.ts"
import { type Origin, originOf as originOfEvent } from "./internal/cloudEvent.ts"
import type { NatsBridgeError } from "./NatsBridgeError.ts"
import type { Options } from "./Options.ts"

export type { Health } from "./Health.ts"
export type { Origin } from "./internal/cloudEvent.ts"
export { NatsBridgeError } from "./NatsBridgeError.ts"
export type { Credentials, ExportOutbox, Options, Stream, Tls } from "./Options.ts"

// -----------------------------------------------------------------------------
// The bridge
// -----------------------------------------------------------------------------

/**
 * A running bridge.
 */
export interface NatsBridge {
  readonly health: Effect.Effect<Health>
}

/**
 * The service of a running bridge.
 */
export const NatsBridge: Context.Service<NatsBridge, NatsBridge> = Context.Service<NatsBridge>(
  "@openwatch/event-bus-nats/NatsBridge"
)

/**
 * Makes a bridge that lives as long as the scope.
 *
 * **When to use**
 *
 * For a second bridge in one process. Make the first one with {@link layer}.
 *
 * **Details**
 *
 * Returns after the first attempt to connect. If that succeeded, the bridge sends and receives from then on. When the
 * scope closes, the bridge stops importing. It sends what waits to be sent, and waits for what is being handled, for at
 * most `drain`. Then it closes its connection.
 */
export const make = <Self, Id extends string, Events extends EventBus.EventSchemas>(
  bus: EventBus.ServiceClass<Self, Id, Events>,
  options: Options<EventBus.KindsOf<Events>[number], EventBus.EventOf<Events>>
): Effect.Effect<NatsBridge, NatsBridgeError, Self | Scope.Scope> =>
  Effect.flatMap(
    bus,
    (service) =>
      makeBridge(bus, service as unknown as EventBus.EventBus<EventBus.AnyEvent>, options as unknown as Options)
  )

/**
 * Runs a bridge beside a bus.
 *
 * **Example** (Two processes)
 *
 * ```ts
 * import { EventBus } from "@openwatch/event-bus"
 * import { NatsBridge } from "@openwatch/event-bus-nats"
 * import { Console, DateTime, Effect, Layer, Schema } from "effect"
 *
 * class DoorOpened extends Schema.TaggedClass<DoorOpened>()("DoorOpened", {
 *   door: Schema.String,
 *   occurredAt: Schema.DateTimeUtc
 * }) {}
 *
 * class HouseBus extends EventBus.Service<HouseBus>()("example/HouseBus", { events: [DoorOpened] }) {}
 *
 * const doors = NatsBridge.layer(HouseBus, {
 *   servers: "nats://127.0.0.1:4222",
 *   subject: "house",
 *   source: "doors",
 *   mode: "jetstream",
 *   export: ["DoorOpened"]
 * })
 *
 * const hall = NatsBridge.layer(HouseBus, {
 *   servers: "nats://127.0.0.1:4222",
 *   subject: "house",
 *   source: "hall",
 *   mode: "jetstream",
 *   import: ["DoorOpened"],
 *   handledBy: "doorbell"
 * })
 *
 * const doorbell = Layer.effectDiscard(Effect.gen(function*() {
 *   const bus = yield* HouseBus
 *   yield* bus.on("DoorOpened", (event) => Console.log(`${event.door} is open`), { name: "doorbell" })
 * }))
 *
 * const openADoor = Layer.effectDiscard(Effect.gen(function*() {
 *   const bus = yield* HouseBus
 *   yield* bus.publish(new DoorOpened({ door: "Front door", occurredAt: yield* DateTime.now }))
 * }))
 *
 * // Each of these is a process of its own.
 * export const firstProcess = openADoor.pipe(Layer.provide(doors), Layer.provide(HouseBus.layer))
 * export const secondProcess = hall.pipe(
 *   Layer.provide(doorbell),
 *   Layer.provide(HouseBus.layerWith({ drain: "10 seconds" }))
 * )
 * ```
 */
export const layer = <Self, Id extends string, Events extends EventBus.EventSchemas>(
  bus: EventBus.ServiceClass<Self, Id, Events>,
  options: Options<EventBus.KindsOf<Events>[number], EventBus.EventOf<Events>>
): Layer.Layer<NatsBridge, NatsBridgeError, Self> => Layer.effect(NatsBridge, make(bus, options))

/**
 * The state and the counters of the bridge in the context.
 */
export const health: Effect.Effect<Health, never, NatsBridge> = Effect.flatMap(NatsBridge, (bridge) => bridge.health)

/**
 * Returns where an event came from, if a bridge of this process imported it. A handler that must not act twice uses it
 * to recognize an event that is delivered again.
 */
export const originOf = (event: EventBus.AnyEvent): Option.Option<Origin> =>
  Option.fromUndefinedOr(originOfEvent(event))
