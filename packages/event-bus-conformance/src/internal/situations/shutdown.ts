import { Effect, Latch, Scope } from "effect"
import { TestClock } from "effect/testing"
import { type Event, red, reds } from "../events.ts"
import {
  begin,
  came,
  close,
  collect,
  expect,
  forEachPolicy,
  gives,
  hasEnded,
  makeBus,
  makeScope,
  publishEach,
  settle,
  show,
  situation,
  subscribedToRed,
  topic
} from "../stage.ts"

export const shutdown = topic(
  "Shutdown",
  situation("what was accepted before shutdown is still taken, then takes are done", [], function*() {
    const { bus, subscription } = yield* subscribedToRed()
    yield* publishEach(bus, reds(1, 6))
    yield* bus.shutdown
    yield* settle
    yield* gives(subscription.take, red(1))
    yield* gives(subscription.takeUpTo(2), reds(2, 3))
    yield* gives(subscription.takeBetween(1, 1), [red(4)])
    yield* gives(subscription.takeAll, reds(5, 6))
    yield* gives(subscription.take, "is done")
    yield* gives(subscription.takeUpTo(2), "is done")
    yield* gives(subscription.takeBetween(0, 2), "is done")
    yield* gives(subscription.takeAll, "is done")
  }),
  ...forEachPolicy((overflow) =>
    situation(`a ${overflow} buffer that is full at shutdown is taken whole`, [overflow], function*() {
      const { bus, subscription } = yield* subscribedToRed({ bufferSize: 3, overflow })
      yield* publishEach(bus, reds(1, 5))
      yield* bus.shutdown
      yield* settle
      yield* gives(subscription.takeAll, overflow === "dropping" ? reds(1, 3) : reds(3, 5))
    })
  ),
  situation("shutdown releases the takers that wait for nothing", [], function*() {
    const { bus, subscription } = yield* subscribedToRed()
    const takers = [
      yield* begin(subscription.take),
      yield* begin(subscription.takeAll),
      yield* begin(subscription.takeBetween(1, 2))
    ]
    yield* bus.shutdown
    for (const taker of takers) yield* came(taker, "is done")
  }),
  situation("a taker whose event was published just before shutdown gets it", [], function*() {
    const { bus, subscription } = yield* subscribedToRed()
    const first = yield* begin(subscription.take)
    const second = yield* begin(subscription.take)
    yield* bus.publish(red(1))
    yield* bus.shutdown
    yield* came(first, red(1))
    yield* came(second, "is done")
  }),
  situation("a takeBetween that waits for more gets what there is at shutdown", [], function*() {
    const { bus, subscription } = yield* subscribedToRed()
    const taker = yield* begin(subscription.takeBetween(3, 5))
    yield* bus.publish(red(1))
    yield* came(taker, "waits")
    yield* bus.publish(red(2))
    yield* bus.shutdown
    yield* came(taker, reds(1, 2))
  }),
  situation("a stream ends after the last accepted event", [], function*() {
    const { bus, subscription } = yield* subscribedToRed()
    yield* publishEach(bus, reds(1, 3))
    yield* bus.shutdown
    const { fiber, found } = yield* collect(subscription.stream)
    yield* expect("the stream", found, reds(1, 3))
    yield* hasEnded("the stream", fiber, true)
  }),
  situation("a stream that waits ends at shutdown", [], function*() {
    const { bus, subscription } = yield* subscribedToRed()
    const { fiber } = yield* collect(subscription.stream)
    yield* hasEnded("the stream", fiber, false)
    yield* bus.shutdown
    yield* hasEnded("the stream", fiber, true)
  }),
  situation("publishing after shutdown does nothing", [], function*() {
    const { bus, subscription } = yield* subscribedToRed()
    yield* bus.publish(red(1))
    yield* bus.shutdown
    yield* bus.publish(red(2))
    yield* bus.publishAll(reds(3, 4))
    yield* settle
    yield* gives(subscription.takeAll, [red(1)])
    yield* gives(subscription.take, "is done")
  }),
  situation("a subscription made after shutdown has already ended", [], function*() {
    const bus = yield* makeBus()
    yield* bus.shutdown
    yield* settle
    const subscription = yield* bus.subscribe({ kinds: ["Red"] })
    yield* gives(subscription.take, "is done")
    yield* gives(subscription.takeUpTo(1), "is done")
    const { fiber } = yield* collect(subscription.stream)
    yield* hasEnded("the stream", fiber, true)
  }),
  situation("shutting down twice is shutting down once", [], function*() {
    const { bus, subscription } = yield* subscribedToRed()
    yield* publishEach(bus, reds(1, 2))
    yield* bus.shutdown
    yield* settle
    yield* gives(subscription.take, red(1))
    yield* bus.shutdown
    yield* settle
    yield* gives(subscription.take, red(2))
    yield* gives(subscription.take, "is done")
  }),
  situation("shutdown returns while subscribers are stuck", ["synchronous"], function*() {
    const { bus, subscription } = yield* subscribedToRed()
    yield* bus.publish(red(1))
    const log: Array<string> = []
    yield* Effect.forkChild(Effect.sync(() => log.push("another fiber ran")))
    yield* bus.shutdown
    log.push("shut down")
    yield* settle
    yield* expect("the log", log, ["shut down", "another fiber ran"])
    yield* gives(subscription.take, red(1))
  }),
  situation("awaitShutdown completes at shutdown, and at once after it", [], function*() {
    const bus = yield* makeBus()
    const waiting = yield* Effect.forkChild(bus.awaitShutdown)
    yield* hasEnded("awaitShutdown before shutdown", waiting, false)
    yield* bus.shutdown
    yield* hasEnded("awaitShutdown before shutdown", waiting, true)
    yield* hasEnded("awaitShutdown after it", yield* Effect.forkChild(bus.awaitShutdown), true)
  }),
  situation("unsubscribing after shutdown gives up what was accepted", [], function*() {
    const bus = yield* makeBus()
    const leaving = yield* bus.subscribe({ kinds: ["Red"], name: "subscription that leaves" })
    const staying = yield* bus.subscribe({ kinds: ["Red"], name: "subscription that stays" })
    yield* publishEach(bus, reds(1, 2))
    yield* bus.shutdown
    yield* settle
    yield* leaving.unsubscribe
    yield* gives(leaving.take, "is done")
    yield* gives(staying.takeAll, reds(1, 2))
  }),
  situation(
    "shutdown and unsubscribe at once end a subscription, whichever comes first",
    [],
    function*() {
      for (const orders of [[0, 1], [1, 0], [0, 1, 0], [1, 0, 1], [1, 1, 0, 0]]) {
        const bus = yield* makeBus()
        const subscription = yield* bus.subscribe({
          kinds: ["Red"],
          name: `subscription, in the order ${show(orders)},`
        })
        const taker = yield* begin(subscription.take)
        const ends = [bus.shutdown, subscription.unsubscribe]
        const ending = yield* Effect.forkChild(
          Effect.all(orders.map((i) => ends[i]!), { concurrency: "unbounded", discard: true })
        )
        yield* hasEnded("ending", ending, true)
        yield* came(taker, "is done")
        yield* gives(subscription.take, "is done")
      }
    }
  ),
  situation("closing the bus's scope shuts it down", [], function*() {
    const scope = yield* makeScope
    const bus = yield* Scope.provide(makeBus(), scope)
    const subscription = yield* bus.subscribe({ kinds: ["Red"] })
    const taker = yield* begin(subscription.take)
    const awaiting = yield* Effect.forkChild(bus.awaitShutdown)
    yield* close(scope)
    yield* came(taker, "is done")
    yield* hasEnded("awaitShutdown", awaiting, true)
    yield* bus.publish(red(1))
    yield* gives(subscription.take, "is done")
  }),
  situation("handlers finish what was accepted before shutdown", ["handlers"], function*() {
    const bus = yield* makeBus()
    const gate = yield* Latch.make()
    const handled: Array<Event> = []
    yield* bus.on(["Red"], (event) => Effect.andThen(gate.await, Effect.sync(() => handled.push(event))))
    yield* publishEach(bus, reds(1, 3))
    yield* bus.shutdown
    yield* bus.publish(red(4))
    yield* settle
    yield* expect("the stuck handler", handled, [])
    yield* gate.open
    yield* settle
    yield* expect("the handler", handled, reds(1, 3))
  }),
  situation("a handler may shut the bus down: it and what was accepted are handled", ["handlers"], function*() {
    const bus = yield* makeBus()
    const handled: Array<Event> = []
    yield* bus.on(["Red"], (event) =>
      Effect.gen(function*() {
        if (event.n === 1) yield* bus.shutdown
        yield* Effect.yieldNow
        yield* bus.publish(red(4))
        handled.push(event)
      }))
    yield* publishEach(bus, reds(1, 3))
    yield* settle
    yield* expect("the handler", handled, reds(1, 3))
  }),
  situation("closing the bus's scope interrupts handlers that do not drain", ["handlers"], function*() {
    const scope = yield* makeScope
    const bus = yield* Scope.provide(makeBus(), scope)
    const log: Array<string> = []
    yield* bus.on(["Red"], (event) => {
      log.push(`${show(event)} begins`)
      return Effect.onInterrupt(Effect.never, () => Effect.sync(() => log.push(`${show(event)} is interrupted`)))
    })
    yield* publishEach(bus, reds(1, 2))
    yield* settle
    yield* close(scope)
    log.push("the scope is closed")
    yield* settle
    yield* expect("the log", log, ["Red 1 begins", "Red 1 is interrupted", "the scope is closed"])
  }),
  situation("closing a scope waits for handlers that drain", ["handlers", "drain"], function*() {
    const bus = yield* makeBus()
    const scope = yield* makeScope
    const handled: Array<Event> = []
    const handler = bus.on(
      ["Red"],
      (event) => Effect.andThen(Effect.sleep("1 second"), Effect.sync(() => handled.push(event))),
      { drain: "1 minute" }
    )
    yield* Scope.provide(handler, scope)
    yield* publishEach(bus, reds(1, 3))
    yield* settle
    const closing = yield* Effect.forkChild(close(scope))
    yield* settle
    yield* bus.publish(red(4))
    yield* TestClock.adjust("2 seconds")
    yield* hasEnded("closing the scope", closing, false)
    yield* TestClock.adjust("1 second")
    yield* hasEnded("closing the scope", closing, true)
    yield* expect("the handler", handled, reds(1, 3))
  }),
  situation("a drain ends with its time", ["handlers", "drain"], function*() {
    const bus = yield* makeBus()
    const scope = yield* makeScope
    const handled: Array<Event> = []
    const handler = bus.on(
      ["Red"],
      (event) => Effect.andThen(Effect.sleep("4 seconds"), Effect.sync(() => handled.push(event))),
      { drain: "10 seconds" }
    )
    yield* Scope.provide(handler, scope)
    yield* publishEach(bus, reds(1, 5))
    yield* settle
    const closing = yield* Effect.forkChild(close(scope))
    yield* settle
    yield* TestClock.adjust("9 seconds")
    yield* hasEnded("closing the scope", closing, false)
    yield* TestClock.adjust("1 second")
    yield* hasEnded("closing the scope", closing, true)
    yield* expect("the handler", handled, reds(1, 2))
  })
)
