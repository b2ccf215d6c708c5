/**
 * `openwatch alerts list`: which alerts are there, and what became of them?
 */
import { Console, DateTime, Effect, Option, Schema } from "effect"
import * as CliError from "effect/cli/CliError"
import * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"
import { Alert, AllSeverities } from "../alert-router/Alert.ts"
import { AllAlertStates, openStates } from "../alert-router/Lifecycle.ts"
import { AlertStore, type StoredAlert } from "../alert-store/AlertStore.ts"
import * as SqlAlertStore from "../alert-store/SqlAlertStore.ts"
import { shortId } from "../alert-store/SqlAlertStore.ts"
import * as TimeSpan from "../configuration/TimeSpan.ts"
import { counted } from "../events/counted.ts"
import * as Maintenances from "../storage/Maintenances.ts"
import { json as jsonFlag, jsonLine } from "./jsonLine.ts"
import * as StorageOptions from "./storageOptions.ts"
import { cut, formatTime, terminalWidth } from "./Table.ts"

const encodeAlert = Schema.encodeSync(Schema.toCodecJson(Alert))

const isoOrNull = (time: DateTime.Utc | undefined) => time === undefined ? null : DateTime.formatIso(time)

const formatJson = ({ alert, deliveries, repeats, resolvedAt, silencedUntil, state }: StoredAlert): string =>
  jsonLine({
    ...(encodeAlert(alert) as object),
    state,
    silencedUntil: isoOrNull(silencedUntil),
    resolvedAt: isoOrNull(resolvedAt),
    repeats,
    deliveries: deliveries.map(({ lastError, ...delivery }) => ({ ...delivery, lastError: lastError ?? null }))
  })

const formatUndelivered = (
  { attempts, channel, isEnding, lastError, state }: StoredAlert["deliveries"][number]
): string => {
  if (state === "held") return `  ${channel}: not sent while it is silenced, or its host in maintenance`
  if (state === "withheld") return `  ${channel}: never sent, as it was over before silence or maintenance was`
  const tries = counted(attempts, "attempt")
  const why = lastError === undefined ? "" : `: ${lastError}`
  const what = isEnding === true ? "its end " : ""
  return state === "given_up"
    ? `  ${channel}: ${what}given up after ${tries}${why}`
    : `  ${channel}: ${what}pending, ${tries}${why}`
}

/** Returns a line for each alert, and one for each channel that does not have it, cut off at `width`. */
export const formatTable = (
  alerts: ReadonlyArray<StoredAlert>,
  zone: DateTime.TimeZone,
  width = Infinity
): ReadonlyArray<string> =>
  cut([
    "TIME                    ID            STATE         SEVERITY  ALERT",
    ...alerts.flatMap(({ alert, deliveries, repeats, silencedUntil, state }) => [
      `${formatTime(alert.occurredAt, zone)}  ${shortId(alert.id)}  ${state.padEnd(12)}  ${
        alert.severity.padEnd(8)
      }  ` +
      `${repeats === 0 ? "" : `${repeats + 1}x `}${alert.title}` +
      (silencedUntil === undefined ? "" : ` (silenced until ${formatTime(silencedUntil, zone)})`),
      ...deliveries.filter(({ state }) => state !== "delivered").map(formatUndelivered)
    ])
  ], width)

/** Reads a time span back from now, or a date, perhaps with a time. Without a zone it is local time. */
export const parseSince = (text: string): Option.Option<(now: DateTime.Utc) => DateTime.Utc> => {
  const span = TimeSpan.parse(text)
  if (Option.isSome(span)) return Option.some((now) => DateTime.subtractDuration(now, span.value))
  const isDate = /^\d{4}-\d{2}-\d{2}$/.test(text)
  if (!isDate && !/^\d{4}-\d{2}-\d{2}[T ]\d{2}:\d{2}/.test(text)) return Option.none()
  // A date alone would be taken for one in UTC.
  return Option.map(DateTime.make(new Date(isDate ? `${text}T00:00` : text)), (time) => () => time)
}

const state = Flag.Literals("state", ["open", ...AllAlertStates]).pipe(
  Flag.withDescription(
    "Only alerts in this state; open are those that are neither resolved nor dismissed; an alert of severity info is never open"
  ),
  Flag.optional
)

const severity = Flag.Literals("severity", AllSeverities).pipe(
  Flag.withDescription("Only alerts of this severity"),
  Flag.optional
)

const host = Flag.String("host").pipe(
  Flag.withMetavar("HOST"),
  Flag.withDescription("Only alerts of the host with this name or id"),
  Flag.optional
)

const limit = Flag.Int("limit").pipe(
  Flag.withMetavar("NUMBER"),
  Flag.withDescription("At most so many alerts, the first of the list"),
  Flag.filter((limit) => limit > 0, () => "a number above 0"),
  Flag.optional
)

const since = Flag.String("since").pipe(
  Flag.withMetavar("TIME"),
  Flag.withDescription("Only alerts from then on: a time span back from now, like 24h, or a date, perhaps with a time"),
  Flag.filterMap(parseSince, () => "a time span like 24h, a date like 2026-01-31, or 2026-01-31T12:00Z"),
  Flag.optional
)

const json = jsonFlag("Print one JSON object a line for each alert")

/** Nothing is known of a host of this name: most likely it is another. */
export class NoSuchHost extends Schema.TaggedError<NoSuchHost>()("NoSuchHost", { host: Schema.String }) {
  override get [CliError.userMessage](): string {
    return `no host of the inventory is called ${JSON.stringify(this.host)}, and no alert is of one`
  }
}

/** Fails if neither the inventory nor an alert has a host. */
const mustBeKnown = Effect.fnUntraced(function*(host: string) {
  if ((yield* (yield* AlertStore).list({ host, limit: 1 })).length > 0) return
  const isKnown = yield* (yield* Maintenances.Maintenances).isKnown({ _tag: "Host", host })
  if (!isKnown) yield* new NoSuchHost({ host })
})

/** The command. */
export const alertsList = Command.make(
  "list",
  { state, severity, host, since, limit, json, data: StorageOptions.data },
  Effect.fnUntraced(function*({ data, host, json, limit, severity, since, state }) {
    const list = Effect.gen(function*() {
      const store = yield* AlertStore
      const found = yield* store.list({
        states: Option.getOrUndefined(Option.map(state, (state) => state === "open" ? openStates : [state])),
        severities: Option.getOrUndefined(Option.map(severity, (severity) => [severity])),
        host: Option.getOrUndefined(host),
        limit: Option.getOrUndefined(limit),
        order: "worst",
        since: Option.getOrUndefined(since)?.(yield* DateTime.now)
      })
      if (found.length === 0 && Option.isSome(host)) yield* mustBeKnown(host.value)
      return found
    })
    const alerts = yield* list.pipe(
      Effect.provide([SqlAlertStore.layer, Maintenances.layer]),
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
  Command.withDescription(
    "List alerts, with the channels that do not have them yet or never will: the open ones first, the most severe of them first, " +
      "and then those that are over. Among equals the newest come first."
  ),
  Command.withShortDescription("List alerts, the worst first"),
  Command.withExamples([
    { command: "openwatch alerts list --state open", description: "What is wrong now" },
    { command: "openwatch alerts list --since 24h --json", description: "The last day, for a program to read" }
  ])
)
