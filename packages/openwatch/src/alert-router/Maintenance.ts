/**
 * Maintenance: a time in which nobody wants to hear of some hosts. Alerts that are raised meanwhile are stored and not
 * sent (see `Suppression`). Everything here is pure.
 */
import { Cron, DateTime, Duration } from "effect"
import type { HostId } from "../events/HostId.ts"
import type { Alert } from "./Alert.ts"

/** What is in maintenance: a host, by its name or id, or the hosts that have a tag. */
export type Subject =
  // Where its id is known that counts: the alerts of a host that was renamed have its former name.
  | { readonly _tag: "Host"; readonly host: string; readonly id?: HostId }
  | { readonly _tag: "Tag"; readonly name: string; readonly value: string }

/** Reads a subject as people write it: `web-1`, or `site=berlin`. */
export const parseSubject = (text: string): Subject => {
  const tag = /^([A-Za-z0-9_][A-Za-z0-9_.-]*)=(.+)$/.exec(text)
  return tag === null ? { _tag: "Host", host: text } : { _tag: "Tag", name: tag[1]!, value: tag[2]! }
}

/** A subject as people write it. */
export const formatSubject = (subject: Subject): string =>
  subject._tag === "Host" ? subject.host : `${subject.name}=${subject.value}`

/** Whether an alert is of a host that the subject means. */
export const isOf = (subject: Subject, { hostId, tags }: Pick<Alert, "hostId" | "tags">): boolean =>
  subject._tag === "Host"
    ? hostId === (subject.id ?? subject.host.toLowerCase()) || subject.id === undefined && tags["host"] === subject.host
    : Object.hasOwn(tags, subject.name) && tags[subject.name] === subject.value

/** When a planned maintenance begins, each time. */
export type Start = { readonly _tag: "Once"; readonly at: DateTime.Utc } | {
  readonly _tag: "Weekly"
  readonly cron: Cron.Cron
}

/** A planned maintenance. */
export interface Planned {
  /** All of these are in maintenance. */
  readonly subjects: ReadonlyArray<Subject>
  /** Each of these is a beginning of its own. */
  readonly starts: ReadonlyArray<Start>
  readonly duration: Duration.Duration
  readonly why: string
}

/** A time of maintenance. It includes its beginning, and not its end. */
export interface Window {
  /** Whether it has begun. */
  readonly isOn: boolean
  readonly since: DateTime.Utc
  readonly until: DateTime.Utc
}

/**
 * Returns the window that a time is in. If it is in several, the last of them. If it is in none, the next window, or
 * `undefined` if there is no other.
 */
export const windowAt = ({ duration, starts }: Planned, at: DateTime.Utc): Window | undefined => {
  const now = DateTime.toEpochMillis(at)
  const length = Duration.toMillis(duration)
  const begins = starts.flatMap((start) =>
    start._tag === "Once"
      ? [DateTime.toEpochMillis(start.at)]
      // What begins now has begun: the last time before the next millisecond.
      : [Cron.prev(start.cron, now + 1).getTime(), Cron.next(start.cron, now).getTime()]
  ).filter((begin) => now < begin + length)
  if (begins.length === 0) return undefined
  const begun = begins.filter((begin) => begin <= now)
  const begin = begun.length > 0 ? Math.max(...begun) : Math.min(...begins)
  return {
    isOn: begun.length > 0,
    since: DateTime.makeUnsafe(begin),
    until: DateTime.makeUnsafe(begin + length)
  }
}

/** Whether a planned maintenance goes on at a time. */
export const isOn = (planned: Planned, at: DateTime.Utc): boolean => windowAt(planned, at)?.isOn === true
