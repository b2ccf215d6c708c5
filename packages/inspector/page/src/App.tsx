import { useEffect, useLayoutEffect, useMemo, useRef, useState } from "preact/hooks"
import { Bus } from "./Bus.tsx"
import { AlertChanges } from "./ChangeAlerts.tsx"
import { Events } from "./Events.tsx"
import { Fleet } from "./Fleet.tsx"
import { clock, count, counted } from "./format.ts"
import { Host } from "./Host.tsx"
import type { Live, State, Status } from "./Live.ts"
import { Login } from "./Login.tsx"
import { withMaintenance } from "./Maintenance.tsx"
import type { Place } from "./Tiles.tsx"
import { addressOfBus, addressOfFleet, noFilter, useView, type View } from "./View.ts"

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
  shutdown: "The bus has shut down",
  reconnecting: "Reconnecting: the server does not answer",
  unauthorized: "Signed out"
}

const noKinds: ReadonlyArray<string> = []

/** What the page is called before it is known what it shows: as the server wrote it. */
const ownTitle = document.title

/** Dead letters are of the bus, and whoever looks at the fleet has to know: an alert may have reached nobody. */
const Undelivered = ({ outboxes }: Pick<State, "outboxes">) => {
  const dead = outboxes.flatMap(({ consumers }) => consumers).reduce((sum, { dead }) => sum + dead, 0)
  return dead === 0 ? null : (
    <p class="panel undelivered">
      {counted(dead, "delivery was", "deliveries were")} given up. <a href={addressOfBus}>See the dead letters</a>
    </p>
  )
}

const Nav = ({ view }: { view: View }) => (
  <nav aria-label="Views">
    <a href={addressOfFleet(noFilter)} aria-current={view.name === "fleet" ? "page" : undefined}>Fleet</a>
    <a href={addressOfBus} aria-current={view.name === "bus" ? "page" : undefined}>Bus</a>
  </nav>
)

export const App = ({ live }: { live: Live }) => {
  const state = useLive(live)
  const asked = useView()
  const { alerts, bus, entries, isFleetRead, isFleetUnread, maintenance, outboxes, status } = state
  const view: View = bus?.hasFleet === false ? { name: "bus" } : asked
  const kinds = bus?.kinds ?? noKinds
  const hosts = useMemo(() => withMaintenance(state.hosts, maintenance), [state.hosts, maintenance])
  const byId = useMemo(() => new Map(hosts.map((host) => [host.id, host])), [hosts])
  const lastEvents = useMemo(() => <Events entries={entries} kinds={kinds} />, [entries, kinds])
  const main = useRef<HTMLElement>(null)
  const place = useRef<Place>({ top: 0, hostId: undefined })
  const back = useRef(addressOfFleet(noFilter))
  if (view.name === "fleet") back.current = addressOfFleet(view.filter)

  useEffect(() => live.show(view.name), [live, view.name])
  // Who comes back from a host goes on at its tile; who goes elsewhere starts at the top of it.
  const before = useRef(asked.name)
  useLayoutEffect(() => {
    if (before.current === asked.name) return
    const tile = before.current === "host" && asked.name === "fleet"
      ? main.current!.querySelector<HTMLElement>(".grid [tabindex='0']")
      : null
    before.current = asked.name
    if (tile !== null) tile.focus({ preventScroll: true })
    else if (asked.name !== "host") main.current!.focus()
  }, [asked.name])

  const title = bus?.title ?? ownTitle
  const down = hosts.filter((host) => host.state === "unreachable").length
  // With the text below, not after it is painted: the two say the same.
  useLayoutEffect(() => {
    document.title = status === "reconnecting"
      ? `(offline) ${title}`
      : status === "shutdown"
      ? `(shut down) ${title}`
      : down > 0 && status !== "unauthorized"
      ? `(${count(down)} down) ${title}`
      : title
  }, [title, status, down])

  return (
    <AlertChanges.Provider value={bus?.canChangeAlerts === true ? live : undefined}>
      <a
        class="skip"
        href="#main"
        onClick={(event) => {
          // The address says what is looked at.
          event.preventDefault()
          main.current!.focus()
        }}
      >
        Skip to content
      </a>
      <header>
        <h1>{title}</h1>
        {bus?.hasFleet === true && status !== "unauthorized" ? <Nav view={view} /> : null}
        <p class={`status ${status}`} role="status">
          <span class="dot" aria-hidden="true" />
          {statusText[status]}
          {status === "reconnecting" && bus !== undefined ? `, last heard at ${clock(bus.at)}` : ""}
        </p>
        {bus?.hasToken === true && status !== "unauthorized"
          ? <button type="button" onClick={() => void live.logout()}>Sign out</button>
          : null}
      </header>
      <main
        id="main"
        ref={main}
        tabIndex={-1}
        class={`${view.name}-view${status === "reconnecting" ? " stale" : ""}`}
      >
        {status === "unauthorized" ? <Login live={live} /> : bus === undefined ? null : view.name === "bus"
          ? (
            <>
              <Bus live={live} bus={bus} state={state} />
              {lastEvents}
            </>
          )
          : view.name === "host"
          ? (
            <Host
              live={live}
              hostId={view.hostId}
              hosts={byId}
              alerts={alerts}
              isRead={isFleetRead}
              isUnread={isFleetUnread}
              back={back.current}
            />
          )
          : (
            <>
              <Undelivered outboxes={outboxes} />
              <Fleet
                hosts={hosts}
                byId={byId}
                alerts={alerts}
                maintenance={maintenance}
                filter={view.filter}
                isRead={isFleetRead}
                isUnread={isFleetUnread}
                place={place.current}
              />
              {lastEvents}
            </>
          )}
      </main>
    </AlertChanges.Provider>
  )
}
