/**
 * Alerts as JSON, posted to a URL.
 *
 * ```http
 * POST /alerts HTTP/1.1
 * Content-Type: application/json
 * X-OpenWatch-Alert-Id: 0193558c-5a3e-7cc0-9a51-3f6b8e0c1d2e
 * X-OpenWatch-Signature: sha256=5257a869e7ecebeda32affa62cdca3fa51cad7e77a0e56ff536d0ce8e108d8bd
 *
 * {"id":"0193558c-…","type":"host_unreachable","severity":"high","hostId":"…","title":"…","tags":{…},"occurredAt":"…"}
 * ```
 *
 * An alert may come more than once, always with the same id. The signature, sent when there is a secret, is the
 * HMAC-SHA256 (RFC 2104) of the body's exact bytes, in lower-case hexadecimal.
 */
import { Effect, Redacted, Schema } from "effect"
import * as HttpClient from "effect/http/HttpClient"
import { createHmac } from "node:crypto"
import { Alert } from "../alert-router/Alert.ts"
import type { AlertChannel, Routing } from "../alert-router/AlertChannel.ts"
import { AlertEnded } from "../alert-router/AlertOutbox.ts"
import { postJson } from "./http.ts"

/** An alert as text, the body of the request. */
export const AlertText = Schema.fromJsonString(Schema.toCodecJson(Alert))

const encode = Schema.encodeSync(AlertText)

/** The end of an alert of which no other alert tells, as text: its `_tag` is `AlertEnded`, and `alert` the alert. */
export const EndingText = Schema.fromJsonString(Schema.toCodecJson(AlertEnded))

const encodeEnding = Schema.encodeSync(EndingText)

/** The value of the signature header. */
export const signatureOf = (body: string, secret: Redacted.Redacted): string =>
  `sha256=${createHmac("sha256", Redacted.value(secret)).update(body).digest("hex")}`

/** Posts each alert to the URL. */
export const make = (
  options: Routing & {
    readonly url: Redacted.Redacted
    readonly secret: Redacted.Redacted | undefined
  }
) =>
  Effect.map(HttpClient.HttpClient, (client): AlertChannel => {
    const send = (alertId: string, body: string) =>
      postJson({
        url: options.url,
        body,
        headers: {
          "x-openwatch-alert-id": alertId,
          ...(options.secret === undefined ? {} : { "x-openwatch-signature": signatureOf(body, options.secret) })
        }
      }).pipe(Effect.provideService(HttpClient.HttpClient, client))
    return {
      name: options.name,
      requiredTags: options.requiredTags,
      minSeverity: options.minSeverity,
      send: (alert) => send(alert.id, encode(alert)),
      sendEnding: (ending) => send(ending.alert.id, encodeEnding(ending))
    }
  })
