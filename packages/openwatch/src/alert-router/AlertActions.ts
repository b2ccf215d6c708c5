/**
 * What people do with alerts: see `Lifecycle`. What they end is told to the channels that have it, like any other end. That
 * somebody looks after an alert, or silences it, is told to those that can tell it further.
 */
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
 * Does something with alerts: with all of them or, where that cannot be, with none. Returns what they were and are. An id may be
 * the whole one, or the last 12 characters of it.
 */
export const perform = (
  ids: ReadonlyArray<string>,
  change: Change
): Effect.Effect<ReadonlyArray<Changed>, AlertsRefused | AlertStoreError, AlertStore | AlertOutbox> =>
  Effect.flatMap(AlertStore, (store) => store.change(ids, { ...change, why: clean(change.why) }, tell))
