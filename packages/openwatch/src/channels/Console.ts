/**
 * Alerts as lines on standard output.
 */
import { Console, DateTime, Effect } from "effect"
import * as TerminalCapabilities from "effect/cli/TerminalCapabilities"
import type { Alert, Severity } from "../alert-router/Alert.ts"
import type { AlertChannel, Routing } from "../alert-router/AlertChannel.ts"

const colors: { readonly [S in Severity]: number } = { critical: 31, high: 31, medium: 33, low: 36, info: 32 }

interface Line extends Pick<Alert, "severity" | "title" | "occurredAt"> {}

const format = ({ occurredAt, severity, title }: Line, zone: DateTime.TimeZone, canColor: boolean): string => {
  const at = DateTime.formatIsoOffset(DateTime.setZone(occurredAt, zone)).slice(0, 19).replace("T", " ")
  const padded = severity.padEnd(8)
  return `${at}  ${canColor ? `\u001b[${colors[severity]}m${padded}\u001b[0m` : padded}  ${title}`
}

/** Prints each alert as one line, in the current time zone, in color where the terminal has it. */
export const make = (options: Routing) =>
  Effect.gen(function*() {
    const zone = yield* DateTime.CurrentTimeZone
    const { canColor } = yield* TerminalCapabilities.TerminalCapabilities
    const print = (line: Line) => Console.log(format(line, zone, canColor))
    const channel: AlertChannel = {
      ...options,
      send: print,
      sendEnding: ({ alert, occurredAt, why }) =>
        print({ severity: "info", title: `${why}: over is "${alert.title}"`, occurredAt })
    }
    return channel
  })
