import { useEffect, useMemo, useRef, useState } from "preact/hooks"
import { Chart } from "./Chart.tsx"
import { count, day, moment, rate } from "./format.ts"
import type { HostState, Live, OpenAlert, Score } from "./Live.ts"
import { More } from "./More.tsx"

const states = ["unreachable", "unjudged", "unknown", "reachable"] as const
const sign = { unreachable: "▲", unjudged: "◇", unknown: "?", reachable: "●" } as const
/** More than that are a wall, not a view: the rest is counted, and shown when asked for. */
const shownAtMost = 240

const ScoreHistory = ({ host, live, onClose }: { host: HostState; live: Live; onClose: () => void }) => {
  const [scores, setScores] = useState<ReadonlyArray<Score> | "failed">()
  const heading = useRef<HTMLHeadingElement>(null)
  useEffect(() => heading.current?.focus(), [host.id])
  useEffect(() => {
    let isCurrent = true
    live.scores(host.id).then(
      (scores) => isCurrent && setScores(scores),
      () => isCurrent && setScores("failed")
    )
    return () => {
      isCurrent = false
    }
    // A new scan shows as another score of the host.
  }, [host.id, host.score])
  const times = useMemo(() => Array.isArray(scores) ? scores.map(({ at }) => Date.parse(at) / 1000) : [], [scores])
  const series = useMemo(() => [{
    label: "Score",
    color: "--series-1",
    values: Array.isArray(scores) ? scores.map(({ score }) => score) : []
  }], [scores])
  return (
    <section class="detail" aria-labelledby="host">
      <div class="bar">
        <h3 id="host" ref={heading} tabIndex={-1}>{host.name}</h3>
        <button type="button" onClick={onClose}>Close</button>
      </div>
      <p>
        {host.endpoint}, {host.state}
        {host.reason === null ? "" : ` (${host.reason})`}
        {host.since === null ? "" : ` since ${moment(host.since)}`}
        {host.responseTimeMs === null ? "" : `, answered in ${rate(host.responseTimeMs)} ms`}
      </p>
      {scores === undefined
        ? <p class="muted">Reading its scans…</p>
        : scores === "failed"
        ? <p class="problem" role="alert">Its scans could not be read.</p>
        : scores.length === 0
        ? <p class="muted">This host was never scanned.</p>
        : (
          <>
            <Chart
              times={times}
              series={series}
              height={160}
              formatTime={(seconds) => day(seconds * 1000)}
              range={[0, 100]}
              points
              description={`Score of ${host.name} in percent, over ${scores.length} scans`}
            />
            <details>
              <summary>The {scores.length} scans as a table</summary>
              <table>
                <thead>
                  <tr>
                    <th scope="col">Scanned</th>
                    <th scope="col">Profile</th>
                    <th scope="col" class="number">Score</th>
                  </tr>
                </thead>
                <tbody>
                  {scores.map(({ at, profile, scanId, score }) => (
                    <tr key={scanId}>
                      <td>{moment(at)}</td>
                      <td>{profile}</td>
                      <td class="number">{score.toFixed(2)}</td>
                    </tr>
                  ))}
                </tbody>
              </table>
            </details>
          </>
        )}
    </section>
  )
}

/** Moves the focus between the buttons of a grid by the arrow keys: the grid is one stop for the tabulator. */
const moveFocus = (grid: HTMLElement, key: string): HTMLElement | undefined => {
  const buttons = Array.from(grid.querySelectorAll<HTMLElement>("button"))
  const at = buttons.indexOf(document.activeElement as HTMLElement)
  const columns = buttons.filter(({ offsetTop }) => offsetTop === buttons[0]?.offsetTop).length
  const to = {
    ArrowRight: at + 1,
    ArrowLeft: at - 1,
    ArrowDown: at + columns,
    ArrowUp: at - columns,
    Home: 0,
    End: buttons.length - 1
  }[key]
  const button = to === undefined ? undefined : buttons[to]
  button?.focus()
  return button
}

const Alerts = (
  { alerts, isAllWell, names }: {
    alerts: ReadonlyArray<OpenAlert>
    names: ReadonlyMap<string, string>
    isAllWell: boolean
  }
) => {
  const [isAll, setIsAll] = useState(false)
  return (
    <section class="panel alerts" aria-labelledby="alerts">
      <h2 id="alerts">
        Open alerts <span class="muted">{count(alerts.length)}</span>
      </h2>
      {alerts.length === 0 ?
        <p class="muted">None.{isAllWell ? " All is as it should be." : ""}</p> :
        (
          <ul class="scroll" tabIndex={0} aria-labelledby="alerts">
            {(isAll ? alerts : alerts.slice(0, shownAtMost)).map((alert) => {
              const host = names.get(alert.hostId) ?? alert.hostId
              return (
                <li key={alert.id}>
                  <span class={`badge severity-${alert.severity}`}>{alert.severity}</span>
                  <span class="title">{alert.title}</span>
                  <span class="muted">
                    {alert.title.includes(host) ? null : `${host}, `}
                    <time dateTime={alert.occurredAt}>{moment(alert.occurredAt)}</time>
                  </span>
                </li>
              )
            })}
          </ul>
        )}
      <More of={alerts.length} most={shownAtMost} isAll={isAll} onChange={setIsAll} />
    </section>
  )
}

