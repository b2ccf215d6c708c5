import { assert, describe, it } from "@effect/vitest"
import { EventBus, type SubscriptionHandle } from "@openwatch/event-bus"
import { Cause, Deferred, Duration, Effect, Exit, Fiber, Latch, Logger, Schedule, Scope } from "effect"
import { TestClock } from "effect/testing"
import { setFlagsFromString } from "node:v8"
import { runInNewContext } from "node:vm"
import { Ping, ping, Pong, pong, settle } from "./fixture.ts"

setFlagsFromString("--expose-gc")
const collectGarbage: () => void = runInNewContext("gc")

const makeBus = (options: EventBus.Options = {}) => EventBus.make({ name: "test", events: [Ping, Pong], ...options })

const laws = (
  snapshot: { offered: number; delivered: number; dropped: number; taken: number; pending: number; discarded: number }
) => {
  assert.strictEqual(snapshot.offered, snapshot.delivered + snapshot.dropped)
  assert.strictEqual(snapshot.delivered, snapshot.taken + snapshot.pending + snapshot.discarded)
}

/** How many finalizers the scope has. */
const finalizers = ({ state }: Scope.Scope): number =>
  state._tag !== "Open" ? 0 : state.finalizers?.size ?? (state.finalizer === undefined ? 0 : 1)

