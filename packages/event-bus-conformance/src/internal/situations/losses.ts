import type { Loss } from "@openwatch/event-bus"
import { Effect, Latch, Stream } from "effect"
import { red, reds } from "../events.ts"
import {
  collect,
  expect,
  forEachPolicy,
  gives,
  hasEnded,
  publishEach,
  settle,
  situation,
  subscribedToRed,
  topic
} from "../stage.ts"

const lossOf = (dropped: number, since: number, until: number) => ({ dropped, since, until })

const shownLosses = (found: ReadonlyArray<Loss>) =>
  found.map(({ dropped, since, until }) => lossOf(dropped, since.epochMilliseconds, until.epochMilliseconds))

export const losses = topic(
  "Losses",
  ...forEachPolicy((overflow) =>
    situation(`what a ${overflow} buffer lost is told: how many, and when the first and the last occurred`, [
      "losses",
      overflow
    ], function*() {
      const { bus, subscription } = yield* subscribedToRed({ bufferSize: 2, overflow })
      yield* publishEach(bus, reds(1, 5))
      yield* settle
      const { found } = yield* collect(subscription.losses)
      yield* expect("losses", shownLosses(found), [overflow === "dropping" ? lossOf(3, 3, 5) : lossOf(3, 1, 3)])
    })
  ),
  situation("losses are told as they come, to somebody who takes nothing", ["losses", "dropping"], function*() {
    const { bus, subscription } = yield* subscribedToRed({ bufferSize: 1, overflow: "dropping" })
    const { found } = yield* collect(subscription.losses)
    yield* bus.publish(red(1))
    yield* settle
    yield* expect("losses before there are any", shownLosses(found), [])
    yield* publishEach(bus, reds(2, 5000))
    yield* settle
    yield* expect("losses of thousands of events have been told", found.length > 0, true)
  }),
  situation("losses that nobody reads are gathered", ["losses", "sliding"], function*() {
    const { bus, subscription } = yield* subscribedToRed({ bufferSize: 1, overflow: "sliding" })
    const found: Array<Loss> = []
    const gate = yield* Latch.make()
    yield* publishEach(bus, reds(1, 2))
    yield* settle
    yield* Effect.forkChild(
      Stream.runForEach(
        subscription.losses,
        (loss) => Effect.andThen(Effect.sync(() => found.push(loss)), gate.await)
      )
    )
    yield* settle
    yield* publishEach(bus, reds(3, 4))
    yield* settle
    yield* gives(subscription.take, red(4))
    yield* publishEach(bus, reds(5, 7))
    yield* settle
    yield* gives(subscription.take, red(7))
    yield* gate.open
    yield* settle
    yield* expect("losses", shownLosses(found), [lossOf(1, 1, 1), lossOf(4, 2, 6)])
  }),
  situation("losses end with the subscription", ["losses", "dropping"], function*() {
    const { bus, subscription } = yield* subscribedToRed({ bufferSize: 1, overflow: "dropping" })
    const { fiber, found } = yield* collect(subscription.losses)
    yield* publishEach(bus, reds(1, 2))
    yield* settle
    yield* hasEnded("losses", fiber, false)
    yield* subscription.unsubscribe
    yield* hasEnded("losses", fiber, true)
    yield* expect("losses", shownLosses(found), [lossOf(1, 2, 2)])
  })
)
