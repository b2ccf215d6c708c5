import { blue, green, red } from "../events.ts"
import { begin, came, forEachPolicy, holds, makeBus, publishEach, situation, subscribedToRed, topic } from "../stage.ts"

export const kinds = topic(
  "Kinds",
  situation("a flood of one kind drops no event of a subscription to another", ["dropping"], function*() {
    const { bus, subscription } = yield* subscribedToRed({ bufferSize: 2, overflow: "dropping" })
    yield* publishEach(bus, [green(1), green(2), green(3), red(4), green(5), blue(6), red(7)])
    yield* holds(subscription, [red(4), red(7)])
  }),
  situation("a flood of one kind evicts no event of a subscription to another", ["sliding"], function*() {
    const { bus, subscription } = yield* subscribedToRed({ bufferSize: 2, overflow: "sliding" })
    yield* publishEach(bus, [red(1), red(2), green(3), green(4), green(5), blue(6)])
    yield* holds(subscription, [red(1), red(2)])
  }),
  ...forEachPolicy((overflow) =>
    situation(`the kinds of a ${overflow} subscription share its one buffer`, [overflow], function*() {
      const bus = yield* makeBus({ bufferSize: 3, overflow })
      const subscription = yield* bus.subscribe({ kinds: ["Red", "Green"] })
      yield* publishEach(bus, [red(1), green(2), red(3), green(4), red(5)])
      yield* holds(
        subscription,
        overflow === "dropping" ? [red(1), green(2), red(3)] : [red(3), green(4), red(5)]
      )
    })
  ),
  situation("a taker is not woken by another kind", [], function*() {
    const { bus, subscription } = yield* subscribedToRed()
    const taker = yield* begin(subscription.takeAll)
    yield* publishEach(bus, [green(1), blue(2)])
    yield* came(taker, "waits")
    yield* bus.publish(red(3))
    yield* came(taker, [red(3)])
  }),
  situation("the kinds of a subscription may be named in any order", [], function*() {
    const bus = yield* makeBus()
    const one = yield* bus.subscribe({ kinds: ["Red", "Blue"], name: "subscription to red and blue" })
    const other = yield* bus.subscribe({ kinds: ["Blue", "Red"], name: "subscription to blue and red" })
    yield* publishEach(bus, [blue(1), green(2), red(3)])
    yield* one.unsubscribe
    yield* bus.publish(blue(4))
    yield* holds(other, [blue(1), red(3), blue(4)])
  }),
  situation("the last subscription to a kind that leaves takes no other kind with it", [], function*() {
    const bus = yield* makeBus()
    const leaving = yield* bus.subscribe({ kinds: ["Red", "Green"] })
    const staying = yield* bus.subscribe({ kinds: ["Green", "Blue"] })
    yield* leaving.unsubscribe
    yield* publishEach(bus, [red(1), green(2), blue(3)])
    yield* holds(staying, [green(2), blue(3)])
  })
)
