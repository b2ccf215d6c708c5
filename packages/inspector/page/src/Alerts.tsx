import { useContext, useEffect, useRef, useState } from "preact/hooks"
import { Ago } from "./Ago.tsx"
import { AlertChanges, ChangeAlert } from "./ChangeAlert.tsx"
import { count, moment } from "./format.ts"
import type { OpenAlert } from "./Live.ts"
import { Maintained, maintainedUntil, type WatchedHost } from "./Maintenance.tsx"
import { More } from "./More.tsx"
import { addressOfHost } from "./View.ts"

/** More than that are a wall, not a view: the rest is counted, and shown when asked for. */
const shownAtMost = 60

/** Hosts by their ids. */
export type HostsById = ReadonlyMap<string, WatchedHost>

/** What the host of an alert is called: its own words come first, as a host of another process is not listed here. */
const nameOf = (alert: OpenAlert, hosts: HostsById): string =>
  hosts.get(alert.hostId)?.name ?? alert.host?.name ?? alert.hostId

/** What is known of an alert that is not active; nothing of one that is. */
const stateOf = ({ silencedUntil, state }: OpenAlert): string =>
  state === undefined || state === "active"
    ? ""
    : silencedUntil === undefined
    ? `${state}, `
    : `${state} until ${moment(silencedUntil)}, `

const AlertItem = (
  { alert, hosts, isOfOneHost, onAsk }: {
    alert: OpenAlert
    hosts: HostsById
    isOfOneHost: boolean
    onAsk: ((alert: OpenAlert) => void) | undefined
  }
) => {
  const name = nameOf(alert, hosts)
  const host = hosts.get(alert.hostId)
  const isMaintained = host !== undefined && maintainedUntil(host) !== undefined
  return (
    <li>
      <span class={`badge severity-${alert.severity}`}>{alert.severity}</span>
      {isOfOneHost || host === undefined
        ? <span class="title">{alert.title}</span>
        : <a class="title" href={addressOfHost(alert.hostId)}>{alert.title}</a>}
      <span class="of muted">
        {isOfOneHost || alert.title.includes(name) ? null : `${name}, `}
        {stateOf(alert)}
        {isMaintained
          ? (
            <>
              <Maintained host={host} />,{" "}
            </>
          )
          : null}
        <Ago at={alert.occurredAt} />
      </span>
      {onAsk === undefined
        ? null
        : <button type="button" aria-label={`Change: ${alert.title}`} onClick={() => onAsk(alert)}>Change…</button>}
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
  const live = useContext(AlertChanges)
  const [asked, setAsked] = useState<OpenAlert>()
  const [outcome, setOutcome] = useState("")
  const onAsk = live === undefined ? undefined : setAsked
  // The dialog gives the focus back to its button, which is about to go with an alert that is over.
  const leavesButton = useRef(false)
  useEffect(() => {
    if (asked !== undefined || !leavesButton.current) return
    leavesButton.current = false
    document.getElementById("alerts")?.focus()
  }, [asked])
  return (
    <>
      <p class="outcome" role="status">{outcome}</p>
      <ul class="scroll" tabIndex={0} aria-labelledby="alerts">
        {(isAll ? alerts : alerts.slice(0, shownAtMost)).map((alert) => (
          <AlertItem key={alert.id} alert={alert} hosts={hosts} isOfOneHost={isOfOneHost} onAsk={onAsk} />
        ))}
      </ul>
      {asked === undefined || live === undefined ? null : (
        <ChangeAlert
          alert={asked}
          live={live}
          onClose={() => setAsked(undefined)}
          onDone={(text, isOver) => {
            setAsked(undefined)
            setOutcome(text)
            leavesButton.current = isOver
          }}
        />
      )}
      <More of={alerts.length} most={shownAtMost} isAll={isAll} onChange={setIsAll} />
    </>
  )
}

/** The open alerts of the fleet. */
export const Alerts = (
  { alerts, hosts, isAllWell }: { alerts: ReadonlyArray<OpenAlert>; hosts: HostsById; isAllWell: boolean }
) => (
  <section class="panel alerts" aria-labelledby="alerts">
    <h2 id="alerts" tabIndex={-1}>
      Open alerts <span class="muted">{count(alerts.length)}</span>
    </h2>
    {alerts.length === 0
      ? <p class="muted">None.{isAllWell ? " All is as it should be." : ""}</p>
      : <AlertList alerts={alerts} hosts={hosts} />}
  </section>
)