describe("on", () => {
  it.effect("is live when it returns, and handles in order", () =>
    Effect.gen(function*() {
      const bus = yield* makeBus()
      const handled: Array<string> = []
      yield* bus.on(["Ping", "Pong"], (event) => Effect.sync(() => handled.push(`${event._tag}${event.n}`)))
      yield* bus.publishAll([ping(1), pong(2), ping(3)])
      assert.deepStrictEqual(handled, [])
      yield* settle
      assert.deepStrictEqual(handled, ["Ping1", "Pong2", "Ping3"])
    }))

  it.effect("snapshots of one subscription share their array of kinds, which tells it from one like it that came after", () =>
    Effect.gen(function*() {
      const bus = yield* makeBus()
      const kinds = ["Ping"] as const
      const first = yield* bus.on(kinds, () => Effect.void, { name: "router" })
      const snapshot = yield* first.snapshot
      yield* bus.publish(ping(1))
      yield* settle
      const [later] = yield* bus.subscriptions
      assert.strictEqual(later?.kinds, snapshot.kinds)
      assert.strictEqual((yield* first.snapshot).kinds, snapshot.kinds)
      yield* first.unsubscribe
      yield* bus.on(kinds, () => Effect.void, { name: "router" })
      const [second] = yield* bus.subscriptions
      assert.notStrictEqual(second?.kinds, snapshot.kinds)
      assert.deepStrictEqual(second?.kinds, snapshot.kinds)
    }))

  it.effect("goes on after a failure, a defect, a throw and an interruption, and counts what it gave up", () =>
    Effect.gen(function*() {
      const bus = yield* makeBus()
      const handled: Array<number> = []
      const given: Array<number> = []
      const handle = yield* bus.on("Ping", (event) => {
        switch (event.n) {
          case 1:
            return Effect.fail("typed")
          case 2:
            return Effect.die("defect")
          case 3:
            throw new Error("thrown before an effect")
          case 4:
            return Effect.interrupt
          case 5:
            return Effect.flatMap(Effect.forkChild(Effect.interrupt), Fiber.join)
          case 6:
            // Only untyped code can: the fiber itself dies of it.
            return undefined as never
          default:
            return Effect.sync(() => handled.push(event.n))
        }
      }, { onFailure: (event) => Effect.sync(() => given.push(event.n)) })
      yield* bus.publishAll([0, 1, 2, 3, 4, 5, 6, 7].map(ping))
      yield* settle
      assert.deepStrictEqual(handled, [0, 7])
      assert.deepStrictEqual(given, [1, 2, 3, 6])
      const snapshot = yield* handle.snapshot
      assert.strictEqual(snapshot.failures, 4)
      assert.strictEqual(snapshot.running, 0)
      assert.strictEqual(snapshot.taken, 8)
    }))

  it.effect("goes on when the handler interrupts the fiber it runs in", () =>
    Effect.gen(function*() {
      const bus = yield* makeBus()
      const handled: Array<number> = []
      const handle = yield* bus.on("Ping", (event) =>
        event.n === 1
          ? Effect.withFiber((fiber) => Effect.andThen(Effect.sync(() => fiber.interruptUnsafe()), Effect.never))
          : Effect.sync(() => handled.push(event.n)))
      yield* bus.publishAll([1, 2, 3].map(ping))
      yield* settle
      assert.deepStrictEqual(handled, [2, 3])
      assert.strictEqual((yield* handle.snapshot).failures, 0)
    }))

  it.effect("survives an onFailure that dies", () =>
    Effect.gen(function*() {
      const bus = yield* makeBus()
      const handled: Array<number> = []
      const handle = yield* bus.on(
        "Ping",
        (event) => event.n === 1 ? Effect.fail("x") : Effect.sync(() => handled.push(event.n)),
        { onFailure: () => Effect.die("no better") }
      )
      yield* bus.publishAll([1, 2].map(ping))
      yield* settle
      assert.deepStrictEqual(handled, [2])
      assert.strictEqual((yield* handle.snapshot).failures, 1)
    }))

  /** Ends the fiber, and no finalizer runs: Effect can do nothing else with what is no effect. */
  const noEffect: Effect.Effect<void> = Effect.flatMap(Effect.void, () => undefined as never)

  for (
    const [what, nothing] of [
      ["returns no effect", () => undefined],
      ["goes on with no effect", () => noEffect],
      ["acquires what is released by no effect", () => Effect.addFinalizer(() => noEffect)]
    ] as const
  ) {
    it.effect(`survives an onFailure that ${what}, and calls it once`, () =>
      Effect.gen(function*() {
        const bus = yield* makeBus()
        const handled: Array<number> = []
        const given: Array<number> = []
        const logged: Array<unknown> = []
        const logger = Logger.make(({ message }) => logged.push(...[message].flat()))
        const handle = yield* bus.on(
          "Ping",
          // The second ends its fiber, so that `onFailure` runs in another one.
          ({ n }) => n === 1 ? Effect.fail("x") : n === 2 ? undefined as never : Effect.sync(() => handled.push(n)),
          {
            onFailure: ({ n }) => {
              given.push(n)
              return nothing() as never
            }
          }
        ).pipe(Effect.provide(Logger.layer([logger])))
        yield* bus.publishAll([1, 2, 3].map(ping))
        yield* bus.awaitIdle
        assert.deepStrictEqual([given, handled], [[1, 2], [3]])
        assert.deepInclude(yield* handle.snapshot, { taken: 3, failures: 2, handled: 1, running: 0, settled: 3 })
        const said = logged.filter((message) => message === "The onFailure of an event handler failed")
        assert.lengthOf(said, 2)
      }))
  }

  it.effect("survives handlers that end their fiber twice: by what they return, and by what releases", () =>
    Effect.gen(function*() {
      const bus = yield* makeBus()
      const handle = yield* bus.on("Ping", () => Effect.andThen(Effect.addFinalizer(() => noEffect), noEffect))
      yield* bus.publishAll([1, 2].map(ping))
      yield* bus.awaitIdle
      assert.deepInclude(yield* handle.snapshot, { taken: 2, failures: 2, running: 0, settled: 2 })
    }).pipe(Effect.provide(Logger.layer([]))))

  it.effect("an event is pending until its handler starts, and may be evicted till then", () =>
    Effect.gen(function*() {
      const bus = yield* makeBus()
      const handled: Array<number> = []
      const gate = yield* Latch.make()
      const handle = yield* bus.on(
        "Ping",
        (event) => Effect.andThen(gate.await, Effect.sync(() => handled.push(event.n))),
        { bufferSize: 2, overflow: "sliding" }
      )
      yield* bus.publish(ping(1))
      yield* settle
      yield* bus.publishAll([2, 3, 4].map(ping))
      const snapshot = yield* handle.snapshot
      assert.deepInclude(snapshot, { taken: 1, running: 1, pending: 2, dropped: 1 })
      yield* gate.open
      yield* settle
      assert.deepStrictEqual(handled, [1, 3, 4])
    }))

  it.effect("concurrency bounds how many handlers run", () =>
    Effect.gen(function*() {
      const bus = yield* makeBus()
      let running = 0
      let most = 0
      const gate = yield* Latch.make()
      const handle = yield* bus.on("Ping", () =>
        Effect.gen(function*() {
          most = Math.max(most, ++running)
          yield* gate.await
          running--
        }), { concurrency: 3 })
      yield* bus.publishAll([1, 2, 3, 4, 5, 6, 7].map(ping))
      yield* settle
      assert.deepInclude(yield* handle.snapshot, { running: 3, taken: 3, pending: 4 })
      yield* gate.open
      yield* settle
      assert.deepInclude(yield* handle.snapshot, { running: 0, taken: 7, pending: 0 })
      assert.strictEqual(most, 3)
    }))

  describe("retry", () => {
    it.effect("tries typed failures again, while later events wait in the buffer", () =>
      Effect.gen(function*() {
        const bus = yield* makeBus()
        const attempts: Array<number> = []
        const handle = yield* bus.on(
          "Ping",
          (event) =>
            Effect.suspend(() => {
              attempts.push(event.n)
              return event.n === 1 && attempts.length < 3 ? Effect.fail("not yet") : Effect.void
            }),
          { retry: Schedule.spaced("1 second") }
        )
        yield* bus.publishAll([1, 2].map(ping))
        yield* settle
        assert.deepStrictEqual(attempts, [1])
        assert.deepInclude(yield* handle.snapshot, { running: 1, pending: 1 })
        yield* TestClock.adjust("1 second")
        yield* settle
        assert.deepStrictEqual(attempts, [1, 1])
        yield* TestClock.adjust("1 second")
        yield* settle
        assert.deepStrictEqual(attempts, [1, 1, 1, 2])
        assert.strictEqual((yield* handle.snapshot).failures, 0)
      }))

    it.effect("gives up when the schedule ends, with the last cause, once", () =>
      Effect.gen(function*() {
        const bus = yield* makeBus()
        let attempts = 0
        const causes: Array<string> = []
        const handle = yield* bus.on("Ping", () => Effect.suspend(() => Effect.fail(`attempt ${++attempts}`)), {
          retry: Schedule.recurs(2),
          onFailure: (_event, cause) => Effect.sync(() => causes.push(String(Cause.squash(cause))))
        })
        yield* bus.publish(ping(1))
        yield* settle
        assert.strictEqual(attempts, 3)
        assert.deepStrictEqual(causes, ["attempt 3"])
        assert.strictEqual((yield* handle.snapshot).failures, 1)
      }))

    it.effect("may be made as in Effect.retry, and looks at the failure", () =>
      Effect.gen(function*() {
        const bus = yield* makeBus()
        const attempts: Array<number> = []
        yield* bus.on("Ping", ({ n }) => {
          attempts.push(n)
          return Effect.fail(n === 1 ? "busy" : "gone")
        }, {
          retry: ($) => $(Schedule.recurs(2)).pipe(Schedule.while(({ input }) => input === "busy")),
          onFailure: () => Effect.void
        })
        yield* bus.publishAll([ping(1), ping(2)])
        yield* settle
        assert.deepStrictEqual(attempts, [1, 1, 1, 2])
      }))

    it.effect("does not try defects again", () =>
      Effect.gen(function*() {
        const bus = yield* makeBus()
        let attempts = 0
        const handle = yield* bus.on("Ping", () => Effect.suspend(() => Effect.die(++attempts)), {
          retry: Schedule.recurs(5)
        })
        yield* bus.publish(ping(1))
        yield* settle
        assert.strictEqual(attempts, 1)
        assert.strictEqual((yield* handle.snapshot).failures, 1)
      }))

    it.effect("does not try failures again that a defect or an interruption came with", () =>
      Effect.gen(function*() {
        const bus = yield* makeBus()
        let attempts = 0
        const others = [Cause.die("a bug"), Cause.interrupt()] as const
        const causes: Array<Cause.Cause<string>> = []
        const handle = yield* bus.on(
          "Ping",
          ({ n }) =>
            Effect.suspend(() => {
              attempts++
              return Effect.failCause(Cause.combine(Cause.fail("no"), others[n as 0 | 1]))
            }),
          { retry: Schedule.recurs(5), onFailure: (_, cause) => Effect.sync(() => causes.push(cause)) }
        )
        yield* bus.publishAll([ping(0), ping(1)])
        yield* settle
        assert.strictEqual(attempts, 2)
        assert.deepStrictEqual(causes, others.map((other) => Cause.combine(Cause.fail("no"), other)))
        assert.strictEqual((yield* handle.snapshot).failures, 2)
      }))
  })

  describe("when the scope closes", () => {
    it.effect("without drain interrupts the handler at once and discards the rest", () =>
      Effect.gen(function*() {
        const bus = yield* makeBus()
        const scope = yield* Scope.make()
        let interrupted = 0
        const handle = yield* bus.on("Ping", () =>
          Effect.onInterrupt(Effect.never, () => Effect.sync(() => interrupted++)))
          .pipe(Scope.provide(scope))
        yield* bus.publishAll([1, 2, 3].map(ping))
        yield* settle
        yield* Scope.close(scope, Exit.void)
        assert.strictEqual(interrupted, 1)
        const snapshot = yield* handle.snapshot
        laws(snapshot)
        assert.deepInclude(snapshot, { state: "closed", taken: 1, discarded: 2, pending: 0, running: 0, failures: 0 })
        assert.deepStrictEqual(yield* bus.subscriptions, [])
      }))

    it.effect("with drain handles what was accepted, and nothing that came later", () =>
      Effect.gen(function*() {
        const bus = yield* makeBus()
        const scope = yield* Scope.make()
        const handled: Array<number> = []
        const handle = yield* bus.on(
          "Ping",
          (event) => Effect.andThen(Effect.sleep("1 second"), Effect.sync(() => handled.push(event.n))),
          { drain: "10 seconds" }
        ).pipe(Scope.provide(scope))
        yield* bus.publishAll([1, 2, 3].map(ping))
        yield* settle
        const closing = yield* Effect.forkChild(Scope.close(scope, Exit.void))
        yield* settle
        assert.strictEqual((yield* handle.snapshot).state, "draining")
        yield* bus.publish(ping(4))
        yield* TestClock.adjust("3 seconds")
        yield* Fiber.join(closing)
        assert.deepStrictEqual(handled, [1, 2, 3])
        const snapshot = yield* handle.snapshot
        laws(snapshot)
        assert.deepInclude(snapshot, { state: "closed", offered: 3, taken: 3, discarded: 0 })
      }))

    it.effect("drain ends with its time: the handler is interrupted, the rest discarded", () =>
      Effect.gen(function*() {
        const bus = yield* makeBus()
        const scope = yield* Scope.make()
        const handled: Array<number> = []
        const handle = yield* bus.on(
          "Ping",
          (event) => Effect.andThen(Effect.sleep("4 seconds"), Effect.sync(() => handled.push(event.n))),
          { drain: "10 seconds" }
        ).pipe(Scope.provide(scope))
        yield* bus.publishAll([1, 2, 3, 4].map(ping))
        yield* settle
        const closing = yield* Effect.forkChild(Scope.close(scope, Exit.void))
        yield* TestClock.adjust("9 seconds")
        yield* settle
        assert.isUndefined(closing.pollUnsafe())
        yield* TestClock.adjust("1 second")
        yield* Fiber.join(closing)
        assert.deepStrictEqual(handled, [1, 2])
        const snapshot = yield* handle.snapshot
        laws(snapshot)
        assert.deepInclude(snapshot, { state: "closed", taken: 3, discarded: 1 })
      }))

    it.effect("unsubscribe does not drain", () =>
      Effect.gen(function*() {
        const bus = yield* makeBus()
        const handle = yield* bus.on("Ping", () => Effect.never, { drain: Duration.infinity })
        yield* bus.publishAll([1, 2].map(ping))
        yield* settle
        yield* handle.unsubscribe
        assert.deepInclude(yield* handle.snapshot, { state: "closed", taken: 1, discarded: 1 })
      }))

    it.effect("unsubscribe cuts a drain short", () =>
      Effect.gen(function*() {
        const bus = yield* makeBus()
        const scope = yield* Scope.make()
        const handle = yield* bus.on("Ping", () => Effect.never, { drain: Duration.infinity }).pipe(
          Scope.provide(scope)
        )
        yield* bus.publishAll([1, 2].map(ping))
        yield* settle
        const closing = yield* Effect.forkChild(Scope.close(scope, Exit.void))
        yield* settle
        yield* handle.unsubscribe
        yield* Fiber.join(closing)
        assert.deepInclude(yield* handle.snapshot, { state: "closed", taken: 1, discarded: 1 })
      }))

    it.effect("leaves nothing in the scope when unsubscribed before", () =>
      Effect.gen(function*() {
        const bus = yield* makeBus()
        const scope = yield* Scope.make()
        const handle = yield* bus.on("Ping", () => Effect.void).pipe(Scope.provide(scope))
        const subscription = yield* bus.subscribe({ kinds: ["Ping"] }).pipe(Scope.provide(scope))
        yield* Effect.all([handle.unsubscribe, subscription.unsubscribe])
        assert.strictEqual(finalizers(scope), 0)
      }))
  })

  // Each of these would hang, or lose an event, if the handler waited for itself.
  for (const concurrency of [1, 3]) {
    for (const drain of [undefined, "10 seconds"] as const) {
      describe(`a handler at concurrency ${concurrency}, ${drain === undefined ? "without" : "with"} drain`, () => {
        const run = (
          act: (tools: {
            bus: EventBus.EventBus<Ping | Pong>
            handle: SubscriptionHandle
            scope: Scope.Closeable
            busScope: Scope.Closeable
          }) => Effect.Effect<unknown>
        ) =>
          Effect.gen(function*() {
            const busScope = yield* Scope.make()
            const scope = yield* Scope.make()
            const bus = yield* makeBus().pipe(Scope.provide(busScope))
            const started: Array<number> = []
            const finished: Array<number> = []
            const handle = yield* bus.on(
              "Ping",
              (event, handle) =>
                Effect.gen(function*() {
                  started.push(event.n)
                  yield* Effect.yieldNow
                  if (event.n === 1) yield* act({ bus, handle, scope, busScope })
                  yield* Effect.yieldNow
                  finished.push(event.n)
                }),
              { concurrency, drain }
            ).pipe(Scope.provide(scope))
            yield* bus.publish(ping(1))
            yield* settle
            return { bus, handle, scope, started, finished }
          })

        it.effect("unsubscribes itself: it finishes its event, no other starts", () =>
          Effect.gen(function*() {
            const { bus, finished, handle } = yield* run(({ bus, handle }) =>
              Effect.andThen(bus.publishAll([ping(2)]), handle.unsubscribe)
            )
            assert.include(finished, 1)
            assert.deepInclude(yield* handle.snapshot, { state: "closed", running: 0, pending: 0 })
            laws(yield* handle.snapshot)
            yield* bus.publish(ping(5))
            yield* settle
            assert.notInclude(finished, 5)
          }))

        it.effect("unsubscribes itself from a fiber that it waits for", () =>
          Effect.gen(function*() {
            const { finished, handle } = yield* run(({ handle }) =>
              Effect.all([handle.unsubscribe, handle.unsubscribe], { concurrency: "unbounded" })
            )
            assert.deepStrictEqual(finished, [1])
            assert.strictEqual((yield* handle.snapshot).state, "closed")
          }))

        it.effect("unsubscribes itself and goes on: it does not outlive its subscriber's scope", () =>
          Effect.gen(function*() {
            const { finished, handle, scope } = yield* run(({ handle }) =>
              Effect.andThen(handle.unsubscribe, Effect.never)
            )
            assert.deepInclude(yield* handle.snapshot, { state: "draining", running: 1 })
            const closing = yield* Effect.forkChild(Scope.close(scope, Exit.void))
            yield* TestClock.adjust("10 seconds")
            yield* Fiber.join(closing)
            assert.deepStrictEqual(finished, [])
            assert.deepInclude(yield* handle.snapshot, { state: "closed", running: 0 })
          }))

        it.effect("unsubscribes itself: nothing of it is left in its subscriber's scope", () =>
          Effect.gen(function*() {
            const { scope } = yield* run(({ handle }) => handle.unsubscribe)
            assert.strictEqual(finalizers(scope), 0)
          }))

        it.effect("closes the scope it runs in", () =>
          Effect.gen(function*() {
            const { finished, handle } = yield* run(({ scope }) => Scope.close(scope, Exit.void))
            assert.deepStrictEqual(finished, [1])
            assert.deepInclude(yield* handle.snapshot, { state: "closed", running: 0 })
          }))

        it.effect("closes the bus's scope", () =>
          Effect.gen(function*() {
            const { finished, handle } = yield* run(({ busScope }) => Scope.close(busScope, Exit.void))
            assert.deepStrictEqual(finished, [1])
            assert.deepInclude(yield* handle.snapshot, { state: "closed", running: 0 })
          }))

        it.effect("publishes to its own bus, its own kind too", () =>
          Effect.gen(function*() {
            const { finished, handle } = yield* run(({ bus }) => bus.publishAll([ping(2), pong(9), ping(3)]))
            assert.deepStrictEqual(finished, [1, 2, 3])
            assert.deepInclude(yield* handle.snapshot, { state: "open", taken: 3, running: 0 })
          }))

        it.effect("shuts the bus down: what was accepted is handled, nothing else", () =>
          Effect.gen(function*() {
            const { bus, finished, handle } = yield* run(({ bus }) =>
              Effect.andThen(bus.publishAll([ping(2), ping(3)]), Effect.andThen(bus.shutdown, bus.publish(ping(4))))
            )
            assert.deepStrictEqual(finished.toSorted((a, b) => a - b), [1, 2, 3])
            assert.deepInclude(yield* handle.snapshot, { state: "closed", taken: 3, discarded: 0 })
            yield* bus.awaitShutdown
          }))
      })
    }
  }

  it.effect("two handlers of one subscription that unsubscribe at once do not wait for each other", () =>
    Effect.gen(function*() {
      const bus = yield* makeBus()
      const both = yield* Latch.make()
      let started = 0
      const handle = yield* bus.on("Ping", (_event, handle) =>
        Effect.gen(function*() {
          if (++started === 2) yield* both.open
          yield* both.await
          yield* handle.unsubscribe
        }), { concurrency: 2 })
      yield* bus.publishAll([ping(1), ping(2)])
      yield* settle
      assert.deepInclude(yield* handle.snapshot, { state: "closed", running: 0 })
    }))

  it.effect("waits for a handler that cannot be interrupted", () =>
    Effect.gen(function*() {
      const bus = yield* makeBus()
      const gate = yield* Deferred.make<void>()
      const handle = yield* bus.on("Ping", () => Effect.uninterruptible(Deferred.await(gate)))
      yield* bus.publish(ping(1))
      yield* settle
      const unsubscribing = yield* Effect.forkChild(handle.unsubscribe)
      yield* settle
      assert.isUndefined(unsubscribing.pollUnsafe())
      assert.deepInclude(yield* handle.snapshot, { state: "draining", running: 1 })
      yield* Deferred.succeed(gate, undefined)
      yield* Fiber.join(unsubscribing)
      assert.strictEqual((yield* handle.snapshot).state, "closed")
    }))
})

