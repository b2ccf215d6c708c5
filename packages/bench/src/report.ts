/**
 * Measurements as Markdown tables, to be read in a terminal and pasted into a document.
 */
import type { Row, Table } from "./measurements.ts"
import { isMet, type Target } from "./targets.ts"

const threeDigits = (value: number): string => value.toLocaleString("en", { maximumSignificantDigits: 3 })

const format: Record<Table["unit"], (value: number) => string> = {
  nanoseconds: (nanos) =>
    nanos < 1e3
      ? `${threeDigits(nanos)} ns`
      : nanos < 1e6
      ? `${threeDigits(nanos / 1e3)} µs`
      : `${threeDigits(nanos / 1e6)} ms`,
  bytes: (bytes) => bytes < 1e3 ? `${threeDigits(bytes)} B` : `${threeDigits(bytes / 1e3)} kB`,
  events: (count) => count.toLocaleString("en"),
  "events/s": (rate) => `${threeDigits(rate)}/s`
}

const formatRatio = (ratio: number): string => `${threeDigits(ratio)}x`

const markdown = (header: ReadonlyArray<string>, rows: ReadonlyArray<ReadonlyArray<string>>): string => {
  const widths = header.map((_, column) => Math.max(3, ...[header, ...rows].map((row) => row[column]!.length)))
  const line = (cells: ReadonlyArray<string>) =>
    `| ${cells.map((cell, i) => i === 0 ? cell.padEnd(widths[i]!) : cell.padStart(widths[i]!)).join(" | ")} |`
  const rule = `| ${widths.map((width, i) => i === 0 ? "-".repeat(width) : `${"-".repeat(width - 1)}:`).join(" | ")} |`
  return [line(header), rule, ...rows.map(line)].join("\n")
}

const floorMark = " *"

export const tableReport = (table: Table): string => {
  const cell = (row: Row, column: number): string => {
    const value = row.values[column]
    if (value === undefined) return "-"
    const reference = table.comparedWith === "column" ? row.values[0] : table.rows[0]!.values[column]
    const isReference = table.comparedWith === "column" ? column === 0 : row === table.rows[0]
    const formatted = format[table.unit](value)
    return isReference || reference === undefined ? formatted : `${formatted} (${formatRatio(value / reference)})`
  }
  return [
    `### ${table.title}`,
    "",
    markdown(
      ["", ...table.columns],
      table.rows.map((row) => [
        row.name + (row.isFloor ? floorMark : ""),
        ...table.columns.map((_, column) => cell(row, column))
      ])
    ),
    "",
    ...(table.rows.some(({ isFloor }) => isFloor)
      ? [
        `\\* only calls its listeners. It has no buffer, no isolation and no backpressure, so it shows the least that is possible.`
      ]
      : []),
    ...(table.note === undefined ? [] : [table.note])
  ].join("\n").trimEnd()
}

export const targetsReport = (targets: ReadonlyArray<Target>): string => {
  const measured = targets.filter(({ measured }) => measured !== undefined)
  return [
    "### Targets",
    "",
    markdown(
      ["", "at most", "measured", "met"],
      measured.map((target) => [
        target.what,
        formatRatio(target.atMost),
        formatRatio(target.measured!),
        isMet(target) ? "yes" : "NO"
      ])
    )
  ].join("\n")
}
