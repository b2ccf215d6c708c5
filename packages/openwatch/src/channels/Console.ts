/**
 * Alerts as lines on standard output.
 */
import { DateTime, Effect } from "effect"
import * as TerminalCapabilities from "effect/cli/TerminalCapabilities"
import type { Severity } from "../alert-router/Alert.ts"
import { ChannelError, type Routing } from "../alert-router/AlertChannel.ts"
import * as ForPeople from "./ForPeople.ts"
import type { Message } from "./Message.ts"

const colors: { readonly [S in Severity]: number } = { critical: 31, high: 31, medium: 33, low: 36, info: 32 }

const format = ({ occurredAt, sections }: Message, zone: DateTime.TimeZone, canColor: boolean): string => {
  const at = DateTime.formatIsoOffset(DateTime.setZone(occurredAt, zone)).slice(0, 19).replace("T", " ")
  return sections.map(({ headline, severity }) => {
    const padded = severity.padEnd(8)
    return `${at}  ${canColor ? `\u001b[${colors[severity]}m${padded}\u001b[0m` : padded}  ${headline}`
  }).join("\n")
}

/** Fails if the text cannot be written: for example because standard output is a file, and its disk is full. */
const print = (text: string) =>
  Effect.callback<string, ChannelError>((resume) => {
    const fail = (why: string) =>
      resume(Effect.fail(new ChannelError({ message: `standard output: ${why}`, isRetryable: true })))
    // It is printed once somebody reads. Until then each attempt would add it once more.
    if (process.stdout.writableLength > 0) return fail("nobody reads it")
    process.stdout.write(
      `${text}\n`,
      (error) => error ? fail(error.message) : resume(Effect.succeed("it is printed"))
    )
  })

/** Prints a line for all that is told of the same, in the current time zone, in color if the terminal has colors. */
export const make = (options: Routing & Partial<ForPeople.GroupingOptions>) =>
  Effect.gen(function*() {
    const zone = yield* DateTime.CurrentTimeZone
    const { canColor } = yield* TerminalCapabilities.TerminalCapabilities
    return ForPeople.make(options, (message) => print(format(message, zone, canColor)))
  })
