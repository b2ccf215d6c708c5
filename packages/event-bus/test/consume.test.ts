import { assert, describe, it } from "@effect/vitest"
import { EventBus, type SubscriptionHandle } from "@openwatch/event-bus"
import { Cause, Deferred, Effect, Exit, Fiber, Latch, Logger, References, Schedule, Scope, Stream } from "effect"
import { TestClock } from "effect/testing"
import { Ping, ping, Pong, pong, settle } from "./fixture.ts"

const makeBus = (options: EventBus.Options = {}) => EventBus.make({ name: "test", events: [Ping, Pong], ...options })

const silent = Effect.provide(Logger.layer([]))

const counters = (handle: SubscriptionHandle) =>
  Effect.map(handle.snapshot, ({ failures, handled, interrupted, restarts, running, settled, taken }) => {
    assert.strictEqual(taken, handled! + failures + interrupted! + running)
    return { failures, handled, interrupted, restarts, running, settled }
  })

describe("consume", () => {
  it.effect("is live when it returns, and gives the events of its kinds in order", () =>
    Effect.gen(function*() {
      const bus = yield* makeBus()
      const seen: Array<string> = []
      const handle = yield* bus.consume(
        ["Ping", "Pong"],
        Stream.runForEach((event) => Effect.sync(() => seen.push(`${event._tag}${event.n}`)))
      )
      yield* bus.publishAll([ping(1), pong(2), ping(3)])
      assert.deepStrictEqual(seen, [])
      yield* settle
      assert.deepStrictEqual(seen, ["Ping1", "Pong2", "Ping3"])
      assert.deepStrictEqual(yield* counters(handle), {
        failures: 0,
        handled: 3,
        interrupted: 0,
        restarts: 0,
        running: 0,
        settled: 3
      })
    }))

  it.effect("takes sixteen events at most: they run until the next pull", () =>
    Effect.gen(function*() {
      const bus = yield* makeBus()
      const gate = yield* Latch.make()
      const handle = yield* bus.consume("Ping", Stream.runForEach(() => gate.await))
      yield* bus.publishAll(Array.from({ length: 20 }, (_, n) => ping(n)))
      yield* settle
      const during = yield* counters(handle)
      assert.deepStrictEqual([during.running, during.handled, during.settled], [16, 0, 0])
      yield* gate.open
      yield* settle
      const after = yield* counters(handle)
      assert.deepStrictEqual([after.running, after.handled, after.settled], [0, 20, 20])
    }))

  it.effect("a body that runs the stream twice at once has what both pulled", () =>
    Effect.gen(function*() {
      const bus = yield* makeBus()
      const gate = yield* Latch.make()
      const handle = yield* bus.consume("Ping", (events) => {
        const each = Stream.runForEach(events, () => gate.await)
        return Effect.all([each, each], { concurrency: 2 })
      })
      // Both wait before anything comes.
      yield* settle
      yield* bus.publishAll(Array.from({ length: 20 }, (_, n) => ping(n)))
      yield* settle
      assert.strictEqual((yield* counters(handle)).running, 20)
      yield* gate.open
      yield* settle
      const { handled, running, settled } = yield* counters(handle)
      assert.deepStrictEqual({ handled, running, settled }, { handled: 20, running: 0, settled: 20 })
    }))

  it.effect("on the closing of its scope finishes what it holds, within its drain", () =>
    Effect.gen(function*() {
      const bus = yield* makeBus({ drain: "10 seconds" })
      const scope = yield* Scope.make()
      const batches: Array<ReadonlyArray<number>> = []
      yield* bus.consume("Ping", (events) =>
        events.pipe(
          Stream.groupedWithin(100, "1 minute"),
          Stream.runForEach((batch) => Effect.sync(() => batches.push(batch.map(({ n }) => n))))
        )).pipe(Scope.provide(scope))
      yield* bus.publishAll([ping(1), ping(2), ping(3)])
      yield* settle
      assert.deepStrictEqual(batches, [])
      yield* Scope.close(scope, Exit.void)
      assert.deepStrictEqual(batches, [[1, 2, 3]])
    }))

  it.effect("without drain is interrupted: what it had pulled is interrupted, the rest discarded", () =>
    Effect.gen(function*() {
      const bus = yield* makeBus()
      const handle = yield* bus.consume("Ping", Stream.runForEach(() => Effect.never))
      yield* bus.publishAll(Array.from({ length: 20 }, (_, n) => ping(n)))
      yield* settle
      yield* handle.unsubscribe
      assert.strictEqual((yield* counters(handle)).interrupted, 16)
      assert.strictEqual((yield* handle.snapshot).discarded, 4)
    }).pipe(silent))

  it.effect("a body that completes unsubscribes", () =>
    Effect.gen(function*() {
      const bus = yield* makeBus()
      const handle = yield* bus.consume("Ping", (events) => Stream.runDrain(Stream.take(events, 2)))
      yield* bus.publishAll([ping(1), ping(2)])
      yield* settle
      assert.strictEqual((yield* handle.snapshot).state, "closed")
      assert.strictEqual((yield* counters(handle)).handled, 2)
      assert.deepStrictEqual(yield* bus.subscriptions, [])
    }))

  it.effect("a body that fails is run again after a pause that grows, with what it has not pulled", () =>
    Effect.gen(function*() {
      const bus = yield* makeBus()
      const seen: Array<number> = []
      const handle = yield* bus.consume(
        "Ping",
        Stream.runForEach(({ n }) => {
          seen.push(n)
          return n < 3 ? Effect.fail("no") : Effect.void
        })
      )
      yield* bus.publish(ping(1))
      yield* settle
      yield* bus.publishAll([ping(2), ping(3)])
      yield* TestClock.adjust("99 millis")
      assert.deepStrictEqual(seen, [1])
      yield* TestClock.adjust("1 millis")
      assert.deepStrictEqual(seen, [1, 2])
      yield* TestClock.adjust("100 millis")
      // 3 was pulled with 2, and failed with it.
      assert.deepStrictEqual(yield* counters(handle), {
        failures: 3,
        handled: 0,
        interrupted: 0,
        restarts: 2,
        running: 0,
        settled: 3
      })
    }).pipe(silent))

  it.effect("the pause starts anew after a run that took something, and grows where none does", () =>
    Effect.gen(function*() {
      const bus = yield* makeBus()
      let runs = 0
      yield* bus.consume("Ping", () => {
        runs++
        return Effect.fail("never works")
      })
      yield* settle
      assert.strictEqual(runs, 1)
      yield* TestClock.adjust("100 millis")
      assert.strictEqual(runs, 2)
      yield* TestClock.adjust("199 millis")
      assert.strictEqual(runs, 2)
      yield* TestClock.adjust("1 millis")
      assert.strictEqual(runs, 3)
      yield* TestClock.adjust("1 hour")
      yield* settle
      const before = runs
      yield* TestClock.adjust("30 seconds")
      assert.strictEqual(runs, before + 1)
    }).pipe(silent))

  it.effect("the pause grows from that of the last run that took something", () =>
    Effect.gen(function*() {
      const bus = yield* makeBus()
      let runs = 0
      yield* bus.consume("Ping", (events) =>
        ++runs === 2 ? Stream.runForEach(events, () => Effect.fail("took one")) : Effect.fail("took nothing"))
      yield* bus.publish(ping(1))
      yield* settle
      for (const [millis, expected] of [[100, 2], [100, 3], [199, 3], [1, 4]] as const) {
        yield* TestClock.adjust(millis)
        assert.strictEqual(runs, expected)
      }
    }).pipe(silent))

  it.effect("a body that has failed is not run again where a fiber that it forked unsubscribes", () =>
    Effect.gen(function*() {
      const bus = yield* makeBus()
      const gate = yield* Latch.make()
      const made = yield* Deferred.make<SubscriptionHandle>()
      const unsubscribe = Effect.flatMap(Deferred.await(made), (handle) => handle.unsubscribe)
      let runs = 0
      const handle = yield* bus.consume("Ping", () => {
        runs++
        return Effect.andThen(Effect.forkDetach(Effect.andThen(gate.await, unsubscribe)), Effect.fail("no"))
      })
      yield* Deferred.succeed(made, handle)
      yield* settle
      yield* gate.open
      yield* settle
      assert.strictEqual((yield* handle.snapshot).state, "closed")
      assert.strictEqual(runs, 1)
    }).pipe(silent))

  it.effect("a retry of one's own sees the cause; when it ends, the subscription is closed", () =>
    Effect.gen(function*() {
      const bus = yield* makeBus()
      const causes: Array<string> = []
      const retry = Schedule.recurs(5).pipe(
        Schedule.while(({ input }: Schedule.Metadata<number, Cause.Cause<string>>) => {
          causes.push(String(Cause.squash(input)))
          return causes.length < 2
        })
      )
      const lines: Array<string> = []
      const logger = Logger.make(({ logLevel, message }) => lines.push(`${logLevel} ${String(message).split(",")[0]}`))
      const handle = yield* bus.consume("Ping", () => Effect.fail("no"), { retry }).pipe(
        Effect.provide(Logger.layer([logger]))
      )
      yield* bus.publish(ping(1))
      yield* settle
      assert.deepStrictEqual(causes, ["no", "no"])
      const { discarded, state } = yield* handle.snapshot
      assert.deepStrictEqual([state, discarded], ["closed", 1])
      assert.deepStrictEqual(lines, [
        "Error A consumer failed",
        "Error A consumer failed",
        "Error A consumer is given up: its retry has ended",
        "Warn Closing a subscription discarded 1 pending event and interrupted 0 handlers; to keep them"
      ])
    }))

  it.effect("a retry that dies has ended, and is logged", () =>
    Effect.gen(function*() {
      const bus = yield* makeBus()
      const lines: Array<string> = []
      const logger = Logger.make(({ message }) => lines.push(String(message).split(",")[0]!))
      const retry = Schedule.recurs(5).pipe(Schedule.while(() => Effect.die("a schedule at fault")))
      let runs = 0
      const handle = yield* bus.consume("Ping", () => Effect.fail(++runs), { retry }).pipe(
        Effect.provide(Logger.layer([logger]))
      )
      yield* settle
      assert.strictEqual(runs, 1)
      assert.strictEqual((yield* handle.snapshot).state, "closed")
      assert.deepStrictEqual(lines, [
        "A consumer failed",
        "A consumer failed",
        "A consumer is given up: its retry has ended"
      ])
    }))

  it.effect("a body that ends interrupted is a line for debugging, and is run again", () =>
    Effect.gen(function*() {
      const bus = yield* makeBus()
      const lines: Array<string> = []
      const logger = Logger.make(({ logLevel, message }) => lines.push(`${logLevel} ${String(message).split(",")[0]}`))
      let runs = 0
      yield* bus.consume("Ping", (events) => ++runs === 1 ? Effect.interrupt : Stream.runDrain(events)).pipe(
        Effect.provide(Logger.layer([logger])),
        Effect.provideService(References.MinimumLogLevel, "Debug")
      )
      yield* settle
      yield* TestClock.adjust("100 millis")
      yield* settle
      assert.strictEqual(runs, 2)
      assert.deepStrictEqual(lines, ["Debug A consumer was interrupted"])
    }))

  it.effect("a body never sees a chunk with nothing in it", () =>
    Effect.gen(function*() {
      const bus = yield* makeBus()
      const chunks: Array<number> = []
      yield* bus.consume("Ping", Stream.runForEachArray((events) => Effect.sync(() => chunks.push(events.length))))
      yield* settle
      yield* bus.publish(ping(1))
      yield* settle
      yield* bus.shutdown
      yield* settle
      assert.deepStrictEqual(chunks, [1])
    }))

  it.effect("a retry may be made as in Effect.retry", () =>
    Effect.gen(function*() {
      const bus = yield* makeBus()
      let runs = 0
      yield* bus.consume("Ping", () => Effect.suspend(() => Effect.fail(++runs)), {
        retry: ($) => $(Schedule.recurs(5)).pipe(Schedule.while(({ input }) => Cause.squash(input) !== 3))
      })
      yield* settle
      assert.strictEqual(runs, 3)
    }).pipe(silent))

  it.effect("a body that fails while it drains is run again at once, as long as there is something", () =>
    Effect.gen(function*() {
      const bus = yield* makeBus({ drain: "1 minute" })
      const scope = yield* Scope.make()
      let runs = 0
      const handle = yield* bus.consume("Ping", (events) => {
        runs++
        return Stream.runForEach(Stream.take(events, 1), () => Effect.die("no"))
      }).pipe(Scope.provide(scope))
      yield* bus.publishAll(Array.from({ length: 40 }, (_, n) => ping(n)))
      yield* settle
      assert.strictEqual(runs, 1)
      yield* Scope.close(scope, Exit.void)
      assert.strictEqual(runs, 3)
      assert.strictEqual((yield* counters(handle)).failures, 40)
    }).pipe(silent))

  for (const how of ["a drain", "a shutdown"]) {
    it.effect(`a body that pauses when ${how} begins, with nothing pending, is not run again`, () =>
      Effect.gen(function*() {
        const bus = yield* makeBus()
        const scope = yield* Scope.make()
        let runs = 0
        const handle = yield* bus.consume(
          "Ping",
          (events) => {
            runs++
            return runs === 1 ? Stream.runForEach(events, () => Effect.fail("no")) : Effect.never
          },
          { retry: Schedule.spaced("1 hour"), drain: "1 minute" }
        ).pipe(Scope.provide(scope))
        yield* bus.publish(ping(1))
        yield* settle
        if (how === "a shutdown") yield* bus.shutdown
        else yield* Effect.forkChild(Scope.close(scope, Exit.void))
        yield* settle
        const { restarts, state } = yield* handle.snapshot
        yield* handle.unsubscribe
        assert.deepStrictEqual([runs, restarts, state], [1, 0, "closed"])
      }).pipe(silent))
  }

  it.effect("a body that fails while it drains, and takes nothing, is run again after the pause", () =>
    Effect.gen(function*() {
      const bus = yield* makeBus()
      const scope = yield* Scope.make()
      let runs = 0
      const handle = yield* bus.consume("Ping", () => {
        runs++
        return Effect.fail("no database")
      }, { drain: "1 second" }).pipe(Scope.provide(scope))
      yield* bus.publish(ping(1))
      yield* settle
      const closing = yield* Effect.forkChild(Scope.close(scope, Exit.void))
      yield* settle
      // The pause before the drain ended with its beginning.
      assert.strictEqual(runs, 2)
      yield* TestClock.adjust("200 millis")
      assert.strictEqual(runs, 3)
      yield* TestClock.adjust("1 second")
      yield* Fiber.join(closing)
      assert.strictEqual(runs, 4)
      assert.strictEqual((yield* handle.snapshot).discarded, 1)
    }).pipe(silent))

  it.effect("what a run acquires is released before the next", () =>
    Effect.gen(function*() {
      const bus = yield* makeBus()
      const log: Array<string> = []
      yield* bus.consume("Ping", (events) =>
        Effect.andThen(
          Effect.acquireRelease(Effect.sync(() => log.push("+")), () => Effect.sync(() => log.push("-"))),
          Stream.runForEach(events, ({ n }) => n === 1 ? Effect.fail("no") : Effect.void)
        ))
      yield* bus.publish(ping(1))
      yield* settle
      yield* TestClock.adjust("100 millis")
      assert.deepStrictEqual(log, ["+", "-", "+"])
    }).pipe(silent))

  it.effect("a body that interrupts its own fiber is run again", () =>
    Effect.gen(function*() {
      const bus = yield* makeBus()
      const seen: Array<number> = []
      const handle = yield* bus.consume(
        "Ping",
        Stream.runForEach(({ n }) => {
          seen.push(n)
          return n === 1 ? Effect.interrupt : Effect.void
        })
      )
      yield* bus.publish(ping(1))
      yield* settle
      yield* bus.publish(ping(2))
      yield* TestClock.adjust("1 second")
      assert.deepStrictEqual(seen, [1, 2])
      assert.strictEqual((yield* counters(handle)).interrupted, 1)
    }).pipe(silent))

  for (
    const [what, body] of [
      ["returns no effect", () => undefined],
      ["goes on with no effect", () => Effect.flatMap(Effect.void, () => undefined as never)],
      [
        "interrupts its own fiber",
        () =>
          Effect.withFiber((fiber) => {
            fiber.interruptUnsafe()
            return Effect.never
          })
      ]
    ] as const
  ) {
    it.effect(`a body that ${what} is logged, and run again as one that fails`, () =>
      Effect.gen(function*() {
        const bus = yield* makeBus()
        const logged: Array<unknown> = []
        const logger = Logger.make(({ message }) => logged.push(...[message].flat()))
        let runs = 0
        let open = 0
        const resource = Effect.acquireRelease(Effect.sync(() => open++), () => Effect.sync(() => open--))
        const handle = yield* bus.consume("Ping", () => {
          runs++
          return (runs === 1 ? body() : Effect.andThen(resource, Effect.suspend(() => body() as never))) as never
        }).pipe(
          Effect.provide(Logger.layer([logger])),
          Effect.provideService(References.MinimumLogLevel, "Debug")
        )
        yield* settle
        assert.strictEqual(runs, 1)
        assert.match(String(logged[0]), /^A consumer (failed|was interrupted)$/)
        yield* TestClock.adjust("100 millis")
        assert.strictEqual(runs, 2)
        yield* TestClock.adjust("200 millis")
        assert.strictEqual(runs, 3)
        assert.strictEqual((yield* handle.snapshot).restarts, 2)
        assert.strictEqual(open, 0)
      }))
  }

  it.effect("a body that closes its own scope finishes by itself", () =>
    Effect.gen(function*() {
      const bus = yield* makeBus({ drain: "1 minute" })
      const scope = yield* Scope.make()
      const seen: Array<number> = []
      const handle = yield* bus.consume(
        "Ping",
        Stream.runForEach(({ n }) =>
          Effect.andThen(
            n === 1 ? Scope.close(scope, Exit.void) : Effect.void,
            Effect.sync(() => seen.push(n))
          )
        )
      ).pipe(Scope.provide(scope))
      yield* bus.publishAll(Array.from({ length: 20 }, (_, n) => ping(n)))
      yield* settle
      assert.deepStrictEqual(seen.length, 16)
      assert.strictEqual((yield* handle.snapshot).state, "closed")
    }).pipe(silent))

  it.effect("goes on until its buffer is empty when the bus is shut down, then its stream ends", () =>
    Effect.gen(function*() {
      const bus = yield* makeBus()
      const done = yield* Deferred.make<ReadonlyArray<number>>()
      const handle = yield* bus.consume(
        "Ping",
        (events) =>
          Effect.flatMap(Stream.runCollect(events), (all) => Deferred.succeed(done, Array.from(all, ({ n }) => n)))
      )
      yield* bus.publishAll([ping(1), ping(2)])
      yield* bus.shutdown
      assert.deepStrictEqual(yield* Deferred.await(done), [1, 2])
      yield* settle
      assert.strictEqual((yield* handle.snapshot).state, "closed")
    }))

  it.effect("after shutdown, or in a scope that is closed, has ended already: no body runs, and nobody waits for one", () =>
    Effect.gen(function*() {
      const bus = yield* makeBus({ drain: "1 minute" })
      const closed = yield* Scope.make()
      yield* Scope.close(closed, Exit.void)
      let runs = 0
      const consume = bus.consume("Ping", () =>
        Effect.suspend(() => {
          runs++
          return Effect.never
        }))
      const inClosedScope = yield* Effect.forkChild(Scope.provide(consume, closed), { startImmediately: true })
      yield* settle
      yield* bus.shutdown
      const afterShutdown = yield* Effect.forkChild(consume, { startImmediately: true })
      yield* settle
      const waiting = [inClosedScope, afterShutdown].filter((fiber) => fiber.pollUnsafe() === undefined)
      yield* TestClock.adjust("1 minute") // what waits for its drain must not hold up the test
      assert.strictEqual(waiting.length, 0)
      const handle = yield* Fiber.join(afterShutdown)
      assert.strictEqual((yield* handle.snapshot).state, "closed")
      assert.strictEqual(runs, 0)
    }))
})

