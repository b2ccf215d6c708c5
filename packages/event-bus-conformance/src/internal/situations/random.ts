import type { Overflow } from "@openwatch/event-bus"
import { Effect, Fiber, Random } from "effect"
import { blue, type Event, green, type Kind, red } from "../events.ts"
import {
  begin,
  type Begun,
  type ConformanceFailure,
  eventsOf,
  expect,
  forEachPolicy,
  gives,
  hasEnded,
  holds,
  makeBus,
  randomSituation,
  settle,
  show,
  type Stage,
  type StagedBus,
  type StagedSubscription,
  type Steps,
  topic
} from "../stage.ts"

const allKinds = ["Red", "Green", "Blue"] as const satisfies ReadonlyArray<Kind>

const eventOf = (kind: Kind, n: number): Event => kind === "Red" ? red(n) : kind === "Green" ? green(n) : blue(n)

/** The next number of an event in a situation. */
const makeNumbers = (): () => number => {
  let n = 0
  return () => ++n
}

const randomEvent = (next: () => number): Effect.Effect<Event> =>
  Effect.map(Random.choice(allKinds), (kind) => eventOf(kind, next()))

const randomInt = (min: number, max: number): Effect.Effect<number> => Random.nextIntBetween(min, max)

/** What a subscription has to hold, worked out one publish at a time. */
interface Model {
  readonly subscription: StagedSubscription
  readonly kinds: ReadonlyArray<Kind>
  pending: Array<Event>
  offered: number
  dropped: number
  taken: number
}

/** What is done at random; what is named more than once is done more often. */
const acts = [
  "publish",
  "publish",
  "publish",
  "publish",
  "flood",
  "subscribe",
  "subscribe",
  "unsubscribe",
  "take",
  "take",
  "take",
  "check"
] as const

/** Few sets of kinds, so that several subscriptions have the same. */
const kindsToChoose = [["Red"], ["Green", "Blue"], allKinds] as const

/** A bus and its model, side by side: publish, take, come and go at random, and compare what is taken. */
const againstModel = (
  overflow: Overflow,
  check: (model: Model) => Effect.Effect<void, ConformanceFailure, Stage>
): Steps =>
  function*() {
    const bufferSize = yield* randomInt(1, 9)
    const bus = yield* makeBus({ bufferSize, overflow })
    const next = makeNumbers()
    let models: Array<Model> = []
    const publish = (count: number) =>
      Effect.gen(function*() {
        const batch: Array<Event> = []
        for (let i = 0; i < count; i++) batch.push(yield* randomEvent(next))
        yield* bus.publishAll(batch)
        for (const model of models) {
          const matching = batch.filter((event) => model.kinds.includes(event._tag))
          const all = [...model.pending, ...matching]
          model.offered += matching.length
          model.dropped += Math.max(0, all.length - bufferSize)
          model.pending = overflow === "dropping" ? all.slice(0, bufferSize) : all.slice(-bufferSize)
        }
      })
    for (let step = 0; step < 100; step++) {
      const act = yield* Random.choice(acts)
      const model = models[yield* randomInt(0, Math.max(0, models.length - 1))]
      if (act === "publish") {
        yield* publish(yield* randomInt(1, 4))
        continue
      }
      if (act === "flood") {
        yield* publish(300)
        continue
      }
      yield* settle
      if (act === "subscribe" || model === undefined) {
        if (models.length === 6) continue
        const kinds = yield* Random.choice(kindsToChoose)
        const subscription = yield* bus.subscribe({ kinds, name: `subscription made at step ${step}` })
        models.push({ subscription, kinds, pending: [], offered: 0, dropped: 0, taken: 0 })
      } else if (act === "take") {
        const most = yield* randomInt(1, 10)
        const expected = model.pending.slice(0, most)
        yield* gives(model.subscription.takeUpTo(most), expected)
        model.pending = model.pending.slice(expected.length)
        model.taken += expected.length
      } else if (act === "check") {
        yield* check(model)
      } else {
        yield* model.subscription.unsubscribe
        models = models.filter((other) => other !== model)
      }
    }
    for (const model of models) {
      yield* check(model)
      yield* holds(model.subscription, model.pending)
    }
  }

/** Fibers that publish numbered events, with random pauses; `accepted` are those published before shutdown. */
const publishers = Effect.fnUntraced(function*(bus: StagedBus, publishers: number, each: number) {
  const next = makeNumbers()
  const accepted: Array<Event> = []
  const running = { isShutdown: false }
  const publisher = Effect.gen(function*() {
    for (let i = 0; i < each; i++) {
      const event = yield* randomEvent(next)
      yield* Effect.andThen(
        bus.publish(event),
        Effect.sync(() => {
          if (!running.isShutdown) accepted.push(event)
        })
      )
      if (yield* Random.nextBoolean) yield* Effect.yieldNow
    }
  })
  const fibers: Array<Fiber.Fiber<void>> = []
  for (let i = 0; i < publishers; i++) fibers.push(yield* Effect.forkChild(publisher))
  const shutdown = Effect.andThen(
    Effect.sync(() => {
      running.isShutdown = true
    }),
    bus.shutdown
  )
  return { accepted, fibers, shutdown }
})

