import { useMemo } from "preact/hooks"
import { Alerts, type HostsById } from "./Alerts.tsx"
import { Hosts } from "./Hosts.tsx"
import type { Maintenance, OpenAlert } from "./Live.ts"
import { MaintenanceList, type WatchedHost } from "./Maintenance.tsx"
import { Summary } from "./Summary.tsx"
import type { Place } from "./Tiles.tsx"
import type { Filter } from "./View.ts"

/** The fleet: how it is, what is wrong, and every host. */
export const Fleet = ({ alerts, byId, filter, hosts, isRead, isUnread, maintenance, place }: {
  readonly hosts: ReadonlyArray<WatchedHost>
  readonly byId: HostsById
  readonly alerts: ReadonlyArray<OpenAlert>
  readonly maintenance: ReadonlyArray<Maintenance>
  readonly filter: Filter
  readonly isRead: boolean
  readonly isUnread: boolean
  readonly place: Place
}) => {
  const isAllWell = isRead && !isUnread && hosts.length > 0 && hosts.every(({ state }) => state === "reachable")
  const isKnown = isRead || !isUnread
  const summary = useMemo(() => <Summary hosts={hosts} alerts={alerts} isRead={isRead} />, [hosts, alerts, isRead])
  const open = useMemo(
    () => <Alerts alerts={alerts} hosts={byId} filter={filter} isAllWell={isAllWell} />,
    [alerts, byId, filter, isAllWell]
  )
  return (
    <>
      {isUnread
        ? (
          <p class="panel problem unread" role="alert">
            Hosts and alerts cannot be read now{isRead ? ": this is how they were" : ""}. The log of the server says
            why.
          </p>
        )
        : null}
      {isKnown
        ? (
          <>
            {summary}
            <div class="wrong-and-all">
              {open}
              <Hosts hosts={hosts} alerts={alerts} filter={filter} isRead={isRead} place={place} />
              <MaintenanceList maintenance={maintenance} />
            </div>
          </>
        )
        : null}
    </>
  )
}
