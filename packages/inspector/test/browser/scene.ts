/**
 * A fleet to which everything has happened that the page shows.
 */
import type { FleetView } from "@openwatch/inspector"
import { DateTime, Effect } from "effect"

const hour = 3_600_000
const at = (hoursAgo: number) => DateTime.makeUnsafe(Date.now() - hoursAgo * hour)

const hosts = Array.from({ length: 15 }, (_, n) => {
  const state = n === 3 || n === 11 ? "unreachable" as const : n === 14 ? "unknown" as const : "reachable" as const
  return {
    id: `host-${n}`,
    name: `${n < 12 ? "web" : "db"}-${String(n).padStart(2, "0")}.example.org`,
    endpoint: `192.0.2.${n + 1}:22`,
    state,
    since: state === "unknown" ? null : at(n + 1),
    reason: state === "unreachable" ? "no connection within 5s" : null,
    responseTimeMs: state === "reachable" ? 4 + n / 2 : null,
    score: n % 5 === 4 ? null : 70 + (n * 7) % 29
  }
})

export const fleet: FleetView["Service"] = {
  hosts: Effect.succeed(hosts),
  openAlerts: Effect.succeed([
    {
      id: "1",
      type: "host_unreachable",
      severity: "high",
      hostId: "host-3",
      title: "Host is unreachable",
      occurredAt: at(0.2)
    },
    {
      id: "2",
      type: "drift_major",
      severity: "high",
      hostId: "host-1",
      title: "Compliance fell by 13.64 points",
      occurredAt: at(3)
    },
    {
      id: "3",
      type: "host_unreachable",
      severity: "high",
      hostId: "host-11",
      title: "Host is unreachable",
      occurredAt: at(12)
    },
    {
      id: "4",
      type: "drift_minor",
      severity: "medium",
      hostId: "host-6",
      title: "Compliance fell by 5.20 points",
      occurredAt: at(30)
    }
  ]),
  scores: (hostId) =>
    Effect.succeed(
      hostId === "host-4" ? [] : [90.91, 90.91, 93.2, 91, 77.27, 81.5, 86].map((score, n) => ({
        scanId: `scan-${n}`,
        profile: "cis_level1_server",
        score,
        at: at(24 * (7 - n))
      }))
    )
}
