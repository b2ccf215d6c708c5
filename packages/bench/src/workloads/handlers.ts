/**
 * (d) The whole cost of a delivery to a handler that is an effect.
 */
import * as Contenders from "../contenders.ts"
import { formatCount, type Workload } from "../measurements.ts"
import { measure, type Task } from "../rounds.ts"

const sizes = [1, 10, 100, 1000]

const contenders = [
  Contenders.busHandlers,
  Contenders.busConsumers,
  Contenders.busStreams,
  Contenders.sharedPubSubStreams,
  Contenders.eachPubSubStreams,
  Contenders.eachPubSubHandlers,
  Contenders.whileLoops,
  ...Contenders.emitters
]

export const handlers: Workload = {
  name: "handlers",
  run: async (effort) => {
    const columns: Array<Array<number>> = []
    for (const size of sizes) {
      const tasks: Array<Task> = []
      const fanouts = []
      for (const contender of contenders) {
        const fanout = await contender.open({ keepingUp: size })
        fanouts.push(fanout)
        // The same burst for all: how many events a handler finds when it wakes is half of what it costs.
        const burst = Contenders.burstOf(Contenders.sharedPubSubStreams, size)
        const publish = Contenders.publishing(fanout, burst)
        tasks.push({
          name: contender.name,
          operations: burst * size,
          isAsync: true,
          run: async () => {
            publish()
            await fanout.settle()
          }
        })
      }
      columns.push(await measure(tasks, effort))
      for (const fanout of fanouts) await fanout.close()
    }
    return [{
      id: "handlers",
      title: "(d) One delivery to an Effect handler, bursts of up to 1,000 events, by the number of subscribers",
      unit: "nanoseconds",
      columns: sizes.map(formatCount),
      rows: contenders.map(({ isFloor, name }, i) => ({ name, isFloor, values: columns.map((column) => column[i]) }))
    }]
  }
}
