/**
 * Takes in two scans, and is killed once the drift between them is stored: before anybody in this process hears of it.
 */
import { NodeServices } from "@effect/platform-node"
import { DriftDetector, TargetHosts } from "@openwatch/openwatch"
import { Effect, Layer } from "effect"
import { SqlClient } from "effect/sql"
import { base, drifted, stored } from "./fixture.ts"

const options = { hostOf: TargetHosts.make([]) }

await Effect.gen(function*() {
  const sql = yield* SqlClient.SqlClient
  yield* DriftDetector.importFile(base, options)
  // Runs when the transaction of the second scan has committed, before its event is read.
  const transaction = sql.withTransaction
  Object.assign(sql, {
    withTransaction: (effect: Effect.Effect<unknown>) =>
      Effect.tap(transaction(effect), Effect.sync(() => process.kill(process.pid, "SIGKILL")))
  })
  yield* DriftDetector.importFile(drifted, options)
}).pipe(
  Effect.provide(stored(process.argv[2]!).pipe(Layer.provideMerge(NodeServices.layer))),
  Effect.runPromise
)
