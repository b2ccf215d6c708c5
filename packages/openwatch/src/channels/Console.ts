/**
 * Alerts as lines on standard output.
 */
import { Console, DateTime, Effect } from "effect"
import * as TerminalCapabilities from "effect/cli/TerminalCapabilities"
import type { Alert, Severity } from "../alert-router/Alert.ts"
import type { AlertChannel } from "../alert-router/AlertChannel.ts"

const colors: { readonly [S in Severity]: number } = { critical: 31, high: 31, medium: 33, low: 36, info: 32 }

const format = (alert: Alert, zone: DateTime.TimeZone, canColor: boolean): string => {
  const at = DateTime.formatIsoOffset(DateTime.setZone(alert.occurredAt, zone)).slice(0, 19).replace("T", " ")
  const severity = alert.severity.padEnd(8)
  return `${at}  ${canColor ? `\u001b[${colors[alert.severity]}m${severity}\u001b[0m` : severity}  ${alert.title}`
}

/** Prints each alert as one line, in the current time zone, in color where the terminal has it. */
export const make = (options: Pick<AlertChannel, "name" | "requiredTags">) =>
  Effect.gen(function*() {
    const zone = yield* DateTime.CurrentTimeZone
    const { canColor } = yield* TerminalCapabilities.TerminalCapabilities
    const channel: AlertChannel = { ...options, send: (alert) => Console.log(format(alert, zone, canColor)) }
    return channel
  })
