import { Schema } from "effect"
import { HostId } from "./HostId.ts"
import { NamedHost } from "./NamedHost.ts"
import { PlainText } from "./PlainText.ts"
import { Series } from "./Series.ts"

/** How much a host's compliance moved, and which way. */
export const DriftType = Schema.Literals(["major", "minor", "improvement"])

/** How much a host's compliance moved, and which way. */
export type DriftType = typeof DriftType.Type

const Count = Schema.Int.check(Schema.isGreaterThanOrEqualTo(0))

/** A number of rules for each severity. */
export const SeverityCounts = Schema.Struct({ critical: Count, high: Count, medium: Count, low: Count })

/** A number of rules for each severity. */
export type SeverityCounts = typeof SeverityCounts.Type

/** A rule that changed. */
export const ChangedRule = Schema.Struct({
  id: PlainText,
  /** Missing where the result file has none. */
  title: Schema.optionalKey(PlainText),
  severity: Schema.Literals(["critical", "high", "medium", "low"])
})

/** A rule that changed. */
export type ChangedRule = typeof ChangedRule.Type

/**
 * The rules that changed, the most severe first. At most 100 of them are named, both lists together. The counts are of
 * all.
 */
export const ChangedRules = Schema.Struct({
  becameFailing: Schema.Array(ChangedRule),
  becamePassing: Schema.Array(ChangedRule)
})

/** The rules that changed, the most severe first. */
export type ChangedRules = typeof ChangedRules.Type

const Score = Schema.Finite.check(Schema.isBetween({ minimum: 0, maximum: 100 }))

/**
 * The score of a host's scans has moved far enough to be reported.
 *
 * It is compared with the highest and the lowest score since the last report. So many small steps are reported once
 * they add up, and nothing is reported twice. Optional fields are absent in events that an earlier version has stored
 * or sent.
 */
export class DriftDetected extends Schema.TaggedClass<DriftDetected>()("DriftDetected", {
  hostId: HostId,
  /** What people call the host. */
  host: Schema.optionalKey(NamedHost),
  /** The scan with which the score has moved far enough. */
  scanId: Schema.NonEmptyString,
  /** What the host was scanned for. */
  series: Schema.optionalKey(Series),
  driftType: DriftType,
  /** What the score is compared with, in percent of the rules that counted. */
  priorScore: Score,
  /** This scan's score, in percent of the rules that counted. */
  currentScore: Score,
  /** `currentScore - priorScore`, in percentage points: negative when worse. */
  scoreDelta: Schema.Finite.check(Schema.isBetween({ minimum: -100, maximum: 100 })),
  /** The score from which it first fell, and to which it has not come back. Absent if it has not fallen. */
  fellFrom: Schema.optionalKey(Score),
  /** Whether this improvement brings the score back to where it fell from. If so, the alert of the fall is over. */
  isBack: Schema.optionalKey(Schema.Boolean),
  /** How many rules passed at the last report and fail now. */
  becameFailing: SeverityCounts,
  /** How many rules failed at the last report and pass now. */
  becamePassing: SeverityCounts,
  /** Which rules these are. */
  rules: Schema.optionalKey(ChangedRules),
  /** When the drift was found. */
  occurredAt: Schema.DateTimeUtc
}) {}
