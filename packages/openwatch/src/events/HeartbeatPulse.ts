import { Schema } from "effect"
import { HostId } from "./HostId.ts"
import { NamedHost } from "./NamedHost.ts"
import { PlainText } from "./PlainText.ts"

/**
 * What became of a host. `flapping`: it changes so often that single changes are not told any more; `steady`: it has kept
 * one state long enough for them to be told again; `removed`: it is not watched any more.
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
 * Published on a transition only: a host that stays as it was is silent. What may be missing is missing in events that an
 * earlier version has stored or sent.
 */
export class HeartbeatPulse extends Schema.TaggedClass<HeartbeatPulse>()("HeartbeatPulse", {
  hostId: HostId,
  /** Whether the host answers now. */
  reachable: Schema.Boolean,
  /** Whether it answered before; `null` on a first sighting, which is therefore no recovery. */
  priorReachable: Schema.NullOr(Schema.Boolean),
  /** From the start of the probe to its verdict, in milliseconds; 0 when unreachable. */
  responseTimeMs: Schema.Finite.check(Schema.isGreaterThanOrEqualTo(0)),
  /** What became of the host. */
  change: Schema.optionalKey(Change),
  /** Why it does not answer; missing where it does. */
  reason: Schema.optionalKey(Reason),
  /** What people call the host. */
  host: Schema.optionalKey(NamedHost),
  /** When the verdict fell. */
  occurredAt: Schema.DateTimeUtc
}) {}

/** What became of the host of an event, of an earlier version's too. */
export const changeOf = ({ change, reachable }: HeartbeatPulse): Change =>
  change ?? (reachable ? "reachable" : "unreachable")
