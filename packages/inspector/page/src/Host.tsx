/**
 * One host, at an address of its own.
 *
 * What is known of it are panels, one a file, in the order in which they are asked for: how it is, its open alerts, its scans.
 */
import { useEffect, useRef } from "preact/hooks"
import { Ago } from "./Ago.tsx"
import { AlertList, type HostsById } from "./Alerts.tsx"
import { count, rate } from "./format.ts"
import type { Live, OpenAlert } from "./Live.ts"
import { describeMaintenance, type WatchedHost } from "./Maintenance.tsx"
import { Past } from "./Past.tsx"
import { Scores } from "./Scores.tsx"
import { sign } from "./Tiles.tsx"

/** How the host is now. */
const Condition = ({ host }: { host: WatchedHost }) => {
  const tags = Object.entries(host.tags ?? {})
  return (
    <section class="panel condition" aria-label="Condition">
      <p>
        <span class={`state ${host.state}`}>
          <span aria-hidden="true">{sign[host.state]}</span> {host.state}
        </span>
        {host.reason === null ? "" : `: ${host.reason}`}
      </p>
      <dl class="facts">
        {host.since === null ? null : (
          <>
            <dt>Since</dt>
            <dd>
              <Ago at={host.since} />
            </dd>
          </>
        )}
        <dt>Address</dt>
        <dd>{host.endpoint}</dd>
        {host.maintenance === undefined ? null : (
          <>
            <dt>Maintenance</dt>
            {host.maintenance.map((each) => (
              <dd key={`${each.subjects.join()} ${each.since}`}>
                {describeMaintenance(each)}
              </dd>
            ))}
          </>
        )}
        {host.responseTimeMs === null ? null : (
          <>
            <dt>Answered in</dt>
            <dd>{rate(host.responseTimeMs)} ms</dd>
          </>
        )}
        {host.score === null ? null : (
          <>
            <dt>Score</dt>
            <dd>{rate(host.score)} %</dd>
          </>
        )}
        {tags.length === 0 ? null : (
          <>
            <dt>Tags</dt>
            <dd>{tags.map(([key, value]) => `${key}=${value}`).join(", ")}</dd>
          </>
        )}
      </dl>
    </section>
  )
}

/** The open alerts of the host. */
const HostAlerts = ({ alerts, hosts }: { alerts: ReadonlyArray<OpenAlert>; hosts: HostsById }) => (
  <section class="panel alerts" aria-labelledby="alerts">
    <h3 id="alerts" tabIndex={-1}>
      Open alerts <span class="muted">{count(alerts.length)}</span>
    </h3>
    {alerts.length === 0 ? <p class="muted">None.</p> : null}
    <AlertList alerts={alerts} hosts={hosts} isOfOneHost />
  </section>
)

export const Host = ({ alerts, back, hostId, hosts, isRead, isUnread, live }: {
  readonly live: Live
  readonly hostId: string
  readonly hosts: HostsById
  readonly alerts: ReadonlyArray<OpenAlert>
  readonly isRead: boolean
  readonly isUnread: boolean
  /** The address of the hosts that one came from. */
  readonly back: string
}) => {
  const heading = useRef<HTMLHeadingElement>(null)
  useEffect(() => heading.current?.focus(), [hostId])
  useEffect(() => {
    const onKey = (event: KeyboardEvent) => {
      // A dialog takes it for itself, as does a field that it empties.
      const isTaken = event.defaultPrevented || document.querySelector("dialog[open]") !== null ||
        event.target instanceof HTMLInputElement
      if (event.key === "Escape" && !isTaken) location.hash = back
    }
    addEventListener("keydown", onKey)
    return () => removeEventListener("keydown", onKey)
  }, [back])
  const host = hosts.get(hostId)
  return (
    <div class="host">
      <div class="bar">
        <h2 id="host" ref={heading} tabIndex={-1}>{host?.name ?? hostId}</h2>
        <a href={back}>Back to all hosts</a>
      </div>
      {isUnread
        ? <p class="problem" role="alert">The host cannot be read now{isRead ? ": this is how it was" : ""}.</p>
        : null}
      {host !== undefined
        ? (
          <>
            <Condition host={host} />
            <HostAlerts alerts={alerts.filter((alert) => alert.hostId === hostId)} hosts={hosts} />
            <Past key={hostId} host={host} live={live} />
            <Scores key={`${hostId} scores`} host={host} live={live} />
          </>
        )
        : isRead
        ? (
          <p class="panel">
            No host with the id {hostId} is watched here. It may have been removed from the inventory.
          </p>
        )
        : isUnread
        ? null
        : <p class="muted">Reading the host…</p>}
    </div>
  )
}
