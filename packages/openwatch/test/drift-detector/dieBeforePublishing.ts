/**
 * Takes in two scans, and is killed when the drift between them is about to be published: after it was stored.
 */
import { NodeServices } from "@effect/platform-node"
import { DriftDetector, SystemEventBus, TargetHosts } from "@openwatch/openwatch"
import { Effect, Layer } from "effect"
import { base, drifted, stored } from "./fixture.ts"

const deadly = Layer.effect(
  SystemEventBus,
  Effect.map(
    SystemEventBus,
    (bus) => SystemEventBus.of({ ...bus, publish: () => Effect.sync(() => process.kill(process.pid, "SIGKILL")) })
  )
).pipe(Layer.provide(SystemEventBus.layer))

const options = { hostOf: TargetHosts.make([]) }

await DriftDetector.importFile(base, options).pipe(
  Effect.andThen(DriftDetector.importFile(drifted, options)),
  Effect.provide(Layer.mergeAll(stored(process.argv[2]!), deadly).pipe(Layer.provideMerge(NodeServices.layer))),
  Effect.runPromise
)
