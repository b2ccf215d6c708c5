/** Closing from inside of handlers: nothing waits for itself or in a circle, and `drain` bounds what is left. */
import { assert, describe, it, vi } from "@effect/vitest"
import { EventBus, type SubscriptionHandle } from "@openwatch/event-bus"
import { Clock, Deferred, type Duration, Effect, Exit, Fiber, Latch, Logger, References, Scope, Stream } from "effect"
import { TestClock } from "effect/testing"
import { Ping, ping, Pong, pong, settle } from "./fixture.ts"

const makeBus = (options: EventBus.Options = {}) => EventBus.make({ name: "test", events: [Ping, Pong], ...options })

const laws = (snapshot: Effect.Success<SubscriptionHandle["snapshot"]>) => {
  const { handled = 0, failures, interrupted = 0, running, taken } = snapshot
  assert.strictEqual(taken, handled + failures + interrupted + running)
}

describe("a fiber that a handler forked", () => {
  const later = Effect.andThen(settle, settle)

  it.effect("unsubscribes, when its handler has long ended", () =>
    Effect.gen(function*() {
      const bus = yield* makeBus()
      const handle = yield* bus.on("Ping", (_, handle) => Effect.forkChild(Effect.andThen(settle, handle.unsubscribe)))
      yield* bus.publish(ping(1))
      yield* later
      const { handled, state } = yield* handle.snapshot
      assert.deepStrictEqual([state, handled], ["closed", 1])
    }))

  it.effect("closes the scope of its subscription, which has time to drain", () =>
    Effect.gen(function*() {
      const bus = yield* makeBus()
      const scope = yield* Scope.make()
      const handle = yield* bus.on(
        "Ping",
        () => Effect.forkChild(Effect.andThen(settle, Scope.close(scope, Exit.void))),
        { drain: "100 millis" }
      ).pipe(Scope.provide(scope))
      yield* bus.publish(ping(1))
      yield* later
      assert.strictEqual((yield* handle.snapshot).state, "closed")
    }))

  it.effect("is in the subscriber's scope when that closes, and unsubscribes meanwhile", () =>
    Effect.gen(function*() {
      const bus = yield* makeBus()
      const scope = yield* Scope.make()
      const gate = yield* Latch.make()
      const handle = yield* bus.on(
        "Ping",
        (_, handle) =>
          Effect.forkIn(Effect.onInterrupt(gate.await, () => handle.unsubscribe), scope, { startImmediately: true })
      ).pipe(Scope.provide(scope))
      yield* bus.publish(ping(1))
      yield* settle
      yield* Scope.close(scope, Exit.void)
      assert.strictEqual((yield* handle.snapshot).state, "closed")
    }))

  it.effect("closes the bus's scope", () =>
    Effect.gen(function*() {
      const scope = yield* Scope.make()
      const bus = yield* Scope.provide(makeBus(), scope)
      const handle = yield* bus.on(
        "Ping",
        () => Effect.forkChild(Effect.andThen(settle, Scope.close(scope, Exit.void)))
      )
      yield* bus.publish(ping(1))
      yield* later
      assert.strictEqual((yield* handle.snapshot).state, "closed")
    }))
})

