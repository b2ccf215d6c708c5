/**
 * For tests of applications: a bus that records what is published, and a way to wait until everything has been handled.
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
import { type DateTime, Effect, Layer } from "effect"
import type { AnyEvent, EventBus, EventOf, EventSchemas, Options, ServiceClass } from "./EventBus.ts"
import { BusImpl, scoped } from "./internal/bus.ts"
import { Face } from "./internal/face.ts"
import { readLate } from "./internal/traced.ts"

/**
 * An event that was published, and when, by `Clock`.
 */
export interface Published<out Event> {
  readonly event: Event
  /** When it was published; `event.occurredAt` says when it happened. */
  readonly at: DateTime.Utc
}

class RecordingBus extends BusImpl {
  readonly recorded: Array<Published<AnyEvent>> = []

  protected override onPublished(event: AnyEvent): void {
    this.recorded.push({ event, at: this.now() })
  }
}

/**
 * Provides the bus as its own layer does, and also records what is published on it.
 *
 * **Example** (A recording bus with a small buffer)
 *
 * ```ts
 * import { EventBus } from "@openwatch/event-bus"
 * import { EventBusTest } from "@openwatch/event-bus/testing"
 * import { Effect, Schema } from "effect"
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
 *   const doors = yield* bus.subscribe({ kinds: ["DoorOpened"] })
 *   const { bufferSize } = yield* doors.snapshot
 *   return [bufferSize, yield* EventBusTest.published(HouseBus)]
 * }).pipe(Effect.scoped, Effect.provide(EventBusTest.layer(HouseBus, { bufferSize: 4 })))
 *
 * await Effect.runPromise(program) // => [4, []]
 * ```
 */
export const layer = <Self, Id extends string, Events extends EventSchemas>(
  service: ServiceClass<Self, Id, Events>,
  options: Options = {}
): Layer.Layer<Self> =>
  Layer.effect(
    service,
    scoped((context) =>
      new RecordingBus(service.key, service.Event.members, options, context)
    ) as unknown as Effect.Effect<EventBus<EventOf<Events>>>
  )

/**
 * Returns what was published so far, in order. If the bus does not come from {@link layer}, that is a defect.
 *
 * **Example** (What was published, and when)
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
 *   yield* bus.publish(new DoorOpened({ door: "Front door", occurredAt: DateTime.makeUnsafe(0) }))
 *   const published = yield* EventBusTest.published(HouseBus)
 *   return published.map(({ at, event }) => [event.door, DateTime.isDateTime(at)])
 * }).pipe(Effect.provide(EventBusTest.layer(HouseBus)))
 *
 * await Effect.runPromise(program) // => [["Front door", true]]
 * ```
 */
export const published = <Self, Id extends string, Events extends EventSchemas>(
  service: ServiceClass<Self, Id, Events>
): Effect.Effect<ReadonlyArray<Published<EventOf<Events>>>, never, Self> =>
  Effect.map(service, (bus: unknown) => {
    if (bus instanceof Face && bus.root instanceof RecordingBus) {
      // Of a view: what was published of its kinds, through whichever view of the bus.
      return bus.root.recorded.filter(({ event }) => bus.kinds.includes(readLate(event, "_tag") ?? ""))
    }
    throw new TypeError(
      `EventBus "${service.key}" records nothing: provide EventBusTest.layer instead of its own layer`
    )
  })

/**
 * Completes when the bus is idle. It calls `awaitIdle` of the provided bus. Nothing is polled, and no time passes.
 *
 * **Gotchas**
 *
 * A handler that sleeps waits for `TestClock`, and the bus is not idle until it wakes. Move the clock first, by
 * `TestClock.adjust`.
 *
 * The bus cannot see what a subscriber does with an event that it took itself, by `take` or `stream`.
 *
 * **Example** (Waiting for what a handler does)
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
 *   yield* bus.publish(new DoorOpened({ door: "Front door", occurredAt: yield* DateTime.now }))
 *   seen // => []
 *   yield* EventBusTest.awaitIdle(HouseBus)
 *   seen // => ["Front door"]
 * }).pipe(Effect.scoped, Effect.provide(HouseBus.layer))
 *
 * await Effect.runPromise(program)
 * ```
 */
export const awaitIdle = <Self, Id extends string, Events extends EventSchemas>(
  service: ServiceClass<Self, Id, Events>
): Effect.Effect<void, never, Self> => Effect.flatMap(service, (bus) => bus.awaitIdle)
