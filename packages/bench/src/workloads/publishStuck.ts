/**
 * (b) The call of publish alone, while every tenth subscriber is stuck and its buffer full.
 */
import * as Contenders from "../contenders.ts"
import { ping } from "../events.ts"
import { collectGarbage } from "../heap.ts"
import { formatCount, type Workload } from "../measurements.ts"
import { measure, type Task } from "../rounds.ts"

const contenders = [Contenders.bus, Contenders.busSliding, Contenders.sharedPubSub, Contenders.eachPubSub]

export const publishStuck: Workload = {
  name: "publish-stuck",
  run: async (effort) => {
    const sizes = [10, 100, 1000, 10_000].filter((size) => size <= effort.largest)
    const rows: Array<{ readonly name: string; readonly isFloor: boolean; readonly tasks: ReadonlyArray<Task> }> = []
    // The first thousands of subscriptions of a process are moved about by the garbage collector before it makes them where
    // they stay. Scattered as they are, they take up to three times as long to visit; nobody measures them.
    for (let i = 0; i < 10; i++) await Contenders.bus.open({ keepingUp: 1000 })
    for (const contender of contenders) {
      for (const isStuck of [true, false]) {
        const name = `${contender.name}, ${isStuck ? "every tenth stuck" : "none stuck"}`
        const tasks: Array<Task> = []
        for (const size of sizes) {
          // Ten thousand buffers are not worth the time that it takes to fill them.
          if (contender.mostDeliveries <= size) continue
          const stuck = isStuck ? size / 10 : 0
          const fanout = await contender.open({ keepingUp: size - stuck, stuck })
          // One stuck subscriber leaves the others of a shared PubSub nothing to take.
          const settle = isStuck && contender === Contenders.sharedPubSub ? undefined : fanout.settle
          // The stuck are full before anything is measured: after as many events more as there are subscriptions, the bus
          // has looked at each of them.
          for (let i = 0; i < Contenders.bufferSize + size; i++) {
            fanout.publish(ping)
            if (i % 512 === 511) await settle?.()
          }
          await settle?.()
          const burst = Contenders.burstOf(contender, size)
          tasks.push({
            name,
            operations: burst,
            run: Contenders.publishing(fanout, burst),
            ...settle && { settle }
          })
        }
        rows.push({ name, isFloor: contender.isFloor, tasks })
      }
    }
    await collectGarbage()
    const means = await measure(rows.flatMap(({ tasks }) => tasks), effort)
    return [{
      id: "publish-stuck",
      title: "(b) One call of publish, by the number of subscriptions: mean",
      unit: "nanoseconds",
      columns: sizes.map(formatCount),
      rows: rows.map(({ isFloor, name, tasks }) => ({ name, isFloor, values: means.splice(0, tasks.length) })),
      note: "A shared PubSub with a stuck subscriber is full: it rejects every event, for all its subscribers."
    }]
  }
}
