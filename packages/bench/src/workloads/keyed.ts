/**
 * (m) Keyed subscriptions, each to the events of one host: what a publisher feels of them, and what an idle one weighs.
 */
import { EventBus, type Subscription } from "@openwatch/event-bus"
import { DateTime, Effect, Exit, PubSub, Schema, Scope } from "effect"
import { bufferSize, eachPubSub } from "../contenders.ts"
import { heapUsed } from "../heap.ts"
import { formatCount, type Workload } from "../measurements.ts"
import { measure, type Task } from "../rounds.ts"

const Checked = Schema.TaggedStruct("Checked", { host: Schema.String, occurredAt: Schema.DateTimeUtc })
type Checked = typeof Checked.Type

const most = 10_000
const occurredAt = DateTime.makeUnsafe(0)
const hostName = (host: number): string => `host-${host}`

/** As many events for any number of hosts: what it takes to read them is the same. The hosts have theirs in turn. */
const eventsOf = (hosts: number, step: number): ReadonlyArray<Checked> =>
  Array.from({ length: most }, (_, i) => ({ _tag: "Checked", host: hostName((i * step) % hosts), occurredAt }))

/** A step from host to host that visits all of them, and finds nothing of one in the caches for the other. */
const farApart = 7919

const open = async (hosts: number) => {
  const scope = Scope.makeUnsafe()
  const opened = await Effect.runPromise(Scope.provide(
    Effect.gen(function*() {
      const bus = yield* EventBus.make({ events: [Checked] })
      const subscriptions: Array<Subscription<Checked>> = []
      for (let host = 0; host < hosts; host++) {
        const where = { host: hostName(host) }
        subscriptions.push(yield* bus.subscribe({ kinds: ["Checked"], where, bufferSize }))
      }
      return { bus, subscriptions }
    }),
    scope
  ))
  return { ...opened, close: () => Effect.runPromise(Scope.close(scope, Exit.void)) }
}

/** The hosts that were published to take what they have, and no other. */
const publishing = async (hosts: number, subscribed: number, step: number): Promise<Task> => {
  const burst = 1000
  const { bus, subscriptions } = await open(subscribed)
  const takes = new Map(
    subscriptions.map((subscription, host) => [hostName(host), subscription.takeUpTo(Number.POSITIVE_INFINITY)])
  )
  const events = eventsOf(hosts, step)
  let published = 0
  return {
    name: formatCount(subscribed),
    operations: burst,
    run: () => {
      for (let i = 0; i < burst; i++) bus.publishUnsafe(events[published++ % most]!)
    },
    settle: () => {
      for (let i = published - burst; i < published; i++) {
        const take = takes.get(events[i % most]!.host)
        if (take !== undefined) Effect.runSync(take as Effect.Effect<unknown>)
      }
    }
  }
}

/** Bytes for each. A function of its own, so that nothing of one is alive when the next is weighed. */
const weigh = async (open: (count: number) => Promise<{ readonly close: () => Promise<void> }>, count: number) => {
  // Code that is loaded and compiled for the first ones weighs nothing for the others.
  await (await open(100)).close()
  const before = await heapUsed()
  const opened = await open(count)
  const bytes = await heapUsed() - before
  // Until here they had to live.
  await opened.close()
  return bytes / count
}

const openPubSubs = async (count: number) => {
  const scope = Scope.makeUnsafe()
  const subscribe = Effect.flatMap(PubSub.dropping<Checked>(bufferSize), PubSub.subscribe)
  const subscriptions = await Effect.runPromise(
    Scope.provide(Effect.all(Array.from({ length: count }, () => subscribe)), scope)
  )
  return {
    subscriptions,
    close: () => Effect.runPromise(Scope.close(scope, Exit.void))
  }
}

export const keyed: Workload = {
  name: "keyed",
  run: async (effort) => {
    const tasks = [
      await publishing(1, 1, 1),
      await publishing(most, most, 1),
      await publishing(most, most, farApart),
      await publishing(most, 1, 1)
    ]
    const [one, inTurn, scattered, rarely] = await measure(tasks, effort)
    return [
      {
        id: "keyed/publish",
        title: "(m) One call of publish, by the number of keyed subscriptions, each to one host",
        unit: "nanoseconds",
        columns: [formatCount(1), formatCount(most)],
        comparedWith: "column",
        rows: [
          { name: "each event for one subscription", isFloor: false, values: [one, inTurn] },
          { name: "the same, hosts far apart in memory", isFloor: false, values: [one, scattered] },
          { name: "one event in 10,000 for the one subscription", isFloor: false, values: [rarely, inTurn] }
        ],
        note:
          "10,000 subscriptions need more memory than a cache holds. So their figure depends on what else the machine does."
      },
      {
        id: "keyed/idle-heap",
        title: "(m) Heap of one idle keyed subscription",
        unit: "bytes",
        columns: ["bytes"],
        rows: [
          { name: "event bus, keyed", isFloor: false, values: [await weigh(open, effort.subscriptions)] },
          { name: eachPubSub.name, isFloor: false, values: [await weigh(openPubSubs, effort.subscriptions)] }
        ]
      }
    ]
  }
}
