import { useMemo } from "preact/hooks"
import { count } from "./format.ts"
import type { OpenAlert } from "./Live.ts"
import { maintainedUntil, maintenanceSign, type WatchedHost } from "./Maintenance.tsx"
import { Found, hasWords, Search } from "./Search.tsx"
import { type Place, sign, type Tile, Tiles } from "./Tiles.tsx"
import { addressOfFleet, type Filter, isFiltered, noFilter, replaceAddress, states } from "./View.ts"

/** The severities, the most severe first. */
export const severities = ["critical", "high", "medium", "low", "info"] as const

const rankOf = ({ alerts, host }: Tile): number => {
  // Somebody works on it: it comes after all for which nobody does yet.
  const isMaintained = maintainedUntil(host) !== undefined
  if (isMaintained && (host.state !== "reachable" || alerts.length > 0)) return 3 * severities.length + 2.5
  const severity = alerts[0] === undefined ? severities.length : severities.indexOf(alerts[0].severity)
  if (host.state === "unreachable") return severity - severities.length
  return 3 * severity + (host.state === "unjudged" ? 1 : host.state === "unknown" ? 2 : 3)
}

/** The hosts with their open alerts, the worst first. */
export const tilesOf = (
  hosts: ReadonlyArray<WatchedHost>,
  alerts: ReadonlyArray<OpenAlert>
): ReadonlyArray<Tile> => {
  const byHost = Map.groupBy(alerts, ({ hostId }) => hostId)
  return hosts
    .map((host) => ({ host, alerts: byHost.get(host.id) ?? [] }))
    .toSorted((a, b) =>
      rankOf(a) - rankOf(b) ||
      (a.host.state === "reachable" ? (a.host.score ?? 101) - (b.host.score ?? 101) : 0)
    )
}

/** The tags of a host, as `key=value`. */
export const tagsOf = ({ tags }: WatchedHost): ReadonlyArray<string> =>
  Object.entries(tags ?? {}).map(([key, value]) => `${key}=${value}`)

const isFound = (host: WatchedHost, { state, tag, text }: Filter): boolean => {
  const isMaintained = maintainedUntil(host) !== undefined
  if (state === "maintenance" ? !isMaintained : state !== undefined && host.state !== state) return false
  const tags = tagsOf(host)
  if (tag !== undefined && !tags.includes(tag)) return false
  const searched = `${host.name} ${host.endpoint} ${tags.join(" ")} ${host.reason ?? ""} ${
    isMaintained ? "maintenance" : ""
  }`
  // "unreachable" holds "reachable", and who looks for the one does not mean the other.
  return hasWords(text, searched, (word) => host.state.startsWith(word))
}

const inWords = ({ state, tag, text }: Filter): string =>
  [
    state === undefined ? "" : `is ${state === "maintenance" ? "in maintenance" : state}`,
    tag === undefined ? "" : `has the tag ${tag}`,
    text.trim() === ""
      ? ""
      : `has “${text.trim()}” in its name, address, tags, reason or state`
  ].filter((part) => part !== "").join(" and ")

const Tags = ({ filter, hosts }: { hosts: ReadonlyArray<WatchedHost>; filter: Filter }) => {
  const tags = useMemo(() => Array.from(new Set(hosts.flatMap(tagsOf))).toSorted(), [hosts])
  return tags.length === 0 ? null : (
    <label class="search">
      Tag
      <select
        value={filter.tag ?? ""}
        onChange={({ currentTarget: { value } }) =>
          replaceAddress(addressOfFleet({ ...filter, tag: value === "" ? undefined : value }))}
      >
        <option value="">any</option>
        {tags.map((tag) => <option key={tag} value={tag}>{tag}</option>)}
      </select>
    </label>
  )
}

/** Narrows the hosts down to those of a state, and back. */
const Choice = ({ filter, length, name, sign, state }: {
  readonly state: NonNullable<Filter["state"]>
  readonly sign: string
  readonly name: string
  readonly length: number
  readonly filter: Filter
}) => {
  const isChosen = filter.state === state
  return (
    <li>
      <a
        class={`choice ${length === 0 ? "muted" : state}`}
        href={addressOfFleet({ ...filter, state: isChosen ? undefined : state })}
        aria-current={isChosen}
      >
        <span aria-hidden="true">{sign}</span> <b>{count(length)}</b> {name}
      </a>
    </li>
  )
}

/** The hosts of the fleet, and what narrows them down. */
export const Hosts = ({ alerts, filter, hosts, isRead, place }: {
  readonly hosts: ReadonlyArray<WatchedHost>
  readonly alerts: ReadonlyArray<OpenAlert>
  readonly filter: Filter
  readonly isRead: boolean
  readonly place: Place
}) => {
  const tiles = useMemo(() => tilesOf(hosts, alerts), [hosts, alerts])
  const found = useMemo(() => tiles.filter(({ host }) => isFound(host, filter)), [tiles, filter])
  const isNarrowed = isFiltered(filter)
  const maintained = hosts.filter((host) => maintainedUntil(host) !== undefined).length
  return (
    <section class="panel hosts" aria-labelledby="hosts">
      <div class="bar">
        <h2 id="hosts">Hosts</h2>
        <ul class="legend">
          {states.map((state) => (
            <Choice
              key={state}
              state={state}
              sign={sign[state]}
              name={state}
              length={hosts.filter((host) => host.state === state).length}
              filter={filter}
            />
          ))}
          {maintained === 0 && filter.state !== "maintenance" ? null : (
            <Choice
              state="maintenance"
              sign={maintenanceSign}
              name="in maintenance"
              length={maintained}
              filter={filter}
            />
          )}
        </ul>
        <div class="filters">
          <Tags hosts={hosts} filter={filter} />
          <Search
            label="Find a host"
            placeholder="name, address or state"
            text={filter.text}
            onChange={(text) => replaceAddress(addressOfFleet({ ...filter, text }))}
          />
        </div>
      </div>
      <Found
        isNarrowed={isNarrowed}
        found={found.length}
        of={hosts.length}
        one="host"
        all={addressOfFleet({ ...noFilter, alerts: filter.alerts })}
      />
      {!isRead
        ? <p class="muted">Reading the hosts…</p>
        : hosts.length === 0
        ? <p class="muted">No host is watched yet.</p>
        : found.length === 0
        ? <p class="muted">No host {inWords(filter)}.</p>
        : <Tiles tiles={found} place={place} />}
    </section>
  )
}
