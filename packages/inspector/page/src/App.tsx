import { useEffect, useLayoutEffect, useMemo, useState } from "preact/hooks"
import { DurableEvents } from "./DurableEvents.tsx"
import { Events } from "./Events.tsx"
import { Fleet } from "./Fleet.tsx"
import { clock, count } from "./format.ts"
import type { Live, State, Status } from "./Live.ts"
import { Login } from "./Login.tsx"
import { Subscriptions } from "./Subscriptions.tsx"
import { Throughput } from "./Throughput.tsx"

const useLive = (live: Live): State => {
  const [state, setState] = useState(live.state)
  useEffect(() => {
    const update = () => setState(live.state)
    const unsubscribe = live.subscribe(update)
    // Effects run after painting. An answer may have come before, and may have been the last one.
    update()
    return unsubscribe
  }, [live])
  return state
}

const statusText: { readonly [S in Status]: string } = {
  connecting: "Connecting…",
  live: "Live",
  reconnecting: "Reconnecting: the server does not answer",
  unauthorized: "Signed out"
}

const Total = ({ isBad, label, value }: { label: string; value: number; isBad?: boolean }) => (
  <div class={isBad === true ? "total bad" : "total"}>
    <dt>{label}</dt>
    <dd>{count(value)}</dd>
  </div>
)

const noKinds: ReadonlyArray<string> = []

export const App = ({ live }: { live: Live }) => {
  const state = useLive(live)
  const { alerts, bus, entries, history, hosts, isFleetUnread, letters, outboxes, status, subscriptions } = state
  const kinds = bus?.kinds ?? noKinds
  // Each panel is drawn anew when what it shows has changed, and not with every event.
  const durableEvents = useMemo(
    () => <DurableEvents live={live} outboxes={outboxes} letters={letters} />,
    [live, outboxes, letters]
  )
  const fleet = useMemo(
    () => <Fleet live={live} hosts={hosts} alerts={alerts} isUnread={isFleetUnread} />,
    [live, hosts, alerts, isFleetUnread]
  )
  const throughput = useMemo(() => <Throughput history={history} kinds={kinds} />, [history, kinds])
  const table = useMemo(() => <Subscriptions subscriptions={subscriptions} />, [subscriptions])
  const lastEvents = useMemo(() => <Events entries={entries} hosts={hosts} kinds={kinds} />, [entries, hosts, kinds])
  const title = bus?.title ?? "Inspector"
  // With the text below, not after it is painted: the two say the same.
  useLayoutEffect(() => {
    document.title = status === "reconnecting" ? `(offline) ${title}` : title
  }, [title, status])

  return (
    <>
      <a class="skip" href="#main">Skip to content</a>
      <header>
        <h1>{title}</h1>
        <p class={`status ${status}`} role="status">
          <span class="dot" aria-hidden="true" />
          {statusText[status]}
          {status === "reconnecting" && bus !== undefined ? `, last heard at ${clock(bus.at)}` : ""}
        </p>
        {bus?.hasToken === true && status !== "unauthorized"
          ? <button type="button" onClick={() => void live.logout()}>Sign out</button>
          : null}
      </header>
      <main id="main" tabIndex={-1} class={status === "reconnecting" ? "stale" : ""}>
        {status === "unauthorized" ? <Login live={live} /> : bus === undefined ? null : (
          <>
            <dl class="totals" aria-label="Totals of the bus">
              <Total label="Published" value={bus.published} />
              <Total label="Delivered" value={bus.delivered} />
              <Total label="Dropped" value={bus.dropped} isBad={bus.dropped > 0} />
              <Total label="Had no subscriber" value={bus.unmatched} />
              <Total label="Live viewers" value={bus.clients} />
            </dl>
            {bus.hasOutboxes ? durableEvents : null}
            {bus.hasFleet ? fleet : null}
            {throughput}
            {table}
            {lastEvents}
          </>
        )}
      </main>
    </>
  )
}
