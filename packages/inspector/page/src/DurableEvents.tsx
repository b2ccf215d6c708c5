import { useMemo, useRef, useState } from "preact/hooks"
import { Dialog } from "./Dialog.tsx"
import { count, duration, moment } from "./format.ts"
import type { Change, Consumer, DeadLetter, Live, Outbox } from "./Live.ts"

const columns = ["Consumer", "Behind", "Retrying", "Held", "Dead", "Served by", "Last seen"] as const

const Behind = ({ lag }: { lag: Consumer["lag"] }) =>
  lag.events === 0
    ? <>up to date</>
    : <>{count(lag.events)} {lag.events === 1 ? "event" : "events"}, {duration(lag.seconds)}</>

/** By whom it is served, and which part each process has. */
const servedBy = ({ owners }: Consumer): string => {
  const processes = Object.keys(owners).length
  return processes === 0 ? "nobody" : processes === 1 ? "1 process" : `${count(processes)} processes`
}

// The roles are those that the elements have anyway, but lose to browsers where the narrow layout lays them out as blocks.

const Row = ({ consumer }: { consumer: Consumer }) => {
  const { dead, held, kinds, lag, lastSeenAt, name, owners, partitions, retrying } = consumer
  const isServed = Object.keys(owners).length > 0
  const parts = Object.entries(owners).map(([process, parts]) => `${process}: ${parts} of ${partitions}`).join("\n")
  return (
    <tr role="row" class={dead > 0 || !isServed ? "slow" : ""}>
      <th scope="row" role="rowheader">
        {name} <span class="muted of">{kinds.join(", ")}</span>
      </th>
      <td role="cell" data-label="Behind">
        <Behind lag={lag} />
      </td>
      <td role="cell" data-label="Retrying" class="number">{count(retrying)}</td>
      <td role="cell" data-label="Held" class="number">{count(held)}</td>
      <td role="cell" data-label="Dead" class={dead > 0 ? "number bad" : "number"}>{count(dead)}</td>
      <td role="cell" data-label="Served by" class={isServed ? "" : "bad"} title={parts}>{servedBy(consumer)}</td>
      <td role="cell" data-label="Last seen">{moment(lastSeenAt)}</td>
    </tr>
  )
}

const pretty = (json: string): string => {
  try {
    return JSON.stringify(JSON.parse(json), null, 2)
  } catch {
    // Cut off.
    return json
  }
}

/** What a change is called, before it is made and while it is asked for. */
const words = { requeue: "Requeue", discard: "Discard" } as const

/** A change that waits to be confirmed: of one dead letter, or of all of a consumer. */
interface Asked {
  readonly what: Change
  readonly outbox: string
  readonly consumer: string
  readonly letter: DeadLetter | undefined
  readonly count: number
}

const Letter = ({ letter, onAsk }: { letter: DeadLetter; onAsk: (what: Change) => void }) => (
  <li>
    <p class="head">
      <span class="kind">{letter.kind}</span> <span class="fields">{letter.id}</span>
    </p>
    <p class="cause">{letter.cause}</p>
    <p class="muted">
      Given up <time dateTime={letter.diedAt}>{moment(letter.diedAt)}</time> after{" "}
      {letter.attempts === 1 ? "1 attempt" : `${count(letter.attempts)} attempts`}, published{" "}
      <time dateTime={letter.publishedAt}>{moment(letter.publishedAt)}</time>
    </p>
    <details>
      <summary>The event, and why in full</summary>
      <pre tabIndex={0}>{pretty(letter.json)}</pre>
      <pre tabIndex={0}>{letter.cause}</pre>
    </details>
    <p class="choices">
      {(["requeue", "discard"] as const).map((what) => (
        <button
          key={what}
          type="button"
          aria-label={`${words[what]} ${letter.kind} ${letter.id}`}
          onClick={() => onAsk(what)}
        >
          {words[what]}…
        </button>
      ))}
    </p>
  </li>
)

const Letters = (
  { letters, onAsk, outbox }: {
    outbox: Outbox
    letters: ReadonlyArray<DeadLetter>
    onAsk: (asked: Asked) => void
  }
) => {
  const byConsumer = useMemo(() => Array.from(Map.groupBy(letters, ({ consumer }) => consumer)), [letters])
  return (
    <>
      {byConsumer.map(([consumer, letters]) => {
        const dead = Math.max(letters.length, outbox.consumers.find(({ name }) => name === consumer)?.dead ?? 0)
        return (
          <section key={consumer} class="letters" aria-label={`Dead letters of ${consumer}`}>
            <div class="bar">
              <h3>
                Dead letters of {consumer} <span class="muted">{count(dead)}</span>
              </h3>
              <p class="choices">
                {(["requeue", "discard"] as const).map((what) => (
                  <button
                    key={what}
                    type="button"
                    aria-label={`${words[what]} all of ${consumer}`}
                    onClick={() => onAsk({ what, outbox: outbox.name, consumer, letter: undefined, count: dead })}
                  >
                    {words[what]} all…
                  </button>
                ))}
              </p>
            </div>
            <ol class="scroll" tabIndex={0} aria-label={`Dead letters of ${consumer}, oldest first`}>
              {letters.map((letter) => (
                <Letter
                  key={`${letter.kind} ${letter.id}`}
                  letter={letter}
                  onAsk={(what) => onAsk({ what, outbox: outbox.name, consumer, letter, count: 1 })}
                />
              ))}
            </ol>
            {dead > letters.length ? <p class="muted">{count(dead - letters.length)} more are not shown.</p> : null}
          </section>
        )
      })}
    </>
  )
}

