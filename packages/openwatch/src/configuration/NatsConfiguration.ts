/**
 * How this process is joined to others by NATS: the `nats` part of a configuration.
 *
 * ```yaml
 * nats:
 *   servers: [nats://127.0.0.1:4222]      # the servers of one cluster
 *   source: probes-1                      # the name of this process: no other's, and the same after a restart
 *   subject: openwatch                    # events go to openwatch.<kind>
 *   mode: jetstream                       # delivered at least once; or core: at most once
 *   export: [HeartbeatPulse, DriftDetected]
 *   import: [HeartbeatPulse, DriftDetected]
 *   queue: routers                        # each event to one of the processes with this queue
 *   user: openwatch                       # or token, nkey_seed, or creds_file: a file that nsc made
 *   password_env: NATS_PASSWORD           # or password: the password itself; token and nkey_seed likewise
 *   tls: { ca_file: ca.pem }              # and cert_file, key_file, handshake_first; files relative to this one
 *   stream:                               # of JetStream; made if it is missing
 *     name: OPENWATCH
 *     max_age: 7d                         # how long events are kept; default: for ever
 *     max_bytes: 1000000000
 *     max_messages: 1000000
 *     discard: new                        # a full stream refuses new events; old: it loses the oldest
 *     storage: file                       # or memory
 *     replicas: 1
 *     duplicate_window: 2m
 * ```
 *
 * All but `servers`, `source`, and one of `export` and `import`, may be left out.
 */
import { type Duration, Option, type Redacted, Schema } from "effect"
import { PlainText } from "../events/PlainText.ts"
import { AllEventKinds, type EventKind } from "../events/SystemEventBus.ts"
import * as Secret from "./Secret.ts"
import * as TimeSpan from "./TimeSpan.ts"

/** How to log in. */
export type NatsCredentials =
  | { readonly type: "token"; readonly token: Redacted.Redacted }
  | { readonly type: "user"; readonly user: string; readonly password: Redacted.Redacted }
  | { readonly type: "nkey"; readonly seed: Redacted.Redacted }
  /** The path of a file that is read before each attempt to connect. */
  | { readonly type: "creds"; readonly file: string }

/** How the process is joined to others. For what is `undefined`, the bridge has a default. */
export interface NatsConfiguration {
  readonly servers: ReadonlyArray<string>
  readonly source: string
  readonly subject: string
  readonly mode: "core" | "jetstream"
  readonly export: ReadonlyArray<EventKind>
  readonly import: ReadonlyArray<EventKind>
  readonly queue: string | undefined
  readonly credentials: NatsCredentials | undefined
  readonly tls: {
    readonly caFile: string | undefined
    readonly certFile: string | undefined
    readonly keyFile: string | undefined
    readonly handshakeFirst: boolean | undefined
  } | undefined
  readonly stream: {
    readonly name: string | undefined
    readonly storage: "file" | "memory" | undefined
    readonly replicas: number | undefined
    readonly maxAge: Duration.Duration | undefined
    readonly maxBytes: number | undefined
    readonly maxMessages: number | undefined
    readonly discard: "old" | "new" | undefined
    readonly duplicateWindow: Duration.Duration | undefined
  } | undefined
}

/** What the subject is where nothing is said. */
export const defaultSubject = "openwatch"

// Messages of its own, as the default ones show the value, which may hold a password.
const serverExpected =
  "Expected the address of a server, like nats://host:4222 or tls://host:4222, without user and password"

const Server = Schema.String.annotate({ message: serverExpected }).check(
  Schema.isPattern(/^(?:(?:nats|tls):\/\/)?[^\s@/]+$/, { message: serverExpected })
)

const word = (expected: string) => Schema.String.check(Schema.isPattern(/^[^\s.*>]+$/, { expected }))

const Kinds = Schema.Array(Schema.Literals(AllEventKinds))

const Count = Schema.Int.check(Schema.isGreaterThan(0, { expected: "a number above 0" }))

const StreamEntry = Schema.Struct({
  name: Schema.optionalKey(word("a name without blanks, \".\", \"*\" and \">\"")),
  storage: Schema.optionalKey(Schema.Literals(["file", "memory"])),
  replicas: Schema.optionalKey(Count),
  max_age: Schema.optionalKey(TimeSpan.Text),
  max_bytes: Schema.optionalKey(Count),
  max_messages: Schema.optionalKey(Count),
  discard: Schema.optionalKey(Schema.Literals(["old", "new"])),
  duplicate_window: Schema.optionalKey(TimeSpan.Text)
}).annotate({
  message: "Expected a mapping with keys like `max_age`",
  messageUnexpectedKey: "Unknown key: a stream has `name`, `storage`, `replicas`, `max_age`, `max_bytes`, " +
    "`max_messages`, `discard` and `duplicate_window`"
})

const TlsEntry = Schema.Struct({
  ca_file: Schema.optionalKey(Schema.NonEmptyString),
  cert_file: Schema.optionalKey(Schema.NonEmptyString),
  key_file: Schema.optionalKey(Schema.NonEmptyString),
  handshake_first: Schema.optionalKey(Schema.Boolean)
}).annotate({
  message: "Expected a mapping with keys like `ca_file`, or {}",
  messageUnexpectedKey: "Unknown key: tls has `ca_file`, `cert_file`, `key_file` and `handshake_first`"
})

