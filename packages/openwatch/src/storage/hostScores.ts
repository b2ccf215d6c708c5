/**
 * The score of each host's scan that ended last. It is stored with the scan: to find it among all scans would hold up every page
 * that is open.
 */
import type * as SqlClient from "effect/sql/SqlClient"
import type * as Statement from "effect/sql/Statement"

/** Stores the scores of some hosts, as `(host_id, scanned_at, score)`: of each host that of the scan that ended last. */
export const storeScore = (sql: SqlClient.SqlClient, rows: Statement.Fragment) =>
  sql`INSERT INTO host_scores (host_id, scanned_at, score) ${rows}
    ON CONFLICT (host_id) DO UPDATE SET scanned_at = excluded.scanned_at, score = excluded.score
    WHERE excluded.scanned_at >= host_scores.scanned_at`
