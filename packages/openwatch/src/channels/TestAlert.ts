/**
 * What `openwatch channels test` sends: an alert that tells of nothing real.
 */
import { Clock, DateTime, Effect } from "effect"
import { v7 } from "uuid"
import { Alert } from "../alert-router/Alert.ts"
import type { AlertChannel, ChannelError } from "../alert-router/AlertChannel.ts"
import { hostIdFromName } from "../inventory/Host.ts"

/** A channel that can be tested. */
export interface TestableChannel extends AlertChannel {
  /** Sends a test alert now. Returns in words what came back. */
  readonly test: (alert: Alert) => Effect.Effect<string, ChannelError>
}

const host = "openwatch-test"
const hostId = hostIdFromName(host)

/** Makes a test alert for a channel. Programs recognize it by its tag `test`, people by its title. */
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
