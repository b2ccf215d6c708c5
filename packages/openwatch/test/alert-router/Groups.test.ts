import { NodeServices } from "@effect/platform-node"
import { assert, describe, it } from "@effect/vitest"
import {
  type AlertChannel,
  AlertChannels,
  AlertOutbox,
  AlertRouter,
  AlertStore,
  ChannelError,
  HeartbeatPulse,
  hostIdFromName,
  SqlAlertStore,
  SqlDeliveryStore,
  Storage,
  SystemOutbox
} from "@openwatch/openwatch"
import { Clock, DateTime, Duration, Effect, Fiber, FileSystem, Layer, Logger, Scope, Stream } from "effect"
import { TestClock } from "effect/testing"
import { Alert } from "../../src/alert-router/Alert.ts"
import { AlertRaised } from "../../src/alert-router/AlertOutbox.ts"
import { DeliveryStore } from "../../src/alert-store/DeliveryStore.ts"
import { storeIn } from "../../src/events/SystemOutbox.ts"
import { outboxes } from "../storage/Database.ts"

const dataFolder = Effect.flatMap(FileSystem.FileSystem, (fs) => fs.makeTempDirectoryScoped()).pipe(
  Effect.map((path): Storage.Location => ({ _tag: "DataFolder", path })),
  Effect.provide(NodeServices.layer)
)

type Router = AlertStore.AlertStore | SystemOutbox | AlertOutbox

/** Runs on a folder with a router that has this channel, and gives it the ten seconds that stopping may take. */
const running = (
  location: Storage.Location,
  channel: AlertChannel,
  { deliveryStore = SqlDeliveryStore.layer, retryFor = Duration.hours(24) } = {}
) =>
<A, E>(effect: Effect.Effect<A, E, Router>) =>
  Effect.gen(function*() {
    const scope = yield* Scope.make()
    const layer = AlertRouter.layer({ retryFor }).pipe(
      Layer.provide(AlertChannels.layer([channel])),
      Layer.provideMerge(Layer.mergeAll(SqlAlertStore.layer, deliveryStore, outboxes)),
      Layer.provide(Storage.layer(location)),
      Layer.provide(NodeServices.layer),
      Layer.fresh
    )
    const context = yield* Layer.buildWithScope(layer, scope)
    const exit = yield* Effect.exit(Effect.provide(effect, context))
    const stopping = yield* Effect.forkChild(Scope.close(scope, exit))
    yield* settle
    yield* TestClock.adjust("10 seconds")
    yield* Fiber.join(stopping)
    return yield* exit
  })

/** Lets all happen that happens without time passing. */
const settle = Effect.andThen(Effect.repeat(Effect.yieldNow, { times: 300 }), TestClock.adjust(0))

/** Lets time pass in steps of a second, each of which has its consequences. */
const pass = (seconds: number) =>
  Effect.repeat(Effect.andThen(TestClock.adjust("1 second"), settle), { times: seconds - 1 })

/** Has hosts go down, or come back. */
const change = Effect.fnUntraced(function*(reachable: boolean, ...names: ReadonlyArray<string>) {
  const outbox = yield* SystemOutbox
  for (const name of names) {
    yield* Effect.orDie(
      storeIn(outbox)(
        new HeartbeatPulse({
          hostId: hostIdFromName(name),
          host: { name },
          reachable,
          priorReachable: !reachable,
          responseTimeMs: 0,
          occurredAt: yield* DateTime.now
        })
      )
    )
  }
  yield* outbox.awaitIdle
  yield* settle
})
const down = (...names: ReadonlyArray<string>) => change(false, ...names)

const now = Effect.map(DateTime.now, (time) => DateTime.toEpochMillis(time) / 1_000)

/** A channel that groups for ten seconds, then for five minutes, and keeps when it sent what. */
const grouping = (
  answer: (messages: number, hosts: ReadonlyArray<string | undefined>) => Effect.Effect<void, ChannelError> = () =>
    Effect.void
) => {
  const messages: Array<readonly [seconds: number, hosts: ReadonlyArray<string | undefined>]> = []
  let count = 0
  const channel: AlertChannel = {
    name: "mail",
    requiredTags: {},
    send: () => Effect.die("one by one"),
    sendEnding: () => Effect.die("one by one"),
    grouping: {
      wait: Duration.seconds(10),
      interval: Duration.minutes(5),
      send: (told) =>
        Effect.gen(function*() {
          const hosts = told.map(({ _tag, alert }) => `${alert.host?.name}${_tag === "AlertEnded" ? " over" : ""}`)
          yield* Effect.suspend(() => answer(++count, hosts))
          messages.push([yield* now, hosts])
        })
    }
  }
  return { channel, messages, attempts: () => count }
}

