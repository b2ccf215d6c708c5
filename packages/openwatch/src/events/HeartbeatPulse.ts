import { Schema } from "effect"
import { HostId } from "./HostId.ts"
import { NamedHost } from "./NamedHost.ts"
import { PlainText } from "./PlainText.ts"

/**
 * What became of a host.
 *
 * - `flapping`: it changes so often that single changes are no longer reported.
 * - `steady`: it has kept one state for long enough. From now on its changes are reported again.
 * - `removed`: it is no longer watched.
 */
export const Change = Schema.Literals(["reachable", "unreachable", "flapping", "steady", "removed"])

/** What became of a host. */
export type Change = typeof Change.Type

/** Why a host does not answer: a word for programs, and a text for people. */
export const Reason = Schema.Struct({ code: PlainText, text: PlainText })

/** Why a host does not answer. */
export type Reason = typeof Reason.Type

/**
 * A host's reachability changed, or became known for the first time.
 *
 * A probe that finds what was known publishes nothing. Optional fields are absent in events that an earlier version has
 * stored or sent.
 */
export class HeartbeatPulse extends Schema.TaggedClass<HeartbeatPulse>()("HeartbeatPulse", {
  hostId: HostId,
  /** Whether the host answers now. */
  reachable: Schema.Boolean,
  /** Whether it answered before. `null` if it was never probed before, so that its first answer is no recovery. */
  priorReachable: Schema.NullOr(Schema.Boolean),
  /** From the start of the probe to its verdict, in milliseconds; 0 when unreachable. */
  responseTimeMs: Schema.Finite.check(Schema.isGreaterThanOrEqualTo(0)),
  /** What became of the host. */
  change: Schema.optionalKey(Change),
  /** Why it does not answer. Absent if it does. */
  reason: Schema.optionalKey(Reason),
  /** What people call the host. */
  host: Schema.optionalKey(NamedHost),
  /** When the verdict was reached. */
  occurredAt: Schema.DateTimeUtc
}) {}

/** Returns what became of the host, also for an event of an earlier version, which does not say it. */
export const changeOf = ({ change, reachable }: HeartbeatPulse): Change =>
  change ?? (reachable ? "reachable" : "unreachable")
