/**
 * The alert store in the database of OpenWatch.
 */
import { DateTime, Duration, Effect, Layer, Option } from "effect"
import * as SqlClient from "effect/sql/SqlClient"
import type * as SqlError from "effect/sql/SqlError"
import { Alert, initialState, isRepeat } from "../alert-router/Alert.ts"
import type { AlertState, AlertType, Ending, Event, Severity } from "../alert-router/Alert.ts"
import { eventIdOf } from "../events/EventId.ts"
import type { HostId } from "../events/HostId.ts"
import { describeSqlError } from "../storage/describeSqlError.ts"
import { inTransaction } from "../storage/Outage.ts"
import * as Outbox from "../storage/Outbox.ts"
import { AlertStore, AlertStoreError } from "./AlertStore.ts"
import type { DeliveryState, StoredAlert, Submission } from "./AlertStore.ts"

// PostgreSQL gives 64-bit numbers as `bigint`, SQLite as `number`.
type Integer = number | bigint

interface AlertRow {
  readonly seq: Integer
  readonly id: string
  readonly type: AlertType
  readonly severity: Severity
  readonly host_id: HostId
  readonly dedup_key: string
  readonly title: string
  readonly details: string
  readonly tags: string
  readonly occurred_at: Integer
  readonly state: AlertState
  readonly resolved_at: Integer | null
  readonly repeats: Integer
}

interface DeliveryRow {
  readonly alert_seq: Integer
  readonly channel: string
  readonly state: DeliveryState
  readonly attempts: Integer
  readonly last_error: string | null
}

const utc = (millis: Integer): DateTime.Utc => DateTime.makeUnsafe(Number(millis))

/** What an alert says beside what it is found by. */
type Details = Pick<Alert, "host" | "reason" | "drift" | "resolves" | "supersedes">

const detailsOf = ({ drift, host, reason, resolves, supersedes }: Alert): string =>
  JSON.stringify({ host, reason, drift, resolves, supersedes })

const alertOf = (row: AlertRow): Alert =>
  new Alert({
    id: row.id,
    type: row.type,
    severity: row.severity,
    hostId: row.host_id,
    title: row.title,
    dedupKey: row.dedup_key,
    ...(JSON.parse(row.details) as Details),
    tags: JSON.parse(row.tags) as Record<string, string>,
    occurredAt: utc(row.occurred_at)
  })

const deliveryOf = (row: DeliveryRow) => ({
  channel: row.channel,
  state: row.state,
  attempts: Number(row.attempts),
  lastError: row.last_error ?? undefined
})

// A statement that is wrong, or that the tables do not allow, is so for ever.
const isFinal = ({ reason }: SqlError.SqlError): boolean =>
  reason._tag === "SqlSyntaxError" || reason._tag === "ConstraintError" || reason._tag === "UniqueViolation"

const toStoreError = <A, R>(effect: Effect.Effect<A, SqlError.SqlError, R>): Effect.Effect<A, AlertStoreError, R> =>
  Effect.mapError(
    effect,
    (error) => new AlertStoreError({ message: describeSqlError(error), isRetryable: !isFinal(error), cause: error })
  )

/**
 * An event that is delivered once more comes soon after, counted in events: what was on its way when a process was killed.
 * For one that comes later still, its alert is unique.
 */
const rememberedEvents = 100_000