it.effect("onFailure runs although the logger throws", () =>
  Effect.gen(function*() {
    const bus = yield* makeBus()
    const given: Array<number> = []
    yield* bus.on("Ping", () => Effect.fail("no"), { onFailure: (event) => Effect.sync(() => given.push(event.n)) })
    yield* bus.publishAll([ping(1), ping(2)])
    yield* settle
    assert.deepStrictEqual(given, [1, 2])
  }).pipe(Effect.provide(Logger.layer([
    Logger.make(() => {
      throw new Error("a logger at fault")
    })
  ]))))

it.effect("unsubscribing from a fiber that outlived its handler ends the subscription", () =>
  Effect.gen(function*() {
    const bus = yield* makeBus()
    const gate = yield* Latch.make()
    const handle = yield* bus.on("Ping", (_event, handle) =>
      Effect.forkDetach(Effect.andThen(gate.await, handle.unsubscribe)))
    yield* bus.publish(ping(1))
    yield* settle
    yield* gate.open
    yield* settle
    assert.deepInclude(yield* handle.snapshot, { state: "closed", running: 0 })
  }))

it.effect("a drain that is no duration is refused", () =>
  Effect.gen(function*() {
    const bus = yield* makeBus()
    const exit = yield* Effect.exit(bus.on("Ping", () => Effect.void, { drain: "five" as never }))
    assert.include(
      Exit.isFailure(exit) ? Cause.pretty(exit.cause) : "",
      "EventBus \"test\": drain must be a duration such as \"5 seconds\", but is \"five\""
    )
    assert.deepStrictEqual(yield* bus.subscriptions, [])
  }))

