/**
 * The buses of the tests, and how they wait for what crosses a network.
 */
import { EventBus } from "@openwatch/event-bus"
import { NatsBridge } from "@openwatch/event-bus-nats"
import { Context, DateTime, Effect, Layer, Logger, Schedule, Schema, type Scope } from "effect"

export class DoorOpened extends Schema.TaggedClass<DoorOpened>()("DoorOpened", {
  door: Schema.Number,
  occurredAt: Schema.DateTimeUtc
}) {}

export class LightSwitched extends Schema.TaggedClass<LightSwitched>()("LightSwitched", {
  light: Schema.String,
  isOn: Schema.Boolean,
  occurredAt: Schema.DateTimeUtc
}) {}

export class HouseBus extends EventBus.Service<HouseBus>()("test/HouseBus", { events: [DoorOpened, LightSwitched] }) {}

export type House = HouseBus["Service"]

const occurredAt = DateTime.makeUnsafe("2026-03-04T05:06:07.089Z")

export const door = (n: number): DoorOpened => new DoorOpened({ door: n, occurredAt })
export const doors = (from: number, count: number): ReadonlyArray<DoorOpened> =>
  Array.from({ length: count }, (_, i) => door(from + i))
export const light = (name: string, isOn = true): LightSwitched => new LightSwitched({ light: name, isOn, occurredAt })

export const makeBus: Effect.Effect<House, never, Scope.Scope> = Effect.map(
  Layer.build(HouseBus.layer),
  (context) => Context.get(context, HouseBus)
)

export type BridgeOptions = NatsBridge.Options<"DoorOpened" | "LightSwitched", DoorOpened | LightSwitched>

export const bridge = (
  bus: House,
  options: Omit<BridgeOptions, "subject" | "mode"> & Partial<BridgeOptions>
): Effect.Effect<NatsBridge.NatsBridge, NatsBridge.NatsBridgeError, Scope.Scope> =>
  loudBridge(bus, options).pipe(Effect.provide(Logger.layer([])))

/** With whatever loggers there are. */
export const loudBridge: typeof bridge = (bus, options) =>
  Effect.provideService(
    NatsBridge.make(HouseBus, { subject: "house", mode: "jetstream", ...options }),
    HouseBus,
    bus
  )

/** The numbers of the doors that a bus saw, from now on. */
export const seen = (bus: House): Effect.Effect<ReadonlyArray<number>, never, Scope.Scope> =>
  Effect.gen(function*() {
    const numbers: Array<number> = []
    yield* bus.on("DoorOpened", (event) => Effect.sync(() => numbers.push(event.door)), {
      name: "seen",
      bufferSize: 100_000
    })
    return numbers
  })

/** Looks until it holds. A test that waits for what never comes ends by its own time limit. */
export const eventually = <A>(look: Effect.Effect<A>, holds: (value: A) => boolean): Effect.Effect<A> =>
  Effect.flatMap(look, (value) => holds(value) ? Effect.succeed(value) : Effect.fail("not yet" as const)).pipe(
    Effect.retry(Schedule.spaced("5 millis")),
    Effect.orDie
  )

export const eventuallyTrue = (holds: () => boolean): Effect.Effect<void> =>
  Effect.asVoid(eventually(Effect.sync(holds), (value) => value))

/** The counters of a bridge add up, whenever they are looked at. */
export const addsUp = ({ export: out, import: into }: NatsBridge.Health): boolean =>
  out.offered === out.exported + out.rejected + out.lost + out.dropped + out.buffered &&
  into.received === into.imported + into.ignored + into.rejected + into.returned + into.waiting &&
  Math.min(...Object.values(out), ...Object.values(into)) >= 0