describe("awaitIdle", () => {
  it.effect("waits for a pause of consume to be over, and for what its body does", () =>
    Effect.gen(function*() {
      const bus = yield* makeBus()
      let runs = 0
      yield* bus.consume("Ping", (events) => ++runs === 1 ? Effect.fail("no") : Stream.runDrain(events))
      const idle = yield* Effect.forkChild(bus.awaitIdle)
      yield* settle
      assert.isUndefined(idle.pollUnsafe())
      yield* TestClock.adjust("100 millis")
      yield* Fiber.join(idle)
      assert.strictEqual(runs, 2)
    }).pipe(silent))

  it.effect("is there while a body waits in one pull, though it has left another", () =>
    Effect.gen(function*() {
      const bus = yield* makeBus()
      yield* bus.consume("Ping", (events) => {
        const all = Stream.runDrain(events)
        return Effect.all([Effect.timeoutOption(all, "1 second"), all], { concurrency: 2 })
      })
      yield* settle
      yield* TestClock.adjust("1 second")
      yield* bus.awaitIdle
    }))

  it.effect("waits for a taker that is about to wake up", () =>
    Effect.gen(function*() {
      const bus = yield* makeBus()
      const subscription = yield* bus.subscribe({ kinds: ["Ping"] })
      let isTaken = false
      yield* Effect.forkChild(
        Effect.map(subscription.take, () => {
          isTaken = true
        }),
        { startImmediately: true }
      )
      yield* bus.publish(ping(1))
      assert.isFalse(isTaken)
      yield* bus.awaitIdle
      assert.isTrue(isTaken)
    }))

  it.effect("waits for a handler that has waited for the others and goes on", () =>
    Effect.gen(function*() {
      const bus = yield* makeBus()
      yield* bus.on("Ping", () => Effect.andThen(bus.awaitIdle, Effect.sleep("1 minute")))
      yield* bus.publish(ping(1))
      yield* settle
      const idle = yield* Effect.forkChild(bus.awaitIdle, { startImmediately: true })
      yield* settle
      assert.isUndefined(idle.pollUnsafe())
      yield* TestClock.adjust("1 minute")
      yield* Fiber.join(idle)
    }))

  it.effect("waits for a handler that has given up waiting for the others, as one of them came to its end", () =>
    Effect.gen(function*() {
      const bus = yield* makeBus()
      const gate = yield* Latch.make()
      const ending = yield* bus.on("Pong", () => Effect.void, { name: "ending" })
      yield* bus.on("Pong", () => gate.await)
      yield* bus.publish(pong(1))
      yield* settle
      yield* bus.on("Ping", () =>
        Effect.gen(function*() {
          const waiting = yield* Effect.forkChild(bus.awaitIdle, { startImmediately: true })
          yield* ending.unsubscribe
          yield* Fiber.interrupt(waiting)
          yield* Effect.sleep("1 minute")
        }))
      yield* bus.publish(ping(1))
      yield* settle
      yield* gate.open
      yield* settle
      const idle = yield* Effect.forkChild(bus.awaitIdle, { startImmediately: true })
      yield* settle
      assert.isUndefined(idle.pollUnsafe())
      yield* TestClock.adjust("1 minute")
      yield* Fiber.join(idle)
    }))

  it.effect("waits for a handler that has given up waiting for the others, also where it was asked before", () =>
    Effect.gen(function*() {
      const bus = yield* makeBus()
      const gate = yield* Latch.make()
      yield* bus.on("Pong", () => gate.await)
      yield* bus.publish(pong(1))
      yield* settle
      const idle = yield* Effect.forkChild(bus.awaitIdle, { startImmediately: true })
      yield* bus.on("Ping", () =>
        Effect.gen(function*() {
          const waiting = yield* Effect.forkChild(bus.awaitIdle, { startImmediately: true })
          yield* Fiber.interrupt(waiting)
          yield* Effect.sleep("1 minute")
        }))
      yield* bus.publish(ping(1))
      yield* settle
      yield* gate.open
      yield* settle
      assert.isUndefined(idle.pollUnsafe())
      yield* TestClock.adjust("1 minute")
      yield* Fiber.join(idle)
    }))

  it.effect("inside of a handler is there once the others wait too, though one beside it in its subscription does not", () =>
    Effect.gen(function*() {
      const bus = yield* makeBus()
      let isRested = false
      yield* bus.on("Pong", () => Effect.andThen(settle, bus.awaitIdle))
      yield* bus.on("Ping", ({ n }) =>
        n === 2 ? Effect.sleep("1 hour") : Effect.map(bus.awaitIdle, () => {
          isRested = true
        }), { concurrency: 2 })
      yield* bus.publishAll([pong(1), ping(1), ping(2)])
      yield* settle
      yield* settle
      assert.isTrue(isRested)
    }))

  it.effect("inside of two bodies is there in both, also with something pending behind them", () =>
    Effect.gen(function*() {
      const bus = yield* makeBus()
      const gate = yield* Latch.make()
      let handled = 0
      const wait = () => Effect.andThen(bus.awaitIdle, Effect.sync(() => handled++))
      for (const name of ["one", "other"]) yield* bus.consume("Ping", Stream.runForEach(wait), { name })
      yield* bus.on("Pong", () => gate.await)
      yield* settle
      yield* bus.publishAll([pong(1), ping(1)])
      yield* settle
      yield* bus.publish(ping(2))
      yield* gate.open
      yield* settle
      assert.strictEqual(handled, 4)
    }))

  it.effect("inside of a handler waits for a body", () =>
    Effect.gen(function*() {
      const bus = yield* makeBus()
      const log: Array<string> = []
      yield* bus.on("Ping", () => Effect.andThen(bus.awaitIdle, Effect.sync(() => log.push("handler"))))
      yield* bus.consume(
        "Ping",
        Stream.runForEach(() => Effect.andThen(settle, Effect.sync(() => log.push("body"))))
      )
      yield* bus.publish(ping(1))
      yield* bus.awaitIdle
      yield* settle
      assert.deepStrictEqual(log, ["body", "handler"])
    }))

  it.effect("waits for what a body does after the end of its stream", () =>
    Effect.gen(function*() {
      const bus = yield* makeBus()
      yield* bus.consume("Ping", (events) => Effect.andThen(Stream.runDrain(events), Effect.sleep("1 minute")))
      yield* settle
      yield* bus.shutdown
      yield* settle
      const idle = yield* Effect.forkChild(bus.awaitIdle, { startImmediately: true })
      yield* settle
      assert.isUndefined(idle.pollUnsafe())
      yield* TestClock.adjust("1 minute")
      yield* Fiber.join(idle)
    }))

  it.effect("inside of a handler leaves that handler's subscription out", () =>
    Effect.gen(function*() {
      const bus = yield* makeBus()
      const log: Array<string> = []
      yield* bus.on("Ping", ({ n }) => Effect.andThen(bus.awaitIdle, Effect.sync(() => log.push(`ping ${n}`))))
      yield* bus.on("Pong", ({ n }) => Effect.andThen(settle, Effect.sync(() => log.push(`pong ${n}`))))
      yield* bus.publishAll([ping(1), ping(2), pong(3)])
      yield* bus.awaitIdle
      assert.deepStrictEqual(log, ["pong 3", "ping 1", "ping 2"])
    }))

  it.effect("handlers that wait for each other's rest are at rest, also with something pending behind them", () =>
    Effect.gen(function*() {
      const bus = yield* makeBus()
      let handled = 0
      const wait = () => Effect.andThen(bus.awaitIdle, Effect.sync(() => handled++))
      yield* bus.on("Ping", wait, { name: "one" })
      yield* bus.on("Ping", wait, { name: "other" })
      yield* bus.consume("Ping", Stream.runForEach(wait))
      yield* bus.publishAll([ping(1), ping(2)])
      yield* settle
      assert.strictEqual(handled, 6)
      yield* bus.awaitIdle
    }))
})

