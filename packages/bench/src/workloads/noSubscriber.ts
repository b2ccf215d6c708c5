/**
 * (f) Publishing when nobody has subscribed.
 */
import { EventBus } from "@openwatch/event-bus"
import { Effect, PubSub, Scope } from "effect"
import * as Contenders from "../contenders.ts"
import { Ping, ping } from "../events.ts"
import type { Row, Workload } from "../measurements.ts"
import { measure, type Task } from "../rounds.ts"

const yields = 1000

interface Case {
  readonly name: string
  readonly isFloor: boolean
  readonly run: () => void
}

/** A thousand times `yield*` what `make` makes. */
const repeating = (make: () => Effect.Effect<unknown>) => {
  const program = Effect.gen(function*() {
    for (let i = 0; i < yields; i++) yield* make()
  })
  return () => Effect.runSync(program)
}

const calling = (call: () => unknown) => () => {
  for (let i = 0; i < yields; i++) call()
}

export const noSubscriber: Workload = {
  name: "no-subscriber",
  run: async (effort) => {
    const scope = Scope.makeUnsafe()
    const bus = await Effect.runPromise(Scope.provide(EventBus.make({ events: [Ping] }), scope))
    const pubSub = await Effect.runPromise(PubSub.dropping<Ping>(Contenders.bufferSize))
    // The two that a target compares come first: what the others leave in the compiled code of `PubSub` would count.
    const effects: ReadonlyArray<Case> = [
      { name: "yield* bus.publish(event)", isFloor: false, run: repeating(() => bus.publish(ping)) },
      { name: "yield* Effect.sync(() => {})", isFloor: false, run: repeating(() => Effect.sync(() => {})) }
    ]
    const others: Array<Case> = [
      {
        name: "yield* PubSub.publish(pubSub, event)",
        isFloor: false,
        run: repeating(() => PubSub.publish(pubSub, ping))
      },
      { name: "bus.publishUnsafe(event)", isFloor: false, run: calling(() => bus.publishUnsafe(ping)) },
      {
        name: "PubSub.publishUnsafe(pubSub, event)",
        isFloor: false,
        run: calling(() => PubSub.publishUnsafe(pubSub, ping))
      }
    ]
    for (const emitter of Contenders.emitters) {
      const fanout = await emitter.open({ keepingUp: 0 })
      others.push({ name: emitter.name, isFloor: true, run: calling(() => fanout.publish(ping)) })
    }
    // It is a difference of some nanoseconds that counts here, and there is time for it.
    const rows = async (cases: ReadonlyArray<Case>): Promise<ReadonlyArray<Row>> => {
      const tasks = cases.map(({ name, run }): Task => ({ name, operations: yields, run }))
      const means = await measure(tasks, { ...effort, rounds: 4 * effort.rounds })
      return cases.map(({ isFloor, name }, i) => ({ name, isFloor, values: [means[i]] }))
    }
    return [{
      id: "no-subscriber",
      title: "(f) One publish without a subscriber",
      unit: "nanoseconds",
      columns: ["mean"],
      rows: [...await rows(effects), ...await rows(others)]
    }]
  }
}