export const Fleet = (
  { alerts, hosts, isUnread, live }: {
    live: Live
    hosts: ReadonlyArray<HostState>
    alerts: ReadonlyArray<OpenAlert>
    isUnread: boolean
  }
) => {
  const [search, setSearch] = useState("")
  const [isAll, setIsAll] = useState(false)
  const [selectedId, setSelectedId] = useState<string>()
  const [reachedId, setReachedId] = useState<string>()
  const buttons = useRef<HTMLUListElement>(null)
  const names = useMemo(() => new Map(hosts.map(({ id, name }) => [id, name])), [hosts])
  const byState = useMemo(
    () => new Map(states.map((state) => [state, hosts.filter((host) => host.state === state)])),
    [hosts]
  )
  const sorted = states.flatMap((state) => byState.get(state)!)
  const words = search.toLowerCase().split(/\s+/).filter((word) => word !== "")
  const found = words.length === 0
    ? sorted
    // "unreachable" holds "reachable", and who looks for the one does not mean the other.
    : sorted.filter(({ endpoint, name, state }) =>
      words.every((word) => state.startsWith(word) || `${name} ${endpoint}`.toLowerCase().includes(word))
    )
  const shown = isAll ? found : found.slice(0, shownAtMost)
  const selected = hosts.find(({ id }) => id === selectedId)
  const tabStop = shown.find(({ id }) => id === reachedId)?.id ?? shown[0]?.id
  const down = byState.get("unreachable")!.length
  const close = () => {
    buttons.current?.querySelector<HTMLElement>("[aria-pressed=true]")?.focus()
    setSelectedId(undefined)
  }
  return (
    <>
      <section
        class="panel hosts"
        aria-labelledby="hosts"
        onKeyDown={(event) => {
          if (event.key === "Escape" && selected !== undefined) close()
        }}
      >
        <div class="bar">
          <h2 id="hosts">Hosts</h2>
          <ul class="legend">
            {states.map((state) => {
              const { length } = byState.get(state)!
              return (
                <li key={state} class={length === 0 ? "muted" : state}>
                  <span aria-hidden="true">{sign[state]}</span> <b>{count(length)}</b> {state}
                </li>
              )
            })}
          </ul>
          <label class="search">
            Find a host
            <input
              type="search"
              value={search}
              placeholder="name, address or state"
              onInput={(event) => setSearch(event.currentTarget.value)}
            />
          </label>
        </div>
        {isUnread ? <p class="problem" role="alert">The hosts cannot be read now: this is how they were.</p> : null}
        <p class="said" role="status">
          {search === ""
            ? `${count(down)} of ${count(hosts.length)} hosts unreachable, ${count(alerts.length)} open alerts`
            : `${count(found.length)} of ${count(hosts.length)} hosts found`}
        </p>
        {hosts.length === 0
          ? isUnread ? null : <p class="muted">No host is watched yet.</p>
          : found.length === 0
          ? <p class="muted">No host has “{search}” in its name, address or state.</p>
          : (
            <ul
              class="grid"
              ref={buttons}
              onKeyDown={(event) => {
                if (moveFocus(event.currentTarget, event.key) !== undefined) event.preventDefault()
              }}
            >
              {shown.map((host) => (
                <li key={host.id}>
                  <button
                    type="button"
                    class={host.state}
                    tabIndex={host.id === tabStop ? 0 : -1}
                    aria-pressed={host.id === selectedId}
                    onFocus={() => setReachedId(host.id)}
                    onClick={() => setSelectedId(host.id === selectedId ? undefined : host.id)}
                  >
                    <span class="name">
                      <span aria-hidden="true">{sign[host.state]}</span> {host.name}
                    </span>
                    <span class="of">
                      {host.state}
                      {host.score === null ? "" : `, score ${rate(host.score)} %`}
                    </span>
                  </button>
                </li>
              ))}
            </ul>
          )}
        <More of={found.length} most={shownAtMost} isAll={isAll} onChange={setIsAll} />
        {selected === undefined ? null : <ScoreHistory key={selected.id} host={selected} live={live} onClose={close} />}
      </section>
      <Alerts
        alerts={alerts}
        names={names}
        isAllWell={!isUnread && hosts.length > 0 && byState.get("reachable")!.length === hosts.length}
      />
    </>
  )
}
