import { useMemo } from "preact/hooks"
import { count, counted } from "./format.ts"
import type { HostState, OpenAlert } from "./Live.ts"
import { type Place, sign, type Tile, Tiles } from "./Tiles.tsx"
import { addressOfFleet, type Filter, isFiltered, noFilter, replaceAddress, states } from "./View.ts"

/** The severities, the most severe first. */
export const severities = ["critical", "high", "medium", "low", "info"] as const

const rankOf = ({ alerts, host }: Tile): number => {
  const severity = alerts[0] === undefined ? severities.length : severities.indexOf(alerts[0].severity)
  if (host.state === "unreachable") return severity - severities.length
  return 3 * severity + (host.state === "unjudged" ? 1 : host.state === "unknown" ? 2 : 3)
}

/** The hosts with their open alerts, the worst first. */
export const tilesOf = (
  hosts: ReadonlyArray<HostState>,
  alerts: ReadonlyArray<OpenAlert>
): ReadonlyArray<Tile> => {
  const byHost = new Map<string, Array<OpenAlert>>()
  for (const severity of severities) {
    for (const alert of alerts) {
      if (alert.severity !== severity) continue
      const others = byHost.get(alert.hostId)
      if (others === undefined) byHost.set(alert.hostId, [alert])
      else others.push(alert)
    }
  }
  return hosts
    .map((host) => ({ host, alerts: byHost.get(host.id) ?? [] }))
    .toSorted((a, b) =>
      rankOf(a) - rankOf(b) ||
      (a.host.state === "reachable" ? (a.host.score ?? 101) - (b.host.score ?? 101) : 0)
    )
}

const tagsOf = ({ tags }: HostState): ReadonlyArray<string> =>
  Object.entries(tags ?? {}).map(([key, value]) => `${key}=${value}`)

const isFound = (host: HostState, { state, tag, text }: Filter): boolean => {
  if (state !== undefined && host.state !== state) return false
  const tags = tagsOf(host)
  if (tag !== undefined && !tags.includes(tag)) return false
  const searched = `${host.name} ${host.endpoint} ${tags.join(" ")} ${host.reason ?? ""}`.toLowerCase()
  return text.toLowerCase().split(/\s+/).every((word) =>
    // "unreachable" holds "reachable", and who looks for the one does not mean the other.
    word === "" || host.state.startsWith(word) || searched.includes(word)
  )
}

const inWords = ({ state, tag, text }: Filter): string =>
  [
    state === undefined ? "" : `is ${state}`,
    tag === undefined ? "" : `has the tag ${tag}`,
    text.trim() === ""
      ? ""
      : `has “${text.trim()}” in its name, address, tags, reason or state`
  ].filter((part) => part !== "").join(" and ")

const Tags = ({ filter, hosts }: { hosts: ReadonlyArray<HostState>; filter: Filter }) => {
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

/** The hosts of the fleet, and what narrows them down. */
export const Hosts = ({ alerts, filter, hosts, isRead, place }: {
  readonly hosts: ReadonlyArray<HostState>
  readonly alerts: ReadonlyArray<OpenAlert>
  readonly filter: Filter
  readonly isRead: boolean
  readonly place: Place
}) => {
  const tiles = useMemo(() => tilesOf(hosts, alerts), [hosts, alerts])
  const found = useMemo(() => tiles.filter(({ host }) => isFound(host, filter)), [tiles, filter])
  const isNarrowed = isFiltered(filter)
  return (
    <section class="panel hosts" aria-labelledby="hosts">
      <div class="bar">
        <h2 id="hosts">Hosts</h2>
        <ul class="legend">
          {states.map((state) => {
            const length = hosts.filter((host) => host.state === state).length
            const isChosen = filter.state === state
            return (
              <li key={state}>
                <a
                  class={`choice ${length === 0 ? "muted" : state}`}
                  href={addressOfFleet({ ...filter, state: isChosen ? undefined : state })}
                  aria-current={isChosen}
                >
                  <span aria-hidden="true">{sign[state]}</span> <b>{count(length)}</b> {state}
                </a>
              </li>
            )
          })}
        </ul>
        <div class="filters">
          <Tags hosts={hosts} filter={filter} />
          <label class="search">
            Find a host
            <input
              type="search"
              value={filter.text}
              placeholder="name, address or state"
              onInput={(event) => replaceAddress(addressOfFleet({ ...filter, text: event.currentTarget.value }))}
            />
          </label>
        </div>
      </div>
      <p class={isNarrowed ? "found muted" : "said"} role="status">
        {isNarrowed ? `${count(found.length)} of ${counted(hosts.length, "host")} found. ` : ""}
        {isNarrowed ? <a href={addressOfFleet(noFilter)}>Show all</a> : null}
      </p>
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
