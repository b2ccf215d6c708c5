/**
 * Sends a body to a URL, and says what the response means for trying again.
 */
import { Clock, DateTime, Duration, Effect, Redacted, Stream } from "effect"
import * as HttpClient from "effect/http/HttpClient"
import * as HttpClientRequest from "effect/http/HttpClientRequest"
import type * as HttpClientResponse from "effect/http/HttpClientResponse"
import { ChannelError } from "../alert-router/AlertChannel.ts"
import { clean } from "../events/PlainText.ts"

/** What is to be sent. */
export interface Request {
  readonly url: Redacted.Redacted
  /** Default: `POST`. */
  readonly method?: "POST" | "PUT" | "PATCH" | undefined
  readonly body: string
  /** Default: `application/json`. */
  readonly contentType?: string | undefined
  readonly headers?: Readonly<Record<string, string>> | undefined
}

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

/** The statuses by which a receiver says that what it was sent is wrong. Trying again would not help. */
const refused: ReadonlySet<number> = new Set([400, 413, 422])

// A URL may be a secret as a whole, and the client's messages hold it.
const networkProblem = (error: unknown): string => {
  for (let cause: unknown = error; cause instanceof Error; cause = cause.cause) {
    if ("code" in cause && typeof cause.code === "string") return cause.code
  }
  return "no complete answer"
}

/**
 * Takes user and password out of a URL, and makes basic authentication of them (RFC 7617), since no client sends them
 * from a URL.
 */
const withoutCredentials = (text: string): { readonly url: string; readonly headers: Record<string, string> } => {
  const url = new URL(text)
  const { password, username } = url
  if (username === "" && password === "") return { url: text, headers: {} }
  url.username = ""
  url.password = ""
  const credentials = Buffer.from(`${decodeURIComponent(username)}:${decodeURIComponent(password)}`)
  return { url: url.href, headers: { authorization: `Basic ${credentials.toString("base64")}` } }
}

/** How many characters of a response are shown. */
const shownLength = 300

/** How long the shown part of a response may take to come. */
const shownWithin = "2 seconds"

/** The beginning of a response, in one line. */
const beginning = ({ stream }: HttpClientResponse.HttpClientResponse): Effect.Effect<string> =>
  Effect.suspend(() => {
    const decoder = new TextDecoder()
    let text = ""
    const read = Stream.runForEach(
      Stream.takeUntil(stream, () => text.length >= shownLength),
      (bytes) => Effect.sync(() => void (text += decoder.decode(bytes, { stream: true })))
    )
    // Whatever the body does, what has come of it by then is what came back.
    return Effect.timeoutOption(Effect.ignore(read), shownWithin).pipe(
      Effect.map(() => clean(text.trim().replace(/\s+/g, " ").slice(0, shownLength)))
    )
  })

const exchange = (request: Request, shows: boolean): Effect.Effect<string, ChannelError, HttpClient.HttpClient> =>
  Effect.gen(function*() {
    const client = HttpClient.withScope(yield* HttpClient.HttpClient)
    const { headers, url } = withoutCredentials(Redacted.value(request.url))
    return yield* HttpClientRequest.make(request.method ?? "POST")(url).pipe(
      HttpClientRequest.bodyText(request.body, request.contentType ?? "application/json"),
      HttpClientRequest.setHeaders({ "user-agent": "openwatch", ...headers, ...request.headers }),
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
    Effect.flatMap(Effect.fnUntraced(function*(response) {
      const { headers, status } = response
      const shown = shows ? yield* beginning(response) : ""
      const message = `the receiver answered with status ${status}${shown === "" ? "" : `: ${shown}`}`
      if (status >= 200 && status < 300) return message
      const now = yield* Clock.currentTimeMillis
      return yield* new ChannelError({
        message,
        isRetryable: !refused.has(status),
        retryAfter: parseRetryAfter(headers["retry-after"], now)
      })
    })),
    Effect.scoped
  )

/**
 * Sends a body. Succeeds with a status of 2xx.
 *
 * What a receiver refuses as wrong (400, 413, 422) is final. Everything else may work later, also with a wrong address
 * or secret, since somebody may correct it. A redirection is not followed: what is meant for one receiver is not for
 * another to see.
 *
 * Only the status is read. The connection is given back, whatever the body of the response does. Otherwise a receiver
 * that never ends a response would take a connection for each alert.
 */
export const send = (request: Request): Effect.Effect<string, ChannelError, HttpClient.HttpClient> =>
  exchange(request, false)

/** Sends a body, and returns the status and the beginning of the response. An error has both, too. */
export const ask = (request: Request): Effect.Effect<string, ChannelError, HttpClient.HttpClient> =>
  exchange(request, true)
