/**
 * A process that handles doors: `node handler-process.ts <server> <file>` writes the number of each to the file.
 */
import { NatsBridge } from "@openwatch/event-bus-nats"
import { Effect, Layer } from "effect"
import { appendFileSync } from "node:fs"
import { HouseBus } from "./house.ts"

const [server, file] = process.argv.slice(2)

const router = Layer.effectDiscard(Effect.gen(function*() {
  const bus = yield* HouseBus
  yield* bus.on(
    "DoorOpened",
    (event) => Effect.andThen(Effect.yieldNow, Effect.sync(() => appendFileSync(file!, `${event.door}\n`))),
    { name: "router" }
  )
}))

const bridge = NatsBridge.layer(HouseBus, {
  servers: server!,
  subject: "house",
  source: "second",
  mode: "jetstream",
  import: ["DoorOpened"],
  handledBy: "router",
  ackWait: "1 second"
})

Effect.runFork(Layer.launch(bridge.pipe(Layer.provide(router), Layer.provide(HouseBus.layer))))
