/**
 * (j) Publishing inside and outside a span, with tracing off and on, and what handling the event costs then.
 */
import { EventBus } from "@openwatch/event-bus"
import { Effect, Exit, PubSub, Scope } from "effect"
import * as Contenders from "../contenders.ts"
import { Ping, ping } from "../events.ts"
import type { Workload } from "../measurements.ts"
import { measure, type Task } from "../rounds.ts"

const publishes = 1000
const subscribers = 10

interface Target {
  readonly publish: (event: Ping) => Effect.Effect<unknown>
  readonly settle: () => void | Promise<void>
}

/** `on` is the cost of the whole way to the handler, the others are that of publish alone. */
const contenders = ["event bus", "PubSub.dropping, shared", "event bus, on: until it is handled"] as const

const bus = Effect.gen(function*() {
  const bus = yield* EventBus.make({ events: [Ping] })
  const subscribe = bus.subscribe({ kinds: ["Ping"], bufferSize: Contenders.bufferSize })
  const takes = yield* Effect.all(Array.from({ length: subscribers }, () => Effect.map(subscribe, (it) => it.takeAll)))
  const takeAll = Effect.all(takes, { discard: true }) as Effect.Effect<void>
  return { publish: bus.publish, settle: () => Effect.runSync(takeAll) }
})

const pubSub = Effect.gen(function*() {
  const pubSub = yield* PubSub.dropping<Ping>(Contenders.bufferSize)
  const takes = yield* Effect.all(
    Array.from({ length: subscribers }, () => Effect.map(PubSub.subscribe(pubSub), PubSub.takeAll))
  )
  const takeAll = Effect.all(takes, { discard: true })
  return { publish: (event: Ping) => PubSub.publish(pubSub, event), settle: () => Effect.runSync(takeAll) }
})

const busHandlers = Effect.gen(function*() {
  const bus = yield* EventBus.make({ events: [Ping] })
  let received = 0
  let onReceived = () => {}
  const handler = () =>
    Effect.sync(() => {
      if (++received % (publishes * subscribers) === 0) onReceived()
    })
  for (let i = 0; i < subscribers; i++) yield* bus.on("Ping", handler, { bufferSize: Contenders.bufferSize })
  return {
    publish: bus.publish,
    settle: () =>
      new Promise<void>((resolve) => {
        onReceived = resolve
      })
  }
})

const openings: Record<(typeof contenders)[number], Effect.Effect<Target, never, Scope.Scope>> = {
  "event bus": bus,
  "PubSub.dropping, shared": pubSub,
  "event bus, on: until it is handled": busHandlers
}

const cases: ReadonlyArray<{ readonly isTraced: boolean; readonly isInside: boolean }> = [
  { isTraced: false, isInside: false },
  { isTraced: false, isInside: true },
  { isTraced: true, isInside: false },
  { isTraced: true, isInside: true }
]

export const spans: Workload = {
  name: "spans",
  run: async (effort) => {
    const tasks: Array<Task> = []
    const scope = Scope.makeUnsafe()
    for (const name of contenders) {
      for (const { isInside, isTraced } of cases) {
        const { publish, settle } = await Effect.runPromise(Scope.provide(openings[name], scope))
        const loop = Effect.gen(function*() {
          for (let i = 0; i < publishes; i++) yield* publish(ping)
        })
        const program = Effect.withTracerEnabled(isInside ? Effect.withSpan(loop, "publishing") : loop, isTraced)
        const publishing = () => Effect.runSync(program)
        const isWhole = name === "event bus, on: until it is handled"
        tasks.push(
          isWhole
            ? {
              name,
              operations: publishes * subscribers,
              isAsync: true,
              run: () => {
                publishing()
                return settle()
              }
            }
            : { name, operations: publishes, run: publishing, settle }
        )
      }
    }
    const means = await measure(tasks, effort)
    await Effect.runPromise(Scope.close(scope, Exit.void))
    return [{
      id: "spans",
      title: `(j) One yield* publish, ${subscribers} subscribers; until it is handled: one delivery`,
      unit: "nanoseconds",
      columns: cases.map(({ isInside, isTraced }) =>
        `${isInside ? "inside" : "outside"} a span, tracing ${isTraced ? "on" : "off"}`
      ),
      rows: contenders.map((name, i) => ({
        name,
        isFloor: false,
        values: means.slice(i * cases.length, (i + 1) * cases.length)
      })),
      note: "A handler of an event that was published inside a span runs in a span of its own, linked to it."
    }]
  }
}
