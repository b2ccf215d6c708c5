/**
 * Alerts as messages of a Slack incoming webhook (https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks).
 * The webhook's URL is its secret.
 */
import { DateTime, Effect } from "effect"
import type { Redacted } from "effect"
import * as HttpClient from "effect/http/HttpClient"
import type { Alert, Severity } from "../alert-router/Alert.ts"
import type { AlertChannel, Routing } from "../alert-router/AlertChannel.ts"
import { postJson } from "./http.ts"

const signs: { readonly [S in Severity]: string } = {
  critical: ":rotating_light:",
  high: ":red_circle:",
  medium: ":large_orange_circle:",
  low: ":large_yellow_circle:",
  info: ":large_green_circle:"
}

// Slack's own three; all else is text (https://docs.slack.dev/messaging/formatting-message-text#escaping).
const escape = (text: string): string => text.replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;")

/** The body of the request. The date is shown in the reader's own zone. */
export const format = (alert: Pick<Alert, "severity" | "title" | "occurredAt">): string => {
  const seconds = Math.floor(DateTime.toEpochMillis(alert.occurredAt) / 1_000)
  const at = `<!date^${seconds}^{date_short_pretty} {time_secs}|${DateTime.formatIso(alert.occurredAt)}>`
  return JSON.stringify({ text: `${signs[alert.severity]} *${alert.severity}* ${escape(alert.title)} (${at})` })
}

/** Posts each alert to an incoming webhook. */
export const make = (
  options: Routing & { readonly url: Redacted.Redacted }
) =>
  Effect.map(HttpClient.HttpClient, (client): AlertChannel => {
    const send = (alert: Parameters<typeof format>[0]) =>
      postJson({ url: options.url, body: format(alert) }).pipe(Effect.provideService(HttpClient.HttpClient, client))
    return {
      name: options.name,
      requiredTags: options.requiredTags,
      minSeverity: options.minSeverity,
      send,
      sendEnding: ({ alert, occurredAt, why }) =>
        send({ severity: "info", title: `${why}: over is "${alert.title}"`, occurredAt })
    }
  })
