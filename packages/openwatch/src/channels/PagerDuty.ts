/**
 * Alerts as events of PagerDuty (Events API v2, https://developer.pagerduty.com/docs/events-api-v2-overview): what is wrong
 * triggers an incident, and what ends it resolves that one.
 *
 * Both find each other by the key of the problem, `unreachable|HOST` or `drift|HOST|SERIES`, which a deeper fall or flapping
 * shares: one problem is one incident. An improvement that ends nothing is not sent.
 *
 * That an alert is acknowledged acknowledges its incident. Incidents cannot be silenced by events. So a silence resolves the incident:
 * it calls nobody. Where the alert is open when the silence is over, it is sent again, and opens a new one, which does.
 */
import { DateTime, Effect, Redacted } from "effect"
import * as HttpClient from "effect/http/HttpClient"
import { createHash } from "node:crypto"
import { type Alert, problemOf, type Severity } from "../alert-router/Alert.ts"
import type { Routing } from "../alert-router/AlertChannel.ts"
import type { AlertChanged } from "../alert-router/AlertOutbox.ts"
import { ask } from "./http.ts"
import { factsOf, hostOf, keysOf, titleOf, type Told } from "./Message.ts"
import type { TestableChannel } from "./TestAlert.ts"

/** PagerDuty knows four, and nobody is to be woken up for the last. */
const severities: { readonly [S in Severity]: string } = {
  critical: "critical",
  high: "error",
  medium: "warning",
  low: "warning",
  info: "info"
}

/** What PagerDuty takes at most. */
const longestSummary = 1_024
const longestKey = 255

/** The problem that an alert is of. A series whose name is too long for a key stands there as its SHA-256. */
export const keyOf = ({ dedupKey, hostId, problem, type }: Alert): string => {
  const key = problem ?? problemOf(type, hostId, dedupKey.split("|").slice(2).join("|"))
  if (key.length <= longestKey) return key
  const [kind, host, ...series] = key.split("|")
  return `${kind}|${host}|${createHash("sha256").update(series.join("|")).digest("hex")}`
}

/** Returns what is to be sent, without the key. `undefined` if it neither begins nor ends a problem. */
export const eventOf = (told: Told | Pick<AlertChanged, "_tag" | "alert" | "to">):
  | Record<string, unknown>
  | undefined =>
{
  const { alert } = told
  if (told._tag === "AlertChanged") {
    return { event_action: told.to === "silenced" ? "resolve" : "acknowledge", dedup_key: keyOf(alert) }
  }
  const isOver = told._tag === "AlertEnded" || alert.type === "host_recovered" || alert.resolves !== undefined
  if (isOver) return { event_action: "resolve", dedup_key: keyOf(alert) }
  if (alert.type === "drift_improvement") return undefined
  return {
    event_action: "trigger",
    dedup_key: keyOf(alert),
    client: "OpenWatch",
    ...(alert.link === undefined
      ? {}
      : { client_url: alert.link, links: [{ href: alert.link, text: "The host in OpenWatch" }] }),
    payload: {
      summary: titleOf(told).slice(0, longestSummary).toWellFormed(),
      source: hostOf(alert),
      severity: severities[alert.severity],
      timestamp: DateTime.formatIso(alert.occurredAt),
      class: alert.type,
      custom_details: { ...Object.fromEntries([...factsOf(alert), ...keysOf(alert)]), tags: alert.tags }
    }
  }
}

/** Sends events with the key of a service's integration. */
export const make = (
  options: Routing & { readonly routingKey: Redacted.Redacted; readonly url: Redacted.Redacted }
) =>
  Effect.map(HttpClient.HttpClient, (client): TestableChannel => {
    const requestOf = (event: Record<string, unknown>) => ({
      url: options.url,
      body: JSON.stringify({ routing_key: Redacted.value(options.routingKey), ...event })
    })
    const deliver = (told: Told | AlertChanged) => {
      const event = eventOf(told)
      return event === undefined
        ? Effect.void
        : Effect.asVoid(Effect.provideService(ask(requestOf(event)), HttpClient.HttpClient, client))
    }
    return {
      name: options.name,
      requiredTags: options.requiredTags,
      minSeverity: options.minSeverity,
      send: (alert) => deliver({ _tag: "AlertRaised", alert }),
      sendEnding: deliver,
      sendChange: deliver,
      // An incident of its own, which is over at once.
      test: ({ hostId, id, occurredAt, title }) => {
        const dedup_key = `test|${id}`
        const trigger = {
          event_action: "trigger",
          dedup_key,
          client: "OpenWatch",
          payload: { summary: title, source: hostId, severity: "info", timestamp: DateTime.formatIso(occurredAt) }
        }
        return Effect.provideService(
          Effect.tap(ask(requestOf(trigger)), () => ask(requestOf({ event_action: "resolve", dedup_key }))),
          HttpClient.HttpClient,
          client
        )
      }
    }
  })
