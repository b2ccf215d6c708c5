/**
 * The past of a host: its uptime, how long it took to answer, which rules fail, and its last alerts.
 */
import { useEffect, useMemo, useState } from "preact/hooks"
import { Ago } from "./Ago.tsx"
import { Chart } from "./Chart.tsx"
import { clock, count, counted, duration, rate } from "./format.ts"
import type { HostPast, HostState, Live } from "./Live.ts"

/** How often what is shown is read again. */
const readEvery = 15_000

/** Reads it now, again and again, and when the host has changed. */
const usePast = (live: Live, { id, score, since, state }: HostState): HostPast | "none" | "failed" | undefined => {
  const [past, setPast] = useState<HostPast | "none" | "failed">()
  useEffect(() => {
    let isCurrent = true
    const read = () =>
      void live.past(id).then(
        (past) => isCurrent && setPast(past ?? "none"),
        () => isCurrent && setPast((before) => before ?? "failed")
      )
    read()
    const timer = setInterval(() => {
      if (!document.hidden) read()
    }, readEvery)
    return () => {
      isCurrent = false
      clearInterval(timer)
    }
  }, [live, id, score, since, state])
  return past
}

const named: { readonly [hours: number]: string } = { 24: "24 hours", 168: "7 days", 720: "30 days", 2160: "90 days" }

/** 99.95 %, and never 100 % where it was not. */
const percentOf = (percent: number): string =>
  `${percent === 100 ? "100" : (Math.floor(percent * 100) / 100).toFixed(2)} %`

