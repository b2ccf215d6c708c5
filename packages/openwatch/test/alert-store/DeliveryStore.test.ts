import { NodeServices } from "@effect/platform-node"
import { assert, describe, it } from "@effect/vitest"
import {
  AlertEnded,
  AlertRaised,
  AlertStore,
  DeliveryStore,
  HeartbeatPulse,
  hostIdFromName,
  SqlAlertStore,
  SqlDeliveryStore,
  Storage
} from "@openwatch/openwatch"
import { DateTime, Duration, Effect, Layer } from "effect"
import { TestClock } from "effect/testing"
import { fromEvent } from "../../src/alert-router/Alert.ts"
import { Database, databases } from "../storage/Database.ts"

const publishedAt = DateTime.makeUnsafe(5_000)
const asIs = { publishedAt, isRequeued: false }

let ids = 0

/** Stores the alert that a host is unreachable, to be sent to these channels. */
const raise = Effect.fnUntraced(function*(name: string, channels: ReadonlyArray<string>) {
  const event = new HeartbeatPulse({
    hostId: hostIdFromName(name),
    reachable: false,
    priorReachable: true,
    responseTimeMs: 0,
    occurredAt: DateTime.makeUnsafe(1_000)
  })
  const id = `01936b0e-0000-7000-8000-${String(++ids).padStart(12, "0")}`
  const submission = { ...fromEvent(event, { id, hostLabel: name }), event, channels, timeToLive: Duration.minutes(60) }
  const { raised } = yield* (yield* AlertStore.AlertStore).submit(submission)
  return new AlertRaised({ alert: raised!.alert, channels, occurredAt: event.occurredAt })
})

const endOf = ({ alert, channels }: AlertRaised) =>
  new AlertEnded({
    alert,
    how: "removed",
    who: "openwatch",
    why: "it is not watched any more",
    channels,
    occurredAt: DateTime.makeUnsafe(3_000)
  })

const listed = Effect.flatMap(AlertStore.AlertStore, (store) => store.list())
const deliveries = Effect.map(listed, ([stored]) => stored!.deliveries)
const states = Effect.map(deliveries, (all) => all.map(({ state }) => state))

/** Runs with the stores of a new database. */
const withStores = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
  Effect.gen(function*() {
    const location = yield* (yield* Database).empty
    return yield* Effect.provide(
      effect,
      Layer.mergeAll(SqlAlertStore.layer, SqlDeliveryStore.layer).pipe(
        Layer.provide(Storage.layer(location)),
        Layer.fresh
      )
    )
  }).pipe(Effect.scoped)

/** Reopened without a word to anybody. */
const untold = () => Effect.void

