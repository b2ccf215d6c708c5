import { useContext, useEffect, useRef, useState } from "preact/hooks"
import { Ago } from "./Ago.tsx"
import { AlertChanges, ChangeAlerts } from "./ChangeAlerts.tsx"
import { count, moment } from "./format.ts"
import { tagsOf } from "./Hosts.tsx"
import type { OpenAlert } from "./Live.ts"
import { maintainedUntil, Until, type WatchedHost } from "./Maintenance.tsx"
import { More } from "./More.tsx"
import { Found, hasWords, Search } from "./Search.tsx"
import { addressOfFleet, addressOfHost, type Filter, replaceAddress } from "./View.ts"

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
              in maintenance <Until host={host} />,{" "}
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
export const AlertList = ({ alerts, hosts, isNarrowed = false, isOfOneHost = false }: {
  readonly alerts: ReadonlyArray<OpenAlert>
  readonly hosts: HostsById
  /** There are others, which are not looked for. */
  readonly isNarrowed?: boolean
  /** Then nobody need be told which, nor led to it. */
  readonly isOfOneHost?: boolean
}) => {
  const [isAll, setIsAll] = useState(false)
  const live = useContext(AlertChanges)
  const [asked, setAsked] = useState<readonly [OpenAlert, ...ReadonlyArray<OpenAlert>]>()
  const [outcome, setOutcome] = useState("")
  const onAsk = live === undefined ? undefined : (alert: OpenAlert) => setAsked([alert])
  const [first, ...others] = alerts
  // The dialog gives the focus back to its button, which is about to go with alerts that are over.
  const leavesButton = useRef(false)
  useEffect(() => {
    if (asked !== undefined || !leavesButton.current) return
    leavesButton.current = false
    document.getElementById("alerts")?.focus()
  }, [asked])
  return (
    <>
      {live === undefined || first === undefined || others.length === 0 ? null : (
        <p class="all">
          <button type="button" onClick={() => setAsked([first, ...others])}>
            {isNarrowed ? `Change these ${count(alerts.length)}…` : `Change all ${count(alerts.length)}…`}
          </button>
        </p>
      )}
      <p class="outcome" role="status">{outcome}</p>
      {first === undefined ? null : (
        <ul class="scroll" tabIndex={0} aria-labelledby="alerts">
          {(isAll ? alerts : alerts.slice(0, shownAtMost)).map((alert) => (
            <AlertItem key={alert.id} alert={alert} hosts={hosts} isOfOneHost={isOfOneHost} onAsk={onAsk} />
          ))}
        </ul>
      )}
      {asked === undefined || live === undefined ? null : (
        <ChangeAlerts
          alerts={asked}
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

/** What an alert is found by: what it says, its kind, severity and state, and its host with its tags. */
const searchedOf = (alert: OpenAlert, hosts: HostsById): string => {
  const host = hosts.get(alert.hostId)
  return [
    alert.title,
    alert.type,
    alert.severity,
    alert.state ?? "active",
    nameOf(alert, hosts),
    ...(host === undefined ? [] : [...tagsOf(host), maintainedUntil(host) === undefined ? "" : "maintenance"])
  ].join(" ")
}

/** The open alerts of the fleet, and what narrows them down. */
export const Alerts = ({ alerts, filter, hosts, isAllWell }: {
  readonly alerts: ReadonlyArray<OpenAlert>
  readonly hosts: HostsById
  readonly filter: Filter
  readonly isAllWell: boolean
}) => {
  const isNarrowed = filter.alerts.trim() !== ""
  const found = isNarrowed ? alerts.filter((alert) => hasWords(filter.alerts, searchedOf(alert, hosts))) : alerts
  return (
    <section class="panel alerts" aria-labelledby="alerts">
      <div class="bar">
        <h2 id="alerts" tabIndex={-1}>
          Open alerts <span class="muted">{count(alerts.length)}</span>
        </h2>
        {alerts.length < 2 && !isNarrowed ? null : (
          <Search
            label="Find alerts"
            placeholder="host, tag, kind or state"
            text={filter.alerts}
            onChange={(text) => replaceAddress(addressOfFleet({ ...filter, alerts: text }))}
          />
        )}
      </div>
      <Found
        isNarrowed={isNarrowed}
        found={found.length}
        of={alerts.length}
        one="alert"
        all={addressOfFleet({ ...filter, alerts: "" })}
      />
      {alerts.length === 0 ? <p class="muted">None.{isAllWell ? " All is as it should be." : ""}</p> : null}
      <AlertList alerts={found} hosts={hosts} isNarrowed={isNarrowed} />
    </section>
  )
}
