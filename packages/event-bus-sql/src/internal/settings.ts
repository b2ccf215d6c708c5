/**
 * Options, checked and complete. Everything refused here is a mistake in a program, so it is a defect that names the option
 * and what is allowed.
 */
import { DateTime, Duration, Option, Schedule } from "effect"
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

/** True for a text that both databases store as it is. Half a character is half of a surrogate pair, as in a cut emoji. */
export const isStorable = (value: unknown): value is string =>
  typeof value === "string" && value.trim() !== "" && !value.includes("\0") && value.isWellFormed()

/** Says what is wrong, and whose option it is. */
type Say = (what: string) => never

const requireDuration = (say: Say, option: string, value: Duration.Input): Duration.Duration =>
  Option.getOrElse(
    Option.filter(Duration.fromInput(value), (duration) => Duration.toMillis(duration) > 0),
    () => say(`${option} must be a duration above 0 such as "5 seconds", but is ${quote(value)}`)
  )

const requireOneOf = <A extends string>(say: Say, option: string, value: A, allowed: ReadonlyArray<A>): A =>
  allowed.includes(value) ? value : say(`${option} must be one of ${list(allowed)}, but is ${quote(value)}`)

const requirePositiveInteger = (say: Say, option: string, value: number): number =>
  Number.isSafeInteger(value) && value > 0
    ? value
    : say(`${option} must be a positive integer, but is ${quote(value)}`)

/** The types find a misspelt option only where it is written down in place. */
const requireKnown = (say: Say, where: string, options: object, known: object): void => {
  for (const option of Object.keys(options)) {
    if (!(option in known)) {
      say(`${where} has no option ${quote(option)}; the options are ${list(Object.keys(known))}`)
    }
  }
}

const knownOfLayer: Record<keyof Options, true> = {
  tablePrefix: true,
  pollInterval: true,
  lease: true,
  partitions: true,
  retention: true,
  expireAfter: true,
  live: true,
  process: true
}

const knownOfConsumer: Record<keyof ConsumerOptions<any, any>, true> = {
  consumer: true,
  from: true,
  order: true,
  concurrency: true,
  retry: true,
  maxAttempts: true,
  timeout: true,
  drain: true,
  afterDeath: true,
  replaces: true,
  retires: true,
  transactional: true,
  batch: true
}

const knownOfBatch: Record<keyof Batch, true> = { max: true, within: true }

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
  const say: Say = (what) => refuse(outbox, what)
  requireKnown(say, "layerWith", options, knownOfLayer)
  const tablePrefix = options.tablePrefix ?? "outbox_"
  // So that the longest name, `<prefix>parked_by_state`, is one on PostgreSQL, and needs no quotes.
  if (!/^[a-z_][a-z0-9_]{0,39}$/.test(tablePrefix)) {
    say(`tablePrefix must be up to 40 of a-z, 0-9 and _, and begin with no digit, but is ${quote(tablePrefix)}`)
  }
  const pollMillis = Duration.toMillis(requireDuration(say, "pollInterval", options.pollInterval ?? "1 second"))
  const leaseMillis = Duration.toMillis(requireDuration(say, "lease", options.lease ?? "10 seconds"))
  if (leaseMillis < 3 * pollMillis || !Number.isFinite(leaseMillis)) {
    say(
      `lease must be at least 3 times the pollInterval of ${pollMillis} ms, since it is renewed at each poll, ` +
        `but is ${quote(options.lease ?? "10 seconds")}`
    )
  }
  const partitions = options.partitions ?? 16
  if (!Number.isInteger(Math.log2(partitions)) || partitions < 1 || partitions > slots) {
    say(`partitions must be a power of two from 1 to ${slots}, but is ${quote(partitions)}`)
  }
  const retentionMillis = Duration.toMillis(requireDuration(say, "retention", options.retention ?? "7 days"))
  const expiryMillis = Duration.toMillis(
    requireDuration(say, "expireAfter", options.expireAfter ?? Duration.infinity)
  )
  const { live = true, process } = options
  if (process !== undefined && !/^[A-Za-z0-9_.-]+$/.test(process)) {
    say(`process must be a name of letters, digits, and _ . -, but is ${quote(process)}`)
  }
  return { tablePrefix, pollMillis, leaseMillis, partitions, retentionMillis, expiryMillis, live, process }
}

