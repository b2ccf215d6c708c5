/**
 * One after the other, where rows are locked.
 */
import { Effect } from "effect"
import type * as SqlClient from "effect/sql/SqlClient"
import type * as SqlError from "effect/sql/SqlError"

/**
 * To be run first in a transaction that changes several alerts, or maintenances. It waits for others of these: they change rows in the
 * order in which they meet them, so two could wait for each other. In SQLite a transaction is alone.
 */
export const alone = (sql: SqlClient.SqlClient): Effect.Effect<void, SqlError.SqlError> =>
  sql.onDialectOrElse({
    pg: () => Effect.asVoid(sql`SELECT pg_advisory_xact_lock(hashtext('openwatch'), hashtext('alerts'))`),
    orElse: () => Effect.void
  })
