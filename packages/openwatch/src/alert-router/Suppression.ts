/**
 * What is stored and not sent: an alert that is silenced, or whose host is in maintenance. `Retelling` sends it when that is over.
 *
 * What ends an alert that a channel has is sent all the same: whoever was told that a host is down wants to know that it is not.
 * A channel that was not told of the one is not told of the other.
 */
import { Context, Effect } from "effect"
import type { AlertStoreError } from "../alert-store/AlertStore.ts"
import { DeliveryStore, type Told } from "../alert-store/DeliveryStore.ts"
import type { Alert } from "./Alert.ts"

/** Says of which alerts the host is in maintenance now: of none where nothing else is provided. */
export const InMaintenance = Context.Reference<
  Effect.Effect<(alert: Pick<Alert, "hostId" | "tags">) => boolean, AlertStoreError>
>(
  "@openwatch/openwatch/alert-router/InMaintenance",
  { defaultValue: () => Effect.succeed(() => false) }
)

/** Whether an alert, or its end, may not be sent to a channel now. Then its delivery is held, or withheld for ever. */
export const holds = Effect.fnUntraced(function*(told: Told, channel: string) {
  const store = yield* DeliveryStore
  const inMaintenance = yield* InMaintenance
  return yield* store.hold(told, channel, told._tag === "AlertRaised" && (yield* inMaintenance)(told.alert))
})
