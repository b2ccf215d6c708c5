/**
 * The alert store in the database of OpenWatch.
 */
import { Outage } from "@openwatch/event-bus-sql"
import { Clock, DateTime, Duration, Effect, Layer, Result } from "effect"
import * as SqlClient from "effect/sql/SqlClient"
import { again, Alert, AllSeverities, initialState, isRepeat } from "../alert-router/Alert.ts"
import type { Again, AlertType, Ending, Severity } from "../alert-router/Alert.ts"
import type { How } from "../alert-router/AlertOutbox.ts"
import { type AlertState, isOpen, next, openStates } from "../alert-router/Lifecycle.ts"
import type { HostId } from "../events/HostId.ts"
import { alone } from "../storage/alone.ts"
import { AlertsRefused, AlertStore } from "./AlertStore.ts"
import type { Change, Changed, DeliveryState, DueAgain, Ended, Filter, Routed, StoredAlert } from "./AlertStore.ts"
import type { Submission, Submitted, Telling, Transition } from "./AlertStore.ts"

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
  /** The third part of the key. */
  readonly rule: string
  readonly title: string
  readonly details: string
  readonly tags: string
  readonly occurred_at: Integer
  readonly state: AlertState
  readonly former_state: "active" | "acknowledged" | null
  readonly silenced_until: Integer | null
  readonly resolved_at: Integer | null
  readonly repeats: Integer
}

interface HistoryRow {
  readonly from_state: AlertState
  readonly to_state: AlertState
  readonly at: Integer
  readonly who: string
  readonly why: string
  readonly until: Integer | null
}

/** The condition of a row of `alerts` that is open. As parameters its values would keep the index of open alerts from use. */
export const isOpenInSql = `state IN (${openStates.map((state) => `'${state}'`).join(", ")})`

/** How bad a row of `alerts` is, the worst first: what is over comes last. */
const rankInSql = `CASE WHEN NOT (${isOpenInSql}) THEN ${AllSeverities.length} ${
  AllSeverities.map((severity, rank) => `WHEN severity = '${severity}' THEN ${rank}`).join(" ")
} END`

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

const utcOrNone = (millis: Integer | null): DateTime.Utc | undefined => millis === null ? undefined : utc(millis)

/** How many characters at the end of an id stand for it: those that do not come of its time. */
const shortIdLength = 12

/** The end of an id, which stands for it. */
export const shortId = (id: string): string => id.slice(-shortIdLength)

/** The condition of a row of `alerts` that has one of these ids, whole or by its end: in lower case. */
export const isNamed = (sql: SqlClient.SqlClient, ids: ReadonlyArray<string>) => {
  const among = (column: string, length: number) => {
    const values = ids.filter((id) => id.length === length)
    return values.length === 0 ? [] : [sql`${sql.literal(column)} IN ${sql.in(values)}`]
  }
  const conditions = [...among("id", 36), ...among(`SUBSTR(id, ${37 - shortIdLength})`, shortIdLength)]
  return conditions.length === 0 ? sql`1 = 0` : sql.or(conditions)
}

/** Who ends alerts where nobody does. */
export const self = "openwatch"

/** What an alert says beside what it is found by. */
type Details = Pick<Alert, "host" | "problem" | "reason" | "drift" | "resolves" | "supersedes" | "link">

const detailsOf = ({ drift, host, link, problem, reason, resolves, supersedes }: Alert): string =>
  JSON.stringify({ host, problem, reason, drift, resolves, supersedes, link })

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

/** A text as it stands in a pattern of `LIKE` whose escape character is "!". */
const likeOf = (text: string): string => text.replace(/[!%_]/g, "!$&")

/** For rows that are about to change: what others would change of them meanwhile waits. In SQLite a transaction is alone. */
export const lockOfRows = (sql: SqlClient.SqlClient) =>
  sql.literal(sql.onDialectOrElse({ pg: () => "FOR UPDATE", orElse: () => "" }))

