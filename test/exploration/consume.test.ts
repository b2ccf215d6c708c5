/**
 * `consume`, `awaitNext` and `awaitIdle`: what a body pulls is counted once, and whoever waits for events, for idleness or for an
 * end gets it.
 */
import { assert, describe, it } from "@effect/vitest"
import { Cause, Effect, Exit, Fiber, Schedule, Scope, Stream } from "effect"
import { everySchedule, onBus, ping, pong } from "./everySchedule.ts"

const close = (scope: Scope.Closeable): Effect.Effect<void> => Scope.close(scope, Exit.void)

describe("consume", () => {
  it.effect("gives the body all events, in order, until the bus is shut down", () =>
    everySchedule(onBus(({ bus, consume, lawful }) =>
      Effect.gen(function*() {
        const seen: Array<number> = []
        const handle = yield* consume(Stream.runForEach(({ n }) => Effect.sync(() => seen.push(n))))
        yield* bus.publish(ping(1))
        yield* lawful
        yield* bus.publish(ping(2))
        yield* bus.shutdown
        yield* Effect.sleep("1 second")
        assert.deepStrictEqual(seen, [1, 2])
        const { handled, state } = yield* handle.snapshot
        assert.deepStrictEqual([handled, state], [2, "closed"])
      })
    )))

  it.effect("unsubscribes when the body completes", () =>
    everySchedule(onBus(({ bus, consume }) =>
      Effect.gen(function*() {
        const handle = yield* consume((events) => Stream.runDrain(Stream.take(events, 1)))
        const publisher = yield* Effect.forkChild(bus.publish(ping(1)))
        yield* bus.publish(ping(2))
        yield* Fiber.join(publisher)
        yield* Effect.sleep("1 second")
        assert.deepStrictEqual((yield* handle.snapshot).state, "closed")
        assert.deepStrictEqual(yield* bus.subscriptions, [])
      })
    )))

  it.effect("runs a body that failed again, with what it had not pulled", () =>
    everySchedule(onBus(({ bus, consume, lawful }) =>
      Effect.gen(function*() {
        const seen: Array<number> = []
        const handle = yield* consume((events) =>
          Stream.runForEach(events, ({ n }) =>
            Effect.suspend(() => {
              seen.push(n)
              return n === 1 ? Effect.fail("no") : Effect.void
            })), { retry: Schedule.spaced("1 second") })
        const publisher = yield* Effect.forkChild(bus.publish(ping(1)))
        yield* Effect.sleep("1 second")
        yield* lawful
        yield* bus.publish(ping(2))
        yield* Fiber.join(publisher)
        yield* Effect.sleep("5 seconds")
        assert.deepStrictEqual(seen, [1, 2])
        const { failures, handled, restarts } = yield* handle.snapshot
        assert.deepStrictEqual([failures, handled, restarts], [1, 1, 1])
      })
    )))

  it.effect("closes when the retry ends", () =>
    everySchedule(onBus(({ bus, consume }) =>
      Effect.gen(function*() {
        const handle = yield* consume((events) => Stream.runForEach(events, () => Effect.fail("no")), {
          retry: Schedule.recurs(0)
        })
        yield* bus.publish(ping(1))
        yield* bus.publish(ping(2))
        yield* Effect.sleep("1 second")
        assert.strictEqual((yield* handle.snapshot).state, "closed")
      })
    )))

  it.effect("ends the stream after what is pending when the scope closes, with time to drain", () =>
    everySchedule(onBus(({ bus, consume }) =>
      Effect.gen(function*() {
        const scope = yield* Scope.make()
        const handle = yield* Scope.provide(
          consume((events) => Stream.runForEach(events, () => Effect.yieldNow), { drain: "1 second" }),
          scope
        )
        const publisher = yield* Effect.forkChild(Effect.andThen(bus.publish(ping(1)), bus.publish(ping(2))))
        yield* close(scope)
        const { handled, offered, state } = yield* handle.snapshot
        assert.deepStrictEqual([handled, state], [offered, "closed"])
        yield* Fiber.join(publisher)
      })
    )))

  it.effect("ends a body that does not end in time, whenever time goes by", () =>
    everySchedule(
      onBus(({ bus, consume }) =>
        Effect.gen(function*() {
          const scope = yield* Scope.make()
          const handle = yield* Scope.provide(
            consume((events) => Stream.runForEach(events, () => Effect.never), {
              drain: "1 second"
            }),
            scope
          )
          yield* bus.publishAll([ping(1), ping(2)])
          yield* close(scope)
          const { running, state } = yield* handle.snapshot
          assert.deepStrictEqual([running, state], [0, "closed"])
        })
      ),
      { time: "anytime" }
    ))

  it.effect("interrupts the body when the scope closes without time to drain", () =>
    everySchedule(onBus(({ bus, consume }) =>
      Effect.gen(function*() {
        const scope = yield* Scope.make()
        const handle = yield* Scope.provide(consume((events) => Stream.runForEach(events, () => Effect.never)), scope)
        yield* bus.publish(ping(1))
        yield* close(scope)
        const { interrupted, taken } = yield* handle.snapshot
        assert.strictEqual(interrupted, taken)
      })
    )))

  it.effect("ends while a retry pauses", () =>
    everySchedule(onBus(({ bus, consume }) =>
      Effect.gen(function*() {
        const scope = yield* Scope.make()
        const handle = yield* Scope.provide(
          consume((events) => Stream.runForEach(events, () => Effect.fail("no")), {
            retry: Schedule.spaced("1 hour"),
            drain: "1 second"
          }),
          scope
        )
        yield* bus.publish(ping(1))
        yield* Effect.sleep("1 second")
        yield* close(scope)
        assert.strictEqual((yield* handle.snapshot).state, "closed")
      })
    )))

  it.effect("does not run a body again that has nothing left to take", () =>
    everySchedule(onBus(({ bus, consume }) =>
      Effect.gen(function*() {
        const scope = yield* Scope.make()
        let runs = 0
        yield* Scope.provide(
          consume((events) => ++runs === 1 ? Stream.runForEach(events, () => Effect.fail("no")) : Effect.never, {
            retry: Schedule.spaced("1 hour"),
            drain: "1 second"
          }),
          scope
        )
        const publisher = yield* Effect.forkChild(bus.publish(ping(1)))
        const closer = yield* Effect.forkChild(close(scope))
        yield* bus.shutdown
        yield* Fiber.join(closer)
        yield* Fiber.join(publisher)
        assert.isAtMost(runs, 1)
      })
    )))

  it.effect("closes its own scope from inside of the body", () =>
    everySchedule(onBus(({ bus, consume }) =>
      Effect.gen(function*() {
        const scope = yield* Scope.make()
        const handle = yield* Scope.provide(
          consume((events) => Stream.runForEach(events, () => close(scope)), { drain: "1 second" }),
          scope
        )
        yield* bus.publishAll([ping(1), ping(2)])
        yield* Effect.sleep("5 seconds")
        assert.strictEqual((yield* handle.snapshot).state, "closed")
      })
    )))

  it.effect("two close one another's scopes", () =>
    everySchedule(
      onBus(({ bus, consume }) =>
        Effect.gen(function*() {
          const scopes = [yield* Scope.make(), yield* Scope.make()] as const
          for (const me of [0, 1] as const) {
            yield* Scope.provide(
              consume((events) => Stream.runForEach(events, () => close(scopes[me === 0 ? 1 : 0])), {
                drain: "1 second"
              }),
              scopes[me]
            )
          }
          yield* bus.publish(ping(1))
          yield* Effect.sleep("5 seconds")
          for (const { running } of yield* bus.subscriptions) assert.strictEqual(running, 0)
        })
      ),
      { preemptions: 1 }
    ))
})

