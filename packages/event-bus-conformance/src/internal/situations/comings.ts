import { Effect } from "effect"
import { green, red, reds } from "../events.ts"
import {
  expect,
  forEachPolicy,
  gives,
  holds,
  makeBus,
  publishEach,
  settle,
  show,
  situation,
  type StagedSubscription,
  topic
} from "../stage.ts"

export const comings = topic(
  "Coming and going",
  situation("a subscriber that leaves while values remain takes none of another's with it", [], function*() {
    const bus = yield* makeBus({ bufferSize: 4 })
    const leaving = yield* bus.subscribe({ kinds: ["Red"] })
    const staying = yield* bus.subscribe({ kinds: ["Red"], name: "subscription that stays" })
    yield* publishEach(bus, reds(1, 3))
    yield* settle
    yield* gives(leaving.take, red(1))
    yield* leaving.unsubscribe
    yield* bus.publish(red(4))
    yield* holds(staying, reds(1, 4))
  }),
  situation("a stuck subscriber that leaves leaves no trace in the buffers of others", ["dropping"], function*() {
    const bus = yield* makeBus({ bufferSize: 2, overflow: "dropping" })
    const stuck = yield* bus.subscribe({ kinds: ["Red"] })
    yield* publishEach(bus, reds(1, 3))
    yield* settle
    const staying = yield* bus.subscribe({ kinds: ["Red"], name: "subscription that stays" })
    yield* stuck.unsubscribe
    yield* publishEach(bus, reds(4, 6))
    yield* holds(staying, reds(4, 5))
  }),
  ...forEachPolicy((overflow) =>
    situation(`a newcomer has a whole ${overflow} buffer of its own while another's is full`, [overflow], function*() {
      const bus = yield* makeBus({ bufferSize: 2, overflow })
      const full = yield* bus.subscribe({ kinds: ["Red"], name: "full subscription" })
      yield* publishEach(bus, reds(1, 2))
      yield* settle
      const newcomer = yield* bus.subscribe({ kinds: ["Red"], name: "newcomer" })
      yield* publishEach(bus, reds(3, 4))
      yield* holds(newcomer, reds(3, 4))
      yield* holds(full, overflow === "dropping" ? reds(1, 2) : reds(3, 4))
    })
  ),
  situation("a newcomer sees nothing that earlier subscribers left behind", [], function*() {
    const bus = yield* makeBus()
    const leaving = yield* bus.subscribe({ kinds: ["Red"] })
    yield* publishEach(bus, reds(1, 3))
    yield* settle
    yield* leaving.unsubscribe
    yield* bus.publish(red(4))
    yield* settle
    const newcomer = yield* bus.subscribe({ kinds: ["Red"], name: "newcomer" })
    yield* bus.publish(red(5))
    yield* holds(newcomer, [red(5)])
  }),
  situation("subscribers that join one event apart see events from where they joined", [], function*() {
    const bus = yield* makeBus({ bufferSize: 1000 })
    const subscriptions: Array<StagedSubscription> = []
    for (const event of reds(1, 200)) {
      subscriptions.push(
        yield* bus.subscribe({ kinds: ["Red"], name: `subscription that joined before Red ${event.n}` })
      )
      yield* bus.publish(event)
      yield* settle
    }
    for (const [i, subscription] of subscriptions.entries()) {
      yield* gives(subscription.takeUpTo(1000), reds(i + 1, 200))
    }
  }),
  situation("subscribers may leave in any order, and those that are left go on", [], function*() {
    for (const leavers of [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]]) {
      const bus = yield* makeBus()
      const subscriptions: Array<StagedSubscription> = []
      for (const i of [0, 1, 2, 3]) {
        const name = `subscription ${i} when the leavers are ${show(leavers)}`
        subscriptions.push(yield* bus.subscribe({ kinds: ["Red"], name }))
      }
      for (const [left, leaver] of leavers.entries()) {
        yield* subscriptions[leaver]!.unsubscribe
        yield* publishEach(bus, reds(1, 5))
        yield* settle
        for (const [i, subscription] of subscriptions.entries()) {
          const isGone = leavers.indexOf(i) >= 0 && leavers.indexOf(i) <= left
          yield* gives(subscription.takeUpTo(10), isGone ? "is done" : reds(1, 5))
        }
      }
    }
  }),
  situation("a subscriber that comes back begins anew", [], function*() {
    const bus = yield* makeBus()
    for (let round = 0; round < 5; round++) {
      const subscription = yield* bus.subscribe({ kinds: ["Red", "Green"] })
      yield* publishEach(bus, [red(2 * round), green(2 * round + 1)])
      yield* settle
      yield* gives(subscription.takeUpTo(10), [red(2 * round), green(2 * round + 1)])
      yield* publishEach(bus, reds(100, 103))
      yield* settle
      yield* subscription.unsubscribe
    }
  }),
  situation("thousands of subscriptions each receive every event in order", [], function*() {
    const bus = yield* makeBus({ bufferSize: 16 })
    const subscriptions: Array<StagedSubscription> = []
    for (let i = 1; i <= 2000; i++) {
      subscriptions.push(yield* bus.subscribe({ kinds: ["Red"], name: `subscription ${i} of 2000` }))
    }
    yield* publishEach(bus, reds(1, 10))
    yield* settle
    for (const subscription of subscriptions) {
      const found = yield* Effect.orDie(subscription.takeUpTo(20).effect)
      yield* expect(subscription.take.what, found, reds(1, 10))
    }
  }),
  situation("one subscription in thousands stays while all others come and go", [], function*() {
    const bus = yield* makeBus({ bufferSize: 4000 })
    const staying = yield* bus.subscribe({ kinds: ["Red"], name: "subscription that stays" })
    for (const event of reds(1, 2000)) {
      const passing = yield* bus.subscribe({ kinds: ["Red"] })
      yield* bus.publish(event)
      yield* passing.unsubscribe
    }
    yield* holds(staying, reds(1, 2000))
  })
)
