/**
 * (c) The whole cost of a delivery, from publish to taken, in batches of 1,000 that are taken at once.
 */
import * as Contenders from "../contenders.ts"
import { formatCount, type Workload } from "../measurements.ts"
import { measure } from "../rounds.ts"

const contenders = [Contenders.bus, Contenders.sharedPubSub, Contenders.eachPubSub, ...Contenders.emitters]

const batch = 1000

export const batches: Workload = {
  name: "batches",
  run: async (effort) => {
    const sizes = [1, 10, 100, 1000, 10_000].filter((size) => size <= effort.largest)
    const columns: Array<Array<number>> = []
    // One size at a time: ten thousand subscribers with a thousand events each fill the memory.
    for (const size of sizes) {
      const tasks = []
      const fanouts = []
      for (const contender of contenders) {
        const fanout = await contender.open({ keepingUp: size })
        fanouts.push(fanout)
        // What has no buffer has no batches.
        const count = contender.isFloor ? Contenders.burstOf(contender, size) : batch
        const publish = Contenders.publishing(fanout, count)
        tasks.push({
          name: contender.name,
          operations: count * size,
          isAsync: contender.isFloor,
          run: () => {
            publish()
            return fanout.settle()
          }
        })
      }
      columns.push(await measure(tasks, effort))
      for (const fanout of fanouts) await fanout.close()
    }
    return [{
      id: "batches",
      title: "(c) One delivery, batches of 1,000 taken with takeAll, by the number of subscribers",
      unit: "nanoseconds",
      columns: sizes.map(formatCount),
      rows: contenders.map(({ isFloor, name }, i) => ({ name, isFloor, values: columns.map((column) => column[i]) }))
    }]
  }
}