describe("awaitNext", () => {
  it.effect("gets the first that is published after it began", () =>
    everySchedule(onBus((stage) =>
      Effect.gen(function*() {
        yield* stage.withOthers
        const { bus } = stage
        const waiting = yield* Effect.forkChild(Effect.exit(bus.awaitNext("Ping")))
        const other = yield* Effect.forkChild(bus.publish(pong(1)))
        yield* bus.publish(ping(2))
        const [subscription] = yield* bus.subscriptions
        yield* bus.publish(ping(3))
        yield* bus.shutdown
        yield* Fiber.join(other)
        const exit = yield* Fiber.join(waiting)
        if (Exit.isSuccess(exit)) assert.include([2, 3], exit.value.n)
        if (subscription?.pending === 1) assert.strictEqual(Exit.isSuccess(exit) && exit.value.n, 2)
        assert.deepStrictEqual(yield* bus.subscriptions, [])
      })
    )))

  it.effect("learns that the bus is shut down", () =>
    everySchedule(onBus((stage) =>
      Effect.gen(function*() {
        yield* stage.withOthers
        const waiting = yield* Effect.forkChild(Effect.exit(stage.bus.awaitNext("Ping")))
        const publisher = yield* Effect.forkChild(stage.bus.publish(ping(1)))
        yield* stage.bus.shutdown
        yield* Fiber.join(publisher)
        const exit = yield* Fiber.join(waiting)
        assert.isTrue(Exit.isSuccess(exit) || Cause.isDone(Cause.squash(exit.cause)))
      })
    )))

  it.effect("that is interrupted leaves nothing behind", () =>
    everySchedule(onBus((stage) =>
      Effect.gen(function*() {
        yield* stage.withOthers
        const waiting = yield* Effect.forkChild(stage.bus.awaitNext("Ping"))
        const publisher = yield* Effect.forkChild(stage.bus.publish(ping(1)))
        yield* Fiber.interrupt(waiting)
        assert.deepStrictEqual(yield* stage.bus.subscriptions, [])
        yield* Fiber.join(publisher)
      })
    )))
})

