/**
 * Publishers beside takers: order, and that nothing is lost, told twice or waited for in vain.
 */
import { assert, describe, it } from "@effect/vitest"
import type { Subscription } from "@openwatch/event-bus"
import { Cause, Effect, Exit, Fiber, Option, Stream } from "effect"
import { type Event, everySchedule, onBus, ping, pong } from "./everySchedule.ts"

const numbers = (events: Iterable<Event>): ReadonlyArray<number> => Array.from(events, ({ n }) => n)

const isAscending = (list: ReadonlyArray<number>): boolean => list.every((n, i) => i === 0 || list[i - 1]! < n)

/** Takes until the bus is shut down. */
const takeToTheEnd = (subscription: Subscription<Event>): Effect.Effect<ReadonlyArray<number>> =>
  Effect.gen(function*() {
    const taken: Array<number> = []
    for (;;) {
      const exit = yield* Effect.exit(subscription.take)
      if (Exit.isSuccess(exit)) taken.push(exit.value.n)
      else if (Cause.isDone(Cause.squash(exit.cause))) return taken
      else return yield* Effect.die(exit.cause)
    }
  })

/** Runs all side by side, and waits for all. */
const together = <A extends ReadonlyArray<Effect.Effect<any, any, any>>>(...effects: A) =>
  Effect.all(effects, { concurrency: "unbounded", discard: true }) as Effect.Effect<
    void,
    Effect.Error<A[number]>,
    Effect.Services<A[number]>
  >