/** The `nats` part, as the file has it. */
export const NatsEntry = Schema.Struct({
  servers: Schema.Array(Server).annotate({ message: "Expected a list of addresses" }).check(
    Schema.isNonEmpty({ message: "Expected at least one address" })
  ),
  source: PlainText.check(Schema.isNonEmpty()),
  subject: Schema.optionalKey(
    Schema.String.check(
      Schema.isPattern(/^(?!\$)[^\s.*>]+(?:\.[^\s.*>]+)*$/, {
        expected: "words joined by \".\", without blanks, \"*\" and \">\""
      })
    )
  ),
  mode: Schema.optionalKey(Schema.Literals(["core", "jetstream"])),
  export: Schema.optionalKey(Kinds),
  import: Schema.optionalKey(Kinds),
  queue: Schema.optionalKey(word("a word without blanks, \".\", \"*\" and \">\"")),
  user: Schema.optionalKey(Schema.NonEmptyString),
  password: Schema.optionalKey(Secret.Secret),
  password_env: Schema.optionalKey(Secret.EnvironmentVariable),
  token: Schema.optionalKey(Secret.Secret),
  token_env: Schema.optionalKey(Secret.EnvironmentVariable),
  nkey_seed: Schema.optionalKey(Secret.Secret),
  nkey_seed_env: Schema.optionalKey(Secret.EnvironmentVariable),
  creds_file: Schema.optionalKey(Schema.NonEmptyString),
  tls: Schema.optionalKey(TlsEntry),
  stream: Schema.optionalKey(StreamEntry)
}).annotate({
  message: "Expected a mapping with the keys `servers` and `source`",
  messageUnexpectedKey: "Unknown key: nats has `servers`, `source`, `subject`, `mode`, `export`, `import`, `queue`, " +
    "`user`, `password`, `password_env`, `token`, `token_env`, `nkey_seed`, `nkey_seed_env`, `creds_file`, `tls` and `stream`"
})

type NatsEntry = typeof NatsEntry.Type

const readCredentials = (
  entry: NatsEntry,
  environment: Secret.Environment,
  relativeToFile: (path: string) => string,
  problems: Array<string>
): NatsCredentials | undefined => {
  const secret = (key: "password" | "token" | "nkey_seed") =>
    Secret.read(`nats.${key}`, { given: entry[key], variable: entry[`${key}_env`] }, environment, problems)
  const isGiven = (key: "password" | "token" | "nkey_seed") =>
    entry[key] !== undefined || entry[`${key}_env`] !== undefined

  const ways = [
    ...(entry.user !== undefined || isGiven("password") ? ["user"] : []),
    ...(isGiven("token") ? ["token"] : []),
    ...(isGiven("nkey_seed") ? ["nkey_seed"] : []),
    ...(entry.creds_file !== undefined ? ["creds_file"] : [])
  ]
  if (ways.length > 1) {
    problems.push(`nats: ${ways.map((way) => `\`${way}\``).join(" and ")} are given; expected one way to log in`)
    return undefined
  }
  const password = secret("password")
  const token = secret("token")
  const seed = secret("nkey_seed")
  if (entry.user !== undefined && !isGiven("password")) {
    problems.push("nats.password: Missing: a user has `password` or `password_env`")
  }
  if (entry.user === undefined && isGiven("password")) problems.push("nats.user: Missing: a password is that of a user")
  if (entry.user !== undefined && password !== undefined) return { type: "user", user: entry.user, password }
  if (token !== undefined) return { type: "token", token }
  if (seed !== undefined) return { type: "nkey", seed }
  return entry.creds_file === undefined ? undefined : { type: "creds", file: relativeToFile(entry.creds_file) }
}

const optionally = <A, B>(value: A | undefined, f: (value: A) => B): B | undefined =>
  value === undefined ? undefined : f(value)

const timeSpan = (text: string) => Option.getOrUndefined(TimeSpan.parse(text))

/** Makes the configuration of the entry, and adds what is wrong with it to `problems`. */
export const read = (
  entry: NatsEntry,
  environment: Secret.Environment,
  relativeToFile: (path: string) => string,
  problems: Array<string>
): NatsConfiguration => {
  const { export: exports = [], import: imports = [], mode = "jetstream", stream, tls } = entry
  if (exports.length === 0 && imports.length === 0) {
    problems.push(`nats: Expected kinds to \`export\` or to \`import\`; there are ${AllEventKinds.join(" and ")}`)
  }
  if (entry.queue !== undefined && imports.length === 0) {
    problems.push("nats.queue: Expected kinds to `import` as well: a queue shares out what is imported")
  }
  if (stream !== undefined && mode === "core") {
    problems.push("nats.stream: Unknown key where `mode` is core: only JetStream has streams")
  }
  return {
    servers: entry.servers,
    source: entry.source,
    subject: entry.subject ?? defaultSubject,
    mode,
    export: exports,
    import: imports,
    queue: entry.queue,
    credentials: readCredentials(entry, environment, relativeToFile, problems),
    tls: optionally(tls, (tls) => ({
      caFile: optionally(tls.ca_file, relativeToFile),
      certFile: optionally(tls.cert_file, relativeToFile),
      keyFile: optionally(tls.key_file, relativeToFile),
      handshakeFirst: tls.handshake_first
    })),
    stream: optionally(stream, (stream) => ({
      name: stream.name,
      storage: stream.storage,
      replicas: stream.replicas,
      maxAge: optionally(stream.max_age, timeSpan),
      maxBytes: stream.max_bytes,
      maxMessages: stream.max_messages,
      discard: stream.discard,
      duplicateWindow: optionally(stream.duplicate_window, timeSpan)
    }))
  }
}
