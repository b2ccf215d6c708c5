/**
 * How much a host's compliance moved between two scans, and which way.
 */
import { Data, Result } from "effect"
import type { DriftType, SeverityCounts } from "../events/DriftDetected.ts"
import { type Outcome, outcomeOf, type Scan, score } from "./Scan.ts"

/** From how many percentage points on a score has moved. A move of exactly that much counts. */
export interface Thresholds {
  /** How much worse is a major drift; at least `minor`. */
  readonly major: number
  /** How much worse is a minor drift. */
  readonly minor: number
  /** How much better is an improvement. */
  readonly improvement: number
}

/** From where on a score has moved where nothing else is said. */
export const defaultThresholds: Thresholds = { major: 10, minor: 5, improvement: 5 }

/** A threshold is out of range, or they contradict one another. */
export class InvalidThresholds extends Data.TaggedError("InvalidThresholds")<{ readonly message: string }> {}

/** Thresholds where each is in (0, 100), and `major` at least `minor`; what is left out has its default. */
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
    if (!(points > 0 && points < 100)) {
      return Result.fail(
        new InvalidThresholds({
          message: `the threshold "${name}" is ${points}; expected more than 0 and less than 100 percentage points`
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

/** What moved from one scan to the next. */
export interface Drift {
  readonly type: DriftType | "stable"
  readonly priorScore: number
  readonly currentScore: number
  /** `currentScore - priorScore`, in percentage points. */
  readonly scoreDelta: number
  /** Rules that passed then and fail now, by their severity now. */
  readonly becameFailing: SeverityCounts
  /** Rules that failed then and pass now, by their severity now. */
  readonly becamePassing: SeverityCounts
}

const countBySeverity = (scan: Scan, passed: boolean, before: ReadonlyArray<string>): SeverityCounts => {
  const counts = { critical: 0, high: 0, medium: 0, low: 0 }
  for (const id of before) {
    const rule = scan.rules.get(id)
    if (rule !== undefined && rule.passed === passed) counts[rule.severity]++
  }
  return counts
}

/**
 * Scores are fractions, and so are the points between them: what is exactly ten points in arithmetic may be a hair less
 * in floating point. The nearest two scores that differ are further apart than this.
 */
const tolerance = 1e-9

const typeOf = (delta: number, { improvement, major, minor }: Thresholds): Drift["type"] => {
  if (-delta >= major - tolerance) return "major"
  if (-delta >= minor - tolerance) return "minor"
  return delta >= improvement - tolerance ? "improvement" : "stable"
}

/**
 * What moved from the baseline to this scan. Rules that only one of the two has counted move the score, and are otherwise
 * not compared.
 */
export const between = (baseline: Outcome, scan: Scan, thresholds: Thresholds): Drift => {
  const priorScore = score(baseline)
  const currentScore = score(outcomeOf(scan))
  const scoreDelta = currentScore - priorScore
  return {
    type: typeOf(scoreDelta, thresholds),
    priorScore,
    currentScore,
    scoreDelta,
    becameFailing: countBySeverity(scan, false, baseline.passed),
    becamePassing: countBySeverity(scan, true, baseline.failed)
  }
}
