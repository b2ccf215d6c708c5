/**
 * Maintenance that is planned: the `maintenance` part of a configuration.
 *
 * ```yaml
 * maintenance:
 *   - hosts: [web-1, web-2]        # by their names
 *     once: 2026-12-01 22:00
 *     for: 2h
 *     time_zone: Europe/Berlin     # default: that of the machine
 *     why: new switches
 *   - tags: [site=berlin]          # the hosts that have one of these tags
 *     weekly: [sat 02:00, sun 02:00]
 *     for: 3h
 * ```
 */
import { Cron, DateTime, Duration, Option, Result, Schema } from "effect"
import { parseSubject, type Planned, type Start, type Subject, windowAt } from "../alert-router/Maintenance.ts"
import { PlainText } from "../events/PlainText.ts"
import type { Host } from "../inventory/Host.ts"
import * as TimeSpan from "./TimeSpan.ts"

const days = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"] as const

const weekly = new RegExp(`^(${days.join("|")}) ([01]\\d|2[0-3]):([0-5]\\d)$`)

const once = /^(\d{4}-\d{2}-\d{2})[ T](\d{2}:\d{2})$/

/** The longest maintenance. */
const longest = Duration.days(7)

const list = (expected: string) =>
  Schema.Array(Schema.NonEmptyString).annotate({ message: `Expected ${expected}` }).check(
    Schema.isNonEmpty({ message: `Expected ${expected}` })
  )

const Entry = Schema.Struct({
  hosts: Schema.optionalKey(list("a list of names of hosts")),
  tags: Schema.optionalKey(list("a list of tags, like [site=berlin]")),
  once: Schema.optionalKey(
    Schema.String.check(Schema.isPattern(once, { expected: "a date and a time, like 2026-12-01 22:00" }))
  ),
  weekly: Schema.optionalKey(
    Schema.Array(
      Schema.String.check(Schema.isPattern(weekly, { expected: "a day and a time, like sun 02:00" }))
    ).annotate({ message: "Expected a list of days and times, like [sun 02:00]" })
  ),
  for: TimeSpan.Text,
  time_zone: Schema.optionalKey(Schema.String),
  why: Schema.optionalKey(PlainText)
}).annotate({
  message: "Expected a mapping with keys like `hosts`, `weekly` and `for`",
  messageUnexpectedKey: "Unknown key: a maintenance has `hosts`, `tags`, `once`, `weekly`, `for`, `time_zone` and `why`"
})

/** The `maintenance` part, as the file has it. */
export const MaintenanceEntries = Schema.Array(Entry).annotate({ message: "Expected a list of maintenances" })

type Entry = typeof Entry.Type

const startOf = (text: string, zone: DateTime.TimeZone): Start => {
  const [, day, hour, minute] = weekly.exec(text)!
  const weekday = days.findIndex((name) => name === day)
  return {
    _tag: "Weekly",
    cron: Result.getOrThrow(Cron.parse(`${minute} ${hour} * * ${weekday}`, zone))
  }
}

/** The time that a clock of the zone shows. What it never shows, or shows twice, is added to `problems`. */
const readOnce = (text: string, zone: DateTime.TimeZone, at: string, problems: Array<string>): ReadonlyArray<Start> => {
  const local = text.replace(" ", "T")
  const timesOf = (disambiguation: DateTime.Disambiguation) =>
    DateTime.makeZoned(local, { timeZone: zone, adjustForTimeZone: true, disambiguation })
  const first = timesOf("earlier")
  const second = timesOf("later")
  const expected = `${at}.once: Expected a date and a time that there are, got ${JSON.stringify(text)}`
  if (Option.isNone(first) || Option.isNone(second)) {
    problems.push(expected)
    return []
  }
  if (!DateTime.Equivalence(first.value, second.value)) {
    const name = DateTime.zoneToString(zone)
    const [one, other] = [first.value, second.value].map((time) => DateTime.formatIsoOffset(time))
    problems.push(
      one!.startsWith(local)
        ? `${at}.once: ${text} comes twice in ${name}: expected an offset as the \`time_zone\`, ` +
          `${one!.slice(-6)} for the first or ${other!.slice(-6)} for the second`
        : `${expected}, which clocks in ${name} skip`
    )
  }
  return [{ _tag: "Once", at: DateTime.toUtc(first.value) }]
}

const readOne = (entry: Entry, at: string, problems: Array<string>): Planned => {
  const zone = entry.time_zone === undefined ? DateTime.zoneMakeLocal() : DateTime.zoneFromString(entry.time_zone).pipe(
    Option.getOrElse(() => {
      problems.push(
        `${at}.time_zone: Expected the name of a time zone, like Europe/Berlin, got ${JSON.stringify(entry.time_zone)}`
      )
      return DateTime.zoneMakeLocal()
    })
  )
  if (entry.hosts === undefined && entry.tags === undefined) {
    problems.push(`${at}: Missing: expected \`hosts\` or \`tags\``)
  }
  if ((entry.once === undefined) === (entry.weekly === undefined)) {
    problems.push(`${at}: Expected either \`once\` or \`weekly\``)
  }
  const duration = Option.getOrElse(TimeSpan.parse(entry.for), () => Duration.zero)
  if (!Duration.between(duration, { minimum: Duration.minutes(1), maximum: longest })) {
    problems.push(`${at}.for: Expected a time span from 1m to 7d, got ${JSON.stringify(entry.for)}`)
  }
  const tags = (entry.tags ?? []).map(parseSubject)
  for (const [index, subject] of tags.entries()) {
    if (subject._tag === "Host") {
      problems.push(`${at}.tags[${index}]: Expected a tag, like site=berlin, got ${JSON.stringify(subject.host)}`)
    }
  }
  const starts: Array<Start> = (entry.weekly ?? []).map((text) => startOf(text, zone))
  if (entry.once !== undefined) starts.push(...readOnce(entry.once, zone, at, problems))
  return {
    subjects: [...(entry.hosts ?? []).map((host): Subject => ({ _tag: "Host", host })), ...tags],
    starts,
    duration,
    why: entry.why ?? ""
  }
}

/** Reads the entries, and adds what is wrong with them to `problems`. */
export const read = (entries: ReadonlyArray<Entry>, problems: Array<string>): ReadonlyArray<Planned> =>
  entries.map((entry, index) => readOne(entry, `maintenance[${index}]`, problems))

/** Those that are over and do not come again, as their years may be misspelt. An old one stops nothing from starting. */
export const over = (planned: ReadonlyArray<Planned>, now: DateTime.Utc): Array<string> =>
  planned.flatMap((each, index) =>
    windowAt(each, now) === undefined ? [`maintenance[${index}].once: it is over, and does not come again`] : []
  )

/** What is wrong with maintenances of these hosts: those that mean none of them. */
export const impossibleSubjects = (planned: ReadonlyArray<Planned>, hosts: ReadonlyArray<Host>): Array<string> =>
  planned.flatMap(({ subjects }, index) =>
    subjects.flatMap((subject) => {
      if (subject._tag === "Host") {
        return hosts.some(({ id, name }) => name === subject.host || id === subject.host)
          ? []
          : [`maintenance[${index}].hosts: no host of the inventory is called ${JSON.stringify(subject.host)}`]
      }
      return hosts.some(({ tags }) => tags[subject.name] === subject.value)
        ? []
        : [`maintenance[${index}].tags: no host of the inventory has the tag ${subject.name}=${subject.value}`]
    })
  )
