/**
 * The tables, as the steps that made them. A step that has been released never changes; what changes is a new step.
 *
 * Times are milliseconds since 1970 (UTC), in 64 bits. Both databases give them back as numbers, see `Storage`.
 */
import { Effect } from "effect"
import * as SqlClient from "effect/sql/SqlClient"

/** The type of a column that numbers the rows. */
const sequence = (sql: SqlClient.SqlClient) =>
  sql.literal(sql.onDialectOrElse({
    pg: () => "BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY",
    orElse: () => "INTEGER PRIMARY KEY AUTOINCREMENT"
  }))

const initial = Effect.gen(function*() {
  const sql = yield* SqlClient.SqlClient

  yield* sql`CREATE TABLE alerts (
    seq ${sequence(sql)},
    id TEXT NOT NULL UNIQUE,
    type TEXT NOT NULL,
    severity TEXT NOT NULL,
    host_id TEXT NOT NULL,
    dedup_key TEXT NOT NULL,
    title TEXT NOT NULL,
    tags TEXT NOT NULL,
    occurred_at BIGINT NOT NULL,
    state TEXT NOT NULL,
    resolved_at BIGINT,
    repeats INTEGER NOT NULL DEFAULT 0,
    UNIQUE (dedup_key, occurred_at)
  )`
  yield* sql`CREATE INDEX alerts_by_key ON alerts (dedup_key, seq)`
  yield* sql`CREATE INDEX alerts_by_time ON alerts (occurred_at, seq)`
  yield* sql`CREATE INDEX alerts_by_host ON alerts (host_id, type, seq)`

  yield* sql`CREATE TABLE deliveries (
    alert_seq BIGINT NOT NULL REFERENCES alerts (seq),
    channel TEXT NOT NULL,
    state TEXT NOT NULL,
    attempts INTEGER NOT NULL,
    last_error TEXT,
    PRIMARY KEY (alert_seq, channel)
  )`
  yield* sql`CREATE INDEX deliveries_by_state ON deliveries (channel, state, alert_seq)`

  yield* sql`CREATE TABLE host_states (
    host_id TEXT NOT NULL PRIMARY KEY,
    reachable INTEGER NOT NULL,
    occurred_at BIGINT NOT NULL
  )`

  yield* sql`CREATE TABLE host_probes (
    host_id TEXT NOT NULL PRIMARY KEY,
    endpoint TEXT NOT NULL,
    probes BIGINT NOT NULL,
    failures INTEGER NOT NULL,
    probed_at BIGINT NOT NULL
  )`

  yield* sql`CREATE TABLE scans (
    seq ${sequence(sql)},
    scan_id TEXT NOT NULL UNIQUE,
    host_id TEXT NOT NULL,
    profile TEXT NOT NULL,
    score DOUBLE PRECISION NOT NULL,
    outcome TEXT
  )`
  // Only the last scan of a host and profile keeps the states of its rules.
  yield* sql`CREATE UNIQUE INDEX scans_by_baseline ON scans (host_id, profile) WHERE outcome IS NOT NULL`

  yield* sql`CREATE TABLE unannounced_events (
    seq ${sequence(sql)},
    origin TEXT NOT NULL,
    event TEXT NOT NULL
  )`
  yield* sql`CREATE INDEX unannounced_events_by_event ON unannounced_events (event)`
})

// What the live page shows. Of what was stored before it is not known.
const livePage = Effect.gen(function*() {
  const sql = yield* SqlClient.SqlClient
  yield* sql`ALTER TABLE host_states ADD COLUMN response_time_ms DOUBLE PRECISION`
  yield* sql`ALTER TABLE scans ADD COLUMN scanned_at BIGINT`
  yield* sql`CREATE INDEX scans_by_time ON scans (host_id, scanned_at, seq)`
})

/** Which events the alert store has decided on. */
const takenEvents = Effect.gen(function*() {
  const sql = yield* SqlClient.SqlClient
  yield* sql`CREATE TABLE taken_events (
    seq ${sequence(sql)},
    event_id TEXT NOT NULL UNIQUE
  )`
})

