import { Chart } from "./Chart.tsx"
import { clock, rate } from "./format.ts"
import type { History } from "./Live.ts"

const colors = ["--series-1", "--series-2", "--series-3", "--series-4", "--series-5", "--series-6"]

/** Each line has a colour of its own: kinds beyond that are one line. */
const linesOf = (history: History, kinds: ReadonlyArray<string>) => {
  const single = kinds.length <= colors.length ? kinds : kinds.slice(0, colors.length - 1)
  const others = kinds.slice(single.length).map((kind) => history.published[kind] ?? [])
  const lines = single.map((kind) => ({ label: kind, values: history.published[kind] ?? [] }))
  return others.length === 0 ? lines : [...lines, {
    label: `${others.length} other kinds`,
    values: history.times.map((_, i) => others.reduce((sum, values) => sum + (values[i] ?? 0), 0))
  }]
}

/** Five minutes, as the history is long. */
const span = 300

const timeOfDay = (seconds: number) => clock(seconds * 1000)

export const Throughput = ({ history, kinds }: { history: History; kinds: ReadonlyArray<string> }) => {
  const series = linesOf(history, kinds).map(({ label, values }, index) => ({ label, values, color: colors[index]! }))
  const drops = [{ label: "Dropped", color: "--bad", values: history.dropped }]
  const now = (values: ReadonlyArray<number>) => rate(values.at(-1) ?? 0)
  const said = series.map(({ label, values }) => `${label} ${now(values)}`).join(", ")
  return (
    <section class="panel throughput" aria-labelledby="throughput">
      <h2 id="throughput">Throughput</h2>
      <ul class="legend">
        {[...series, ...drops].map(({ color, label, values }) => (
          <li key={label}>
            <span class={`swatch ${color.slice(2)}`} aria-hidden="true" />
            {label} <b>{now(values)}</b>/s
          </li>
        ))}
      </ul>
      <Chart
        times={history.times}
        series={series}
        height={180}
        formatTime={timeOfDay}
        span={span}
        description={`Events published each second over the last five minutes. Now: ${said}`}
      />
      <h3>Drops</h3>
      <Chart
        times={history.times}
        series={drops}
        height={100}
        formatTime={timeOfDay}
        span={span}
        description={`Events dropped each second over the last five minutes. Now: ${now(history.dropped)}`}
      />
    </section>
  )
}
