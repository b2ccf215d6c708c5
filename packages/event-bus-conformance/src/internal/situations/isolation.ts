import { Effect, Fiber, Latch } from "effect"
import { type Event, red, reds } from "../events.ts"
import {
  begin,
  came,
  eventsOf,
  expect,
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

export const isolation = topic(
  "Isolation",
  ...forEachPolicy((overflow) =>
    situation(`a full ${overflow} subscription costs no other subscription an event`, [overflow], function*() {
      const bus = yield* makeBus({ bufferSize: 2, overflow })
      const stuck = yield* bus.subscribe({ kinds: ["Red"], name: "stuck subscription" })
      const busy = yield* bus.subscribe({ kinds: ["Red"], name: "busy subscription" })
      for (const event of reds(1, 10)) {
        yield* bus.publish(event)
        yield* settle
        yield* gives(busy.take, event)
      }
      yield* holds(stuck, overflow === "dropping" ? reds(1, 2) : reds(9, 10))
    })
  ),
  situation("a slow subscription keeps its backlog while a fast one runs ahead", [], function*() {
    const bus = yield* makeBus({ bufferSize: 300 })
    const slow = yield* bus.subscribe({ kinds: ["Red"], name: "slow subscription" })
    const fast = yield* bus.subscribe({ kinds: ["Red"], name: "fast subscription" })
    for (let n = 1; n <= 300; n += 50) {
      yield* publishEach(bus, reds(n, n + 49))
      yield* holds(fast, reds(n, n + 49))
    }
    yield* holds(slow, reds(1, 300))
  }),
  situation("publishing to full buffers completes before anything else runs", ["synchronous"], function*() {
    const bus = yield* makeBus({ bufferSize: 1 })
    yield* bus.subscribe({ kinds: ["Red"] })
    yield* publishEach(bus, reds(1, 2))
    const log: Array<string> = []
    yield* Effect.forkChild(Effect.sync(() => log.push("another fiber ran")))
    yield* bus.publish(red(3))
    yield* bus.publishAll(reds(4, 6))
    log.push("published")
    yield* settle
    yield* expect("the log", log, ["published", "another fiber ran"])
  }),
  situation("interrupting a taker that waits costs the next one nothing", [], function*() {
    const { bus, subscription } = yield* subscribedToRed()
    const first = yield* begin(subscription.take)
    const second = yield* begin(subscription.take)
    yield* Fiber.interrupt(first.fiber)
    yield* bus.publish(red(1))
    yield* came(second, red(1))
    yield* holds(subscription, [])
  }),
  situation("an event is not lost with a taker that is interrupted before it wakes", ["synchronous"], function*() {
    const { bus, subscription } = yield* subscribedToRed()
    const first = yield* begin(subscription.take)
    const second = yield* begin(subscription.take)
    yield* bus.publish(red(1))
    yield* Fiber.interrupt(first.fiber)
    yield* settle
    yield* expect("what both takers have", [...eventsOf(first), ...eventsOf(second)], [red(1)])
  }),
  situation("a stuck handler keeps nothing from another", ["handlers"], function*() {
    const bus = yield* makeBus({ bufferSize: 2 })
    const handled: Array<Event> = []
    yield* bus.on(["Red"], () => Effect.never)
    yield* bus.on(["Red"], (event) => Effect.sync(() => handled.push(event)))
    for (const event of reds(1, 5)) {
      yield* bus.publish(event)
      yield* settle
    }
    yield* expect("the other handler", handled, reds(1, 5))
  }),
  situation("a handler that fails, dies or throws gets the next event", ["handlers"], function*() {
    const bus = yield* makeBus()
    const handled: Array<Event> = []
    yield* bus.on(["Red"], (event) => {
      handled.push(event)
      if (event.n === 1) return Effect.fail("a failure")
      if (event.n === 2) return Effect.die("a defect")
      if (event.n === 3) throw new Error("a throw before there is an effect")
      return Effect.void
    })
    yield* publishEach(bus, reds(1, 4))
    yield* settle
    yield* expect("the handler", handled, reds(1, 4))
  }),
  situation("a handler that ends interrupted gets the next event", ["handlers"], function*() {
    const bus = yield* makeBus()
    const handled: Array<Event> = []
    yield* bus.on(["Red"], (event) => {
      handled.push(event)
      return event.n === 1 ? Effect.interrupt : Effect.void
    })
    yield* publishEach(bus, reds(1, 2))
    yield* settle
    yield* expect("the handler", handled, reds(1, 2))
  }),
  situation("a handler that fails costs another handler nothing", ["handlers"], function*() {
    const bus = yield* makeBus()
    const handled: Array<Event> = []
    yield* bus.on(["Red"], () => Effect.die("a defect"))
    yield* bus.on(["Red"], (event) => Effect.sync(() => handled.push(event)))
    yield* publishEach(bus, reds(1, 3))
    yield* settle
    yield* expect("the other handler", handled, reds(1, 3))
  }),
  situation("concurrency bounds how many events a subscription handles at a time", ["handlers"], function*() {
    const bus = yield* makeBus()
    const gate = yield* Latch.make()
    let running = 0
    let most = 0
    let handled = 0
    yield* bus.on(["Red"], () =>
      Effect.gen(function*() {
        most = Math.max(most, ++running)
        yield* gate.await
        running--
        handled++
      }), { concurrency: 3 })
    yield* publishEach(bus, reds(1, 7))
    yield* settle
    yield* expect("handlers that run", running, 3)
    yield* gate.open
    yield* settle
    yield* expect("handlers that ran at a time, and events handled", [most, handled], [3, 7])
  })
)
