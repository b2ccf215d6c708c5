/**
 * Responses that are not sent again to a client that has them already.
 */
import { Effect } from "effect"
import { HttpServerRequest, HttpServerResponse } from "effect/http"
import { createHash } from "node:crypto"

/**
 * Gives the response an `ETag`, and replaces it by 304 where the request says that it is known (RFC 9110, section 13.1.2).
 */
export const unlessKnown = <E, R>(
  httpEffect: Effect.Effect<HttpServerResponse.HttpServerResponse, E, R>
): Effect.Effect<HttpServerResponse.HttpServerResponse, E, R | HttpServerRequest.HttpServerRequest> =>
  Effect.flatMap(HttpServerRequest.HttpServerRequest, ({ headers, method }) =>
    Effect.map(httpEffect, (response) => {
      if (method !== "GET" || response.status !== 200 || response.body._tag !== "Uint8Array") return response
      const etag = `"${createHash("sha256").update(response.body.body).digest("base64url").slice(0, 22)}"`
      // One that was compressed on its way has become a weak one.
      return headers["if-none-match"]?.replace(/^W\//, "") === etag
        ? HttpServerResponse.empty({ status: 304, headers: { etag } })
        : HttpServerResponse.setHeader(response, "etag", etag)
    }))
