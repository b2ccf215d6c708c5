/**
 * The delivery store in the database of OpenWatch.
 */
import { Outage } from "@openwatch/event-bus-sql"
import { Clock, DateTime, Effect, Layer, Schema } from "effect"
import * as SqlClient from "effect/sql/SqlClient"
import { type Again, again } from "../alert-router/Alert.ts"
import { AlertEnded, AlertRaised } from "../alert-router/AlertOutbox.ts"
import { isOpen } from "../alert-router/Lifecycle.ts"
import { DeliveryStore, type Told } from "./DeliveryStore.ts"
import {
  alertOf,
  type AlertRow,
  type DeliveryRow,
  type Integer,
  isNamed,
  isOpenInSql,
  knows,
  lockOfRows
} from "./SqlAlertStore.ts"

const EndingText = Schema.fromJsonString(Schema.toCodecJson(AlertEnded))
const encodeEnding = Schema.encodeSync(EndingText)
const decodeEnding = Schema.decodeSync(EndingText)

/** What a row of `deliveries` says of what is told. */
interface ToldRow {
  /** The `AlertEnded` of an alert's end. */
  readonly event: string | null
  /** Why the alert is sent late, or again, and since when. */
  readonly again: Again | null
  readonly again_at: Integer | null
}

interface GatheredRow extends AlertRow, ToldRow {
  readonly ending: Integer
  readonly due_since: Integer
  readonly gathered_at: Integer
}

const isEnding = (told: Told): 0 | 1 => told._tag === "AlertEnded" ? 1 : 0

const toldOf = (row: AlertRow & ToldRow, channels: ReadonlyArray<string>): Told => {
  if (row.event !== null) return new AlertEnded(Object.assign({}, decodeEnding(row.event), { channels }))
  const raised = alertOf(row)
  const alert = row.again === null ? raised : again(raised, row.again, DateTime.makeUnsafe(Number(row.again_at)))
  return new AlertRaised({ alert, channels, occurredAt: alert.againAt ?? alert.occurredAt })
}

