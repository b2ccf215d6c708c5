import { Effect } from "effect"
import { blue, green, red, reds } from "../events.ts"
import {
  begin,
  came,
  eventsOf,
  expect,
  gives,
  holds,
  makeBus,
  outcomeOf,
  publishEach,
  settle,
  show,
  situation,
  subscribedToRed,
  topic
} from "../stage.ts"

export const order = topic(
  "Order",
  situation("events come in the order in which they were published", [], function*() {
    const { bus, subscription } = yield* subscribedToRed({ bufferSize: 1000 })
    yield* publishEach(bus, reds(1, 1000))
    yield* holds(subscription, reds(1, 1000))
  }),
  situation("the order holds across kinds", [], function*() {
    const bus = yield* makeBus()
    const all = yield* bus.subscribe({ kinds: ["Blue", "Green", "Red"] })
    yield* publishEach(bus, [red(1), blue(2), red(3), green(4), green(5), red(6), blue(7)])
    yield* holds(all, [red(1), blue(2), red(3), green(4), green(5), red(6), blue(7)])
  }),
  situation("subscriptions to different kinds see the same events in the same order", [], function*() {
    const bus = yield* makeBus()
    const warm = yield* bus.subscribe({ kinds: ["Red", "Green"], name: "subscription to red and green" })
    const cold = yield* bus.subscribe({ kinds: ["Green", "Blue"], name: "subscription to green and blue" })
    yield* publishEach(bus, [green(1), red(2), blue(3), green(4), red(5), blue(6), green(7)])
    yield* holds(warm, [green(1), red(2), green(4), red(5), green(7)])
    yield* holds(cold, [green(1), blue(3), green(4), blue(6), green(7)])
  }),
  situation("the order holds across publish, publishAll and publishUnsafe", ["publishUnsafe"], function*() {
    const { bus, subscription } = yield* subscribedToRed()
    yield* bus.publish(red(1))
    bus.publishUnsafe(red(2))
    yield* bus.publishAll(reds(3, 5))
    bus.publishUnsafe(red(6))
    yield* bus.publish(red(7))
    yield* holds(subscription, reds(1, 7))
  }),
  situation("nothing of another publisher comes between the events of publishAll", [], function*() {
    const bus = yield* makeBus()
    const subscription = yield* bus.subscribe({ kinds: ["Red", "Green"] })
    yield* Effect.all([
      Effect.forEach([1, 4, 7], (n) => Effect.andThen(bus.publishAll(reds(n, n + 2)), Effect.yieldNow)),
      Effect.forEach(
        [1, 4, 7],
        (n) => Effect.andThen(bus.publishAll([green(n), green(n + 1), green(n + 2)]), Effect.yieldNow)
      )
    ], { concurrency: "unbounded" })
    yield* settle
    for (let batch = 0; batch < 6; batch++) {
      const taking = yield* begin(subscription.takeUpTo(3))
      const found = eventsOf(taking)
      const first = found[0]
      const n = first?.n ?? 0
      yield* expect(
        `batch ${batch + 1}`,
        found,
        first?._tag === "Green" ? [green(n), green(n + 1), green(n + 2)] : reds(n, n + 2)
      )
    }
  }),
  situation("the order holds across all ways to take", [], function*() {
    const { bus, subscription } = yield* subscribedToRed()
    yield* publishEach(bus, reds(1, 9))
    yield* settle
    yield* gives(subscription.take, red(1))
    yield* gives(subscription.takeUpTo(2), reds(2, 3))
    yield* gives(subscription.takeBetween(1, 3), reds(4, 6))
    yield* gives(subscription.take, red(7))
    yield* gives(subscription.takeAll, reds(8, 9))
  }),
  situation("waiting takers are served in the order in which they came", [], function*() {
    const { bus, subscription } = yield* subscribedToRed()
    const takers = [
      yield* begin(subscription.take),
      yield* begin(subscription.take),
      yield* begin(subscription.take)
    ]
    yield* publishEach(bus, reds(1, 2))
    yield* settle
    yield* expect("the takers", takers.map(outcomeOf), [red(1), red(2), "waits"])
    yield* bus.publish(red(3))
    yield* settle
    yield* expect("the takers", takers.map(outcomeOf), reds(1, 3))
  }),
  situation("a taker that comes later does not overtake one that waits", ["synchronous"], function*() {
    const { bus, subscription } = yield* subscribedToRed()
    const waiting = yield* begin(subscription.take)
    yield* bus.publish(red(1))
    const late = yield* Effect.forkChild(subscription.take.effect, { startImmediately: true })
    yield* bus.publish(red(2))
    yield* came(waiting, red(1))
    yield* came({ what: "the later take", fiber: late }, red(2))
  }),
  situation("a handler gets the events in order, one at a time", ["handlers"], function*() {
    const bus = yield* makeBus()
    const log: Array<string> = []
    yield* bus.on(["Red", "Green"], (event) =>
      Effect.gen(function*() {
        log.push(`${show(event)} begins`)
        yield* Effect.yieldNow
        log.push(`${show(event)} ends`)
      }))
    yield* publishEach(bus, [red(1), green(2), red(3)])
    yield* settle
    yield* expect("the handler", log, [
      "Red 1 begins",
      "Red 1 ends",
      "Green 2 begins",
      "Green 2 ends",
      "Red 3 begins",
      "Red 3 ends"
    ])
  })
)
