/**
 * What a test of an application on a bus needs: what was published, and a moment when everything has been handled.
 *
 * **Example** (A test of a part that publishes and of one that reacts)
 *
 * ```ts
 * import { EventBus } from "@openwatch/event-bus"
 * import { EventBusTest } from "@openwatch/event-bus/testing"
 * import { DateTime, Effect, Schema } from "effect"
 *
 * class DoorOpened extends Schema.TaggedClass<DoorOpened>()("DoorOpened", {
 *   door: Schema.String,
 *   occurredAt: Schema.DateTimeUtc
 * }) {}
 *
 * class HouseBus extends EventBus.Service<HouseBus>()("example/HouseBus", { events: [DoorOpened] }) {}
 *
 * const program = Effect.gen(function*() {
 *   const bus = yield* HouseBus
 *   const seen: Array<string> = []
 *   yield* bus.on("DoorOpened", (event) => Effect.sync(() => seen.push(event.door)))
 *
 *   yield* bus.publish(new DoorOpened({ door: "Front door", occurredAt: yield* DateTime.now }))
 *   yield* EventBusTest.awaitIdle(HouseBus)
 *
 *   seen // => ["Front door"]
 *   const published = yield* EventBusTest.published(HouseBus)
 *   published.length // => 1
 * }).pipe(Effect.scoped, Effect.provide(EventBusTest.layer(HouseBus)))
 *
 * await Effect.runPromise(program)
 * ```
 */
import { Clock, Context, DateTime, Effect, Layer } from "effect"
import type { AnyEvent, EventBus, EventOf, EventSchemas, Options, ServiceClass } from "./EventBus.ts"
import { BusImpl, scoped } from "./internal/bus.ts"

/**
 * An event that was published, and when, by `Clock`.
 */
export interface Published<out Event> {
  readonly event: Event
  readonly at: DateTime.Utc
}

class RecordingBus extends BusImpl {
  readonly recorded: Array<Published<AnyEvent>> = []
  private readonly clock: Clock.Clock

  constructor(name: string, kinds: ReadonlyArray<string>, options: Options, context: Context.Context<never>) {
    super(name, kinds, options, context)
    this.clock = Context.get(context, Clock.Clock)
  }

  protected override onPublished(event: AnyEvent): void {
    this.recorded.push({ event, at: DateTime.makeUnsafe(this.clock.currentTimeMillisUnsafe()) })
  }
}

/**
 * Provides the bus as its own layer does, and records what is published on it.
 */
export const layer = <Self, Id extends string, Events extends EventSchemas>(
  service: ServiceClass<Self, Id, Events>,
  options: Options = {}
): Layer.Layer<Self> =>
  Layer.effect(
    service,
    scoped((context) =>
      new RecordingBus(service.key, service.kinds as ReadonlyArray<string>, options, context)
    ) as unknown as Effect.Effect<EventBus<EventOf<Events>>>
  )

/**
 * What was published so far, in order. A defect if the bus is not that of {@link layer}.
 */
export const published = <Self, Id extends string, Events extends EventSchemas>(
  service: ServiceClass<Self, Id, Events>
): Effect.Effect<ReadonlyArray<Published<EventOf<Events>>>, never, Self> =>
  Effect.map(service, (bus: unknown) => {
    if (bus instanceof RecordingBus) return Array.from(bus.recorded)
    throw new TypeError(
      `EventBus "${service.key}" records nothing: provide EventBusTest.layer instead of its own layer`
    )
  })

/**
 * Completes when the bus is idle: no `on` subscription has an event pending or a handler running, and nobody who waits in
 * a take has something to take. Nothing is polled and no time passes.
 *
 * **Gotchas**
 *
 * A handler that waits for the `TestClock` is running: adjust the clock first, or fork this and then adjust it. What a
 * subscriber does with an event after taking it itself (`take`, `stream`) cannot be seen.
 */
export const awaitIdle = <Self, Id extends string, Events extends EventSchemas>(
  service: ServiceClass<Self, Id, Events>
): Effect.Effect<void, never, Self> =>
  Effect.flatMap(service, (bus: unknown) => {
    if (bus instanceof BusImpl) return bus.awaitIdle
    throw new TypeError(`EventBus "${service.key}" is not a bus of this package: it cannot tell when it is idle`)
  })
