/**
 * How far the score of a series of scans has moved since the last report, and which way.
 *
 * A score is compared with the highest and the lowest since the last report. So a fall in small steps is reported once
 * the steps add up to a threshold, and each further fall is reported again. Nothing is reported twice.
 *
 * A fall is over when the score is less than `minor` below the score from which it fell, however it got there.
 */
import { Data, Result } from "effect"
import type { ChangedRule, ChangedRules, DriftType, SeverityCounts } from "../events/DriftDetected.ts"
import { type Outcome, outcomeOf, type Scan, score, severities } from "./Scan.ts"

/** How many percentage points make a drift. A change of exactly that much counts. */
export interface Thresholds {
  /** How much worse is a major drift; at least `minor`. */
  readonly major: number
  /** How much worse is a minor drift. */
  readonly minor: number
  /** How much better is an improvement. */
  readonly improvement: number
}

/** The thresholds by default. */
export const defaultThresholds: Thresholds = { major: 10, minor: 5, improvement: 5 }

/** A threshold is out of range, or they contradict one another. */
export class InvalidThresholds extends Data.TaggedError("InvalidThresholds")<{ readonly message: string }> {}

/**
 * Checks thresholds: each must be above 0 and at most 100, and `major` at least `minor`. One that is left out has its
 * default.
 */
export const makeThresholds = (
  options: { readonly [Key in keyof Thresholds]?: number | undefined }
): Result.Result<Thresholds, InvalidThresholds> => {
  const thresholds: Thresholds = {
    major: options.major ?? defaultThresholds.major,
    minor: options.minor ?? defaultThresholds.minor,
    improvement: options.improvement ?? defaultThresholds.improvement
  }
  for (const name of ["major", "minor", "improvement"] as const) {
    const points = thresholds[name]
    if (!(points > 0 && points <= 100)) {
      return Result.fail(
        new InvalidThresholds({
          message: `the threshold "${name}" is ${points}; expected more than 0 and at most 100 percentage points`
        })
      )
    }
  }
  return thresholds.major >= thresholds.minor
    ? Result.succeed(thresholds)
    : Result.fail(
      new InvalidThresholds({
        message: `the threshold "major" is ${thresholds.major}; expected at least "minor", which is ${thresholds.minor}`
      })
    )
}

/** What is known of a series when its next scan comes. */
export interface Known {
  /** The scan that was reported last. The first scan counts as reported. */
  readonly told: Outcome
  /** The highest score since then, in percent. */
  readonly highest: number
  /** The lowest score since then, in percent. */
  readonly lowest: number
  /** The score from which it first fell, as long as it has not come back. */
  readonly fellFrom: number | undefined
}

/** What one more scan of a series shows. */
export interface Drift {
  readonly type: DriftType | "stable"
  /** The score that this one is compared with. */
  readonly priorScore: number
  readonly currentScore: number
  /** `currentScore - priorScore`, in percentage points. */
  readonly scoreDelta: number
  /** The score from which it first fell, if it has fallen or now comes back. */
  readonly fellFrom: number | undefined
  /** Whether the score is back where it fell from. */
  readonly isBack: boolean
  /** How many rules passed at the last report and fail now, by their present severity. */
  readonly becameFailing: SeverityCounts
  /** How many rules failed at the last report and pass now, by their present severity. */
  readonly becamePassing: SeverityCounts
  /** Which rules these are: at most 100. */
  readonly rules: ChangedRules
}

/** So many changed rules are named; all are counted. */
const namedRules = 100

const changedRules = (scan: Scan, passed: boolean, before: ReadonlyArray<string>): Array<ChangedRule> => {
  const changed: Array<ChangedRule> = []
  for (const id of before) {
    const rule = scan.rules.get(id)
    if (rule === undefined || rule.passed !== passed) continue
    changed.push({ id, severity: rule.severity, ...(rule.title === undefined ? {} : { title: rule.title }) })
  }
  return changed.toSorted((a, b) => severities.indexOf(a.severity) - severities.indexOf(b.severity))
}

const countBySeverity = (rules: ReadonlyArray<ChangedRule>): SeverityCounts => {
  const counts = { critical: 0, high: 0, medium: 0, low: 0 }
  for (const { severity } of rules) counts[severity]++
  return counts
}

/**
 * Scores are fractions. What is exactly ten points in arithmetic may be a little less in floating point. Two scores
 * that differ are always further apart than this.
 */
const tolerance = 1e-9

const typeOf = (known: Known, current: number, isBack: boolean, thresholds: Thresholds): Drift["type"] => {
  if (isBack) return "improvement"
  const fall = known.highest - current
  if (fall >= thresholds.major - tolerance) return "major"
  if (fall >= thresholds.minor - tolerance) return "minor"
  return current - known.lowest >= thresholds.improvement - tolerance ? "improvement" : "stable"
}

/** Returns what is known of a series after its first scan. */
export const first = (scan: Scan): Known => {
  const told = outcomeOf(scan)
  return { told, highest: score(told), lowest: score(told), fellFrom: undefined }
}

/**
 * Returns what one more scan of a series shows, and what is known of the series after it. Rules that count in only one
 * of the two scans change the score, but are not listed as changed.
 */
export const next = (known: Known, scan: Scan, thresholds: Thresholds): readonly [Drift, Known] => {
  const outcome = outcomeOf(scan)
  const currentScore = score(outcome)
  const isBack = known.fellFrom !== undefined && known.fellFrom - currentScore < thresholds.minor - tolerance
  const type = typeOf(known, currentScore, isBack, thresholds)
  const isFall = type === "major" || type === "minor"
  const priorScore = isFall ? known.highest : type === "improvement" ? known.lowest : score(known.told)
  const fellFrom = known.fellFrom ?? (isFall ? known.highest : undefined)
  const failing = changedRules(scan, false, known.told.passed)
  const passing = changedRules(scan, true, known.told.failed)
  const drift: Drift = {
    type,
    priorScore,
    currentScore,
    scoreDelta: currentScore - priorScore,
    fellFrom,
    isBack,
    becameFailing: countBySeverity(failing),
    becamePassing: countBySeverity(passing),
    rules: {
      becameFailing: failing.slice(0, namedRules),
      becamePassing: passing.slice(0, Math.max(0, namedRules - failing.length))
    }
  }
  return [
    drift,
    type === "stable"
      ? {
        ...known,
        highest: Math.max(known.highest, currentScore),
        lowest: Math.min(known.lowest, currentScore)
      }
      : { told: outcome, highest: currentScore, lowest: currentScore, fellFrom: isBack ? undefined : fellFrom }
  ]
}
