/**
 * The life of alerts, on each database.
 */
import { NodeServices } from "@effect/platform-node"
import { assert, describe, it } from "@effect/vitest"
import {
  Alert,
  AlertActions,
  type AlertChannel,
  AlertChannels,
  AlertEnded,
  AlertOutbox,
  AlertRaised,
  AlertRouter,
  AlertStore,
  HeartbeatPulse,
  type HostId,
  hostIdFromName,
  InMaintenance,
  Lifecycle,
  Retelling,
  SqlAlertStore,
  SqlDeliveryStore,
  Storage,
  SystemOutbox
} from "@openwatch/openwatch"
import { DateTime, Duration, Effect, Fiber, Latch, Layer, Result } from "effect"
import { SqlClient } from "effect/sql"
import { fromEvent } from "../../src/alert-router/Alert.ts"
import { storeIn } from "../../src/events/SystemOutbox.ts"
import { awaitIdle, Database, databases, outboxes } from "../storage/Database.ts"

const web = hostIdFromName("web")
const db = hostIdFromName("db")

/** A channel that keeps what it gets: alerts by their type, ends by how, who and why. */
const recording = (name = "ops", requiredTags: Record<string, string> = {}) => {
  const sent: Array<string> = []
  const channel: AlertChannel = {
    name,
    requiredTags,
    send: ({ again, type }) => Effect.sync(() => sent.push(again === undefined ? type : `${type} after ${again}`)),
    sendEnding: ({ alert, how, who, why }) => Effect.sync(() => sent.push(`${alert.type} ${how} by ${who}: ${why}`))
  }
  return { channel, sent }
}

/** A process with a router. */
const running = (location: Storage.Location, channels: ReadonlyArray<AlertChannel> = []) =>
<A, E, R>(
  effect: Effect.Effect<A, E, R>
) =>
  effect.pipe(
    Effect.provide(
      AlertRouter.layer().pipe(
        Layer.provide(AlertChannels.layer(channels)),
        Layer.provideMerge([SqlAlertStore.layer, SqlDeliveryStore.layer]),
        Layer.provideMerge(outboxes),
        Layer.provideMerge(Storage.layer(location)),
        Layer.fresh
      )
    ),
    Effect.scoped
  )

/** A router on a new database. */
const withRouter = (channels: ReadonlyArray<AlertChannel> = []) => <A, E, R>(effect: Effect.Effect<A, E, R>) =>
  Effect.flatMap(Database, ({ empty }) => Effect.flatMap(empty, (location) => running(location, channels)(effect)))

let time = 0
/** Stores that hosts answer or do not, each later than all before, and waits until it is handled. */
const look = (reachable: boolean, ...hosts: ReadonlyArray<HostId>) =>
  Effect.gen(function*() {
    const store = storeIn(yield* SystemOutbox)
    for (const hostId of hosts) {
      const occurredAt = DateTime.makeUnsafe(time += 1_000)
      yield* Effect.orDie(
        store(new HeartbeatPulse({ hostId, reachable, priorReachable: !reachable, responseTimeMs: 0, occurredAt }))
      )
    }
    yield* awaitIdle
  })

const stored = Effect.flatMap(AlertStore.AlertStore, (store) => store.list())
/** The id of the last alert of a type. */
const idOf = (type: Alert.AlertType) =>
  Effect.map(stored, (stored) => stored.find(({ alert }) => alert.type === type)!.alert.id)
const stateOf = (id: string) => Effect.map(stored, (stored) => stored.find(({ alert }) => alert.id === id)?.state)
const historyOf = (id: string) => Effect.flatMap(AlertStore.AlertStore, (store) => store.history(id))

/** Looks what is to be told again, and waits until it is. */
const retell = (options?: Retelling.Options) => Effect.andThen(Retelling.look(options), awaitIdle)

const past = DateTime.makeUnsafe(0)

const perform = (
  action: Lifecycle.Action,
  ids: string | ReadonlyArray<string>,
  more: Partial<AlertStore.Change> = {}
) => AlertActions.perform(typeof ids === "string" ? [ids] : ids, { action, who: "ada", why: "", ...more })

