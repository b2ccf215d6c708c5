/**
 * What a request must be before anything is done for it, and what every answer carries.
 *
 * Three attackers are kept out. A page of another site, in the browser of somebody who may see this one, that sends
 * requests here: `Origin` and `Sec-Fetch-Site` give it away. The same page under a name that it made resolve to this
 * address (DNS rebinding), so that the browser takes it for this site: `Host` gives it away. And whoever can reach the port
 * without having the token.
 */
import { ByteSize, Effect, Option, Redacted } from "effect"
import { HttpEffect, HttpIncomingMessage, HttpServerRequest, HttpServerResponse } from "effect/http"
import { createHash, createHmac, timingSafeEqual } from "node:crypto"

/** Bytes of a request's body. */
const maxBodySize = ByteSize.kibibytes(4)
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

const securityHeaders = {
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

// -----------------------------------------------------------------------------
// The token
// -----------------------------------------------------------------------------

/** Compares with what is expected, in time that depends on neither: digests are equally long, whatever came in. */
const constantTimeEquals = (expected: string): (given: string) => boolean => {
  const digest = (text: string) => createHash("sha256").update(text).digest()
  const expectedDigest = digest(expected)
  return (given) => timingSafeEqual(digest(given), expectedDigest)
}

/** A token, as what can be asked about it. */
export interface Credentials {
  readonly isToken: (given: string) => boolean
  readonly isSession: (given: string) => boolean
  /** The cookie of a login. It is derived from the token: it survives a restart, and does not give the token away. */
  readonly session: string
}

/** What the token, if there is one, lets in. */
export const credentials = (token: Redacted.Redacted | undefined): Credentials | undefined => {
  if (token === undefined) return undefined
  const secret = Redacted.value(token)
  const session = createHmac("sha256", secret).update("@openwatch/inspector/session").digest("base64url")
  return { isToken: constantTimeEquals(secret), isSession: constantTimeEquals(session), session }
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
    return refuse(403, `Requests from ${JSON.stringify(origin)} are refused`)
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
  answer: Effect.Effect<HttpServerResponse.HttpServerResponse, E, R>
): Effect.Effect<HttpServerResponse.HttpServerResponse, E, R | HttpServerRequest.HttpServerRequest> =>
  Effect.flatMap(HttpServerRequest.HttpServerRequest, (request) => {
    const refused = refusal(request, options)
    return refused === undefined ? answer : Effect.succeed(refused)
  }).pipe(
    // Not a map: what fails, or is refused before a handler runs, becomes an answer only later.
    HttpEffect.withPreResponseHandler((_request, response) =>
      Effect.succeed(HttpServerResponse.setHeaders(response, {
        ...securityHeaders,
        "cache-control": response.headers["cache-control"] ?? "no-store"
      }))
    ),
    Effect.provideService(HttpIncomingMessage.MaxBodySize, maxBodySize)
  )
