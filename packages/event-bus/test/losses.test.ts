import { assert, describe, it } from "@effect/vitest"
import { EventBus, type Loss } from "@openwatch/event-bus"
import { DateTime, Effect, Exit, Fiber, Logger, References, Scope, Stream } from "effect"
import { TestClock } from "effect/testing"
import { Ping, ping, Pong, settle } from "./fixture.ts"

const makeBus = EventBus.make({ name: "test", events: [Ping, Pong] })

const millis = (loss: Loss) => [loss.dropped, DateTime.toEpochMillis(loss.since), DateTime.toEpochMillis(loss.until)]

describe("losses", () => {
  for (
    const [overflow, first, second] of [["dropping", [3, 2, 4], [2, 6, 7]], ["sliding", [3, 0, 2], [2, 4, 5]]] as const
  ) {
    it.effect(`say how many events a ${overflow} buffer lost, and when they happened`, () =>
      Effect.gen(function*() {
        const bus = yield* makeBus
        const subscription = yield* bus.subscribe({ kinds: ["Ping"], bufferSize: 2, overflow })
        const reported: Array<ReadonlyArray<number>> = []
        yield* Effect.forkScoped(
          Stream.runForEach(subscription.losses, (loss) => Effect.sync(() => reported.push(millis(loss))))
        )
        yield* bus.publishAll([0, 1, 2, 3, 4].map(ping))
        yield* settle
        assert.deepStrictEqual(reported, [first])
        yield* subscription.take
        yield* bus.publishAll([5, 6, 7].map(ping))
        yield* settle
        assert.deepStrictEqual(reported, [first, second])
      }))
  }

  it.effect("what was lost before the stream ran comes first; the stream ends with the subscription", () =>
    Effect.gen(function*() {
      const bus = yield* makeBus
      const subscription = yield* bus.subscribe({ kinds: ["Ping"], bufferSize: 1 })
      yield* bus.publishAll([0, 1, 2].map(ping))
      const collecting = yield* Effect.forkChild(Stream.runCollect(subscription.losses))
      yield* settle
      yield* bus.publish(ping(3))
      yield* settle
      yield* bus.publish(ping(4))
      yield* subscription.unsubscribe
      assert.deepStrictEqual((yield* Fiber.join(collecting)).map(millis), [[2, 1, 2], [1, 3, 3], [1, 4, 4]])
    }))

  it.effect("whoever waits for a loss waits no longer than the subscription is open", () =>
    Effect.gen(function*() {
      const bus = yield* makeBus
      const subscription = yield* bus.subscribe({ kinds: ["Ping"] })
      const collecting = yield* Effect.forkChild(Stream.runCollect(subscription.losses))
      yield* settle
      yield* subscription.unsubscribe
      assert.deepStrictEqual(yield* Fiber.join(collecting), [])
    }))

  it.effect("does not read an event that is lost inside the publish, and one that closes the subscription harms nobody", () =>
    Effect.gen(function*() {
      const bus = yield* makeBus
      const subscription = yield* bus.subscribe({ kinds: ["Ping"], bufferSize: 1 })
      const other = yield* bus.subscribe({ kinds: ["Ping", "Pong"] })
      const collecting = yield* Effect.forkChild(Stream.runCollect(subscription.losses))
      yield* settle
      let reads = 0
      const closing = Object.defineProperty(Object.create(ping(1)), "occurredAt", {
        get: () => {
          reads++
          Effect.runSync(subscription.unsubscribe)
          return DateTime.makeUnsafe(1)
        }
      }) as Ping
      yield* bus.publishAll([ping(0), closing, ping(2)])
      assert.strictEqual(reads, 0)
      assert.deepStrictEqual((yield* Fiber.join(collecting)).map(({ dropped }) => dropped), [2])
      yield* bus.publish(ping(3))
      assert.strictEqual((yield* other.snapshot).pending, 4)
    }))

  it.effect("all readers that wait are told, whichever looks first", () =>
    Effect.gen(function*() {
      const bus = yield* makeBus
      const subscription = yield* bus.subscribe({ kinds: ["Ping"], bufferSize: 1 })
      const reading = yield* Effect.forkChild(Effect.all([1, 2, 3].map(() => Stream.runCollect(subscription.losses)), {
        concurrency: 3
      }))
      yield* settle
      yield* bus.publishAll([ping(0), ping(1)])
      yield* settle
      yield* bus.publish(ping(2))
      yield* settle
      yield* subscription.unsubscribe
      for (const losses of yield* Fiber.join(reading)) {
        assert.deepStrictEqual(losses.map(({ dropped }) => dropped), [1, 1])
      }
    }))

  it.effect("whoever reads on is told at once of what was lost since", () =>
    Effect.gen(function*() {
      const bus = yield* makeBus
      // With others in its lane, a loss is not noticed by each publish.
      yield* Effect.replicateEffect(bus.subscribe({ kinds: ["Ping"], bufferSize: 1 }), 20)
      const subscription = yield* bus.subscribe({ kinds: ["Ping"], bufferSize: 1 })
      yield* bus.publishAll([0, 1].map(ping))
      const read = yield* Stream.toPull(subscription.losses)
      assert.deepStrictEqual((yield* read).map(millis), [[1, 1, 1]])
      for (const n of [2, 3, 4]) {
        yield* bus.publish(ping(n))
        assert.deepStrictEqual((yield* read).map(millis), [[1, n, n]])
      }
    }))

  it.effect("whoever comes late is told of all of it in one, from the first event that was lost to the last", () =>
    Effect.gen(function*() {
      const bus = yield* makeBus
      const subscription = yield* bus.subscribe({ kinds: ["Ping"], bufferSize: 1 })
      yield* bus.publishAll([0, 1].map(ping))
      // The log is told of the first loss, by itself.
      yield* settle
      yield* bus.publishAll([2, 3].map(ping))
      const read = yield* Stream.toPull(subscription.losses)
      assert.deepStrictEqual((yield* read).map(millis), [[3, 1, 3]])
    }))

  it.effect("a consumer that re-reads a snapshot after a loss gathers what happens meanwhile", () =>
    Effect.gen(function*() {
      const bus = yield* makeBus
      const handle = yield* bus.on("Ping", () => Effect.never, { bufferSize: 1 })
      const reported: Array<number> = []
      yield* Effect.forkScoped(
        Stream.runForEach(handle.losses, (loss) =>
          Effect.andThen(
            Effect.sleep("1 second"),
            Effect.sync(() => reported.push(loss.dropped))
          ))
      )
      yield* bus.publish(ping(0))
      yield* settle
      yield* bus.publishAll([1, 2].map(ping))
      yield* settle
      yield* bus.publishAll([3, 4, 5].map(ping))
      yield* bus.publish(ping(6))
      yield* TestClock.adjust("2 seconds")
      assert.deepStrictEqual(reported, [1, 4])
    }))
})