/** The ends that are stored. */
const ends = Effect.gen(function*() {
  const sql = yield* SqlClient.SqlClient
  const rows = yield* sql<{ payload: string }>`SELECT CAST(payload AS text) AS payload FROM alert_events
    WHERE kind = 'AlertEnded' ORDER BY seq`
  return rows.map(({ payload }) => JSON.parse(payload) as typeof AlertEnded.Encoded)
})

describe("an alert's states", () => {
  // @spec system-alerts
  // @ac AC-01
  it("[system-alerts/AC-01] are five, three of them open; an alert begins as active, or as resolved where it is info", () => {
    assert.deepStrictEqual(Lifecycle.AllAlertStates, ["active", "acknowledged", "silenced", "resolved", "dismissed"])
    assert.deepStrictEqual(Lifecycle.AllAlertStates.filter(Lifecycle.isOpen), ["active", "acknowledged", "silenced"])
    assert.deepStrictEqual(Alert.AllSeverities.map(Alert.initialState), [
      "active",
      "active",
      "active",
      "active",
      "resolved"
    ])
  })

  // @spec system-alerts
  // @ac AC-02
  it("[system-alerts/AC-02] follow one another as is said, and not otherwise", () => {
    const standings: ReadonlyArray<Lifecycle.Standing> = [
      { state: "active", formerState: undefined },
      { state: "acknowledged", formerState: undefined },
      { state: "silenced", formerState: "active" },
      { state: "silenced", formerState: "acknowledged" },
      { state: "resolved", formerState: undefined },
      { state: "dismissed", formerState: undefined }
    ]
    const reached = standings.map((standing) =>
      Lifecycle.AllActions.map((action) => Result.getOrElse(Lifecycle.next(standing, action), () => "-")).join(" ")
    )
    assert.deepStrictEqual(reached, [
      "acknowledged silenced - resolved dismissed",
      "- silenced - resolved dismissed",
      "- - active resolved dismissed",
      "- - acknowledged resolved dismissed",
      "- - - - dismissed",
      "- - - - -"
    ])
  })
})