/** A fiber that takes in random ways until there is nothing more. */
const consumer = (subscription: StagedSubscription) =>
  Effect.gen(function*() {
    const found: Array<Event> = []
    const takeSome = Effect.gen(function*() {
      const min = yield* randomInt(0, 4)
      const ways = [
        subscription.take,
        subscription.takeAll,
        subscription.takeUpTo(min),
        subscription.takeBetween(min, min + 3)
      ] as const
      const taken = yield* (yield* Random.choice(ways)).effect
      found.push(...[taken].flat())
      if (yield* Random.nextBoolean) yield* Effect.yieldNow
    })
    const fiber = yield* Effect.forkChild(Effect.ignore(Effect.forever(takeSome)))
    return { found, fiber }
  })

const yields = (most: number): Effect.Effect<void> =>
  Effect.flatMap(randomInt(0, most), (times) => Effect.repeat(Effect.yieldNow, { times })).pipe(Effect.asVoid)

export const random = topic(
  "Random interleavings",
  ...forEachPolicy((overflow) =>
    randomSituation(
      `publishing, taking, coming and going at random do what a model of a ${overflow} bus does`,
      [overflow],
      againstModel(overflow, () => Effect.void)
    )
  ),
  ...forEachPolicy((overflow) =>
    randomSituation(
      `the counters of a ${overflow} bus are those of its model, whenever they are read`,
      [overflow, "counters"],
      againstModel(overflow, ({ dropped, offered, pending, subscription, taken }) =>
        subscription.counts({ offered, delivered: offered - dropped, dropped, taken, pending: pending.length }))
    )
  ),
  randomSituation(
    "publishers and takers side by side: each subscription has every event once, in the order of all others",
    [],
    function*() {
      const bus = yield* makeBus({ bufferSize: 1000 })
      const kindsOf = [["Red", "Green", "Blue"], ["Green"], ["Blue", "Red"]] as const
      const consumers = yield* Effect.forEach(kindsOf, (kinds) => Effect.flatMap(bus.subscribe({ kinds }), consumer))
      const { accepted, fibers, shutdown } = yield* publishers(bus, 3, 40)
      yield* settle
      for (const fiber of fibers) yield* hasEnded("a publisher", fiber, true)
      yield* shutdown
      yield* settle
      for (const [i, { fiber, found }] of consumers.entries()) {
        const kinds: ReadonlyArray<Kind> = kindsOf[i]!
        yield* hasEnded(`the consumer of ${show(kinds)}`, fiber, true)
        yield* expect(
          `the consumer of ${show(kinds)}`,
          found,
          accepted.filter((event) => kinds.includes(event._tag))
        )
      }
    }
  ),
  randomSituation("takers of one subscription that race and are interrupted lose and double nothing", [], function*() {
    const bus = yield* makeBus({ bufferSize: 1000 })
    const subscription = yield* bus.subscribe({ kinds: allKinds })
    const { accepted, fibers } = yield* publishers(bus, 2, 60)
    const found: Array<Event> = []
    while (fibers.some((fiber) => fiber.pollUnsafe() === undefined)) {
      const takers: Array<Begun> = []
      for (let i = yield* randomInt(1, 4); i > 0; i--) {
        const { effect, what } = yield* Random.choice([subscription.take, subscription.takeAll] as const)
        takers.push({ what, fiber: yield* Effect.forkChild(effect) })
      }
      yield* yields(4)
      yield* Effect.forEach(takers, ({ fiber }) => Fiber.interrupt(fiber), { discard: true })
      found.push(...takers.flatMap(eventsOf))
    }
    yield* settle
    found.push(...eventsOf(yield* begin(subscription.takeUpTo(1000))))
    yield* expect("all takers together", found.toSorted((a, b) => a.n - b.n), accepted)
  }),
  randomSituation(
    "shutdown at a random moment: what was accepted is taken, in order, and nothing else",
    [],
    function*() {
      const bus = yield* makeBus({ bufferSize: 1000 })
      const consumers = yield* Effect.forEach(
        [1, 2],
        () => Effect.flatMap(bus.subscribe({ kinds: allKinds }), consumer)
      )
      const { accepted, fibers, shutdown } = yield* publishers(bus, 3, 40)
      yield* yields(60)
      yield* shutdown
      yield* settle
      for (const fiber of fibers) yield* hasEnded("a publisher", fiber, true)
      for (const { fiber, found } of consumers) {
        yield* hasEnded("a consumer", fiber, true)
        yield* expect("a consumer", found, accepted)
      }
    }
  ),
  randomSituation(
    "unsubscribing at a random moment: what was offered is taken or discarded, and the taker is released",
    ["counters", "synchronous"],
    function*() {
      const bus = yield* makeBus({ bufferSize: 1000 })
      const leaving = yield* bus.subscribe({ kinds: allKinds, name: "subscription that leaves" })
      const staying = yield* bus.subscribe({ kinds: allKinds })
      const leaver = yield* consumer(leaving)
      const stayer = yield* consumer(staying)
      const { accepted, fibers, shutdown } = yield* publishers(bus, 2, 60)
      yield* yields(60)
      const offered = accepted.length
      yield* leaving.unsubscribe
      yield* hasEnded("the consumer that leaves", leaver.fiber, true)
      yield* expect("the consumer that leaves", leaver.found, accepted.slice(0, leaver.found.length))
      yield* leaving.counts({
        state: "closed",
        offered,
        taken: leaver.found.length,
        discarded: offered - leaver.found.length
      })
      for (const fiber of fibers) yield* hasEnded("a publisher", fiber, true)
      yield* shutdown
      yield* settle
      yield* expect("the consumer that stays", stayer.found, accepted)
    }
  )
)
