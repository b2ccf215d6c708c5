/**
 * The channels of a configuration: the entries of `channels`, each with its type, its settings, and which alerts it gets.
 */
import { Duration, Option, Redacted, Schema } from "effect"
import { AllAlertTags, AllAlertTypes, AllSeverities, Severity } from "../alert-router/Alert.ts"
import type { GroupingOptions } from "../channels/ForPeople.ts"
import * as Template from "../channels/Template.ts"
import type { Host } from "../inventory/Host.ts"
import * as Secret from "./Secret.ts"
import * as TimeSpan from "./TimeSpan.ts"

/** The methods by which a webhook can be sent to: those that carry a body. */
export const AllMethods = ["POST", "PUT", "PATCH"] as const

/**
 * How to connect to a mail server: with TLS after STARTTLS (RFC 3207), with TLS at once, or without TLS on the same
 * machine.
 */
export const AllSecurities = ["starttls", "tls", "none"] as const

/** How to connect to a mail server. */
export type Security = (typeof AllSecurities)[number]

/** The ports that are meant for each (RFC 6409, RFC 8314). */
const mailPorts: { readonly [S in Security]: number } = { starttls: 587, tls: 465, none: 25 }

/** Where events of PagerDuty go if nothing else is said; accounts in the EU have another address. */
const pagerDutyUrl = "https://events.pagerduty.com/v2/enqueue"

interface Common {
  /** Unique among the channels. */
  readonly name: string
  /** Tags that an alert must have to be sent there. */
  readonly requiredTags: Readonly<Record<string, string>>
  /** How urgent an alert has to be to be sent there. Default: any. */
  readonly minSeverity: Severity | undefined
}

/** A channel that alerts are to be sent to. */
export type ChannelConfiguration =
  | Common & GroupingOptions & { readonly type: "console" }
  | Common & {
    readonly type: "webhook"
    readonly url: Redacted.Redacted
    readonly secret: Redacted.Redacted | undefined
    readonly method: (typeof AllMethods)[number]
    /** By their names in lower case. */
    readonly headers: Readonly<Record<string, Redacted.Redacted>>
    /** The body. Default: the alert as JSON. */
    readonly body: Template.Template | undefined
  }
  | Common & GroupingOptions & { readonly type: "slack" | "teams"; readonly url: Redacted.Redacted }
  | Common & { readonly type: "pagerduty"; readonly url: Redacted.Redacted; readonly routingKey: Redacted.Redacted }
  | Common & GroupingOptions & {
    readonly type: "email"
    readonly host: string
    readonly port: number
    readonly security: Security
    readonly credentials: { readonly username: string; readonly password: Redacted.Redacted } | undefined
    readonly from: string
    readonly to: ReadonlyArray<string>
  }

/**
 * The settings of each type of channel, besides its name and which alerts it gets: those that it may have, and those
 * that it must have.
 */
const settingsOf = {
  console: { may: ["group_wait", "group_interval"], must: [] },
  webhook: { may: ["url", "secret", "method", "headers", "headers_env", "body"], must: ["url"] },
  slack: { may: ["url", "group_wait", "group_interval"], must: ["url"] },
  teams: { may: ["url", "group_wait", "group_interval"], must: ["url"] },
  pagerduty: { may: ["routing_key", "url"], must: ["routing_key"] },
  email: {
    may: ["host", "port", "security", "username", "password", "from", "to", "group_wait", "group_interval"],
    must: ["host", "from", "to"]
  }
} as const satisfies Readonly<
  Record<string, { readonly may: ReadonlyArray<string>; readonly must: ReadonlyArray<string> }>
>

type Type = keyof typeof settingsOf

const types = ["console", "webhook", "slack", "teams", "pagerduty", "email"] as const

/** The settings that are secrets: each may be given by a variable of the environment, too. */
const secrets = ["url", "secret", "routing_key", "password"] as const

/** The first alert waits for others for as long as this, if nothing else is said. */
const defaultGroupWait = Duration.seconds(10)
/** The least time between two messages, if nothing else is said. */
const defaultGroupInterval = Duration.minutes(5)
/** People who look away for longer are not watching. */
const longestGroupTime = Duration.hours(24)

