/**
 * The alert store in the database of OpenWatch.
 */
import { Clock, DateTime, Duration, Effect, Layer } from "effect"
import * as SqlClient from "effect/sql/SqlClient"
import type * as SqlError from "effect/sql/SqlError"
import { Alert, initialState, isRepeat } from "../alert-router/Alert.ts"
import type { AlertState, AlertType, Ending, Event, Severity } from "../alert-router/Alert.ts"
import type { HostId } from "../events/HostId.ts"
import { describeSqlError } from "../storage/describeSqlError.ts"
import { AlertStore, AlertStoreError } from "./AlertStore.ts"
import type { DeliveryState, Routed, StoredAlert, Submission, Submitted } from "./AlertStore.ts"

/** PostgreSQL gives 64-bit numbers as `bigint`, SQLite as `number`. */
export type Integer = number | bigint

/** A row of `alerts`. */
export interface AlertRow {
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

/** A row of `deliveries`. */
export interface DeliveryRow {
  readonly alert_seq: Integer
  readonly channel: string
  readonly state: DeliveryState
  readonly attempts: Integer
  readonly last_error: string | null
  /** 1 for that of the alert's end, else 0. */
  readonly ending: Integer
}

const utc = (millis: Integer): DateTime.Utc => DateTime.makeUnsafe(Number(millis))

/** What an alert says beside what it is found by. */
type Details = Pick<Alert, "host" | "reason" | "drift" | "resolves" | "supersedes">

const detailsOf = ({ drift, host, reason, resolves, supersedes }: Alert): string =>
  JSON.stringify({ host, reason, drift, resolves, supersedes })

/** The alert in a row. */
export const alertOf = (row: AlertRow): Alert =>
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
  lastError: row.last_error ?? undefined,
  ...(Number(row.ending) === 1 ? { isEnding: true as const } : {})
})

// A statement that is wrong, or that the tables do not allow, is so for ever.
const isFinal = ({ reason }: SqlError.SqlError): boolean =>
  reason._tag === "SqlSyntaxError" || reason._tag === "ConstraintError" || reason._tag === "UniqueViolation"

/** Fails as the stores of alerts do. */
export const toStoreError = <A, R>(
  effect: Effect.Effect<A, SqlError.SqlError, R>
): Effect.Effect<A, AlertStoreError, R> =>
  Effect.mapError(
    effect,
    (error) => new AlertStoreError({ message: describeSqlError(error), isRetryable: !isFinal(error), cause: error })
  )

const make = Effect.gen(function*() {
  const sql = yield* SqlClient.SqlClient

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

  /** Resolves what an event ends, and returns it, the newest first, with the channels that have it or were to have it. */
  const end = Effect.fnUntraced(function*(event: Event, ends: Ending) {
    const rows = yield* sql<AlertRow>`UPDATE alerts
      SET state = 'resolved', resolved_at = ${DateTime.toEpochMillis(event.occurredAt)}
      WHERE ${matching(event.hostId, ends)} AND state = 'active' RETURNING *`
    if (rows.length === 0) return []
    const deliveries = yield* sql<Pick<DeliveryRow, "alert_seq" | "channel">>`SELECT DISTINCT alert_seq, channel
      FROM deliveries WHERE ${sql.in("alert_seq", rows.map(({ seq }) => seq))} ORDER BY channel`
    const bySeq = Map.groupBy(deliveries, ({ alert_seq }) => Number(alert_seq))
    return rows.toSorted((a, b) => Number(b.seq) - Number(a.seq)).map((row): Routed => ({
      alert: alertOf(row),
      channels: (bySeq.get(Number(row.seq)) ?? []).map(({ channel }) => channel)
    }))
  })

  const insert = Effect.fnUntraced(function*({ alert, channels }: Routed, rule: string) {
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
    } RETURNING seq`
    const due_since = yield* Clock.currentTimeMillis
    for (const channel of channels) {
      yield* sql`INSERT INTO deliveries ${
        sql.insert({ alert_seq: row!.seq, channel, state: "pending", attempts: 0, due_since })
      }`
    }
  })

  const submit = Effect.fnUntraced(function*(submission: Submission) {
    const { alert, channels, ends, event, isWorse, rule } = submission
    const ended = ends === undefined ? [] : yield* end(event, ends)
    const done = (outcome: Submitted["outcome"], raised?: Routed): Submitted => ({ outcome, raised, ended })
    if (alert === undefined) return done("none")
    const [last] = ended
    if (last === undefined) {
      const repeated = yield* findRepeated(alert, submission)
      if (repeated !== undefined) {
        yield* sql`UPDATE alerts SET repeats = repeats + 1 WHERE seq = ${repeated}`
        return done("repeat")
      }
    }
    const raised: Routed = {
      alert: last === undefined
        ? alert
        : new Alert(Object.assign({}, alert, isWorse ? { supersedes: last.alert.id } : { resolves: last.alert.id })),
      channels: Array.from(new Set([...channels, ...ended.flatMap(({ channels }) => channels)]))
    }
    yield* insert(raised, rule)
    return done("stored", raised)
  })

  return AlertStore.of({
    submit: (submission) => toStoreError(submit(submission)),

    list: (filter) =>
      Effect.gen(function*() {
        const selected = sql.and([
          ...(filter?.state === undefined ? [] : [sql`a.state = ${filter.state}`]),
          ...(filter?.since === undefined ? [] : [sql`a.occurred_at >= ${DateTime.toEpochMillis(filter.since)}`])
        ])
        const alerts = yield* sql<AlertRow>`
          SELECT a.* FROM alerts a WHERE ${selected} ORDER BY a.occurred_at DESC, a.seq DESC`
        const deliveries = yield* sql<DeliveryRow>`
          SELECT d.* FROM deliveries d JOIN alerts a ON a.seq = d.alert_seq WHERE ${selected} ORDER BY d.channel, d.ending`
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
export const layer: Layer.Layer<AlertStore, never, SqlClient.SqlClient> = Layer.effect(AlertStore, make)
