/**
 * `openwatch maintenance`: have nothing sent of some hosts for a while.
 */
import { Console, DateTime, Duration, Effect, Layer, Option, Schema } from "effect"
import * as Argument from "effect/cli/Argument"
import * as CliError from "effect/cli/CliError"
import * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"
import type * as SqlError from "effect/sql/SqlError"
import { formatSubject, parseSubject } from "../alert-router/Maintenance.ts"
import * as TimeSpan from "../configuration/TimeSpan.ts"
import { describeSqlError } from "../storage/describeSqlError.ts"
import * as Maintenances from "../storage/Maintenances.ts"
import * as StorageOptions from "./storageOptions.ts"
import { formatTime } from "./Table.ts"
import * as UnixUser from "./UnixUser.ts"

/** Nothing was done. */
export class MaintenanceRefused extends Schema.TaggedError<MaintenanceRefused>()("MaintenanceRefused", {
  message: Schema.String
}) {
  override get [CliError.userMessage](): string {
    return this.message
  }
}

const subjects = Argument.String("HOST|TAG").pipe(
  Argument.withDescription("The name or id of a host, or a tag like site=berlin for the hosts that have it"),
  Argument.variadic({ min: 1 })
)

const range = { minimum: Duration.minutes(1), maximum: Duration.days(30) }

const duration = Flag.String("for").pipe(
  Flag.withMetavar("TIME"),
  Flag.withDescription("For how long, 1m to 30d, like 2h"),
  Flag.filterMap(
    (text) => Option.filter(TimeSpan.parse(text), (span) => Duration.between(span, range)),
    () => "a time span from 1m to 30d"
  )
)

const why = Flag.String("why").pipe(
  Flag.withMetavar("TEXT"),
  Flag.withDescription("Why, for those who list it"),
  Flag.withDefault("")
)

const describe = ({ since, subject, until, who, why }: Maintenances.Begun, zone: DateTime.TimeZone): string =>
  `${formatSubject(subject)} is in maintenance from ${formatTime(since, zone)} until ${formatTime(until, zone)}, ` +
  `by ${who}${why === "" ? "" : `: ${why}`}`

const withStore = (data: string) =>
<A>(
  effect: Effect.Effect<
    A,
    MaintenanceRefused | SqlError.SqlError,
    Maintenances.Maintenances | DateTime.CurrentTimeZone
  >
) =>
  effect.pipe(
    Effect.catchTag("SqlError", (error) => Effect.fail(new MaintenanceRefused({ message: describeSqlError(error) }))),
    Effect.provide(Maintenances.layer.pipe(Layer.provide(StorageOptions.layer(data, { mustExist: true })))),
    Effect.provide(DateTime.layerCurrentZoneLocal)
  )

const add = Command.make(
  "add",
  { subjects, duration, why, data: StorageOptions.data },
  ({ data, duration, subjects, why }) =>
    Effect.gen(function*() {
      const maintenances = yield* Maintenances.Maintenances
      const zone = yield* DateTime.CurrentTimeZone
      const who = yield* UnixUser.name
      const wanted = Array.from(new Set(subjects)).map(parseSubject)
      const problems: Array<string> = []
      for (const subject of wanted) {
        if (yield* maintenances.isKnown(subject)) continue
        problems.push(
          subject._tag === "Host"
            ? `no host of the inventory is called ${JSON.stringify(subject.host)}`
            : `no host of the inventory has the tag ${formatSubject(subject)}`
        )
      }
      if (problems.length > 0) yield* new MaintenanceRefused({ message: problems.join("\n") })
      for (const subject of wanted) {
        yield* Console.log(describe(yield* maintenances.begin(subject, { duration, who, why }), zone))
      }
    }).pipe(withStore(data))
).pipe(
  Command.withDescription(
    "Put hosts into maintenance from now on. Alerts of them are stored and not sent; those that are open when it is over are " +
      "sent then. What ends an alert that a channel has is sent all the same."
  ),
  Command.withShortDescription("Put hosts into maintenance"),
  Command.withExamples([
    { command: "openwatch maintenance add web-1 --for 2h --why \"new disk\"", description: "One host" },
    { command: "openwatch maintenance add site=berlin --for 30m", description: "The hosts that have a tag" }
  ])
)

const list = Command.make(
  "list",
  { data: StorageOptions.data },
  ({ data }) =>
    Effect.gen(function*() {
      const zone = yield* DateTime.CurrentTimeZone
      const current = yield* (yield* Maintenances.Maintenances).current
      yield* Console.log(
        current.length === 0 ? "No maintenance" : current.map((each) => describe(each, zone)).join("\n")
      )
    }).pipe(withStore(data))
).pipe(
  Command.withDescription(
    "List the maintenance that goes on and was begun by a command; what is planned is in the configuration."
  ),
  Command.withShortDescription("List the maintenance that goes on")
)

const end = Command.make(
  "end",
  { subjects, data: StorageOptions.data },
  ({ data, subjects }) =>
    Effect.gen(function*() {
      const missing = yield* (yield* Maintenances.Maintenances).end(subjects.map(parseSubject))
      if (missing.length > 0) {
        const message = missing.map((subject) =>
          `${formatSubject(subject)} is in no maintenance that was begun by a command`
        )
        yield* new MaintenanceRefused({ message: message.join("\n") })
      }
      yield* Console.log(subjects.map((subject) => `${subject} is in maintenance no more`).join("\n"))
    }).pipe(withStore(data))
).pipe(
  Command.withDescription(
    "End the maintenance of hosts or tags, named as when it was begun. Open alerts are sent now."
  ),
  Command.withShortDescription("End maintenance")
)

/** The group. */
export const maintenance = Command.make("maintenance").pipe(
  Command.withDescription("Have nothing sent of some hosts for a while"),
  Command.withSubcommands([add, list, end])
)
