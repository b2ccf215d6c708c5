/**
 * The bus of a house with doors and thermometers. The examples of these pages run on it.
 */
import { EventBus } from "@openwatch/event-bus"
import { DateTime, Schema } from "effect"

export class DoorOpened extends Schema.TaggedClass<DoorOpened>()("DoorOpened", {
  door: Schema.String,
  occurredAt: Schema.DateTimeUtc
}) {}

export class TemperatureMeasured extends Schema.TaggedClass<TemperatureMeasured>()("TemperatureMeasured", {
  celsius: Schema.Finite,
  occurredAt: Schema.DateTimeUtc
}) {}

export class HouseBus extends EventBus.Service<HouseBus>()("example/HouseBus", {
  events: [DoorOpened, TemperatureMeasured]
}) {}

export const doorOpened = (door: string): DoorOpened => new DoorOpened({ door, occurredAt: DateTime.nowUnsafe() })

export const measured = (celsius: number): TemperatureMeasured =>
  new TemperatureMeasured({ celsius, occurredAt: DateTime.nowUnsafe() })
