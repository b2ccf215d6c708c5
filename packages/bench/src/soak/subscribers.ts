/**
 * The subscribers of the soak: each takes in its own way, sees to the order of what it gets, and says when it waits.
 */
import type { EventBus, Subscription, SubscriptionSnapshot } from "@openwatch/event-bus"
import { Effect, Exit, Scope, Stream } from "effect"
import { type Color, kinds } from "./events.ts"
import type { Random } from "./random.ts"

export const ways = [
  "take",
  "two takers",
  "takeAll",
  "takeBetween",
  "impatient",
  "slow",
  "stream",
  "on",
  "on, slow",
  "on, side by side",
  "stuck"
] as const

export interface Subscriber {
  readonly name: string
  readonly snapshot: Effect.Effect<SubscriptionSnapshot>
  /** Takes as soon as it can: it must not be found with events pending twice, and none taken between. */
  readonly isEager: boolean
  /** Events that it got. */
  readonly seen: () => number
  /** For how many events each of its takers waits now: 0 for one that is busy. */
  readonly waits: ReadonlyArray<number>
  readonly leave: Effect.Effect<void>
}

/** Fails the soak. */
export class LawBroken extends Error {
  override readonly name = "LawBroken"
}

/** What one of them got. Each gets events in the order in which they were published. */
class Sight {
  seen = 0
  private readonly name: string

  constructor(name: string) {
    this.name = name
  }

  /** For one that gets events one after the other. */
  inOrder(): (events: ReadonlyArray<Color>) => void {
    let last = 0
    return (events) => {
      this.seen += events.length
      for (const { n } of events) {
        if (n <= last) throw new LawBroken(`${this.name} got event ${n} after ${last}`)
        last = n
      }
    }
  }

  readonly inAnyOrder = (events: ReadonlyArray<Color>): void => {
    this.seen += events.length
  }
}

/** Subscribes in one of the ways. */
export const arrive = (
  bus: EventBus.EventBus<Color>,
  options: {
    readonly name: string
    readonly way: (typeof ways)[number]
    readonly random: Random
    /** What a subscriber dies of is a law that is broken. */
    readonly onBroken: (cause: unknown) => void
  }
): Effect.Effect<Subscriber> =>
  Effect.gen(function*() {
    const { name, random, way } = options
    const scope = yield* Scope.make()
    const bufferSize = random.oneOf([1, 2, 3, 16, 255, 256, 257, 1024])
    const buffer = {
      name,
      bufferSize,
      overflow: random.oneOf(["dropping", "sliding"] as const),
      replay: random.below(Math.min(bufferSize, 8) + 1)
    }
    const wanted = way === "stuck" ? kinds : kinds.filter(() => random.next() < 0.6)
    const leave = Scope.close(scope, Exit.void)
    const sight = new Sight(name)
    const seen = () => sight.seen

    if (way === "on" || way === "on, slow" || way === "on, side by side") {
      const see = way === "on, side by side" ? sight.inAnyOrder : sight.inOrder()
      const handler = (event: Color): Effect.Effect<void, string> =>
        Effect.suspend(() => {
          see([event])
          if (event.n % 97 === 0) return Effect.fail("now and then")
          return way === "on, slow" ? Effect.sleep(1) : Effect.void
        })
      const handle = yield* Scope.provide(
        bus.on(wanted, handler, {
          ...buffer,
          concurrency: way === "on, side by side" ? 3 : 1,
          drain: random.oneOf([undefined, "2 millis"] as const),
          onFailure: (_event, cause) =>
            Effect.sync(() => {
              for (const reason of cause.reasons) if (reason._tag === "Die") options.onBroken(reason.defect)
            })
        }),
        scope
      )
      return { name, snapshot: handle.snapshot, isEager: way === "on", seen, waits: [], leave }
    }

    const subscription = yield* Scope.provide(bus.subscribe({ ...buffer, kinds: wanted }), scope)
    const waits: Array<number> = []
    for (
      const [i, { count, run }] of takersOf(subscription, way, Math.min(bufferSize, 1 + random.below(4))).entries()
    ) {
      const see = sight.inOrder()
      const taking = Effect.suspend(() => {
        waits[i] = count
        return Effect.onExit(run, () =>
          Effect.sync(() => {
            waits[i] = 0
          }))
      })
      const seeing = Effect.flatMap(taking, (events) => {
        see(events)
        return way === "slow" ? Effect.sleep(1) : Effect.void
      })
      // A taker ends when the subscription does; what it dies of is another matter.
      yield* Effect.forkIn(
        Effect.catchDefect(
          Effect.ignore(Effect.forever(seeing)),
          (defect) => Effect.sync(() => options.onBroken(defect))
        ),
        scope
      )
    }
    if (way === "stream") {
      const see = sight.inOrder()
      yield* Effect.forkIn(
        Effect.catchDefect(
          Stream.runForEach(subscription.stream, (event) => Effect.sync(() => see([event]))),
          (defect) => Effect.sync(() => options.onBroken(defect))
        ),
        scope
      )
    }
    return { name, snapshot: subscription.snapshot, isEager: way === "stream", seen, waits, leave }
  })

interface Taker {
  /** For how many events it waits. */
  readonly count: number
  readonly run: Effect.Effect<ReadonlyArray<Color>, unknown>
}

const takersOf = (
  subscription: Subscription<Color>,
  way: (typeof ways)[number],
  min: number
): ReadonlyArray<Taker> => {
  const one: Taker = { count: 1, run: Effect.map(subscription.take, (event) => [event]) }
  switch (way) {
    case "take":
    case "slow":
      return [one]
    case "two takers":
      return [one, one]
    case "takeAll":
      return [{ count: 1, run: subscription.takeAll }]
    case "takeBetween":
      return [{ count: min, run: subscription.takeBetween(min, 2 * min) }]
    case "impatient":
      // Interrupts itself while it waits, and asks again.
      return [{ count: 1, run: Effect.timeoutOrElse(one.run, { duration: 1, orElse: () => Effect.succeed([]) }) }]
    default:
      return []
  }
}
