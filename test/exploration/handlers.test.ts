/**
 * `on`: each event is handled once, and a handler that waits, fails or never ends keeps nothing from ending.
 */
import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Exit, Fiber, Latch, Schedule, Scope } from "effect"
import { everySchedule, onBus, ping, pong } from "./everySchedule.ts"

describe("handlers", () => {
  it.effect("handle what two publish, in order, one at a time", () =>
    everySchedule(onBus(({ bus, on, subscribe }) =>
      Effect.gen(function*() {
        const begun: Array<number> = []
        let running = 0
        const order = yield* subscribe()
        const handle = yield* on((event) =>
          Effect.gen(function*() {
            assert.strictEqual(++running, 1)
            begun.push(event.n)
            yield* Effect.yieldNow
            running--
          })
        )
        const publisher = yield* Effect.forkChild(bus.publish(ping(1)))
        yield* bus.publish(pong(2))
        yield* Fiber.join(publisher)
        yield* bus.shutdown
        yield* Effect.sleep("1 second")
        assert.deepStrictEqual(begun, (yield* order.takeUpTo(5)).map(({ n }) => n))
        assert.strictEqual((yield* handle.snapshot).handled, 2)
      })
    )))

  it.effect("run at most as many at a time as they may, and handle all", () =>
    everySchedule(onBus(({ bus, on }) =>
      Effect.gen(function*() {
        let running = 0
        const handle = yield* on(() =>
          Effect.gen(function*() {
            assert.isAtMost(++running, 2)
            yield* Effect.yieldNow
            running--
          }), { concurrency: 2 })
        yield* bus.publishAll([ping(1), ping(2), ping(3)])
        yield* Effect.sleep("1 second")
        assert.strictEqual((yield* handle.snapshot).handled, 3)
      })
    )))

  it.effect("that are two at a time handle two that wait for one another", () =>
    everySchedule(onBus(({ bus, on }) =>
      Effect.gen(function*() {
        const gates = [yield* Latch.make(), yield* Latch.make()] as const
        const handle = yield* on(({ n }) => Effect.andThen(gates[n as 0 | 1].open, gates[n === 0 ? 1 : 0].await), {
          concurrency: 2
        })
        const publisher = yield* Effect.forkChild(bus.publish(ping(0)))
        yield* bus.publish(ping(1))
        yield* Fiber.join(publisher)
        yield* Effect.sleep("1 second")
        assert.strictEqual((yield* handle.snapshot).handled, 2)
      })
    )))

  it.effect("that fail, die and are interrupted get the next event", () =>
    everySchedule(onBus(({ bus, on }) =>
      Effect.gen(function*() {
        const handle = yield* on((event) =>
          event.n === 1
            ? Effect.fail("a bad day")
            : event.n === 2
            ? Effect.die("a worse day")
            : event.n === 3
            ? Effect.interrupt
            : Effect.void
        )
        const publisher = yield* Effect.forkChild(bus.publishAll([ping(1), ping(2)]))
        yield* bus.publishAll([ping(3), ping(4)])
        yield* Fiber.join(publisher)
        yield* Effect.sleep("1 second")
        const { failures, handled, interrupted, running } = yield* handle.snapshot
        assert.deepStrictEqual([failures, handled, interrupted, running], [2, 1, 1, 0])
      })
    )))

  it.effect("that are stuck keep nothing from others", () =>
    everySchedule(onBus(({ bus, on }) =>
      Effect.gen(function*() {
        yield* on(() => Effect.never, { name: "stuck" })
        const handle = yield* on(() => Effect.void)
        yield* bus.publish(ping(1))
        yield* bus.publish(ping(2))
        yield* Effect.sleep("1 second")
        assert.strictEqual((yield* handle.snapshot).handled, 2)
      })
    )))

  it.effect("may publish what they handle", () =>
    everySchedule(onBus(({ bus, on }) =>
      Effect.gen(function*() {
        const handled: Array<number> = []
        yield* on((event) =>
          Effect.andThen(
            event.n < 3 ? bus.publish(ping(event.n + 1)) : Effect.void,
            Effect.sync(() => handled.push(event.n))
          )
        )
        yield* bus.publish(ping(1))
        yield* Effect.sleep("1 second")
        assert.deepStrictEqual(handled, [1, 2, 3])
      })
    )))

  it.effect("may answer one another", () =>
    everySchedule(onBus(({ bus, on }) =>
      Effect.gen(function*() {
        const answered = yield* Deferred.make<number>()
        yield* on(({ n }) => bus.publish(pong(n + 1)), { kinds: ["Ping"] })
        yield* on(({ n }) => n < 3 ? bus.publish(ping(n)) : Deferred.succeed(answered, n), { kinds: ["Pong"] })
        yield* bus.publish(ping(1))
        assert.strictEqual(yield* Deferred.await(answered), 3)
      })
    )))

  it.effect("that drop at a full buffer handle the rest", () =>
    everySchedule(onBus(({ bus, lawful, on }) =>
      Effect.gen(function*() {
        const handle = yield* on(() => Effect.yieldNow, { bufferSize: 1 })
        const publisher = yield* Effect.forkChild(bus.publish(ping(1)))
        yield* bus.publish(ping(2))
        yield* lawful
        yield* Fiber.join(publisher)
        yield* Effect.sleep("1 second")
        const { dropped, handled } = yield* handle.snapshot
        assert.strictEqual(dropped + handled!, 2)
      })
    )))

  it.effect("release what they acquire with its event", () =>
    everySchedule(onBus(({ bus, on }) =>
      Effect.gen(function*() {
        let open = 0
        const handle = yield* on(() =>
          Effect.gen(function*() {
            yield* Effect.acquireRelease(
              Effect.sync(() => assert.strictEqual(++open, 1)),
              () => Effect.sync(() => open--)
            )
            yield* Effect.yieldNow
          })
        )
        yield* bus.publishAll([ping(1), ping(2)])
        yield* Effect.yieldNow
        yield* handle.unsubscribe
        assert.strictEqual(open, 0)
      })
    )))
})

