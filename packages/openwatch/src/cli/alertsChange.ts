/**
 * `openwatch alerts ack`, `silence`, `unsilence`, `resolve`, `dismiss`: what people do with alerts.
 */
import { Console, DateTime, type Duration, Effect, Layer, Option, Schema } from "effect"
import * as Argument from "effect/cli/Argument"
import * as CliError from "effect/cli/CliError"
import * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"
import * as AlertActions from "../alert-router/AlertActions.ts"
import type { Action } from "../alert-router/Lifecycle.ts"
import type { Changed } from "../alert-store/AlertStore.ts"
import * as SqlAlertStore from "../alert-store/SqlAlertStore.ts"
import { shortId } from "../alert-store/SqlAlertStore.ts"
import * as TimeSpan from "../configuration/TimeSpan.ts"
import { describeSqlError } from "../storage/describeSqlError.ts"
import * as Outboxes from "../storage/Outboxes.ts"
import * as StorageOptions from "./storageOptions.ts"
import { formatTime } from "./Table.ts"
import * as UnixUser from "./UnixUser.ts"

/** Nothing was changed. The message says why, a line for each alert. */
export class NotChanged extends Schema.TaggedError<NotChanged>()("NotChanged", { message: Schema.String }) {
  override get [CliError.userMessage](): string {
    return this.message
  }
}

const ids = Argument.String("ID").pipe(
  Argument.withDescription("The id of an alert, or its last 12 characters, as `openwatch alerts list` shows it"),
  Argument.variadic({ min: 1 })
)

const why = Flag.String("why").pipe(
  Flag.withMetavar("TEXT"),
  Flag.withDescription("Why, for the history of the alert"),
  Flag.withDefault("")
)

const duration = Flag.String("for").pipe(
  Flag.withMetavar("TIME"),
  Flag.withDescription("For how long, like 2h or 7d; until `openwatch alerts unsilence` where it is not given"),
  Flag.filterMap(TimeSpan.parse, () => TimeSpan.expected),
  Flag.optional
)

const describe = ({ alert, to }: Changed, until: DateTime.Utc | undefined, zone: DateTime.TimeZone): string =>
  `${shortId(alert.id)} is ${to}${
    to === "silenced" && until !== undefined ? ` until ${formatTime(until, zone)}` : ""
  }: ` +
  alert.title

const perform = Effect.fnUntraced(
  function*(
    action: Action,
    options: { readonly ids: ReadonlyArray<string>; readonly why: string; readonly data: string },
    duration: Option.Option<Duration.Duration> = Option.none()
  ) {
    const now = yield* DateTime.now
    const until = Option.getOrUndefined(Option.map(duration, (span) => DateTime.addDuration(now, span)))
    const who = yield* UnixUser.name
    const changed = yield* AlertActions.perform(options.ids, { action, who, why: options.why, until }).pipe(
      Effect.catch((error) =>
        Effect.fail(
          new NotChanged({ message: error._tag === "AlertsRefused" ? error.message : describeSqlError(error) })
        )
      ),
      Effect.provide(
        Layer.mergeAll(SqlAlertStore.layer, Outboxes.alerts()).pipe(
          Layer.provide(StorageOptions.layer(options.data, { mustExist: true }))
        )
      )
    )
    const zone = yield* DateTime.CurrentTimeZone
    yield* Console.log(changed.map((change) => describe(change, until, zone)).join("\n"))
  },
  Effect.provide(DateTime.layerCurrentZoneLocal)
)

const rest = " All of them are changed, or none. Who did it is the user who runs the command."

const options = { ids, why, data: StorageOptions.data }

/** `openwatch alerts silence`. */
const silence = Command.make(
  "silence",
  { ...options, duration },
  ({ duration, ...options }) => perform("silence", options, duration)
).pipe(
  Command.withDescription(
    "Keep alerts quiet for a while, or until somebody ends that. Those that are still open then are sent again." + rest
  ),
  Command.withShortDescription("Keep alerts quiet for a while"),
  Command.withExamples([
    {
      command: "openwatch alerts silence 3f6b8e0c1d2e --for 2h --why \"new disk\"",
      description: "Hear of it again in two hours, if it is open then"
    }
  ])
)

const make = (action: Exclude<Action, "silence">, short: string, description: string) =>
  Command.make(action, options, (options) => perform(action, options)).pipe(
    Command.withDescription(description + rest),
    Command.withShortDescription(short)
  )

/** The commands. */
export const alertsChange = [
  make("ack", "Say that you look after alerts", "Say that you look after alerts: they are acknowledged."),
  silence,
  make(
    "unsilence",
    "End the silence of alerts",
    "End the silence of alerts: they are what they were before, and are sent again."
  ),
  make("resolve", "Say that alerts are over", "Say that alerts are over. The channels that have them are told."),
  make("dismiss", "Say that alerts were none", "Say that alerts were none. The channels that have them are told.")
] as const