describe("awaitIdle", () => {
  it.effect("waits for what two handlers make of one another's events", () =>
    everySchedule(onBus(({ bus, on }) =>
      Effect.gen(function*() {
        let answers = 0
        yield* on(({ n }) => Effect.andThen(Effect.yieldNow, bus.publish(pong(n))), { kinds: ["Ping"] })
        yield* on(() => Effect.andThen(Effect.yieldNow, Effect.sync(() => answers++)), { kinds: ["Pong"] })
        yield* bus.publishAll([ping(1), ping(2)])
        yield* bus.awaitIdle
        assert.strictEqual(answers, 2)
      })
    )))

  it.effect("waits for a consumer, which rests while it waits for more", () =>
    everySchedule(onBus(({ bus, consume }) =>
      Effect.gen(function*() {
        let seen = 0
        yield* consume(Stream.runForEach(() => Effect.andThen(Effect.yieldNow, Effect.sync(() => seen++))))
        yield* bus.publish(ping(1))
        yield* bus.publish(ping(2))
        yield* bus.awaitIdle
        assert.strictEqual(seen, 2)
      })
    )))

  it.effect("inside of a handler leaves that handler out", () =>
    everySchedule(onBus(({ bus, on }) =>
      Effect.gen(function*() {
        let others = 0
        const handle = yield* on(() => bus.awaitIdle, { name: "waits" })
        yield* on(() => Effect.andThen(Effect.yieldNow, Effect.sync(() => others++)), { name: "works" })
        yield* bus.publish(ping(1))
        yield* bus.awaitIdle
        assert.strictEqual(others, 1)
        // A handler that waits in it rests for everybody.
        yield* Effect.sleep("1 second")
        assert.strictEqual((yield* handle.snapshot).handled, 1)
      })
    )))

  it.effect("inside of two handlers does not wait in a circle", () =>
    everySchedule(onBus(({ bus, on }) =>
      Effect.gen(function*() {
        yield* on(() => bus.awaitIdle, { name: "x" })
        yield* on(() => bus.awaitIdle, { name: "y" })
        yield* bus.publish(ping(1))
        yield* bus.awaitIdle
      })
    )))

  it.effect("does not wait for a handler that is closed meanwhile", () =>
    everySchedule(onBus(({ bus, on }) =>
      Effect.gen(function*() {
        const handle = yield* on(() => Effect.never)
        yield* bus.publish(ping(1))
        const waiting = yield* Effect.forkChild(bus.awaitIdle)
        yield* handle.unsubscribe
        yield* Fiber.join(waiting)
      })
    )))
})

describe("a keyed subscription", () => {
  it.effect("gets what matches, and nothing else, however many publish", () =>
    everySchedule(onBus(({ bus, subscribe }) =>
      Effect.gen(function*() {
        const subscription = yield* subscribe({ where: { n: 1 } })
        const taker = yield* Effect.forkChild(subscription.takeBetween(2, 3))
        const publisher = yield* Effect.forkChild(bus.publishAll([ping(2), pong(1)]))
        yield* bus.publish(ping(1))
        yield* Fiber.join(publisher)
        assert.sameMembers((yield* Fiber.join(taker)).map(({ _tag, n }) => `${_tag} ${n}`), ["Ping 1", "Pong 1"])
        assert.strictEqual((yield* bus.metrics).noSubscribersCount, 1)
      })
    )))

  it.effect("that leaves beside a publisher takes nothing with it", () =>
    everySchedule(onBus(({ bus, subscribe }) =>
      Effect.gen(function*() {
        const leaving = yield* subscribe({ where: { n: 1 } })
        const staying = yield* subscribe({ where: { n: 1 } })
        const publisher = yield* Effect.forkChild(bus.publish(ping(1)))
        yield* leaving.unsubscribe
        yield* Fiber.join(publisher)
        assert.strictEqual((yield* staying.take).n, 1)
      })
    )))
})
