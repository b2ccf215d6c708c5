/**
 * A bus for code outside of Effect (`toCallbacks`): what it starts can be ended from everywhere, and nothing waits for ever.
 *
 * Promises are not the explorer's. While a function of the bus runs, `Promise` is `Outcome` here: what waits for it goes on as soon
 * as it is settled, in a fiber of the explorer.
 */
import { assert, describe, it } from "@effect/vitest"
import { EventBus } from "@openwatch/event-bus"
import { Clock, Deferred, Effect, Fiber, Schedule, type Scope } from "effect"
import { type Event, everySchedule, onBus, ping, pong, type Stage } from "./everySchedule.ts"

/** As much of a promise as the bus and Effect use. */
class Outcome<A> implements PromiseLike<A> {
  private settled: { readonly value: A } | { readonly error: unknown } | undefined = undefined
  private readonly listeners: Array<() => void> = []

  constructor(executor: (resolve: (value: A) => void) => void) {
    executor((value) => this.settle({ value }))
  }

  private settle(settled: NonNullable<typeof this.settled>): void {
    this.settled = settled
    this.listeners.forEach((listener) => listener())
  }

  // oxlint-disable-next-line unicorn/no-thenable -- It stands in for a promise.
  then<B = A, C = never>(
    onValue?: ((value: A) => B | PromiseLike<B>) | null,
    onError?: ((error: unknown) => C | PromiseLike<C>) | null
  ): Outcome<B | C> {
    return new Outcome<any>((_) => {}).follow(
      this,
      onValue ?? ((value) => value as never),
      onError ?? ((error) => {
        throw error
      })
    )
  }

  catch<C>(onError: (error: unknown) => C): Outcome<A | C> {
    return this.then(null, onError)
  }

  private follow(other: Outcome<any>, onValue: (value: any) => any, onError: (error: unknown) => any): this {
    const listener = (): void => {
      try {
        const settled = other.settled!
        this.settle({ value: "value" in settled ? onValue(settled.value) : onError(settled.error) })
      } catch (error) {
        this.settle({ error })
      }
    }
    if (other.settled === undefined) other.listeners.push(listener)
    else listener()
    return this
  }
}

/** Waits for what a function of the bus returns a promise of. */
const settled = <A>(call: () => PromiseLike<A>): Effect.Effect<A, unknown> =>
  Effect.callback((resume) => {
    const { Promise } = globalThis
    let promise: PromiseLike<A>
    try {
      Object.assign(globalThis, { Promise: Outcome })
      promise = call()
    } finally {
      globalThis.Promise = Promise
    }
    promise.then((value) => resume(Effect.succeed(value)), (error) => resume(Effect.fail(error)))
  })

/** What a callback returns that waits. */
const promiseOf = (effect: Effect.Effect<unknown>): PromiseLike<void> => {
  const fiber = Effect.runForkWith(Fiber.getCurrent()!.context)(effect)
  return new Outcome((resolve) => fiber.addObserver(() => resolve(undefined)))
}

const reject = (): never => {
  throw "rejected"
}

/** A program on a bus for callbacks. */
const onCallbacks = (
  body: (
    stage: Stage & { readonly callbacks: EventBus.Callbacks<Event> }
  ) => Effect.Effect<unknown, unknown, Scope.Scope>,
  options: EventBus.Options = {}
) =>
  onBus(
    (stage) =>
      Effect.andThen(
        stage.withOthers,
        Effect.flatMap(EventBus.toCallbacks(stage.bus), (callbacks) => body({ ...stage, callbacks }))
      ),
    options
  )

/** Nothing is subscribed to the bus any more. */
const assertNobody = (bus: EventBus.EventBus<Event>): Effect.Effect<void> =>
  Effect.map(bus.subscriptions, (subscriptions) => assert.deepStrictEqual(subscriptions, []))

/** All callbacks have ended by then that ever will. */
const later = Effect.sleep("1 minute")

