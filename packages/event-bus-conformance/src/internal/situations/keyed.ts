import { blue, green, red } from "../events.ts"
import { begin, came, expect, forEachPolicy, holds, makeBus, publishEach, settle, situation, topic } from "../stage.ts"

export const keyed = topic(
  "Keyed",
  situation("a keyed subscription has the events of its kinds that have its value", ["where"], function*() {
    const bus = yield* makeBus()
    const subscription = yield* bus.subscribe({ kinds: ["Red", "Green"], where: { n: 2 } })
    yield* publishEach(bus, [red(1), red(2), green(1), blue(2), green(2), red(3), red(2)])
    yield* holds(subscription, [red(2), green(2), red(2)])
  }),
  ...forEachPolicy((overflow) =>
    situation(
      `a flood of other values costs a ${overflow} keyed subscription no event`,
      ["where", overflow],
      function*() {
        const bus = yield* makeBus({ bufferSize: 2, overflow })
        const subscription = yield* bus.subscribe({ kinds: ["Red"], where: { n: 1 } })
        yield* publishEach(bus, [red(1), red(2), red(3), red(2), red(1), red(3)])
        yield* holds(subscription, [red(1), red(1)])
      }
    )
  ),
  situation("keyed subscriptions with one value have a buffer each", ["where", "buffers", "dropping"], function*() {
    const bus = yield* makeBus()
    const small = yield* bus.subscribe({ kinds: ["Red"], where: { n: 1 }, bufferSize: 1, name: "small" })
    const large = yield* bus.subscribe({ kinds: ["Red"], where: { n: 1 }, bufferSize: 2, name: "large" })
    yield* publishEach(bus, [red(1), red(1)])
    yield* holds(small, [red(1)])
    yield* holds(large, [red(1), red(1)])
  }),
  situation("a taker of a keyed subscription is not woken by another value", ["where"], function*() {
    const bus = yield* makeBus()
    const subscription = yield* bus.subscribe({ kinds: ["Red"], where: { n: 3 } })
    const taker = yield* begin(subscription.takeAll)
    yield* publishEach(bus, [red(1), green(3)])
    yield* came(taker, "waits")
    yield* bus.publish(red(3))
    yield* came(taker, [red(3)])
  }),
  situation("a keyed subscription that leaves takes nothing from those beside it", ["where"], function*() {
    const bus = yield* makeBus()
    const leaving = yield* bus.subscribe({ kinds: ["Red"], where: { n: 1 } })
    const same = yield* bus.subscribe({ kinds: ["Red"], where: { n: 1 }, name: "the one with the same value" })
    const other = yield* bus.subscribe({ kinds: ["Red"], where: { n: 2 }, name: "the one with another value" })
    const all = yield* bus.subscribe({ kinds: ["Red"], name: "the one to all values" })
    yield* leaving.unsubscribe
    yield* publishEach(bus, [red(1), red(2)])
    yield* holds(same, [red(1)])
    yield* holds(other, [red(2)])
    yield* holds(all, [red(1), red(2)])
  }),
  situation(
    "an event that no keyed subscription matches counts as one that matched no subscription",
    ["where", "metrics", "counters"],
    function*() {
      const bus = yield* makeBus()
      const subscription = yield* bus.subscribe({ kinds: ["Red"], where: { n: 1 } })
      yield* publishEach(bus, [red(1), red(2), red(3)])
      yield* subscription.counts({ offered: 1, delivered: 1, pending: 1 })
      const { deliveredCount, noSubscribersCount } = yield* bus.metrics
      yield* expect("delivered and without a subscription", [deliveredCount, noSubscribersCount], [1, 2])
    }
  ),
  situation("a keyed subscription is replayed the last events that match", ["where", "replay"], function*() {
    const bus = yield* makeBus({ replay: 3 })
    yield* publishEach(bus, [red(1), red(1), red(2), red(1)])
    yield* settle
    yield* holds(yield* bus.subscribe({ kinds: ["Red"], where: { n: 1 }, replay: 3 }), [red(1), red(1)])
  })
)
