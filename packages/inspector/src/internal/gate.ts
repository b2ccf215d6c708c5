/**
 * What is checked of a request before anything is done for it, and the headers of every response.
 *
 * Three attackers are kept out. A page of another site, in the browser of somebody who may see this one, that sends
 * requests here: `Origin` and `Sec-Fetch-Site` give it away. The same page under a name that it made resolve to this
 * address (DNS rebinding), so that the browser takes it for this site: `Host` gives it away. And whoever can reach the port
 * without having the token.
 */
import { ByteSize, Effect, Option, Redacted } from "effect"
import { HttpEffect, HttpIncomingMessage, HttpServerRequest, HttpServerResponse } from "effect/http"
import { createHash, createHmac, randomBytes, randomUUID, timingSafeEqual } from "node:crypto"
import * as Net from "node:net"

/** Bytes of a request's body. The longest that the API takes has four names of 1,024 characters. */
const maxBodySize = ByteSize.kibibytes(32)
/** Characters of a request's headers, names and values, and of its URL. */
const maxHeaderSize = 8192
const maxUrlSize = 2048

/** No markup but our own, no code or style but from our own files, no framing, and no sink that turns text into markup. */
const contentSecurityPolicy = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "img-src 'self' data:",
  "connect-src 'self'",
  "base-uri 'none'",
  "form-action 'self'",
  "frame-ancestors 'none'",
  "require-trusted-types-for 'script'",
  "trusted-types 'none'"
].join("; ")

/** The headers of every response. */
export const securityHeaders = {
  "content-security-policy": contentSecurityPolicy,
  "cross-origin-opener-policy": "same-origin",
  "cross-origin-resource-policy": "same-origin",
  "permissions-policy": "camera=(), geolocation=(), microphone=()",
  "referrer-policy": "no-referrer",
  "x-content-type-options": "nosniff",
  "x-frame-options": "DENY"
}

// -----------------------------------------------------------------------------
// Addresses
// -----------------------------------------------------------------------------

