import { createContext } from "preact"
import { useEffect, useState } from "preact/hooks"
import { Ago } from "./Ago.tsx"
import { Dialog } from "./Dialog.tsx"
import { count, counted, moment } from "./format.ts"
import type { AlertAction, AlertTransition, Live, OpenAlert } from "./Live.ts"

/** By what alerts are changed; `undefined` where they cannot be. */
export const AlertChanges = createContext<Live | undefined>(undefined)

const actionsIn: { readonly [S in NonNullable<OpenAlert["state"]>]: ReadonlyArray<AlertAction> } = {
  active: ["ack", "silence", "resolve", "dismiss"],
  acknowledged: ["silence", "resolve", "dismiss"],
  silenced: ["unsilence", "resolve", "dismiss"]
}

/** What each is called, and what it means of one alert and of many. */
const words: {
  readonly [A in AlertAction]: { readonly name: string; readonly ofOne: string; readonly ofMany: string }
} = {
  ack: { name: "Acknowledge", ofOne: "you look after it", ofMany: "you look after them" },
  silence: {
    name: "Silence",
    ofOne: "nobody is to hear of it for a while",
    ofMany: "nobody is to hear of them for a while"
  },
  unsilence: { name: "End the silence", ofOne: "it is sent again", ofMany: "they are sent again" },
  resolve: { name: "Resolve", ofOne: "it is over", ofMany: "they are over" },
  dismiss: { name: "Dismiss", ofOne: "it was a false alarm", ofMany: "they were false alarms" }
}

/** What can be done with some of the alerts, and with which. */
const choicesOf = (alerts: ReadonlyArray<OpenAlert>): ReadonlyMap<AlertAction, ReadonlyArray<string>> => {
  const choices = new Map<AlertAction, Array<string>>()
  for (const action of Object.keys(words) as ReadonlyArray<AlertAction>) {
    const ids = alerts.flatMap(({ id, state }) => actionsIn[state ?? "active"].includes(action) ? [id] : [])
    if (ids.length > 0) choices.set(action, ids)
  }
  return choices
}

/** So many of the alerts are named. */
const namedAtMost = 5

const silences = [
  { seconds: 3_600, name: "1 hour" },
  { seconds: 2 * 3_600, name: "2 hours" },
  { seconds: 8 * 3_600, name: "8 hours" },
  { seconds: 24 * 3_600, name: "1 day" },
  { seconds: 7 * 24 * 3_600, name: "7 days" },
  { seconds: undefined, name: "until somebody ends it" }
] as const

/** Who has changed it, when and why. */
const Past = ({ alert, live }: { alert: OpenAlert; live: Live }) => {
  const [past, setPast] = useState<ReadonlyArray<AlertTransition>>([])
  useEffect(() => {
    let isGone = false
    // Without it the dialog says less, and can do as much.
    void live.alertHistory(alert.id).catch(() => []).then((past) => {
      if (!isGone) setPast(past)
    })
    return () => {
      isGone = true
    }
  }, [alert.id, live])
  return past.length === 0 ? null : (
    <ul class="past" aria-label="Who has changed it">
      {past.map(({ at, to, until, who, why }) => (
        <li key={at}>
          {to}
          {until === null ? "" : ` until ${moment(until)}`} by {who}, <Ago at={at} />
          {why === "" ? "" : `: ${why}`}
        </li>
      ))}
    </ul>
  )
}

/** Which alerts it is about, when there are many. */
const Named = ({ alerts }: { alerts: ReadonlyArray<OpenAlert> }) => (
  <ul class="past">
    {alerts.slice(0, namedAtMost).map(({ id, title }) => <li key={id}>{title}</li>)}
    {alerts.length <= namedAtMost ? null : <li>and {count(alerts.length - namedAtMost)} more</li>}
  </ul>
)

/** Asks what is to become of one alert or of many, and why. Escape closes it. */
export const ChangeAlerts = (
  { alerts, live, onClose, onDone }: {
    /** As they were when it was asked: none is added while one decides. */
    readonly alerts: readonly [OpenAlert, ...ReadonlyArray<OpenAlert>]
    readonly live: Live
    readonly onClose: () => void
    /** `isOver`: the alerts, and the button, are about to go. */
    readonly onDone: (outcome: string, isOver: boolean) => void
  }
) => {
  const choices = choicesOf(alerts)
  const [action, setAction] = useState(() => [...choices.keys()][0]!)
  const [silence, setSilence] = useState(1)
  const [why, setWhy] = useState("")
  const [problem, setProblem] = useState<string>()
  const [changed, setChanged] = useState<number>()
  const isBusy = changed !== undefined
  const isOne = alerts.length === 1
  const ids = choices.get(action)!
  const change = async () => {
    setProblem(undefined)
    setChanged(0)
    const seconds = action === "silence" ? silences[silence]!.seconds : undefined
    const toBe = { action, why: why.trim(), ...(seconds === undefined ? {} : { seconds }) }
    const outcome = await live.changeAlerts(ids, toBe, setChanged)
    setChanged(undefined)
    // What was changed in part is told where it is seen; only where nothing was may one want to try again.
    if (outcome.changed > 0) onDone(outcome.text, action === "resolve" || action === "dismiss")
    else setProblem(outcome.text)
  }
  return (
    <Dialog labelledBy="changed" describedBy="changed-alerts" isBusy={isBusy} onClose={onClose}>
      <form
        class="change"
        onSubmit={(event) => {
          event.preventDefault()
          void change()
        }}
      >
        <h3 id="changed">
          {isOne ? "What becomes of this alert?" : `What becomes of these ${count(alerts.length)} alerts?`}
        </h3>
        <div id="changed-alerts">{isOne ? <p>{alerts[0].title}</p> : <Named alerts={alerts} />}</div>
        {isOne ? <Past alert={alerts[0]} live={live} /> : null}
        <fieldset disabled={isBusy}>
          <legend>{isOne ? "It is to be" : "They are to be"}</legend>
          {Array.from(choices, ([each, { length }]) => (
            <label key={each}>
              <input type="radio" name="action" checked={action === each} onChange={() => setAction(each)} />
              <span>
                {words[each].name}
                {length === alerts.length ? "" : ` ${count(length)} of them`}:{" "}
                <span class="muted">{length === 1 ? words[each].ofOne : words[each].ofMany}</span>
              </span>
            </label>
          ))}
        </fieldset>
        {action === "silence"
          ? (
            <label>
              For
              <select value={String(silence)} onChange={(event) => setSilence(Number(event.currentTarget.value))}>
                {silences.map(({ name }, index) => <option key={name} value={String(index)}>{name}</option>)}
              </select>
            </label>
          )
          : null}
        <label>
          Why
          <input
            type="text"
            maxLength={1000}
            value={why}
            autocomplete="off"
            onInput={(event) => setWhy(event.currentTarget.value)}
          />
        </label>
        <p class="muted" role="status">
          {isBusy && !isOne ? `${count(changed)} of ${count(ids.length)} are changed…` : ""}
        </p>
        <p class="problem" role="alert">{problem}</p>
        <p class="choices">
          <button type="button" disabled={isBusy} onClick={onClose}>Cancel</button>
          <button type="submit" disabled={isBusy}>
            {words[action].name}
            {isOne ? "" : ` ${counted(ids.length, "alert")}`}
          </button>
        </p>
      </form>
    </Dialog>
  )
}