describe("the warning of a loss", () => {
  const logged = () => {
    const lines: Array<{ message: unknown; annotations: Record<string, unknown> }> = []
    const logger = Logger.make<unknown, void>((options) => {
      lines.push({
        message: options.message,
        annotations: { ...options.fiber.getRef(References.CurrentLogAnnotations) }
      })
    })
    return { lines, layer: Logger.layer([logger]) }
  }

  /** A bus with a subscription whose losses somebody reads. */
  const read = Effect.gen(function*() {
    const bus = yield* makeBus
    const subscription = yield* bus.subscribe({ kinds: ["Ping"], bufferSize: 1 })
    yield* Effect.forkScoped(Stream.runDrain(subscription.losses))
    yield* settle
    return bus
  })

  it.effect("counts all of them although somebody reads `losses` as well", () => {
    const { layer, lines } = logged()
    return Effect.gen(function*() {
      const bus = yield* read
      yield* bus.publishAll([0, 1, 2].map(ping))
      yield* settle
      assert.deepStrictEqual(lines.map((line) => line.message), [["A full buffer lost 2 events"]])
    }).pipe(Effect.provide(layer))
  })

  it.effect("is one for several losses of a moment, and none follows it for a while", () => {
    const { layer, lines } = logged()
    return Effect.gen(function*() {
      const bus = yield* read
      for (const n of [0, 1, 2]) yield* bus.publish(ping(n))
      yield* settle
      yield* bus.publish(ping(3))
      yield* settle
      assert.deepStrictEqual(lines.map((line) => line.message), [["A full buffer lost 2 events"]])
      yield* bus.shutdown
      assert.deepStrictEqual(lines.map((line) => line.message).slice(1), [["A full buffer lost 1 event"]])
    }).pipe(Effect.provide(layer))
  })

  it.effect("is one also where somebody has read a loss before it was written, and none follows it for a while", () => {
    const { layer, lines } = logged()
    return Effect.gen(function*() {
      const bus = yield* makeBus
      const subscription = yield* bus.subscribe({ kinds: ["Ping"], bufferSize: 1 })
      const read = yield* Stream.toPull(subscription.losses)
      yield* bus.publishAll([0, 1].map(ping))
      yield* read
      yield* bus.publish(ping(2))
      yield* settle
      yield* bus.publish(ping(3))
      yield* settle
      assert.deepStrictEqual(lines.map((line) => line.message), [["A full buffer lost 2 events"]])
    }).pipe(Effect.provide(layer))
  })

  it.effect("comes at once for the first loss, then at most once in ten seconds", () => {
    const { layer, lines } = logged()
    return Effect.gen(function*() {
      const busScope = yield* Scope.make()
      const bus = yield* Scope.provide(makeBus, busScope)
      yield* bus.subscribe({ kinds: ["Ping"], bufferSize: 1, name: "page" })
      yield* bus.publish(ping(0))
      yield* settle
      assert.deepStrictEqual(lines, [])
      yield* bus.publish(ping(1))
      assert.deepStrictEqual(lines, [])
      yield* settle
      assert.strictEqual(lines.length, 1)
      assert.deepStrictEqual(lines[0]!.message, ["A full buffer lost 1 event"])
      assert.deepInclude(lines[0]!.annotations, {
        bus: "test",
        subscription: "page",
        bufferSize: 1,
        overflow: "dropping"
      })

      yield* bus.publishAll([2, 3].map(ping))
      yield* TestClock.adjust("9 seconds")
      yield* bus.publish(ping(4))
      assert.strictEqual(lines.length, 1)
      yield* TestClock.adjust("1 second")
      yield* settle
      assert.deepStrictEqual(lines.map((line) => line.message), [
        ["A full buffer lost 1 event"],
        ["A full buffer lost 3 events"]
      ])

      // Ten quiet seconds later no timer runs any more, and the next loss is told at once.
      yield* TestClock.adjust("20 seconds")
      yield* settle
      yield* bus.publish(ping(5))
      yield* settle
      assert.strictEqual(lines.length, 3)

      // Once nothing more can be lost, what was gathered is not kept back.
      yield* bus.publish(ping(6))
      yield* Scope.close(busScope, Exit.void)
      assert.strictEqual(lines.length, 4)
    }).pipe(Effect.provide(layer))
  })

  it.effect("what was gathered is told when a drain begins, since no more will be lost", () => {
    const { layer, lines } = logged()
    return Effect.gen(function*() {
      const scope = yield* Scope.make()
      const bus = yield* makeBus
      yield* Scope.provide(bus.on("Ping", () => Effect.never, { bufferSize: 1, drain: "1 minute" }), scope)
      yield* bus.publishAll([0, 1, 2].map(ping))
      yield* settle
      yield* bus.publishAll([3, 4, 5].map(ping))
      yield* Effect.forkScoped(Scope.close(scope, Exit.void))
      yield* settle
      assert.deepStrictEqual(lines.map((line) => line.message), [
        ["A full buffer lost 2 events"],
        ["A full buffer lost 2 events"]
      ])
      yield* TestClock.adjust("1 minute")
    }).pipe(Effect.provide(layer))
  })

  it.effect("what was gathered is told when the subscription closes", () => {
    const { layer, lines } = logged()
    return Effect.gen(function*() {
      const bus = yield* makeBus
      const subscription = yield* bus.subscribe({ kinds: ["Ping"], bufferSize: 1 })
      yield* bus.publishAll([0, 1].map(ping))
      yield* settle
      yield* bus.publishAll([2, 3, 4].map(ping))
      yield* subscription.unsubscribe
      assert.deepStrictEqual(lines.map((line) => line.message), [
        ["A full buffer lost 1 event"],
        ["A full buffer lost 3 events"]
      ])
    }).pipe(Effect.provide(layer))
  })
})
