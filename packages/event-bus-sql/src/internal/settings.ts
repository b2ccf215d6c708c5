/**
 * Options, checked and complete. Everything refused here is a mistake in a program, so it is a defect that names the option
 * and what is allowed.
 */
import { DateTime, Duration, Option, type Schedule } from "effect"
import type { Batch, ConsumerOptions, Keys, Options } from "../Outbox.ts"
import type { BatchSettings, ConsumerSettings } from "./consumer.ts"
import { slots } from "./keyHash.ts"
import { window } from "./partition.ts"
import { defaultRetry } from "./retryPause.ts"

export const quote = (value: unknown): string => typeof value === "string" ? JSON.stringify(value) : String(value)

export const list = (values: ReadonlyArray<string>): string => values.map(quote).join(", ")

export const refuse = (outbox: string, what: string): never => {
  throw new TypeError(`Outbox ${quote(outbox)}: ${what}`)
}

const requireDuration = (outbox: string, option: string, value: Duration.Input): Duration.Duration =>
  Option.getOrElse(
    Option.filter(Duration.fromInput(value), (duration) => Duration.toMillis(duration) > 0),
    () => refuse(outbox, `${option} must be a duration above 0 such as "5 seconds", but is ${quote(value)}`)
  )

const requireOneOf = <A extends string>(outbox: string, option: string, value: A, allowed: ReadonlyArray<A>): A =>
  allowed.includes(value) ? value : refuse(outbox, `${option} must be one of ${list(allowed)}, but is ${quote(value)}`)

const requirePositiveInteger = (outbox: string, option: string, value: number): number =>
  Number.isSafeInteger(value) && value > 0
    ? value
    : refuse(outbox, `${option} must be a positive integer, but is ${quote(value)}`)

export interface Settings {
  readonly tablePrefix: string
  readonly pollMillis: number
  readonly leaseMillis: number
  readonly partitions: number
  readonly retentionMillis: number
  readonly expiryMillis: number
  readonly live: boolean
  readonly process: string | undefined
}

export const requireSettings = (outbox: string, options: Options): Settings => {
  const tablePrefix = options.tablePrefix ?? "outbox_"
  // So that the longest name, `<prefix>parked_by_state`, is one on PostgreSQL, and needs no quotes.
  if (!/^[a-z_][a-z0-9_]{0,39}$/.test(tablePrefix)) {
    refuse(
      outbox,
      `tablePrefix must be up to 40 of a-z, 0-9 and _, and begin with no digit, but is ${quote(tablePrefix)}`
    )
  }
  const pollMillis = Duration.toMillis(requireDuration(outbox, "pollInterval", options.pollInterval ?? "1 second"))
  const leaseMillis = Duration.toMillis(requireDuration(outbox, "lease", options.lease ?? "10 seconds"))
  if (leaseMillis < 3 * pollMillis || !Number.isFinite(leaseMillis)) {
    refuse(
      outbox,
      `lease must be at least 3 times the pollInterval of ${pollMillis} ms, since it is renewed at each poll, ` +
        `but is ${quote(options.lease ?? "10 seconds")}`
    )
  }
  const partitions = options.partitions ?? 16
  if (!Number.isInteger(Math.log2(partitions)) || partitions < 1 || partitions > slots) {
    refuse(outbox, `partitions must be a power of two from 1 to ${slots}, but is ${quote(partitions)}`)
  }
  const retentionMillis = Duration.toMillis(requireDuration(outbox, "retention", options.retention ?? "7 days"))
  const expiryMillis = Duration.toMillis(
    requireDuration(outbox, "expireAfter", options.expireAfter ?? Duration.infinity)
  )
  const { live = true, process } = options
  if (process !== undefined && !/^[A-Za-z0-9_.-]+$/.test(process)) {
    refuse(outbox, `process must be a name of letters, digits, and _ . -, but is ${quote(process)}`)
  }
  return { tablePrefix, pollMillis, leaseMillis, partitions, retentionMillis, expiryMillis, live, process }
}

