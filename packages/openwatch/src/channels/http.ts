/**
 * Sending a JSON body to a URL, and what the answer means for trying again.
 */
import { Clock, DateTime, Duration, Effect, Redacted } from "effect"
import * as HttpClient from "effect/http/HttpClient"
import * as HttpClientRequest from "effect/http/HttpClientRequest"
import type * as HttpClientResponse from "effect/http/HttpClientResponse"
import { ChannelError } from "../alert-router/AlertChannel.ts"

/**
 * What a `Retry-After` header asks for (RFC 9110 section 10.2.3): a number of seconds, or a date. Nothing if it is
 * neither.
 */
const parseRetryAfter = (text: string | undefined, now: number): Duration.Duration | undefined => {
  if (text === undefined) return undefined
  if (/^\d+$/.test(text)) return Duration.seconds(Number(text))
  const date = DateTime.make(text)
  return date._tag === "None" ? undefined : Duration.millis(Math.max(0, DateTime.toEpochMillis(date.value) - now))
}

/** What no later attempt would change: the receiver takes what it was sent for wrong. */
const refused: ReadonlySet<number> = new Set([400, 413, 422])

const refusal = ({ headers, status }: HttpClientResponse.HttpClientResponse, now: number): ChannelError =>
  new ChannelError({
    message: `the receiver answered with status ${status}`,
    isRetryable: !refused.has(status),
    retryAfter: parseRetryAfter(headers["retry-after"], now)
  })

// A URL may be a secret as a whole, and the client's messages hold it.
const networkProblem = (error: unknown): string => {
  for (let cause: unknown = error; cause instanceof Error; cause = cause.cause) {
    if ("code" in cause && typeof cause.code === "string") return cause.code
  }
  return "no complete answer"
}

/** A URL without what it says of a user, and that as basic authentication (RFC 7617): no client sends it from there. */
const withoutCredentials = (text: string): { readonly url: string; readonly headers: Record<string, string> } => {
  const url = new URL(text)
  const { password, username } = url
  if (username === "" && password === "") return { url: text, headers: {} }
  url.username = ""
  url.password = ""
  const credentials = Buffer.from(`${decodeURIComponent(username)}:${decodeURIComponent(password)}`)
  return { url: url.href, headers: { authorization: `Basic ${credentials.toString("base64")}` } }
}

/**
 * Posts a body. Succeeds on a 2xx answer. What a receiver refuses as wrong (400, 413, 422) is final; everything else may work
 * later, also a wrong address or secret, which somebody may set right. A redirection is not followed, as what is meant for one
 * receiver is not for another to see.
 *
 * The status is all that is read. Whatever the answer's body does, the connection is given back: a receiver that never ends
 * one would otherwise take a connection for each alert.
 */
export const postJson = (
  options: {
    readonly url: Redacted.Redacted
    readonly body: string
    readonly headers?: Readonly<Record<string, string>>
  }
): Effect.Effect<void, ChannelError, HttpClient.HttpClient> =>
  Effect.gen(function*() {
    const client = HttpClient.withScope(yield* HttpClient.HttpClient)
    const { headers, url } = withoutCredentials(Redacted.value(options.url))
    return yield* HttpClientRequest.post(url).pipe(
      HttpClientRequest.bodyText(options.body, "application/json"),
      HttpClientRequest.setHeaders({ ...headers, ...options.headers, "user-agent": "openwatch" }),
      client.execute
    )
  }).pipe(
    // Spans would carry the URL to wherever traces go.
    Effect.provideService(HttpClient.TracerDisabledWhen, () => true),
    Effect.catch((error) =>
      Effect.fail(
        new ChannelError({ message: `the receiver cannot be reached: ${networkProblem(error)}`, isRetryable: true })
      )
    ),
    Effect.flatMap((response) =>
      response.status >= 200 && response.status < 300
        ? Effect.void
        : Effect.flatMap(Clock.currentTimeMillis, (now) => Effect.fail(refusal(response, now)))
    ),
    Effect.scoped
  )
