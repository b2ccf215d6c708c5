import { Effect, Stream } from "effect"
import { type Event, green, red, reds } from "../events.ts"
import {
  type ConformanceFailure,
  expect,
  makeBus,
  settle,
  situation,
  type Stage,
  subscribedToRed,
  topic
} from "../stage.ts"

/** Publishes, and expects that nothing of the subscriber's has run when publishing returned. */
const runsLater = (
  log: Array<string>,
  publish: Effect.Effect<void>
): Effect.Effect<void, ConformanceFailure, Stage> =>
  Effect.gen(function*() {
    yield* settle
    yield* Effect.andThen(publish, Effect.sync(() => log.push("published")))
    yield* settle
    yield* expect("the log", log, ["published", "the subscriber ran"])
  })

export const inline = topic(
  "No inline execution",
  situation("a taker that waits has not run when publish returns", [], function*() {
    const { bus, subscription } = yield* subscribedToRed()
    const log: Array<string> = []
    yield* Effect.forkChild(
      Effect.tap(subscription.take.effect, () => Effect.sync(() => log.push("the subscriber ran")))
    )
    yield* runsLater(log, bus.publish(red(1)))
  }),
  situation("a taker that waits has not run when publishUnsafe returns", ["publishUnsafe"], function*() {
    const { bus, subscription } = yield* subscribedToRed()
    const log: Array<string> = []
    yield* Effect.forkChild(
      Effect.tap(subscription.take.effect, () => Effect.sync(() => log.push("the subscriber ran")))
    )
    yield* runsLater(log, Effect.sync(() => bus.publishUnsafe(red(1))))
  }),
  situation("a taker that waits has not run when publishAll returns", [], function*() {
    const { bus, subscription } = yield* subscribedToRed()
    const log: Array<string> = []
    yield* Effect.forkChild(
      Effect.tap(subscription.takeBetween(3, 3).effect, () => Effect.sync(() => log.push("the subscriber ran")))
    )
    yield* runsLater(log, bus.publishAll(reds(1, 3)))
  }),
  situation("the consumer of a stream has not run when publish returns", [], function*() {
    const { bus, subscription } = yield* subscribedToRed()
    const log: Array<string> = []
    yield* Effect.forkChild(
      Stream.runForEach(subscription.stream, () => Effect.sync(() => log.push("the subscriber ran")))
    )
    yield* runsLater(log, bus.publish(red(1)))
  }),
  situation("a handler has not run when publish returns", ["handlers"], function*() {
    const bus = yield* makeBus()
    const log: Array<string> = []
    yield* bus.on(["Red"], () => Effect.sync(() => log.push("the subscriber ran")))
    yield* runsLater(log, bus.publish(red(1)))
  }),
  situation("a subscriber that publishes what another waits for runs to its end first", [], function*() {
    const { bus, subscription } = yield* subscribedToRed()
    const answers = yield* bus.subscribe({ kinds: ["Green"] })
    const log: Array<string> = []
    yield* Effect.forkChild(
      Effect.tap(answers.take.effect, () => Effect.sync(() => log.push("the answer was taken")))
    )
    yield* Effect.forkChild(Effect.gen(function*() {
      yield* subscription.take.effect
      log.push("the question was taken")
      yield* bus.publish(green(1))
      log.push("the answer was published")
    }))
    yield* settle
    yield* bus.publish(red(1))
    yield* settle
    yield* expect("the log", log, [
      "the question was taken",
      "the answer was published",
      "the answer was taken"
    ])
  }),
  situation("a handler that publishes its own kind is not run inside itself", ["handlers"], function*() {
    const bus = yield* makeBus()
    const handled: Array<Event> = []
    let depth = 0
    let deepest = 0
    yield* bus.on(["Red"], (event) =>
      Effect.gen(function*() {
        deepest = Math.max(deepest, ++depth)
        handled.push(event)
        if (event.n < 4) yield* bus.publish(red(event.n + 1))
        depth--
      }))
    yield* bus.publish(red(1))
    yield* settle
    yield* expect("the handler", handled, reds(1, 4))
    yield* expect("handlers inside each other", deepest, 1)
  }),
  situation("of thousands of takers that wait, none has run when publish returns, and all run then", [], function*() {
    const bus = yield* makeBus({ bufferSize: 8 })
    let ran = 0
    const taken = Effect.sync(() => ran++)
    for (let i = 0; i < 2000; i++) {
      const subscription = yield* bus.subscribe({ kinds: ["Red"] })
      yield* Effect.forkChild(Effect.tap(subscription.take.effect, taken))
    }
    yield* settle
    yield* bus.publish(red(1))
    yield* expect("takers that ran inside publish", ran, 0)
    yield* settle
    yield* expect("takers that ran", ran, 2000)
  })
)
