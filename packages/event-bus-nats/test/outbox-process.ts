/**
 * A process that stores doors and sends them from its outbox: `node outbox-process.ts <server> <file> <from> <count>`. It prints
 * a line when they are stored, and runs on.
 */
import { NatsBridge } from "@openwatch/event-bus-nats"
import * as NodeSqlite from "@openwatch/event-bus-sql/NodeSqlite"
import { Console, Effect, Layer } from "effect"
import { HouseOutbox, houseOutbox } from "./durable.ts"
import { doors, HouseBus } from "./house.ts"

const [server, file, from, count] = process.argv.slice(2)

const bridge = Layer.unwrap(Effect.map(HouseOutbox, (outbox) =>
  NatsBridge.layer(HouseBus, {
    servers: server!,
    subject: "house",
    source: "house",
    mode: "jetstream",
    export: ["DoorOpened"],
    outbox,
    exportOrder: "key"
  })))

const storing = Layer.effectDiscard(Effect.gen(function*() {
  const outbox = yield* HouseOutbox
  // A natural key: it is that of another kind's event, too.
  for (const door of doors(Number(from), Number(count))) yield* outbox.publish(door, { id: `door ${door.door}` })
  yield* Console.log("stored")
}))

Effect.runFork(Layer.launch(
  storing.pipe(
    Layer.provide(bridge),
    Layer.provide(houseOutbox),
    Layer.provide(HouseBus.layer),
    Layer.provide(NodeSqlite.layer(file!))
  )
))