describe("two handlers that close each other", () => {
  /** Two handlers that meet, and then each run `close` of the other. */
  const each = (
    bus: Effect.Success<ReturnType<typeof makeBus>>,
    options: { readonly drain?: string },
    close: (other: { readonly scope: Scope.Closeable; readonly handle: SubscriptionHandle }) => Effect.Effect<void>
  ) =>
    Effect.gen(function*() {
      const met = [yield* Deferred.make<void>(), yield* Deferred.make<void>()] as const
      const subscriptions: Array<{ readonly scope: Scope.Closeable; readonly handle: SubscriptionHandle }> = []
      for (const me of [0, 1] as const) {
        const scope = yield* Scope.make()
        const handle = yield* bus.on("Ping", () =>
          Effect.gen(function*() {
            yield* Deferred.succeed(met[me], undefined)
            yield* Deferred.await(met[1 - me]!)
            yield* close(subscriptions[1 - me]!)
          }), options as never).pipe(Scope.provide(scope))
        subscriptions.push({ scope, handle })
      }
      yield* bus.publish(ping(1))
      yield* settle
      return Effect.forEach(subscriptions, ({ handle }) => handle.snapshot)
    })

  it.effect("by unsubscribing: the one that is closed first is interrupted, the other goes on", () =>
    Effect.gen(function*() {
      const snapshots = yield* yield* each(yield* makeBus(), {}, ({ handle }) => handle.unsubscribe)
      assert.deepStrictEqual(snapshots.map(({ running, state }) => [running, state]), [[0, "open"], [0, "closed"]])
      snapshots.forEach(laws)
    }))

  it.effect("by closing each other's scopes", () =>
    Effect.gen(function*() {
      const snapshots = yield* yield* each(yield* makeBus(), {}, ({ scope }) => Scope.close(scope, Exit.void))
      assert.deepStrictEqual(snapshots.map(({ running, state }) => [running, state]), [[0, "open"], [0, "closed"]])
      snapshots.forEach(laws)
    }))

  for (
    const [inside, region] of [["interruptible", Effect.interruptible], [
      "uninterruptible",
      Effect.uninterruptible
    ]] as const
  ) {
    it.effect(`by closing each other's scopes, with time to drain, ${inside}: they wait no longer than that`, () =>
      Effect.gen(function*() {
        const look = yield* each(
          yield* makeBus(),
          { drain: "1 second" },
          ({ scope }) => region(Scope.close(scope, Exit.void))
        )
        assert.deepStrictEqual((yield* look).map(({ state }) => state), ["draining", "draining"])
        yield* TestClock.adjust("1 second")
        yield* settle
        const snapshots = yield* look
        assert.deepStrictEqual(snapshots.map(({ state }) => state), ["closed", "closed"])
        snapshots.forEach(laws)
      }))
  }
})

it.effect("a handler that unsubscribes another goes on when the other has ended", () =>
  Effect.gen(function*() {
    const bus = yield* makeBus()
    const gate = yield* Latch.make()
    const other = yield* bus.on("Ping", () => Effect.uninterruptible(gate.await))
    const closer = yield* bus.on("Pong", () => other.unsubscribe)
    yield* bus.publishAll([ping(1), pong(2)])
    yield* settle
    assert.strictEqual((yield* closer.snapshot).handled, 0)
    yield* gate.open
    yield* settle
    assert.strictEqual((yield* other.snapshot).state, "closed")
    assert.strictEqual((yield* closer.snapshot).handled, 1)
  }))

it.effect("a drain goes on although whoever closes the scope, and is no handler, is interrupted", () =>
  Effect.gen(function*() {
    const bus = yield* makeBus()
    const scope = yield* Scope.make()
    const gate = yield* Latch.make()
    const handle = yield* bus.on("Ping", () => gate.await, { drain: "1 hour" }).pipe(Scope.provide(scope))
    yield* bus.publishAll([ping(1), ping(2)])
    yield* settle
    const closing = yield* Effect.forkChild(Scope.close(scope, Exit.void), { startImmediately: true })
    closing.interruptUnsafe()
    yield* settle
    assert.strictEqual((yield* handle.snapshot).state, "draining")
    yield* gate.open
    yield* settle
    const { discarded, handled, state } = yield* handle.snapshot
    assert.deepStrictEqual([state, handled, discarded], ["closed", 2, 0])
  }))

it.effect("a drain that a handler waits for ends with that handler: the rest is discarded", () =>
  Effect.gen(function*() {
    const bus = yield* makeBus()
    const scope = yield* Scope.make()
    const slow = yield* bus.on("Ping", () => Effect.never, { name: "slow", drain: "1 hour" }).pipe(Scope.provide(scope))
    const closer = yield* bus.on("Pong", () => Scope.close(scope, Exit.void), { name: "closer" })
    yield* bus.publishAll([ping(1), ping(2), pong(3)])
    yield* settle
    assert.strictEqual((yield* slow.snapshot).state, "draining")
    yield* closer.unsubscribe
    yield* settle
    const { discarded, interrupted, state } = yield* slow.snapshot
    assert.deepStrictEqual([state, discarded, interrupted], ["closed", 1, 1])
  }))

