/**
 * Sends again what channels have given up, once the cause is mended.
 */
import type { Outbox } from "@openwatch/event-bus-sql"
import { Effect, Stream } from "effect"
import type { AlertStoreError } from "../alert-store/AlertStore.ts"
import { DeliveryStore, type Told } from "../alert-store/DeliveryStore.ts"
import { AlertOutbox } from "./AlertOutbox.ts"
import { consumerOf } from "./Deliveries.ts"

/** What becomes of an alert that is to be sent again. */
export interface Resent {
  readonly alertId: string
  /** Those that it is sent to; `undefined` where there is no such alert. */
  readonly channels: ReadonlyArray<string> | undefined
  /** Whether only its end is sent again. */
  readonly isEnding: boolean
  /** Why something that was given up is not sent again, such as `is over`. */
  readonly refusal: string | undefined
}

const keyOf = ({ _tag, alert }: Pick<Told, "alert"> & { readonly _tag: string }): string => `${_tag} ${alert.id}`

/**
 * Has what was given up of alerts, and of their ends, sent again: by all channels that have given it up, or by one. What is not
 * true any more is not sent (see `DeliveryStore.reopen`).
 */
export const resend = Effect.fnUntraced(function*(
  alertIds: ReadonlyArray<string>,
  channel?: string
): Effect.fn.Return<ReadonlyArray<Resent>, AlertStoreError | Outbox.OutboxError, DeliveryStore | AlertOutbox> {
  const store = yield* DeliveryStore
  const outbox = yield* AlertOutbox
  const all: Array<Told> = []
  const resent: Array<Resent> = []
  for (const alertId of alertIds) {
    const result = yield* store.reopen(alertId, channel, outbox.publishAll)
    const told = result?.told ?? []
    all.push(...told)
    resent.push({
      alertId,
      channels: result && Array.from(new Set(told.flatMap(({ channels }) => channels))).toSorted(),
      isEnding: told.every(({ _tag }) => _tag === "AlertEnded"),
      refusal: result?.refusal
    })
  }
  // What is published anew takes the place of the dead letters, of which a channel that was away has none.
  for (const channel of new Set(all.flatMap(({ channels }) => channels))) {
    const keys = new Set(all.filter(({ channels }) => channels.includes(channel)).map(keyOf))
    const letters = yield* Stream.runCollect(outbox.deadLetters({ consumer: consumerOf(channel) }))
    const replaced = letters.filter(({ event }) => event !== undefined && keys.has(keyOf(event)))
    if (replaced.length > 0) yield* outbox.discard(replaced)
  }
  return resent
})
