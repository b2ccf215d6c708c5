/**
 * What `openwatch channels test` sends: an alert that is none.
 */
import { Clock, DateTime, Effect } from "effect"
import { v7 } from "uuid"
import { Alert } from "../alert-router/Alert.ts"
import type { AlertChannel, ChannelError } from "../alert-router/AlertChannel.ts"
import { hostIdFromName } from "../inventory/Host.ts"

/** A channel that can be tested. */
export interface TestableChannel extends AlertChannel {
  /** Sends an alert that is none, now. Returns what came back, in words. */
  readonly test: (alert: Alert) => Effect.Effect<string, ChannelError>
}

const host = "openwatch-test"
const hostId = hostIdFromName(host)

/** Makes one for a channel. Its tag `test` tells programs what it is, its title people. */
export const make = (channel: string): Effect.Effect<Alert> =>
  Effect.map(Clock.currentTimeMillis, (now) =>
    new Alert({
      id: v7({ msecs: now }),
      type: "host_recovered",
      severity: "info",
      hostId,
      host: { name: host },
      title: `This is a test of the channel "${channel}" of OpenWatch: nothing is wrong`,
      dedupKey: `host_recovered|${hostId}|`,
      tags: { severity: "info", alert_type: "host_recovered", host_id: hostId, host, test: "true" },
      occurredAt: DateTime.makeUnsafe(now)
    }))