const make = Effect.gen(function*() {
  const sql = yield* SqlClient.SqlClient
  const transaction = inTransaction(sql)
  const outbox = yield* Outbox.Outbox

  const isStored = (key: string, occurredAt: number) =>
    Effect.map(
      sql`SELECT seq FROM alerts WHERE dedup_key = ${key} AND occurred_at = ${occurredAt}`,
      (rows) => rows.length > 0
    )

  const matching = (hostId: HostId, { rule, types }: Ending) =>
    sql.and([
      sql`host_id = ${hostId}`,
      sql.in("type", types),
      ...(rule === undefined ? [] : [sql`rule = ${rule}`])
    ])

  const isRaisedAfter = (hostId: HostId, couldEnd: Ending | undefined, seq: Integer) =>
    couldEnd === undefined
      ? Effect.succeed(false)
      : Effect.map(
        sql`SELECT seq FROM alerts WHERE ${matching(hostId, couldEnd)} AND seq > ${seq} LIMIT 1`,
        (rows) => rows.length > 0
      )

  /** The previous alert with the same key, if this one only repeats it. */
  const findRepeated = Effect.fnUntraced(
    function*(alert: Alert, { couldEnd, timeToLive }: Pick<Submission, "couldEnd" | "timeToLive">) {
      const [previous] = yield* sql<Pick<AlertRow, "seq" | "state" | "occurred_at">>`
        SELECT seq, state, occurred_at FROM alerts WHERE dedup_key = ${alert.dedupKey} ORDER BY seq DESC LIMIT 1`
      if (previous === undefined) return undefined
      const repeats = isRepeat(alert, {
        state: previous.state,
        occurredAt: utc(previous.occurred_at),
        isRaisedAgain: yield* isRaisedAfter(alert.hostId, couldEnd, previous.seq)
      }, Duration.toMillis(timeToLive))
      return repeats ? previous.seq : undefined
    }
  )

  /** Resolves what an event ends. Returns the id of the newest alert of it. */
  const end = Effect.fnUntraced(function*(event: Event, ends: Ending) {
    const rows = yield* sql<Pick<AlertRow, "seq" | "id">>`UPDATE alerts
      SET state = 'resolved', resolved_at = ${DateTime.toEpochMillis(event.occurredAt)}
      WHERE ${matching(event.hostId, ends)} AND state = 'active' RETURNING seq, id`
    return rows.toSorted((a, b) => Number(b.seq) - Number(a.seq))[0]?.id
  })

  const insert = Effect.fnUntraced(function*(alert: Alert, rule: string, channels: ReadonlyArray<string>) {
    const state = initialState(alert.severity)
    const occurredAt = DateTime.toEpochMillis(alert.occurredAt)
    const [row] = yield* sql<Pick<AlertRow, "seq">>`INSERT INTO alerts ${
      sql.insert({
        id: alert.id,
        type: alert.type,
        severity: alert.severity,
        host_id: alert.hostId,
        dedup_key: alert.dedupKey,
        rule,
        title: alert.title,
        details: detailsOf(alert),
        fell_from: alert.drift?.fellFrom ?? null,
        tags: JSON.stringify(alert.tags),
        occurred_at: occurredAt,
        state,
        resolved_at: state === "resolved" ? occurredAt : null
      })
    } ON CONFLICT (dedup_key, occurred_at) DO NOTHING RETURNING seq`
    if (row === undefined) return false
    for (const channel of channels) {
      yield* sql`INSERT INTO deliveries ${sql.insert({ alert_seq: row.seq, channel, state: "pending", attempts: 0 })}`
    }
    return true
  })

  /** Remembers an event. False when it is one of the last that were: then all that follows from it is done. */
  const remember = Effect.fnUntraced(function*(event: Event) {
    const [row] = yield* sql<Pick<AlertRow, "seq">>`INSERT INTO taken_events ${
      sql.insert({ event_id: eventIdOf(event) })
    } ON CONFLICT (event_id) DO NOTHING RETURNING seq`
    if (row === undefined) return false
    yield* sql`DELETE FROM taken_events WHERE seq <= ${Number(row.seq) - rememberedEvents}`
    return true
  })

  const take = Effect.fnUntraced(function*(submission: Submission) {
    const { alert, channels, ends, event, isWorse, rule } = submission
    yield* outbox.acknowledge([event])
    if (alert === undefined && ends === undefined) return "none"
    if (!(yield* remember(event))) return "duplicate"
    // An old recovery that comes twice must not resolve what was raised since.
    if (alert !== undefined && (yield* isStored(alert.dedupKey, DateTime.toEpochMillis(alert.occurredAt)))) {
      return "duplicate"
    }
    const ended = ends === undefined ? undefined : yield* end(event, ends)
    if (alert === undefined) return "none"
    if (ended === undefined) {
      const repeated = yield* findRepeated(alert, submission)
      if (repeated !== undefined) {
        yield* sql`UPDATE alerts SET repeats = repeats + 1 WHERE seq = ${repeated}`
        return "repeat"
      }
      return (yield* insert(alert, rule, channels)) ? "stored" : "duplicate"
    }
    const ending = new Alert(Object.assign({}, alert, isWorse ? { supersedes: ended } : { resolves: ended }))
    return (yield* insert(ending, rule, channels)) ? "stored" : "duplicate"
  })

  return AlertStore.of({
    submit: (submission) => take(submission).pipe(transaction, toStoreError),

    nextDelivery: (channel) =>
      sql<AlertRow & Pick<DeliveryRow, "attempts">>`
        SELECT a.*, d.attempts FROM deliveries d JOIN alerts a ON a.seq = d.alert_seq
        WHERE d.channel = ${channel} AND d.state = 'pending' ORDER BY d.alert_seq LIMIT 1`.pipe(
        Effect.map(([row]) =>
          row === undefined
            ? Option.none()
            : Option.some({ alert: alertOf(row), channel, attempts: Number(row.attempts) })
        ),
        toStoreError
      ),

    recordAttempt: ({ alertId, attempts, channel, lastError, state }) =>
      sql`UPDATE deliveries SET state = ${state}, attempts = ${attempts}, last_error = ${lastError ?? null}
        WHERE channel = ${channel} AND alert_seq = (SELECT seq FROM alerts WHERE id = ${alertId})`.pipe(
        Effect.asVoid,
        toStoreError
      ),

    list: (filter) =>
      Effect.gen(function*() {
        const selected = sql.and([
          ...(filter?.state === undefined ? [] : [sql`a.state = ${filter.state}`]),
          ...(filter?.since === undefined ? [] : [sql`a.occurred_at >= ${DateTime.toEpochMillis(filter.since)}`])
        ])
        const alerts = yield* sql<AlertRow>`
          SELECT a.* FROM alerts a WHERE ${selected} ORDER BY a.occurred_at DESC, a.seq DESC`
        const deliveries = yield* sql<DeliveryRow>`
          SELECT d.* FROM deliveries d JOIN alerts a ON a.seq = d.alert_seq WHERE ${selected} ORDER BY d.channel`
        const bySeq = Map.groupBy(deliveries, ({ alert_seq }) => Number(alert_seq))
        return alerts.map((row): StoredAlert => ({
          alert: alertOf(row),
          state: row.state,
          resolvedAt: row.resolved_at === null ? undefined : utc(row.resolved_at),
          repeats: Number(row.repeats),
          deliveries: (bySeq.get(Number(row.seq)) ?? []).map(deliveryOf)
        }))
      }).pipe(toStoreError)
  })
})

/** The alert store in the database. */
export const layer: Layer.Layer<AlertStore, never, SqlClient.SqlClient> = Layer.effect(AlertStore, make).pipe(
  Layer.provide(Outbox.layer)
)
