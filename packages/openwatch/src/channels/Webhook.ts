/**
 * Alerts as JSON, posted to a URL.
 *
 * ```http
 * POST /alerts HTTP/1.1
 * Content-Type: application/json
 * X-OpenWatch-Alert-Id: 0193558c-5a3e-7cc0-9a51-3f6b8e0c1d2e
 * X-OpenWatch-Timestamp: 1795471200
 * X-OpenWatch-Signature: v2=5257a869e7ecebeda32affa62cdca3fa51cad7e77a0e56ff536d0ce8e108d8bd
 *
 * {"id":"0193558c-…","type":"host_unreachable","severity":"high","hostId":"…","title":"…","tags":{…},"occurredAt":"…"}
 * ```
 *
 * An alert may come more than once, always with the same id. The signature, sent when there is a secret, is the
 * HMAC-SHA256 (RFC 2104) of the timestamp, a full stop and the body's exact bytes, in lower-case hexadecimal. The timestamp is
 * when the attempt was made, in seconds since 1970: a receiver that refuses old ones refuses replays.
 */
import { Clock, Effect, Redacted, Schema } from "effect"
import * as HttpClient from "effect/http/HttpClient"
import { createHmac } from "node:crypto"
import { Alert } from "../alert-router/Alert.ts"
import type { Routing } from "../alert-router/AlertChannel.ts"
import { AlertEnded } from "../alert-router/AlertOutbox.ts"
import { ask, type Request, send } from "./http.ts"
import type { Told } from "./Message.ts"
import { render, type Template } from "./Template.ts"
import type { TestableChannel } from "./TestAlert.ts"

/** An alert as text, the body of the request. */
export const AlertText = Schema.fromJsonString(Schema.toCodecJson(Alert))

const encode = Schema.encodeSync(AlertText)

/** The end of an alert of which no other alert tells, as text: its `_tag` is `AlertEnded`, and `alert` the alert. */
export const EndingText = Schema.fromJsonString(Schema.toCodecJson(AlertEnded))

const encodeEnding = Schema.encodeSync(EndingText)

/** The value of the signature header, for a body that is sent at a time, in seconds since 1970. */
export const signatureOf = (timestamp: number, body: string, secret: Redacted.Redacted): string =>
  `v2=${createHmac("sha256", Redacted.value(secret)).update(`${timestamp}.${body}`).digest("hex")}`

/** What a webhook can be told. */
export interface Options extends Routing {
  readonly url: Redacted.Redacted
  readonly secret?: Redacted.Redacted | undefined
  /** Default: `POST`. */
  readonly method?: Request["method"]
  /** Sent with each request. */
  readonly headers?: Readonly<Record<string, Redacted.Redacted>> | undefined
  /** Default: the alert as JSON. */
  readonly body?: Template | undefined
}

/** Sends each alert to the URL. */
export const make = ({ body: template, headers = {}, method, minSeverity, name, requiredTags, secret, url }: Options) =>
  Effect.map(HttpClient.HttpClient, (client): TestableChannel => {
    const own = Object.fromEntries(
      Object.entries(headers).map(([header, value]) => [header.toLowerCase(), Redacted.value(value)])
    )
    const requestOf = (told: Told) =>
      Effect.map(Clock.currentTimeMillis, (now): Request => {
        const whole = told._tag === "AlertRaised" ? encode(told.alert) : encodeEnding(told)
        const body = template === undefined ? whole : render(template, told, whole)
        const timestamp = Math.floor(now / 1_000)
        return {
          url,
          method,
          body,
          contentType: own["content-type"],
          headers: {
            ...own,
            "x-openwatch-alert-id": told.alert.id,
            ...(secret === undefined ? {} : {
              "x-openwatch-timestamp": String(timestamp),
              "x-openwatch-signature": signatureOf(timestamp, body, secret)
            })
          }
        }
      })
    const here = Effect.provideService(HttpClient.HttpClient, client)
    const deliver = (told: Told) => Effect.asVoid(here(Effect.flatMap(requestOf(told), send)))
    return {
      name,
      requiredTags,
      minSeverity,
      send: (alert) => deliver({ _tag: "AlertRaised", alert }),
      sendEnding: deliver,
      test: (alert) => here(Effect.flatMap(requestOf({ _tag: "AlertRaised", alert }), ask))
    }
  })