describe("a callback", () => {
  it.effect("is called for what two publish, in order, one at a time", () =>
    everySchedule(onCallbacks(({ bus, callbacks, subscribe }) =>
      Effect.gen(function*() {
        const order = yield* subscribe()
        const seen: Array<number> = []
        let running = 0
        callbacks.subscribe(["Ping", "Pong"], ({ n }) => {
          assert.strictEqual(++running, 1)
          seen.push(n)
          return promiseOf(Effect.andThen(
            Effect.yieldNow,
            Effect.sync(() => {
              running--
            })
          ))
        })
        const publisher = yield* Effect.forkChild(bus.publish(ping(1)))
        callbacks.publish(pong(2))
        yield* Fiber.join(publisher)
        yield* bus.awaitIdle
        assert.deepStrictEqual(seen, (yield* order.takeUpTo(5)).map(({ n }) => n))
      })
    )))

  it.effect("that is ended beside a publisher is not called any more", () =>
    everySchedule(onCallbacks(({ bus, callbacks }) =>
      Effect.gen(function*() {
        let isEnded = false
        const unsubscribe = callbacks.subscribe("Ping", () => assert.isFalse(isEnded))
        const publisher = yield* Effect.forkChild(Effect.andThen(bus.publish(ping(1)), bus.publish(ping(2))))
        yield* Effect.sync(() => {
          unsubscribe()
          isEnded = true
        })
        yield* Fiber.join(publisher)
        yield* later
        yield* assertNobody(bus)
      })
    )))

  it.effect("that ends itself is not called again, and finishes: what goes wrong then is told too", () =>
    everySchedule(onCallbacks(({ bus, callbacks }) =>
      Effect.gen(function*() {
        const seen: Array<number> = []
        const unsubscribe = callbacks.subscribe("Ping", () => {
          unsubscribe()
          return promiseOf(Effect.yieldNow).then(reject)
        }, { onFailure: ({ n }) => void seen.push(n) })
        yield* bus.publishAll([ping(1), ping(2)])
        yield* later
        assert.deepStrictEqual(seen, [1])
        yield* assertNobody(bus)
      })
    )))

  it.effect("that throws, rejects and ends is given up, told of, and called for the next", () =>
    everySchedule(onCallbacks(({ bus, callbacks }) =>
      Effect.gen(function*() {
        const given: Array<unknown> = []
        callbacks.subscribe("Ping", ({ n }) => {
          if (n === 1) throw "thrown"
          return n === 2 ? promiseOf(Effect.yieldNow).then(reject) : undefined
        }, {
          onFailure: (event, error) => {
            given.push([event.n, error])
            throw "nobody minds"
          }
        })
        const publisher = yield* Effect.forkChild(bus.publish(ping(1)))
        yield* Fiber.join(publisher)
        yield* bus.publishAll([ping(2), ping(3)])
        yield* bus.awaitIdle
        assert.deepStrictEqual(given, [[1, "thrown"], [2, "rejected"]])
        assert.deepInclude((yield* bus.subscriptions)[0], { failures: 2, handled: 1 })
      })
    )))

  it.effect("that is called again after a pause is ended in the pause", () =>
    everySchedule(onCallbacks(({ bus, callbacks }) =>
      Effect.gen(function*() {
        let calls = 0
        const unsubscribe = callbacks.subscribe("Ping", () => {
          calls++
          throw "no"
        }, { retry: Schedule.spaced("1 second") })
        yield* bus.publish(ping(1))
        yield* Effect.sleep("2 seconds")
        yield* Effect.sync(unsubscribe)
        yield* later
        assert.include([2, 3], calls)
        yield* assertNobody(bus)
      })
    )))

  it.effect("whose signal is aborted beside a publisher is not called any more", () =>
    everySchedule(onCallbacks(({ bus, callbacks }) =>
      Effect.gen(function*() {
        let isEnded = false
        const controller = new AbortController()
        callbacks.subscribe("Ping", () => assert.isFalse(isEnded), { signal: controller.signal })
        const publisher = yield* Effect.forkChild(bus.publish(ping(1)))
        yield* Effect.sync(() => {
          controller.abort()
          isEnded = true
        })
        callbacks.subscribe("Ping", () => assert.fail("It was aborted before"), { signal: controller.signal })
        yield* bus.publish(ping(2))
        yield* Fiber.join(publisher)
        yield* later
        yield* assertNobody(bus)
      })
    )))

  it.effect("whose signal is aborted by itself, and which then ends itself, finishes", () =>
    everySchedule(onCallbacks(({ bus, callbacks }) =>
      Effect.gen(function*() {
        const seen: Array<number> = []
        const controller = new AbortController()
        const unsubscribe = callbacks.subscribe("Ping", ({ n }) => {
          controller.abort()
          unsubscribe()
          return promiseOf(Effect.andThen(Effect.yieldNow, Effect.sync(() => seen.push(n))))
        }, { signal: controller.signal })
        yield* bus.publishAll([ping(1), ping(2)])
        yield* later
        assert.deepStrictEqual(seen, [1])
        yield* assertNobody(bus)
      })
    )))

  it.effect("finishes when the bus is shut down, and is ended with it", () =>
    everySchedule(onCallbacks(({ bus, callbacks }) =>
      Effect.gen(function*() {
        let count = 0
        callbacks.subscribe("Ping", () => {
          count++
          return promiseOf(Effect.yieldNow)
        })
        const publisher = yield* Effect.forkChild(Effect.sync(() => callbacks.publish(ping(1))))
        yield* bus.shutdown
        yield* Fiber.join(publisher)
        yield* Effect.sleep("1 second")
        assert.strictEqual(count, (yield* bus.metrics).publishedCount)
        yield* assertNobody(bus)
      })
    )))
})

