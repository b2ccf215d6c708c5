/**
 * What `openwatch run` is to do: one YAML file that people edit.
 *
 * ```yaml
 * inventory: hosts.yaml            # relative to this file
 * liveness:
 *   interval: 5m                   # 1m to 1h
 *   failure_threshold: 2           # failed probes in a row until a host is unreachable
 *   retry_interval: 30s            # how soon a host that has failed is looked at again: 5s to 1h
 *   flapping: 4                    # more changes than this in an hour are told once, as flapping
 * scans: scans                     # folder of result files, relative to this file; default: none
 * drift:                           # from how many percentage points on a score has moved
 *   major: 10
 *   minor: 5
 *   improvement: 5
 * alerts:
 *   time_to_live: 60m              # how long repeats of an alert are muted: 1m to 24h
 *   retry_for: 24h                 # how long a channel is tried for an alert: 1m to 30d
 *   remind_after: 4h               # what is still active then is sent again, each time: 5m to 30d; never by default
 * channels:
 *   - type: console
 *   - type: webhook
 *     name: on-call                # unique; default: the type
 *     url: https://on-call.example.org/alerts
 *     secret_env: ON_CALL_SECRET   # or secret: the secret itself
 *     min_severity: high           # no alert that is less urgent; what ends one that was sent comes all the same
 *     tags: { site: berlin }       # all must match; default: every alert
 *   - type: slack
 *     url_env: SLACK_WEBHOOK_URL   # or url: the URL itself
 * http:                            # the live page, see `HttpSettings`; false for none
 *   port: 7420
 * maintenance: ...                 # when nothing is sent of which hosts: see `MaintenanceConfiguration`
 * retention:                       # how long what is over is kept: 1d to 36500d
 *   alerts: 365d
 *   scans: 90d
 * nats: ...                        # joins this process to others: see `NatsConfiguration`
 * ```
 *
 * All but `inventory` may be left out; without `channels` alerts go to the console.
 *
 * One process may leave to others what it does not do itself: with `liveness: false` no host is probed, and the inventory,
 * which then may be left out, only names hosts; with `alerts: false` no alert is raised.
 */
import { type DateTime, Duration, Effect, FileSystem, Option, Result, Schema } from "effect"
import * as CliError from "effect/cli/CliError"
import { dirname, isAbsolute, join } from "node:path"
import { retryForRange, timeToLiveRange } from "../alert-router/AlertRouter.ts"
import type { Planned } from "../alert-router/Maintenance.ts"
import { remindAfterRange } from "../alert-router/Retelling.ts"
import * as Drift from "../drift-detector/Drift.ts"
import { AllEventKinds } from "../events/SystemEventBus.ts"
import type { Host } from "../inventory/Host.ts"
import * as HttpSettings from "../live-page/HttpSettings.ts"
import * as Retention from "../storage/Retention.ts"
import * as ChannelConfiguration from "./ChannelConfiguration.ts"
import * as MaintenanceConfiguration from "./MaintenanceConfiguration.ts"
import * as NatsConfiguration from "./NatsConfiguration.ts"
import type * as Secret from "./Secret.ts"
import * as TimeSpan from "./TimeSpan.ts"
import * as YamlFile from "./YamlFile.ts"

/** What to run. For what is `undefined`, the part that uses it has a default. */
export interface Configuration {
  /** The file, as it was given. */
  readonly file: string
  /** The inventory's file. A relative path is made relative to the folder of the configuration. */
  readonly inventory: string | undefined
  /** Whether the hosts of the inventory are probed. */
  readonly probesHosts: boolean
  readonly interval: Duration.Duration | undefined
  readonly failureThreshold: number | undefined
  readonly retryInterval: Duration.Duration | undefined
  readonly changesPerHour: number | undefined
  /** The watched folder of result files, as `inventory`. */
  readonly scans: string | undefined
  readonly driftThresholds: Drift.Thresholds
  /** Whether alerts are made of events. */
  readonly routesAlerts: boolean
  readonly timeToLive: Duration.Duration | undefined
  readonly retryFor: Duration.Duration | undefined
  readonly remindAfter: Duration.Duration | undefined
  readonly channels: ReadonlyArray<ChannelConfiguration.ChannelConfiguration>
  /** For how long alerts that are over, and scans, are kept. */
  readonly retention: Retention.Retention
  /** Maintenance that is planned. */
  readonly maintenance: ReadonlyArray<Planned>
  readonly nats: NatsConfiguration.NatsConfiguration | undefined
  /** How the live page is served. `undefined` if there is no page. */
  readonly http: HttpSettings.HttpSettings | undefined
}

