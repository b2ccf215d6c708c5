import { createContext } from "preact"
import { useEffect, useState } from "preact/hooks"
import { Ago } from "./Ago.tsx"
import { Dialog } from "./Dialog.tsx"
import { moment } from "./format.ts"
import type { AlertAction, AlertTransition, Live, OpenAlert } from "./Live.ts"

/** By what alerts are changed; `undefined` where they cannot be. */
export const AlertChanges = createContext<Live | undefined>(undefined)

const actionsIn: { readonly [S in NonNullable<OpenAlert["state"]>]: ReadonlyArray<AlertAction> } = {
  active: ["ack", "silence", "resolve", "dismiss"],
  acknowledged: ["silence", "resolve", "dismiss"],
  silenced: ["unsilence", "resolve", "dismiss"]
}

const words: { readonly [A in AlertAction]: { readonly name: string; readonly meaning: string } } = {
  ack: { name: "Acknowledge", meaning: "you look after it" },
  silence: { name: "Silence", meaning: "nobody is to hear of it for a while" },
  unsilence: { name: "End the silence", meaning: "it is sent again" },
  resolve: { name: "Resolve", meaning: "it is over" },
  dismiss: { name: "Dismiss", meaning: "it was none" }
}

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

/** Asks what is to become of an alert, and why. Escape closes it. */
export const ChangeAlert = (
  { alert, live, onClose, onDone }: {
    readonly alert: OpenAlert
    readonly live: Live
    readonly onClose: () => void
    /** `isOver`: the alert, and its button, are about to go. */
    readonly onDone: (outcome: string, isOver: boolean) => void
  }
) => {
  const actions = actionsIn[alert.state ?? "active"]
  const [action, setAction] = useState(actions[0]!)
  const [silence, setSilence] = useState(1)
  const [why, setWhy] = useState("")
  const [problem, setProblem] = useState<string>()
  const [isBusy, setIsBusy] = useState(false)
  const change = async () => {
    setIsBusy(true)
    const seconds = action === "silence" ? silences[silence]!.seconds : undefined
    const outcome = await live.changeAlert(alert.id, action, why.trim(), seconds)
    setIsBusy(false)
    if (outcome.isGood) onDone(outcome.text, action === "resolve" || action === "dismiss")
    else setProblem(outcome.text)
  }
  return (
    <Dialog labelledBy="changed" describedBy="changed-alert" onClose={onClose}>
      <form
        class="change"
        onSubmit={(event) => {
          event.preventDefault()
          void change()
        }}
      >
        <h3 id="changed">What becomes of this alert?</h3>
        <p id="changed-alert">{alert.title}</p>
        <Past alert={alert} live={live} />
        <fieldset>
          <legend>It is to be</legend>
          {actions.map((each) => (
            <label key={each}>
              <input type="radio" name="action" checked={action === each} onChange={() => setAction(each)} />
              <span>
                {words[each].name}: <span class="muted">{words[each].meaning}</span>
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
        <p class="problem" role="alert">{problem}</p>
        <p class="choices">
          <button type="button" disabled={isBusy} onClick={onClose}>Cancel</button>
          <button type="submit" disabled={isBusy}>{words[action].name}</button>
        </p>
      </form>
    </Dialog>
  )
}
