/**
 * The log: lines on standard error, for people, or as JSON for programs. Standard output is for what was asked for.
 *
 * A line for people has the local time with its zone. One for programs is an object with `time` (UTC), `level`,
 * `message`, the `cause` if there is one, and all annotations.
 */
import * as Cause from "effect/Cause"
import * as Flag from "effect/cli/Flag"
import * as GlobalFlag from "effect/cli/GlobalFlag"
import * as DateTime from "effect/DateTime"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as References from "effect/References"
import * as Stdio from "effect/Stdio"
import * as Progress from "./Progress.ts"

/** `--log-format`. */
export const LogFormat = GlobalFlag.Setting("log-format")({
  flag: Flag.Literals("log-format", ["text", "json"]).pipe(
    Flag.withDescription("How lines of the log are written: for people, or as JSON for programs"),
    Flag.withDefault("text")
  )
})

const textOf = (part: unknown): string =>
  typeof part === "string" ? part : part instanceof Error ? part.message : JSON.stringify(part) ?? String(part)

const messageOf = (message: unknown): string => Array.isArray(message) ? message.map(textOf).join(" ") : textOf(message)

const colors: Readonly<Record<string, number>> = { Fatal: 31, Error: 31, Warn: 33 }

/** For people. */
export const text = (zone: DateTime.TimeZone, hasColor: boolean): Logger.Logger<unknown, string> =>
  Logger.make(({ cause, date, fiber, logLevel, message }) => {
    const iso = DateTime.formatIsoOffset(DateTime.setZone(DateTime.fromDateUnsafe(date), zone)).replace("T", " ")
    const time = iso.endsWith("Z") ? `${iso.slice(0, -1)}+00:00` : iso
    const level = logLevel.toUpperCase().padEnd(5)
    const color = hasColor ? colors[logLevel] : undefined
    const known = Object.entries(fiber.getRef(References.CurrentLogAnnotations)).map(([key, value]) =>
      ` ${key}=${textOf(value)}`
    ).join("")
    const why = cause.reasons.length === 0 ? "" : `\n${Cause.pretty(cause)}`
    return `${time} ${color === undefined ? level : `\u001b[${color}m${level}\u001b[0m`} ${
      messageOf(message)
    }${known}${why}`
  })

/** For programs. */
export const json: Logger.Logger<unknown, string> = Logger.make(({ cause, date, fiber, logLevel, message }) =>
  JSON.stringify({
    ...fiber.getRef(References.CurrentLogAnnotations),
    time: date.toISOString(),
    level: logLevel.toLowerCase(),
    message: messageOf(message),
    ...(cause.reasons.length === 0 ? {} : { cause: Cause.pretty(cause) })
  })
)

/** A logger whose lines go to standard error, apart from the progress that is shown there. */
const onStandardError = (lines: Logger.Logger<unknown, string>): Logger.Logger<unknown, void> =>
  Logger.make((options) => {
    const line = lines.log(options)
    Progress.clear()
    process.stderr.write(`${line}\n`)
  })

const wantsJson = (words: ReadonlyArray<string>): boolean =>
  words.some((word, at) => word === "--log-format=json" || (word === "--log-format" && words[at + 1] === "json"))

/**
 * The logger that the command line asks for. It has to be there before the command line is read, since reading it may
 * fail.
 */
export const layer: Layer.Layer<never, never, Stdio.Stdio> = Layer.unwrap(
  Effect.map(Effect.flatMap(Stdio.Stdio, ({ args }) => args), (words) => {
    const hasColor = process.stderr.isTTY && (process.env["NO_COLOR"] ?? "") === ""
    return Logger.layer([
      onStandardError(wantsJson(words) ? json : text(DateTime.zoneMakeLocal(), hasColor))
    ])
  })
)
