/**
 * Handlers, and fibers that they have forked, which close what they run in. None waits for itself or in a circle: every program
 * ends under every schedule.
 */
import { assert, describe, it } from "@effect/vitest"
import type { SubscriptionHandle } from "@openwatch/event-bus"
import { Deferred, Effect, Exit, Latch, Scope } from "effect"
import { everySchedule, onBus, ping, type Stage } from "./everySchedule.ts"

const close = (scope: Scope.Closeable): Effect.Effect<void> => Scope.close(scope, Exit.void)

/** Opens when as many have come; then all go on. */
const meeting = (count: number) =>
  Effect.map(Latch.make(), (latch) => {
    let here = 0
    return Effect.suspend(() => ++here === count ? latch.open : Effect.void).pipe(Effect.andThen(latch.await))
  })

/** Handlers of one event that meet, and then each closes the next one, in a circle. */
const circle = (
  count: number,
  closing: "unsubscribe" | "close the scope",
  options: { readonly drain?: string; readonly isUninterruptible?: boolean } = {}
) =>
  onBus(({ bus, on }) =>
    Effect.gen(function*() {
      const met = yield* meeting(count)
      const scopes: Array<Scope.Closeable> = []
      const handles: Array<SubscriptionHandle> = []
      for (let i = 0; i < count; i++) {
        const scope = yield* Scope.fork(yield* Effect.scope)
        scopes.push(scope)
        const next = (i + 1) % count
        const handler = Effect.suspend(() =>
          Effect.andThen(met, closing === "unsubscribe" ? handles[next]!.unsubscribe : close(scopes[next]!))
        )
        handles.push(
          yield* Scope.provide(
            on(() => options.isUninterruptible === true ? Effect.uninterruptible(handler) : handler, {
              name: `handler ${i}`,
              drain: options.drain as "1 second" | undefined
            }),
            scope
          )
        )
      }
      yield* bus.publish(ping(1))
      yield* Effect.sleep("10 seconds")
      const snapshots = yield* Effect.all(handles.map((handle) => handle.snapshot))
      // Who is interrupted before it closes the next one leaves that open.
      assert.isTrue(snapshots.some(({ state }) => state === "closed"))
      for (const { running, state } of snapshots) assert.deepStrictEqual([running, state === "draining"], [0, false])
    })
  )

describe("a handler", () => {
  it.effect("unsubscribes itself", () =>
    everySchedule(onBus(({ bus, on }) =>
      Effect.gen(function*() {
        const handled: Array<number> = []
        const handle = yield* on((event, handle) =>
          Effect.andThen(handle.unsubscribe, Effect.sync(() => handled.push(event.n)))
        )
        yield* bus.publishAll([ping(1), ping(2)])
        yield* Effect.sleep("1 second")
        assert.deepStrictEqual(handled, [1])
        assert.strictEqual((yield* handle.snapshot).discarded, 1)
      })
    )))

  it.effect("closes its own scope", () =>
    everySchedule(onBus(({ bus, on }) =>
      Effect.gen(function*() {
        const scope = yield* Scope.make()
        const handled: Array<number> = []
        yield* Scope.provide(
          on((event) => Effect.andThen(close(scope), Effect.sync(() => handled.push(event.n))), { drain: "1 second" }),
          scope
        )
        yield* bus.publishAll([ping(1), ping(2)])
        yield* Effect.sleep("5 seconds")
        assert.deepStrictEqual(handled, [1])
      })
    )))

  it.effect("unsubscribes itself, and so does another of the same subscription", () =>
    everySchedule(onBus(({ bus, on }) =>
      Effect.gen(function*() {
        const met = yield* meeting(2)
        yield* on((_, handle) => Effect.andThen(met, handle.unsubscribe), { concurrency: 2 })
        yield* bus.publishAll([ping(1), ping(2), ping(3)])
        yield* Effect.sleep("1 second")
      })
    )))

  it.effect("closes its own scope while others of the same subscription run", () =>
    everySchedule(onBus(({ bus, on }) =>
      Effect.gen(function*() {
        const scope = yield* Scope.make()
        const begun: Array<number> = []
        yield* Scope.provide(
          on((event) => {
            begun.push(event.n)
            return event.n === 2 ? close(scope) : Effect.sleep("1 second")
          }, { concurrency: 2, drain: "10 seconds" }),
          scope
        )
        yield* bus.publishAll([ping(1), ping(2), ping(3), ping(4)])
        yield* Effect.sleep("1 minute")
        assert.deepStrictEqual(begun, [1, 2])
      })
    )))

  it.effect("closes its own scope while a drain from outside runs, which is closing it already", () =>
    everySchedule(onBus(({ bus, on }) =>
      Effect.gen(function*() {
        const scope = yield* Scope.make()
        const begun: Array<number> = []
        yield* Scope.provide(
          on((event) => {
            begun.push(event.n)
            return Effect.andThen(Effect.sleep("1 second"), event.n === 2 ? close(scope) : Effect.void)
          }, { drain: "10 seconds" }),
          scope
        )
        yield* bus.publishAll([ping(1), ping(2), ping(3)])
        yield* Effect.sleep("1 millis")
        yield* close(scope)
        assert.deepStrictEqual(begun, [1, 2, 3])
      })
    )))

  it.effect("unsubscribes itself while a drain from outside runs: no other event begins", () =>
    everySchedule(onBus(({ bus, on }) =>
      Effect.gen(function*() {
        const scope = yield* Scope.make()
        const begun: Array<number> = []
        yield* Scope.provide(
          on((event, handle) => {
            begun.push(event.n)
            return Effect.andThen(Effect.sleep("1 second"), event.n === 2 ? handle.unsubscribe : Effect.void)
          }, { drain: "10 seconds" }),
          scope
        )
        yield* bus.publishAll([ping(1), ping(2), ping(3)])
        yield* Effect.sleep("1 millis")
        yield* close(scope)
        assert.deepStrictEqual(begun, [1, 2])
      })
    )))

  it.effect("shuts the bus down: what was accepted is handled", () =>
    everySchedule(onBus(({ bus, on }) =>
      Effect.gen(function*() {
        const handled: Array<number> = []
        yield* on((event) => Effect.andThen(bus.shutdown, Effect.sync(() => handled.push(event.n))))
        yield* bus.publishAll([ping(1), ping(2)])
        yield* bus.awaitShutdown
        yield* Effect.sleep("1 second")
        assert.deepStrictEqual(handled, [1, 2])
      })
    )))
})