describe("the end of the bus's scope", () => {
  it.effect("lets callbacks finish what was accepted, beside one that is ended", () => {
    const handled: Array<string> = []
    return everySchedule(
      Effect.andThen(
        onCallbacks(({ bus, callbacks }) =>
          Effect.gen(function*() {
            handled.length = 0
            const call = (name: string) => () =>
              promiseOf(Effect.andThen(Effect.yieldNow, Effect.sync(() => handled.push(name))))
            callbacks.subscribe("Ping", call("staying"), { name: "staying" })
            const unsubscribe = callbacks.subscribe("Ping", call("leaving"), { name: "leaving" })
            yield* bus.publish(ping(1))
            yield* Effect.forkChild(Effect.sync(unsubscribe))
          }), { drain: "1 second" }),
        Effect.sync(() => assert.include(handled, "staying"))
      )
    )
  })

  it.effect("ends readers who wait", () =>
    everySchedule(Effect.gen(function*() {
      const read = yield* Deferred.make<unknown>()
      const next = yield* Deferred.make<unknown>()
      yield* onCallbacks(({ callbacks }) =>
        Effect.gen(function*() {
          const events = callbacks.events("Ping")
          const into = (deferred: Deferred.Deferred<unknown>, call: () => PromiseLike<unknown>) =>
            Effect.forkDetach(Effect.flatMap(settled(call), (value) => Deferred.succeed(deferred, value)))
          yield* into(read, () => events.next())
          yield* into(next, () => callbacks.next("Pong"))
        })
      )
      assert.deepStrictEqual(yield* Deferred.await(read), { done: true, value: undefined })
      assert.isUndefined(yield* Deferred.await(next))
    })))
})

