/**
 * The channels of a configuration: the entries of `channels`, each with its type, its settings, and which alerts it gets.
 */
import { Redacted, Schema } from "effect"
import { AllAlertTags, AllAlertTypes, AllSeverities, Severity } from "../alert-router/Alert.ts"
import type { Host } from "../inventory/Host.ts"
import * as Secret from "./Secret.ts"

interface Common {
  /** Unique among the channels. */
  readonly name: string
  /** Tags that an alert must have to be sent there. */
  readonly requiredTags: Readonly<Record<string, string>>
  /** How urgent an alert has to be to be sent there; any is where it is `undefined`. */
  readonly minSeverity: Severity | undefined
}

/** A channel that alerts are to be sent to. */
export type ChannelConfiguration =
  | Common & { readonly type: "console" }
  | Common & {
    readonly type: "webhook"
    readonly url: Redacted.Redacted
    readonly secret: Redacted.Redacted | undefined
  }
  | Common & { readonly type: "slack"; readonly url: Redacted.Redacted }

const types = ["console", "webhook", "slack"] as const

const Entry = Schema.Struct({
  type: Schema.Literals(types),
  name: Schema.optionalKey(
    Schema.String.check(
      Schema.isPattern(/^[^\s\p{C}](?:[^\p{C}]*[^\s\p{C}])?$/u, {
        expected: "a name without control characters or blanks around it"
      })
    )
  ),
  min_severity: Schema.optionalKey(Severity),
  tags: Schema.optionalKey(Schema.Record(Schema.String, Schema.String)),
  url: Schema.optionalKey(Secret.Secret),
  url_env: Schema.optionalKey(Secret.EnvironmentVariable),
  secret: Schema.optionalKey(Secret.Secret),
  secret_env: Schema.optionalKey(Secret.EnvironmentVariable)
}).annotate({
  message: "Expected a channel: a mapping with the key `type`",
  messageUnexpectedKey:
    "Unknown key: a channel has `type`, `name`, `min_severity`, `tags`, `url`, `url_env`, `secret` and `secret_env`"
})

type Entry = typeof Entry.Type

/** The entries, as the file has them. */
export const ChannelEntries = Schema.Array(Entry).annotate({ message: "Expected a list of channels" })

/** What each type of channel can be told besides its name and which alerts it gets. */
const settingsOf: { readonly [T in Entry["type"]]: ReadonlyArray<"url" | "secret"> } = {
  console: [],
  webhook: ["url", "secret"],
  slack: ["url"]
}

const tagValues: Readonly<Record<string, ReadonlyArray<string>>> = {
  severity: AllSeverities,
  alert_type: AllAlertTypes
}

const isHttpUrl = (text: string): boolean => {
  const protocol = URL.parse(text)?.protocol
  return protocol === "http:" || protocol === "https:"
}

/** Makes a channel of its entry, and adds what is wrong with it to `problems`. */
const readOne = (
  entry: Entry,
  at: string,
  environment: Secret.Environment,
  problems: Array<string>
): ChannelConfiguration | undefined => {
  const before = problems.length

  const read = (setting: "url" | "secret"): Redacted.Redacted | undefined => {
    if (!settingsOf[entry.type].includes(setting)) {
      for (const key of [setting, `${setting}_env`] as const) {
        if (entry[key] !== undefined) {
          problems.push(`${at}.${key}: Unknown key: a ${entry.type} channel has no ${setting}`)
        }
      }
      return undefined
    }
    return Secret.read(
      `${at}.${setting}`,
      { given: entry[setting], variable: entry[`${setting}_env`] },
      environment,
      problems
    )
  }

  const url = read("url")
  const secret = read("secret")
  const urlKey = entry.url === undefined ? "url_env" : "url"
  if (settingsOf[entry.type].includes("url") && entry.url === undefined && entry.url_env === undefined) {
    problems.push(`${at}.url: Missing: a ${entry.type} channel has \`url\` or \`url_env\``)
  }
  if (url !== undefined && !isHttpUrl(Redacted.value(url))) {
    // The scheme is no secret, all else may be.
    const scheme = URL.parse(Redacted.value(url))?.protocol
    problems.push(
      `${at}.${urlKey}: Expected a URL that begins with https:// or http://` +
        (scheme === undefined ? "" : `, got one that begins with ${scheme}`)
    )
  }
  for (const [tag, value] of Object.entries(entry.tags ?? {})) {
    const allowed = tagValues[tag]
    if (allowed !== undefined && !allowed.includes(value)) {
      problems.push(`${at}.tags.${tag}: Expected one of ${allowed.join(", ")}, got ${JSON.stringify(value)}`)
    }
  }
  if (problems.length > before) return undefined

  const common = { name: entry.name ?? entry.type, requiredTags: entry.tags ?? {}, minSeverity: entry.min_severity }
  if (entry.type === "console") return { ...common, type: "console" }
  if (url === undefined) return undefined
  return entry.type === "webhook" ? { ...common, type: "webhook", url, secret } : { ...common, type: "slack", url }
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

/** What is wrong with tags that channels require: those that no alert can have where these are the hosts. */
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