describe("takers", () => {
  it.effect("one gets what two publish, each publisher's in its order", () =>
    everySchedule(onBus(({ bus, subscribe }) =>
      Effect.gen(function*() {
        const subscription = yield* subscribe()
        const taker = yield* Effect.forkChild(Effect.all([subscription.take, subscription.take, subscription.take]))
        yield* together(
          Effect.andThen(bus.publish(ping(1)), bus.publish(ping(2))),
          bus.publish(pong(3))
        )
        const taken = numbers(yield* Fiber.join(taker))
        assert.sameMembers([...taken], [1, 2, 3])
        assert.isTrue(isAscending(taken.filter((n) => n < 3)))
      })
    )))

  it.effect("one gets each batch whole", () =>
    everySchedule(onBus(({ bus, subscribe }) =>
      Effect.gen(function*() {
        const subscription = yield* subscribe()
        const taker = yield* Effect.forkChild(subscription.takeBetween(4, 4))
        yield* together(bus.publishAll([ping(1), ping(2)]), bus.publishAll([pong(3), pong(4)]))
        assert.include(["1,2,3,4", "3,4,1,2"], numbers(yield* Fiber.join(taker)).join())
      })
    )))

  it.effect("two subscriptions get the same in the same order", () =>
    everySchedule(onBus(({ bus, subscribe }) =>
      Effect.gen(function*() {
        const [first, second] = [yield* subscribe(), yield* subscribe()]
        const takers = [
          yield* Effect.forkChild(first.takeBetween(2, 2)),
          yield* Effect.forkChild(second.takeBetween(2, 2))
        ]
        yield* together(bus.publish(ping(1)), bus.publish(pong(2)))
        const [a, b] = yield* Fiber.joinAll(takers)
        assert.deepStrictEqual(numbers(a!), numbers(b!))
      })
    )))

  it.effect("one of a kind gets that kind only", () =>
    everySchedule(onBus(({ bus, subscribe }) =>
      Effect.gen(function*() {
        const subscription = yield* subscribe({ kinds: ["Ping"] })
        const taker = yield* Effect.forkChild(subscription.take)
        yield* together(bus.publish(ping(1)), bus.publish(pong(2)))
        assert.strictEqual((yield* Fiber.join(taker)).n, 1)
        assert.strictEqual((yield* subscription.snapshot).offered, 1)
      })
    )))

  it.effect("two of one subscription share two events", () =>
    everySchedule(onBus(({ bus, subscribe }) =>
      Effect.gen(function*() {
        const subscription = yield* subscribe()
        const takers = [yield* Effect.forkChild(subscription.take), yield* Effect.forkChild(subscription.take)]
        yield* bus.publish(ping(1))
        yield* bus.publish(ping(2))
        assert.sameMembers([...numbers(yield* Fiber.joinAll(takers))], [1, 2])
      })
    )))

  it.effect("of two, one gets the only event, and the other learns of the end", () =>
    everySchedule(onBus(({ bus, subscribe }) =>
      Effect.gen(function*() {
        const subscription = yield* subscribe()
        const takers = [
          yield* Effect.forkChild(takeToTheEnd(subscription)),
          yield* Effect.forkChild(takeToTheEnd(subscription))
        ]
        yield* bus.publish(ping(1))
        yield* bus.shutdown
        assert.deepStrictEqual((yield* Fiber.joinAll(takers)).flat(), [1])
      })
    )))

  it.effect("takeAll gets what is there, the next what came later", () =>
    everySchedule(onBus(({ bus, subscribe }) =>
      Effect.gen(function*() {
        const subscription = yield* subscribe()
        const taken: Array<number> = []
        const taker = yield* Effect.forkChild(Effect.whileLoop({
          while: () => taken.length < 3,
          body: () => subscription.takeAll,
          step: (events) => taken.push(...numbers(events))
        }))
        yield* bus.publish(ping(1))
        yield* bus.publishAll([ping(2), ping(3)])
        yield* Fiber.join(taker)
        assert.deepStrictEqual(taken, [1, 2, 3])
      })
    )))

  it.effect("takeUpTo never waits", () =>
    everySchedule(onBus(({ bus, subscribe }) =>
      Effect.gen(function*() {
        const subscription = yield* subscribe()
        const taker = yield* Effect.forkChild(subscription.takeUpTo(1))
        yield* together(bus.publish(ping(1)), bus.publish(ping(2)))
        const first = yield* Fiber.join(taker)
        const rest = yield* subscription.takeUpTo(5)
        assert.sameMembers(numbers([...first, ...rest]) as Array<number>, [1, 2])
      })
    )))

  it.effect("takeUpTo takes nothing from one who waits already", () =>
    everySchedule(onBus(({ bus, subscribe }) =>
      Effect.gen(function*() {
        const subscription = yield* subscribe()
        const waiting = yield* Effect.forkChild(subscription.take)
        const other = yield* Effect.forkChild(subscription.takeUpTo(1))
        yield* together(bus.publish(ping(1)), bus.publish(ping(2)))
        const first = yield* Fiber.join(waiting)
        const some = yield* Fiber.join(other)
        const rest = yield* subscription.takeUpTo(2)
        assert.sameMembers(numbers([first, ...some, ...rest]) as Array<number>, [1, 2])
      })
    )))

  it.effect("takeBetween takes all of its least at once", () =>
    everySchedule(onBus(({ bus, subscribe }) =>
      Effect.gen(function*() {
        const subscription = yield* subscribe()
        const taker = yield* Effect.forkChild(subscription.takeBetween(2, 3))
        yield* together(bus.publish(ping(1)), bus.publish(ping(2)), bus.publish(ping(3)))
        const taken = yield* Fiber.join(taker)
        assert.isAtLeast(taken.length, 2)
        const rest = yield* subscription.takeUpTo(3)
        assert.sameMembers(numbers([...taken, ...rest]) as Array<number>, [1, 2, 3])
      })
    )))

  it.effect("takeBetween of more than the buffer holds gets all while it keeps up", () =>
    everySchedule(onBus(({ bus, subscribe, lawful }) =>
      Effect.gen(function*() {
        const subscription = yield* subscribe({ bufferSize: 1 })
        const taker = yield* Effect.forkChild(subscription.takeBetween(2, 2))
        yield* bus.publish(ping(1))
        yield* lawful
        yield* bus.publish(ping(2))
        yield* bus.shutdown
        const taken = yield* Fiber.join(taker)
        const { dropped } = yield* subscription.snapshot
        assert.strictEqual(taken.length + dropped, 2)
      })
    )))

  it.effect("two streams of one subscription share its events", () =>
    everySchedule(
      onBus(({ bus, subscribe }) =>
        Effect.gen(function*() {
          const subscription = yield* subscribe()
          const readers = [
            yield* Effect.forkChild(Stream.runCollect(subscription.stream)),
            yield* Effect.forkChild(Stream.runCollect(subscription.stream))
          ]
          yield* bus.publish(ping(1))
          yield* bus.publish(ping(2))
          yield* bus.shutdown
          assert.sameMembers([...numbers((yield* Fiber.joinAll(readers)).flat())], [1, 2])
        })
      ),
      { preemptions: 1 }
    ))

  it.effect("a stream brings all, in order, until the bus is shut down", () =>
    everySchedule(onBus(({ bus, subscribe }) =>
      Effect.gen(function*() {
        const { stream } = yield* subscribe()
        const reader = yield* Effect.forkChild(Stream.runCollect(stream))
        yield* bus.publish(ping(1))
        yield* bus.publish(ping(2))
        yield* bus.shutdown
        assert.deepStrictEqual(numbers(yield* Fiber.join(reader)), [1, 2])
      })
    )))

  it.effect("publishUnsafe wakes as publish does", () =>
    everySchedule(onBus(({ bus, subscribe }) =>
      Effect.gen(function*() {
        const subscription = yield* subscribe()
        const taker = yield* Effect.forkChild(subscription.takeBetween(2, 2))
        yield* together(Effect.sync(() => bus.publishUnsafe(ping(1))), Effect.sync(() => bus.publishUnsafe(ping(2))))
        assert.sameMembers([...numbers(yield* Fiber.join(taker))], [1, 2])
      })
    )))

  it.effect("one that publishes what another waits for lets it go on", () =>
    everySchedule(onBus(({ bus, subscribe }) =>
      Effect.gen(function*() {
        const pings = yield* subscribe({ kinds: ["Ping"] })
        const pongs = yield* subscribe({ kinds: ["Pong"] })
        const answering = yield* Effect.forkChild(Effect.flatMap(pings.take, ({ n }) => bus.publish(pong(n + 1))))
        const waiting = yield* Effect.forkChild(pongs.take)
        yield* bus.publish(ping(1))
        yield* Fiber.join(answering)
        assert.strictEqual((yield* Fiber.join(waiting)).n, 2)
      })
    )))
})