/** A configuration could not be read. Its message names the file and each problem, and no value that may be a secret. */
export class ConfigurationError extends Schema.TaggedError<ConfigurationError>()("ConfigurationError", {
  /** The file, as it was given. */
  file: Schema.String,
  /** What is wrong, each with its place in the file where it has one: never empty. */
  problems: Schema.NonEmptyArray(Schema.String)
}) {
  override get message(): string {
    return this.problems.length === 1
      ? `configuration ${this.file}: ${this.problems[0]}`
      : [`configuration ${this.file} has ${this.problems.length} errors:`, ...this.problems].join("\n  ")
  }

  override get [CliError.userMessage](): string {
    return this.message
  }
}

/** A time span in a range. Outside of it there is an error that names the range. */
const timeSpanBetween = (
  { maximum, minimum }: { readonly minimum: Duration.Duration; readonly maximum: Duration.Duration }
) =>
  TimeSpan.Text.check(
    Schema.makeFilter(
      (text: string) =>
        Option.match(TimeSpan.parse(text), {
          onNone: () => true,
          onSome: (span) => Duration.between(span, { minimum, maximum })
        }),
      { expected: `a time span from ${Duration.format(minimum)} to ${Duration.format(maximum)}` }
    )
  )

/** How often hosts can be probed: as `LivenessLoop.intervalRange`, which is not loaded to read a file. */
const intervalRange = { minimum: Duration.minutes(1), maximum: Duration.hours(1) }

/** The shortest and the longest time after which a host that has failed can be looked at again. */
const retryIntervalRange = { minimum: Duration.seconds(5), maximum: Duration.hours(1) }

/** Something that a process may leave to another one. */
const orFalse = <S extends Schema.Constraint>(schema: S, message: string) =>
  Schema.optionalKey(Schema.Union([Schema.Literal(false), schema]).annotate({ message }))

const ConfigurationFile = Schema.Struct({
  inventory: Schema.optionalKey(Schema.NonEmptyString),
  liveness: orFalse(
    Schema.Struct({
      interval: Schema.optionalKey(timeSpanBetween(intervalRange)),
      failure_threshold: Schema.optionalKey(
        Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 100 }, { expected: "a number of failures, 1 to 100" }))
      ),
      retry_interval: Schema.optionalKey(timeSpanBetween(retryIntervalRange)),
      flapping: Schema.optionalKey(
        Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 100 }, { expected: "a number of changes, 1 to 100" }))
      )
    }).annotate({
      messageUnexpectedKey: "Unknown key: liveness has `interval`, `failure_threshold`, `retry_interval` and `flapping`"
    }),
    "Expected a mapping with the keys `interval`, `failure_threshold`, `retry_interval` and `flapping`, or false"
  ),
  scans: Schema.optionalKey(Schema.NonEmptyString),
  drift: Schema.optionalKey(
    Schema.Struct({
      major: Schema.optionalKey(Schema.Finite),
      minor: Schema.optionalKey(Schema.Finite),
      improvement: Schema.optionalKey(Schema.Finite)
    }).annotate({
      message: "Expected a mapping with the keys `major`, `minor` and `improvement`",
      messageUnexpectedKey: "Unknown key: drift has `major`, `minor` and `improvement`"
    })
  ),
  alerts: orFalse(
    Schema.Struct({
      time_to_live: Schema.optionalKey(timeSpanBetween(timeToLiveRange)),
      retry_for: Schema.optionalKey(timeSpanBetween(retryForRange)),
      remind_after: Schema.optionalKey(timeSpanBetween(remindAfterRange))
    }).annotate({ messageUnexpectedKey: "Unknown key: alerts have `time_to_live`, `retry_for` and `remind_after`" }),
    "Expected a mapping with the keys `time_to_live`, `retry_for` and `remind_after`, or false"
  ),
  channels: Schema.optionalKey(ChannelConfiguration.ChannelEntries),
  retention: Schema.optionalKey(
    Schema.Struct({
      alerts: Schema.optionalKey(timeSpanBetween(Retention.retentionRange)),
      scans: Schema.optionalKey(timeSpanBetween(Retention.retentionRange))
    }).annotate({
      message: "Expected a mapping with the keys `alerts` and `scans`",
      messageUnexpectedKey: "Unknown key: retention has `alerts` and `scans`"
    })
  ),
  maintenance: Schema.optionalKey(MaintenanceConfiguration.MaintenanceEntries),
  nats: Schema.optionalKey(NatsConfiguration.NatsEntry),
  http: Schema.optionalKey(HttpSettings.HttpEntry)
}).annotate({
  message: "Expected a mapping with the key `inventory`",
  messageUnexpectedKey:
    "Unknown key: a configuration has `inventory`, `liveness`, `scans`, `drift`, `alerts`, `channels`, `maintenance`, `retention`, `nats` and `http`"
})