const GroupTime = Schema.Union([Schema.Literal(0), TimeSpan.Text]).annotate({
  message: `Expected 0, or ${TimeSpan.expected}`
}).check(
  Schema.makeFilter((given) => Duration.isLessThanOrEqualTo(timeOf(given), longestGroupTime), {
    expected: "at most 24h"
  })
)

const timeOf = (given: 0 | string): Duration.Duration =>
  given === 0 ? Duration.zero : Option.getOrElse(TimeSpan.parse(given), () => Duration.zero)

const MailAddress = Schema.String.check(
  Schema.isPattern(/^[^\s@<>,;:"()[\]\\\p{C}]+@[A-Za-z0-9.-]+$/u, { expected: "a mail address, like ops@example.org" })
)

const Text = Schema.String.check(
  Schema.isPattern(/^[^\p{C}]+$/u, { expected: "a text that is not empty, without control characters" })
)

/** A header's name (RFC 9110 section 5.1). What the message is sent by, and how long it is, is not for others to say. */
const HeaderName = Schema.String.check(
  Schema.isPattern(/^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/),
  Schema.makeFilter((name) => !ownHeaders.test(name))
)

const ownHeaders = /^(?:host|content-length|transfer-encoding|connection|x-openwatch-.*)$/i

const headerMessages = {
  messageUnexpectedKey: "Expected the name of a header that is not of the connection or of OpenWatch"
}

const Entry = Schema.Struct({
  type: Schema.Literals(types),
  name: Schema.optionalKey(
    Schema.String.check(
      Schema.isPattern(/^[^\s\p{C}](?:[^\p{C}\p{Zl}\p{Zp}]*[^\s\p{C}])?$/u, {
        expected: "a name without control characters or blanks around it"
      })
    )
  ),
  min_severity: Schema.optionalKey(Severity),
  tags: Schema.optionalKey(Schema.Record(Schema.String, Schema.String)),
  url: Schema.optionalKey(Secret.Secret),
  url_env: Schema.optionalKey(Secret.EnvironmentVariable),
  secret: Schema.optionalKey(Secret.Secret),
  secret_env: Schema.optionalKey(Secret.EnvironmentVariable),
  method: Schema.optionalKey(Schema.Literals(AllMethods)),
  headers: Schema.optionalKey(Schema.Record(HeaderName, Secret.Secret).annotate(headerMessages)),
  headers_env: Schema.optionalKey(Schema.Record(HeaderName, Secret.EnvironmentVariable).annotate(headerMessages)),
  body: Schema.optionalKey(Schema.NonEmptyString),
  routing_key: Schema.optionalKey(Secret.Secret),
  routing_key_env: Schema.optionalKey(Secret.EnvironmentVariable),
  host: Schema.optionalKey(Text),
  port: Schema.optionalKey(
    Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 65_535 }, { expected: "a port, 1 to 65535" }))
  ),
  security: Schema.optionalKey(Schema.Literals(AllSecurities)),
  username: Schema.optionalKey(Text),
  password: Schema.optionalKey(Secret.Secret),
  password_env: Schema.optionalKey(Secret.EnvironmentVariable),
  from: Schema.optionalKey(MailAddress),
  to: Schema.optionalKey(
    Schema.Union([
      MailAddress,
      Schema.Array(MailAddress).check(Schema.isNonEmpty({ message: "Expected at least one mail address" }))
    ]).annotate({
      message: "Expected a mail address, or a list of them"
    })
  ),
  group_wait: Schema.optionalKey(GroupTime),
  group_interval: Schema.optionalKey(GroupTime)
}).annotate({
  message: "Expected a channel: a mapping with the key `type`",
  messageUnexpectedKey: "Unknown key: a channel has `type`, `name`, `min_severity`, `tags` and what is of its type: " +
    types.map((type) => `${type} ${listSettings(type)}`).join("; ")
})

type Entry = typeof Entry.Type

function listSettings(type: Type): string {
  return settingsOf[type].may.map((setting) => `\`${setting}\``).join(", ")
}

/** The entries, as the file has them. */
export const ChannelEntries = Schema.Array(Entry).annotate({ message: "Expected a list of channels" })

const tagValues: Readonly<Record<string, ReadonlyArray<string>>> = {
  severity: AllSeverities,
  alert_type: AllAlertTypes
}