for (const { isPostgres, isSkipped, layer, name } of databases) {
  describe.skipIf(isSkipped)(`on ${name}`, () => {
    it.layer(layer.pipe(Layer.provideMerge(NodeServices.layer)), {
      timeout: "60 seconds",
      excludeTestServices: isPostgres
    })((it) => {
      // @spec system-alerts
      // @ac AC-03
      it.effect("[system-alerts/AC-03] what is refused names both states, and changes nothing", () =>
        Effect.gen(function*() {
          yield* look(false, web)
          const id = yield* idOf("host_unreachable")
          yield* perform("resolve", id)
          const refusals = []
          for (const action of ["ack", "resolve", "unsilence"] as const) {
            const { message } = yield* Effect.flip(perform(action, id))
            refusals.push(message)
          }
          assert.deepStrictEqual(refusals, [
            `alert ${id} is resolved, and cannot become acknowledged: it can become dismissed`,
            `alert ${id} is resolved already: it can become dismissed`,
            `alert ${id} is resolved, not silenced`
          ])
          yield* perform("dismiss", id)
          assert.strictEqual(
            (yield* Effect.flip(perform("silence", id))).message,
            `alert ${id} is dismissed, and cannot become silenced: nothing follows that`
          )
          assert.strictEqual(yield* stateOf(id), "dismissed")
          assert.deepStrictEqual((yield* historyOf(id)).map(({ to }) => to), ["resolved", "dismissed"])
        }).pipe(withRouter()))

      // @spec system-alerts
      // @ac AC-04
      it.effect("[system-alerts/AC-04] the history has each change, with who, when, why and until", () =>
        Effect.gen(function*() {
          yield* look(false, web)
          const id = yield* idOf("host_unreachable")
          const until = DateTime.makeUnsafe("2100-01-01T00:00:00Z")
          yield* perform("ack", id, { why: "I am on it" })
          yield* perform("silence", id, { who: "grace", why: "new disk", until })
          const silenced = (yield* stored).find(({ alert }) => alert.id === id)
          assert.deepStrictEqual(silenced?.silencedUntil, until)
          // Its end stands for an id, as the list shows it.
          yield* perform("unsilence", id.slice(-12).toUpperCase())
          const before = yield* DateTime.now
          yield* look(true, web)
          const history = yield* historyOf(id)
          assert.deepStrictEqual(history.map(({ at: _, ...change }) => change), [
            { from: "active", to: "acknowledged", who: "ada", why: "I am on it", until: undefined },
            { from: "acknowledged", to: "silenced", who: "grace", why: "new disk", until },
            { from: "silenced", to: "acknowledged", who: "ada", why: "", until: undefined },
            {
              from: "acknowledged",
              to: "resolved",
              who: "openwatch",
              why: `${web} is reachable again`,
              until: undefined
            }
          ])
          assert.isTrue(history.slice(0, 3).every(({ at }) => DateTime.isLessThanOrEqualTo(at, before)))
          assert.strictEqual(DateTime.toEpochMillis(history[3]!.at), time)
          const resolved = (yield* stored).find(({ alert }) => alert.id === id)
          assert.deepInclude(resolved, { state: "resolved", silencedUntil: undefined, resolvedAt: history[3]!.at })
        }).pipe(withRouter()))

      // @spec system-alerts
      // @ac AC-05
      it.effect("[system-alerts/AC-05] of several alerts all are changed, or none", () =>
        Effect.gen(function*() {
          yield* look(false, web, db)
          const [first, second] = (yield* stored).map(({ alert }) => alert.id)
          yield* perform("dismiss", first!)
          const unknown = "01936b0e-0000-7000-8000-000000000000"
          assert.strictEqual(
            (yield* Effect.flip(perform("ack", [second!, unknown, "web"]))).message,
            `alert ${unknown} is unknown\nalert web is unknown`
          )
          assert.strictEqual(
            (yield* Effect.flip(perform("ack", [second!, first!]))).message,
            `alert ${first} is dismissed, and cannot become acknowledged: nothing follows that`
          )
          assert.strictEqual(yield* stateOf(second!), "active")
          assert.deepStrictEqual(yield* historyOf(second!), [])
          yield* look(true, web, db)
          yield* look(false, web, db)
          const again = (yield* stored).filter(({ state }) => state === "active").map(({ alert }) => alert.id)
          const changed = yield* perform("ack", [...again, ...again])
          assert.deepStrictEqual(changed.map(({ from, to }) => [from, to]), [
            ["active", "acknowledged"],
            ["active", "acknowledged"]
          ])
        }).pipe(withRouter()))

      // @spec system-alerts
      // @ac AC-06
      it.effect("[system-alerts/AC-06] what somebody ends is told to the channels that have it, once", () => {
        const ops = recording("ops")
        const drift = recording("drift", { alert_type: "drift_major" })
        return Effect.gen(function*() {
          yield* look(false, web, db)
          const [first, second] = (yield* stored).map(({ alert }) => alert.id)
          yield* perform("resolve", first!, { why: "a test" })
          yield* perform("dismiss", second!, { who: "grace", why: "no host of ours" })
          yield* perform("dismiss", first!)
          yield* awaitIdle
          assert.deepStrictEqual(
            (yield* ends).map(({ alert, channels, how, who, why }) => [alert.id, how, who, why, channels]),
            [
              [first!, "resolved", "ada", "a test", ["ops"]],
              [second!, "dismissed", "grace", "no host of ours", ["ops"]]
            ]
          )
          assert.deepStrictEqual(ops.sent.toSorted(), [
            "host_unreachable",
            "host_unreachable",
            "host_unreachable dismissed by grace: no host of ours",
            "host_unreachable resolved by ada: a test"
          ])
          assert.deepStrictEqual(drift.sent, [])
        }).pipe(withRouter([ops.channel, drift.channel]))
      })

      // @spec system-alerts
      // @ac AC-07
      it.effect("[system-alerts/AC-07] what ends a problem resolves its alert in each open state, and in no other", () =>
        Effect.gen(function*() {
          for (
            const [action, state] of [
              ["ack", "resolved"],
              ["silence", "resolved"],
              ["resolve", "resolved"],
              ["dismiss", "dismissed"]
            ] as const
          ) {
            yield* look(false, web)
            const id = yield* idOf("host_unreachable")
            yield* perform(action, id)
            yield* look(true, web)
            assert.strictEqual(yield* stateOf(id), state)
            assert.strictEqual((yield* historyOf(id)).length, action === "ack" || action === "silence" ? 2 : 1)
            const [recovery] = yield* stored
            assert.strictEqual(recovery?.alert.type, "host_recovered")
            assert.strictEqual(recovery?.alert.resolves, action === "ack" || action === "silence" ? id : undefined)
          }
        }).pipe(withRouter()))

      it.effect("a list by what is worst has the open alerts before those that are over, and what was raised last first", () =>
        Effect.gen(function*() {
          yield* look(false, web, db)
          yield* look(true, db)
          const list = (order?: "worst") =>
            Effect.map(
              Effect.flatMap(AlertStore.AlertStore, (store) => store.list({ order, limit: 2 })),
              (stored) => stored.map(({ alert, state }) => [alert.hostId, alert.type, state])
            )
          const open = [web, "host_unreachable", "active"]
          const recovered = [db, "host_recovered", "resolved"]
          assert.deepStrictEqual(yield* list("worst"), [open, recovered])
          assert.deepStrictEqual(yield* list(), [recovered, [db, "host_unreachable", "resolved"]])
        }).pipe(withRouter()))

      // @spec system-alerts
      // @ac AC-08
      it.effect("[system-alerts/AC-08] what comes back after somebody has ended its alert is news", () =>
        Effect.gen(function*() {
          for (const action of ["resolve", "dismiss", "ack"] as const) {
            yield* look(false, web)
            yield* perform(action, yield* idOf("host_unreachable"))
          }
          // The last one is of a problem that somebody looks after.
          yield* look(false, web)
          assert.deepStrictEqual((yield* stored).map(({ repeats, state }) => [state, repeats]), [
            ["acknowledged", 1],
            ["dismissed", 0],
            ["resolved", 0]
          ])
        }).pipe(withRouter()))

      // @spec system-alerts
      // @ac AC-09
      it.effect("[system-alerts/AC-09] what fails leaves neither change nor history nor event", () =>
        Effect.gen(function*() {
          yield* look(false, web)
          const id = yield* idOf("host_unreachable")
          const store = yield* AlertStore.AlertStore
          const outbox = yield* AlertOutbox
          const occurredAt = yield* DateTime.now
          const failed = yield* Effect.flip(
            store.change(
              [id],
              { action: "resolve", who: "ada", why: "" },
              ({ ended }) =>
                outbox.publishAll(ended.map((ended) => new AlertEnded({ ...ended, occurredAt }))).pipe(
                  Effect.andThen(Effect.fail("no power" as const))
                )
            )
          )
          assert.strictEqual(failed, "no power")
          assert.strictEqual(yield* stateOf(id), "active")
          assert.deepStrictEqual(yield* historyOf(id), [])
          assert.deepStrictEqual(yield* ends, [])
        }).pipe(withRouter()))

      // @spec system-alerts
      // @ac AC-17
      it.effect("[system-alerts/AC-17] a channel that can tell it further is told that what it has is acknowledged or silenced", () => {
        const { channel, sent } = recording()
        const others = recording("others", { site: "berlin" })
        const telling = (channel: AlertChannel, sent: Array<string>): AlertChannel => ({
          ...channel,
          sendChange: ({ to }) => Effect.sync(() => void sent.push(to))
        })
        return Effect.gen(function*() {
          yield* look(false, web, db)
          const id = yield* idOf("host_unreachable")
          sent.splice(0)
          yield* Effect.andThen(perform("ack", id), awaitIdle)
          assert.deepStrictEqual(sent.splice(0), ["acknowledged"])
          yield* Effect.andThen(perform("silence", id), awaitIdle)
          assert.deepStrictEqual(sent.splice(0), ["silenced"])
          // It is what it was before: somebody looks after it.
          yield* Effect.andThen(perform("unsilence", id), awaitIdle)
          assert.deepStrictEqual(sent.splice(0), ["host_unreachable after silence", "acknowledged"])
          yield* Effect.andThen(perform("silence", id, { until: past }), awaitIdle)
          yield* retell()
          assert.deepStrictEqual(sent.splice(0), ["silenced", "host_unreachable after silence", "acknowledged"])
          // What follows at once on something else is not told: it is not so any more.
          const other = (yield* stored).find(({ state }) => state === "active")!.alert.id
          yield* Effect.all([perform("ack", other), perform("resolve", other)])
          yield* awaitIdle
          assert.notInclude(sent, "silenced")
          assert.strictEqual(sent.at(-1), "host_unreachable resolved by ada: ")
          assert.deepStrictEqual(others.sent, [])
        }).pipe(withRouter([telling(channel, sent), telling(others.channel, others.sent)]))
      })

      it.effect.skipIf(!isPostgres)(
        "what people and the router change at once, each in its order, changes one after the other",
        () =>
          Effect.gen(function*() {
            yield* look(false, web, db)
            const sql = yield* SqlClient.SqlClient
            const store = yield* AlertStore.AlertStore
            const ids = (yield* stored).map(({ alert }) => alert.id)
            const end = Effect.fnUntraced(function*(hostId: HostId, id: string) {
              const occurredAt = DateTime.makeUnsafe(time += 1_000)
              const event = new HeartbeatPulse({
                hostId,
                reachable: true,
                priorReachable: false,
                responseTimeMs: 0,
                occurredAt
              })
              const consequence = fromEvent(event, { id, hostLabel: hostId })
              yield* store.submit({ ...consequence, event, channels: [], timeToLive: Duration.hours(1) })
            })
            const hasBegun = yield* Latch.make()
            const goesOn = yield* Latch.make()
            // The router has the later alert, and comes to the earlier one; somebody has the earlier one, and comes to the later.
            const routing = yield* Effect.forkChild(sql.withTransaction(Effect.gen(function*() {
              yield* end(db, "01936b0e-0000-7000-8000-00000000000a")
              yield* hasBegun.open
              yield* goesOn.await
              yield* end(web, "01936b0e-0000-7000-8000-00000000000b")
            })))
            yield* hasBegun.await
            const acknowledging = yield* Effect.forkChild(Effect.exit(perform("ack", ids)))
            const waiting = sql<{ waiting: boolean }>`SELECT EXISTS (SELECT 1 FROM pg_locks
            WHERE NOT granted AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
              OR NOT granted AND locktype = 'transactionid') AS waiting`
            while ((yield* waiting)[0]?.waiting !== true) yield* Effect.sleep("10 millis")
            yield* goesOn.open
            yield* Fiber.join(routing)
            const refusal = yield* Effect.flip(yield* Fiber.join(acknowledging))
            assert.include(refusal.message, "is resolved, and cannot become acknowledged")
          }).pipe(withRouter())
      )

      // @spec system-alerts
      // @ac AC-10
      it.effect("[system-alerts/AC-10] a silence that is over makes an alert what it was, and sends it once, also after a restart", () =>
        Effect.gen(function*() {
          const location = yield* (yield* Database).empty
          const { channel, sent } = recording()
          const id = yield* running(location, [channel])(Effect.gen(function*() {
            yield* look(false, web)
            const id = yield* idOf("host_unreachable")
            yield* perform("ack", id)
            yield* perform("silence", id, { until: DateTime.makeUnsafe("2100-01-01T00:00:00Z") })
            yield* retell()
            assert.strictEqual(yield* stateOf(id), "silenced")
            yield* perform("unsilence", id)
            yield* awaitIdle
            yield* perform("silence", id, { until: past })
            return id
          }))
          assert.deepStrictEqual(sent.splice(0), ["host_unreachable", "host_unreachable after silence"])
          yield* running(location, [channel])(Effect.gen(function*() {
            yield* retell()
            yield* retell()
            assert.strictEqual(yield* stateOf(id), "acknowledged")
            assert.deepInclude((yield* historyOf(id)).at(-1), { who: "openwatch", why: "the silence is over" })
          }))
          assert.deepStrictEqual(sent, ["host_unreachable after silence"])
        }).pipe(Effect.scoped))

      /** Stores that a host is unreachable, as a process does whose channel takes nothing. */
      const storeUntaken = Effect.fnUntraced(function*(id: string) {
        const occurredAt = DateTime.makeUnsafe(0)
        const event = new HeartbeatPulse({
          hostId: web,
          reachable: false,
          priorReachable: true,
          responseTimeMs: 0,
          occurredAt
        })
        const { alert, ...consequence } = fromEvent(event, { id, hostLabel: "web" })
        const channels = ["ops"]
        const timeToLive = Duration.hours(1)
        yield* (yield* AlertStore.AlertStore).submit({ ...consequence, alert, event, channels, timeToLive })
        yield* (yield* AlertOutbox).publish(new AlertRaised({ alert: alert!, channels, occurredAt }))
      })

      // @spec system-alerts
      // @ac AC-11
      it.effect("[system-alerts/AC-11] what is silenced before a channel took it is not sent, and is sent when that is over", () => {
        const { channel, sent } = recording()
        const id = "01936b0e-0000-7000-8000-000000000001"
        const delivery = Effect.map(
          stored,
          (stored) => stored.find(({ alert }) => alert.id === id)?.deliveries[0]?.state
        )
        return Effect.gen(function*() {
          const location = yield* (yield* Database).empty
          yield* running(location)(Effect.andThen(storeUntaken(id), perform("silence", id)))
          yield* running(location, [channel])(Effect.gen(function*() {
            yield* awaitIdle
            assert.deepStrictEqual(sent, [])
            assert.strictEqual(yield* delivery, "held")
            yield* perform("unsilence", id)
            yield* awaitIdle
            yield* retell()
            assert.deepStrictEqual(sent.splice(0), ["host_unreachable after silence"])
            assert.strictEqual(yield* delivery, "delivered")
            yield* perform("silence", id, { until: past })
            yield* look(true, web)
            yield* retell()
            assert.deepStrictEqual(sent, ["host_recovered"])
          }))
        }).pipe(Effect.scoped)
      })

      // @spec system-alerts
      // @ac AC-12
      it.effect("[system-alerts/AC-12] what is raised in maintenance is sent once when that is over, if it is open then", () =>
        Effect.gen(function*() {
          const location = yield* (yield* Database).empty
          const { channel, sent } = recording()
          const inMaintenance = new Set([web, db])
          const process = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
            running(location, [channel])(effect).pipe(
              Effect.provideService(InMaintenance, Effect.succeed(({ hostId }) => inMaintenance.has(hostId)))
            )
          yield* process(Effect.gen(function*() {
            yield* look(false, web, db)
            yield* look(true, db)
            yield* retell()
            assert.deepStrictEqual(
              (yield* stored).map(({ alert, deliveries, state }) => [alert.type, state, deliveries[0]?.state]),
              [
                ["host_recovered", "resolved", "withheld"],
                ["host_unreachable", "resolved", "withheld"],
                ["host_unreachable", "active", "held"]
              ]
            )
          }))
          assert.deepStrictEqual(sent, [])
          inMaintenance.clear()
          yield* process(Effect.gen(function*() {
            yield* retell()
            yield* retell()
            assert.deepStrictEqual(sent.splice(0), ["host_unreachable after maintenance"])
            yield* look(true, web)
            yield* look(false, db)
            assert.deepStrictEqual(sent, ["host_recovered", "host_unreachable"])
          }))
        }).pipe(Effect.scoped))

      // @spec system-alerts
      // @ac AC-13
      it.effect("[system-alerts/AC-13] the end of what a channel has is sent in maintenance, too", () => {
        const { channel, sent } = recording()
        const inMaintenance = new Set<string>()
        return Effect.gen(function*() {
          yield* look(false, web, db)
          inMaintenance.add(web).add(db)
          yield* look(true, web)
          yield* perform("dismiss", yield* idOf("host_unreachable"))
          yield* awaitIdle
          assert.deepStrictEqual(sent.slice(2), ["host_recovered", "host_unreachable dismissed by ada: "])
          // Of what a channel was not told, the end is not told either.
          const mail = hostIdFromName("mail")
          inMaintenance.add(mail)
          yield* look(false, mail)
          yield* perform("dismiss", yield* idOf("host_unreachable"))
          yield* awaitIdle
          assert.strictEqual(sent.length, 4)
        }).pipe(
          withRouter([channel]),
          Effect.provideService(InMaintenance, Effect.succeed(({ hostId }) => inMaintenance.has(hostId)))
        )
      })

      it.effect("the end of what a channel has is sent, though what was to be sent of it since is held back", () => {
        const { channel, sent } = recording()
        const urgent: AlertChannel = { ...channel, minSeverity: "high" }
        const inMaintenance = new Set<string>()
        const change = Effect.fnUntraced(function*(hostId: HostId, change: "flapping" | "steady") {
          yield* Effect.orDie(
            storeIn(yield* SystemOutbox)(
              new HeartbeatPulse({
                hostId,
                reachable: change === "steady",
                priorReachable: true,
                change,
                responseTimeMs: 0,
                occurredAt: DateTime.makeUnsafe(time += 1_000)
              })
            )
          )
          yield* awaitIdle
        })
        return Effect.gen(function*() {
          yield* look(false, web, db)
          yield* perform("silence", yield* idOf("host_unreachable"), { until: past })
          assert.strictEqual(sent.splice(0).length, 2)
          inMaintenance.add(web).add(db)
          // The silence is over, and what is due then is held in maintenance.
          yield* retell()
          // Of the other host, what is worse takes the place of what was sent.
          yield* change(web, "flapping")
          assert.deepStrictEqual(
            (yield* stored).flatMap(({ deliveries, state }) => deliveries.map((delivery) => [state, delivery.state])),
            [["active", "held"], ["active", "held"], ["resolved", "delivered"]]
          )
          yield* look(true, db)
          yield* change(web, "steady")
          assert.deepStrictEqual(sent.splice(0), ["host_recovered", "host_recovered"])
          inMaintenance.clear()
          yield* look(false, web)
          inMaintenance.add(web)
          yield* change(web, "flapping")
          yield* perform("resolve", yield* idOf("host_unreachable"))
          yield* awaitIdle
          assert.deepStrictEqual(sent, ["host_unreachable", "host_unreachable resolved by ada: "])
        }).pipe(
          withRouter([urgent]),
          Effect.provideService(InMaintenance, Effect.succeed(({ hostId }) => inMaintenance.has(hostId)))
        )
      })

      it.effect("the end of what a channel was to have, and has not as it was over in maintenance, is not sent", () => {
        const { channel, sent } = recording()
        return Effect.gen(function*() {
          const location = yield* (yield* Database).empty
          const id = "01936b0e-0000-7000-8000-000000000002"
          yield* running(location)(Effect.andThen(storeUntaken(id), perform("resolve", id)))
          yield* running(location, [channel])(Effect.gen(function*() {
            yield* awaitIdle
            assert.deepStrictEqual((yield* stored)[0]?.deliveries.map(({ state }) => state), ["withheld", "withheld"])
          })).pipe(Effect.provideService(InMaintenance, Effect.succeed(() => true)))
          assert.deepStrictEqual(sent, [])
        }).pipe(Effect.scoped)
      })

      // @spec system-alerts
      // @ac AC-14
      it.effect("[system-alerts/AC-14] what is active for long is sent again where that is wanted, and nothing else is", () => {
        const { channel, sent } = recording()
        return Effect.gen(function*() {
          yield* look(false, web, db)
          yield* look(true, db)
          yield* retell()
          assert.strictEqual(sent.splice(0).length, 3)
          yield* retell({ remindAfter: Duration.hours(1) })
          assert.deepStrictEqual(sent, [])
          // Nobody is reminded in maintenance, nor of it when it is over.
          const inMaintenance = Effect.provideService(InMaintenance, Effect.succeed(() => true))
          yield* retell({ remindAfter: Duration.zero }).pipe(inMaintenance)
          yield* retell()
          assert.deepStrictEqual(sent, [])
          yield* retell({ remindAfter: Duration.zero })
          assert.deepStrictEqual(sent.splice(0), ["host_unreachable after reminder"])
          const { alert } = (yield* stored).find(({ alert }) => alert.hostId === web)!
          // It was told before the clock was set back by a day.
          const sql = yield* SqlClient.SqlClient
          const tomorrow = DateTime.toEpochMillis(DateTime.add(yield* DateTime.now, { days: 1 }))
          yield* sql`UPDATE alerts SET told_at = ${tomorrow} WHERE id = ${alert.id}`
          yield* retell({ remindAfter: Duration.days(2) })
          assert.deepStrictEqual(sent, [])
          yield* retell({ remindAfter: Duration.hours(1) })
          assert.deepStrictEqual(sent.splice(0), ["host_unreachable after reminder"])
          yield* retell({ remindAfter: Duration.hours(1) })
          assert.deepStrictEqual(sent, [])
          yield* perform("ack", alert.id)
          yield* retell({ remindAfter: Duration.zero })
          assert.deepStrictEqual(sent, [])
        }).pipe(withRouter([channel]))
      })
    })
  })
}