describe("close", () => {
  it.effect("lets a callback finish what was accepted; the bus goes on", () =>
    everySchedule(onCallbacks(({ bus, callbacks }) =>
      Effect.gen(function*() {
        let count = 0
        callbacks.subscribe("Ping", () =>
          promiseOf(Effect.andThen(
            Effect.yieldNow,
            Effect.sync(() => {
              count++
            })
          )), {
          drain: "1 second"
        })
        const publisher = yield* Effect.forkChild(Effect.andThen(bus.publish(ping(1)), bus.publish(ping(2))))
        yield* settled(() => callbacks.close())
        yield* assertNobody(bus)
        const { deliveredCount } = yield* bus.metrics
        assert.strictEqual(count, deliveredCount)
        yield* Fiber.join(publisher)
        assert.strictEqual((yield* bus.metrics).publishedCount, 2)
      })
    )))

  it.effect("does not wait for a callback that is stuck and has no time to drain", () =>
    everySchedule(onCallbacks(({ bus, callbacks }) =>
      Effect.gen(function*() {
        callbacks.subscribe("Ping", () => promiseOf(Effect.never))
        const publisher = yield* Effect.forkChild(bus.publish(ping(1)))
        yield* settled(() => callbacks.close())
        yield* assertNobody(bus)
        yield* Fiber.join(publisher)
      })
    )))

  it.effect("waits for a callback that is stuck until its time is over, whenever time goes by", () =>
    everySchedule(
      onCallbacks(({ bus, callbacks }) =>
        Effect.gen(function*() {
          callbacks.subscribe("Ping", () => promiseOf(Effect.never), { drain: "1 second" })
          yield* bus.publish(ping(1))
          yield* settled(() => callbacks.close())
          yield* assertNobody(bus)
        })
      ),
      { time: "anytime" }
    ))

  it.effect("gives all callbacks their time at once", () =>
    everySchedule(onCallbacks(({ bus, callbacks }) =>
      Effect.gen(function*() {
        for (const name of ["one", "other"]) {
          callbacks.subscribe("Ping", () => promiseOf(Effect.never), { name, drain: "1 second" })
        }
        yield* bus.publish(ping(1))
        yield* Effect.yieldNow
        yield* settled(() => callbacks.close())
        assert.isAtMost(yield* Clock.currentTimeMillis, 1_000)
        yield* assertNobody(bus)
      })
    )))

  it.effect("from inside of a callback never waits for itself, and ends the others", () =>
    everySchedule(onCallbacks(({ bus, callbacks }) =>
      Effect.gen(function*() {
        const closed = yield* Deferred.make<void>()
        callbacks.subscribe("Ping", () =>
          promiseOf(
            Effect.andThen(
              settled(() => callbacks.close()),
              Deferred.succeed(closed, undefined)
            ).pipe(Effect.orDie)
          ))
        callbacks.subscribe("Ping", () => promiseOf(Effect.never), { name: "stuck" })
        yield* bus.publishAll([ping(1), ping(2)])
        yield* Deferred.await(closed)
        yield* later
        yield* assertNobody(bus)
      })
    )))

  it.effect("from inside of two callbacks at once ends both", () =>
    everySchedule(onCallbacks(({ bus, callbacks }) =>
      Effect.gen(function*() {
        const close = () => promiseOf(Effect.orDie(settled(() => callbacks.close())))
        callbacks.subscribe("Ping", close, { name: "one", drain: "1 second" })
        callbacks.subscribe("Ping", close, { name: "other", drain: "1 second" })
        yield* bus.publish(ping(1))
        yield* later
        yield* assertNobody(bus)
      })
    )))

  it.effect("twice, beside the end of the bus, leaves nothing", () =>
    everySchedule(onCallbacks(({ bus, callbacks }) =>
      Effect.gen(function*() {
        let count = 0
        callbacks.subscribe("Ping", () => {
          count++
          return promiseOf(Effect.yieldNow)
        }, { drain: "1 second" })
        yield* bus.publish(ping(1))
        const other = yield* Effect.forkChild(settled(() => callbacks.close()))
        yield* bus.shutdown
        yield* settled(() => callbacks.close())
        yield* Fiber.join(other)
        assert.strictEqual(count, 1)
        yield* assertNobody(bus)
      })
    )))

  it.effect("ends a reader that waits, or it has got what was published", () =>
    everySchedule(onCallbacks(({ bus, callbacks }) =>
      Effect.gen(function*() {
        const events = callbacks.events("Ping")
        const reader = yield* Effect.forkChild(settled(() => events.next()))
        const publisher = yield* Effect.forkChild(bus.publish(ping(1)))
        yield* settled(() => callbacks.close())
        const { done, value } = yield* Fiber.join(reader)
        assert.strictEqual(value?.n, done === true ? undefined : 1)
        yield* Fiber.join(publisher)
        yield* assertNobody(bus)
        assert.isTrue((yield* settled(() => events.next())).done)
      })
    )))
})

