import { blue, green, red, reds } from "../events.ts"
import {
  begin,
  came,
  expect,
  gives,
  lawful,
  makeBus,
  publishEach,
  settle,
  situation,
  subscribedToRed,
  topic
} from "../stage.ts"

export const counters = topic(
  "Counters",
  situation("a dropping subscription counts what it dropped, exactly", ["counters", "dropping"], function*() {
    const { bus, subscription } = yield* subscribedToRed({ bufferSize: 3, overflow: "dropping" })
    yield* publishEach(bus, reds(1, 5))
    yield* subscription.counts({ offered: 5, delivered: 3, dropped: 2, taken: 0, pending: 3 })
    yield* gives(subscription.takeUpTo(2), reds(1, 2))
    yield* publishEach(bus, reds(6, 9))
    yield* subscription.counts({ offered: 9, delivered: 5, dropped: 4, taken: 2, pending: 3 })
    yield* gives(subscription.takeAll, [red(3), red(6), red(7)])
    yield* subscription.counts({ offered: 9, delivered: 5, dropped: 4, taken: 5, pending: 0 })
  }),
  situation(
    "a sliding subscription counts what it evicted as dropped, not as delivered",
    ["counters", "sliding"],
    function*() {
      const { bus, subscription } = yield* subscribedToRed({ bufferSize: 3, overflow: "sliding" })
      yield* publishEach(bus, reds(1, 5))
      yield* subscription.counts({ offered: 5, delivered: 3, dropped: 2, taken: 0, pending: 3 })
      yield* gives(subscription.takeUpTo(2), reds(3, 4))
      yield* publishEach(bus, reds(6, 9))
      yield* subscription.counts({ offered: 9, delivered: 5, dropped: 4, taken: 2, pending: 3 })
      yield* gives(subscription.takeAll, reds(7, 9))
      yield* subscription.counts({ offered: 9, delivered: 5, dropped: 4, taken: 5, pending: 0 })
    }
  ),
  situation("counters do not depend on when they are read", ["counters", "dropping"], function*() {
    const bus = yield* makeBus({ bufferSize: 2, overflow: "dropping" })
    const watched = yield* bus.subscribe({ kinds: ["Red"], name: "watched subscription" })
    const unwatched = yield* bus.subscribe({ kinds: ["Red"], name: "unwatched subscription" })
    for (const event of reds(1, 10)) {
      yield* bus.publish(event)
      yield* watched.counts({ offered: event.n, pending: Math.min(event.n, 2) })
    }
    yield* watched.counts({ offered: 10, delivered: 2, dropped: 8 })
    yield* unwatched.counts({ offered: 10, delivered: 2, dropped: 8 })
  }),
  situation(
    "an event is pending until the wake-up of the taker that waits for it has run",
    ["counters", "synchronous"],
    function*() {
      const { bus, subscription } = yield* subscribedToRed()
      const taker = yield* begin(subscription.take)
      yield* bus.publish(red(1))
      const before = yield* subscription.snapshot
      yield* lawful("the subscription", before)
      yield* expect("pending and taken", [before.pending, before.taken], [1, 0])
      yield* came(taker, red(1))
      yield* subscription.counts({ pending: 0, taken: 1 })
    }
  ),
  situation("events of other kinds are not offered", ["counters"], function*() {
    const { bus, subscription } = yield* subscribedToRed({ bufferSize: 1 })
    const none = yield* bus.subscribe({ kinds: [], name: "subscription to no kinds" })
    yield* publishEach(bus, [green(1), red(2), blue(3), green(4)])
    yield* subscription.counts({ offered: 1, delivered: 1, dropped: 0 })
    yield* none.counts({ offered: 0, delivered: 0, dropped: 0 })
  }),
  situation("a subscription is open, draining after shutdown, and closed when it is empty", ["counters"], function*() {
    const { bus, subscription } = yield* subscribedToRed()
    const empty = yield* bus.subscribe({ kinds: ["Green"], name: "empty subscription" })
    yield* bus.publish(red(1))
    yield* subscription.counts({ state: "open" })
    yield* bus.shutdown
    yield* subscription.counts({ state: "draining", pending: 1 })
    yield* empty.counts({ state: "closed" })
    yield* gives(subscription.take, red(1))
    yield* subscription.counts({ state: "closed", taken: 1, discarded: 0 })
  }),
  situation("after shutdown nothing is counted", ["counters", "metrics"], function*() {
    const { bus, subscription } = yield* subscribedToRed()
    yield* bus.publish(red(1))
    yield* bus.shutdown
    yield* publishEach(bus, [red(2), green(3)])
    yield* subscription.counts({ offered: 1 })
    const { noSubscribersCount, publishedCount } = yield* bus.metrics
    yield* expect("published, and to nobody", [publishedCount, noSubscribersCount], [1, 0])
  }),
  situation("a bus counts an event once, however many subscriptions it has", ["metrics"], function*() {
    const bus = yield* makeBus()
    yield* bus.subscribe({ kinds: ["Red"] })
    yield* bus.subscribe({ kinds: ["Red", "Green"] })
    yield* bus.publishAll([red(1), green(2)])
    yield* settle
    const { deliveredCount, publishedCount } = yield* bus.metrics
    yield* expect("published and delivered", [publishedCount, deliveredCount], [2, 3])
  }),
  situation("a bus counts the events that matched no subscription", ["metrics"], function*() {
    const { bus, subscription } = yield* subscribedToRed()
    yield* publishEach(bus, [red(1), green(2), blue(3)])
    yield* settle
    yield* subscription.unsubscribe
    yield* bus.publish(red(4))
    yield* settle
    const { noSubscribersCount, publishedCount } = yield* bus.metrics
    yield* expect("published, and to nobody", [publishedCount, noSubscribersCount], [4, 3])
  }),
  situation("a bus sums over all subscriptions that ever were", ["metrics", "dropping"], function*() {
    const bus = yield* makeBus({ bufferSize: 2, overflow: "dropping" })
    const leaving = yield* bus.subscribe({ kinds: ["Red"] })
    yield* bus.subscribe({ kinds: ["Red"] })
    yield* publishEach(bus, reds(1, 3))
    yield* settle
    yield* leaving.unsubscribe
    yield* bus.publish(red(4))
    yield* settle
    const { deliveredCount, droppedCount } = yield* bus.metrics
    yield* expect("delivered and dropped", [deliveredCount, droppedCount], [4, 3])
  })
)
