/**
 * (e) One event at a time: from publish to the start of the last handler.
 */
import { setImmediate } from "node:timers/promises"
import * as Contenders from "../contenders.ts"
import { ping } from "../events.ts"
import { formatCount, type Table, type Workload } from "../measurements.ts"
import { quantile } from "../singleCalls.ts"

const sizes = [1, 10, 100, 1000]

const contenders = [
  Contenders.busHandlers,
  Contenders.busStreams,
  Contenders.eachPubSubHandlers,
  Contenders.eachPubSubStreams,
  Contenders.sharedPubSubStreams,
  ...Contenders.turns,
  ...Contenders.emitters
]

/** Notices when the last of the handlers starts. */
class LastStart {
  at = 0
  private started = 0
  private readonly handlers: number

  constructor(handlers: number) {
    this.handlers = handlers
  }

  readonly onHandled = (): void => {
    if (++this.started % this.handlers === 0) this.at = performance.now()
  }
}

// The moment in question lies inside a handler, where a benchmark library has no eyes: the loop is written out.
const timeDeliveries = async (
  fanout: Contenders.Fanout,
  last: LastStart,
  count: number
): Promise<Array<number>> => {
  const durations: Array<number> = []
  // What another contender has left in the caches of the processor is not what is measured.
  for (let i = -count; i < count; i++) {
    const start = performance.now()
    fanout.publish(ping)
    await fanout.settle()
    if (i >= 0) durations.push((last.at - start) * 1e6)
    // The subscribers get to wait again.
    await setImmediate()
    await setImmediate()
  }
  return durations
}

export const latency: Workload = {
  name: "latency",
  run: async ({ calls, rounds }) => {
    const cells: Array<Array<Array<number>>> = []
    for (const size of sizes) {
      const opened: Array<{ readonly fanout: Contenders.Fanout; readonly last: LastStart }> = []
      for (const contender of contenders) {
        const last = new LastStart(size)
        opened.push({ last, fanout: await contender.open({ keepingUp: size, onHandled: last.onHandled }) })
      }
      const count = Math.max(2, Math.ceil(Math.min(calls / 100, 20_000 / size) / rounds))
      const durations = contenders.map((): Array<number> => [])
      for (let round = -1; round < rounds; round++) {
        for (const [i, { fanout, last }] of opened.entries()) {
          const timed = await timeDeliveries(fanout, last, count)
          // The first round warms up.
          if (round >= 0) durations[i]!.push(...timed)
        }
      }
      cells.push(durations)
      for (const { fanout } of opened) await fanout.close()
    }
    const table = (id: string, share: number): Table => ({
      id: `latency/${id}`,
      title: `(e) From publish to the start of the last handler, by the number of subscribers: ${id}`,
      unit: "nanoseconds",
      columns: sizes.map(formatCount),
      rows: contenders.map(({ isFloor, name }, i) => ({
        name,
        isFloor,
        values: cells.map((durations) => quantile(durations[i]!, share))
      })),
      note:
        "Below 10 subscribers this shows the price of one turn of the scheduler: a PubSub runs the handler inside publish."
    })
    return [table("p50", 0.5), table("p99", 0.99)]
  }
}
