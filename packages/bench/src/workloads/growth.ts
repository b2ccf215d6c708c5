/**
 * Whether publishing gets dearer with the number of events published so far.
 */
import { EventBus, type Overflow } from "@openwatch/event-bus"
import { Effect, Exit, Logger, Scope } from "effect"
import { bufferSize } from "../contenders.ts"
import { Ping, ping } from "../events.ts"
import { formatCount, type Workload } from "../measurements.ts"
import { median } from "../rounds.ts"

interface Case {
  readonly name: string
  readonly keepingUp: number
  readonly stuck: number
  /** Takes one event for every two published. */
  readonly slow: number
  readonly overflow: Overflow
}

const cases: ReadonlyArray<Case> = [
  { name: "10 keep up", keepingUp: 10, stuck: 0, slow: 0, overflow: "dropping" },
  { name: "9 keep up, 1 stuck dropping", keepingUp: 9, stuck: 1, slow: 0, overflow: "dropping" },
  { name: "9 keep up, 1 stuck sliding", keepingUp: 9, stuck: 1, slow: 0, overflow: "sliding" },
  { name: "9 keep up, 1 slow dropping", keepingUp: 9, stuck: 0, slow: 1, overflow: "dropping" },
  { name: "9 keep up, 1 slow sliding", keepingUp: 9, stuck: 0, slow: 1, overflow: "sliding" },
  { name: "nobody", keepingUp: 0, stuck: 0, slow: 0, overflow: "dropping" }
]

const open = ({ keepingUp, overflow, slow, stuck }: Case) =>
  Effect.gen(function*() {
    const bus = yield* EventBus.make({ events: [Ping] })
    const subscribe = bus.subscribe({ kinds: ["Ping"], bufferSize, overflow })
    const subscriptions = yield* Effect.all(Array.from({ length: keepingUp + slow + stuck }, () => subscribe))
    const takeAll = Effect.all(subscriptions.slice(0, keepingUp).map((it) => it.takeAll), { discard: true })
    const takeSome = Effect.all(subscriptions.slice(keepingUp, keepingUp + slow).map((it) => it.takeUpTo(burst / 2)), {
      discard: true
    })
    return {
      publish: bus.publishUnsafe,
      settle: () => Effect.runSync(Effect.andThen(takeAll, takeSome) as Effect.Effect<void>)
    }
  })

const burst = 500
const windows = 20

/** The mean of each window of publishes: a library would measure the whole, and the question is how the parts differ. */
const measureWindows = async (kase: Case, events: number): Promise<Array<number>> => {
  const scope = Scope.makeUnsafe()
  const { publish, settle } = await Effect.runPromise(
    Effect.provide(Scope.provide(open(kase), scope), Logger.layer([]))
  )
  const means: Array<number> = []
  for (let window = 0; window < windows; window++) {
    const bursts: Array<number> = []
    for (let done = 0; done < events / windows; done += burst) {
      const start = performance.now()
      for (let i = 0; i < burst; i++) publish(ping)
      bursts.push((performance.now() - start) * 1e6 / burst)
      settle()
    }
    means.push(median(bursts))
  }
  await Effect.runPromise(Scope.close(scope, Exit.void))
  return means
}

export const growth: Workload = {
  name: "growth",
  run: async ({ events }) => {
    const rows = []
    for (const kase of cases) {
      // Compiles the code: the first window must not look dear for that.
      await measureWindows(kase, 100_000)
      const means = await measureWindows(kase, events)
      rows.push({
        name: kase.name,
        isFloor: false,
        values: [median(means.slice(0, windows / 4)), median(means.slice(-windows / 4))]
      })
    }
    return [{
      id: "growth",
      title: `One call of the event bus's publish in a life of ${formatCount(events)} events`,
      unit: "nanoseconds",
      comparedWith: "column",
      columns: ["the first quarter", "the last quarter"],
      rows
    }]
  }
}
