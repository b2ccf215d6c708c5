/**
 * Where the live page is served, and to whom: the `http` part of a configuration.
 *
 * ```yaml
 * http:
 *   host: 127.0.0.1              # the address to listen on
 *   port: 7420
 *   token_env: OPENWATCH_TOKEN   # or token: the token itself, at least 16 characters
 *   tokens:                      # of people by name: what they do with alerts is done in their names
 *     - name: ada
 *       token_env: ADA_TOKEN
 *   hosts: [watch.example.org]   # the names under which browsers ask for the page
 *   url: https://watch.example.org/   # where people find the page: alerts have a link to it
 * ```
 *
 * All of it may be left out. On a loopback address nobody needs a token; on any other nothing starts without one.
 * `http: false` serves no page.
 */
import { Redacted, Result, Schema } from "effect"
import { trimmed } from "../configuration/Secret.ts"

/** How the live page is served. */
export interface HttpSettings {
  readonly host: string
  /** 0 for any that is free. */
  readonly port: number
  readonly token: Redacted.Redacted | undefined
  /** Tokens of people by name: what they do with alerts is done in their names. */
  readonly tokens?: ReadonlyArray<{ readonly name: string; readonly token: Redacted.Redacted }>
  /** The host names, beside addresses and `localhost`, under which browsers may ask for the page. */
  readonly hosts: ReadonlyArray<string>
  /** Where people find the page. Without it alerts have no link. */
  readonly url?: string
}

/** The address by default. */
export const defaultHost = "127.0.0.1"
/** The port by default. */
export const defaultPort = 7420
/** A token that is shorter can be guessed. */
const shortestToken = 16

/** What a header can carry (RFC 9110 section 5.5), and a keyboard can type everywhere. */
const sendable = /^[\x20-\x7e]+$/

const EnvironmentVariable = Schema.String.check(
  Schema.isPattern(/^[A-Za-z_][A-Za-z0-9_]*$/, { expected: "the name of an environment variable" })
)

const HostName = Schema.String.check(
  Schema.isPattern(/^[A-Za-z0-9_.-]+$/, { expected: "a host name, without scheme or port" })
)

const PageUrl = Schema.String.check(
  Schema.makeFilter((text: string) => {
    const url = URL.parse(text)
    return (url?.protocol === "https:" || url?.protocol === "http:") && url.hash === "" && url.search === "" &&
      url.username === "" && url.password === ""
  }, { expected: "the address of the page, like https://watch.example.org/" })
)

const PersonName = Schema.String.check(
  Schema.isPattern(/^[^\s\p{C}](?:[^\p{C}\p{Zl}\p{Zp}]{0,62}[^\s\p{C}])?$/u, {
    expected: "a name of at most 64 characters, without control characters or blanks around it"
  })
)

const NamedToken = Schema.Struct({
  name: PersonName,
  token: Schema.optionalKey(Schema.String.annotate({ message: "Expected a text" })),
  token_env: Schema.optionalKey(EnvironmentVariable)
}).annotate({
  message: "Expected a mapping with the keys `name` and `token` or `token_env`",
  messageUnexpectedKey: "Unknown key: a token has `name` and `token` or `token_env`"
})

const Settings = Schema.Struct({
  host: Schema.optionalKey(Schema.NonEmptyString),
  port: Schema.optionalKey(
    Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 65_535 }, { expected: "a port, 0 to 65535" }))
  ),
  // A message of its own, as the default one shows the value.
  token: Schema.optionalKey(Schema.String.annotate({ message: "Expected a text" })),
  token_env: Schema.optionalKey(EnvironmentVariable),
  tokens: Schema.optionalKey(Schema.Array(NamedToken).annotate({ message: "Expected a list of named tokens" })),
  hosts: Schema.optionalKey(Schema.Array(HostName)),
  url: Schema.optionalKey(PageUrl)
}).annotate({
  messageUnexpectedKey: "Unknown key: http has `host`, `port`, `token`, `token_env`, `tokens`, `hosts` and `url`"
})

/** The `http` part, as the file has it. */
export const HttpEntry = Schema.Union([Schema.Literal(false), Settings]).annotate({
  message:
    "Expected false, or a mapping with the keys `host`, `port`, `token`, `token_env`, `tokens`, `hosts` and `url`"
})

const isLoopback = (host: string): boolean => /^127(\.\d{1,3}){3}$|^::1$|^localhost$/i.test(host)

/** Reads a token from its place in the file or the environment, and adds what is wrong with it to `problems`. */
const readToken = (
  place: string,
  { token: given, token_env: variable }: { readonly token?: string; readonly token_env?: string },
  environment: Readonly<Record<string, string | undefined>>,
  problems: Array<string>
): string | undefined => {
  if (given !== undefined && variable !== undefined) {
    problems.push(`${place}_env: \`token\` is given as well; expected one of the two`)
  }
  const read = given ?? (variable === undefined ? undefined : environment[variable] ?? "")
  const token = read === undefined ? undefined : trimmed(read)
  const at = given === undefined && variable !== undefined
    ? `${place}_env: the environment variable ${variable}`
    : `${place}: it`
  if (token === "" && given === undefined) problems.push(`${at} is not set`)
  else if (token !== undefined && token.length < shortestToken) {
    problems.push(`${at} is ${token.length} characters long, expected at least ${shortestToken}`)
  } else if (token !== undefined && !sendable.test(token)) {
    problems.push(
      `${at} has a character that no request can carry; expected letters, digits, blanks and signs of ASCII`
    )
  }
  return token
}

/**
 * Reads the entry, and tokens from the environment if the entry says so. Returns `undefined` if there is to be no page.
 * Fails with what is wrong, each with its place in the file.
 */
export const read = (
  entry: typeof HttpEntry.Type | undefined,
  environment: Readonly<Record<string, string | undefined>>
): Result.Result<HttpSettings | undefined, readonly [string, ...Array<string>]> => {
  if (entry === false) return Result.succeed(undefined)
  const { host = defaultHost, hosts = [], port = defaultPort, tokens: entries = [], url } = entry ?? {}
  const problems: Array<string> = []
  const token = readToken("http.token", entry ?? {}, environment, problems)
  const tokens = entries.flatMap(({ name, ...given }, index) => {
    const at = `http.tokens[${index}]`
    const same = entries.findIndex((other) => other.name === name)
    if (same < index) problems.push(`${at}.name: ${JSON.stringify(name)} is already the name of http.tokens[${same}]`)
    if (given.token === undefined && given.token_env === undefined) {
      problems.push(`${at}.token: Missing: expected \`token\` or \`token_env\``)
    }
    const token = readToken(`${at}.token`, given, environment, problems)
    return token === undefined ? [] : [{ name, token: Redacted.make(token, { label: `${at}.token` }) }]
  })
  if (token === undefined && entries.length === 0 && !isLoopback(host)) {
    problems.push(
      `http.token: Missing: ${
        JSON.stringify(host)
      } is not a loopback address, so whoever reaches it would see the fleet; ` +
        `set \`token\` or \`token_env\`, or leave \`host\` at ${defaultHost}`
    )
  }
  const [problem, ...others] = problems
  return problem === undefined
    ? Result.succeed({
      host,
      port,
      token: token === undefined ? undefined : Redacted.make(token, { label: "http.token" }),
      ...(tokens.length === 0 ? {} : { tokens }),
      // Under its own address, browsers ask for it.
      hosts: url === undefined ? hosts : Array.from(new Set([...hosts, new URL(url).hostname])),
      ...(url === undefined ? {} : { url })
    })
    : Result.fail([problem, ...others])
}
