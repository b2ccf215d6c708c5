import { useMemo, useState } from "preact/hooks"
import { Ago } from "./Ago.tsx"
import { count } from "./format.ts"
import type { Entry } from "./Live.ts"
import { More } from "./More.tsx"

/** Each of a hundred events a second moves all that are shown. */
const shownAtMost = 60

type Fields = Readonly<Record<string, unknown>>

/** The fields in one line. Whatever they say is text, here and everywhere. */
const summary = ({ _tag: _, occurredAt: __, ...fields }: Fields): string =>
  Object.entries(fields)
    .map(([name, value]) => `${name}: ${typeof value === "string" ? value : JSON.stringify(value)}`)
    .join("  ")

/** The event as it is stored, which nobody reads before the line is opened. */
const Whole = ({ json }: { json: string }) => {
  const { sentence: _, ...fields } = JSON.parse(json) as Fields
  return <pre tabIndex={0}>{JSON.stringify(fields, null, 2)}</pre>
}

/** The sentence that tells of an event, or, where there is none, its kind and its fields. */
const Said = ({ json, kind }: { kind: string; json: string }) => {
  const fields = JSON.parse(json) as Fields
  return typeof fields["sentence"] === "string"
    ? <span class="sentence">{fields["sentence"]}</span>
    : (
      <>
        <span class="kind">{kind}</span>
        <span class="fields">{summary(fields)}</span>
      </>
    )
}

const Line = ({ entry }: { entry: Entry }) => {
  const [isOpen, setIsOpen] = useState(false)
  // An event does not change: it is read once, not whenever others come.
  return useMemo(() =>
    entry.notice !== undefined
      ? <li class="notice">{entry.notice}</li>
      : (
        <li>
          <details onToggle={(event) => setIsOpen(event.currentTarget.open)}>
            <summary>
              <Ago at={entry.at} />
              <Said kind={entry.kind} json={entry.json} />
            </summary>
            {isOpen ? <Whole json={entry.json} /> : null}
          </details>
        </li>
      ), [entry, isOpen])
}

export const Events = (
  { entries, kinds }: { entries: ReadonlyArray<Entry>; kinds: ReadonlyArray<string> }
) => {
  const [hidden, setHidden] = useState<ReadonlySet<string>>(new Set())
  const [isAll, setIsAll] = useState(false)
  const [paused, setPaused] = useState<ReadonlyArray<Entry>>()
  const toggle = (kind: string) => {
    const next = new Set(hidden)
    if (!next.delete(kind)) next.add(kind)
    setHidden(next)
  }
  const wanted = (paused ?? entries).filter((entry) => entry.notice !== undefined || !hidden.has(entry.kind))
  // A thousand events may follow what is said of those before them.
  const most = isAll ? wanted.length : shownAtMost
  const notice = wanted.slice(most).find((entry) => entry.notice !== undefined)
  const shown = [...wanted.slice(0, most), ...(notice === undefined ? [] : [notice])]
  const newest = paused?.[0]?.key ?? -1
  const waiting = paused === undefined ? 0 : entries.filter(({ key }) => key > newest).length

  return (
    <section class="panel events" aria-labelledby="events">
      <div class="bar">
        <h2 id="events">Last events</h2>
        <button
          type="button"
          aria-pressed={paused !== undefined}
          onClick={() => setPaused(paused === undefined ? entries : undefined)}
        >
          {paused === undefined ? "Pause" : `Resume (${count(waiting)} newer)`}
        </button>
      </div>
      <fieldset>
        <legend>Kinds shown</legend>
        {kinds.map((kind) => (
          <label key={kind}>
            <input type="checkbox" checked={!hidden.has(kind)} onChange={() => toggle(kind)} />
            {kind}
          </label>
        ))}
      </fieldset>
      {shown.length === 0 ?
        <p class="muted">Nothing since the server started. An event shows here as soon as it is published.</p> :
        (
          <ol class="scroll" tabIndex={0} aria-labelledby="events">
            {shown.map((entry) => <Line key={entry.key} entry={entry} />)}
          </ol>
        )}
      <More of={wanted.length} most={shownAtMost} isAll={isAll} onChange={setIsAll} />
    </section>
  )
}