describe("retries", () => {
  it.effect("end with a success, or are given up", () =>
    everySchedule(onBus(({ bus, on }) =>
      Effect.gen(function*() {
        const attempts = [0, 0]
        const givenUp: Array<number> = []
        const handle = yield* on(
          ({ n }) => Effect.suspend(() => ++attempts[n]! < 3 - n ? Effect.fail("no") : Effect.void),
          {
            retry: Schedule.recurs(1),
            onFailure: (event) => Effect.sync(() => givenUp.push(event.n))
          }
        )
        yield* bus.publishAll([ping(0), ping(1)])
        yield* Effect.sleep("1 second")
        assert.deepStrictEqual(attempts, [2, 2])
        assert.deepStrictEqual(givenUp, [0])
        const { failures, handled } = yield* handle.snapshot
        assert.deepStrictEqual([failures, handled], [1, 1])
      })
    )))

  it.effect("pause, and are ended by unsubscribing", () =>
    everySchedule(onBus(({ bus, on }) =>
      Effect.gen(function*() {
        const handle = yield* on(() => Effect.fail("no"), { retry: Schedule.spaced("1 second") })
        yield* bus.publish(ping(1))
        yield* Effect.sleep("2 seconds")
        yield* handle.unsubscribe
        assert.strictEqual((yield* handle.snapshot).running, 0)
      })
    )))

  it.effect("that pause are ended by the time to drain", () =>
    everySchedule(onBus(({ bus, on }) =>
      Effect.gen(function*() {
        const scope = yield* Scope.make()
        const handle = yield* Scope.provide(
          on(() => Effect.fail("no"), { retry: Schedule.spaced("1 second"), drain: "3 seconds" }),
          scope
        )
        yield* bus.publishAll([ping(1), ping(2)])
        yield* Scope.close(scope, Exit.void)
        const { running, state } = yield* handle.snapshot
        assert.deepStrictEqual([state, running], ["closed", 0])
      })
    )))

  it.effect("onFailure runs once for each event that is given up", () =>
    everySchedule(onBus(({ bus, on }) =>
      Effect.gen(function*() {
        const told: Array<number> = []
        yield* on(() => Effect.fail("no"), {
          concurrency: 2,
          onFailure: ({ n }) => Effect.andThen(Effect.yieldNow, Effect.sync(() => told.push(n)))
        })
        yield* bus.publishAll([ping(1), ping(2)])
        yield* Effect.sleep("1 second")
        assert.sameMembers(told, [1, 2])
      })
    )))
})