const common: ReadonlySet<string> = new Set(["type", "name", "min_severity", "tags"])

/** What a header can carry (RFC 9110 section 5.5). */
const sendable = /^[\x20-\x7e]+$/

/** Makes a channel of its entry, and adds what is wrong with it to `problems`. */
const readOne = (
  entry: Entry,
  at: string,
  environment: Secret.Environment,
  problems: Array<string>
): ChannelConfiguration | undefined => {
  const { type } = entry
  const before = problems.length
  const settings: { readonly may: ReadonlyArray<string>; readonly must: ReadonlyArray<string> } = settingsOf[type]

  for (const key of Object.keys(entry)) {
    const setting = secrets.find((secret) => key === `${secret}_env`) ?? key
    if (!common.has(key) && !settings.may.includes(setting)) {
      const article = type === "email" ? "an" : "a"
      problems.push(`${at}.${key}: Unknown key: ${article} ${type} channel has no ${setting}`)
    }
  }
  const read = (setting: (typeof secrets)[number]): Redacted.Redacted | undefined =>
    settings.may.includes(setting)
      ? Secret.read(
        `${at}.${setting}`,
        { given: entry[setting], variable: entry[`${setting}_env`] },
        environment,
        problems
      )
      : undefined

  for (const setting of settings.must as ReadonlyArray<keyof Entry>) {
    const variable = secrets.find((secret) => secret === setting)
    if (entry[setting] === undefined && (variable === undefined || entry[`${variable}_env`] === undefined)) {
      const either = variable === undefined ? "" : ` or \`${variable}_env\``
      problems.push(
        `${at}.${setting}: Missing: ${type === "email" ? "an" : "a"} ${type} channel has \`${setting}\`${either}`
      )
    }
  }
  const url = read("url")
  const secret = read("secret")
  const routingKey = read("routing_key")
  const password = read("password")
  const placeOf = (setting: (typeof secrets)[number]) =>
    `${at}.${entry[setting] === undefined ? `${setting}_env` : setting}`
  const urlProblem = url === undefined ? undefined : problemOfUrl(Redacted.value(url))
  if (urlProblem !== undefined) problems.push(`${placeOf("url")}: ${urlProblem}`)
  if (routingKey !== undefined && !/^[\x21-\x7e]+$/.test(Redacted.value(routingKey))) {
    problems.push(`${placeOf("routing_key")}: Expected the integration key of a service: letters and digits`)
  }
  for (const [tag, value] of Object.entries(entry.tags ?? {})) {
    const allowed = tagValues[tag]
    if (allowed !== undefined && !allowed.includes(value)) {
      problems.push(`${at}.tags.${tag}: Expected one of ${allowed.join(", ")}, got ${JSON.stringify(value)}`)
    }
  }

  const headers: Record<string, Redacted.Redacted> = {}
  const addHeader = (place: string, name: string, value: string) => {
    if (Object.hasOwn(headers, name.toLowerCase())) problems.push(`${place}: the header is given twice`)
    else if (sendable.test(value)) headers[name.toLowerCase()] = Redacted.make(value, { label: place })
    else problems.push(`${place}: it has a character that no header can carry; expected printable ASCII`)
  }
  for (const [name, value] of Object.entries(entry.headers ?? {})) {
    addHeader(`${at}.headers.${name}`, name, Secret.trimmed(value))
  }
  for (const [name, variable] of Object.entries(entry.headers_env ?? {})) {
    const value = Secret.trimmed(environment[variable] ?? "")
    const place = `${at}.headers_env.${name}`
    if (value === "") problems.push(`${place}: the environment variable ${variable} is not set`)
    else addHeader(place, name, value)
  }
  const contentType = headers["content-type"]
  const body = entry.body === undefined
    ? undefined
    : { text: entry.body, format: Template.formatOf(contentType && Redacted.value(contentType)) }
  const bodyProblem = body === undefined ? undefined : Template.problemOf(body)
  if (bodyProblem !== undefined) problems.push(`${at}.body: ${bodyProblem}`)

  const { security = "starttls", username } = entry
  if ((username === undefined) !== (password === undefined) && settings.may.includes("username")) {
    const isName = username === undefined
    problems.push(
      `${at}.${isName ? "username" : "password"}: Missing where there is a ${isName ? "password" : "username"}`
    )
  }
  if (password !== undefined && security === "none") {
    problems.push(`${at}.security: none would show the password to who listens; expected starttls or tls`)
  }
  if (problems.length > before) return undefined

  const routing = { name: entry.name ?? type, requiredTags: entry.tags ?? {}, minSeverity: entry.min_severity }
  const grouping = {
    groupWait: entry.group_wait === undefined ? defaultGroupWait : timeOf(entry.group_wait),
    groupInterval: entry.group_interval === undefined ? defaultGroupInterval : timeOf(entry.group_interval)
  }
  switch (type) {
    case "console":
      return { ...routing, ...grouping, type }
    case "webhook":
      return { ...routing, type, url: url!, secret, method: entry.method ?? "POST", headers, body }
    case "slack":
    case "teams":
      return { ...routing, ...grouping, type, url: url! }
    case "pagerduty":
      return { ...routing, type, url: url ?? Redacted.make(pagerDutyUrl), routingKey: routingKey! }
    default:
      return {
        ...routing,
        ...grouping,
        type,
        host: entry.host!,
        port: entry.port ?? mailPorts[security],
        security,
        credentials: username === undefined || password === undefined ? undefined : { username, password },
        from: entry.from!,
        to: typeof entry.to === "string" ? [entry.to] : entry.to!
      }
  }
}