it.effect("closing the bus's scope from a handler ends when that handler is interrupted, and ends all drains with it", () =>
  Effect.gen(function*() {
    const scope = yield* Scope.make()
    const bus = yield* Scope.provide(makeBus({ drain: "1 hour" }), scope)
    const slow = yield* bus.on("Ping", () => Effect.never, { name: "slow" })
    const slower = yield* bus.on("Ping", () => Effect.never, { name: "slower" })
    const closer = yield* bus.on("Pong", () => Scope.close(scope, Exit.void), { name: "closer" })
    yield* bus.publishAll([ping(1), pong(2)])
    yield* settle
    assert.strictEqual((yield* slow.snapshot).state, "draining")
    yield* closer.unsubscribe
    yield* settle
    assert.deepStrictEqual([(yield* slow.snapshot).state, (yield* slower.snapshot).state], ["closed", "closed"])
  }))

describe("what a close takes away", () => {
  const logged = <A, E, R>(effect: (lines: Array<string>) => Effect.Effect<A, E, R>) => {
    const lines: Array<string> = []
    const logger = Logger.make(({ logLevel, message }) =>
      lines.push(`${logLevel} ${String(message).split(",Cause")[0]}`)
    )
    return Effect.provide(effect(lines), Logger.layer([logger]))
  }

  it.effect("from a handler is one warning with both counts and the way to keep them", () =>
    logged((lines) =>
      Effect.gen(function*() {
        const bus = yield* makeBus()
        const handle = yield* bus.on("Ping", () => Effect.never)
        yield* bus.publishAll([ping(1), ping(2), ping(3)])
        yield* settle
        yield* handle.unsubscribe
        yield* settle
        assert.deepStrictEqual(lines, [
          `Warn Closing a subscription discarded 2 pending events and interrupted 1 handler; to keep them, give it, or the bus, more time to drain: { drain: "10 seconds" }`
        ])
      })
    ))

  it.effect("from an onFailure is an error: nobody else has been told of the failure", () =>
    logged((lines) =>
      Effect.gen(function*() {
        const bus = yield* makeBus()
        const handle = yield* bus.on("Ping", () => Effect.fail("no"), { onFailure: () => Effect.never })
        yield* bus.publish(ping(1))
        yield* settle
        yield* handle.unsubscribe
        yield* settle
        assert.deepStrictEqual(lines, ["Error The onFailure of an event handler failed"])
        assert.deepInclude(yield* handle.snapshot, { failures: 1, interrupted: 0, running: 0 })
      })
    ))

  it.effect("is all of it, also where it is closed again while a handler takes its time to end", () =>
    logged((lines) =>
      Effect.gen(function*() {
        const bus = yield* makeBus()
        const gate = yield* Latch.make()
        const handle = yield* bus.on(
          "Ping",
          ({ n }) => n === 1 ? Effect.never : Effect.onInterrupt(Effect.never, () => gate.await),
          { concurrency: 2 }
        )
        yield* bus.publishAll([ping(1), ping(2)])
        yield* settle
        const first = yield* Effect.forkChild(handle.unsubscribe)
        yield* settle
        const second = yield* Effect.forkChild(handle.unsubscribe)
        yield* settle
        assert.deepStrictEqual(lines, [])
        yield* gate.open
        yield* Fiber.joinAll([first, second])
        yield* settle
        assert.strictEqual(lines.length, 1)
        assert.include(lines[0], "discarded 0 pending events and interrupted 2 handlers")
      })
    ))

  it.effect("is not said where there is nothing to say", () =>
    logged((lines) =>
      Effect.gen(function*() {
        const bus = yield* makeBus()
        const handle = yield* bus.on("Ping", () => Effect.void)
        yield* bus.publish(ping(1))
        yield* settle
        yield* handle.unsubscribe
        yield* settle
        assert.deepStrictEqual(lines, [])
      })
    ))

  it.effect("does not hold what was interrupted before", () =>
    logged((lines) =>
      Effect.gen(function*() {
        const bus = yield* makeBus()
        const closed = yield* bus.on("Ping", () => Effect.interrupt)
        const ended = yield* bus.on("Pong", () => Effect.interrupt)
        yield* bus.publishAll([ping(1), pong(2)])
        yield* settle
        // It is said when it happens.
        assert.deepStrictEqual(
          lines.splice(0),
          Array.from({ length: 2 }, () => "Debug An event handler was interrupted")
        )
        yield* closed.unsubscribe
        yield* bus.shutdown
        yield* settle
        assert.deepStrictEqual([(yield* closed.snapshot).interrupted, (yield* ended.snapshot).interrupted], [1, 1])
        assert.deepStrictEqual(lines, [])
      }).pipe(Effect.provideService(References.MinimumLogLevel, "Debug"))
    ))

  it.effect("from a taker is a line for debugging, where there was anything, and nobody asked for one event only", () =>
    logged((lines) =>
      Effect.gen(function*() {
        const bus = yield* makeBus()
        const taker = yield* bus.subscribe({ kinds: ["Ping"] })
        const other = yield* bus.subscribe({ kinds: ["Pong"] })
        const next = yield* Effect.forkChild(bus.awaitNext("Ping"), { startImmediately: true })
        yield* bus.publishAll([ping(1), ping(2)])
        yield* Fiber.join(next)
        yield* taker.unsubscribe
        yield* other.unsubscribe
        yield* settle
        assert.deepStrictEqual(lines, ["Debug Closing a subscription discarded 2 pending events"])
      }).pipe(Effect.provideService(References.MinimumLogLevel, "Debug"))
    ))

  it.effect("is not said of the events after the one that was asked for, however many", () =>
    logged((lines) =>
      Effect.gen(function*() {
        const bus = yield* makeBus()
        const next = yield* Effect.forkChild(bus.awaitNext("Ping"), { startImmediately: true })
        yield* bus.publishAll(Array.from({ length: 2_000 }, (_, n) => ping(n)))
        yield* Fiber.join(next)
        yield* settle
        assert.deepStrictEqual(lines, [])
      }).pipe(Effect.provideService(References.MinimumLogLevel, "Debug"))
    ))

  it.effect("is said once: the handlers, and the body, that it interrupts say nothing of it", () =>
    logged((lines) =>
      Effect.gen(function*() {
        const bus = yield* makeBus()
        const handle = yield* bus.on("Ping", () => Effect.never)
        const consumer = yield* bus.consume("Pong", Stream.runForEach(() => Effect.never))
        yield* bus.publishAll([ping(1), ping(2), pong(3)])
        yield* settle
        yield* handle.unsubscribe
        yield* settle
        assert.strictEqual(lines.length, 1)
        yield* consumer.unsubscribe
        yield* settle
        assert.strictEqual(lines.length, 2)
      }).pipe(Effect.provideService(References.MinimumLogLevel, "Debug"))
    ))

  it.effect("is nothing where the bus has time to drain", () =>
    logged((lines) =>
      Effect.gen(function*() {
        const scope = yield* Scope.make()
        const bus = yield* Scope.provide(makeBus({ drain: "10 seconds" }), scope)
        const handled: Array<number> = []
        const handle = yield* bus.on("Ping", ({ n }) => Effect.sync(() => handled.push(n)))
        const hasty = yield* bus.on("Pong", () => Effect.never, { drain: 0 })
        yield* bus.publishAll([ping(1), ping(2), pong(3)])
        const closing = yield* Effect.forkChild(Scope.close(scope, Exit.void))
        yield* TestClock.adjust(0)
        yield* Fiber.join(closing)
        assert.deepStrictEqual(handled, [1, 2])
        assert.strictEqual((yield* handle.snapshot).discarded, 0)
        assert.strictEqual((yield* hasty.snapshot).interrupted, 1)
        assert.strictEqual(lines.length, 1)
      })
    ))
})

