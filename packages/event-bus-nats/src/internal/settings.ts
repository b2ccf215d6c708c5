/**
 * The options of a bridge, checked and complete. Everything refused here is a mistake in a program, so it is a defect that
 * names the option and what is allowed.
 */
import { Duration, Option } from "effect"
import type { Options, Stream } from "../Options.ts"

export interface Settings extends
  Omit<
    Options,
    "servers" | "export" | "import" | "stream" | "deliver" | "ackWait" | "start" | "timeout" | "heartbeat" | "drain"
  >
{
  readonly bus: string
  readonly servers: ReadonlyArray<string>
  readonly export: ReadonlyArray<string>
  readonly import: ReadonlyArray<string>
  readonly streamName: string
  readonly stream: Stream
  /** The durable consumer of this process, or of its queue. */
  readonly durable: string
  readonly deliver: "all" | "new"
  readonly ackWaitMillis: number
  readonly start: "wait" | "fail"
  readonly timeoutMillis: number
  readonly heartbeatMillis: number
  readonly drain: Duration.Duration
}

const quote = (value: unknown): string => typeof value === "string" ? JSON.stringify(value) : String(value)

export const requireSettings = (bus: string, kinds: ReadonlyArray<string>, options: Options): Settings => {
  const refuse = (what: string): never => {
    throw new TypeError(`NatsBridge of ${quote(bus)}: ${what}`)
  }
  const requireOneOf = (option: string, value: string, allowed: ReadonlyArray<string>): void => {
    if (!allowed.includes(value)) refuse(`${option} must be ${allowed.map(quote).join(" or ")}, but is ${quote(value)}`)
  }
  const requireKinds = (option: string, value: ReadonlyArray<string>): ReadonlyArray<string> => {
    for (const kind of value) {
      if (!kinds.includes(kind)) refuse(`${option} names ${quote(kind)}; the kinds are ${kinds.map(quote).join(", ")}`)
      if (!isToken(kind)) {
        refuse(`${option} names ${quote(kind)}; a kind with blanks, ".", "*" or ">" cannot be in a subject`)
      }
    }
    return Array.from(new Set(value))
  }
  const requireMillis = (option: string, value: Duration.Input): number => {
    const millis = Option.getOrElse(Option.map(Duration.fromInput(value), Duration.toMillis), () => NaN)
    return Number.isFinite(millis) && millis > 0
      ? millis
      : refuse(`${option} must be a time above 0, but is ${quote(value)}`)
  }
  const servers = typeof options.servers === "string" ? [options.servers] : options.servers
  if (servers.length === 0) refuse("servers must name at least one server")
  for (const server of servers) {
    // Not quoted: it holds a secret.
    if (server.includes("@")) refuse("servers has a server with a user in its address; that belongs in credentials")
    if (server.trim() === "") refuse("servers has an empty address")
  }
  if (!options.subject.split(".").every(isToken) || options.subject.startsWith("$")) {
    refuse(`subject must be words joined by ".", without blanks, "*" and ">", but is ${quote(options.subject)}`)
  }
  if (options.source === "") refuse("source must name this process, but is empty")
  if (options.queue !== undefined && !isToken(options.queue)) {
    refuse(`queue must be a word without blanks, ".", "*" and ">", but is ${quote(options.queue)}`)
  }
  const { discard, duplicateWindow, maxAge, maxBytes, maxMessages, name, replicas, storage } = options.stream ?? {}
  if (name !== undefined && !/^[^\s.*>/\\]+$/.test(name)) {
    refuse(`stream.name must be a word without blanks, ".", "*", ">" and slashes, but is ${quote(name)}`)
  }
  for (const [option, value] of Object.entries({ replicas, maxBytes, maxMessages })) {
    if (value !== undefined && !(Number.isSafeInteger(value) && value > 0)) {
      refuse(`stream.${option} must be a positive integer, but is ${value}`)
    }
  }
  for (const [option, value] of Object.entries({ maxAge, duplicateWindow })) {
    if (value !== undefined) requireMillis(`stream.${option}`, value)
  }
  requireOneOf("stream.storage", storage ?? "file", ["file", "memory"])
  requireOneOf("stream.discard", discard ?? "old", ["old", "new"])
  requireOneOf("mode", options.mode, ["core", "jetstream"])
  requireOneOf("start", options.start ?? "wait", ["wait", "fail"])
  requireOneOf("deliver", options.deliver ?? "all", ["all", "new"])
  if (options.mode === "core") {
    for (const option of ["handledBy", "stream", "deliver", "ackWait"] as const) {
      if (options[option] !== undefined) refuse(`${option} needs mode "jetstream", but mode is "core"`)
    }
  }
  requireOneOf("exportOrder", options.exportOrder ?? "all", ["all", "key"])
  if (options.outbox === undefined) {
    if (options.exportOrder !== undefined) refuse("exportOrder needs an outbox to send from, but outbox is not given")
  } else {
    if ((options.export ?? []).length === 0) refuse("outbox needs kinds to export, but export is empty")
    for (const option of ["bufferSize", "overflow"] as const) {
      if (options[option] !== undefined) {
        refuse(`${option} is for events that are not in an outbox, which keeps what is not sent`)
      }
    }
  }
  const imports = requireKinds("import", options.import ?? [])
  if (imports.length === 0) {
    for (const option of ["handledBy", "queue"] as const) {
      if (options[option] !== undefined) refuse(`${option} needs kinds to import, but import is empty`)
    }
  }
  return {
    ...options,
    bus,
    servers,
    export: requireKinds("export", options.export ?? []),
    import: imports,
    stream: options.stream ?? {},
    streamName: options.stream?.name ?? options.subject.toUpperCase().replace(/[^A-Z0-9]/g, "_"),
    durable: options.queue === undefined
      ? `source=${consumerName(options.source)}`
      : `queue=${consumerName(options.queue)}`,
    deliver: options.deliver ?? "all",
    ackWaitMillis: requireMillis("ackWait", options.ackWait ?? "30 seconds"),
    start: options.start ?? "wait",
    timeoutMillis: requireMillis("timeout", options.timeout ?? "5 seconds"),
    heartbeatMillis: requireMillis("heartbeat", options.heartbeat ?? "10 seconds"),
    drain: Option.getOrElse(
      Duration.fromInput(options.drain ?? "5 seconds"),
      () => refuse(`drain must be a time, but is ${quote(options.drain)}`)
    )
  }
}

const isToken = (value: string): boolean => /^[^\s.*>]+$/.test(value)

/** One to one: two sources must never share a consumer. */
const consumerName = (value: string): string =>
  Array.from(new TextEncoder().encode(value), (byte) => {
    const character = String.fromCharCode(byte)
    return /[A-Za-z0-9_-]/.test(character) ? character : `=${byte.toString(16).padStart(2, "0").toUpperCase()}`
  }).join("")
