import { Schema } from "effect"
import { HostId } from "./HostId.ts"

/**
 * A host's reachability changed, or became known for the first time.
 *
 * Published on a transition only: a host that stays as it was is silent.
 */
export class HeartbeatPulse extends Schema.TaggedClass<HeartbeatPulse>()("HeartbeatPulse", {
  hostId: HostId,
  /** Whether the host answers now. */
  reachable: Schema.Boolean,
  /** Whether it answered before; `null` on a first sighting, which is therefore no recovery. */
  priorReachable: Schema.NullOr(Schema.Boolean),
  /** From the start of the probe to its verdict, in milliseconds; 0 when unreachable. */
  responseTimeMs: Schema.Finite.check(Schema.isGreaterThanOrEqualTo(0)),
  /** When the verdict fell. */
  occurredAt: Schema.DateTimeUtc
}) {}