const meaning = {
  requeue: "It is tried again from the first attempt on, out of its place where others have gone on behind it.",
  discard: "It is forgotten: the consumer will never handle it."
} as const
const meaningOfAll = {
  requeue: "They are tried again from the first attempt on, out of their place where others have gone on behind them.",
  discard: "They are forgotten: the consumer will never handle them."
} as const

const Confirmation = (
  { asked, onCancel, onConfirm }: { asked: Asked; onCancel: () => void; onConfirm: () => Promise<void> }
) => {
  const [isBusy, setIsBusy] = useState(false)
  const { consumer, letter, what } = asked
  const confirm = async () => {
    setIsBusy(true)
    await onConfirm()
  }
  return (
    <Dialog labelledBy="asked" describedBy="meaning" isBusy={isBusy} onClose={onCancel}>
      <h3 id="asked">
        {letter === undefined
          ? `${words[what]} all ${count(asked.count)} dead letters of ${consumer}?`
          : `${words[what]} ${letter.kind} ${letter.id} of ${consumer}?`}
      </h3>
      <p id="meaning">{(letter === undefined ? meaningOfAll : meaning)[what]}</p>
      <p class="choices">
        <button type="button" autofocus disabled={isBusy} onClick={onCancel}>Cancel</button>
        <button
          type="button"
          class={what === "discard" ? "danger" : ""}
          disabled={isBusy}
          onClick={() => void confirm()}
        >
          {words[what]}
        </button>
      </p>
    </Dialog>
  )
}

export const DurableEvents = (
  { letters, live, outboxes }: {
    live: Live
    outboxes: ReadonlyArray<Outbox>
    letters: ReadonlyMap<string, ReadonlyArray<DeadLetter>>
  }
) => {
  const [asked, setAsked] = useState<Asked>()
  const [outcome, setOutcome] = useState<{ readonly isGood: boolean; readonly text: string }>()
  const heading = useRef<HTMLHeadingElement>(null)
  const close = () => setAsked(undefined)
  const change = async ({ consumer, letter, outbox, what }: Asked) => {
    const outcome = await live.change(what, outbox, consumer, letter)
    setOutcome(outcome)
    close()
    // The button that was pressed may be gone with its letter.
    heading.current?.focus()
  }
  const consumers = outboxes.reduce((sum, { consumers }) => sum + consumers.length, 0)
  return (
    <section class="panel durable stacked" aria-labelledby="durable">
      <h2 id="durable" ref={heading} tabIndex={-1}>
        Durable consumers <span class="muted">{count(consumers)}</span>
      </h2>
      <p class={outcome?.isGood === false ? "outcome problem" : "outcome"} role="status">{outcome?.text}</p>
      {outboxes.map((outbox) => (
        <section key={outbox.name} aria-label={outbox.name}>
          {outboxes.length > 1 ? <h3>{outbox.name}</h3> : null}
          {outbox.problem !== null
            ? <p class="problem">{outbox.problem}</p>
            : outbox.consumers.length === 0
            ? <p class="muted">{outbox.name} has no consumer yet.</p>
            : (
              <div class="scroll" tabIndex={0} role="region" aria-label={`Table of the consumers of ${outbox.name}`}>
                <table role="table">
                  <thead role="rowgroup">
                    <tr role="row">
                      {columns.map((column, index) => (
                        <th key={column} scope="col" role="columnheader" class={index > 1 && index < 5 ? "number" : ""}>
                          {column}
                        </th>
                      ))}
                    </tr>
                  </thead>
                  <tbody role="rowgroup">
                    {outbox.consumers.map((consumer) => <Row key={consumer.name} consumer={consumer} />)}
                  </tbody>
                </table>
              </div>
            )}
          <Letters outbox={outbox} letters={letters.get(outbox.name) ?? []} onAsk={setAsked} />
        </section>
      ))}
      {asked === undefined ? null : <Confirmation asked={asked} onCancel={close} onConfirm={() => change(asked)} />}
    </section>
  )
}
