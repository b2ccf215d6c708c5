/**
 * The life of an alert: the states that it can be in, and which may follow which.
 *
 * | from           | to                                                   |
 * | -------------- | ---------------------------------------------------- |
 * | `active`       | `acknowledged`, `silenced`, `resolved`, `dismissed`  |
 * | `acknowledged` | `silenced`, `resolved`, `dismissed`                  |
 * | `silenced`     | what it was before, `resolved`, `dismissed`          |
 * | `resolved`     | `dismissed`                                          |
 *
 * An alert is open until it is resolved or dismissed. `acknowledged` says that somebody looks after it, `silenced` that nobody
 * wants to hear of it for a while, `dismissed` that it was none.
 *
 * Everything here is pure. What a state means for sending is said in `Suppression`.
 */
import { Result, Schema } from "effect"

/** The states, in the order in which an alert may come into them: a closed set of five. */
export const AllAlertStates = ["active", "acknowledged", "silenced", "resolved", "dismissed"] as const

/** The state of an alert. */
export const AlertState = Schema.Literals(AllAlertStates)

/** The state of an alert. */
export type AlertState = typeof AlertState.Type

/** The states of an alert that is not over. */
export const openStates = ["active", "acknowledged", "silenced"] as const

/** Whether an alert in this state is not over. */
export const isOpen = (state: AlertState): boolean => openStates.some((open) => open === state)

/** What people can do with an alert. */
export const AllActions = ["ack", "silence", "unsilence", "resolve", "dismiss"] as const

/** What people can do with an alert. */
export const Action = Schema.Literals(AllActions)

/** What people can do with an alert. */
export type Action = typeof Action.Type

/** Where an alert stands. */
export interface Standing {
  readonly state: AlertState
  /** What a silenced alert was before. */
  readonly formerState: "active" | "acknowledged" | undefined
}

const followers: { readonly [S in AlertState]: ReadonlyArray<AlertState> } = {
  active: ["acknowledged", "silenced", "resolved", "dismissed"],
  acknowledged: ["silenced", "resolved", "dismissed"],
  // And its former state.
  silenced: ["resolved", "dismissed"],
  resolved: ["dismissed"],
  dismissed: []
}

const targets: { readonly [A in Exclude<Action, "unsilence">]: AlertState } = {
  ack: "acknowledged",
  silence: "silenced",
  resolve: "resolved",
  dismiss: "dismissed"
}

/** Returns in words what an alert in a state can become. */
const possible = ({ formerState, state }: Standing): string => {
  const states = formerState === undefined ? followers[state] : [formerState, ...followers[state]]
  if (states.length === 0) return "nothing follows that"
  return `it can become ${
    [states.slice(0, -1).join(", "), ...states.slice(-1)].filter((part) => part !== "").join(" or ")
  }`
}

/** Returns the state that an action brings an alert into, or why that is not possible. */
export const next = (standing: Standing, action: Action): Result.Result<AlertState, string> => {
  const { formerState, state } = standing
  if (action === "unsilence") {
    return state === "silenced"
      ? Result.succeed(formerState ?? "active")
      : Result.fail(`is ${state}, not silenced`)
  }
  const target = targets[action]
  return followers[state].includes(target)
    ? Result.succeed(target)
    : Result.fail(
      `is ${state}${state === target ? " already" : `, and cannot become ${target}`}: ${possible(standing)}`
    )
}
