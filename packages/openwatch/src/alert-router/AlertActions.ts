/**
 * What people do with alerts (see `Lifecycle`). If somebody ends an alert, the channels that have it are told, as of
 * any other end. If somebody acknowledges or silences it, the channels that can pass this on are told.
 */
import type { Outbox } from "@openwatch/event-bus-sql"
import { Effect } from "effect"
import {
  type AlertsRefused,
  AlertStore,
  type AlertStoreError,
  type Change,
  type Changed
} from "../alert-store/AlertStore.ts"
import { clean } from "../events/PlainText.ts"
import type { AlertOutbox } from "./AlertOutbox.ts"
import { tell } from "./Telling.ts"

/**
 * Changes alerts: all of them or, if one cannot be changed, none. Returns what they were and are. An id may be the
 * whole id, or its last 12 characters.
 */
export const perform = (
  ids: ReadonlyArray<string>,
  change: Change
): Effect.Effect<
  ReadonlyArray<Changed>,
  AlertsRefused | AlertStoreError | Outbox.OutboxError,
  AlertStore | AlertOutbox
> => Effect.flatMap(AlertStore, (store) => store.change(ids, { ...change, why: clean(change.why) }, tell))
