/**
 * What several fibers publish at the same time is stored by one statement, and so by one commit: most of what storing an
 * event costs is its commit.
 */
import { Effect, Exit, Request, RequestResolver } from "effect"
import type * as SqlError from "effect/sql/SqlError"
import type { Database, NewRow } from "./database.ts"
import { isPassing } from "./outage.ts"

class Store extends Request.Class<{ readonly row: NewRow }, void, SqlError.SqlError> {}

/** Once the fibers that run now have run. A turn of the scheduler would make whoever publishes alone wait. */
const microtask = Effect.promise(() => Promise.resolve())

/** Returns what stores an event with a new id in a transaction of its own, or one that it shares with others. */
export const groupCommit = (database: Database): (row: NewRow) => Effect.Effect<void, SqlError.SqlError> => {
  const storeOne = (row: NewRow) => Effect.asVoid(database.insert(row, false))
  const resolver = RequestResolver.make<Store>((entries) =>
    Effect.map(
      entries.length === 1
        ? storeOne(entries[0].request.row)
        : database.insertAll(entries.map(({ request }) => request.row)),
      () => {
        for (const entry of entries) entry.completeUnsafe(Exit.void)
      }
    )
  ).pipe(RequestResolver.setDelayEffect(microtask))
  return (row) =>
    Effect.catchCause(Effect.request(new Store({ row }), resolver), (cause) =>
      isPassing(cause)
        ? Effect.failCause(cause)
        // The database refuses one of them. Alone, that one is the only one to fail.
        : storeOne(row))
}
