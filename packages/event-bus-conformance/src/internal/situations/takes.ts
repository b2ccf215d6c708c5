import { Effect, Fiber, Latch, Stream } from "effect"
import { type Event, red, reds } from "../events.ts"
import {
  begin,
  came,
  collect,
  eventsOf,
  expect,
  gives,
  holds,
  publishEach,
  settle,
  situation,
  subscribedToRed,
  topic
} from "../stage.ts"

export const takes = topic(
  "Takes",
  situation("take waits for an event", [], function*() {
    const { bus, subscription } = yield* subscribedToRed()
    const taker = yield* begin(subscription.take)
    yield* came(taker, "waits")
    yield* bus.publish(red(1))
    yield* came(taker, red(1))
  }),
  situation("takeAll takes all that is pending", [], function*() {
    const { bus, subscription } = yield* subscribedToRed()
    yield* publishEach(bus, reds(1, 300))
    yield* settle
    yield* gives(subscription.takeAll, reds(1, 300))
    yield* holds(subscription, [])
  }),
  situation("takeAll waits for one event, not for a second", [], function*() {
    const { bus, subscription } = yield* subscribedToRed()
    const taker = yield* begin(subscription.takeAll)
    yield* came(taker, "waits")
    yield* bus.publish(red(1))
    yield* came(taker, [red(1)])
  }),
  situation("a takeAll that waits gets all that came before it woke", ["synchronous"], function*() {
    const { bus, subscription } = yield* subscribedToRed()
    const taker = yield* begin(subscription.takeAll)
    yield* publishEach(bus, reds(1, 3))
    yield* came(taker, reds(1, 3))
  }),
  situation("takeUpTo takes no more than it is asked to, and never waits", [], function*() {
    const { bus, subscription } = yield* subscribedToRed()
    yield* gives(subscription.takeUpTo(3), [])
    yield* publishEach(bus, reds(1, 5))
    yield* settle
    yield* gives(subscription.takeUpTo(3), reds(1, 3))
    yield* gives(subscription.takeUpTo(3), reds(4, 5))
    yield* gives(subscription.takeUpTo(3), [])
  }),
  situation("takeUpTo none takes none", [], function*() {
    const { bus, subscription } = yield* subscribedToRed()
    yield* bus.publish(red(1))
    yield* settle
    yield* gives(subscription.takeUpTo(0), [])
    yield* holds(subscription, [red(1)])
  }),
  situation("what was published can be taken when publish returns", ["synchronous"], function*() {
    const { bus, subscription } = yield* subscribedToRed()
    for (const event of reds(1, 3)) {
      yield* bus.publish(event)
      const found = yield* Effect.orDie(subscription.takeUpTo(10).effect)
      yield* expect("takeUpTo(10)", found, [event])
    }
  }),
  situation("takeBetween waits until it has the least it wants", [], function*() {
    const { bus, subscription } = yield* subscribedToRed()
    yield* bus.publish(red(1))
    yield* settle
    const taker = yield* begin(subscription.takeBetween(3, 5))
    yield* came(taker, "waits")
    yield* bus.publish(red(2))
    yield* came(taker, "waits")
    yield* bus.publish(red(3))
    yield* came(taker, reds(1, 3))
  }),
  situation("takeBetween takes what is there, up to the most it wants", [], function*() {
    const { bus, subscription } = yield* subscribedToRed()
    yield* publishEach(bus, reds(1, 7))
    yield* settle
    yield* gives(subscription.takeBetween(1, 5), reds(1, 5))
    yield* gives(subscription.takeBetween(1, 5), reds(6, 7))
  }),
  situation("takeBetween none and some never waits", [], function*() {
    const { bus, subscription } = yield* subscribedToRed()
    yield* gives(subscription.takeBetween(0, 2), [])
    yield* publishEach(bus, reds(1, 3))
    yield* settle
    yield* gives(subscription.takeBetween(0, 2), reds(1, 2))
  }),
  situation("takeBetween may want more than the buffer holds", [], function*() {
    const { bus, subscription } = yield* subscribedToRed({ bufferSize: 2 })
    const taker = yield* begin(subscription.takeBetween(5, 5))
    for (const event of reds(1, 5)) {
      yield* came(taker, "waits")
      yield* bus.publish(event)
    }
    yield* came(taker, reds(1, 5))
  }),
  situation("interrupting a takeBetween that waits for more loses nothing", [], function*() {
    const { bus, subscription } = yield* subscribedToRed()
    const taker = yield* begin(subscription.takeBetween(3, 5))
    for (const event of reds(1, 2)) {
      yield* bus.publish(event)
      yield* came(taker, "waits")
    }
    yield* Fiber.interrupt(taker.fiber)
    yield* holds(subscription, reds(1, 2))
  }),
  situation("a take that waits behind a takeBetween gets what is there once that is interrupted", [], function*() {
    const { bus, subscription } = yield* subscribedToRed()
    const first = yield* begin(subscription.takeBetween(2, 2))
    const second = yield* begin(subscription.take)
    const third = yield* begin(subscription.take)
    yield* bus.publish(red(1))
    yield* settle
    yield* Fiber.interrupt(first.fiber)
    yield* settle
    // Which of them waits in front is not promised; that one is served is.
    yield* expect("what both takes have", [...eventsOf(second), ...eventsOf(third)], [red(1)])
  }),
  situation("takers of one subscription share its events, each goes to one", [], function*() {
    const { bus, subscription } = yield* subscribedToRed()
    const one = yield* collect(subscription.stream)
    const other = yield* collect(subscription.stream)
    for (const event of reds(1, 20)) {
      yield* bus.publish(event)
      yield* settle
    }
    const found = [...one.found, ...other.found].toSorted((a, b) => a.n - b.n)
    yield* expect("both streams together", found, reds(1, 20))
  }),
  situation("a stream brings what comes while its consumer is busy", [], function*() {
    const { bus, subscription } = yield* subscribedToRed()
    const gate = yield* Latch.make()
    const found: Array<Event> = []
    yield* Effect.forkChild(
      Stream.runForEach(
        subscription.stream,
        (event) => Effect.andThen(Effect.sync(() => found.push(event)), gate.await)
      )
    )
    yield* settle
    yield* bus.publish(red(1))
    yield* settle
    yield* publishEach(bus, reds(2, 4))
    yield* settle
    yield* expect("the busy consumer", found, [red(1)])
    yield* gate.open
    yield* settle
    yield* expect("the consumer", found, reds(1, 4))
  })
)
