import { useEffect, useRef, useState } from "preact/hooks"
import { count, counted } from "./format.ts"
import { severities } from "./Hosts.tsx"
import type { OpenAlert } from "./Live.ts"
import { maintainedUntil, type WatchedHost } from "./Maintenance.tsx"

/** Says what is new since the last look: who does not see the page hears of an alert. */
const useNews = (alerts: ReadonlyArray<OpenAlert>, isRead: boolean): string => {
  const [news, setNews] = useState("")
  const known = useRef<ReadonlySet<string>>(undefined)
  useEffect(() => {
    if (!isRead) return
    const before = known.current
    known.current = new Set(alerts.map(({ id }) => id))
    if (before === undefined) return
    const fresh = alerts.filter(({ id }) => !before.has(id))
    if (fresh.length === 0) return
    setNews(
      fresh.length === 1
        ? `New alert: ${fresh[0]!.title}`
        : `${count(fresh.length)} new alerts: ${fresh[0]!.title}, and more`
    )
  }, [alerts, isRead])
  return news
}

/** How the fleet is, at a glance. */
export const Summary = (
  { alerts, hosts, isRead }: { hosts: ReadonlyArray<WatchedHost>; alerts: ReadonlyArray<OpenAlert>; isRead: boolean }
) => {
  const news = useNews(alerts, isRead)
  const down = hosts.filter(({ state }) => state === "unreachable").length
  const maintained = hosts.filter((host) => maintainedUntil(host) !== undefined)
  const maintainedDown = maintained.filter(({ state }) => state === "unreachable").length
  const unknown = hosts.filter(({ state }) => state === "unknown").length
  const unjudged = hosts.filter(({ state }) => state === "unjudged").length
  return (
    <section class="summary" aria-label="The fleet at a glance">
      <div class={!isRead || hosts.length === 0 ? "glance" : down > 0 ? "glance bad" : "glance good"}>
        <p>
          <b>{isRead ? count(down) : "…"}</b> {down === 1 ? "host is down" : "hosts are down"}
        </p>
        <p class="muted">
          {isRead ? `of ${counted(hosts.length, "host")}` : "Reading the hosts…"}
          {maintained.length === 0
            ? ""
            : `; ${count(maintained.length)} in maintenance${
              maintainedDown === 0 ? "" : `, of which ${count(maintainedDown)} down`
            }`}
          {unjudged === 0 ? "" : `; ${count(unjudged)} could not be judged`}
          {unknown === 0 ? "" : `; ${count(unknown)} not known yet`}
        </p>
      </div>
      <div
        class={alerts.some(({ severity }) => severity === "critical" || severity === "high") ? "glance bad" : "glance"}
      >
        <p>
          <b>{isRead ? count(alerts.length) : "…"}</b> {alerts.length === 1 ? "alert is open" : "alerts are open"}
        </p>
        <p class="chips">
          {severities.map((severity) => {
            const { length } = alerts.filter((alert) => alert.severity === severity)
            return length === 0 ?
              null :
              <span key={severity} class={`badge severity-${severity}`}>{count(length)} {severity}</span>
          })}
        </p>
      </div>
      <p class="said" role="status">{news}</p>
    </section>
  )
}
