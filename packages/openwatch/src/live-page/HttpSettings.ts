/**
 * Where the live page is served, and to whom: the `http` part of a configuration.
 *
 * ```yaml
 * http:
 *   host: 127.0.0.1              # the address to listen on
 *   port: 7420
 *   token_env: OPENWATCH_TOKEN   # or token: the token itself, at least 16 characters
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
  /** Host names, beside addresses and `localhost`, under which browsers may ask for the page. */
  readonly hosts: ReadonlyArray<string>
  /** Where people find the page; alerts have no link where it is not given. */
  readonly url?: string
}

/** What the address is where nothing is said. */
export const defaultHost = "127.0.0.1"
/** What the port is where nothing is said. */
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

const Settings = Schema.Struct({
  host: Schema.optionalKey(Schema.NonEmptyString),
  port: Schema.optionalKey(
    Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 65_535 }, { expected: "a port, 0 to 65535" }))
  ),
  // A message of its own, as the default one shows the value.
  token: Schema.optionalKey(Schema.String.annotate({ message: "Expected a text" })),
  token_env: Schema.optionalKey(EnvironmentVariable),
  hosts: Schema.optionalKey(Schema.Array(HostName)),
  url: Schema.optionalKey(PageUrl)
}).annotate({
  messageUnexpectedKey: "Unknown key: http has `host`, `port`, `token`, `token_env`, `hosts` and `url`"
})

/** The `http` part, as the file has it. */
export const HttpEntry = Schema.Union([Schema.Literal(false), Settings]).annotate({
  message: "Expected false, or a mapping with the keys `host`, `port`, `token`, `token_env`, `hosts` and `url`"
})

const isLoopback = (host: string): boolean => /^127(\.\d{1,3}){3}$|^::1$|^localhost$/i.test(host)

/**
 * Reads the entry, and the token from the environment where the entry says so; `undefined` where there is to be no page.
 * Fails with what is wrong, each with its place in the file.
 */
export const read = (
  entry: typeof HttpEntry.Type | undefined,
  environment: Readonly<Record<string, string | undefined>>
): Result.Result<HttpSettings | undefined, readonly [string, ...Array<string>]> => {
  if (entry === false) return Result.succeed(undefined)
  const { host = defaultHost, hosts = [], port = defaultPort, token: given, token_env: variable, url } = entry ?? {}
  const problems: Array<string> = []
  if (given !== undefined && variable !== undefined) {
    problems.push("http.token_env: `token` is given as well; expected one of the two")
  }
  const read = given ?? (variable === undefined ? undefined : environment[variable] ?? "")
  const token = read === undefined ? undefined : trimmed(read)
  const at = given === undefined && variable !== undefined
    ? `http.token_env: the environment variable ${variable}`
    : "http.token: it"
  if (token === "" && given === undefined) problems.push(`${at} is not set`)
  else if (token !== undefined && token.length < shortestToken) {
    problems.push(`${at} is ${token.length} characters long, expected at least ${shortestToken}`)
  } else if (token !== undefined && !sendable.test(token)) {
    problems.push(
      `${at} has a character that no request can carry; expected letters, digits, blanks and signs of ASCII`
    )
  }
  if (token === undefined && !isLoopback(host)) {
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
      // Under its own address, browsers ask for it.
      hosts: url === undefined ? hosts : Array.from(new Set([...hosts, new URL(url).hostname])),
      ...(url === undefined ? {} : { url })
    })
    : Result.fail([problem, ...others])
}
