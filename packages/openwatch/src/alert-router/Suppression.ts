/**
 * What is stored and not sent: an alert that is silenced, or whose host is in maintenance. `Retelling` sends it when
 * that is over.
 *
 * The end of an alert is sent to each channel that has the alert: whoever was told that a host is down wants to know
 * when it is up. A channel that was not told of the alert is not told of its end.
 */
import { Context, Effect } from "effect"
import type { AlertStoreError } from "../alert-store/AlertStore.ts"
import { DeliveryStore, type Told } from "../alert-store/DeliveryStore.ts"
import type { Alert } from "./Alert.ts"

/** Returns the function that says whether the host of an alert is in maintenance now. Default: no host is. */
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
