/**
 * Tables that commands print.
 */
import { DateTime } from "effect"

/** A time in a zone, to the minute. */
export const formatTime = (time: DateTime.Utc, zone: DateTime.TimeZone): string => {
  const iso = DateTime.formatIsoOffset(DateTime.setZone(time, zone))
  const offset = iso.endsWith("Z") ? "+00:00" : iso.slice(-6)
  return `${iso.slice(0, 10)} ${iso.slice(11, 16)}${offset}`
}

/** The width of the terminal. If there is none, a program may be reading, and nothing is cut off. */
export const terminalWidth = () => process.stdout.isTTY ? process.stdout.columns : Infinity

/** Cuts lines to at most so many characters. One that was too long ends with an ellipsis. */
export const cut = (lines: ReadonlyArray<string>, width: number): ReadonlyArray<string> =>
  lines.map((line) => line.length <= width ? line : `${line.slice(0, width - 1)}…`)