describe("a fiber that a handler forked", () => {
  /** What the child does, and when. */
  const child = (
    name: string,
    closing: (stage: Stage, scope: Scope.Closeable) => (handle: SubscriptionHandle) => Effect.Effect<unknown>,
    options: { readonly drain?: "1 second"; readonly stay?: Effect.Effect<void> } = {}
  ) =>
    it.effect(name, () =>
      everySchedule(onBus((stage) =>
        Effect.gen(function*() {
          const scope = yield* Scope.fork(yield* Effect.scope)
          const doClose = closing(stage, scope)
          yield* Scope.provide(stage.on((_, handle) => doClose(handle), options), scope)
          yield* stage.bus.publish(ping(1))
          yield* options.stay ?? Effect.yieldNow
          yield* Effect.yieldNow
        })
      )))

  child("unsubscribes", () => (handle) => Effect.forkChild(handle.unsubscribe))

  child(
    "unsubscribes a little later",
    () => (handle) => Effect.forkChild(Effect.andThen(Effect.yieldNow, handle.unsubscribe))
  )

  child(
    "unsubscribes much later",
    () => (handle) => Effect.forkChild(Effect.andThen(Effect.sleep("1 second"), handle.unsubscribe)),
    { stay: Effect.sleep("5 seconds") }
  )

  child("closes the scope", (_, scope) => () => Effect.forkChild(Effect.andThen(Effect.yieldNow, close(scope))))

  child(
    "closes the scope, with a drain",
    (_, scope) => () => Effect.forkChild(Effect.andThen(Effect.yieldNow, close(scope))),
    { drain: "1 second" }
  )

  child(
    "unsubscribes, and was forked into the subscriber's scope",
    (_, scope) => (handle) => Effect.forkIn(Effect.andThen(Effect.yieldNow, handle.unsubscribe), scope)
  )

  child(
    "closes the scope that it was forked into",
    (_, scope) => () => Effect.forkIn(Effect.andThen(Effect.yieldNow, close(scope)), scope)
  )

  child(
    "closes the scope that it was forked into, much later",
    (_, scope) => () => Effect.forkIn(Effect.andThen(Effect.sleep("1 second"), close(scope)), scope),
    { stay: Effect.sleep("5 seconds"), drain: "1 second" }
  )

  child(
    "unsubscribes, and outlives everything",
    () => (handle) => Effect.forkDetach(Effect.andThen(Effect.yieldNow, handle.unsubscribe))
  )

  child(
    "closes the scope while its handler waits for it",
    (_, scope) => () =>
      Effect.gen(function*() {
        const isClosed = yield* Deferred.make<void>()
        yield* Effect.forkDetach(Effect.andThen(close(scope), Deferred.succeed(isClosed, undefined)))
        yield* Deferred.await(isClosed)
      })
  )

  child("shuts the bus down", ({ bus }) => () => Effect.forkChild(bus.shutdown))
})

describe("handlers close one another, in a circle", () => {
  it.effect("two unsubscribe one another", () => everySchedule(circle(2, "unsubscribe")))

  it.effect("two close one another's scopes", () => everySchedule(circle(2, "close the scope")))

  it.effect("two close one another's scopes, which drain", () =>
    everySchedule(circle(2, "close the scope", { drain: "1 second" })))

  it.effect("two close one another's scopes where they cannot be interrupted", () =>
    everySchedule(circle(2, "close the scope", { drain: "1 second", isUninterruptible: true })))

  it.effect("three unsubscribe one another", () => everySchedule(circle(3, "unsubscribe"), { preemptions: 1 }))

  it.effect("one unsubscribes another, which closes its scope, which drains", () =>
    everySchedule(onBus(({ bus, on }) =>
      Effect.gen(function*() {
        const scope = yield* Scope.make()
        const met = yield* meeting(2)
        const y: Array<SubscriptionHandle> = []
        const x = yield* Scope.provide(
          on(() => Effect.andThen(met, Effect.suspend(() => y[0]!.unsubscribe)), { name: "x", drain: "1 second" }),
          scope
        )
        y.push(yield* on(() => Effect.andThen(met, close(scope)), { name: "y" }))
        yield* bus.publish(ping(1))
        yield* Effect.sleep("10 seconds")
        const snapshots = [yield* x.snapshot, yield* y[0]!.snapshot]
        assert.deepStrictEqual(snapshots.map(({ running }) => running), [0, 0])
        assert.isTrue(snapshots.some(({ state }) => state === "closed"))
      })
    )))
})
