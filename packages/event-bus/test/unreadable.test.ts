/** Events that cannot be read when somebody looks at them: only who looks is told. */
import { assert, describe, it } from "@effect/vitest"
import { EventBus, type Loss } from "@openwatch/event-bus"
import { Cause, DateTime, Effect, Exit, Fiber, Logger, References, Stream } from "effect"
import { Ping, ping, Pong, pong, settle } from "./fixture.ts"

const makeBus = EventBus.make({ name: "test", events: [Ping, Pong] })

/** An event that is readable until it is revoked, as a finished draft of an immutable-data library is. */
const revocable = (n: number) => {
  const { proxy, revoke } = Proxy.revocable(ping(n), {})
  return { event: proxy, revoke }
}

const silent = Effect.provide(Logger.layer([]))

describe("an event that cannot be read any more", () => {
  it.effect("in a handler is a failure of that handler, and the next event is handled", () =>
    Effect.gen(function*() {
      const bus = yield* makeBus
      const handled: Array<number> = []
      const causes: Array<Cause.Cause<never>> = []
      const handle = yield* bus.on("Ping", ({ n }) => Effect.sync(() => handled.push(n)), {
        onFailure: (_, cause) => Effect.sync(() => causes.push(cause))
      })
      const { event, revoke } = revocable(1)
      yield* bus.publishAll([event, ping(2)])
      revoke()
      yield* settle
      assert.deepStrictEqual(handled, [2])
      assert.match(String(Cause.squash(causes[0]!)), /revoked/)
      const { failures, handled: count } = yield* handle.snapshot
      assert.deepStrictEqual([failures, count], [1, 1])
    }))

  it.effect("in a handler is logged without its kind", () =>
    Effect.gen(function*() {
      const kinds: Array<unknown> = []
      const logger = Logger.make(({ fiber }) => kinds.push(fiber.getRef(References.CurrentLogAnnotations)["kind"]))
      const bus = yield* makeBus
      yield* bus.on("Ping", () => Effect.fail("no")).pipe(Effect.provide(Logger.layer([logger])))
      const { event, revoke } = revocable(1)
      yield* bus.publishAll([event, ping(2)])
      revoke()
      yield* settle
      assert.deepStrictEqual(kinds, ["(cannot be read)", "Ping"])
    }))

  it.effect("that was published inside a span as well", () =>
    Effect.gen(function*() {
      const bus = yield* makeBus
      const handled: Array<number> = []
      const handle = yield* bus.on("Ping", ({ n }) => Effect.sync(() => handled.push(n)))
      const { event, revoke } = revocable(1)
      yield* Effect.withSpan(bus.publishAll([event, ping(2)]), "publisher")
      revoke()
      yield* settle
      assert.deepStrictEqual(handled, [2])
      assert.strictEqual((yield* handle.snapshot).failures, 1)
    }).pipe(silent))

  it.effect("when it is lost troubles neither publishers, nor other subscriptions, nor shutdown", () =>
    Effect.gen(function*() {
      const bus = yield* makeBus
      const slow = yield* bus.subscribe({ kinds: ["Ping"], bufferSize: 1, overflow: "sliding" })
      const other = yield* bus.subscribe({ kinds: ["Pong"] })
      const waiting = yield* Effect.forkChild(Effect.exit(other.take))
      const { event, revoke } = revocable(1)
      yield* bus.publish(event)
      revoke()
      yield* bus.publishAll([ping(2), ping(3)])
      yield* settle
      yield* bus.shutdown
      assert.deepStrictEqual((yield* slow.takeAll).map(({ n }) => n), [3])
      assert.isTrue(Exit.isFailure(yield* Fiber.join(waiting)))
    }).pipe(silent))

  it.effect("has the time of a readable neighbour in the losses, or else the time they were noticed at", () =>
    Effect.gen(function*() {
      const bus = yield* makeBus
      const first = revocable(1)
      const stuck = yield* bus.subscribe({ kinds: ["Ping"], bufferSize: 1 })
      yield* bus.publishAll([ping(0), first.event, ping(7)])
      first.revoke()
      const alone = yield* bus.subscribe({ kinds: ["Pong"], bufferSize: 1 })
      yield* bus.publishAll([pong(0), { _tag: "Pong", n: 1 } as never])
      yield* bus.shutdown
      const times = (losses: Iterable<Loss>) =>
        Array.from(losses, ({ since, until }) => [DateTime.toEpochMillis(since), DateTime.toEpochMillis(until)])
      assert.deepStrictEqual(times(yield* Stream.runCollect(Stream.take(stuck.losses, 1))), [[7, 7]])
      assert.deepStrictEqual(times(yield* Stream.runCollect(Stream.take(alone.losses, 1))), [[0, 0]])
    }).pipe(silent))
})

describe("an event that cannot be read at publish", () => {
  const throwing = {
    get _tag(): "Ping" {
      throw new Error("no tag for you")
    }
  } as Ping

  it.effect("is a defect that names the bus, and nothing of its batch is published", () =>
    Effect.gen(function*() {
      const bus = yield* makeBus
      const s = yield* bus.subscribe({ kinds: ["Ping"] })
      const exit = yield* Effect.exit(bus.publishAll([ping(1), throwing]))
      const error = Exit.isFailure(exit) ? Cause.squash(exit.cause) : undefined
      assert.instanceOf(error, TypeError)
      assert.strictEqual(error.message, `EventBus "test": what was published cannot be read: its _tag throws`)
      assert.match(String(error.cause), /no tag for you/)
      assert.throws(() => bus.publishUnsafe(throwing), TypeError, "cannot be read")
      assert.strictEqual((yield* s.snapshot).pending, 0)
      assert.strictEqual((yield* bus.metrics).publishedCount, 0)
    }))

  it.effect("a _tag that changes between two reads is read once", () =>
    Effect.gen(function*() {
      const bus = yield* makeBus
      const s = yield* bus.subscribe({ kinds: ["Ping"] })
      let reads = 0
      const flipping = {
        get _tag() {
          return reads++ === 0 ? "Ping" : "Unknown"
        }
      } as Ping
      yield* bus.publishAll([ping(1), flipping, ping(2)])
      assert.strictEqual((yield* s.snapshot).pending, 3)
      assert.strictEqual(reads, 1)
    }))

  it.effect("a batch whose making shuts the bus down is not published", () =>
    Effect.gen(function*() {
      const bus = yield* makeBus
      const s = yield* bus.subscribe({ kinds: ["Ping"] })
      yield* bus.publishAll((function*() {
        yield ping(1)
        Effect.runSync(bus.shutdown)
        yield ping(2)
      })())
      assert.strictEqual((yield* s.snapshot).offered, 0)
    }))

  it.effect("a _tag that cannot even be printed is refused with a message", () =>
    Effect.gen(function*() {
      const bus = yield* makeBus
      const unprintable = {
        toString() {
          throw new Error("no text for you")
        }
      }
      assert.throws(() => bus.publishUnsafe({ _tag: unprintable } as never), TypeError, "a value of type object")
    }))
})
