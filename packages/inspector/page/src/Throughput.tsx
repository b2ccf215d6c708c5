import { Chart } from "./Chart.tsx"
import { clock, rate } from "./format.ts"
import type { History } from "./Live.ts"

const colors = ["--series-1", "--series-2", "--series-3", "--series-4", "--series-5", "--series-6"]

const timeOfDay = (seconds: number) => clock(seconds * 1000)

export const Throughput = ({ history, kinds }: { history: History; kinds: ReadonlyArray<string> }) => {
  const series = kinds.map((kind, index) => ({
    label: kind,
    color: colors[index % colors.length]!,
    values: history.published[kind] ?? []
  }))
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
        description={`Events published each second over the last five minutes. Now: ${said}`}
      />
      <h3>Drops</h3>
      <Chart
        times={history.times}
        series={drops}
        height={100}
        formatTime={timeOfDay}
        description={`Events dropped each second over the last five minutes. Now: ${now(history.dropped)}`}
      />
    </section>
  )
}
