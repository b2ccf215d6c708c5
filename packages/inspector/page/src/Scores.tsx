import { useEffect, useMemo, useState } from "preact/hooks"
import { Chart } from "./Chart.tsx"
import { counted, day, moment } from "./format.ts"
import type { HostState, Live, Score } from "./Live.ts"

/** How the score of a host has gone, from scan to scan. */
export const Scores = ({ host, live }: { host: HostState; live: Live }) => {
  const [scores, setScores] = useState<ReadonlyArray<Score> | "failed">()
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
    <section class="panel scores" aria-labelledby="scores">
      <h3 id="scores">Scans</h3>
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
              description={`Score of ${host.name} in percent, over ${counted(scores.length, "scan")}`}
            />
            <details>
              <summary>{scores.length === 1 ? "The scan" : `The ${scores.length} scans`} as a table</summary>
              <div class="scroll" tabIndex={0} role="region" aria-label={`Scans of ${host.name}`}>
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
              </div>
            </details>
          </>
        )}
    </section>
  )
}