describe("full buffers", () => {
  for (const overflow of ["dropping", "sliding"] as const) {
    it.effect(`${overflow}: what two publish into one place is taken or dropped`, () =>
      everySchedule(onBus(({ bus, lawful, subscribe }) =>
        Effect.gen(function*() {
          const subscription = yield* subscribe({ bufferSize: 1, overflow })
          const taker = yield* Effect.forkChild(takeToTheEnd(subscription))
          yield* together(
            Effect.andThen(bus.publish(ping(1)), lawful),
            Effect.andThen(bus.publish(ping(2)), lawful)
          )
          yield* bus.shutdown
          const taken = yield* Fiber.join(taker)
          const { dropped } = yield* subscription.snapshot
          assert.isAtLeast(taken.length, 1)
          assert.strictEqual(taken.length + dropped, 2)
        })
      )))

    it.effect(`${overflow}: a full one costs another nothing`, () =>
      everySchedule(onBus(({ bus, subscribe }) =>
        Effect.gen(function*() {
          const full = yield* subscribe({ bufferSize: 1, overflow })
          const other = yield* subscribe({ bufferSize: 2 })
          const taker = yield* Effect.forkChild(other.takeBetween(2, 2))
          yield* together(bus.publish(ping(1)), bus.publish(pong(2)))
          const taken = numbers(yield* Fiber.join(taker))
          const left = yield* full.take
          assert.strictEqual(left.n, overflow === "dropping" ? taken[0] : taken[1])
        })
      )))

    it.effect(`${overflow}: losses tell of each loss once`, () =>
      everySchedule(onBus(({ bus, subscribe }) =>
        Effect.gen(function*() {
          const subscription = yield* subscribe({ bufferSize: 1, overflow })
          const reader = yield* Effect.forkChild(Stream.runCollect(subscription.losses))
          yield* bus.publish(ping(1))
          yield* bus.publish(ping(2))
          yield* bus.publish(ping(3))
          yield* subscription.unsubscribe
          const losses = yield* Fiber.join(reader)
          const { dropped } = yield* subscription.snapshot
          assert.strictEqual(dropped, 2)
          assert.strictEqual(losses.reduce((sum, loss) => sum + loss.dropped, 0), 2)
        })
      )))

    it.effect(`${overflow}: losses tell each reader of all, though another one leaves`, () =>
      everySchedule(onBus(({ bus, subscribe }) =>
        Effect.gen(function*() {
          const subscription = yield* subscribe({ bufferSize: 1, overflow })
          const leaving = yield* Effect.forkChild(Stream.runDrain(subscription.losses))
          const staying = yield* Effect.forkChild(Stream.runCollect(Stream.take(subscription.losses, 1)))
          yield* bus.publishAll([ping(1), ping(2)])
          yield* Fiber.interrupt(leaving)
          assert.deepStrictEqual((yield* Fiber.join(staying)).map(({ dropped }) => dropped), [1])
        })
      )))
  }
})