const decodeFile = YamlFile.decode(ConfigurationFile, {
  expected: "a mapping with the key `inventory`",
  reportInput: true
})

/** The variables of the environment, by name. */
export type Environment = Secret.Environment

/** A path of the file: relative ones begin at its folder. */
const relativeTo = (file: string, path: string): string => isAbsolute(path) ? path : join(dirname(file), path)

/** Reads a configuration from the text of its file. `file` is named in errors, and relative paths begin at its folder. */
export const parse = (
  file: string,
  text: string,
  environment: Environment
): Result.Result<Configuration, ConfigurationError> => {
  const decoded = decodeFile(text)
  if (Result.isFailure(decoded)) return Result.fail(new ConfigurationError({ file, problems: decoded.failure }))
  const { alerts, channels: given, drift, http: httpEntry, inventory, liveness, nats: natsEntry, retention, scans } =
    decoded.success
  const relativeToFile = (path: string) => relativeTo(file, path)

  const problems: Array<string> = []
  const maintenance = MaintenanceConfiguration.read(decoded.success.maintenance ?? [], problems)
  const nats = natsEntry === undefined
    ? undefined
    : NatsConfiguration.read(natsEntry, environment, relativeToFile, problems)
  if (liveness !== false && inventory === undefined) {
    problems.push(
      "inventory: Missing: expected a file that names the hosts, or `liveness: false` where none are probed"
    )
  }
  if (liveness === false && scans === undefined && (nats === undefined || nats.import.length === 0)) {
    problems.push("liveness: false leaves nothing to do: expected `nats.import` or `scans`, which bring events, too")
  }
  if (alerts === false) {
    // What is not exported here would be told nobody, and be kept for ever.
    const kept = liveness === false && scans === undefined
      ? []
      : AllEventKinds.filter((kind) => nats?.export.includes(kind) !== true)
    if (kept.length > 0) {
      problems.push(
        `alerts: false leaves alerts to another process: expected \`nats.export\` to have ${kept.join(" and ")}, too`
      )
    }
    if (given !== undefined) problems.push("channels: Unknown key where `alerts` is false: no alerts are sent")
  }
  const driftThresholds = Drift.makeThresholds(drift ?? {})
  if (Result.isFailure(driftThresholds)) problems.push(`drift: ${driftThresholds.failure.message}`)
  const http = HttpSettings.read(httpEntry, environment)
  if (Result.isFailure(http)) problems.push(...http.failure)
  const channels = ChannelConfiguration.read(
    given ?? (alerts === false ? [] : [{ type: "console" }]),
    environment,
    problems
  )
  const [problem, ...others] = problems
  if (problem !== undefined) return Result.fail(new ConfigurationError({ file, problems: [problem, ...others] }))

  const timeSpan = (text: string | undefined) =>
    text === undefined ? undefined : Option.getOrUndefined(TimeSpan.parse(text))
  return Result.succeed({
    file,
    inventory: inventory === undefined ? undefined : relativeToFile(inventory),
    probesHosts: liveness !== false,
    interval: timeSpan(liveness === false ? undefined : liveness?.interval),
    failureThreshold: liveness === false ? undefined : liveness?.failure_threshold,
    retryInterval: timeSpan(liveness === false ? undefined : liveness?.retry_interval),
    changesPerHour: liveness === false ? undefined : liveness?.flapping,
    scans: scans === undefined ? undefined : relativeToFile(scans),
    driftThresholds: Result.getOrElse(driftThresholds, () => Drift.defaultThresholds),
    routesAlerts: alerts !== false,
    timeToLive: timeSpan(alerts === false ? undefined : alerts?.time_to_live),
    retryFor: timeSpan(alerts === false ? undefined : alerts?.retry_for),
    remindAfter: timeSpan(alerts === false ? undefined : alerts?.remind_after),
    channels,
    maintenance,
    retention: {
      alerts: timeSpan(retention?.alerts) ?? Retention.defaultRetention.alerts,
      scans: timeSpan(retention?.scans) ?? Retention.defaultRetention.scans
    },
    nats,
    http: Result.getOrUndefined(http)
  })
}