const Uptime = ({ uptimes }: { uptimes: HostPast["uptimes"] }) => (
  <section class="panel uptime" aria-labelledby="uptime">
    <h3 id="uptime">Uptime</h3>
    <div class="scroll" tabIndex={0} role="region" aria-label="Uptime as a table">
      <table>
        <thead>
          <tr>
            <th scope="col">The last</th>
            <th scope="col" class="number">Reachable</th>
            <th scope="col" class="number">Unreachable for</th>
            <th scope="col" class="number">Judged for</th>
          </tr>
        </thead>
        <tbody>
          {uptimes.map(({ hours, judgedSeconds, percent, unreachableSeconds }) => (
            <tr key={hours}>
              <th scope="row">{named[hours] ?? `${hours} hours`}</th>
              <td class="number">{percent === null ? "not known" : percentOf(percent)}</td>
              <td class="number">{percent === null ? "" : duration(unreachableSeconds)}</td>
              <td class="number">{percent === null ? "" : duration(judgedSeconds)}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  </section>
)

const millis = (time: number | null): string => time === null ? "" : `${rate(time)} ms`

const Responses = ({ past: { days, probes, responseTimes }, host }: { past: HostPast; host: HostState }) => {
  const answered = useMemo(
    () => probes.flatMap(({ at, responseTimeMs }) => responseTimeMs === null ? [] : [{ at, responseTimeMs }]),
    [probes]
  )
  const times = useMemo(() => answered.map(({ at }) => Date.parse(at) / 1000), [answered])
  const series = useMemo(
    () => [{
      label: "Answered in ms",
      color: "--series-1",
      values: answered.map(({ responseTimeMs }) => responseTimeMs)
    }],
    [answered]
  )
  const failed = probes.length - answered.length
  return (
    <section class="panel responses" aria-labelledby="responses">
      <h3 id="responses">Response times</h3>
      {probes.length === 0 ? <p class="muted">This host was not probed yet.</p> : (
        <>
          <p>
            {responseTimes.p50 === null
              ? "No probe was answered."
              : `Half of all answers came within ${millis(responseTimes.p50)}, 95 % within ${
                millis(responseTimes.p95)
              }, 99 % within ${millis(responseTimes.p99)}. Of the last ${counted(probes.length, "probe")}, ${
                count(failed)
              } ${failed === 1 ? "was" : "were"} not answered.`}
          </p>
          {answered.length < 2 ? null : (
            <Chart
              times={times}
              series={series}
              height={160}
              formatTime={(seconds) => clock(seconds * 1000).slice(0, 5)}
              description={`Milliseconds that ${host.name} took to answer, for the last ${
                counted(answered.length, "answer")
              }`}
            />
          )}
          <details>
            <summary>{counted(days.length, "day")} as a table</summary>
            <div class="scroll" tabIndex={0} role="region" aria-label={`Response times of ${host.name} by day`}>
              <table>
                <thead>
                  <tr>
                    <th scope="col">Day (UTC)</th>
                    <th scope="col" class="number">Answered</th>
                    <th scope="col" class="number">Failed</th>
                    <th scope="col" class="number">Half within</th>
                    <th scope="col" class="number">95 % within</th>
                    <th scope="col" class="number">99 % within</th>
                  </tr>
                </thead>
                <tbody>
                  {days.toReversed().map(({ answered, day, failed, p50, p95, p99 }) => (
                    <tr key={day}>
                      <th scope="row">{day}</th>
                      <td class="number">{count(answered)}</td>
                      <td class="number">{count(failed)}</td>
                      <td class="number">{millis(p50)}</td>
                      <td class="number">{millis(p95)}</td>
                      <td class="number">{millis(p99)}</td>
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

const FailingRules = ({ scans }: { scans: HostPast["scans"] }) => (
  <section class="panel failing wide" aria-labelledby="failing">
    <h3 id="failing">Rules that fail</h3>
    {scans.length === 0 ?
      <p class="muted">This host was never scanned.</p> :
      scans.map(({ at, failing, profile, scanId, score }) => (
        <details key={scanId} open={scans.length === 1}>
          <summary>
            {profile}: {rate(score)} %, {failing === null
              ? "rules not kept"
              : failing.length === 0
              ? "none fails"
              : `${count(failing.length)} fail`}, scanned <Ago at={at} />
          </summary>
          {failing === null || failing.length === 0 ?
            null :
            (
              <div class="scroll" tabIndex={0} role="region" aria-label={`Rules of ${profile} that fail`}>
                <table>
                  <thead>
                    <tr>
                      <th scope="col">Severity</th>
                      <th scope="col">Rule</th>
                    </tr>
                  </thead>
                  <tbody>
                    {failing.map(({ id, severity, title }) => (
                      <tr key={id}>
                        <td>
                          <span class={`badge severity-${severity}`}>{severity}</span>
                        </td>
                        <td>
                          {title === null ? id : (
                            <>
                              {title} <span class="muted rule">{id}</span>
                            </>
                          )}
                        </td>
                      </tr>
                    ))}
                  </tbody>
                </table>
              </div>
            )}
        </details>
      ))}
  </section>
)

// The roles are those that the elements have anyway, but lose to browsers where the narrow layout lays them out as blocks.
const PastAlerts = ({ alerts }: { alerts: HostPast["alerts"] }) => (
  <section class="panel past-alerts wide" aria-labelledby="past-alerts">
    <h3 id="past-alerts">Last alerts</h3>
    {alerts.length === 0 ?
      <p class="muted">None.</p> :
      (
        <div class="scroll" tabIndex={0} role="region" aria-label="Last alerts as a table">
          <table role="table">
            <thead role="rowgroup">
              <tr role="row">
                <th scope="col" role="columnheader">Raised</th>
                <th scope="col" role="columnheader">State</th>
                <th scope="col" role="columnheader">Severity</th>
                <th scope="col" role="columnheader">Alert</th>
              </tr>
            </thead>
            <tbody role="rowgroup">
              {alerts.map(({ endedAt, id, occurredAt, severity, state, title }) => (
                <tr key={id} role="row">
                  <td role="cell">
                    <Ago at={occurredAt} />
                  </td>
                  <td role="cell">
                    {state} {endedAt === null ? null : <Ago at={endedAt} />}
                  </td>
                  <td role="cell">
                    <span class={`badge severity-${severity}`}>{severity}</span>
                  </td>
                  <td role="cell">{title}</td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
  </section>
)

/** The panels of what is kept of a host. */
export const Past = ({ host, live }: { host: HostState; live: Live }) => {
  const past = usePast(live, host)
  if (past === undefined) return <p class="muted">Reading its past…</p>
  if (past === "none") return null
  if (past === "failed") return <p class="problem" role="alert">Its past could not be read.</p>
  return (
    <>
      <Uptime uptimes={past.uptimes} />
      <Responses past={past} host={host} />
      <FailingRules scans={past.scans} />
      <PastAlerts alerts={past.alerts} />
    </>
  )
}
