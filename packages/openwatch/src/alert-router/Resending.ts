/**
 * Sending again what channels were not sent: once what they failed of is mended.
 */
import type { Outbox } from "@openwatch/event-bus-sql"
import { Effect, Stream } from "effect"
import type { AlertStoreError } from "../alert-store/AlertStore.ts"
import { DeliveryStore, type Told } from "../alert-store/DeliveryStore.ts"
import { AlertOutbox } from "./AlertOutbox.ts"
import { consumerOf } from "./Deliveries.ts"

/**
 * Has what was given up of an alert, and of its end, sent again. Returns the channels that it is sent to; `undefined` where
 * there is no such alert. `inTransaction` is one of the database.
 */
export const resend = Effect.fnUntraced(function*<E>(
  alertId: string,
  inTransaction: <A, E2, R>(effect: Effect.Effect<A, E2, R>) => Effect.Effect<A, E2 | E, R>
): Effect.fn.Return<
  ReadonlyArray<string> | undefined,
  AlertStoreError | Outbox.OutboxError | E,
  DeliveryStore | AlertOutbox
> {
  const store = yield* DeliveryStore
  const outbox = yield* AlertOutbox
  const told = yield* inTransaction(Effect.tap(store.reopen(alertId), (told) => outbox.publishAll(told ?? [])))
  if (told === undefined) return undefined
  // What is published anew takes the place of the dead letters, of which a channel that was away has none.
  const channels = Array.from(new Set(told.flatMap(({ channels }) => channels))).toSorted()
  for (const channel of channels) {
    const letters = yield* Stream.runCollect(outbox.deadLetters({ consumer: consumerOf(channel) }))
    const replaced = letters.filter(({ event }) => event !== undefined && told.some((each) => isSame(each, event)))
    if (replaced.length > 0) yield* outbox.discard(replaced)
  }
  return channels
})

const isSame = (a: Told, b: Told): boolean => a._tag === b._tag && a.alert.id === b.alert.id
