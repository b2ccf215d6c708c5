/**
 * (l) What one subscriber costs, beside the least that anything can cost. In a process of its own: another contender's code
 * would be compiled into what both share.
 */
import { EventBus } from "@openwatch/event-bus"
import { Effect, Scope } from "effect"
import { EventEmitter } from "node:events"
import { Ping, ping } from "../events.ts"
import type { Workload } from "../measurements.ts"
import { measure, type Task } from "../rounds.ts"

/** They fit in the buffer. */
const burst = 1000

const calling = (publish: (event: Ping) => unknown) => (): void => {
  for (let i = 0; i < burst; i++) publish(ping)
}

const busTask = async (): Promise<Task> => {
  const scope = Scope.makeUnsafe()
  const { bus, subscription } = await Effect.runPromise(Scope.provide(
    Effect.gen(function*() {
      const bus = yield* EventBus.make({ events: [Ping] })
      return { bus, subscription: yield* bus.subscribe({ kinds: ["Ping"] }) }
    }),
    scope
  ))
  return {
    name: "bus.publishUnsafe(event)",
    operations: burst,
    run: calling(bus.publishUnsafe),
    settle: () => void Effect.runSync(subscription.takeAll as Effect.Effect<unknown>)
  }
}

const emitterTask = (): Task => {
  const emitter = new EventEmitter()
  const received = { count: 0 }
  emitter.on("Ping", () => {
    received.count++
  })
  return {
    name: "emitter.emit(event._tag, event)",
    operations: burst,
    run: calling((event) => emitter.emit(event._tag, event))
  }
}

export const floor: Workload = {
  name: "floor",
  run: async (effort) => {
    const tasks = [emitterTask(), await busTask()]
    // It is a difference of some nanoseconds that counts here, and there is time for it.
    const means = await measure(tasks, { ...effort, rounds: 4 * effort.rounds })
    return [{
      id: "floor",
      title: "(l) One publish to one subscriber that keeps up, beside an EventEmitter with one listener",
      unit: "nanoseconds",
      columns: ["mean"],
      rows: tasks.map(({ name }, i) => ({ name, isFloor: i === 0, values: [means[i]] }))
    }]
  }
}
