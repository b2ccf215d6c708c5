/**
 * (i) What a subscription that does not keep up holds on the heap after a million publishes.
 */
import { EventBus, type Overflow } from "@openwatch/event-bus"
import { Effect, Exit, Logger, PubSub, Scope } from "effect"
import { bufferSize } from "../contenders.ts"
import { Ping, PingEvent } from "../events.ts"
import { heapUsed, liveEvents } from "../heap.ts"
import { type Effort, formatCount, type Row, type Workload } from "../measurements.ts"

interface Subscriber {
  readonly publish: (event: Ping) => unknown
  /** Takes one event. */
  readonly take: () => unknown
  /** Others take all that they have. */
  readonly othersTakeAll: () => void
}

type Opening = Effect.Effect<Subscriber, never, Scope.Scope>

/** One subscription, and `others` that keep up. */
const bus = (overflow: Overflow, others: number): Opening =>
  Effect.gen(function*() {
    const bus = yield* EventBus.make({ events: [Ping] })
    const subscribe = bus.subscribe({ kinds: ["Ping"], bufferSize, overflow })
    const subscription = yield* subscribe
    const takes = yield* Effect.all(Array.from({ length: others }, () => Effect.map(subscribe, (it) => it.takeAll)))
    return {
      publish: bus.publishUnsafe,
      take: () => Effect.runSync(subscription.take as Effect.Effect<Ping>),
      othersTakeAll: () => Effect.runSync(Effect.all(takes, { discard: true }) as Effect.Effect<void>)
    }
  })

const pubSub = (overflow: Overflow): Opening =>
  Effect.gen(function*() {
    const pubSub =
      yield* (overflow === "dropping" ? PubSub.dropping<Ping>(bufferSize) : PubSub.sliding<Ping>(bufferSize))
    const subscription = yield* PubSub.subscribe(pubSub)
    return {
      // `publishUnsafe` does not slide.
      publish: overflow === "dropping"
        ? (event) => PubSub.publishUnsafe(pubSub, event)
        : (event) => Effect.runSync(PubSub.publish(pubSub, event)),
      take: () => Effect.runSync(PubSub.take(subscription)),
      othersTakeAll: () => {}
    }
  })

interface Case {
  readonly name: string
  readonly opening: Opening
  /** Takes one event for every two published. */
  readonly isSlow: boolean
}

const others = 1000

/** Publishes between two takes of those that keep up. */
const burst = 500

const cases: ReadonlyArray<Case> = [
  { name: "event bus, stuck dropping", opening: bus("dropping", 0), isSlow: false },
  { name: "event bus, stuck sliding", opening: bus("sliding", 0), isSlow: false },
  { name: "event bus, slow dropping", opening: bus("dropping", 0), isSlow: true },
  { name: "event bus, slow sliding", opening: bus("sliding", 0), isSlow: true },
  {
    name: `event bus, stuck dropping among ${formatCount(others)} that keep up`,
    opening: bus("dropping", others),
    isSlow: false
  },
  {
    name: `event bus, stuck sliding among ${formatCount(others)} that keep up`,
    opening: bus("sliding", others),
    isSlow: false
  },
  { name: "PubSub.dropping, stuck", opening: pubSub("dropping"), isSlow: false },
  { name: "PubSub.sliding, stuck", opening: pubSub("sliding"), isSlow: false },
  { name: "PubSub.dropping, slow", opening: pubSub("dropping"), isSlow: true }
]

const hold = async ({ isSlow, opening }: Case, { events, looks }: Effort): Promise<{ live: number; bytes: number }> => {
  const scope = Scope.makeUnsafe()
  const { othersTakeAll, publish, take } = await Effect.runPromise(
    Effect.provide(Scope.provide(opening, scope), Logger.layer([]))
  )
  let live = 0
  for (let i = 1; i <= events; i++) {
    publish(new PingEvent(i))
    if (isSlow && i > bufferSize && i % 2 === 0) take()
    if (i % burst === 0) othersTakeAll()
    // How much is held depends on where the log is: the worst of several places counts.
    if (i > events - burst && i % Math.floor(burst / looks) === 0) live = Math.max(live, liveEvents())
  }
  const held = await heapUsed()
  await Effect.runPromise(Scope.close(scope, Exit.void))
  // What goes when the subscriptions do.
  return { live, bytes: held - await heapUsed() }
}

export const stuckHeap: Workload = {
  name: "stuck-heap",
  run: async (effort) => {
    const live: Array<Row> = []
    const bytes: Array<Row> = []
    const liveBefore = liveEvents()
    for (const kase of cases) {
      const held = await hold(kase, effort)
      live.push({ name: kase.name, isFloor: false, values: [held.live - liveBefore] })
      bytes.push({ name: kase.name, isFloor: false, values: [held.bytes] })
    }
    return [
      {
        id: "stuck-heap/events",
        title: `(i) Events held after ${formatCount(effort.events)} publishes by a subscription with a buffer of ${
          formatCount(bufferSize)
        }`,
        unit: "events",
        columns: ["events"],
        rows: live,
        note: "Slow: takes one event for every two published, and is always close to full."
      },
      {
        id: "stuck-heap/bytes",
        title: "(i) The heap that goes free when they, and the others, unsubscribe",
        unit: "bytes",
        columns: ["bytes"],
        rows: bytes
      }
    ]
  }
}
