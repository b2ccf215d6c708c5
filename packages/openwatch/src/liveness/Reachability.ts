/**
 * What is known of a host's reachability, and how one more probe changes it.
 *
 * The first success makes a host reachable at once. It becomes unreachable only after several failures in a row, so
 * that one lost packet is no alarm.
 */

/** A host's verdict so far: `unknown` until probes have settled it. */
export type Verdict = "unknown" | "reachable" | "unreachable"

/** What is known of a host. */
export interface Reachability {
  readonly verdict: Verdict
  /** Failed probes in a row since the last success. */
  readonly failures: number
}

/** A change of verdict. */
export interface Transition {
  readonly reachable: boolean
  /** The verdict that was left; `null` for a first sighting. */
  readonly priorReachable: boolean | null
}

/** Before the first probe. */
export const unknown: Reachability = { verdict: "unknown", failures: 0 }

/** What is known of a host whose last verdict, if it has one, was stored. */
export const fromStored = (reachable: boolean | undefined, failures: number): Reachability => ({
  verdict: reachable === undefined ? "unknown" : reachable ? "reachable" : "unreachable",
  failures
})

/**
 * What is known after one more probe, and the change of verdict if there is one.
 *
 * `failureThreshold` is how many failures in a row make a host unreachable: a positive integer.
 */
export const afterProbe = (
  prior: Reachability,
  answered: boolean,
  failureThreshold: number
): readonly [Reachability, Transition | undefined] => {
  const failures = answered ? 0 : prior.failures + 1
  const verdict = answered ? "reachable" : failures >= failureThreshold ? "unreachable" : prior.verdict
  const transition = verdict === prior.verdict
    ? undefined
    : { reachable: answered, priorReachable: prior.verdict === "unknown" ? null : prior.verdict === "reachable" }
  return [{ verdict, failures }, transition]
}

/** Whether the last probes agree with the verdict: another one now would only confirm it. */
export const isSettled = ({ failures, verdict }: Reachability): boolean =>
  verdict === "unreachable" || (verdict === "reachable" && failures === 0)
