import { Schema } from "effect"
import { HostId } from "./HostId.ts"

/** How much a host's compliance moved, and which way. */
export const DriftType = Schema.Literals(["major", "minor", "improvement"])

/** How much a host's compliance moved, and which way. */
export type DriftType = typeof DriftType.Type

const Count = Schema.Int.check(Schema.isGreaterThanOrEqualTo(0))

/** A number of rules for each severity. */
export const SeverityCounts = Schema.Struct({ critical: Count, high: Count, medium: Count, low: Count })

/** A number of rules for each severity. */
export type SeverityCounts = typeof SeverityCounts.Type

const Score = Schema.Finite.check(Schema.isBetween({ minimum: 0, maximum: 100 }))

/**
 * A scan of a host scored clearly better or worse than the one before it.
 *
 * Published when the outcome is not stable: a scan close to its baseline is silent.
 */
export class DriftDetected extends Schema.TaggedClass<DriftDetected>()("DriftDetected", {
  hostId: HostId,
  /** The scan whose result differs from the baseline. */
  scanId: Schema.NonEmptyString,
  driftType: DriftType,
  /** The baseline's score, in percent of the rules that counted. */
  priorScore: Score,
  /** This scan's score, in percent of the rules that counted. */
  currentScore: Score,
  /** `currentScore - priorScore`, in percentage points: negative when worse. */
  scoreDelta: Schema.Finite.check(Schema.isBetween({ minimum: -100, maximum: 100 })),
  /** Rules that passed in the baseline and fail now. */
  becameFailing: SeverityCounts,
  /** Rules that failed in the baseline and pass now. */
  becamePassing: SeverityCounts,
  /** When the drift was found. */
  occurredAt: Schema.DateTimeUtc
}) {}
