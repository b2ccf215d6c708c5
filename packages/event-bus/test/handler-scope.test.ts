/** What a handler acquires in its scope is released with its event. */
import { assert, describe, it } from "@effect/vitest"
import { EventBus } from "@openwatch/event-bus"
import { Cause, Deferred, Effect, Exit, Schedule, Scope } from "effect"
import { Ping, ping, Pong, settle } from "./fixture.ts"

const makeBus = EventBus.make({ name: "test", events: [Ping, Pong] })

/** Acquires the number of the event, and notes how it was released. */
const acquire = (log: Array<string>, n: number) =>
  Effect.acquireRelease(
    Effect.sync(() => log.push(`+${n}`)),
    (_, exit) => Effect.sync(() => log.push(Exit.isSuccess(exit) ? `-${n}` : `-${n} failed`))
  )

describe("what a handler acquires", () => {
  it.effect("is released before the next event is handled", () =>
    Effect.gen(function*() {
      const bus = yield* makeBus
      const log: Array<string> = []
      const handle = yield* bus.on("Ping", ({ n }) => n === 2 ? Effect.void : acquire(log, n))
      yield* bus.publishAll([ping(1), ping(2), ping(3)])
      yield* settle
      assert.deepStrictEqual(log, ["+1", "-1", "+3", "-3"])
      assert.strictEqual((yield* handle.snapshot).handled, 3)
    }))

  it.effect("and cannot be released is a failure beside that of the handler", () =>
    Effect.gen(function*() {
      const bus = yield* makeBus
      const causes: Array<Cause.Cause<string>> = []
      yield* bus.on(
        "Ping",
        ({ n }) =>
          Effect.andThen(Effect.addFinalizer(() => Effect.die("stuck")), n === 1 ? Effect.fail("no") : Effect.void),
        { onFailure: (_, cause) => Effect.sync(() => causes.push(cause)) }
      )
      yield* bus.publishAll([ping(1), ping(2)])
      yield* settle
      assert.deepStrictEqual(causes, [Cause.combine(Cause.fail("no"), Cause.die("stuck")), Cause.die("stuck")])
    }))

  it.effect("is released after each attempt, failed ones before the next begins", () =>
    Effect.gen(function*() {
      const bus = yield* makeBus
      const log: Array<string> = []
      let attempts = 0
      yield* bus.on("Ping", ({ n }) =>
        Effect.andThen(
          acquire(log, n),
          Effect.suspend(() => ++attempts < 3 ? Effect.fail("no") : Effect.void)
        ), { retry: Schedule.recurs(5) })
      yield* bus.publish(ping(1))
      yield* settle
      assert.deepStrictEqual(log, ["+1", "-1 failed", "+1", "-1 failed", "+1", "-1"])
    }))

  it.effect("is released when the handler is interrupted by the closing of its subscription", () =>
    Effect.gen(function*() {
      const bus = yield* makeBus
      const log: Array<string> = []
      const handle = yield* bus.on("Ping", ({ n }) => Effect.andThen(acquire(log, n), Effect.never))
      yield* bus.publish(ping(1))
      yield* settle
      yield* handle.unsubscribe
      assert.deepStrictEqual(log, ["+1", "-1 failed"])
      const { interrupted, running } = yield* handle.snapshot
      assert.deepStrictEqual([interrupted, running], [1, 0])
    }))

  it.effect("keeps the event running until it is released", () =>
    Effect.gen(function*() {
      const bus = yield* makeBus
      const gate = yield* Deferred.make<void>()
      const handle = yield* bus.on("Ping", () => Effect.addFinalizer(() => Deferred.await(gate)))
      yield* bus.publishAll([ping(1), ping(2)])
      yield* settle
      const during = yield* handle.snapshot
      assert.deepStrictEqual([during.running, during.handled, during.settled], [1, 0, 0])
      yield* Deferred.succeed(gate, undefined)
      yield* settle
      const after = yield* handle.snapshot
      assert.deepStrictEqual([after.running, after.handled, after.settled], [0, 2, 2])
    }))

  it.effect("makes a failure of the event when its release dies, and the next is handled", () =>
    Effect.gen(function*() {
      const bus = yield* makeBus
      const handled: Array<number> = []
      let given = 0
      const handle = yield* bus.on("Ping", ({ n }) => {
        handled.push(n)
        return n === 1 ? Effect.addFinalizer(() => Effect.die("stuck")) : Effect.void
      }, { onFailure: () => Effect.sync(() => given++) })
      yield* bus.publishAll([ping(1), ping(2)])
      yield* settle
      assert.deepStrictEqual(handled, [1, 2])
      const { failures, handled: count } = yield* handle.snapshot
      assert.deepStrictEqual([failures, count, given], [1, 1, 1])
    }))

  it.effect("may be put into a scope of the subscriber's own, to outlive the event", () =>
    Effect.gen(function*() {
      const bus = yield* makeBus
      const log: Array<string> = []
      const scope = yield* Scope.make()
      yield* bus.on("Ping", ({ n }) => Scope.provide(acquire(log, n), scope))
      yield* bus.publish(ping(1))
      yield* settle
      assert.deepStrictEqual(log, ["+1"])
      yield* Scope.close(scope, Exit.void)
      assert.deepStrictEqual(log, ["+1", "-1"])
    }))

  it.effect("in a fiber forked with forkScoped ends with the event", () =>
    Effect.gen(function*() {
      const bus = yield* makeBus
      let interruptions = 0
      yield* bus.on("Ping", () =>
        Effect.forkScoped(
          Effect.onInterrupt(Effect.never, () => Effect.sync(() => interruptions++)),
          {
            startImmediately: true
          }
        ))
      yield* bus.publishAll([ping(1), ping(2)])
      yield* settle
      assert.strictEqual(interruptions, 2)
    }))
})

it.effect("onFailure has a scope of its own, and the event runs until it is closed", () =>
  Effect.gen(function*() {
    const bus = yield* makeBus
    const log: Array<string> = []
    const gate = yield* Deferred.make<void>()
    const handle = yield* bus.on("Ping", () => Effect.fail("no"), {
      onFailure: ({ n }) => Effect.andThen(acquire(log, n), Deferred.await(gate))
    })
    yield* bus.publish(ping(1))
    yield* settle
    const during = yield* handle.snapshot
    assert.deepStrictEqual([during.running, during.failures], [1, 0])
    yield* Deferred.succeed(gate, undefined)
    yield* settle
    const after = yield* handle.snapshot
    assert.deepStrictEqual([after.running, after.failures, log], [0, 1, ["+1", "-1"]])
  }))
