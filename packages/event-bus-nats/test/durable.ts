/**
 * The outbox of the tests' house.
 */
import { Outbox } from "@openwatch/event-bus-sql"
import { HouseBus } from "./house.ts"

export class HouseOutbox extends Outbox.Service<HouseOutbox>()("test/HouseOutbox", {
  bus: HouseBus,
  keys: { DoorOpened: ({ door }) => String(door % 10), LightSwitched: ({ light }) => light }
}) {}

/** In a file. A process of it is not waited for after it was killed: the test sees to it that there is one at a time. */
export const houseOutbox = HouseOutbox.layerWith({ process: "house" })
