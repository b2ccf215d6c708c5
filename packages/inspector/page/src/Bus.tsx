import { useMemo } from "preact/hooks"
import { DurableEvents } from "./DurableEvents.tsx"
import { count } from "./format.ts"
import type { BusState, Live, State } from "./Live.ts"
import { Subscriptions } from "./Subscriptions.tsx"
import { Throughput } from "./Throughput.tsx"

const Total = ({ isBad, label, value }: { label: string; value: number; isBad?: boolean }) => (
  <div class={isBad === true ? "total bad" : "total"}>
    <dt>{label}</dt>
    <dd>{count(value)}</dd>
  </div>
)

/** The bus: what it carries, to whom, and what is stuck or lost. */
export const Bus = ({ bus, live, state }: { live: Live; bus: BusState; state: State }) => {
  const { history, letters, outboxes, subscriptions } = state
  // Each panel is drawn anew when what it shows has changed, and not with every event.
  const durableEvents = useMemo(
    () => <DurableEvents live={live} outboxes={outboxes} letters={letters} />,
    [live, outboxes, letters]
  )
  const throughput = useMemo(() => <Throughput history={history} kinds={bus.kinds} />, [history, bus.kinds])
  const table = useMemo(() => <Subscriptions subscriptions={subscriptions} />, [subscriptions])
  return (
    <>
      <dl class="totals" aria-label="Totals of the bus">
        <Total label="Published" value={bus.published} />
        <Total label="Delivered" value={bus.delivered} />
        <Total label="Dropped" value={bus.dropped} isBad={bus.dropped > 0} />
        <Total label="Had no subscriber" value={bus.unmatched} />
        <Total label="Live viewers" value={bus.clients} />
      </dl>
      {bus.hasOutboxes ? durableEvents : null}
      {throughput}
      {table}
    </>
  )
}
