import { red, reds } from "../events.ts"
import {
  begin,
  came,
  forEachPolicy,
  gives,
  holds,
  makeBus,
  publishEach,
  settle,
  situation,
  subscribedToRed,
  topic
} from "../stage.ts"

export const lag = topic(
  "Lag and recovery",
  situation("a full dropping buffer keeps the oldest events and loses the newest", ["dropping"], function*() {
    const { bus, subscription } = yield* subscribedToRed({ bufferSize: 4, overflow: "dropping" })
    yield* publishEach(bus, reds(1, 6))
    yield* holds(subscription, reds(1, 4))
  }),
  situation("a full sliding buffer keeps the newest events and loses the oldest", ["sliding"], function*() {
    const { bus, subscription } = yield* subscribedToRed({ bufferSize: 4, overflow: "sliding" })
    yield* publishEach(bus, reds(1, 6))
    yield* holds(subscription, reds(3, 6))
  }),
  ...forEachPolicy((overflow) =>
    situation(`a ${overflow} buffer that is exactly full has lost nothing`, [overflow], function*() {
      const { bus, subscription } = yield* subscribedToRed({ bufferSize: 4, overflow })
      yield* publishEach(bus, reds(1, 4))
      yield* holds(subscription, reds(1, 4))
    })
  ),
  situation("a single-slot dropping buffer keeps the first event", ["dropping"], function*() {
    const { bus, subscription } = yield* subscribedToRed({ bufferSize: 1, overflow: "dropping" })
    yield* publishEach(bus, reds(1, 3))
    yield* holds(subscription, [red(1)])
    yield* bus.publish(red(4))
    yield* holds(subscription, [red(4)])
  }),
  situation("a single-slot sliding buffer keeps the last event", ["sliding"], function*() {
    const { bus, subscription } = yield* subscribedToRed({ bufferSize: 1, overflow: "sliding" })
    yield* publishEach(bus, reds(1, 3))
    yield* holds(subscription, [red(3)])
    yield* bus.publish(red(4))
    yield* holds(subscription, [red(4)])
  }),
  situation("a single slot that is emptied in time loses nothing", [], function*() {
    const { bus, subscription } = yield* subscribedToRed({ bufferSize: 1 })
    for (const event of reds(1, 5)) {
      yield* bus.publish(event)
      yield* settle
      yield* gives(subscription.take, event)
    }
  }),
  situation("one take makes room for one event in a full dropping buffer", ["dropping"], function*() {
    const { bus, subscription } = yield* subscribedToRed({ bufferSize: 3, overflow: "dropping" })
    yield* publishEach(bus, reds(1, 3))
    yield* settle
    yield* gives(subscription.take, red(1))
    yield* publishEach(bus, reds(4, 5))
    yield* holds(subscription, [red(2), red(3), red(4)])
  }),
  situation("one take saves one event of a full sliding buffer", ["sliding"], function*() {
    const { bus, subscription } = yield* subscribedToRed({ bufferSize: 3, overflow: "sliding" })
    yield* publishEach(bus, reds(1, 3))
    yield* settle
    yield* gives(subscription.take, red(1))
    yield* bus.publish(red(4))
    yield* settle
    yield* gives(subscription.take, red(2))
    yield* publishEach(bus, reds(5, 6))
    yield* holds(subscription, reds(4, 6))
  }),
  situation("a dropping buffer that overflows twice keeps the oldest of each time", ["dropping"], function*() {
    const { bus, subscription } = yield* subscribedToRed({ bufferSize: 4, overflow: "dropping" })
    yield* publishEach(bus, reds(1, 6))
    yield* settle
    yield* gives(subscription.takeUpTo(2), reds(1, 2))
    yield* publishEach(bus, reds(7, 9))
    yield* holds(subscription, [red(3), red(4), red(7), red(8)])
  }),
  situation("a sliding buffer that overflows twice keeps the newest", ["sliding"], function*() {
    const { bus, subscription } = yield* subscribedToRed({ bufferSize: 4, overflow: "sliding" })
    yield* publishEach(bus, reds(1, 6))
    yield* settle
    yield* gives(subscription.takeUpTo(2), reds(3, 4))
    yield* publishEach(bus, reds(7, 9))
    yield* holds(subscription, reds(6, 9))
  }),
  ...forEachPolicy((overflow) =>
    situation(
      `a subscription that lagged (${overflow}) misses nothing once it keeps up again`,
      [overflow],
      function*() {
        const { bus, subscription } = yield* subscribedToRed({ bufferSize: 2, overflow })
        for (let round = 0; round < 3; round++) {
          const n = 100 * round
          yield* publishEach(bus, reds(n + 1, n + 50))
          yield* holds(subscription, overflow === "dropping" ? reds(n + 1, n + 2) : reds(n + 49, n + 50))
          for (const event of reds(n + 51, n + 60)) {
            yield* bus.publish(event)
            yield* holds(subscription, [event])
          }
        }
      }
    )
  ),
  ...forEachPolicy((overflow) =>
    situation(
      `${overflow} buffers of sizes that are not powers of two hold what they say`,
      [overflow],
      function*() {
        for (const bufferSize of [3, 5, 6, 7, 100]) {
          const bus = yield* makeBus({ bufferSize, overflow })
          const subscription = yield* bus.subscribe({ kinds: ["Red"], name: `buffer of ${bufferSize}` })
          yield* publishEach(bus, reds(1, bufferSize + 2))
          yield* settle
          const first = overflow === "dropping" ? 1 : 3
          yield* gives(subscription.takeUpTo(2), reds(first, first + 1))
          yield* publishEach(bus, reds(1001, 1002))
          yield* holds(subscription, [...reds(first + 2, first + bufferSize - 1), ...reds(1001, 1002)])
        }
      }
    )
  ),
  ...forEachPolicy((overflow) =>
    situation(
      `publishAll of more than a ${overflow} buffer holds does what publishing each would`,
      [overflow],
      function*() {
        const { bus, subscription } = yield* subscribedToRed({ bufferSize: 3, overflow })
        yield* bus.publish(red(1))
        yield* bus.publishAll(reds(2, 8))
        yield* holds(subscription, overflow === "dropping" ? reds(1, 3) : reds(6, 8))
      }
    )
  ),
  situation("publishUnsafe to a full sliding buffer evicts the oldest event, as publish does", [
    "publishUnsafe",
    "sliding"
  ], function*() {
    const { bus, subscription } = yield* subscribedToRed({ bufferSize: 2, overflow: "sliding" })
    for (const event of reds(1, 4)) bus.publishUnsafe(event)
    yield* holds(subscription, reds(3, 4))
  }),
  ...forEachPolicy((overflow) =>
    situation(
      `a flood of thousands into a ${overflow} buffer nobody reads keeps what fewer would`,
      [overflow],
      function*() {
        const { bus, subscription } = yield* subscribedToRed({ bufferSize: 5, overflow })
        yield* publishEach(bus, reds(1, 5000))
        yield* holds(subscription, overflow === "dropping" ? reds(1, 5) : reds(4996, 5000))
        yield* publishEach(bus, reds(5001, 5003))
        yield* holds(subscription, reds(5001, 5003))
      }
    )
  ),
  situation(
    "a taker that waits makes no room: what comes before it wakes is dropped",
    ["dropping", "synchronous"],
    function*() {
      const { bus, subscription } = yield* subscribedToRed({ bufferSize: 1, overflow: "dropping" })
      const taker = yield* begin(subscription.take)
      yield* bus.publish(red(1))
      yield* bus.publish(red(2))
      yield* came(taker, red(1))
      yield* holds(subscription, [])
    }
  ),
  situation(
    "a taker that waits saves nothing: what is evicted before it wakes is not its",
    ["sliding", "synchronous"],
    function*() {
      const { bus, subscription } = yield* subscribedToRed({ bufferSize: 1, overflow: "sliding" })
      const taker = yield* begin(subscription.take)
      yield* bus.publish(red(1))
      yield* bus.publish(red(2))
      yield* came(taker, red(2))
      yield* holds(subscription, [])
    }
  ),
  situation(
    "a subscription may have a larger and a smaller buffer than the bus's",
    ["buffers", "dropping"],
    function*() {
      const bus = yield* makeBus({ bufferSize: 3, overflow: "dropping" })
      const small = yield* bus.subscribe({ kinds: ["Red"], bufferSize: 2, name: "small buffer" })
      const usual = yield* bus.subscribe({ kinds: ["Red"], name: "usual buffer" })
      const large = yield* bus.subscribe({ kinds: ["Red"], bufferSize: 5, name: "large buffer" })
      yield* publishEach(bus, reds(1, 6))
      yield* holds(small, reds(1, 2))
      yield* holds(usual, reds(1, 3))
      yield* holds(large, reds(1, 5))
    }
  ),
  situation("dropping and sliding subscriptions live side by side", ["buffers", "dropping", "sliding"], function*() {
    const bus = yield* makeBus({ bufferSize: 3 })
    const dropping = yield* bus.subscribe({ kinds: ["Red"], overflow: "dropping", name: "dropping subscription" })
    const sliding = yield* bus.subscribe({ kinds: ["Red"], overflow: "sliding", name: "sliding subscription" })
    yield* publishEach(bus, reds(1, 5))
    yield* holds(dropping, reds(1, 3))
    yield* holds(sliding, reds(3, 5))
  })
)
