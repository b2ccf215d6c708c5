/**
 * `openwatch alerts list`: which alerts are there, and what became of them?
 */
import { Console, DateTime, Effect, Option, Schema } from "effect"
import * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"
import { Alert, type AlertState } from "../alert-router/Alert.ts"
import { AlertStore, type StoredAlert } from "../alert-store/AlertStore.ts"
import * as SqlAlertStore from "../alert-store/SqlAlertStore.ts"
import * as TimeSpan from "../configuration/TimeSpan.ts"
import * as StorageOptions from "./storageOptions.ts"

const encodeAlert = Schema.encodeSync(Schema.toCodecJson(Alert))

const formatJson = ({ alert, deliveries, repeats, resolvedAt, state }: StoredAlert): string =>
  JSON.stringify({
    ...(encodeAlert(alert) as object),
    state,
    resolvedAt: resolvedAt === undefined ? null : DateTime.formatIso(resolvedAt),
    repeats,
    deliveries: deliveries.map(({ lastError, ...delivery }) => ({ ...delivery, lastError: lastError ?? null }))
  })

const formatTime = (time: DateTime.Utc, zone: DateTime.TimeZone): string => {
  const iso = DateTime.formatIsoOffset(DateTime.setZone(time, zone))
  const offset = iso.endsWith("Z") ? "+00:00" : iso.slice(-6)
  return `${iso.slice(0, 10)} ${iso.slice(11, 16)}${offset}`
}

const formatUndelivered = (
  { attempts, channel, isEnding, lastError, state }: StoredAlert["deliveries"][number]
): string => {
  const tries = `${attempts} ${attempts === 1 ? "attempt" : "attempts"}`
  const why = lastError === undefined ? "" : `: ${lastError}`
  const what = isEnding === true ? "its end " : ""
  return state === "given_up"
    ? `  ${channel}: ${what}given up after ${tries}${why}`
    : `  ${channel}: ${what}pending, ${tries}${why}`
}

/** A line for each alert, and one for each channel that does not have it; cut off where `width` says so. */
export const formatTable = (
  alerts: ReadonlyArray<StoredAlert>,
  zone: DateTime.TimeZone,
  width = Infinity
): ReadonlyArray<string> =>
  [
    "TIME                    STATE     SEVERITY  ALERT",
    ...alerts.flatMap(({ alert, deliveries, repeats, state }) => [
      `${formatTime(alert.occurredAt, zone)}  ${state.padEnd(8)}  ${alert.severity.padEnd(8)}  ` +
      `${repeats === 0 ? "" : `${repeats + 1}x `}${alert.title}`,
      ...deliveries.filter(({ state }) => state !== "delivered").map(formatUndelivered)
    ])
  ].map((line) => line.length <= width ? line : `${line.slice(0, width - 1)}…`)

/** As wide as the terminal; where there is none, a program may be reading, and nothing is cut off. */
const terminalWidth = () => process.stdout.isTTY ? process.stdout.columns : Infinity

/** A time span back from now, or a date, perhaps with a time, in local time where it has no zone. */
export const parseSince = (text: string): Option.Option<(now: DateTime.Utc) => DateTime.Utc> => {
  const span = TimeSpan.parse(text)
  if (Option.isSome(span)) return Option.some((now) => DateTime.subtractDuration(now, span.value))
  const isDate = /^\d{4}-\d{2}-\d{2}$/.test(text)
  if (!isDate && !/^\d{4}-\d{2}-\d{2}[T ]\d{2}:\d{2}/.test(text)) return Option.none()
  // A date alone would be taken for one in UTC.
  return Option.map(DateTime.make(new Date(isDate ? `${text}T00:00` : text)), (time) => () => time)
}

const state = Flag.Literals("state", ["active", "resolved"]).pipe(
  Flag.withDescription("Only alerts in this state; an alert of severity info is never active"),
  Flag.optional
)

const since = Flag.String("since").pipe(
  Flag.withMetavar("TIME"),
  Flag.withDescription("Only alerts from then on: a time span back from now, like 24h, or a date, perhaps with a time"),
  Flag.filterMap(parseSince, () => "a time span like 24h, a date like 2026-01-31, or 2026-01-31T12:00Z"),
  Flag.optional
)

const json = Flag.Boolean("json").pipe(
  Flag.withoutNegation,
  Flag.withDescription("Print one JSON object a line for each alert"),
  Flag.withDefault(false)
)

/** The command. */
export const alertsList = Command.make(
  "list",
  { state, since, json, data: StorageOptions.data },
  Effect.fnUntraced(function*({ data, json, since, state }) {
    const list = Effect.gen(function*() {
      const store = yield* AlertStore
      return yield* store.list({
        state: Option.getOrUndefined<AlertState>(state),
        since: Option.getOrUndefined(since)?.(yield* DateTime.now)
      })
    })
    const alerts = yield* list.pipe(
      Effect.provide(SqlAlertStore.layer),
      Effect.provide(StorageOptions.layer(data, { mustExist: true }))
    )
    const zone = yield* DateTime.CurrentTimeZone
    const lines = json
      ? alerts.map(formatJson)
      : alerts.length === 0
      ? ["No alerts"]
      : formatTable(alerts, zone, terminalWidth())
    if (lines.length > 0) yield* Console.log(lines.join("\n"))
  }, Effect.provide(DateTime.layerCurrentZoneLocal))
).pipe(
  Command.withDescription("List alerts, the newest first, with the channels that do not have them yet or never will"),
  Command.withShortDescription("List alerts, the newest first"),
  Command.withExamples([
    { command: "openwatch alerts list --state active", description: "What is wrong now" },
    { command: "openwatch alerts list --since 24h --json", description: "The last day, for a program to read" }
  ])
)