/** What the titles of an earlier version said of the fall of a score: `web-1 drifted (major): 90.91 to 77.27 (-13.64 points)`. */
const fellFromTitle = /: (\d+(?:\.\d+)?) to \d+(?:\.\d+)? \(/

/**
 * Scans are told by their content, and compared by series: host, benchmark and profile. Of what was stored before no benchmark
 * is known (`NULL`): see `Scans` for whose it becomes. Alerts say more, and know the series as the third part of their key.
 */
const identity = Effect.gen(function*() {
  const sql = yield* SqlClient.SqlClient
  yield* sql`CREATE TABLE series (
    seq ${sequence(sql)},
    host_id TEXT NOT NULL,
    benchmark TEXT,
    profile TEXT NOT NULL,
    ended_at BIGINT NOT NULL,
    score DOUBLE PRECISION NOT NULL,
    told TEXT NOT NULL,
    highest DOUBLE PRECISION NOT NULL,
    lowest DOUBLE PRECISION NOT NULL,
    fell_from DOUBLE PRECISION,
    UNIQUE (host_id, benchmark, profile)
  )`
  yield* sql`INSERT INTO series (host_id, profile, ended_at, score, told, highest, lowest)
    SELECT host_id, profile, COALESCE(scanned_at, 0), score, outcome, score, score FROM scans
    WHERE outcome IS NOT NULL ORDER BY seq`
  yield* sql`DROP INDEX scans_by_baseline`
  yield* sql`ALTER TABLE scans DROP COLUMN outcome`
  yield* sql`ALTER TABLE scans ADD COLUMN benchmark TEXT`

  yield* sql`ALTER TABLE alerts ADD COLUMN rule TEXT NOT NULL DEFAULT ''`
  yield* sql`ALTER TABLE alerts ADD COLUMN details TEXT NOT NULL DEFAULT '{}'`
  yield* sql`ALTER TABLE alerts ADD COLUMN fell_from DOUBLE PRECISION`
  yield* sql`CREATE INDEX alerts_open ON alerts (host_id, type, rule) WHERE state = 'active'`
  const open = yield* sql<{ seq: number | bigint; title: string }>`SELECT seq, title FROM alerts
    WHERE state = 'active' AND type IN ('drift_major', 'drift_minor')`
  for (const { seq, title } of open) {
    const fellFrom = fellFromTitle.exec(title)?.[1]
    if (fellFrom !== undefined) yield* sql`UPDATE alerts SET fell_from = ${Number(fellFrom)} WHERE seq = ${seq}`
  }
})

/** Why a host does not answer, and the inventory as it was last seen, by which a host that goes or is renamed is noticed. */
const inventory = Effect.gen(function*() {
  const sql = yield* SqlClient.SqlClient
  yield* sql`ALTER TABLE host_states ADD COLUMN reason TEXT`
  yield* sql`ALTER TABLE host_states ADD COLUMN flapping INTEGER NOT NULL DEFAULT 0`
  yield* sql`ALTER TABLE host_probes ADD COLUMN judged INTEGER NOT NULL DEFAULT 1`
  yield* sql`CREATE TABLE inventory (
    host_id TEXT NOT NULL PRIMARY KEY,
    name TEXT NOT NULL,
    endpoint TEXT NOT NULL
  )`
  // What an earlier version has probed was in its inventory; what it was called is not known.
  yield* sql`INSERT INTO inventory (host_id, name, endpoint) SELECT host_id, '', endpoint FROM host_probes`
})

/**
 * Events are kept by `Outboxes` now, which empties `unannounced_events` and takes over what is to be sent: it is what has no
 * `due_since`. Two drifts of one key may be of the same millisecond.
 */
const durableEvents = Effect.gen(function*() {
  const sql = yield* SqlClient.SqlClient
  yield* sql`DROP TABLE taken_events`
  yield* sql`ALTER TABLE deliveries ADD COLUMN due_since BIGINT`
  yield* sql.onDialectOrElse({
    pg: () => Effect.asVoid(sql`ALTER TABLE alerts DROP CONSTRAINT alerts_dedup_key_occurred_at_key`),
    // SQLite drops no constraints: https://sqlite.org/lang_altertable.html, section 7. All is made anew as it was made.
    orElse: () =>
      Effect.gen(function*() {
        const [alerts, deliveries, ...indexes] = yield* sql<{ made: string }>`SELECT sql AS made FROM sqlite_schema
          WHERE tbl_name IN ('alerts', 'deliveries') AND sql IS NOT NULL ORDER BY type DESC, name`
        yield* sql.unsafe(
          alerts!.made.replace("alerts", "new_alerts").replace(/,\s*UNIQUE \(dedup_key, occurred_at\)/, "")
        )
        yield* sql.unsafe(deliveries!.made.replace("deliveries", "new_deliveries").replace("alerts", "new_alerts"))
        for (const table of ["alerts", "deliveries"]) {
          yield* sql`INSERT INTO ${sql(`new_${table}`)} SELECT * FROM ${sql(table)}`
        }
        for (const table of ["deliveries", "alerts"]) {
          yield* sql`DROP TABLE ${sql(table)}`
          yield* sql`ALTER TABLE ${sql(`new_${table}`)} RENAME TO ${sql(table)}`
        }
        for (const { made } of indexes) yield* sql.unsafe(made)
      })
  })
})

/**
 * The end of an alert, of which no other alert tells, is a delivery too (`ending`, with the `event`). What is sent together with
 * others is gathered first.
 */
const deliveriesOfEnds = Effect.gen(function*() {
  const sql = yield* SqlClient.SqlClient
  yield* sql`CREATE TABLE new_deliveries (
    alert_seq BIGINT NOT NULL REFERENCES alerts (seq),
    channel TEXT NOT NULL,
    ending INTEGER NOT NULL DEFAULT 0,
    state TEXT NOT NULL,
    attempts INTEGER NOT NULL,
    last_error TEXT,
    due_since BIGINT,
    gathered_at BIGINT,
    delivered_at BIGINT,
    event TEXT,
    PRIMARY KEY (alert_seq, channel, ending)
  )`
  yield* sql`INSERT INTO new_deliveries (alert_seq, channel, state, attempts, last_error, due_since)
    SELECT alert_seq, channel, state, attempts, last_error, due_since FROM deliveries`
  yield* sql`DROP TABLE deliveries`
  yield* sql`ALTER TABLE new_deliveries RENAME TO deliveries`
  yield* sql`CREATE INDEX deliveries_by_state ON deliveries (channel, state, alert_seq)`
})

/** What is too old is found by its time. */
const retention = Effect.gen(function*() {
  const sql = yield* SqlClient.SqlClient
  yield* sql`CREATE INDEX scans_by_age ON scans (scanned_at, seq)`
})

/**
 * The life of alerts: what somebody has done with them, when, and why. `told_at` is when an alert was given to its channels
 * last.
 */
const lifecycle = Effect.gen(function*() {
  const sql = yield* SqlClient.SqlClient
  yield* sql`ALTER TABLE alerts ADD COLUMN former_state TEXT`
  yield* sql`ALTER TABLE alerts ADD COLUMN silenced_until BIGINT`
  yield* sql`ALTER TABLE alerts ADD COLUMN told_at BIGINT`
  yield* sql`UPDATE alerts SET told_at = occurred_at`
  yield* sql`DROP INDEX alerts_open`
  yield* sql`CREATE INDEX alerts_open ON alerts (host_id, type, rule) WHERE state IN ('active', 'acknowledged', 'silenced')`
  yield* sql`CREATE TABLE alert_history (
    seq ${sequence(sql)},
    alert_seq BIGINT NOT NULL REFERENCES alerts (seq) ON DELETE CASCADE,
    from_state TEXT NOT NULL,
    to_state TEXT NOT NULL,
    at BIGINT NOT NULL,
    who TEXT NOT NULL,
    why TEXT NOT NULL,
    until BIGINT
  )`
  yield* sql`CREATE INDEX alert_history_by_alert ON alert_history (alert_seq, seq)`
  yield* sql`CREATE INDEX deliveries_held ON deliveries (alert_seq) WHERE state = 'held'`
})

/** The past of each host, see `HostHistory`. Of what was probed before, nothing was kept. */
const hostHistory = Effect.gen(function*() {
  const sql = yield* SqlClient.SqlClient
  // The rows are their own index: there are a million of the smallest.
  const clustered = sql.literal(sql.onDialectOrElse({ pg: () => "", orElse: () => "WITHOUT ROWID" }))
  yield* sql`ALTER TABLE host_probes ADD COLUMN judged_since BIGINT`
  yield* sql`ALTER TABLE host_probes ADD COLUMN recent TEXT NOT NULL DEFAULT ''`
  yield* sql`CREATE TABLE history_hosts (
    seq ${sequence(sql)},
    host_id TEXT NOT NULL UNIQUE
  )`
  yield* sql`CREATE TABLE probe_chunks (
    host INTEGER NOT NULL,
    began_at BIGINT NOT NULL,
    probes INTEGER NOT NULL,
    log TEXT NOT NULL,
    PRIMARY KEY (host, began_at)
  ) ${clustered}`
  yield* sql`CREATE TABLE host_days (
    host INTEGER NOT NULL,
    day INTEGER NOT NULL,
    failed INTEGER NOT NULL,
    times TEXT NOT NULL,
    PRIMARY KEY (host, day)
  ) ${clustered}`
  yield* sql`CREATE TABLE host_spans (
    host INTEGER NOT NULL,
    since BIGINT NOT NULL,
    until BIGINT NOT NULL,
    reachable INTEGER NOT NULL,
    PRIMARY KEY (host, since)
  ) ${clustered}`
})

/** Which rules failed, by their numbers: each is stored once. Of scans that were taken in before it is not known. */
const failingRules = Effect.gen(function*() {
  const sql = yield* SqlClient.SqlClient
  yield* sql`CREATE TABLE rules (
    seq ${sequence(sql)},
    key TEXT NOT NULL UNIQUE,
    rule_id TEXT NOT NULL,
    title TEXT,
    severity TEXT NOT NULL
  )`
  yield* sql`ALTER TABLE scans ADD COLUMN host_name TEXT NOT NULL DEFAULT ''`
  yield* sql`ALTER TABLE scans ADD COLUMN passed INTEGER`
  yield* sql`ALTER TABLE scans ADD COLUMN failed INTEGER`
  yield* sql`ALTER TABLE scans ADD COLUMN failing TEXT`
})

/** Maintenance that somebody has begun, and the tags of hosts, by which it may be. */
const maintenance = Effect.gen(function*() {
  const sql = yield* SqlClient.SqlClient
  yield* sql`CREATE TABLE maintenance (
    subject TEXT NOT NULL PRIMARY KEY,
    since BIGINT NOT NULL,
    until BIGINT NOT NULL,
    who TEXT NOT NULL,
    why TEXT NOT NULL
  )`
  yield* sql`ALTER TABLE inventory ADD COLUMN tags TEXT NOT NULL DEFAULT '{}'`
})

/** Why an alert is sent to a channel late, or again, and since when. */
const toldAgain = Effect.gen(function*() {
  const sql = yield* SqlClient.SqlClient
  yield* sql`ALTER TABLE deliveries ADD COLUMN again TEXT`
  yield* sql`ALTER TABLE deliveries ADD COLUMN again_at BIGINT`
})

/** The score of each host's scan that ended last, which pages ask for all the time. A scan of before has no time: then it is that of its series. */
const hostScores = Effect.gen(function*() {
  const sql = yield* SqlClient.SqlClient
  yield* sql`CREATE TABLE host_scores (
    host_id TEXT NOT NULL PRIMARY KEY,
    scanned_at BIGINT NOT NULL,
    score DOUBLE PRECISION NOT NULL
  )`
  yield* sql`INSERT INTO host_scores (host_id, scanned_at, score)
    SELECT host_id, scanned_at, score FROM scans WHERE scanned_at IS NOT NULL AND NOT EXISTS (
      SELECT 1 FROM scans AS newer
      WHERE newer.host_id = scans.host_id AND (newer.scanned_at, newer.seq) > (scans.scanned_at, scans.seq))`
  yield* sql`INSERT INTO host_scores (host_id, scanned_at, score)
    SELECT host_id, ended_at, score FROM series
    WHERE host_id NOT IN (SELECT host_id FROM host_scores) AND NOT EXISTS (
      SELECT 1 FROM series AS newer
      WHERE newer.host_id = series.host_id AND (newer.ended_at, newer.seq) > (series.ended_at, series.seq))`
})

/** Every step, named `<number>_<what>`. */
export const migrations: Record<string, Effect.Effect<void, unknown, SqlClient.SqlClient>> = {
  "1_initial": initial,
  "2_live_page": livePage,
  "3_taken_events": takenEvents,
  "4_identity": identity,
  "5_inventory": inventory,
  "6_durable_events": durableEvents,
  "7_deliveries_of_ends": deliveriesOfEnds,
  "8_retention": retention,
  "9_lifecycle": lifecycle,
  "10_host_history": hostHistory,
  "11_failing_rules": failingRules,
  "12_maintenance": maintenance,
  "13_told_again": toldAgain,
  "14_host_scores": hostScores
}

/** The version of the schema after the last step. */
export const schemaVersion: number = Math.max(...Object.keys(migrations).map((name) => parseInt(name, 10)))
