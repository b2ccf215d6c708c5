/**
 * Events in words: what people read of them on a terminal and on the live page.
 */
import { counted } from "./counted.ts"
import type { DriftDetected } from "./DriftDetected.ts"
import { type Change, changeOf, type HeartbeatPulse } from "./HeartbeatPulse.ts"
import { describe as describeHost } from "./NamedHost.ts"
import { describe as describeSeries } from "./Series.ts"
import type { SystemEventBus } from "./SystemEventBus.ts"

/** What became of a host, behind its name. */
export const describePulse = (event: HeartbeatPulse): string => {
  const { priorReachable, reachable, reason, responseTimeMs } = event
  const why = reason === undefined ? "" : `: ${reason.text}`
  const state = reachable ? `is reachable, answered in ${responseTimeMs} ms` : `is not reachable${why}`
  const told: { readonly [C in Change]: string } = {
    flapping: `keeps changing; single changes are not told until it is steady; now it ${state}`,
    steady: `is steady again: it ${state}`,
    removed: "is not watched any more",
    reachable: `is reachable${priorReachable === false ? " again" : ""}, answered in ${responseTimeMs} ms`,
    unreachable: `${priorReachable === true ? "is no longer reachable" : "is not reachable"}${why}`
  }
  return told[changeOf(event)]
}

/** How the score of a host has moved, behind its name. */
export const describeDrift = (event: DriftDetected): string => {
  const { critical, high, low, medium } = event.driftType === "improvement" ? event.becamePassing : event.becameFailing
  const rules = critical + high + medium + low
  const delta = event.scoreDelta.toFixed(2)
  return [
    event.driftType === "improvement" ? "improved" : `drifted (${event.driftType})`,
    event.series === undefined ? "" : ` in ${describeSeries(event.series)}`,
    `: score ${event.priorScore.toFixed(2)} to ${event.currentScore.toFixed(2)}`,
    ` (${event.scoreDelta > 0 ? "+" : ""}${delta} points), `,
    `${counted(rules, "rule")} became ${event.driftType === "improvement" ? "passing" : "failing"}`
  ].join("")
}

/**
 * An event in a sentence. An event of an earlier version does not name its host. There the sentence has the host's id.
 */
export const sentenceOf = (event: typeof SystemEventBus.Event.Type): string =>
  `${event.host === undefined ? event.hostId : describeHost(event.host)} ${
    event._tag === "HeartbeatPulse" ? describePulse(event) : describeDrift(event)
  }`