describe("coming while others publish", () => {
  it.effect("a newcomer sees events from where it joined", () =>
    everySchedule(onBus(({ bus, subscribe }) =>
      Effect.gen(function*() {
        const publisher = yield* Effect.forkChild(
          Effect.forEach([1, 2, 3], (n) => Effect.andThen(Effect.yieldNow, bus.publish(ping(n))), { discard: true })
        )
        const newcomer = yield* Effect.forkChild(subscribe())
        const subscription = yield* Fiber.join(newcomer)
        yield* Fiber.join(publisher)
        const seen = numbers(yield* subscription.takeUpTo(5))
        assert.deepStrictEqual(seen, [1, 2, 3].slice(3 - seen.length))
        assert.strictEqual((yield* bus.metrics).noSubscribersCount, 3 - seen.length)
      })
    )))

  it.effect("a newcomer with replay misses nothing, and sees nothing twice", () =>
    everySchedule(onBus(({ bus, subscribe }) =>
      Effect.gen(function*() {
        const publisher = yield* Effect.forkChild(
          Effect.forEach([1, 2, 3], (n) => Effect.andThen(Effect.yieldNow, bus.publish(ping(n))), { discard: true })
        )
        const newcomer = yield* Effect.forkChild(subscribe({ replay: 3 }))
        const subscription = yield* Fiber.join(newcomer)
        yield* Fiber.join(publisher)
        assert.deepStrictEqual(numbers(yield* subscription.takeUpTo(5)), [1, 2, 3])
      }), { replay: 3 })))

  it.effect("replayed events of two kinds come in the order in which they were published", () =>
    everySchedule(onBus(({ bus, subscribe }) =>
      Effect.gen(function*() {
        const all = yield* subscribe()
        yield* together(bus.publish(ping(1)), bus.publish(pong(2)), bus.publish(ping(3)))
        const late = yield* subscribe({ replay: 3 })
        assert.deepStrictEqual(numbers(yield* late.takeUpTo(5)), numbers(yield* all.takeUpTo(5)))
      }), { replay: 3 })))

  it.effect("a publisher and its first subscriber agree on who was there", () =>
    everySchedule(onBus(({ bus, subscribe }) =>
      Effect.gen(function*() {
        const publisher = yield* Effect.forkChild(bus.publish(ping(1)))
        const subscription = yield* Fiber.join(yield* Effect.forkChild(subscribe()))
        yield* Fiber.join(publisher)
        const { noSubscribersCount } = yield* bus.metrics
        assert.strictEqual(noSubscribersCount + (yield* subscription.snapshot).pending, 1)
      })
    )))
})

