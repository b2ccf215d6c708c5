import { blue, green, red, reds } from "../events.ts"
import {
  begin,
  came,
  collect,
  expect,
  gives,
  holds,
  makeBus,
  publishEach,
  settle,
  situation,
  subscribedToRed,
  topic
} from "../stage.ts"

export const delivery = topic(
  "Delivery",
  situation("an event reaches every subscription to its kind", [], function*() {
    const bus = yield* makeBus()
    const first = yield* bus.subscribe({ kinds: ["Red"], name: "first subscription" })
    const second = yield* bus.subscribe({ kinds: ["Red"], name: "second subscription" })
    const wider = yield* bus.subscribe({ kinds: ["Red", "Green"], name: "wider subscription" })
    yield* bus.publish(red(1))
    yield* holds(first, [red(1)])
    yield* holds(second, [red(1)])
    yield* holds(wider, [red(1)])
  }),
  situation("an event that was taken is not taken again", [], function*() {
    const { bus, subscription } = yield* subscribedToRed()
    yield* publishEach(bus, reds(1, 2))
    yield* settle
    yield* gives(subscription.take, red(1))
    yield* gives(subscription.take, red(2))
    yield* gives(subscription.take, "waits")
  }),
  situation("a subscription has nothing of what was published before it", [], function*() {
    const bus = yield* makeBus()
    const earlier = yield* bus.subscribe({ kinds: ["Red"], name: "earlier subscription" })
    yield* publishEach(bus, reds(1, 2))
    yield* settle
    const later = yield* bus.subscribe({ kinds: ["Red"], name: "later subscription" })
    yield* bus.publish(red(3))
    yield* holds(later, [red(3)])
    yield* holds(earlier, reds(1, 3))
  }),
  situation("a stream brings what was published before it was first read", [], function*() {
    const { bus, subscription } = yield* subscribedToRed()
    yield* publishEach(bus, reds(1, 2))
    const { found } = yield* collect(subscription.stream)
    yield* expect("stream", found, reds(1, 2))
  }),
  situation("a subscription to no kinds receives nothing", [], function*() {
    const bus = yield* makeBus()
    const subscription = yield* bus.subscribe({ kinds: [] })
    yield* publishEach(bus, [red(1), green(2), blue(3)])
    yield* holds(subscription, [])
  }),
  situation("a kind that is named twice is received once", [], function*() {
    const bus = yield* makeBus()
    const subscription = yield* bus.subscribe({ kinds: ["Red", "Red"] })
    yield* bus.publish(red(1))
    yield* holds(subscription, [red(1)])
  }),
  situation("publishing an empty list wakes nobody", [], function*() {
    const { bus, subscription } = yield* subscribedToRed()
    const taker = yield* begin(subscription.takeAll)
    yield* bus.publishAll([])
    yield* came(taker, "waits")
  }),
  situation("publishUnsafe delivers as publish does", ["publishUnsafe"], function*() {
    const bus = yield* makeBus()
    const waiting = yield* bus.subscribe({ kinds: ["Red"], name: "waiting subscription" })
    const idle = yield* bus.subscribe({ kinds: ["Red"], name: "idle subscription" })
    const taker = yield* begin(waiting.take)
    bus.publishUnsafe(red(1))
    yield* came(taker, red(1))
    yield* holds(idle, [red(1)])
  })
)