describe("a drain that is over", () => {
  /** How many sleep, by a clock that counts them. */
  const counting = Effect.map(Clock.Clock, (clock) => {
    let count = 0
    const counted: Clock.Clock = Object.create(clock, {
      sleep: {
        value: (duration: Duration.Duration) =>
          Effect.suspend(() => {
            count++
            return Effect.ensuring(
              clock.sleep(duration),
              Effect.sync(() => {
                count--
              })
            )
          })
      }
    })
    return { count: () => count, provide: Effect.provideService(Clock.Clock, counted) }
  })

  it.effect("leaves no timer behind, which would keep a process from its end", () =>
    Effect.gen(function*() {
      const sleepers = yield* counting
      const bus = yield* makeBus()
      const scope = yield* Scope.make()
      const latch = yield* Latch.make()
      yield* bus.on("Ping", () => latch.await, { drain: "1 hour" }).pipe(Scope.provide(scope), sleepers.provide)
      yield* bus.publish(ping(1))
      const closing = yield* Effect.forkChild(Scope.close(scope, Exit.void))
      yield* settle
      assert.strictEqual(sleepers.count(), 1)
      yield* latch.open
      yield* Fiber.join(closing)
      yield* settle
      assert.strictEqual(sleepers.count(), 0)
    }))

  it.effect("nor does one that two wait for, or one of what has ended", () =>
    Effect.gen(function*() {
      const sleepers = yield* counting
      const busScope = yield* Scope.make()
      const bus = yield* Scope.provide(makeBus({ drain: "1 hour" }), busScope)
      const scope = yield* Scope.make()
      const latch = yield* Latch.make()
      yield* bus.on("Ping", () => latch.await).pipe(Scope.provide(scope), sleepers.provide)
      const ended = yield* Scope.make()
      yield* bus.on("Pong", () => latch.await).pipe(Scope.provide(ended), sleepers.provide)
      yield* bus.publish(ping(1))
      const first = yield* Effect.forkChild(Scope.close(scope, Exit.void))
      yield* settle
      const second = yield* Effect.forkChild(Scope.close(busScope, Exit.void))
      yield* settle
      yield* Scope.close(ended, Exit.void)
      assert.strictEqual(sleepers.count(), 1)
      yield* latch.open
      yield* Fiber.joinAll([first, second])
      yield* settle
      assert.strictEqual(sleepers.count(), 0)
    }))
})