const deliveries = Effect.flatMap(AlertStore.AlertStore, (store) => store.list()).pipe(
  Effect.map((alerts) =>
    alerts.toReversed().map(({ alert, deliveries: [delivery] }) => `${alert.host?.name} ${delivery?.state}`)
  )
)

const away = (isRetryable = true) => Effect.fail(new ChannelError({ message: "away", isRetryable }))

const deadLetters = Effect.flatMap(AlertOutbox, (outbox) => Stream.runCollect(outbox.deadLetters()))

describe("what a channel that groups is sent", () => {
  it.effect("what waits when a channel no longer groups is sent by itself", () => {
    const { channel } = grouping(() => away())
    const sent: Array<string | undefined> = []
    const alone: AlertChannel = {
      ...channel,
      grouping: undefined,
      send: ({ host }) => Effect.sync(() => void sent.push(host?.name))
    }
    return Effect.gen(function*() {
      const location = yield* dataFolder
      yield* Effect.andThen(down("a", "b"), pass(11)).pipe(running(location, channel))
      yield* Effect.andThen(settle, Effect.flatMap(AlertOutbox, (outbox) => outbox.awaitIdle)).pipe(
        running(location, alone)
      )
      assert.sameMembers(sent, ["a", "b"])
    }).pipe(Effect.provide(Logger.layer([])), Effect.scoped)
  })

  it.effect("is looked up alert by alert, and leaves the thread to all else in between", () => {
    const { channel } = grouping()
    const count = 200
    let turns = 0
    let timer = setImmediate(function turn() {
      turns++
      timer = setImmediate(turn)
    })
    const stop = Effect.sync(() => clearImmediate(timer))
    return Effect.gen(function*() {
      const location = yield* dataFolder
      const occurredAt = yield* DateTime.now
      const raised = Array.from({ length: count }, (_, n) => {
        const alert = new Alert({
          id: hostIdFromName(`alert-${n}`),
          type: "host_unreachable",
          severity: "high",
          hostId: hostIdFromName(`host-${n}`),
          title: `host-${n} is unreachable`,
          dedupKey: `host_unreachable|${hostIdFromName(`host-${n}`)}|`,
          tags: {},
          occurredAt
        })
        return new AlertRaised({ alert, channels: [channel.name], occurredAt })
      })
      yield* Effect.flatMap(AlertOutbox, (outbox) => outbox.publishAll(raised)).pipe(
        Effect.provide(
          outboxes.pipe(Layer.provide(Storage.layer(location)), Layer.provide(NodeServices.layer), Layer.fresh)
        )
      )
      // Each look at it takes five milliseconds, and a consumer leaves the thread after ten.
      const clock = yield* Clock.Clock
      let passed = 0n
      const ticking = new Proxy(clock, {
        get: (clock, name: keyof Clock.Clock) =>
          name === "monotonicTimeNanosUnsafe" ? () => clock[name]() + (passed += 5_000_000n) : clock[name]
      })
      const turnsWithAlerts = new Set<number>()
      const deliveryStore = Layer.effect(
        DeliveryStore,
        Effect.map(DeliveryStore, (store) => ({
          ...store,
          due: (...alert: Parameters<typeof store.due>) =>
            Effect.andThen(Effect.sync(() => turnsWithAlerts.add(turns)), store.due(...alert))
        }))
      ).pipe(Layer.provide(SqlDeliveryStore.layer))
      yield* Effect.flatMap(AlertOutbox, (outbox) => outbox.awaitIdle).pipe(
        running(location, channel, { deliveryStore }),
        Effect.provideService(Clock.Clock, ticking)
      )
      assert.isAtLeast(turnsWithAlerts.size, count / 5)
    }).pipe(Effect.provide(Logger.layer([])), Effect.ensuring(stop), Effect.scoped)
  })

  // @spec system-alert-router
  // @ac AC-38
  it.effect(
    "[system-alert-router/AC-38] what comes within a while is one message, and stragglers are in the next",
    () => {
      const { channel, messages } = grouping()
      const many = Array.from({ length: 40 }, (_, n) => `host-${n}`)
      return Effect.gen(function*() {
        yield* down(...many)
        yield* pass(8)
        yield* down("late")
        yield* pass(1)
        assert.deepStrictEqual(messages, [])
        yield* pass(1)
        assert.deepStrictEqual(messages, [[10, [...many, "late"]]])
        yield* pass(20)
        yield* down("straggler")
        yield* pass(100)
        yield* down("last")
        yield* change(true, "late")
        yield* pass(179)
        assert.strictEqual(messages.length, 1)
        yield* pass(1)
        assert.deepStrictEqual(messages.slice(1), [[310, ["straggler", "last", "late"]]])
        yield* pass(400)
        yield* down("another day")
        yield* pass(10)
        assert.deepStrictEqual(messages.slice(2), [[720, ["another day"]]])
        assert.isTrue((yield* deliveries).every((delivery) => delivery.endsWith("delivered")))
      }).pipe((program) => Effect.flatMap(dataFolder, (folder) => running(folder, channel)(program)), Effect.scoped)
    },
    60_000
  )

  // @spec system-alert-router
  // @ac AC-39
  it.effect(
    "[system-alert-router/AC-39] what waited when the process ended in the middle is one message of the next",
    () =>
      Effect.gen(function*() {
        const folder = yield* dataFolder
        const hanging = grouping(() => Effect.never)
        yield* running(folder, hanging.channel)(Effect.gen(function*() {
          yield* down("a", "b", "c")
          yield* pass(12)
          yield* down("d")
        }))
        assert.strictEqual(hanging.attempts(), 1)
        const { channel, messages } = grouping()
        yield* running(folder, channel)(Effect.gen(function*() {
          yield* settle
          yield* pass(10)
          assert.deepStrictEqual(messages.map(([, hosts]) => hosts), [["a", "b", "c", "d"]])
          yield* pass(400)
        }))
        assert.strictEqual(messages.length, 1)
      }).pipe(Effect.scoped),
    60_000
  )

  it.effect("after a restart, the next message keeps its distance to the last", () =>
    Effect.gen(function*() {
      const folder = yield* dataFolder
      const { channel, messages } = grouping()
      const run = running(folder, channel)
      yield* run(Effect.andThen(down("a"), pass(10)))
      yield* run(Effect.andThen(down("b"), pass(200)))
      assert.deepStrictEqual(messages[0], [10, ["a"]])
      // It was stopped after 220 seconds, and what waits is sent then.
      assert.deepStrictEqual(messages[1], [220, ["b"]])
      yield* run(Effect.andThen(down("c"), pass(289)))
      assert.deepStrictEqual(messages[2], [519, ["c"]])
    }).pipe(Effect.scoped), 60_000)

  // @spec system-alert-router
  // @ac AC-40
  it.effect("[system-alert-router/AC-40] what fails is tried again as one message, with what has come since", () => {
    const { channel, messages } = grouping((attempt) => attempt < 4 ? away() : Effect.void)
    const lines: Array<string> = []
    const logger = Logger.layer([Logger.make(({ message }) => void lines.push(String(message)))])
    return Effect.gen(function*() {
      yield* down("a", "b")
      yield* pass(11)
      yield* down("c")
      yield* pass(20)
      assert.deepStrictEqual(messages.map(([, hosts]) => hosts), [["a", "b", "c"]])
      assert.deepStrictEqual(lines.filter((line) => line.includes(`"mail"`)), [
        `2 alerts are not delivered to "mail": away; they are tried again for 1d, and so is what comes after them`,
        `The channel "mail" takes alerts again`
      ])
    }).pipe(
      (program) => Effect.flatMap(dataFolder, (folder) => running(folder, channel)(program)),
      Effect.scoped,
      Effect.provide(logger)
    )
  }, 60_000)

  // @spec system-alert-router
  // @ac AC-41
  it.effect(
    "[system-alert-router/AC-41] what is refused is a dead letter each, and sent again with the next message",
    () => {
      const { channel, messages } = grouping((attempt) => attempt < 4 ? away(false) : Effect.void)
      return Effect.gen(function*() {
        yield* down("a", "b")
        yield* pass(10)
        assert.deepStrictEqual(yield* deliveries, ["a given_up", "b given_up"])
        const letters = yield* deadLetters
        assert.deepStrictEqual(letters.map(({ event }) => event?.alert.host?.name), ["a", "b"])
        yield* (yield* AlertOutbox).requeue(letters.slice(1))
        yield* down("c")
        yield* pass(11)
        assert.deepStrictEqual(messages.map(([, hosts]) => hosts), [["b", "c"]])
        assert.deepStrictEqual(yield* deliveries, ["a given_up", "b delivered", "c delivered"])
        assert.strictEqual((yield* deadLetters).length, 1)
      }).pipe((program) => Effect.flatMap(dataFolder, (folder) => running(folder, channel)(program)), Effect.scoped)
    },
    60_000
  )

  // @spec system-alert-router
  // @ac AC-41
  it.effect("[system-alert-router/AC-41] an alert that is refused takes none of the others with it", () => {
    const { channel, messages } = grouping((_, hosts) => hosts.includes("d") ? away(false) : Effect.void)
    return Effect.gen(function*() {
      yield* down("a", "b", "c", "d", "e", "f", "g")
      yield* pass(10)
      assert.deepStrictEqual(messages.map(([, hosts]) => hosts), [["a", "b"], ["c"], ["e", "f", "g"]])
      assert.deepStrictEqual(yield* deliveries, [
        "a delivered",
        "b delivered",
        "c delivered",
        "d given_up",
        "e delivered",
        "f delivered",
        "g delivered"
      ])
      assert.deepStrictEqual((yield* deadLetters).map(({ event }) => event?.alert.host?.name), ["d"])
    }).pipe((program) => Effect.flatMap(dataFolder, (folder) => running(folder, channel)(program)), Effect.scoped)
  }, 60_000)

  it.effect("where it cannot be reached while the rest of a refused message is sent, that rest is sent later", () => {
    let isAway = false
    const { channel, messages } = grouping((_, hosts) => {
      if (hosts.includes("d")) return away(false)
      if (hosts.includes("a")) return Effect.sync(() => void (isAway = true))
      return isAway ? away() : Effect.void
    })
    return Effect.gen(function*() {
      yield* down("a", "d", "e")
      yield* pass(12)
      assert.deepStrictEqual(yield* deliveries, ["a delivered", "d given_up", "e pending"])
      isAway = false
      yield* pass(320)
      assert.deepStrictEqual(yield* deliveries, ["a delivered", "d given_up", "e delivered"])
      assert.deepStrictEqual(messages.map(([, hosts]) => hosts), [["a"], ["e"]])
    }).pipe((program) => Effect.flatMap(dataFolder, (folder) => running(folder, channel)(program)), Effect.scoped)
  }, 60_000)

  it.effect("what could not be sent for too long is given up, and what is newer is not", () => {
    const { channel } = grouping(() => away())
    return Effect.gen(function*() {
      yield* down("old")
      yield* TestClock.adjust("50 minutes")
      yield* settle
      yield* down("new")
      yield* TestClock.adjust("25 minutes")
      yield* settle
      assert.deepStrictEqual(yield* deliveries, ["old given_up", "new pending"])
      assert.deepStrictEqual((yield* deadLetters).map(({ event }) => event?.alert.host?.name), ["old"])
    }).pipe(
      (program) =>
        Effect.flatMap(dataFolder, (folder) => running(folder, channel, { retryFor: Duration.hours(1) })(program)),
      Effect.scoped
    )
  }, 60_000)

  it.effect("a stop sends what waits, and does not wait for one that takes nothing", () =>
    Effect.gen(function*() {
      const folder = yield* dataFolder
      const { channel, messages } = grouping()
      yield* running(folder, channel)(down("a", "b"))
      assert.deepStrictEqual(messages.map(([, hosts]) => hosts), [["a", "b"]])
      const failing = grouping(() => away())
      yield* running(folder, failing.channel)(down("c"))
      assert.strictEqual(failing.attempts(), 1)
    }).pipe(Effect.scoped), 60_000)

  it.effect("what was silenced while it waited is not in the message", () => {
    const { channel, messages } = grouping()
    return Effect.gen(function*() {
      yield* down("a", "b")
      const store = yield* AlertStore.AlertStore
      const [b] = yield* store.list()
      const silence = { action: "silence", who: "ada", why: "" } as const
      yield* store.change([b!.alert.id], silence, () => Effect.void)
      yield* pass(10)
      assert.deepStrictEqual(messages.map(([, hosts]) => hosts), [["a"]])
      assert.deepStrictEqual(yield* deliveries, ["a delivered", "b held"])
    }).pipe((program) => Effect.flatMap(dataFolder, (folder) => running(folder, channel)(program)), Effect.scoped)
  }, 60_000)

  it.effect("a clock that is set back while the process is down delays nothing, either", () =>
    Effect.gen(function*() {
      const folder = yield* dataFolder
      yield* TestClock.adjust("1 day")
      yield* running(folder, grouping(() => away()).channel)(down("a"))
      yield* TestClock.setTime(0)
      const { channel, messages } = grouping()
      yield* running(folder, channel)(Effect.gen(function*() {
        yield* settle
        yield* pass(11)
        assert.deepStrictEqual(messages.map(([, hosts]) => hosts), [["a"]])
      }))
    }).pipe(Effect.scoped), 60_000)

  it.effect("a clock that is set back delays nothing for longer than usual", () => {
    const { channel, messages } = grouping()
    return Effect.gen(function*() {
      yield* TestClock.adjust("1 day")
      yield* down("a")
      yield* pass(10)
      yield* TestClock.setTime(0)
      yield* down("b")
      yield* pass(300)
      assert.deepStrictEqual(messages.map(([, hosts]) => hosts), [["a"], ["b"]])
    }).pipe((program) => Effect.flatMap(dataFolder, (folder) => running(folder, channel)(program)), Effect.scoped)
  }, 60_000)
})