describe("closing from outside", () => {
  it.effect("without time to drain interrupts the handler, and discards the rest", () =>
    everySchedule(onBus(({ bus, on }) =>
      Effect.gen(function*() {
        const scope = yield* Scope.make()
        const handle = yield* Scope.provide(on(() => Effect.never), scope)
        yield* bus.publishAll([ping(1), ping(2)])
        yield* Effect.yieldNow
        yield* Scope.close(scope, Exit.void)
        const { discarded, interrupted, state, taken } = yield* handle.snapshot
        assert.deepStrictEqual([state, interrupted, discarded], ["closed", taken, 2 - taken])
      })
    )))

  it.effect("with time to drain handles all that was accepted", () =>
    everySchedule(onBus(({ bus, on }) =>
      Effect.gen(function*() {
        const scope = yield* Scope.make()
        const handle = yield* Scope.provide(on(() => Effect.yieldNow, { drain: "1 second" }), scope)
        const publisher = yield* Effect.forkChild(Effect.andThen(bus.publish(ping(1)), bus.publish(ping(2))))
        yield* Scope.close(scope, Exit.void)
        const { handled, offered, state } = yield* handle.snapshot
        assert.deepStrictEqual([state, handled], ["closed", offered])
        yield* Fiber.join(publisher)
      })
    )))

  it.effect("with too little time to drain ends none the less, whenever time goes by", () =>
    everySchedule(
      onBus(({ bus, on }) =>
        Effect.gen(function*() {
          const scope = yield* Scope.make()
          const handle = yield* Scope.provide(
            on(({ n }) => n === 1 ? Effect.yieldNow : Effect.never, { drain: "1 second" }),
            scope
          )
          yield* bus.publishAll([ping(1), ping(2), ping(3)])
          yield* Scope.close(scope, Exit.void)
          const { running, state } = yield* handle.snapshot
          assert.deepStrictEqual([state, running], ["closed", 0])
        })
      ),
      { time: "anytime" }
    ))

  it.effect("unsubscribing cuts a drain short", () =>
    everySchedule(onBus(({ bus, on }) =>
      Effect.gen(function*() {
        const scope = yield* Scope.make()
        const handle = yield* Scope.provide(on(() => Effect.never, { drain: "1 hour" }), scope)
        yield* bus.publish(ping(1))
        const closing = yield* Effect.forkChild(Scope.close(scope, Exit.void))
        yield* Effect.yieldNow
        yield* handle.unsubscribe
        yield* Fiber.join(closing)
        assert.strictEqual((yield* handle.snapshot).state, "closed")
      })
    )))

  it.effect("shutting down during a drain changes nothing", () =>
    everySchedule(onBus(({ bus, on }) =>
      Effect.gen(function*() {
        const scope = yield* Scope.make()
        const handle = yield* Scope.provide(on(() => Effect.yieldNow, { drain: "1 second" }), scope)
        yield* bus.publishAll([ping(1), ping(2)])
        const closing = yield* Effect.forkChild(Scope.close(scope, Exit.void))
        yield* bus.shutdown
        yield* Fiber.join(closing)
        assert.strictEqual((yield* handle.snapshot).handled, 2)
      })
    )))

  it.effect("one who no longer waits for a drain leaves it to its time", () =>
    everySchedule(onBus(({ bus, on }) =>
      Effect.gen(function*() {
        const scope = yield* Scope.make()
        const handle = yield* Scope.provide(on(() => Effect.never, { drain: "2 seconds" }), scope)
        yield* bus.publish(ping(1))
        yield* Effect.timeoutOption(Scope.close(scope, Exit.void), "1 second")
        yield* Effect.sleep("5 seconds")
        const { running, state } = yield* handle.snapshot
        assert.deepStrictEqual([state, running], ["closed", 0])
      })
    )))

  it.effect("two who unsubscribe both wait for the handler to end", () =>
    everySchedule(onBus(({ bus, on }) =>
      Effect.gen(function*() {
        const handle = yield* on(() => Effect.onInterrupt(Effect.never, () => Effect.yieldNow))
        yield* bus.publish(ping(1))
        const other = yield* Effect.forkChild(handle.unsubscribe)
        yield* handle.unsubscribe
        assert.strictEqual((yield* handle.snapshot).running, 0)
        yield* Fiber.join(other)
      })
    )))

  it.effect("the bus's scope closes what drains and what does not, side by side", () =>
    everySchedule(
      onBus(({ bus, on }) =>
        Effect.gen(function*() {
          yield* on(() => Effect.never, { name: "hasty" })
          yield* on(() => Effect.sleep("1 second"), { name: "patient", drain: "2 seconds" })
          yield* bus.publish(ping(1))
        })
      ),
      { preemptions: 1 }
    ))

  it.effect("shutting down lets handlers finish what was accepted", () =>
    everySchedule(onBus(({ bus, on }) =>
      Effect.gen(function*() {
        const handle = yield* on(() => Effect.yieldNow, { concurrency: 2 })
        const publisher = yield* Effect.forkChild(Effect.andThen(bus.publish(ping(1)), bus.publish(ping(2))))
        yield* bus.shutdown
        yield* Effect.sleep("1 second")
        const { handled, offered, state } = yield* handle.snapshot
        assert.deepStrictEqual([state, handled], ["closed", offered])
        yield* Fiber.join(publisher)
      })
    )))
})