/** Reads a configuration as the file has it: nothing is taken from the environment, so no secrets are needed. */
const loadEntries = Effect.fnUntraced(function*(file: string) {
  const text = yield* YamlFile.readText(file).pipe(
    Effect.mapError(({ problem }) => new ConfigurationError({ file, problems: [problem] }))
  )
  return yield* Effect.mapError(
    Effect.fromResult(decodeFile(text)),
    (problems) => new ConfigurationError({ file, problems })
  )
})

/** The maintenance that a configuration plans. */
export const loadMaintenance = Effect.fn("Configuration.loadMaintenance")(function*(file: string) {
  const problems: Array<string> = []
  const planned = MaintenanceConfiguration.read((yield* loadEntries(file)).maintenance ?? [], problems)
  const [problem, ...others] = problems
  if (problem !== undefined) yield* new ConfigurationError({ file, problems: [problem, ...others] })
  return planned
})

/** Says of each planned maintenance that is over, and does not come again, that it is. */
export const overMaintenance = (
  { maintenance }: Pick<Configuration, "maintenance">,
  now: DateTime.Utc
): ReadonlyArray<string> => MaintenanceConfiguration.over(maintenance, now)

/** What those need of a configuration who take in scans. */
export const loadForScans = Effect.fn("Configuration.loadForScans")(function*(file: string) {
  const fail = (problems: ConfigurationError["problems"]) => new ConfigurationError({ file, problems })
  const { drift, inventory } = yield* loadEntries(file)
  const driftThresholds = yield* Effect.mapError(
    Effect.fromResult(Drift.makeThresholds(drift ?? {})),
    ({ message }) => fail([`drift: ${message}`])
  )
  return { inventory: inventory === undefined ? undefined : relativeTo(file, inventory), driftThresholds }
})

/** Reads a configuration from its file. Secrets may come from the environment. */
export const load = Effect.fn("Configuration.load")(function*(file: string, environment: Environment) {
  const text = yield* YamlFile.readText(file).pipe(
    Effect.mapError(({ problem }) => new ConfigurationError({ file, problems: [problem] }))
  )
  const configuration = yield* Effect.fromResult(parse(file, text, environment))
  const { scans } = configuration
  if (scans === undefined) return configuration
  const found = yield* Effect.option(Effect.flatMap(FileSystem.FileSystem, (fs) => fs.stat(scans)))
  // A folder that is missing may be made, or mounted, later.
  if (Option.isSome(found) && found.value.type !== "Directory") {
    yield* new ConfigurationError({ file, problems: [`scans: Expected a folder, ${scans} is none`] })
  }
  return configuration
})

/**
 * Fails if a channel requires a tag that no alert of these hosts can have, or if a planned maintenance is of none of
 * them. If events come from another process, nothing is checked: they may be of hosts that this process does not know.
 */
export const checkTags = (
  { channels, file, maintenance, nats }: Configuration,
  hosts: ReadonlyArray<Host>
): Effect.Effect<void, ConfigurationError> => {
  const isAlone = nats === undefined || nats.import.length === 0
  const [problem, ...others] = isAlone
    ? [
      ...ChannelConfiguration.impossibleTags(channels, hosts),
      ...(hosts.length === 0 ? [] : MaintenanceConfiguration.impossibleSubjects(maintenance, hosts))
    ]
    : []
  return problem === undefined
    ? Effect.void
    : Effect.fail(new ConfigurationError({ file, problems: [problem, ...others] }))
}
