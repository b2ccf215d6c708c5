/**
 * Alerts as messages of a Slack incoming webhook (https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks).
 * The webhook's URL is its secret.
 */
import { DateTime } from "effect"
import type { Severity } from "../alert-router/Alert.ts"
import * as ForPeople from "./ForPeople.ts"
import { keysOf, type Message } from "./Message.ts"

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
export const format = ({ link, occurredAt, sections }: Message): string => {
  const seconds = Math.floor(DateTime.toEpochMillis(occurredAt) / 1_000)
  const at = `<!date^${seconds}^{date_short_pretty} {time_secs}|${DateTime.formatIso(occurredAt)}>`
  const lines = sections.map(({ headline, severity }) => `${signs[severity]} *${severity}* ${escape(headline)}`)
  const [only, ...others] = sections.flatMap(({ told }) => told)
  const keys = only === undefined || others.length > 0
    ? []
    : [keysOf(only.alert).map(([name, value]) => `${name} \`${escape(value)}\``).join(" · ")]
  const page = link === undefined ? "" : ` <${escape(link)}|Look>`
  return JSON.stringify({ text: [`${lines.join("\n")} (${at})${page}`, ...keys].join("\n") })
}

/** Posts to an incoming webhook. */
export const make = ForPeople.posting(format)