// A fiber may be interrupted after it took something and before it did anything with it. What it did not take is for others.
describe("interrupted takers leave to others what they have not taken", () => {
  it.effect("take", () =>
    everySchedule(onBus(({ bus, subscribe }) =>
      Effect.gen(function*() {
        const subscription = yield* subscribe()
        const taker = yield* Effect.forkChild(subscription.take)
        const publisher = yield* Effect.forkChild(bus.publish(ping(1)))
        yield* Fiber.interrupt(taker)
        yield* Fiber.join(publisher)
        const { pending, taken } = yield* subscription.snapshot
        assert.strictEqual(pending + taken, 1)
        if (Exit.isSuccess(yield* Fiber.await(taker))) assert.strictEqual(taken, 1)
      })
    )))

  for (const what of ["take", "takeAll"] as const) {
    it.effect(`${what}, while another waits`, () =>
      everySchedule(onBus(({ bus, subscribe }) =>
        Effect.gen(function*() {
          const subscription = yield* subscribe()
          const first = yield* Effect.forkChild(subscription[what])
          const second = yield* Effect.forkChild(subscription.take)
          const publisher = yield* Effect.forkChild(bus.publish(ping(1)))
          yield* Fiber.interrupt(first)
          yield* Fiber.join(publisher)
          if ((yield* subscription.snapshot).taken === 1) yield* bus.publish(ping(2))
          yield* Fiber.join(second)
        })
      )))
  }

  it.effect("takeBetween, while a take waits behind it", () =>
    everySchedule(onBus(({ bus, subscribe }) =>
      Effect.gen(function*() {
        const subscription = yield* subscribe()
        const many = yield* Effect.forkChild(subscription.takeBetween(2, 2))
        const one = yield* Effect.forkChild(subscription.take)
        yield* Effect.yieldNow
        yield* bus.publish(ping(1))
        yield* Fiber.interrupt(many)
        assert.strictEqual((yield* Fiber.join(one)).n, 1)
      })
    )))

  it.effect("a take that has a time-out", () =>
    everySchedule(
      onBus(({ bus, subscribe }) =>
        Effect.gen(function*() {
          const subscription = yield* subscribe()
          const taker = yield* Effect.forkChild(Effect.timeoutOption(subscription.take, "1 second"))
          yield* Effect.sleep("1 second")
          yield* bus.publish(ping(1))
          const taken = yield* Fiber.join(taker)
          const { pending } = yield* subscription.snapshot
          if (Option.isSome(taken)) assert.strictEqual(pending, 0)
          assert.strictEqual(pending + (yield* subscription.snapshot).taken, 1)
        })
      ),
      { time: "anytime" }
    ))

  it.effect("a stream, whose next reader goes on", () =>
    everySchedule(onBus(({ bus, subscribe }) =>
      Effect.gen(function*() {
        const subscription = yield* subscribe()
        const seen: Array<number> = []
        const reader = yield* Effect.forkChild(
          Stream.runForEach(subscription.stream, ({ n }) => Effect.sync(() => seen.push(n)))
        )
        yield* bus.publish(ping(1))
        yield* Fiber.interrupt(reader)
        const { taken } = yield* subscription.snapshot
        yield* bus.publish(ping(2))
        const rest = numbers(yield* subscription.takeUpTo(5))
        assert.deepStrictEqual(rest, taken === 0 ? [1, 2] : [2])
      })
    )))
})
