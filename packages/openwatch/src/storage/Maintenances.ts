/**
 * Maintenance: what somebody has begun, for as long as it lasts, together with what is planned.
 */
import { Outage } from "@openwatch/event-bus-sql"
import { Array, Clock, Context, DateTime, type Duration, Effect, Layer, Order } from "effect"
import * as SqlClient from "effect/sql/SqlClient"
import type * as SqlError from "effect/sql/SqlError"
import type { Alert } from "../alert-router/Alert.ts"
import {
  formatSubject,
  isOf,
  isOn,
  parseSubject,
  type Planned,
  type Subject,
  type Window,
  windowAt
} from "../alert-router/Maintenance.ts"
import { InMaintenance } from "../alert-router/Suppression.ts"
import type { HostId } from "../events/HostId.ts"
import { clean } from "../events/PlainText.ts"
import { alone } from "./alone.ts"

/** A maintenance that somebody has begun. */
export interface Begun {
  readonly subject: Subject
  readonly since: DateTime.Utc
  readonly until: DateTime.Utc
  readonly who: string
  readonly why: string
}

/** A maintenance that goes on, or is to come. */
export interface Scheduled extends Window {
  readonly subjects: ReadonlyArray<Subject>
  /** Who has begun it; `undefined` where it is planned. */
  readonly who: string | undefined
  readonly why: string
}

interface InventoryRow {
  readonly host_id: HostId
  readonly name: string
}

interface MaintenanceRow {
  readonly subject: string
  readonly since: number | bigint
  readonly until: number | bigint
  readonly who: string
  readonly why: string
}

/** Keeps maintenances. A host keeps its maintenance when it is renamed. */
export class Maintenances extends Context.Service<Maintenances, {
  /** Begins one. Each subject has at most one, so an earlier one of the same subject ends. */
  readonly begin: (
    subject: Subject,
    options: { readonly duration: Duration.Duration; readonly who: string; readonly why: string }
  ) => Effect.Effect<Begun, SqlError.SqlError>
  /** Those that go on, in the order in which they end. Hosts of the inventory have their names of now. */
  readonly current: Effect.Effect<ReadonlyArray<Begun>, SqlError.SqlError>
  /** Ends the maintenance of each of these subjects. Where some have none it ends nothing, and returns those. */
  readonly end: (subjects: ReadonlyArray<Subject>) => Effect.Effect<ReadonlyArray<Subject>, SqlError.SqlError>
  /** Whether a subject names a host of the inventory, or a host that has alerts. Without an inventory every name will do. */
  readonly isKnown: (subject: Subject) => Effect.Effect<boolean, SqlError.SqlError>
  /** These subjects, with the ids of those that are hosts of the inventory. */
  readonly identified: (subjects: ReadonlyArray<Subject>) => Effect.Effect<ReadonlyArray<Subject>, SqlError.SqlError>
  /** What goes on, planned or begun by somebody, by its end; then when what is planned begins next. */
  readonly schedule: (planned: ReadonlyArray<Planned>) => Effect.Effect<ReadonlyArray<Scheduled>, SqlError.SqlError>
}>()("@openwatch/openwatch/storage/Maintenances") {}

/** What goes on comes first, by its end. */
const byTime = Order.make<Scheduled>((a, b) =>
  a.isOn !== b.isOn ? (a.isOn ? -1 : 1) : a.isOn ? DateTime.Order(a.until, b.until) : DateTime.Order(a.since, b.since)
)

