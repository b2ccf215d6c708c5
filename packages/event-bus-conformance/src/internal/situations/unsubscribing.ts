import { Effect, Scope } from "effect"
import { type Event, red, reds } from "../events.ts"
import {
  begin,
  came,
  close,
  collect,
  expect,
  gives,
  hasEnded,
  holds,
  makeBus,
  makeScope,
  publishEach,
  settle,
  show,
  situation,
  subscribedToRed,
  topic
} from "../stage.ts"

export const unsubscribing = topic(
  "Unsubscribing",
  situation("unsubscribing discards what is pending: every take is done", [], function*() {
    const { bus, subscription } = yield* subscribedToRed()
    yield* publishEach(bus, reds(1, 3))
    yield* settle
    yield* subscription.unsubscribe
    yield* gives(subscription.take, "is done")
    yield* gives(subscription.takeAll, "is done")
    yield* gives(subscription.takeUpTo(3), "is done")
    yield* gives(subscription.takeBetween(1, 3), "is done")
  }),
  situation("unsubscribing releases the takers that wait", [], function*() {
    const { subscription } = yield* subscribedToRed()
    const takers = [
      yield* begin(subscription.take),
      yield* begin(subscription.takeAll),
      yield* begin(subscription.takeBetween(2, 3))
    ]
    yield* subscription.unsubscribe
    for (const taker of takers) yield* came(taker, "is done")
  }),
  situation("unsubscribing ends a takeBetween that waits for more", [], function*() {
    const { bus, subscription } = yield* subscribedToRed()
    const taker = yield* begin(subscription.takeBetween(2, 3))
    yield* bus.publish(red(1))
    yield* came(taker, "waits")
    yield* subscription.unsubscribe
    yield* came(taker, "is done")
  }),
  situation("unsubscribing ends a stream", [], function*() {
    const { subscription } = yield* subscribedToRed()
    const { fiber } = yield* collect(subscription.stream)
    yield* hasEnded("the stream", fiber, false)
    yield* subscription.unsubscribe
    yield* hasEnded("the stream", fiber, true)
  }),
  situation("closing the subscriber's scope unsubscribes", [], function*() {
    const bus = yield* makeBus()
    const scope = yield* makeScope
    const subscription = yield* Scope.provide(bus.subscribe({ kinds: ["Red"] }), scope)
    const taker = yield* begin(subscription.take)
    yield* close(scope)
    yield* came(taker, "is done")
    yield* bus.publish(red(1))
    yield* settle
    yield* gives(subscription.takeUpTo(1), "is done")
  }),
  situation("unsubscribing twice, and closing the scope then, is unsubscribing once", [], function*() {
    const bus = yield* makeBus()
    const scope = yield* makeScope
    const leaving = yield* Scope.provide(bus.subscribe({ kinds: ["Red"] }), scope)
    const staying = yield* bus.subscribe({ kinds: ["Red"], name: "subscription that stays" })
    yield* leaving.unsubscribe
    yield* leaving.unsubscribe
    yield* close(scope)
    yield* bus.publish(red(1))
    yield* holds(staying, [red(1)])
  }),
  situation(
    "a taker that has not woken when its subscription is unsubscribed gets nothing",
    ["synchronous"],
    function*() {
      const { bus, subscription } = yield* subscribedToRed()
      const taker = yield* begin(subscription.take)
      yield* bus.publish(red(1))
      yield* subscription.unsubscribe
      yield* came(taker, "is done")
    }
  ),
  situation("unsubscribing wakes nobody else's takers, and a publish then does", [], function*() {
    const bus = yield* makeBus()
    const leaving = yield* bus.subscribe({ kinds: ["Red"] })
    const staying = yield* bus.subscribe({ kinds: ["Red"], name: "subscription that stays" })
    const taker = yield* begin(staying.take)
    yield* leaving.unsubscribe
    yield* came(taker, "waits")
    yield* bus.publish(red(1))
    yield* came(taker, red(1))
  }),
  situation("what was pending when a subscription closed is discarded, and counted so", ["counters"], function*() {
    const { bus, subscription } = yield* subscribedToRed()
    yield* publishEach(bus, reds(1, 5))
    yield* settle
    yield* gives(subscription.takeUpTo(2), reds(1, 2))
    yield* subscription.unsubscribe
    yield* bus.publish(red(6))
    yield* subscription.counts({ state: "closed", offered: 5, delivered: 5, taken: 2, pending: 0, discarded: 3 })
  }),
  situation("unsubscribing a handler interrupts it, and no event is handled after it", ["handlers"], function*() {
    const bus = yield* makeBus()
    const log: Array<string> = []
    const handler = yield* bus.on(["Red"], (event) => {
      log.push(`${show(event)} begins`)
      return Effect.onInterrupt(Effect.never, () => Effect.sync(() => log.push(`${show(event)} is interrupted`)))
    })
    yield* publishEach(bus, reds(1, 2))
    yield* settle
    yield* handler.unsubscribe
    yield* bus.publish(red(3))
    yield* settle
    yield* expect("the log", log, ["Red 1 begins", "Red 1 is interrupted"])
  }),
  situation("a handler that unsubscribes itself finishes its event, and no other begins", ["handlers"], function*() {
    const bus = yield* makeBus()
    const handled: Array<Event> = []
    const handler: { unsubscribe: Effect.Effect<void> } = { unsubscribe: Effect.void }
    const { unsubscribe } = yield* bus.on(["Red"], (event) =>
      Effect.gen(function*() {
        yield* handler.unsubscribe
        yield* Effect.yieldNow
        handled.push(event)
      }))
    handler.unsubscribe = unsubscribe
    yield* publishEach(bus, reds(1, 3))
    yield* settle
    yield* expect("the handler", handled, [red(1)])
  })
)