for (const { isPostgres, isSkipped, layer, name } of databases) {
  describe.skipIf(isSkipped)(`deliveries on ${name}`, () => {
    it.layer(layer.pipe(Layer.provideMerge(NodeServices.layer)), {
      timeout: "60 seconds",
      excludeTestServices: isPostgres
    })((it) => {
      it.effect("an alert is due to a channel until an attempt ends that, and its attempts are counted", () =>
        Effect.gen(function*() {
          const store = yield* DeliveryStore.DeliveryStore
          const down = yield* raise("web", ["ops", "console"])
          const state = (channel: string) => Effect.map(store.due(down, channel, asIs), (due) => due?.state)
          assert.deepStrictEqual([yield* state("ops"), yield* state("other")], ["pending", undefined])
          yield* store.recordAttempt([down], "ops", { state: "pending", lastError: "no" })
          assert.strictEqual(yield* state("ops"), "pending")
          yield* store.recordAttempt([down], "ops", { state: "given_up", lastError: "no" })
          assert.strictEqual(yield* state("ops"), "given_up")
          assert.strictEqual(yield* state("console"), "pending")
          assert.deepStrictEqual(yield* deliveries, [
            { channel: "console", state: "pending", attempts: 0, lastError: undefined },
            { channel: "ops", state: "given_up", attempts: 2, lastError: "no" }
          ])
        }).pipe(withStores))

      it.effect("the end of an alert is a delivery of its own, made when a channel meets it", () =>
        Effect.gen(function*() {
          const store = yield* DeliveryStore.DeliveryStore
          const down = yield* raise("web", ["ops"])
          const end = endOf(down)
          yield* store.recordAttempt([down], "ops", { state: "delivered" })
          assert.deepInclude(yield* store.due(end, "ops", asIs), { state: "pending", dueSince: 5_000 })
          yield* store.recordAttempt([end], "ops", { state: "given_up", lastError: "no" })
          assert.deepInclude(yield* store.due(end, "ops", asIs), { state: "given_up", lastError: "no" })
          assert.deepStrictEqual(yield* deliveries, [
            { channel: "ops", state: "delivered", attempts: 1, lastError: undefined },
            { channel: "ops", state: "given_up", attempts: 1, lastError: "no", isEnding: true }
          ])
          assert.deepStrictEqual(yield* store.reopen(down.alert.id, undefined, untold), {
            told: [end],
            refusal: undefined
          })
        }).pipe(withStores))

      it.effect("what was given up is due again from now on, by the whole id or its end; what was delivered is not", () =>
        Effect.gen(function*() {
          const store = yield* DeliveryStore.DeliveryStore
          const down = yield* raise("web", ["a", "b", "c", "d"])
          for (const channel of ["a", "b", "c"]) {
            yield* store.recordAttempt([down], channel, { state: "given_up", lastError: "no" })
          }
          yield* store.recordAttempt([down], "d", { state: "delivered" })
          const { dueSince } = (yield* store.due(down, "a", asIs))!
          yield* isPostgres ? Effect.sleep("5 millis") : TestClock.adjust("1 day")
          const again = yield* store.due(down, "a", { publishedAt, isRequeued: true })
          assert.strictEqual(again?.state, "pending")
          assert.isAbove(again!.dueSince, dueSince)
          assert.strictEqual((yield* store.due(down, "d", { publishedAt, isRequeued: true }))?.state, "delivered")

          assert.deepStrictEqual(yield* store.givenUp("b"), [down.alert.id])
          assert.deepStrictEqual(yield* store.givenUp("d"), [])
          const nothing = { told: [], refusal: undefined }
          assert.deepStrictEqual(yield* store.reopen(down.alert.id, "d", untold), nothing)
          const [reopened, ...others] = (yield* store.reopen(down.alert.id.slice(-12), undefined, untold))!.told
          assert.deepStrictEqual([reopened?._tag, reopened?.channels, others], ["AlertRaised", ["b", "c"], []])
          assert.deepStrictEqual(yield* states, ["pending", "pending", "pending", "delivered"])
          assert.deepStrictEqual(yield* store.reopen(down.alert.id, undefined, untold), nothing)
          assert.isUndefined(yield* store.reopen("01936b0e-0000-7000-8000-ffffffffffff", undefined, untold))
          // No wildcards.
          assert.isUndefined(yield* store.reopen("%".repeat(12), undefined, untold))
        }).pipe(withStores))

      it.effect("what is gathered is known after a restart, in its order, until it is delivered", () =>
        Effect.gen(function*() {
          const store = yield* DeliveryStore.DeliveryStore
          const web = yield* raise("web", ["mail", "ops"])
          const db = yield* raise("db", ["mail"])
          const end = endOf(db)
          yield* store.due(end, "mail", asIs)
          const gathered = Effect.map(store.gathered("mail"), (all) => all.map(({ told }) => told))
          assert.deepStrictEqual(yield* gathered, [])
          assert.isUndefined(yield* store.lastDeliveredAt("mail"))
          for (const told of [end, db, web]) yield* store.gather(told, "mail")
          assert.deepStrictEqual((yield* gathered).map(({ _tag, alert }) => [_tag, alert.hostId]), [
            ["AlertRaised", web.alert.hostId],
            ["AlertRaised", db.alert.hostId],
            ["AlertEnded", db.alert.hostId]
          ])
          assert.deepStrictEqual((yield* gathered)[2], end)
          yield* store.recordAttempt([web, db], "mail", { state: "delivered" })
          assert.deepStrictEqual(yield* gathered, [end])
          assert.isDefined(yield* store.lastDeliveredAt("mail"))
          assert.isUndefined(yield* store.lastDeliveredAt("ops"))
        }).pipe(withStores))

      it.effect("what is given up is told in the same step, or is not given up", () =>
        Effect.gen(function*() {
          const store = yield* DeliveryStore.DeliveryStore
          const down = yield* raise("web", ["mail"])
          const given = { state: "given_up", lastError: "no" } as const
          assert.strictEqual(
            yield* Effect.flip(store.recordAttempt([down], "mail", given, Effect.fail("no power" as const))),
            "no power"
          )
          assert.deepStrictEqual(yield* states, ["pending"])
          yield* store.recordAttempt([down], "mail", given, Effect.void)
          assert.deepStrictEqual(yield* states, ["given_up"])
        }).pipe(withStores))

      it.effect("what is sent again says so where it is gathered or given up, too", () =>
        Effect.gen(function*() {
          const store = yield* DeliveryStore.DeliveryStore
          const alerts = yield* AlertStore.AlertStore
          const down = yield* raise("web", ["mail", "ops"])
          yield* store.recordAttempt([down], "ops", { state: "given_up", lastError: "no" })
          yield* store.recordAttempt([down], "mail", { state: "delivered" })
          const [due] = yield* alerts.dueAgain(yield* DateTime.now)
          let told: AlertStore.Routed | undefined
          yield* alerts.tellAgain(due!, ({ raised: [routed] }) => Effect.sync(() => void (told = routed)))
          const { alert } = told!
          assert.deepInclude(alert, { again: "reminder", title: `Still open: ${down.alert.title}` })
          yield* store.gather(new AlertRaised({ ...told!, occurredAt: down.occurredAt }), "mail")
          assert.deepStrictEqual((yield* store.gathered("mail")).map(({ told }) => told.alert), [alert])
          yield* store.recordAttempt([down], "mail", { state: "given_up", lastError: "no" })
          assert.deepStrictEqual(
            (yield* store.reopen(alert.id, undefined, untold))?.told.map(({ alert, channels }) => [alert, channels]),
            [
              [down.alert, ["ops"]],
              [alert, ["mail"]]
            ]
          )
        }).pipe(withStores))

      it.effect("what is due to channels that are not there any more is given up after a while", () =>
        Effect.gen(function*() {
          const store = yield* DeliveryStore.DeliveryStore
          yield* raise("web", ["ops", "gone"])
          const now = yield* DateTime.now
          yield* store.giveUpOthers(["ops"], DateTime.subtractDuration(now, "1 hour"))
          assert.deepStrictEqual(yield* states, ["pending", "pending"])
          yield* store.giveUpOthers(["ops"], DateTime.addDuration(now, "1 hour"))
          assert.deepStrictEqual(yield* states, ["given_up", "pending"])
          yield* store.giveUpOthers([], DateTime.addDuration(now, "1 hour"))
          assert.deepStrictEqual(yield* states, ["given_up", "given_up"])
        }).pipe(withStores))
    })
  })
}
