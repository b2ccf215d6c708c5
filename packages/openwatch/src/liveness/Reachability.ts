/**
 * What is known of a host's reachability, and how one more probe changes it.
 *
 * The first success makes a host reachable at once. It becomes unreachable only after several failures in a row, so
 * that one lost packet raises no alarm. A host that changes too often is flapping. Its single changes are not reported
 * until it has kept its state for half an hour.
 *
 * Times are in milliseconds of a clock that cannot be set back.
 */
import type { Change } from "../events/HeartbeatPulse.ts"

/** A host's verdict so far: `unknown` until probes have settled it. */
export type Verdict = "unknown" | "reachable" | "unreachable"

/** What is known of a host. */
export interface Reachability {
  readonly verdict: Verdict
  /** Failed probes in a row since the last success. */
  readonly failures: number
  /** When the verdict changed, in the last hour; the first verdict is no change. */
  readonly changes: ReadonlyArray<number>
  /** Since when the verdict is what it is. */
  readonly since: number
  readonly isFlapping: boolean
}

/** How probes are judged. */
export interface Judgement {
  /** How many failures in a row make a host unreachable: a positive integer. */
  readonly failureThreshold: number
  /** More changes than this within an hour are flapping. */
  readonly changesPerHour: number
}

/** How probes are judged by default. */
export const defaultJudgement: Judgement = { failureThreshold: 2, changesPerHour: 4 }

/** A change of verdict, or of whether changes are reported. */
export interface Transition {
  readonly change: Exclude<Change, "removed">
  readonly reachable: boolean
  /** The verdict before. `null` if there was none. */
  readonly priorReachable: boolean | null
  /** Whether it is to be reported. The single changes of a host that is flapping are only stored. */
  readonly isTold: boolean
}

const hour = 3_600_000

/** A host that is flapping has to keep its state for so long, before its changes are reported again. */
const steadyAfter = hour / 2

/** What is known before the first probe. */
export const unknown: Reachability = { verdict: "unknown", failures: 0, changes: [], since: 0, isFlapping: false }

/** Returns what is known of a host from what is stored of it. */
export const fromStored = (
  stored: { readonly reachable: boolean; readonly since: number; readonly isFlapping: boolean } | undefined,
  failures: number
): Reachability =>
  stored === undefined ? { ...unknown, failures } : {
    verdict: stored.reachable ? "reachable" : "unreachable",
    failures,
    changes: [],
    since: stored.since,
    isFlapping: stored.isFlapping
  }

/** Returns what is known after one more probe, and the transition, if there is one. */
export const afterProbe = (
  prior: Reachability,
  answered: boolean,
  now: number,
  { changesPerHour, failureThreshold }: Judgement = defaultJudgement
): readonly [Reachability, Transition | undefined] => {
  const failures = answered ? 0 : prior.failures + 1
  const verdict = answered ? "reachable" : failures >= failureThreshold ? "unreachable" : prior.verdict
  const reachable = verdict === "reachable"
  if (verdict === prior.verdict) {
    if (!prior.isFlapping || verdict === "unknown" || now - prior.since < steadyAfter) {
      return [{ ...prior, failures }, undefined]
    }
    const steady: Transition = { change: "steady", reachable, priorReachable: reachable, isTold: true }
    return [{ ...prior, failures, changes: [], isFlapping: false }, steady]
  }
  const isFirst = prior.verdict === "unknown"
  const changes = isFirst ? [] : [...prior.changes.filter((at) => now - at < hour), now]
  const isFlapping = prior.isFlapping || changes.length > changesPerHour
  return [
    { verdict, failures, changes, since: now, isFlapping },
    {
      change: isFlapping ? "flapping" : reachable ? "reachable" : "unreachable",
      reachable,
      priorReachable: isFirst ? null : prior.verdict === "reachable",
      isTold: !prior.isFlapping
    }
  ]
}

/** Whether the last probes agree with the verdict. If so, another probe now would only confirm it. */
export const isSettled = ({ failures, verdict }: Reachability): boolean =>
  verdict === "unreachable" || (verdict === "reachable" && failures === 0)