const requireBatch = (outbox: string, { max, within }: Batch): BatchSettings => {
  if (!Number.isInteger(max) || max < 1 || max > window) {
    refuse(outbox, `batch.max must be an integer from 1 to ${window}, but is ${quote(max)}`)
  }
  return {
    max,
    withinMillis: within === undefined ? 0 : Duration.toMillis(requireDuration(outbox, "batch.within", within))
  }
}

/** What `on` was given, but for its handler. */
export const requireConsumer = (
  outbox: string,
  allowed: ReadonlyArray<string>,
  keys: Keys<any>,
  kinds: ReadonlyArray<string>,
  options: ConsumerOptions<any> & { readonly batch?: Batch | undefined }
): Omit<ConsumerSettings, "handle" | "handleBatch" | "tally"> => {
  const { consumer } = options
  if (typeof consumer !== "string" || consumer.trim() === "" || consumer.includes("\0")) {
    refuse(outbox, `consumer must be a name, under which the position is kept, but is ${quote(consumer)}`)
  }
  const say = (what: string): never => refuse(outbox, `consumer ${quote(consumer)}: ${what}`)
  if (kinds.length === 0) say(`it handles no kind; the kinds are ${list(allowed)}`)
  for (const kind of kinds) {
    if (!allowed.includes(kind)) say(`it names the kind ${quote(kind)}; the kinds are ${list(allowed)}`)
  }
  const at = `${outbox}", consumer "${consumer}`
  const order = requireOneOf(at, "order", options.order ?? "all", ["all", "key", "none"])
  if (order === "key") {
    const keyless = kinds.filter((kind) => (keys as Record<string, unknown>)[kind] === undefined)
    if (keyless.length > 0) say(`order "key" needs a key for each kind, and ${list(keyless)} has none in keys`)
  }
  const concurrency = requirePositiveInteger(at, "concurrency", options.concurrency ?? (order === "all" ? 1 : 8))
  if (order === "all" && concurrency > 1) {
    say(`concurrency must be 1 with order "all", but is ${concurrency}; with order "key" keys are handled side by side`)
  }
  const { from } = options
  if (from !== undefined && from !== "now" && from !== "beginning" && !DateTime.isDateTime(from)) {
    say(`from must be "now", "beginning" or a DateTime, but is ${quote(from)}`)
  }
  for (const kind of options.retires ?? []) {
    if (kinds.includes(kind)) {
      say(`retires names ${quote(kind)}, which it handles; it names kinds that are handled no more`)
    }
  }
  if (options.replaces !== undefined && (options.replaces === consumer || options.replaces.trim() === "")) {
    say(`replaces must be the name that it had before, but is ${quote(options.replaces)}`)
  }
  const afterDeath = requireOneOf(at, "afterDeath", options.afterDeath ?? "continue", ["continue", "hold"])
  if (afterDeath === "hold" && order === "none") {
    say(`afterDeath "hold" needs order "all" or "key"; with order "none" nothing comes behind a dead letter`)
  }
  const isTransactional = options.transactional ?? false
  return {
    name: consumer,
    kinds: Array.from(new Set(kinds)),
    order,
    concurrency,
    retry: (options.retry ?? defaultRetry) as Schedule.Schedule<unknown, number>,
    maxAttempts: requirePositiveInteger(at, "maxAttempts", options.maxAttempts ?? 10),
    timeoutMillis: Duration.toMillis(
      requireDuration(at, "timeout", options.timeout ?? (isTransactional ? "5 seconds" : "30 seconds"))
    ),
    batch: options.batch === undefined ? undefined : requireBatch(at, options.batch),
    holdsBehindDead: afterDeath === "hold",
    isTransactional,
    drain: options.drain === undefined ? undefined : requireDuration(at, "drain", options.drain)
  }
}