/** Returns what is wrong with a URL, without showing it. `undefined` if requests can be sent there. */
const problemOfUrl = (text: string): string | undefined => {
  const url = URL.parse(text)
  if (url?.protocol !== "http:" && url?.protocol !== "https:") {
    // The scheme is no secret, all else may be.
    return "Expected a URL that begins with https:// or http://" +
      (url === null ? "" : `, got one that begins with ${url.protocol}`)
  }
  try {
    decodeURIComponent(`${url.username}${url.password}`)
    return undefined
  } catch {
    return "the user or the password in it has a % that begins no escape; expected %25 for a %"
  }
}

/** Makes the channels of their entries, and adds what is wrong with them to `problems`. */
export const read = (
  entries: ReadonlyArray<Entry>,
  environment: Secret.Environment,
  problems: Array<string>
): ReadonlyArray<ChannelConfiguration> => {
  const channels: Array<ChannelConfiguration> = []
  const indexes = new Map<string, number>()
  for (const [index, entry] of entries.entries()) {
    const channel = readOne(entry, `channels[${index}]`, environment, problems)
    if (channel !== undefined) channels.push(channel)
    const name = entry.name ?? entry.type
    const same = indexes.get(name)
    if (same !== undefined) {
      problems.push(`channels[${index}].name: ${JSON.stringify(name)} is already the name of channels[${same}]`)
    }
    indexes.set(name, same ?? index)
  }
  return channels
}

const tagsOf = (hosts: ReadonlyArray<Host>): ReadonlyMap<string, ReadonlySet<string>> => {
  const values = new Map<string, Set<string>>()
  for (const { tags } of hosts) {
    for (const [tag, value] of Object.entries(tags)) values.set(tag, (values.get(tag) ?? new Set()).add(value))
  }
  return values
}

const listed = (names: Iterable<string>): string => Array.from(names).toSorted().join(", ")

/** Returns what is wrong with the tags that channels require: those that no alert of these hosts can have. */
export const impossibleTags = (
  channels: ReadonlyArray<ChannelConfiguration>,
  hosts: ReadonlyArray<Host>
): ReadonlyArray<string> => {
  const hostTags = tagsOf(hosts)
  return channels.flatMap(({ name, requiredTags }) =>
    Object.entries(requiredTags).flatMap(([tag, value]) => {
      if (AllAlertTags.some((own) => own === tag)) return []
      const values = hostTags.get(tag)
      if (values?.has(value) === true) return []
      const at = `channel ${JSON.stringify(name)}: no alert can have the tag ${tag}`
      return values === undefined
        ? [`${at}; there are ${listed([...AllAlertTags, ...hostTags.keys()])}`]
        : [`${at}: ${value}; the hosts have ${listed(values)}`]
    })
  )
}