const requireBatch = (say: Say, batch: Batch): BatchSettings => {
  requireKnown(say, "batch", batch, knownOfBatch)
  const { max, within } = batch
  if (!Number.isInteger(max) || max < 1 || max > window) {
    say(`batch.max must be an integer from 1 to ${window}, but is ${quote(max)}`)
  }
  return {
    max,
    withinMillis: within === undefined ? 0 : Duration.toMillis(requireDuration(say, "batch.within", within))
  }
}

/** What `on` was given, but for its handler. */
export const requireConsumer = (
  outbox: string,
  allowed: ReadonlyArray<string>,
  keys: Keys<any>,
  kinds: ReadonlyArray<string>,
  options: ConsumerOptions<any, any>
): Omit<ConsumerSettings, "handle" | "handleBatch" | "tally"> => {
  const { consumer } = options
  if (!isStorable(consumer)) {
    refuse(outbox, `consumer must be a name, under which the position is kept, but is ${quote(consumer)}`)
  }
  const say: Say = (what) => refuse(outbox, `consumer ${quote(consumer)}: ${what}`)
  requireKnown(say, "on", options, knownOfConsumer)
  if (kinds.length === 0) say(`it handles no kind; the kinds are ${list(allowed)}`)
  for (const kind of kinds) {
    if (!allowed.includes(kind)) say(`it names the kind ${quote(kind)}; the kinds are ${list(allowed)}`)
  }
  const order = requireOneOf(say, "order", options.order ?? "all", ["all", "key", "none"])
  if (order === "key") {
    const keyless = kinds.filter((kind) => (keys as Record<string, unknown>)[kind] === undefined)
    if (keyless.length > 0) say(`order "key" needs a key for each kind, and ${list(keyless)} has none in keys`)
  }
  const concurrency = requirePositiveInteger(say, "concurrency", options.concurrency ?? (order === "all" ? 1 : 8))
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
  if (options.replaces !== undefined && (options.replaces === consumer || !isStorable(options.replaces))) {
    say(`replaces must be the name that it had before, but is ${quote(options.replaces)}`)
  }
  const afterDeath = requireOneOf(say, "afterDeath", options.afterDeath ?? "continue", ["continue", "hold"])
  if (afterDeath === "hold" && order === "none") {
    say(`afterDeath "hold" needs order "all" or "key"; with order "none" nothing comes behind a dead letter`)
  }
  const { drain, retry = defaultRetry } = options
  if (!Schedule.isSchedule(retry)) {
    say(`retry must be a schedule such as Schedule.spaced("5 seconds"), but is ${quote(retry)}`)
  }
  const isTransactional = options.transactional ?? false
  return {
    name: consumer,
    kinds: Array.from(new Set(kinds)),
    order,
    concurrency,
    retry: retry as Schedule.Schedule<unknown, number>,
    maxAttempts: requirePositiveInteger(say, "maxAttempts", options.maxAttempts ?? 10),
    timeoutMillis: Duration.toMillis(
      requireDuration(say, "timeout", options.timeout ?? (isTransactional ? "5 seconds" : "30 seconds"))
    ),
    batch: options.batch === undefined ? undefined : requireBatch(say, options.batch),
    holdsBehindDead: afterDeath === "hold",
    isTransactional,
    // 0 means none, as it does for a handler of the bus.
    drain: drain === undefined || drain === 0 ? undefined : requireDuration(say, "drain", drain)
  }
}
