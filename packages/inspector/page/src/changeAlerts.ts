/**
 * Changes many alerts, as many at a time as the server takes. The server changes all that a request names, or none: those that it
 * refuses are left out, and the others are changed all the same.
 */
import type { AlertChange, AlertsChanged, AlertsNotChanged } from "../../src/InspectorApi.ts"
import { count, counted } from "./format.ts"
import { post, reasonOf } from "./requests.ts"

/** What is to become of alerts. */
export type AlertsToBe = Omit<typeof AlertChange.Encoded, "ids">

/** What became of them. */
export interface AlertsOutcome {
  readonly changed: number
  /** In words, also what is not known. */
  readonly text: string
  readonly isUnauthorized: boolean
}

/** So many does the server take in a request. */
const atOnce = 50

/** So many refusals are said in their own words. */
const refusalsAtMost = 3

/** 2 alerts are active. 1 alert is acknowledged. */
const describeChanged = (states: ReadonlyArray<string>): ReadonlyArray<string> =>
  Array.from(
    Map.groupBy(states, (state) => state),
    ([state, { length }]) => `${counted(length, "alert is", "alerts are")} ${state}.`
  )

/** Which of the alerts of a request are why it is refused; none where it is for another reason. */
const culpritsOf = async (answer: Response): Promise<{ readonly ids: ReadonlyArray<string>; readonly why: string }> => {
  if (answer.status !== 404 && answer.status !== 409) return { ids: [], why: "" }
  // It may be of somebody between the two, who speaks no JSON.
  const said: Partial<typeof AlertsNotChanged.Encoded> = await answer.clone().json().catch(() => ({}))
  return { ids: said.ids ?? [], why: said.message ?? "" }
}

/** Changes the alerts, and says after each request how many are changed by then. */
export const changeAlerts = async (
  ids: ReadonlyArray<string>,
  change: AlertsToBe,
  onChanged: (count: number) => void
): Promise<AlertsOutcome> => {
  const states: Array<string> = []
  const refusals: Array<string> = []
  let left = ids
  const outcome = (problem?: string, isUnauthorized = false): AlertsOutcome => ({
    changed: states.length,
    isUnauthorized,
    text: [
      ...(ids.length === 1 && states.length === 1 ? [`The alert is ${states[0]}.`] : describeChanged(states)),
      ...(refusals.length === 0 ? [] : [
        `Not changed${ids.length === 1 ? "" : `: ${count(refusals.length)}`}, as ${
          refusals.slice(0, refusalsAtMost).join(", ")
        }${refusals.length > refusalsAtMost ? ", and more" : ""}.`
      ]),
      ...(problem === undefined ? [] : [problem])
    ].join(" ")
  })
  while (left.length > 0) {
    const batch = left.slice(0, atOnce)
    const body: typeof AlertChange.Encoded = { ...change, ids: batch }
    const answer = await post("api/fleet/alerts/change", body)
    const rest = ids.length === 1 ? "" : `: ${count(left.length)}`
    const changed: typeof AlertsChanged.Encoded | undefined = answer?.ok === true
      ? await answer.json().catch(() => undefined)
      : undefined
    if (answer === undefined || (answer.ok && changed === undefined)) {
      return outcome(
        `The server does not answer. It may have changed ${ids.length === 1 ? "it" : `${batch.length} more`}, or not.`
      )
    }
    if (changed !== undefined) {
      states.push(...changed.map(({ to }) => to))
      left = left.slice(atOnce)
      onChanged(states.length)
      continue
    }
    const culprits = await culpritsOf(answer)
    const others = left.filter((id) => !culprits.ids.includes(id))
    if (others.length === left.length) {
      return outcome(`Not changed${rest} (${answer.status}${await reasonOf(answer)}).`, answer.status === 401)
    }
    refusals.push(...culprits.why.split("\n"))
    left = others
  }
  return outcome()
}
