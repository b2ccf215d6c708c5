/**
 * Maintenance of hosts: what goes on, and what is planned next.
 */
import { count, counted, moment, soon } from "./format.ts"
import type { HostState, Maintenance } from "./Live.ts"

/** A host with its maintenance, now or planned; none where it has none. */
export interface WatchedHost extends HostState {
  readonly maintenance?: ReadonlyArray<Maintenance>
}

/** The hosts with their maintenance. */
export const withMaintenance = (
  hosts: ReadonlyArray<HostState>,
  maintenance: ReadonlyArray<Maintenance>
): ReadonlyArray<WatchedHost> => {
  if (maintenance.length === 0) return hosts
  const byHost = new Map<string, Array<Maintenance>>()
  for (const each of maintenance) {
    for (const id of each.hostIds) {
      const others = byHost.get(id)
      if (others === undefined) byHost.set(id, [each])
      else others.push(each)
    }
  }
  return hosts.map((host) => {
    const maintenance = byHost.get(host.id)
    return maintenance === undefined ? host : { ...host, maintenance }
  })
}

/** Until when a host is in maintenance; `undefined` where it is not. */
export const maintainedUntil = ({ maintenance }: WatchedHost): string | undefined =>
  // They are in the order in which they end.
  maintenance?.findLast(({ isOn }) => isOn)?.until

/** The sign of a host in maintenance, for those who see it. */
export const maintenanceSign = "‖"

/** Until when a host is in maintenance, in few words; nothing where it is not. */
export const Until = ({ host }: { readonly host: WatchedHost }) => {
  const until = maintainedUntil(host)
  return until === undefined ? null : (
    <>
      until <time dateTime={until} title={moment(until)}>{soon(until)}</time>
    </>
  )
}

/** When it is, and who has said so, and why. */
export const describeMaintenance = ({ isOn, since, until, who, why }: Maintenance): string =>
  `${isOn ? "" : `from ${moment(since)} `}until ${moment(until)}, ${
    who === null ? "planned in the configuration" : `by ${who}`
  }${why === "" ? "" : `: ${why}`}`

/** All maintenance of the fleet; nothing where there is none. */
export const MaintenanceList = ({ maintenance }: { readonly maintenance: ReadonlyArray<Maintenance> }) =>
  maintenance.length === 0 ? null : (
    <section class="panel maintenance" aria-labelledby="maintenance">
      <h2 id="maintenance">
        Maintenance <span class="muted">{count(maintenance.filter(({ isOn }) => isOn).length)} now</span>
      </h2>
      <ul class="scroll" tabIndex={0} aria-labelledby="maintenance">
        {maintenance.map((each) => (
          <li key={`${each.subjects.join()} ${each.since}`}>
            <b>{each.subjects.join(", ")}</b>{" "}
            <span class="muted">
              ({counted(each.hostIds.length, "host")}) {describeMaintenance(each)}
            </span>
          </li>
        ))}
      </ul>
    </section>
  )
