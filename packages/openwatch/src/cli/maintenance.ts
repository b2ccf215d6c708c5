/**
 * `openwatch maintenance`: nothing is sent of some hosts for a while.
 */
import { Console, DateTime, Duration, Effect, FileSystem, Layer, Option, Schema } from "effect"
import * as Argument from "effect/cli/Argument"
import * as CliError from "effect/cli/CliError"
import * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"
import type * as SqlError from "effect/sql/SqlError"
import { formatSubject, parseSubject } from "../alert-router/Maintenance.ts"
import * as Configuration from "../configuration/Configuration.ts"
import * as TimeSpan from "../configuration/TimeSpan.ts"
import { clean } from "../events/PlainText.ts"
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
  Argument.filter((text) => clean(text) === text && text !== "", () => "a text without control characters"),
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

const describe = (
  { isOn, since, subjects, until, who, why }: Maintenances.Scheduled,
  zone: DateTime.TimeZone,
  file = "the configuration"
): string => {
  const verb = !isOn ? "will be" : subjects.length === 1 ? "is" : "are"
  return `${subjects.map(formatSubject).join(", ")} ${verb} in maintenance from ${formatTime(since, zone)} ` +
    `until ${formatTime(until, zone)}, ${who === undefined ? `planned in ${file}` : `by ${who}`}${
      why === "" ? "" : `: ${why}`
    }`
}

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
        const begun = yield* maintenances.begin(subject, { duration, who, why })
        yield* Console.log(describe({ ...begun, subjects: [begun.subject], isOn: true }, zone))
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

const configuration = Flag.String("config").pipe(
  Flag.withMetavar("CONFIG.yaml"),
  Flag.withDescription(
    "The configuration whose planned maintenance is listed, too (default: openwatch.yaml, if it is there)"
  ),
  Flag.optional
)

const usualFile = "openwatch.yaml"

/** The configuration that is named, or else the one that is in the current folder. */
const fileOf = Effect.fnUntraced(function*(given: Option.Option<string>) {
  if (Option.isSome(given)) return given.value
  return (yield* (yield* FileSystem.FileSystem).exists(usualFile)) ? usualFile : undefined
})

const list = Command.make(
  "list",
  { configuration, data: StorageOptions.data },
  Effect.fnUntraced(function*({ configuration, data }) {
    const file = yield* fileOf(configuration)
    const planned = file === undefined ? [] : yield* Configuration.loadMaintenance(file)
    yield* Effect.gen(function*() {
      const zone = yield* DateTime.CurrentTimeZone
      const scheduled = yield* (yield* Maintenances.Maintenances).schedule(planned)
      yield* Console.log(
        scheduled.length === 0 ? "No maintenance" : scheduled.map((each) => describe(each, zone, file)).join("\n")
      )
    }).pipe(withStore(data))
    if (file === undefined) {
      yield* Console.error("What is planned is listed with --config CONFIG.yaml")
    }
  })
).pipe(
  Command.withDescription(
    "List the maintenance that goes on, begun by a command or planned in the configuration, and when what is planned begins next."
  ),
  Command.withShortDescription("List the maintenance that goes on, and what is planned")
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
