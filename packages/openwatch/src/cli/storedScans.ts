/**
 * The scans in the database, for commands that only read them.
 */
import { Effect, Layer } from "effect"
import { SystemEventBus } from "../events/SystemEventBus.ts"
import * as Outboxes from "../storage/Outboxes.ts"
import * as Scans from "../storage/Scans.ts"
import * as StorageOptions from "./storageOptions.ts"

/** Gives an effect the scans of the database that the flag and the environment name. */
export const withScans = (data: string) => <A, E>(effect: Effect.Effect<A, E, Scans.Scans>) =>
  effect.pipe(
    Effect.provide(
      Scans.layer.pipe(
        Layer.provide(Outboxes.system()),
        Layer.provide(SystemEventBus.layer),
        Layer.provide(StorageOptions.layer(data, { mustExist: true }))
      )
    )
  )
