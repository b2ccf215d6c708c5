import { useState } from "preact/hooks"
import { count } from "./format.ts"
import type { Subscription } from "./Live.ts"
import { More } from "./More.tsx"

const columns = ["Name", "Kinds", "Policy", "Buffer", "Delivered", "Dropped", "Failures"] as const

/** Those in trouble come first. On a telephone each takes a quarter of the screen. */
const shownAtMost = 25
const kindsAtMost = 4

const Kinds = ({ kinds }: { kinds: ReadonlyArray<string> }) =>
  kinds.length === 0
    ? <>none</>
    : kinds.length <= kindsAtMost
    ? <>{kinds.join(", ")}</>
    : (
      <details>
        <summary>{kinds.slice(0, kindsAtMost - 1).join(", ")} and {count(kinds.length - kindsAtMost + 1)} more</summary>
        {kinds.slice(kindsAtMost - 1).join(", ")}
      </details>
    )

// The roles are those that the elements have anyway, but lose to browsers where the narrow layout lays them out as blocks.

const Row = ({ subscription }: { subscription: Subscription }) => {
  const { bufferSize, delivered, dropped, failures, kinds, name, overflow, pending, running, state, trouble } =
    subscription
  const fill = `${count(pending)} of ${count(bufferSize)} pending`
  const isFull = pending >= bufferSize / 2
  return (
    <tr role="row" class={trouble === undefined ? "" : "slow"}>
      <th scope="row" role="rowheader">
        {name} {trouble === undefined ? null : <span class="badge bad">slow: {trouble}</span>}{" "}
        {state === "open" ? null : <span class="badge">{state}</span>}
      </th>
      <td role="cell" data-label="Kinds">
        <Kinds kinds={kinds} />
      </td>
      <td role="cell" data-label="Policy">{overflow}</td>
      <td role="cell" data-label="Buffer">
        <meter class={isFull ? "full" : ""} min={0} max={bufferSize} value={pending} aria-label={`${name}: ${fill}`} />
        <span class="fill">{fill}{running > 0 ? `, ${count(running)} running` : ""}</span>
      </td>
      <td role="cell" data-label="Delivered" class="number">{count(delivered)}</td>
      <td role="cell" data-label="Dropped" class={dropped > 0 ? "number bad" : "number"}>{count(dropped)}</td>
      <td role="cell" data-label="Failures" class={failures > 0 ? "number bad" : "number"}>{count(failures)}</td>
    </tr>
  )
}

export const Subscriptions = ({ subscriptions }: { subscriptions: ReadonlyArray<Subscription> }) => {
  const [isAll, setIsAll] = useState(false)
  const shown = isAll ? subscriptions : subscriptions.slice(0, shownAtMost)
  return (
    <section class="panel subscriptions stacked" aria-labelledby="subscriptions">
      <h2 id="subscriptions">
        Subscriptions <span class="muted">{count(subscriptions.length)}</span>
      </h2>
      <div class="scroll" tabIndex={0} role="region" aria-label="Table of subscriptions">
        <table role="table">
          <thead role="rowgroup">
            <tr role="row">
              {columns.map((column, index) => (
                <th key={column} scope="col" role="columnheader" class={index > 3 ? "number" : ""}>{column}</th>
              ))}
            </tr>
          </thead>
          <tbody role="rowgroup">
            {shown.map((subscription) => <Row key={subscription.key} subscription={subscription} />)}
          </tbody>
        </table>
      </div>
      <More of={subscriptions.length} most={shownAtMost} isAll={isAll} onChange={setIsAll} />
    </section>
  )
}
