/**
 * Databases that an earlier version has made. The rows are as `openwatch run` and `openwatch scan import` of that version have
 * written them.
 */
import { NodeServices } from "@effect/platform-node"
import { assert, describe, it } from "@effect/vitest"
import {
  type Alert,
  type AlertChannel,
  AlertChannels,
  AlertRouter,
  AlertStore,
  SqlAlertStore,
  SqlDeliveryStore,
  Storage
} from "@openwatch/openwatch"
import { Effect, Layer } from "effect"
import { Migrator, SqlClient } from "effect/sql"
import { migrations } from "../../src/storage/migrations.ts"
import { awaitIdle, Database, databases, outboxes } from "./Database.ts"

const host = "d3d8efaa-3bf5-5bde-a50f-ad4e796fdd11"

const alert = {
  id: "01a215ef-443a-76a8-a340-3046a2171685",
  type: "host_unreachable",
  severity: "high",
  host_id: host,
  dedup_key: `host_unreachable|${host}|`,
  title: "a (127.0.0.1:1) is unreachable: connection refused",
  tags: `{"severity":"high","alert_type":"host_unreachable","host_id":"${host}","host":"a"}`,
  occurred_at: 1_795_664_331_800,
  state: "active",
  resolved_at: null,
  repeats: 2,
  rule: "",
  details:
    `{"host":{"name":"a","address":"127.0.0.1:1"},"reason":{"code":"ConnectionRefused","text":"connection refused"}}`,
  fell_from: null
}

/** What was stored when the process was killed: the host is back, the score has fallen, and neither was taken in. */
const events = [
  `{"_tag":"HeartbeatPulse","hostId":"${host}","reachable":true,"priorReachable":false,"responseTimeMs":1.5,"change":"reachable",` +
  `"host":{"name":"a","address":"127.0.0.1:1"},"occurredAt":"2026-11-26T03:39:20.000Z"}`,
  `{"_tag":"DriftDetected","hostId":"a155b462-d468-572e-a64a-9ee89706b827","host":{"name":"web-01.example.org"},` +
  `"scanId":"f062bc63-13a5-54da-ac8e-f165db2cea53","series":{"benchmark":"os","profile":"cis"},"driftType":"major",` +
  `"priorScore":90.9090909090909,"currentScore":77.27272727272727,"scoreDelta":-13.63636363636364,"fellFrom":90.9090909090909,` +
  `"becameFailing":{"critical":0,"high":0,"medium":3,"low":0},"becamePassing":{"critical":0,"high":0,"medium":0,"low":0},` +
  `"occurredAt":"2026-11-26T03:39:27.438Z"}`
]

/** Before the outboxes. */
const formerVersion = 5

const former = Effect.gen(function*() {
  const sql = yield* SqlClient.SqlClient
  const steps = Object.fromEntries(
    Object.entries(migrations).filter(([name]) => parseInt(name, 10) <= formerVersion)
  )
  yield* Migrator.make({})({ loader: Migrator.fromRecord(steps), table: "openwatch_migrations" })
  const [row] = yield* sql<{ seq: number | bigint }>`INSERT INTO alerts ${sql.insert(alert)} RETURNING seq`
  for (const [channel, state] of [["console", "delivered"], ["gone", "given_up"], ["ops", "pending"]] as const) {
    yield* sql`INSERT INTO deliveries ${
      sql.insert({
        alert_seq: row!.seq,
        channel,
        state,
        attempts: 5,
        last_error: state === "delivered" ? null : "ECONNREFUSED"
      })
    }`
  }
  for (const event of events) yield* sql`INSERT INTO unannounced_events ${sql.insert({ origin: "former", event })}`
  yield* sql`INSERT INTO taken_events ${sql.insert({ event_id: "41d313c4-c8b1-5c2e-8076-7d5f719757ea" })}`
})

for (const { isPostgres, isSkipped, layer, name } of databases) {
  describe.skipIf(isSkipped)(`a database of an earlier version, on ${name}`, () => {
    it.layer(layer.pipe(Layer.provideMerge(NodeServices.layer)), {
      timeout: "60 seconds",
      excludeTestServices: isPostgres
    })((it) => {
      it.effect("what was stored and not taken in is, and what was due is sent, each once", () =>
        Effect.gen(function*() {
          const location = yield* (yield* Database).empty
          yield* Effect.provide(former, Storage.clientLayer(location))
          const sent: Array<readonly [string, Alert.Alert]> = []
          const channel = (name: string): AlertChannel => ({
            name,
            requiredTags: {},
            send: (alert) => Effect.sync(() => sent.push([name, alert]))
          })
          const run = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
            Effect.provide(
              effect,
              AlertRouter.layer().pipe(
                Layer.provide(AlertChannels.layer([channel("console"), channel("ops")])),
                Layer.provideMerge(Layer.mergeAll(SqlAlertStore.layer, SqlDeliveryStore.layer)),
                Layer.provideMerge(outboxes),
                Layer.provideMerge(Storage.layer(location)),
                Layer.fresh
              )
            )
          yield* run(Effect.gen(function*() {
            yield* awaitIdle
            assert.deepStrictEqual(sent.map(([name, alert]) => `${name} ${alert.type}`).toSorted(), [
              "console drift_major",
              "console host_recovered",
              "ops drift_major",
              "ops host_recovered",
              "ops host_unreachable"
            ])
            // The host's alerts in their order, the one that was due under its id.
            const ofHost = sent.filter(([name, { hostId }]) => name === "ops" && hostId === host).map(([, alert]) =>
              alert
            )
            assert.deepStrictEqual(ofHost.map(({ id }) => id)[0], alert.id)
            assert.strictEqual(ofHost[1]?.resolves, alert.id)

            const stored = yield* (yield* AlertStore.AlertStore).list()
            assert.deepStrictEqual(stored.map(({ alert, repeats, state }) => [alert.type, state, repeats]), [
              ["drift_major", "active", 0],
              ["host_recovered", "resolved", 0],
              ["host_unreachable", "resolved", 2]
            ])
            const first = stored.find(({ alert: { id } }) => id === alert.id)
            assert.deepStrictEqual(
              first?.deliveries.map(({ attempts, channel, state }) => [channel, state, attempts]),
              [
                ["console", "delivered", 5],
                ["gone", "given_up", 5],
                ["ops", "delivered", 6]
              ]
            )
          }))
          const before = sent.length
          yield* run(awaitIdle)
          assert.strictEqual(sent.length, before)
        }).pipe(Effect.scoped))
    })
  })
}
