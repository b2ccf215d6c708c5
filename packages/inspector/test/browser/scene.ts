/**
 * A fleet to which everything has happened that the page shows.
 */
import type { FleetView, InspectorApi } from "@openwatch/inspector"
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

const day = (n: number) => ({
  answered: 288 - (n % 9 === 4 ? 3 : 0),
  failed: n % 9 === 4 ? 3 : 0,
  p50: 4.9 + n % 3,
  p95: 11.2,
  p99: 38
})

export const past: typeof InspectorApi.HostPast.Type = {
  uptimes: [24, 168, 720, 2_160].map((hours) => ({
    hours,
    percent: hours === 24 ? 100 : 99.95,
    judgedSeconds: hours * 3_590,
    unreachableSeconds: hours === 24 ? 0 : Math.round(hours * 1.8)
  })),
  responseTimes: { answered: 25_890, failed: 30, p50: 5.2, p95: 11.2, p99: 38 },
  days: Array.from({ length: 90 }, (_, n) => ({
    ...day(n),
    day: new Date(Date.now() - (89 - n) * 24 * hour).toISOString().slice(0, 10)
  })),
  probes: Array.from({ length: 288 }, (_, n) => ({
    at: at((287 - n) / 12),
    responseTimeMs: n === 150 ? null : 5 + (n * 37 % 11) + (n % 41 === 0 ? 60 : 0)
  })),
  scans: [{
    scanId: "scan-6",
    profile: "cis_level1_server",
    at: at(24),
    score: 86,
    failing: [
      { id: "xccdf_org.example_rule_sshd_disable_root_login", title: "Disable SSH root login", severity: "high" },
      { id: "xccdf_org.example_rule_file_permissions_etc_shadow", title: null, severity: "medium" }
    ]
  }],
  alerts: [{
    id: "5",
    type: "host_unreachable",
    severity: "high",
    title: "Host is unreachable: no connection within 5s",
    occurredAt: at(75),
    state: "resolved",
    endedAt: at(74)
  }]
}

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
  past: () => Effect.succeed(past),
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