/** The maintenances in the database. */
export const layer: Layer.Layer<Maintenances, never, SqlClient.SqlClient> = Layer.effect(
  Maintenances,
  Effect.gen(function*() {
    const sql = yield* SqlClient.SqlClient

    const identified = Effect.fnUntraced(function*(subjects: ReadonlyArray<Subject>) {
      const names = subjects.flatMap((subject) => subject._tag === "Host" ? [subject.host] : [])
      if (names.length === 0) return subjects
      const ids = names.map((name) => name.toLowerCase())
      const hosts = yield* sql<InventoryRow>`SELECT host_id, name FROM inventory
        WHERE ${sql.or([sql.in("name", names), sql.in("host_id", ids)])}`
      return subjects.map((subject): Subject => {
        if (subject._tag === "Tag") return subject
        const host = hosts.find(({ name }) => name === subject.host) ??
          hosts.find(({ host_id }) => host_id === subject.host.toLowerCase())
        return host === undefined ? subject : { _tag: "Host", host: host.name, id: host.host_id }
      })
    })

    const keyOf = (subject: Subject) => (subject._tag === "Host" ? subject.id : undefined) ?? formatSubject(subject)

    const current = Effect.gen(function*() {
      const now = yield* Clock.currentTimeMillis
      const rows = yield* sql<MaintenanceRow>`SELECT subject, since, until, who, why FROM maintenance
        WHERE until > ${now} ORDER BY until, subject`
      const subjects = yield* identified(rows.map(({ subject }) => parseSubject(subject)))
      return rows.map((row, index): Begun => ({
        subject: subjects[index]!,
        since: DateTime.makeUnsafe(Number(row.since)),
        until: DateTime.makeUnsafe(Number(row.until)),
        who: row.who,
        why: row.why
      }))
    })

    return Maintenances.of({
      begin: Effect.fnUntraced(function*(given, { duration, who, why: givenWhy }) {
        const [subject = given] = yield* identified([given])
        const since = yield* DateTime.now
        const until = DateTime.addDuration(since, duration)
        const why = clean(givenWhy)
        const row = {
          subject: keyOf(subject),
          since: DateTime.toEpochMillis(since),
          until: DateTime.toEpochMillis(until),
          who,
          why
        }
        yield* sql`INSERT INTO maintenance ${sql.insert(row)} ON CONFLICT (subject) DO UPDATE
          SET since = excluded.since, until = excluded.until, who = excluded.who, why = excluded.why`
        return { subject, since, until, who, why }
      }),

      current,

      end: (given) =>
        Effect.gen(function*() {
          yield* alone(sql)
          const subjects = yield* identified(given)
          // It may have begun before there was an inventory.
          const keysOf = (subject: Subject) => [keyOf(subject), formatSubject(subject)]
          const rows = yield* sql<Pick<MaintenanceRow, "subject">>`SELECT subject FROM maintenance
            WHERE until > ${yield* Clock.currentTimeMillis} AND ${sql.in("subject", subjects.flatMap(keysOf))}`
          const going = new Set(rows.map(({ subject }) => subject))
          const missing = subjects.filter((subject) => !keysOf(subject).some((key) => going.has(key)))
          if (missing.length === 0) yield* sql`DELETE FROM maintenance WHERE ${sql.in("subject", [...going])}`
          return missing
        }).pipe(Outage.inTransaction(sql)),

      isKnown: Effect.fnUntraced(function*(subject) {
        const [host] = yield* sql`SELECT host_id FROM inventory LIMIT 1`
        if (host === undefined) return true
        if (subject._tag === "Host") {
          const [known = subject] = yield* identified([subject])
          if (known._tag === "Host" && known.id !== undefined) return true
          const found = yield* sql`SELECT host_id FROM alerts WHERE host_id = ${subject.host} LIMIT 1`
          return found.length > 0
        }
        const rows = yield* sql<{ tags: string }>`SELECT DISTINCT tags FROM inventory`
        return rows.some(({ tags }) => (JSON.parse(tags) as Record<string, string>)[subject.name] === subject.value)
      }),

      identified,

      schedule: Effect.fnUntraced(function*(planned) {
        const now = yield* DateTime.now
        const begun = (yield* current).map(({ since, subject, until, who, why }): Scheduled => ({
          subjects: [subject],
          isOn: true,
          since,
          until,
          who,
          why
        }))
        const due = planned.flatMap((each) => {
          const window = windowAt(each, now)
          return window === undefined ? [] : [{ each, window }]
        })
        const subjects = due.flatMap(({ each }) => each.subjects)
        const known = yield* identified(subjects)
        const knownOf = new Map(subjects.map((subject, index) => [subject, known[index]!]))
        const windows = due.map(({ each: { subjects, why }, window: { isOn, since, until } }): Scheduled => ({
          isOn,
          since,
          until,
          subjects: subjects.map((subject) => knownOf.get(subject)!),
          who: undefined,
          why
        }))
        return Array.sort([...begun, ...windows], byTime)
      })
    })
  })
)

/** Says of alerts whether their hosts are in maintenance, planned or begun. */
export const suppressing = (
  planned: ReadonlyArray<Planned>
): Layer.Layer<never, never, Maintenances> =>
  Layer.effect(
    InMaintenance,
    Effect.map(Maintenances, ({ current, identified }) =>
      Effect.gen(function*() {
        const now = yield* DateTime.now
        const subjects = [
          ...(yield* identified(planned.filter((each) => isOn(each, now)).flatMap(({ subjects }) => subjects))),
          ...(yield* current).map(({ subject }) => subject)
        ]
        return (alert: Pick<Alert, "hostId" | "tags">) => subjects.some((subject) => isOf(subject, alert))
      }))
  )
