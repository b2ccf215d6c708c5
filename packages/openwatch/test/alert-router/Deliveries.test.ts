/**
 * What a channel is sent while the database is kept from it.
 */
import { NodeServices } from "@effect/platform-node"
import { assert, describe, it } from "@effect/vitest"
import {
  type AlertChannel,
  AlertChannels,
  AlertRouter,
  HeartbeatPulse,
  hostIdFromName,
  Outboxes,
  SqlAlertStore,
  SqlDeliveryStore,
  Storage,
  SystemEventBus,
  SystemOutbox
} from "@openwatch/openwatch"
import { DateTime, Deferred, Effect, Fiber, FileSystem, Latch, Layer, Logger } from "effect"
import { SqlClient } from "effect/sql"
import { TestClock } from "effect/testing"
import { storeIn } from "../../src/events/SystemOutbox.ts"

const pass = (seconds: number) =>
  Effect.repeat(
    Effect.andThen(Effect.repeat(Effect.yieldNow, { times: 50 }), TestClock.adjust("1 second")),
    { times: seconds - 1 }
  )

describe("an alert", () => {
  it.effect("is sent once, though a transaction of half a minute keeps that from being stored", () =>
    Effect.gen(function*() {
      const fs = yield* FileSystem.FileSystem
      const path = yield* fs.makeTempDirectoryScoped()
      const isSending = yield* Deferred.make<void>()
      const isSent = yield* Latch.make()
      let count = 0
      const channel: AlertChannel = {
        name: "on-call",
        requiredTags: {},
        send: () => {
          count++
          return Effect.andThen(Deferred.succeed(isSending, undefined), isSent.await)
        }
      }
      const layer = AlertRouter.layer().pipe(
        Layer.provide(AlertChannels.layer([channel])),
        Layer.provideMerge(Layer.mergeAll(SqlAlertStore.layer, SqlDeliveryStore.layer, Outboxes.layer())),
        Layer.provide(SystemEventBus.layer),
        Layer.provideMerge(Storage.layer({ _tag: "DataFolder", path }))
      )
      yield* Effect.gen(function*() {
        const sql = yield* SqlClient.SqlClient
        const down = new HeartbeatPulse({
          hostId: hostIdFromName("web-1"),
          reachable: false,
          priorReachable: true,
          responseTimeMs: 0,
          occurredAt: yield* DateTime.now
        })
        yield* storeIn(yield* SystemOutbox)(down)
        const passing = yield* Effect.forkChild(pass(5))
        yield* Deferred.await(isSending)
        yield* Fiber.join(passing)
        const long = yield* Effect.forkChild(sql.withTransaction(Effect.sleep("30 seconds")), {
          startImmediately: true
        })
        yield* Effect.andThen(isSent.open, pass(60))
        yield* Fiber.join(long)
        const [delivery] = yield* sql`SELECT state FROM deliveries`
        assert.deepStrictEqual([delivery?.["state"], count], ["delivered", 1])
      }).pipe(Effect.provide(layer))
    }).pipe(Effect.scoped, Effect.provide([NodeServices.layer, Logger.layer([])])))
})
