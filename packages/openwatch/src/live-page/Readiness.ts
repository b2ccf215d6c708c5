/**
 * Whether the parts of this process work: `/ready`.
 *
 * Everybody who reaches the server may ask. So a reason says in a few words what is wrong, and names nothing. The log
 * says more.
 */
import { Outage } from "@openwatch/event-bus-sql"
import { Duration, Effect } from "effect"
import { FailingChannels } from "../alert-router/FailingChannels.ts"
import * as LivenessLoop from "../liveness/LivenessLoop.ts"
import { ProbeActivity } from "../liveness/ProbeActivity.ts"
import { FleetCounts } from "../storage/FleetCounts.ts"

/**
 * The parts of the process by their names. The value is `null` for a part that works, and otherwise says what is wrong.
 */
export type Parts = Readonly<Record<string, string | null>>

/** What the process is to do. */
export interface Duties {
  /** How many hosts it probes now. */
  readonly hosts: () => number
  readonly probesHosts: boolean
  readonly interval: Duration.Duration | undefined
  /** How many channels it sends to. */
  readonly channels: number
}

/** How long the database may take to respond. */
const patience = "3 seconds"

/** Makes the effect that looks at each part. */
export const make = Effect.fnUntraced(function*({ channels, hosts, interval, probesHosts }: Duties) {
  const counts = yield* FleetCounts
  const activity = yield* ProbeActivity
  // Each host is probed every interval, give or take a fifth.
  const silence = Duration.times(interval ?? LivenessLoop.defaultInterval, 2)

  const database = Effect.gen(function*() {
    // What only reads works also while a disk is full.
    if ((yield* Outage.CurrentOutages).isAway) return "the database is away"
    return yield* Effect.match(Effect.timeout(counts.look, patience), {
      onFailure: () => "the database does not answer",
      onSuccess: () => null
    })
  })

  const probes = Effect.suspend(() =>
    !probesHosts || hosts() === 0
      ? Effect.succeed(null)
      : Effect.map(activity.problem(silence), (problem) => problem ?? null)
  )

  const sending = Effect.map(
    FailingChannels,
    ({ size }) => size === 0 ? null : `channels that take nothing: ${size} of ${channels}`
  )

  return Effect.all({ database, probes, channels: sending })
})
