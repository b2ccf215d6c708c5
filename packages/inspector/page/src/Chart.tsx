import { useEffect, useRef } from "preact/hooks"
import uPlot from "uplot"

export interface Series {
  readonly label: string
  /** The name of a custom property of the style sheet. */
  readonly color: string
  readonly values: ReadonlyArray<number>
}

interface Props {
  /** Seconds since the epoch. */
  readonly times: ReadonlyArray<number>
  readonly series: ReadonlyArray<Series>
  readonly height: number
  /** How a time is written below the picture. */
  readonly formatTime: (seconds: number) => string
  /** What the picture shows, in words: all that some readers get of it. */
  readonly description: string
  readonly range?: readonly [number, number]
  /** How many seconds the picture shows up to the last of its times. Default: all. */
  readonly span?: number
  readonly points?: boolean
}

const dayLong = 86_400

const dashes = [[], [6, 4], [2, 3], [10, 4, 2, 4]]

/** Two ticks on one day say so once. */
const once = (labels: ReadonlyArray<string>): Array<string> =>
  labels.map((label, i) => label === labels[i - 1] ? "" : label)

/** A line chart that follows its data, the width of its place and the theme. */
export const Chart = ({ description, formatTime, height, points, range, series, span, times }: Props) => {
  const place = useRef<HTMLDivElement>(null)
  const plot = useRef<uPlot>(undefined)
  const shape = series.map(({ label }) => label).join("\n")
  const data = [times, ...series.map(({ values }) => values)] as uPlot.AlignedData
  const latest = useRef(data)
  latest.current = data

  useEffect(() => {
    const element = place.current!
    const dark = matchMedia("(prefers-color-scheme: dark)")
    const draw = () => {
      plot.current?.destroy()
      const style = getComputedStyle(element)
      const color = (name: string) => style.getPropertyValue(name).trim()
      const axis = {
        stroke: color("--muted"),
        grid: { stroke: color("--line"), width: 1 },
        ticks: { stroke: color("--line"), width: 1 },
        font: `12px ${style.fontFamily}`
      }
      plot.current = new uPlot(
        {
          width: element.clientWidth,
          height,
          legend: { show: false },
          cursor: { drag: { x: false, y: false } },
          scales: {
            x: {
              // A single time is no span, and would be shown among ticks that are days apart.
              range: (_plot, min, max) =>
                span !== undefined ? [max - span, max] : min === max ? [min - dayLong, max + dayLong] : [min, max]
            },
            y: { range: range === undefined ? (_plot, _min, max) => [0, Math.max(1, max * 1.1)] : [range[0], range[1]] }
          },
          axes: [{ ...axis, size: 32, space: 90, values: (_plot, seconds) => once(seconds.map(formatTime)) }, {
            ...axis,
            size: 48,
            space: 22
          }],
          series: [
            {},
            ...series.map((one, index) => ({
              label: one.label,
              stroke: color(one.color),
              width: 2,
              dash: dashes[index % dashes.length]!,
              points: { show: points ?? false, fill: color("--panel") }
            }))
          ]
        },
        latest.current,
        element
      )
    }
    draw()
    const resized = new ResizeObserver(() => {
      const width = element.clientWidth
      if (width > 0 && width !== plot.current?.width) plot.current?.setSize({ width, height })
    })
    resized.observe(element)
    dark.addEventListener("change", draw)
    return () => {
      resized.disconnect()
      dark.removeEventListener("change", draw)
      plot.current?.destroy()
      plot.current = undefined
    }
    // Only another set of lines needs another chart.
  }, [shape, height])

  useEffect(() => plot.current?.setData(data), [times, series])

  return <div class="chart" ref={place} role="img" aria-label={description} />
}
