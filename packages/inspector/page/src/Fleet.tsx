import { useEffect, useMemo, useRef, useState } from "preact/hooks"
import { Chart } from "./Chart.tsx"
import { count, day, moment, rate } from "./format.ts"
import type { HostState, Live, OpenAlert, Score } from "./Live.ts"

const states = ["unreachable", "unknown", "reachable"] as const
const sign = { unreachable: "▲", unknown: "?", reachable: "●" } as const
/** More than that are a wall, not a view: the rest is counted, and found by name. */
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

export const Fleet = (
  { alerts, hosts, live }: { live: Live; hosts: ReadonlyArray<HostState>; alerts: ReadonlyArray<OpenAlert> }
) => {
  const [search, setSearch] = useState("")
  const [selectedId, setSelectedId] = useState<string>()
  const buttons = useRef<HTMLUListElement>(null)
  const names = useMemo(() => new Map(hosts.map(({ id, name }) => [id, name])), [hosts])
  const sorted = useMemo(() => states.flatMap((state) => hosts.filter((host) => host.state === state)), [hosts])
  const found = search === ""
    ? sorted
    : sorted.filter(({ endpoint, name }) => `${name} ${endpoint}`.toLowerCase().includes(search.toLowerCase()))
  const shown = found.slice(0, shownAtMost)
  const selected = hosts.find(({ id }) => id === selectedId)
  const close = () => {
    buttons.current?.querySelector<HTMLElement>("[aria-pressed=true]")?.focus()
    setSelectedId(undefined)
  }
  return (
    <>
      <section class="panel hosts" aria-labelledby="hosts">
        <div class="bar">
          <h2 id="hosts">Hosts</h2>
          <ul class="legend">
            {states.map((state) => (
              <li key={state} class={state}>
                <span aria-hidden="true">{sign[state]}</span>{" "}
                <b>{count(hosts.filter((host) => host.state === state).length)}</b> {state}
              </li>
            ))}
          </ul>
          <label class="search">
            Find a host
            <input type="search" value={search} onInput={(event) => setSearch(event.currentTarget.value)} />
          </label>
        </div>
        {hosts.length === 0 ? <p class="muted">No host is watched yet.</p> : (
          <ul class="grid" ref={buttons}>
            {shown.map((host) => (
              <li key={host.id}>
                <button
                  type="button"
                  class={host.state}
                  aria-pressed={host.id === selectedId}
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
        {found.length > shown.length
          ? <p class="muted">{count(found.length - shown.length)} more: find them by name.</p>
          : null}
        {selected === undefined ? null : <ScoreHistory key={selected.id} host={selected} live={live} onClose={close} />}
      </section>
      <section class="panel alerts" aria-labelledby="alerts">
        <h2 id="alerts">
          Open alerts <span class="muted">{count(alerts.length)}</span>
        </h2>
        {alerts.length === 0 ?
          <p class="muted">None. All is as it should be.</p> :
          (
            <ul class="scroll" tabIndex={0} aria-labelledby="alerts">
              {alerts.slice(0, shownAtMost).map((alert) => {
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
      </section>
    </>
  )
}