/** The condition of a row of `deliveries`, as `d`, whose channel has the alert or is being sent it: what is held back may be a reminder. */
const isToldInSql = "(d.state NOT IN ('held', 'withheld') OR d.delivered_at IS NOT NULL)"

/**
 * Whether a channel knows of the problem of an alert: it has the alert, or one whose place that has taken, or is being sent it.
 * `undefined` where it was to have none of them.
 */
export const knows = Effect.fnUntraced(function*(sql: SqlClient.SqlClient, alertId: string, channel: string) {
  let known: false | undefined
  for (let id: string | undefined = alertId; id !== undefined;) {
    const rows: ReadonlyArray<Pick<AlertRow, "details"> & { readonly told: Integer | null }> = yield* sql<
      Pick<AlertRow, "details"> & { readonly told: Integer | null }
    >`
      SELECT a.details, CASE WHEN d.channel IS NULL THEN NULL WHEN ${sql.literal(isToldInSql)} THEN 1 ELSE 0 END AS told
      FROM alerts a LEFT JOIN deliveries d ON d.alert_seq = a.seq AND d.channel = ${channel} AND d.ending = 0
      WHERE a.id = ${id}`
    const [row] = rows
    if (row === undefined) break
    if (row.told !== null && Number(row.told) === 1) return true
    if (row.told !== null) known = false
    id = (JSON.parse(row.details) as Details).supersedes
  }
  return known
})

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

  const forUpdate = lockOfRows(sql)

  /** Brings an alert into another state. */
  const move = Effect.fnUntraced(function*(row: AlertRow, { at, to, until, who, why }: Omit<Transition, "from">) {
    const millis = DateTime.toEpochMillis(at)
    const untilMillis = until === undefined ? null : DateTime.toEpochMillis(until)
    yield* sql`UPDATE alerts SET ${
      sql.update({
        state: to,
        former_state: to === "silenced" ? row.state : null,
        silenced_until: untilMillis,
        resolved_at: isOpen(to) ? null : row.resolved_at ?? millis
      })
    } WHERE seq = ${row.seq}`
    yield* sql`INSERT INTO alert_history ${
      sql.insert({
        alert_seq: row.seq,
        from_state: row.state,
        to_state: to,
        at: millis,
        who,
        why,
        until: untilMillis
      })
    }`
    if (!isOpen(to)) {
      yield* sql`UPDATE deliveries SET state = 'withheld' WHERE alert_seq = ${row.seq} AND state = 'held'`
    }
  })

  /** The alerts, with the channels that know of their problems, or were to know and do not for no other reason than their failing. */
  const routed = Effect.fnUntraced(function*(rows: ReadonlyArray<AlertRow>) {
    if (rows.length === 0) return []
    const deliveries = yield* sql<Pick<DeliveryRow, "alert_seq" | "channel"> & { readonly told: Integer }>`
      SELECT d.alert_seq, d.channel, CASE WHEN ${sql.literal(isToldInSql)} THEN 1 ELSE 0 END AS told FROM deliveries d
      WHERE ${sql.in("alert_seq", rows.map(({ seq }) => seq))} AND d.ending = 0 ORDER BY d.channel`
    const bySeq = Map.groupBy(deliveries, ({ alert_seq }) => Number(alert_seq))
    return yield* Effect.forEach(rows, (row) =>
      Effect.filter(
        bySeq.get(Number(row.seq)) ?? [],
        ({ channel, told }) =>
          Number(told) === 1 ? Effect.succeed(true) : Effect.map(knows(sql, row.id, channel), Boolean)
      ).pipe(
        Effect.map((told): Routed => ({ alert: alertOf(row), channels: told.map(({ channel }) => channel) }))
      ))
  })

  /** Resolves what an event ends, and returns it, the newest first. */
  const end = Effect.fnUntraced(function*({ alert, event, isWorse }: Submission, ends: Ending) {
    const rows = yield* sql<AlertRow>`SELECT * FROM alerts
      WHERE ${matching(event.hostId, ends)} AND ${sql.literal(isOpenInSql)} ORDER BY seq DESC ${forUpdate}`
    const how: How = alert === undefined ? "removed" : isWorse ? "superseded" : "recovered"
    const whyOf = ({ hostId, tags }: Alert) => alert?.title ?? `${tags["host"] ?? hostId} is not watched any more`
    for (const row of rows) {
      yield* move(row, { to: "resolved", at: event.occurredAt, who: self, why: whyOf(alertOf(row)), until: undefined })
    }
    return (yield* routed(rows)).map(({ alert, channels }): Ended => ({
      alert,
      channels,
      how,
      who: self,
      why: whyOf(alert)
    }))
  })

  /** The rows of alerts that somebody names, locked, each once, or what is wrong with each that is not there. */
  const find = Effect.fnUntraced(function*(ids: ReadonlyArray<string>) {
    const wanted = ids.map((id) => id.toLowerCase())
    const rows = yield* sql<AlertRow>`SELECT * FROM alerts WHERE ${isNamed(sql, wanted)} ORDER BY seq ${forUpdate}`
    const problems = Array.from(new Set(wanted)).flatMap((id) => {
      const count = rows.filter((row) => row.id === id || shortId(row.id) === id).length
      if (count === 1) return []
      return [{
        id,
        isUnknown: true,
        problem: count === 0 ? "is unknown" : "are several: expected the whole id of one"
      }]
    })
    return problems.length === 0 ? rows : yield* new AlertsRefused({ problems })
  })

  /** Which deliveries are due again: what is on its way is sent anyway, and what was given up is for somebody to send again. */
  const dueStates: { readonly [A in Again]: ReadonlyArray<DeliveryState> } = {
    silence: ["held", "delivered"],
    maintenance: ["held"],
    reminder: ["delivered"]
  }

  /** Has an alert, which is in a state now, due to its channels again, and returns what those are told. */
  const makeDue = Effect.fnUntraced(function*(row: AlertRow, state: AlertState, why: Again) {
    const now = yield* Clock.currentTimeMillis
    yield* sql`UPDATE alerts SET told_at = ${now} WHERE seq = ${row.seq}`
    const due = yield* sql<Pick<DeliveryRow, "channel">>`UPDATE deliveries
      SET state = 'pending', due_since = ${now}, gathered_at = NULL, again = ${why}, again_at = ${now}
      WHERE alert_seq = ${row.seq} AND ending = 0 AND ${sql.in("state", dueStates[why])} RETURNING channel`
    const alert = alertOf(row)
    const channels = due.map(({ channel }) => channel).toSorted()
    return {
      raised: channels.length === 0 ? [] : [{ alert: again(alert, why, utc(now)), channels }],
      // Somebody looks after it all the same.
      changed: state !== "acknowledged" || channels.length === 0 ? [] : [{ alert, to: state, channels }]
    }
  })

  /** The open alerts that are due again for a reason. */
  const isDueAgain = (why: Again, now: number, toldUntil: number) => {
    // Only open alerts: there is an index of these.
    const open = sql.literal(isOpenInSql)
    if (why === "silence") return sql`${open} AND state = 'silenced' AND silenced_until <= ${now}`
    if (why === "reminder") {
      // The distance counts: told at a time that is still to come, it was told before the clock was set back.
      const toldFrom = now + (now - toldUntil)
      return sql`${open} AND state = 'active' AND (told_at <= ${toldUntil} OR told_at >= ${toldFrom}) AND EXISTS (SELECT 1 FROM deliveries
        WHERE deliveries.alert_seq = alerts.seq AND deliveries.ending = 0 AND deliveries.state = 'delivered')`
    }
    return sql`state IN ('active', 'acknowledged')
      AND seq IN (SELECT alert_seq FROM deliveries WHERE deliveries.state = 'held')`
  }

  const tellAgain = Effect.fnUntraced(function*<E, R>(
    { alert, why }: DueAgain,
    toldUntil: number,
    tell: (telling: Telling) => Effect.Effect<void, E, R>
  ) {
    const at = yield* DateTime.now
    const [row] = yield* sql<AlertRow>`SELECT * FROM alerts
      WHERE id = ${alert.id} AND ${isDueAgain(why, DateTime.toEpochMillis(at), toldUntil)} ${forUpdate}`
    if (row === undefined) return
    const to = why === "silence" ? row.former_state ?? "active" : row.state
    if (why === "silence") yield* move(row, { to, at, who: self, why: "the silence is over", until: undefined })
    const due = yield* makeDue(row, to, why)
    if (due.raised.length > 0) yield* tell({ ...due, ended: [] })
  })

  const change = Effect.fnUntraced(function*<E, R>(
    ids: ReadonlyArray<string>,
    { action, until, who, why }: Change,
    tell: (telling: Telling) => Effect.Effect<void, E, R>
  ) {
    const at = yield* DateTime.now
    yield* alone(sql)
    const rows = yield* find(ids)
    const moves = rows.map((row) => ({
      row,
      to: next({ state: row.state, formerState: row.former_state ?? undefined }, action)
    }))
    const problems = moves.flatMap(({ row, to }) =>
      Result.isFailure(to) ? [{ id: row.id, problem: to.failure, isUnknown: false }] : []
    )
    if (problems.length > 0) return yield* new AlertsRefused({ problems })
    const changed: Array<Changed> = []
    for (const { row, to } of moves) {
      const state = Result.getOrThrow(to)
      yield* move(row, { to: state, at, who, why, until: state === "silenced" ? until : undefined })
      changed.push({ alert: alertOf(row), from: row.state, to: state })
    }
    const over = moves.filter(({ row, to }) => isOpen(row.state) && !isOpen(Result.getOrThrow(to)))
    const how: How = action === "dismiss" ? "dismissed" : "resolved"
    const ended = (yield* routed(over.map(({ row }) => row))).map(({ alert, channels }): Ended => ({
      alert,
      channels,
      how,
      who,
      why
    }))
    const raised: Array<Routed> = []
    const quiet: Array<Telling["changed"][number]> = []
    for (const { row, to } of moves) {
      const state = Result.getOrThrow(to)
      if (action === "unsilence") {
        const due = yield* makeDue(row, state, "silence")
        raised.push(...due.raised)
        quiet.push(...due.changed)
      } else if (state === "acknowledged" || state === "silenced") {
        quiet.push(...(yield* routed([row])).map(({ alert, channels }) => ({ alert, channels, to: state })))
      }
    }
    yield* tell({ ended, raised, changed: quiet.filter(({ channels }) => channels.length > 0) })
    return changed
  })

  const insert = Effect.fnUntraced(function*({ alert, channels }: Routed, rule: string) {
    const state = initialState(alert.severity)
    const occurredAt = DateTime.toEpochMillis(alert.occurredAt)
    const due_since = yield* Clock.currentTimeMillis
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
        told_at: due_since,
        resolved_at: state === "resolved" ? occurredAt : null
      })
    } RETURNING seq`
    for (const channel of channels) {
      yield* sql`INSERT INTO deliveries ${
        sql.insert({ alert_seq: row!.seq, channel, state: "pending", attempts: 0, due_since })
      }`
    }
  })

  const submit = Effect.fnUntraced(function*(submission: Submission) {
    const { alert, channels, ends, isWorse, rule } = submission
    yield* alone(sql)
    const ended = ends === undefined ? [] : yield* end(submission, ends)
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
    const problem = last?.alert.problem
    const raised: Routed = {
      alert: last === undefined
        ? alert
        : new Alert(Object.assign(
          {},
          alert,
          isWorse ? { supersedes: last.alert.id } : { resolves: last.alert.id },
          problem === undefined ? {} : { problem }
        )),
      channels: Array.from(new Set([...channels, ...ended.flatMap(({ channels }) => channels)]))
    }
    yield* insert(raised, rule)
    return done("stored", raised)
  })

  const selected = ({ host, limit, order, severities, since, states }: Filter) => {
    const conditions = sql.and([
      ...(states === undefined ? [] : [sql.in("state", states)]),
      ...(severities === undefined ? [] : [sql.in("severity", severities)]),
      ...(host === undefined
        ? []
        : [sql`(host_id = ${host} OR tags LIKE ${`%"host":${likeOf(JSON.stringify(host))}%`} ESCAPE '!')`]),
      ...(since === undefined ? [] : [sql`occurred_at >= ${DateTime.toEpochMillis(since)}`])
    ])
    const most = limit === undefined ? sql.literal("") : sql`LIMIT ${limit}`
    const first = sql.literal(order === "worst" ? `${rankInSql}, ` : "")
    return sql`FROM alerts WHERE ${conditions} ORDER BY ${first}occurred_at DESC, seq DESC ${most}`
  }

  return AlertStore.of({
    submit,

    list: (filter = {}) =>
      Effect.gen(function*() {
        const alerts = yield* sql<AlertRow>`SELECT * ${selected(filter)}`
        const deliveries = yield* sql<DeliveryRow>`SELECT * FROM deliveries
          WHERE alert_seq IN (SELECT seq FROM (SELECT seq, occurred_at ${
          selected(filter)
        }) AS listed) ORDER BY channel, ending`
        const bySeq = Map.groupBy(deliveries, ({ alert_seq }) => Number(alert_seq))
        return alerts.map((row): StoredAlert => ({
          alert: alertOf(row),
          state: row.state,
          silencedUntil: utcOrNone(row.silenced_until),
          resolvedAt: utcOrNone(row.resolved_at),
          repeats: Number(row.repeats),
          deliveries: (bySeq.get(Number(row.seq)) ?? []).map(deliveryOf)
        }))
      }),

    change: (ids, how, tell) => Outage.inTransaction(sql)(change(ids, how, tell)),

    dueAgain: (toldUntil) =>
      Effect.gen(function*() {
        const now = yield* Clock.currentTimeMillis
        const due: Array<DueAgain> = []
        const reasons = ["silence", "maintenance", ...(toldUntil === undefined ? [] : ["reminder" as const])] as const
        for (const why of reasons) {
          const until = toldUntil === undefined ? 0 : DateTime.toEpochMillis(toldUntil)
          // Sorted here: to have them in order SQLite would read all alerts.
          const rows = yield* sql<AlertRow>`SELECT * FROM alerts WHERE ${isDueAgain(why, now, until)}`
          const sorted = rows.toSorted((a, b) => Number(a.seq) - Number(b.seq))
          due.push(...sorted.map((row) => ({ alert: alertOf(row), why })))
        }
        return due
      }),

    tellAgain: (due, tell) =>
      Effect.flatMap(
        Clock.currentTimeMillis,
        (now) => Outage.inTransaction(sql)(tellAgain(due, now, tell))
      ),

    history: (id) =>
      Effect.gen(function*() {
        const [alert] = yield* find([id])
        const rows = yield* sql<HistoryRow>`SELECT from_state, to_state, at, who, why, until FROM alert_history
          WHERE alert_seq = ${alert!.seq} ORDER BY seq`
        return rows.map((row): Transition => ({
          from: row.from_state,
          to: row.to_state,
          at: utc(row.at),
          who: row.who,
          why: row.why,
          until: utcOrNone(row.until)
        }))
      })
  })
})

/** The alert store in the database. */
export const layer: Layer.Layer<AlertStore, never, SqlClient.SqlClient> = Layer.effect(AlertStore, make)
