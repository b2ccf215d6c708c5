/**
 * (a) The call of publish alone, while all subscribers keep up: what a publisher feels of them.
 */
import * as Contenders from "../contenders.ts"
import { ping } from "../events.ts"
import { type Effort, formatCount, type Row, type Workload } from "../measurements.ts"
import { measure, median, type Task } from "../rounds.ts"
import { quantile, timeCalls } from "../singleCalls.ts"

const sizes = [1, 10, 100, 1000, 10_000]

const contenders = [
  Contenders.bus,
  Contenders.busHandlers,
  Contenders.sharedPubSub,
  Contenders.eachPubSub,
  Contenders.sharedPubSubStreams,
  ...Contenders.emitters
]

interface Cell {
  readonly contender: Contenders.Contender
  readonly size: number
  readonly fanout: Contenders.Fanout
}

/** One call in ten thousand takes this many calls to see. */
const series = 10_000

/**
 * How many series are timed of a cell whose calls take this long. The bus, and every contender with one subscriber, get
 * several, and the median counts: another process that takes the processor away meets some of them. Where many have to
 * follow, one series takes seconds, or too long.
 */
const seriesOf = ({ contender, size }: Cell, nanos: number, { calls, tailMillis }: Effort): number =>
  contender === Contenders.bus || size === 1 ? calls / series : nanos * series <= tailMillis * 1e6 ? 1 : 0

const measureTails = async (
  cells: ReadonlyArray<Cell>,
  means: ReadonlyArray<number>,
  effort: Effort
): Promise<Array<number | undefined>> => {
  const tails = cells.map((): Array<number> => [])
  const counts = cells.map((cell, i) => seriesOf(cell, means[i]!, effort))
  for (let done = 0; done < Math.max(...counts); done++) {
    for (const [i, { fanout }] of cells.entries()) {
      if (done >= counts[i]!) continue
      const durations = await timeCalls({
        call: () => fanout.publish(ping),
        settle: fanout.settle,
        burst: 1000,
        count: series
      })
      tails[i]!.push(quantile(durations, 0.9999))
    }
  }
  return tails.map((tails) => tails.length === 0 ? undefined : median(tails))
}

export const publish: Workload = {
  name: "publish",
  run: async (effort) => {
    const cells: Array<Cell> = []
    for (const contender of contenders) {
      for (const size of sizes) {
        // Those whose publish visits everybody are slow to measure.
        if (size > effort.largest && contender.mostDeliveries < Number.POSITIVE_INFINITY) continue
        cells.push({ contender, size, fanout: await contender.open({ keepingUp: size }) })
      }
    }
    const means = await measure(
      cells.map(({ contender, fanout, size }): Task => {
        const burst = Contenders.burstOf(contender, size)
        return {
          name: contender.name,
          operations: burst,
          run: Contenders.publishing(fanout, burst),
          settle: fanout.settle
        }
      }),
      effort
    )
    const tails = await measureTails(cells, means, effort)
    const rows = (values: ReadonlyArray<number | undefined>): ReadonlyArray<Row> =>
      contenders.map((contender) => ({
        name: contender.name,
        isFloor: contender.isFloor,
        values: values.filter((_, i) => cells[i]!.contender === contender)
      }))
    const columns = sizes.map(formatCount)
    return [
      {
        id: "publish/mean",
        title: "(a) One call of publish, by the number of subscriptions, all keeping up: mean",
        unit: "nanoseconds",
        columns,
        rows: rows(means)
      },
      {
        id: "publish/p99.99",
        title: "(a) One call of publish, all keeping up: p99.99 without garbage collection",
        unit: "nanoseconds",
        columns,
        rows: rows(tails)
      }
    ]
  }
}