/** The name in a `Host` header or an origin's authority, without port, in lower case; `undefined` when there is none. */
const hostname = (authority: string): string | undefined =>
  /^(\[[0-9a-f:.]+\]|[^:/?#@[\]\s]+)(?::\d{1,5})?$/i.exec(authority)?.[1]?.toLowerCase()

// A browser puts an address in `Host` only when the address itself was asked for, and then nobody's name was resolved.
const isAddress = (name: string): boolean => name.startsWith("[") || /^\d{1,3}(\.\d{1,3}){3}$/.test(name)

const isLocalhost = (name: string): boolean => name === "localhost" || name.endsWith(".localhost")

/** Whether the address is of the machine itself: 127.0.0.0/8, ::1, or the former in IPv6's notation. */
export const isLoopback = (address: string): boolean =>
  /^(::ffff:)?127(\.\d{1,3}){3}$/i.test(address) || address === "::1"

/**
 * The address that a request comes from. For a proxy on this machine it is the one that the proxy passes on. What stands before
 * that in the header, and a header that did not come through such a proxy, anybody may have made up.
 */
export const clientOf = ({ headers, remoteAddress }: HttpServerRequest.HttpServerRequest): string => {
  const address = Option.getOrElse(remoteAddress, () => "an unknown address")
  if (!isLoopback(address)) return address
  const passedOn = headers["x-forwarded-for"]?.split(",").at(-1)?.trim() ?? ""
  return Net.isIP(passedOn) === 0 ? address : passedOn
}

// -----------------------------------------------------------------------------
// The token
// -----------------------------------------------------------------------------

/** Compares, in time that depends on neither: digests are equally long, whatever came in. */
const isEqual = (expected: string, given: string): boolean => {
  const digest = (text: string) => createHash("sha256").update(text).digest()
  return timingSafeEqual(digest(given), digest(expected))
}

/** A session lasts so long, in milliseconds. */
const sessionLasts = 7 * 24 * 3_600_000

/** A token, and the name of those who have it. */
export interface NamedToken {
  readonly name: string
  readonly token: Redacted.Redacted
}

/** Tokens, as what can be asked about them. */
export interface Credentials {
  /** Whose token it is; `undefined` where it is nobody's. */
  readonly nameOf: (given: string) => string | undefined
  /** The cookie of a login. It gives the token away to nobody, and is good until it is ended, or this process is. */
  readonly begin: (name: string, now: number) => string
  /** Who has begun a session; `undefined` where there is none. */
  readonly sessionOf: (given: string, now: number) => string | undefined
  /** Ends a session: its cookie is good for nothing any more, whoever has it. */
  readonly end: (given: string, now: number) => void
}

/** What the tokens, if there are any, let in. */
export const credentials = (tokens: ReadonlyArray<NamedToken>): Credentials | undefined => {
  if (tokens.length === 0) return undefined
  // Known to this process alone. Which sessions were ended is forgotten with it, and then no session is good any more.
  const key = randomBytes(32)
  const ended = new Map<string, number>()
  const sign = (id: string) => createHmac("sha256", key).update(id).digest("base64url")
  const idOf = (given: string): string => given.slice(0, Math.max(0, given.lastIndexOf(".")))
  const expiryOf = (id: string): number => Number(id.split(".")[1])

  const sessionOf = (given: string, now: number): string | undefined => {
    const id = idOf(given)
    if (!isEqual(`${id}.${sign(id)}`, given) || expiryOf(id) <= now || ended.has(id)) return undefined
    return Buffer.from(id.split(".")[2]!, "base64url").toString()
  }
  return {
    // The time that comparing digests takes says nothing about the tokens.
    nameOf: (given) => tokens.find(({ token }) => isEqual(Redacted.value(token), given))?.name,
    begin: (name, now) => {
      const id = `${randomUUID()}.${now + sessionLasts}.${Buffer.from(name).toString("base64url")}`
      return `${id}.${sign(id)}`
    },
    sessionOf,
    end: (given, now) => {
      if (sessionOf(given, now) === undefined) return
      for (const [id, expiry] of ended) if (expiry <= now) ended.delete(id)
      ended.set(idOf(given), expiryOf(idOf(given)))
    }
  }
}

// -----------------------------------------------------------------------------
// The gate
// -----------------------------------------------------------------------------

/** What {@link gate} lets in. */
export interface GateOptions {
  /** Names, beside the loopback's, under which this site may be asked for. */
  readonly hosts: ReadonlyArray<string>
  readonly hasToken: boolean
}

const refuse = (status: number, why: string): HttpServerResponse.HttpServerResponse =>
  HttpServerResponse.text(`${why}\n`, { status })

const refusal = (
  request: HttpServerRequest.HttpServerRequest,
  options: GateOptions
): HttpServerResponse.HttpServerResponse | undefined => {
  const { headers, method } = request
  let size = 0
  for (const name in headers) size += name.length + headers[name]!.length
  if (size > maxHeaderSize) return refuse(431, `The headers are larger than ${maxHeaderSize} characters`)
  if (request.originalUrl.length > maxUrlSize) return refuse(414, `The URL is longer than ${maxUrlSize} characters`)

  if (!options.hasToken && !Option.exists(request.remoteAddress, isLoopback)) {
    return refuse(403, "Without a token only this machine itself is served: set one")
  }

  const host = headers["host"] ?? ""
  const name = hostname(host)
  if (name === undefined || !(isAddress(name) || isLocalhost(name) || options.hosts.includes(name))) {
    return refuse(421, `This server is not ${JSON.stringify(host)}: add the name to "hosts" if it should be`)
  }

  const origin = headers["origin"]
  if (origin !== undefined && origin.replace(/^https?:\/\//, "").toLowerCase() !== host.toLowerCase()) {
    return refuse(
      403,
      `Requests from ${JSON.stringify(origin)} are refused: this server was asked for as ${JSON.stringify(host)}. ` +
        "A proxy between the two has to pass on the Host that it was asked for, with its port"
    )
  }
  const site = headers["sec-fetch-site"]
  // A link on another site may lead to the page. It reaches nothing else from there.
  const isNavigation = method === "GET" && headers["sec-fetch-mode"] === "navigate" &&
    headers["sec-fetch-dest"] === "document"
  if (site !== undefined && site !== "same-origin" && site !== "none" && !isNavigation) {
    return refuse(403, "Requests from other sites are refused")
  }
  // Browsers send `Origin` with every request that changes something. `curl` does not, and needs no protection from itself.
  return undefined
}

/** The middleware of all routes. */
export const gate = (options: GateOptions) =>
<E, R>(
  httpEffect: Effect.Effect<HttpServerResponse.HttpServerResponse, E, R>
): Effect.Effect<HttpServerResponse.HttpServerResponse, E, R | HttpServerRequest.HttpServerRequest> =>
  Effect.flatMap(HttpServerRequest.HttpServerRequest, (request) => {
    const refused = refusal(request, options)
    return refused === undefined ? httpEffect : Effect.succeed(refused)
  }).pipe(
    // Not a map: what fails, or is refused before a handler runs, becomes a response only later.
    HttpEffect.withPreResponseHandler((_request, response) =>
      Effect.succeed(HttpServerResponse.setHeaders(response, {
        ...securityHeaders,
        "cache-control": response.headers["cache-control"] ?? "no-store"
      }))
    ),
    Effect.provideService(HttpIncomingMessage.MaxBodySize, maxBodySize)
  )