it.effect("a subscription in a scope that is closed has ended already", () =>
  Effect.gen(function*() {
    const bus = yield* makeBus()
    const scope = yield* Scope.make()
    yield* Scope.close(scope, Exit.void)
    const handle = yield* bus.on("Ping", () => Effect.void).pipe(Scope.provide(scope))
    const subscription = yield* bus.subscribe({ kinds: ["Ping"] }).pipe(Scope.provide(scope))
    yield* bus.publish(ping(1))
    yield* settle
    assert.deepInclude(yield* handle.snapshot, { state: "closed", offered: 0 })
    assert.deepInclude(yield* subscription.snapshot, { state: "closed", offered: 0 })
  }))

it.effect("a subscription that drains does not hold what is published after it left", () =>
  Effect.gen(function*() {
    const bus = yield* makeBus()
    const other = yield* bus.subscribe({ kinds: ["Ping"] })
    const scope = yield* Scope.make()
    const handle = yield* bus.on("Ping", () => Effect.never, { drain: Duration.infinity }).pipe(Scope.provide(scope))
    yield* bus.publishAll([ping(1), ping(2)])
    yield* settle
    const closing = yield* Effect.forkChild(Scope.close(scope, Exit.void))
    yield* settle
    yield* other.takeAll
    const later: Array<WeakRef<Ping>> = []
    yield* Effect.sync(() => {
      for (let n = 0; n < 1000; n++) {
        const event = ping(n)
        later.push(new WeakRef(event))
        bus.publishUnsafe(event)
      }
    })
    yield* other.takeAll
    // A reference is only let go in a later turn.
    yield* Effect.yieldNow
    collectGarbage()
    const held = later.filter((event) => event.deref() !== undefined).length
    assert.isAtMost(held, 256)
    assert.deepInclude(yield* handle.snapshot, { state: "draining", pending: 1, running: 1 })
    yield* handle.unsubscribe
    yield* Fiber.join(closing)
  }))