describe("a reader", () => {
  it.effect("gets what was accepted before the bus is shut down, then the end", () =>
    everySchedule(onCallbacks(({ bus, callbacks }) =>
      Effect.gen(function*() {
        const events = callbacks.events(["Ping", "Pong"])
        const publisher = yield* Effect.forkChild(bus.publishAll([ping(1), pong(2)]))
        yield* bus.shutdown
        const seen: Array<number> = []
        for (;;) {
          const { done, value } = yield* settled(() => events.next())
          if (done === true) break
          seen.push(value.n)
        }
        yield* Fiber.join(publisher)
        assert.deepStrictEqual(seen, [1, 2].slice(0, (yield* bus.metrics).publishedCount))
        yield* assertNobody(bus)
      })
    )))

  it.effect("that returns beside a publisher releases whoever waits in it", () =>
    everySchedule(onCallbacks(({ bus, callbacks }) =>
      Effect.gen(function*() {
        const events = callbacks.events("Ping")
        const waiting = yield* Effect.forkChild(settled(() => events.next()))
        const publisher = yield* Effect.forkChild(bus.publish(ping(1)))
        assert.isTrue((yield* settled(() => events.return())).done)
        yield* assertNobody(bus)
        const { done, value } = yield* Fiber.join(waiting)
        assert.strictEqual(value?.n, done === true ? undefined : 1)
        yield* Fiber.join(publisher)
        yield* settled(() => events[Symbol.asyncDispose]())
      })
    )))

  it.effect("two that wait in one get an event each, in order", () =>
    everySchedule(onCallbacks(({ bus, callbacks }) =>
      Effect.gen(function*() {
        const events = callbacks.events("Ping")
        const first = yield* Effect.forkChild(settled(() => events.next()))
        const second = yield* Effect.forkChild(settled(() => events.next()))
        const publisher = yield* Effect.forkChild(bus.publish(ping(1)))
        yield* Fiber.join(publisher)
        yield* bus.publish(ping(2))
        const read = yield* Fiber.joinAll([first, second])
        assert.sameMembers(read.map(({ value }) => value?.n), [1, 2])
      })
    )))
})

describe("the next event", () => {
  it.effect("is that, or nothing where the bus was shut down before it", () =>
    everySchedule(onCallbacks(({ bus, callbacks }) =>
      Effect.gen(function*() {
        const waiting = yield* Effect.forkChild(settled(() => callbacks.next("Ping", { where: { n: 2 } })))
        const publisher = yield* Effect.forkChild(bus.publishAll([ping(1), ping(2)]))
        yield* bus.shutdown
        assert.include([undefined, 2], (yield* Fiber.join(waiting))?.n)
        yield* Fiber.join(publisher)
        yield* assertNobody(bus)
      })
    )))

  it.effect("beside a signal: it is that, or the reason, and nothing stays behind", () =>
    everySchedule(onCallbacks(({ bus, callbacks }) =>
      Effect.gen(function*() {
        const controller = new AbortController()
        const waiting = yield* Effect.forkChild(
          Effect.match(settled(() => callbacks.next("Ping", { signal: controller.signal })), {
            onSuccess: (event) => event?.n,
            onFailure: (reason) => reason
          })
        )
        const publisher = yield* Effect.forkChild(bus.publish(ping(1)))
        yield* Effect.sync(() => controller.abort("enough"))
        assert.include([1, "enough"], yield* Fiber.join(waiting))
        yield* Fiber.join(publisher)
        yield* assertNobody(bus)
      })
    )))
})

describe("idle", () => {
  it.effect("waits for callbacks, and what is pending for them", () =>
    everySchedule(onCallbacks(({ bus, callbacks }) =>
      Effect.gen(function*() {
        let count = 0
        callbacks.subscribe("Ping", () =>
          promiseOf(Effect.andThen(
            Effect.yieldNow,
            Effect.sync(() => {
              count++
            })
          )))
        const publisher = yield* Effect.forkChild(bus.publish(ping(1)))
        callbacks.publish(ping(2))
        yield* Fiber.join(publisher)
        yield* settled(() => callbacks.idle())
        assert.strictEqual(count, 2)
      })
    )))

  it.effect("does not wait for a callback that is ended meanwhile", () =>
    everySchedule(onCallbacks(({ bus, callbacks }) =>
      Effect.gen(function*() {
        const unsubscribe = callbacks.subscribe("Ping", () => promiseOf(Effect.never))
        yield* bus.publish(ping(1))
        const waiting = yield* Effect.forkChild(settled(() => callbacks.idle()))
        yield* Effect.sync(unsubscribe)
        yield* Fiber.join(waiting)
      })
    )))

  it.effect("inside of two callbacks at once completes in both", () =>
    everySchedule(onCallbacks(({ bus, callbacks }) =>
      Effect.gen(function*() {
        let count = 0
        const wait = () =>
          promiseOf(
            Effect.andThen(
              settled(() => callbacks.idle()),
              Effect.sync(() => count++)
            ).pipe(Effect.orDie)
          )
        callbacks.subscribe("Ping", wait, { name: "one" })
        callbacks.subscribe("Ping", wait, { name: "other" })
        yield* bus.publish(ping(1))
        yield* later
        assert.strictEqual(count, 2)
      })
    )))
})