describe("awaitNext", () => {
  it.effect("is the next event that matches, and leaves nothing behind", () =>
    Effect.gen(function*() {
      const bus = yield* makeBus()
      yield* bus.publish(ping(2))
      const next = yield* Effect.forkChild(bus.awaitNext("Ping", { where: { n: 2 } }), { startImmediately: true })
      yield* bus.publishAll([ping(1), pong(2), ping(2), ping(2)])
      const event = yield* Fiber.join(next)
      assert.strictEqual(event.n, 2)
      assert.deepStrictEqual(yield* bus.subscriptions, [])
      assert.strictEqual((yield* bus.metrics).droppedCount, 0)
    }))

  it.effect("is done when the bus is shut down, and gone when interrupted", () =>
    Effect.gen(function*() {
      const bus = yield* makeBus()
      const interrupted = yield* Effect.forkChild(bus.awaitNext("Ping"), { startImmediately: true })
      yield* Fiber.interrupt(interrupted)
      assert.deepStrictEqual(yield* bus.subscriptions, [])
      const next = yield* Effect.forkChild(Effect.exit(bus.awaitNext("Ping")), { startImmediately: true })
      yield* bus.shutdown
      const exit = yield* Fiber.join(next)
      assert.isTrue(Exit.isFailure(exit) && Cause.isDone(Cause.squash(exit.cause)))
    }))
})