describe("a drain that takes longer than a second of real time", () => {
  /** What a drain of an hour says, while `meanwhile` runs before the first second is over. */
  const linesOf = (meanwhile: Effect.Effect<void>) =>
    Effect.gen(function*() {
      const lines: Array<string> = []
      const logger = Logger.make(({ logLevel, message }) => {
        if (String(message).startsWith("A drain")) lines.push(`${logLevel} ${String(message)}`)
      })
      vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] })
      yield* Effect.gen(function*() {
        const bus = yield* makeBus()
        const scope = yield* Scope.make()
        yield* bus.on("Ping", () => Effect.never, { drain: "1 hour" }).pipe(Scope.provide(scope))
        yield* bus.publishAll([ping(1), ping(2), ping(3)])
        yield* settle
        const closing = yield* Effect.forkChild(Scope.close(scope, Exit.void))
        yield* settle
        yield* meanwhile
        vi.advanceTimersByTime(999)
        yield* settle
        assert.deepStrictEqual(lines, [])
        vi.advanceTimersByTime(10_000)
        yield* settle
        yield* TestClock.adjust("1 hour")
        yield* Fiber.join(closing)
      }).pipe(Effect.provide(Logger.layer([logger])))
      return lines
    }).pipe(Effect.ensuring(Effect.sync(() => vi.useRealTimers())))

  it.effect("says so once, as a warning where the clock stands still", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* linesOf(Effect.void), [
        "Warn A drain still waits for 1 handler and 2 pending events, and Clock stands still: under TestClock, adjust it " +
        "while the scope closes"
      ])
    }))

  it.effect("says so once, as a piece of information where the clock goes on", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* linesOf(TestClock.adjust("1 second")), [
        "Info A drain still waits for 1 handler and 2 pending events"
      ])
    }))

  it.effect("says nothing once it has ended", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* linesOf(TestClock.adjust("1 hour")), [])
    }))
})
