import { assert, describe, it } from "@effect/vitest"
import { connect } from "@nats-io/transport-node"
import { Effect, Exit, Latch, Metric, Scope } from "effect"
import { addsUp, bridge, door, doors, eventually, makeBus } from "./house.ts"
import * as NatsServer from "./NatsServer.ts"

/** What the registry has of the bridge of this source, by name, without what all names have in common. */
const metricsOf = (source: string) =>
  Effect.map(Metric.snapshot, (snapshots) =>
    Object.fromEntries(
      snapshots.flatMap(({ attributes, id, state }) =>
        attributes?.["source"] !== source || attributes["bus"] !== "test/HouseBus"
          ? []
          : [[
            id.replace("event_bus_nats_", ""),
            "count" in state ? Number(state.count) : "value" in state ? state.value : "?"
          ]]
      )
    ))

describe.skipIf(!NatsServer.isInstalled)("metrics", () => {
  it.live("the registry has what `health` says, and forgets it with the bridge", () =>
    Effect.gen(function*() {
      const server = yield* NatsServer.make()
      const first = yield* makeBus
      const second = yield* makeBus
      const latch = yield* Latch.make()
      yield* second.on("DoorOpened", () => latch.await, { name: "router", bufferSize: 2 })
      const kinds = ["DoorOpened"] as const
      const scope = yield* Scope.make()
      const out = yield* Scope.provide(
        bridge(first, { servers: server.url, source: "out", export: kinds, bufferSize: 4, drain: "10 millis" }),
        scope
      )
      for (let i = 0; i < 20; i++) {
        yield* first.publish(door(i))
        yield* eventually(out.health, (health) => health.export.exported === i + 1)
      }

      // Two are held back by a handler that waits, the others wait in the stream.
      const into = yield* Scope.provide(
        bridge(second, { servers: server.url, source: "in", import: kinds, handledBy: "router", drain: "10 millis" }),
        scope
      )
      yield* eventually(into.health, ({ import: { received } }) => received === 2)
      const held = yield* into.health
      assert.isTrue(addsUp(held))
      assert.deepStrictEqual(yield* metricsOf("in"), {
        exported_total: 0,
        export_rejected_total: 0,
        export_dropped_total: 0,
        export_lost_total: 0,
        imported_total: held.import.imported,
        import_rejected_total: 0,
        reconnects_total: 0,
        buffered: 0,
        unhandled: held.import.unhandled,
        lag: 18,
        connected: 1
      })
      yield* latch.open
      yield* eventually(into.health, ({ import: { imported, unhandled } }) => imported === 20 && unhandled === 0)
      assert.deepInclude(yield* metricsOf("in"), { imported_total: 20, unhandled: 0, lag: 0 })

      // No server: some wait, the rest finds no room.
      yield* server.kill
      yield* eventually(out.health, ({ status }) => status !== "connected")
      yield* first.publishAll(doors(20, 1000))
      const away = yield* eventually(out.health, ({ export: { dropped, offered } }) => offered === 1020 && dropped > 0)
      assert.isTrue(addsUp(away))
      assert.deepInclude(yield* metricsOf("out"), {
        exported_total: 20,
        export_dropped_total: away.export.dropped,
        buffered: away.export.buffered,
        connected: 0
      })
      yield* server.start()
      yield* eventually(out.health, (health) => health.export.buffered === 0)
      assert.deepInclude(yield* metricsOf("out"), {
        exported_total: 20 + away.export.buffered,
        reconnects_total: 1,
        buffered: 0,
        connected: 1
      })

      // What cannot be sent, and what cannot be taken in.
      yield* first.publish(Object.assign(door(0), { door: "no number" as never }))
      yield* eventually(out.health, (health) => health.export.rejected === 1)
      assert.deepInclude(yield* metricsOf("out"), { export_rejected_total: 1 })
      const nats = yield* Effect.acquireRelease(
        Effect.promise(() => connect({ servers: server.url })),
        (nats) => Effect.promise(() => nats.close())
      )
      nats.publish("house.DoorOpened", "no event")
      yield* eventually(into.health, (health) => health.import.rejected === 1)
      assert.deepInclude(yield* metricsOf("in"), { import_rejected_total: 1 })

      yield* Scope.close(scope, Exit.void)
      assert.deepStrictEqual([yield* metricsOf("out"), yield* metricsOf("in")], [{}, {}])
    }))
})
