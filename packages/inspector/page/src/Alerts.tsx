import { useState } from "preact/hooks"
import { Ago } from "./Ago.tsx"
import { count } from "./format.ts"
import type { HostState, OpenAlert } from "./Live.ts"
import { More } from "./More.tsx"
import { addressOfHost } from "./View.ts"

/** More than that are a wall, not a view: the rest is counted, and shown when asked for. */
const shownAtMost = 60

/** Hosts by their ids. */
export type HostsById = ReadonlyMap<string, HostState>

/** What the host of an alert is called: its own words come first, as a host of another process is not listed here. */
const nameOf = (alert: OpenAlert, hosts: HostsById): string =>
  hosts.get(alert.hostId)?.name ?? alert.host?.name ?? alert.hostId

const AlertItem = (
  { alert, hosts, isOfOneHost }: { alert: OpenAlert; hosts: HostsById; isOfOneHost: boolean }
) => {
  const name = nameOf(alert, hosts)
  return (
    <li>
      <span class={`badge severity-${alert.severity}`}>{alert.severity}</span>
      {isOfOneHost || !hosts.has(alert.hostId)
        ? <span class="title">{alert.title}</span>
        : <a class="title" href={addressOfHost(alert.hostId)}>{alert.title}</a>}
      <span class="of muted">
        {isOfOneHost || alert.title.includes(name) ? null : `${name}, `}
        <Ago at={alert.occurredAt} />
      </span>
    </li>
  )
}

/** Open alerts, each with its host, its reason and its age. */
export const AlertList = ({ alerts, hosts, isOfOneHost = false }: {
  readonly alerts: ReadonlyArray<OpenAlert>
  readonly hosts: HostsById
  /** Then nobody need be told which, nor led to it. */
  readonly isOfOneHost?: boolean
}) => {
  const [isAll, setIsAll] = useState(false)
  return (
    <>
      <ul class="scroll" tabIndex={0} aria-labelledby="alerts">
        {(isAll ? alerts : alerts.slice(0, shownAtMost)).map((alert) => (
          <AlertItem key={alert.id} alert={alert} hosts={hosts} isOfOneHost={isOfOneHost} />
        ))}
      </ul>
      <More of={alerts.length} most={shownAtMost} isAll={isAll} onChange={setIsAll} />
    </>
  )
}

/** The open alerts of the fleet. */
export const Alerts = (
  { alerts, hosts, isAllWell }: { alerts: ReadonlyArray<OpenAlert>; hosts: HostsById; isAllWell: boolean }
) => (
  <section class="panel alerts" aria-labelledby="alerts">
    <h2 id="alerts">
      Open alerts <span class="muted">{count(alerts.length)}</span>
    </h2>
    {alerts.length === 0
      ? <p class="muted">None.{isAllWell ? " All is as it should be." : ""}</p>
      : <AlertList alerts={alerts} hosts={hosts} />}
  </section>
)
