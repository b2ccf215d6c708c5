/**
 * (h) What one idle subscription weighs.
 */
import * as Contenders from "../contenders.ts"
import { heapUsed } from "../heap.ts"
import type { Row, Workload } from "../measurements.ts"

const contenders = [
  Contenders.bus,
  Contenders.busHandlers,
  Contenders.busStreams,
  Contenders.eachPubSub,
  Contenders.sharedPubSub,
  Contenders.eachPubSubStreams,
  Contenders.sharedPubSubStreams,
  ...Contenders.emitters
]

/** Bytes for each subscription. A function of its own, so that nothing of one contender is alive when the next is weighed. */
const weigh = async ({ open }: Contenders.Contender, subscriptions: number): Promise<number> => {
  // Code that is loaded and compiled for the first subscriptions weighs nothing for the others.
  const first = await open({ keepingUp: 100 })
  await first.close()
  const before = await heapUsed()
  const fanout = await open({ keepingUp: subscriptions })
  const bytes = await heapUsed() - before
  // Until here the subscriptions had to live.
  await fanout.close()
  return bytes / subscriptions
}

export const idleHeap: Workload = {
  name: "idle-heap",
  run: async ({ subscriptions }) => {
    const rows: Array<Row> = []
    for (const contender of contenders) {
      const { isFloor, name } = contender
      rows.push({ name, isFloor, values: [await weigh(contender, subscriptions)] })
    }
    return [{
      id: "idle-heap",
      title: "(h) Heap of one idle subscription; with `on` and `stream`, with the fiber that waits",
      unit: "bytes",
      columns: ["bytes"],
      rows
    }]
  }
}
