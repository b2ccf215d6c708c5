import { blue, green, red, reds } from "../events.ts"
import { expect, gives, holds, makeBus, publishEach, settle, situation, topic } from "../stage.ts"

export const replay = topic(
  "Replay",
  situation("a subscription that asks for the last events has them first, in order", ["replay"], function*() {
    const bus = yield* makeBus({ replay: 3 })
    yield* publishEach(bus, reds(1, 5))
    yield* settle
    const subscription = yield* bus.subscribe({ kinds: ["Red"], replay: 3 })
    yield* bus.publish(red(6))
    yield* holds(subscription, reds(3, 6))
  }),
  situation("a subscription may ask for fewer than the bus keeps, and gets the newest", ["replay"], function*() {
    const bus = yield* makeBus({ replay: 5 })
    yield* publishEach(bus, reds(1, 5))
    yield* settle
    yield* holds(yield* bus.subscribe({ kinds: ["Red"], replay: 2 }), reds(4, 5))
  }),
  situation("a subscription that does not ask for the last events has none of them", ["replay"], function*() {
    const bus = yield* makeBus({ replay: 3 })
    yield* publishEach(bus, reds(1, 3))
    yield* settle
    yield* holds(yield* bus.subscribe({ kinds: ["Red"] }), [])
  }),
  situation("what was not published is not replayed", ["replay"], function*() {
    const bus = yield* makeBus({ replay: 5 })
    yield* publishEach(bus, reds(1, 2))
    yield* settle
    yield* holds(yield* bus.subscribe({ kinds: ["Red"], replay: 5 }), reds(1, 2))
  }),
  situation("a flood of one kind leaves the last events of another to be replayed", ["replay"], function*() {
    const bus = yield* makeBus({ replay: 2 })
    yield* publishEach(bus, [red(1), red(2), green(3), green(4), green(5), green(6)])
    yield* settle
    yield* holds(yield* bus.subscribe({ kinds: ["Red"], replay: 2 }), reds(1, 2))
  }),
  situation(
    "the last events of several kinds are replayed in the order in which they were published",
    ["replay"],
    function*() {
      const bus = yield* makeBus({ replay: 3 })
      yield* publishEach(bus, [red(1), green(2), blue(3), red(4), green(5), blue(6)])
      yield* settle
      yield* holds(yield* bus.subscribe({ kinds: ["Green", "Red"], replay: 3 }), [green(2), red(4), green(5)])
    }
  ),
  situation("replayed events fill the buffer as others do", ["replay", "dropping"], function*() {
    const bus = yield* makeBus({ bufferSize: 3, overflow: "dropping", replay: 2 })
    yield* publishEach(bus, reds(1, 2))
    yield* settle
    const subscription = yield* bus.subscribe({ kinds: ["Red"], replay: 2 })
    yield* publishEach(bus, reds(3, 4))
    yield* holds(subscription, reds(1, 3))
  }),
  situation("replayed events are evicted as others are", ["replay", "sliding"], function*() {
    const bus = yield* makeBus({ bufferSize: 3, overflow: "sliding", replay: 2 })
    yield* publishEach(bus, reds(1, 2))
    yield* settle
    const subscription = yield* bus.subscribe({ kinds: ["Red"], replay: 2 })
    yield* publishEach(bus, reds(3, 5))
    yield* holds(subscription, reds(3, 5))
  }),
  situation(
    "replayed events are offered and delivered, but not published again",
    ["replay", "counters", "metrics"],
    function*() {
      const bus = yield* makeBus({ replay: 2 })
      yield* publishEach(bus, reds(1, 3))
      yield* settle
      const subscription = yield* bus.subscribe({ kinds: ["Red"], replay: 2 })
      yield* subscription.counts({ offered: 2, delivered: 2, pending: 2 })
      const { deliveredCount, publishedCount } = yield* bus.metrics
      yield* expect("published and delivered", [publishedCount, deliveredCount], [3, 2])
    }
  ),
  situation("nothing is replayed to a subscription made after shutdown", ["replay"], function*() {
    const bus = yield* makeBus({ replay: 2 })
    yield* publishEach(bus, reds(1, 2))
    yield* bus.shutdown
    yield* settle
    yield* gives((yield* bus.subscribe({ kinds: ["Red"], replay: 2 })).take, "is done")
  })
)