const make = Effect.gen(function*() {
  const sql = yield* SqlClient.SqlClient

  const isOf = (told: Told, channel: string) =>
    sql`alert_seq = (SELECT seq FROM alerts WHERE id = ${told.alert.id}) AND channel = ${channel}
      AND ending = ${isEnding(told)}`

  /** Why what was given up of an alert, or of its end, may not be sent any more: it is not true now. */
  const refusalOf = Effect.fnUntraced(function*(alert: AlertRow, ending: number) {
    const tellsOfEnd = ending === 1 || alert.severity === "info"
    if (!tellsOfEnd) return isOpen(alert.state) ? undefined : "is over"
    const isOfProblem = alert.type.startsWith("host_")
      ? sql`type = 'host_unreachable'`
      : sql`type IN ('drift_major', 'drift_minor') AND rule = ${alert.rule}`
    const [later] = yield* sql`SELECT seq FROM alerts WHERE host_id = ${alert.host_id} AND ${isOfProblem}
      AND seq > ${alert.seq} AND ${sql.literal(isOpenInSql)} LIMIT 1`
    return later === undefined ? undefined : "is of a problem that is open again"
  })

  const due = Effect.fnUntraced(
    function*(
      told: Told,
      channel: string,
      { isRequeued, publishedAt }: { readonly publishedAt: DateTime.Utc; readonly isRequeued: boolean }
    ) {
      if (told._tag === "AlertEnded") {
        const dueSince = DateTime.toEpochMillis(publishedAt)
        yield* sql`INSERT INTO deliveries (alert_seq, channel, ending, state, attempts, due_since, event)
          SELECT seq, ${channel}, 1, 'pending', 0, CAST(${dueSince} AS BIGINT), ${encodeEnding(told)} FROM alerts
          WHERE id = ${told.alert.id} ON CONFLICT DO NOTHING`
      }
      if (isRequeued) {
        const [alert] = yield* sql<AlertRow>`SELECT * FROM alerts WHERE id = ${told.alert.id}`
        const refusal = alert === undefined ? undefined : yield* refusalOf(alert, isEnding(told))
        const change = refusal === undefined
          ? { state: "pending", due_since: yield* Clock.currentTimeMillis }
          : { last_error: `the alert ${refusal}, so this is not sent again` }
        yield* sql`UPDATE deliveries SET ${sql.update(change)} WHERE ${isOf(told, channel)} AND state = 'given_up'`
      }
      const [row] = yield* sql<Pick<DeliveryRow, "state" | "last_error"> & { readonly due_since: Integer | null }>`
        SELECT state, due_since, last_error FROM deliveries WHERE ${isOf(told, channel)}`
      return row === undefined
        ? undefined
        : { state: row.state, dueSince: Number(row.due_since), lastError: row.last_error ?? undefined }
    }
  )

  const reopen = Effect.fnUntraced(function*<E, R>(
    alertId: string,
    channel: string | undefined,
    tell: (told: ReadonlyArray<Told>) => Effect.Effect<void, E, R>
  ) {
    const [alert] = yield* sql<AlertRow>`SELECT * FROM alerts WHERE ${isNamed(sql, [alertId.toLowerCase()])}`
    if (alert === undefined) return undefined
    const isMeant = sql.and([
      sql`alert_seq = ${alert.seq}`,
      sql`state = 'given_up'`,
      ...(channel === undefined ? [] : [sql`channel = ${channel}`])
    ])
    const rows: Array<ToldRow & { readonly channel: string }> = []
    let refusal: string | undefined
    for (const { ending } of yield* sql<{ ending: Integer }>`SELECT DISTINCT ending FROM deliveries WHERE ${isMeant}`) {
      const refused = yield* refusalOf(alert, Number(ending))
      refusal ??= refused
      if (refused !== undefined) continue
      rows.push(
        ...yield* sql<ToldRow & { readonly channel: string }>`UPDATE deliveries
          SET state = 'pending', due_since = ${yield* Clock.currentTimeMillis}, gathered_at = NULL
          WHERE ${isMeant} AND ending = ${ending} RETURNING channel, event, again, again_at`
      )
    }
    // The alert as it was raised first, then as it was sent again, then its end.
    const order = ({ again_at, event }: ToldRow) => event === null ? Number(again_at ?? 0) : Infinity
    const told = Array.from(
      Map.groupBy(rows.toSorted((a, b) => order(a) - order(b)), order).values(),
      (rows) => toldOf({ ...alert, ...rows[0]! }, rows.map(({ channel }) => channel).toSorted())
    )
    yield* tell(told)
    return { told, refusal }
  })

  const hold = Effect.fnUntraced(function*(told: Told, channel: string, isInMaintenance: boolean) {
    const { alert } = told
    const ending = isEnding(told)
    // The row is locked: an alert that ends meanwhile would be held for ever.
    const [row] = yield* sql<Pick<AlertRow, "seq" | "state">>`SELECT seq, state FROM alerts WHERE id = ${alert.id} ${
      lockOfRows(sql)
    }`
    if (row === undefined) return false
    const ended = ending === 1 ? alert.id : alert.resolves
    const isKnown = ended === undefined ? undefined : yield* knows(sql, ended, channel)
    const isHeld = isKnown === undefined ? ending === 0 && (isInMaintenance || row.state === "silenced") : !isKnown
    if (!isHeld) return false
    yield* sql`UPDATE deliveries SET state = ${isOpen(row.state) ? "held" : "withheld"}, gathered_at = NULL
      WHERE alert_seq = ${row.seq} AND channel = ${channel} AND ending = ${ending} AND state = 'pending'`
    return true
  })

  return DeliveryStore.of({
    hold: (told, channel, isInMaintenance) => Outage.inTransaction(sql)(hold(told, channel, isInMaintenance)),

    due,

    isStill: ({ alert, to }) =>
      Effect.map(sql`SELECT seq FROM alerts WHERE id = ${alert.id} AND state = ${to}`, (rows) => rows.length > 0),

    recordAttempt: (told, channel, { lastError, state }, tell) => {
      const recording = Effect.gen(function*() {
        const deliveredAt = state === "delivered" ? yield* Clock.currentTimeMillis : undefined
        for (const each of told) {
          yield* sql`UPDATE deliveries SET ${
            sql.update({
              state,
              last_error: lastError ?? null,
              ...(deliveredAt === undefined ? {} : { delivered_at: deliveredAt }),
              // What is told again waits again.
              ...(state === "pending" ? {} : { gathered_at: null })
            })
          }, attempts = attempts + 1
            WHERE ${isOf(each, channel)}`
        }
      })
      if (tell !== undefined) return Outage.inTransaction(sql)(Effect.andThen(recording, tell))
      return told.length === 1 ? recording : Outage.inTransaction(sql)(recording)
    },

    gather: (told, channel) =>
      Effect.flatMap(
        Clock.currentTimeMillis,
        (now) =>
          Effect.asVoid(sql`UPDATE deliveries SET gathered_at = COALESCE(gathered_at, ${now})
          WHERE ${isOf(told, channel)} AND state = 'pending'`)
      ),

    gathered: (channel) =>
      Effect.map(
        sql<GatheredRow>`SELECT a.*, d.ending, d.event, d.again, d.again_at, d.due_since, d.gathered_at
          FROM deliveries d JOIN alerts a ON a.seq = d.alert_seq
          WHERE d.channel = ${channel} AND d.state = 'pending' AND d.gathered_at IS NOT NULL
          ORDER BY a.seq, d.ending`,
        (rows) =>
          rows.map((row) => ({
            told: toldOf(row, [channel]),
            dueSince: Number(row.due_since),
            gatheredAt: Number(row.gathered_at)
          }))
      ),

    lastDeliveredAt: (channel) =>
      Effect.map(
        sql<{ readonly at: Integer | null }>`SELECT MAX(delivered_at) AS at FROM deliveries WHERE channel = ${channel}`,
        ([row]) => row?.at == null ? undefined : Number(row.at)
      ),

    giveUpOthers: (channels, dueUntil) =>
      Effect.asVoid(sql`UPDATE deliveries
        SET state = 'given_up', last_error = COALESCE(last_error, 'the channel is not there any more')
        WHERE state = 'pending' AND due_since <= ${DateTime.toEpochMillis(dueUntil)}
          AND NOT ${channels.length === 0 ? sql`1 = 0` : sql.in("channel", channels)}`),

    givenUp: (channel) =>
      Effect.map(
        sql<Pick<AlertRow, "id">>`SELECT id FROM alerts WHERE seq IN
          (SELECT alert_seq FROM deliveries WHERE channel = ${channel} AND state = 'given_up') ORDER BY seq`,
        (rows) => rows.map(({ id }) => id)
      ),

    reopen: (alertId, channel, tell) => Outage.inTransaction(sql)(reopen(alertId, channel, tell))
  })
})

/** The delivery store in the database. */
export const layer: Layer.Layer<DeliveryStore, never, SqlClient.SqlClient> = Layer.effect(DeliveryStore, make)
