/**
 * The statements, in the dialects of both databases. Everything that decides something is elsewhere.
 */
import type { EventBus } from "@openwatch/event-bus"
import { Clock, type Context, Effect, Queue, type Scope } from "effect"
import * as SqlClient from "effect/sql/SqlClient"
import type * as SqlError from "effect/sql/SqlError"
import type * as Statement from "effect/sql/Statement"
import { parkedLimit } from "./partition.ts"
import { type Tables, tablesOf } from "./tables.ts"

type Sql<A> = Effect.Effect<A, SqlError.SqlError>

/** An event as it is stored. */
export interface NewRow {
  readonly kind: string
  readonly id: string
  readonly slot: number
  readonly keyHash: string
  /** JSON. */
  readonly payload: string
  /** The W3C `traceparent` of the publisher. */
  readonly trace: string | null
}

/** An event of the log. */
export interface LogRow extends NewRow {
  readonly seq: number
  /** Milliseconds since 1970. */
  readonly publishedAt: number
  /** Once it was decoded: for the live lane and all consumers. */
  event: EventBus.AnyEvent | undefined
}

/** An event that was read. As long as it is there, what was read up to it still holds. */
export interface Known {
  readonly seq: number
  readonly id: string
}

/** Rows of the log, with the oldest running transaction and the generation of the same snapshot. */
export interface TailPage {
  readonly rows: ReadonlyArray<LogRow>
  /** The numbers of the rows, also where the rows were not read. */
  readonly numbers: ReadonlyArray<number>
  /** Counted up by every change of registrations, owners or dead letters. Whoever sees an event sees the changes before it. */
  readonly generation: number
  /** PostgreSQL's `xmin`: every transaction below it has ended. `undefined` on SQLite, which has no gaps. */
  readonly xmin: bigint | undefined
  /** False where what was known is not there any more. */
  readonly isContinued: boolean
}

export type ParkedState = "retrying" | "waiting" | "dead" | "requeued"

/** An event that a consumer has moved past without having handled it. */
export interface ParkedRow {
  readonly seq: number
  readonly part: number
  readonly keyHash: string
  readonly state: ParkedState
  readonly attempts: number
  /** Milliseconds until it is due, by the database's clock; below 0 where it is overdue. */
  readonly dueIn: number
  readonly cause: string | null
}

/** A partition's row. */
export interface PositionRow {
  readonly consumer: string
  readonly part: number
  readonly pos: number
  readonly owner: string | null
  readonly epoch: number
  readonly isUnclean: boolean
}

/** A partition that this process has taken, with what it has parked, and the highest number visible then. */
export interface Taken {
  readonly position: PositionRow
  readonly parked: ReadonlyArray<ParkedRow>
  readonly head: number
}

/** A dead letter and its event. */
export interface DeadRow extends LogRow {
  readonly consumer: string
  readonly attempts: number
  readonly cause: string | null
  /** Milliseconds since 1970. */
  readonly failedAt: number
}

/** What identifies a dead letter. */
export interface DeadKey {
  readonly consumer: string
  readonly kind: string
  readonly id: string
}

/** How a consumer is doing, wherever it is served. */
export interface Standing extends ConsumerRow {
  readonly lag: number
  /** When the oldest event was published that it has not moved past: milliseconds since 1970. */
  readonly oldest: number | undefined
  /** How long ago that was, by the clock that gave it its time. */
  readonly ageMillis: number
  readonly parked: Readonly<Partial<Record<ParkedState, number>>>
  /** How many partitions each process owns. */
  readonly owners: Readonly<Record<string, number>>
  readonly seenAt: number
}

export interface ConsumerRow {
  readonly name: string
  /** Each kind, and the number behind which the consumer handles it. */
  readonly kinds: Readonly<Record<string, number>>
  readonly ordering: string
  readonly partitions: number
  readonly replacedBy: string | null
}

interface RawConsumer {
  readonly name: string
  readonly kinds: string
  readonly ordering: string
  readonly partitions: number
  readonly replaced_by: string | null
}

const consumerRow = (row: RawConsumer): ConsumerRow => ({
  name: row.name,
  kinds: JSON.parse(row.kinds) as Record<string, number>,
  ordering: row.ordering,
  partitions: row.partitions,
  replacedBy: row.replaced_by
})

/** What has changed, as seen by the renewal of the lease. */
export interface Beat {
  /** False where the lease has ended, or the row is gone. */
  readonly isRenewed: boolean
  readonly generation: number
  /** The highest number in the log. */
  readonly head: number
  /** PostgreSQL: some process's lease has ended. */
  readonly hasExpired: boolean
  readonly processes: number
  /** False where what was known of the log is not there any more. */
  readonly isContinued: boolean
  /** SQLite: the counters of all processes. */
  readonly beats: ReadonlyMap<string, number>
}

/** A change of a partition, to be made only while this process owns it. */
export interface Move {
  readonly consumer: string
  readonly part: number
  readonly epoch: number
  readonly pos: number
  readonly isUnclean: boolean
}

export interface Park {
  readonly consumer: string
  readonly part: number
  readonly epoch: number
  readonly seq: number
  readonly keyHash: string
  readonly state: ParkedState
  readonly attempts: number
  /** Milliseconds from now. */
  readonly dueIn: number
  readonly cause: string | null
}

export interface Unpark {
  readonly consumer: string
  readonly part: number
  readonly epoch: number
  readonly seq: number
}

/**
 * What a process knows of itself. It changes while a transaction waits, so transactions read it only after they have locked
 * the row of the state.
 */
export interface Member {
  readonly id: string
  /** The consumers that it serves, or is about to. */
  readonly serving: ReadonlyArray<string>
  /** Those that it does not serve any more, although the database may still say so. */
  readonly left: ReadonlyArray<string>
}

/** A number of 64 bits. Drivers differ in how they give it. */
type Big = number | string | bigint

interface RawRow {
  readonly seq: Big
  readonly kind: string
  readonly id: string
  readonly slot: number
  readonly key_hash: string
  readonly payload: string
  readonly trace: string | null
  readonly published_at: Big
}

/** What each row of a page says of its snapshot. */
interface RawSnapshot {
  readonly xmin?: string
  readonly generation: Big
  readonly is_continued: number | boolean
}

const logRow = (row: RawRow): LogRow => ({
  seq: Number(row.seq),
  kind: row.kind,
  id: row.id,
  slot: row.slot,
  keyHash: row.key_hash,
  payload: row.payload,
  trace: row.trace,
  publishedAt: Number(row.published_at),
  event: undefined
})

const pageOf = (rows: ReadonlyArray<Pick<RawRow, "seq"> & RawSnapshot>): Omit<TailPage, "rows"> => {
  const [first] = rows
  return {
    numbers: rows.map(({ seq }) => Number(seq)),
    generation: Number(first?.generation ?? 0),
    xmin: first?.xmin === undefined ? undefined : BigInt(first.xmin),
    isContinued: first === undefined || Boolean(first.is_continued)
  }
}

interface RawParked {
  readonly seq: Big
  readonly part: number
  readonly key_hash: string
  readonly state: ParkedState
  readonly attempts: number
  readonly due_in: Big
  readonly cause: string | null
}

const parkedRow = (row: RawParked): ParkedRow => ({
  seq: Number(row.seq),
  part: row.part,
  keyHash: row.key_hash,
  state: row.state,
  attempts: row.attempts,
  dueIn: Number(row.due_in),
  cause: row.cause
})

interface RawPosition {
  readonly consumer: string
  readonly part: number
  readonly pos: Big
  readonly owner: string | null
  readonly epoch: Big
  readonly is_unclean: number
}

const positionRow = (row: RawPosition): PositionRow => ({
  consumer: row.consumer,
  part: row.part,
  pos: Number(row.pos),
  owner: row.owner,
  epoch: Number(row.epoch),
  isUnclean: row.is_unclean !== 0
})

/** What the PostgreSQL client of Effect has beside a `SqlClient`. */
interface ListeningClient {
  readonly listen: (
    channel: string
  ) => Effect.Effect<Queue.Dequeue<{ readonly payload: string }, SqlError.SqlError>, SqlError.SqlError, Scope.Scope>
  readonly config?: { readonly maxConnections?: number | undefined }
}

const canListen = (client: SqlClient.SqlClient): client is SqlClient.SqlClient & ListeningClient =>
  "listen" in client && typeof client.listen === "function"

export class Database {
  readonly sql: SqlClient.SqlClient
  readonly tables: Tables
  readonly isPostgres: boolean
  readonly client: SqlClient.SqlClient
  private readonly leaseMillis: number
  private readonly events: Statement.Fragment
  private readonly processes: Statement.Fragment
  private readonly members: Statement.Fragment
  private readonly consumers: Statement.Fragment
  private readonly positions: Statement.Fragment
  private readonly parked: Statement.Fragment
  private readonly state: Statement.Fragment

  constructor(client: SqlClient.SqlClient, prefix: string, leaseMillis: number) {
    this.client = client
    this.sql = client.withoutTransforms()
    this.leaseMillis = leaseMillis
    this.isPostgres = client.onDialectOrElse({ pg: () => true, orElse: () => false })
    this.tables = tablesOf(prefix)
    const name = (table: string) => this.sql.literal(table)
    this.events = name(this.tables.events)
    this.processes = name(this.tables.processes)
    this.members = name(this.tables.members)
    this.consumers = name(this.tables.consumers)
    this.positions = name(this.tables.positions)
    this.parked = name(this.tables.parked)
    this.state = name(this.tables.state)
  }

  /** The transaction that an effect runs in, if it is one of this client. */
  get transactionService(): Context.Service<SqlClient.TransactionConnection, SqlClient.TransactionConnection.Service> {
    return this.client.transactionService
  }

  /** Milliseconds since 1970, by the server's clock, or on SQLite by Effect's. */
  private readonly now: Effect.Effect<Statement.Fragment> = Effect.suspend(() =>
    this.isPostgres
      ? Effect.succeed(this.sql`(extract(epoch FROM clock_timestamp()) * 1000)::bigint`)
      : Effect.map(Clock.currentTimeMillis, (millis) => this.sql`${millis}`)
  )

  /**
   * A transaction of the package's own. It holds locks that other processes wait for, so a process that is stopped in the
   * middle of it loses its connection when its lease would have ended.
   */
  transact<A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, E | SqlError.SqlError, R> {
    return this.isPostgres
      ? this.client.withTransaction(Effect.andThen(this.limitIdling, effect))
      : Effect.provideService(this.client.withTransaction(effect), SqlClient.BeginTransaction, "BEGIN IMMEDIATE")
  }

  private readonly limitIdling: Sql<unknown> = Effect.suspend(() =>
    this.sql`SELECT set_config('idle_in_transaction_session_timeout', ${String(this.leaseMillis)}, true)`
  )

  // ---------------------------------------------------------------------------
  // The log
  // ---------------------------------------------------------------------------

  /** Stores one event. False where one of its kind and id is there. */
  insert(row: NewRow, isIdGiven: boolean): Sql<boolean> {
    const { sql } = this
    const payload = this.isPostgres ? sql`${row.payload}::json` : sql`${row.payload}`
    const { id, keyHash, kind, slot, trace } = row
    if (this.isPostgres) {
      return isIdGiven
        // Readers wait for a number that was drawn and not used, so an id that is known already must not draw one.
        ? Effect.map(
          sql`INSERT INTO ${this.events} (kind, id, slot, key_hash, payload, trace)
            SELECT ${kind}::text, ${id}::text, ${slot}, ${keyHash}::text, ${payload}, ${trace}::text
            WHERE NOT EXISTS (SELECT 1 FROM ${this.events} WHERE kind = ${kind} AND id = ${id})
            ON CONFLICT (kind, id) DO NOTHING RETURNING 1 AS stored`,
          (rows) => rows.length > 0
        )
        : Effect.as(
          sql`INSERT INTO ${this.events} (kind, id, slot, key_hash, payload, trace)
            VALUES (${kind}, ${id}, ${slot}, ${keyHash}, ${payload}, ${trace})`,
          true
        )
    }
    return Effect.flatMap(this.now, (now) =>
      Effect.map(
        sql`INSERT INTO ${this.events} (kind, id, slot, key_hash, payload, trace, published_at)
          VALUES (${kind}, ${id}, ${slot}, ${keyHash}, ${payload}, ${trace}, ${now})
          ON CONFLICT (kind, id) DO NOTHING RETURNING 1 AS stored`,
        (rows) => rows.length > 0
      ))
  }

  /** Stores events with new ids, in order, in one statement. */
  insertAll(rows: ReadonlyArray<NewRow>): Sql<void> {
    const { sql } = this
    const input = JSON.stringify(rows)
    return Effect.asVoid(
      this.isPostgres
        ? sql`INSERT INTO ${this.events} (kind, id, slot, key_hash, payload, trace)
            SELECT kind, id, slot, "keyHash", payload::json, trace
            FROM ROWS FROM (json_to_recordset(${input}::json)
              AS (kind text, id text, slot int, "keyHash" text, payload text, trace text)) WITH ORDINALITY
            ORDER BY ordinality`
        : Effect.flatMap(
          this.now,
          (now) =>
            sql`INSERT INTO ${this.events} (kind, id, slot, key_hash, payload, trace, published_at)
            SELECT value ->> 'kind', value ->> 'id', value ->> 'slot', value ->> 'keyHash', value ->> 'payload',
              value ->> 'trace', ${now}
            FROM json_each(${input}) ORDER BY key`
        )
    )
  }

  /** The content of an event. */
  payloadOf(kind: string, id: string): Sql<string | undefined> {
    return Effect.map(
      this.sql<{ readonly payload: string }>`SELECT CAST(payload AS text) AS payload FROM ${this.events}
        WHERE kind = ${kind} AND id = ${id}`,
      ([row]) => row?.payload
    )
  }

  private get columns(): Statement.Fragment {
    return this.sql`seq, kind, id, slot, key_hash, CAST(payload AS text) AS payload, trace, published_at`
  }

  /**
   * True where an event that was read is still there. It is not where the database went back: a standby has taken over that
   * lacked the last commits, or a backup. Then its numbers are given again, to other events. The file of SQLite stays.
   */
  private follows(known: Known | undefined): Statement.Fragment {
    return known === undefined || !this.isPostgres
      ? this.sql`1 = 1`
      : this.sql`EXISTS (SELECT 1 FROM ${this.events} WHERE seq = ${known.seq} AND id = ${known.id})`
  }

  /** What each row of a page says of its snapshot. One statement, and so one snapshot: others commit between two statements. */
  private snapshot(known: Known | undefined): Statement.Fragment {
    const xmin = this.isPostgres ? this.sql`, pg_snapshot_xmin(pg_current_snapshot())::text AS xmin` : this.sql``
    return this.sql`(SELECT generation FROM ${this.state}) AS generation, ${this.follows(known)} AS is_continued${xmin}`
  }

  /** What is visible behind a number. */
  readTail(after: number, known: Known | undefined, limit: number): Sql<TailPage> {
    return Effect.map(
      this.sql<RawRow & RawSnapshot>`SELECT ${this.columns}, ${this.snapshot(known)}
        FROM ${this.events} WHERE seq > ${after} ORDER BY seq LIMIT ${limit}`,
      (rows) => ({ rows: rows.map(logRow), ...pageOf(rows) })
    )
  }

  /** The same without the rows. */
  readNumbers(after: number, known: Known | undefined, limit: number): Sql<TailPage> {
    return Effect.map(
      this.sql<Pick<RawRow, "seq"> & RawSnapshot>`SELECT seq, ${this.snapshot(known)}
        FROM ${this.events} WHERE seq > ${after} ORDER BY seq LIMIT ${limit}`,
      (rows) => ({ rows: [], ...pageOf(rows) })
    )
  }

  /** The last event that is visible, up to a number. */
  lastUpTo(seq: number): Sql<Known | undefined> {
    return Effect.map(
      this.sql<{ readonly seq: Big; readonly id: string }>`SELECT seq, id FROM ${this.events}
        WHERE seq <= ${seq} ORDER BY seq DESC LIMIT 1`,
      ([row]) => row === undefined ? undefined : { seq: Number(row.seq), id: row.id }
    )
  }

  /** The number of a transaction that begins now. */
  readonly drawTransactionNumber: Sql<bigint> = Effect.suspend(() =>
    Effect.map(
      this.sql<{ readonly xid: string }>`SELECT pg_current_xact_id()::text AS xid`,
      ([row]) => BigInt(row!.xid)
    )
  )

  /** Events of some kinds between two numbers. */
  readKinds(after: number, upTo: number, kinds: ReadonlyArray<string>, limit: number): Sql<ReadonlyArray<LogRow>> {
    const { sql } = this
    return Effect.map(
      sql<RawRow>`SELECT ${this.columns} FROM ${this.events}
        WHERE seq > ${after} AND seq <= ${upTo} AND ${sql.in("kind", kinds)} ORDER BY seq LIMIT ${limit}`,
      (rows) => rows.map(logRow)
    )
  }

  /** Events by their numbers. */
  readRows(numbers: ReadonlyArray<number>): Sql<ReadonlyArray<LogRow>> {
    const { sql } = this
    return Effect.map(
      sql<RawRow>`SELECT ${this.columns} FROM ${this.events} WHERE ${sql.in("seq", numbers)}`,
      (rows) => rows.map(logRow)
    )
  }

  /** The lowest number of what was published at a time or later. */
  firstSince(millis: number): Sql<number | undefined> {
    return Effect.map(
      this.sql<{ readonly seq: Big | null }>`SELECT MIN(seq) AS seq FROM ${this.events}
        WHERE published_at >= ${millis}`,
      ([row]) => row?.seq === null || row === undefined ? undefined : Number(row.seq)
    )
  }

  /** PostgreSQL: how many numbers a session draws at once. */
  readonly sequenceCache: Sql<number> = Effect.suspend(() =>
    Effect.map(
      this.sql<{ readonly cache: Big }>`SELECT seqcache AS cache FROM pg_sequence
        WHERE seqrelid = pg_get_serial_sequence(${this.tables.events}, 'seq')::regclass`,
      ([row]) => Number(row?.cache ?? 1)
    )
  )

  /** How far the log was known to be whole. */
  readonly horizon: Sql<number> = Effect.suspend(() =>
    Effect.map(
      this.sql<{ readonly horizon: Big }>`SELECT horizon FROM ${this.state}`,
      ([row]) => Number(row?.horizon ?? 0)
    )
  )

  /** Remembers how far the log is known to be whole, for processes that start. */
  storeHorizon(horizon: number, known: Known | undefined): Sql<void> {
    return Effect.asVoid(
      this.sql`UPDATE ${this.state} SET horizon = ${horizon} WHERE horizon < ${horizon} AND ${this.follows(known)}`
    )
  }

  // ---------------------------------------------------------------------------
  // Processes
  // ---------------------------------------------------------------------------

  /**
   * Adds a process, and what it serves. Processes whose ids begin with `former` are known not to run any more: what they
   * owned is free at once.
   */
  join(member: Member, former: string | undefined): Sql<void> {
    const { sql } = this
    return this.transact(Effect.gen({ self: this }, function*() {
      const now = yield* this.now
      yield* this.changeGeneration
      if (former !== undefined) {
        const isFormer = (column: string) => sql`substr(${sql(column)}, 1, ${former.length}) = ${former}`
        yield* sql`UPDATE ${this.positions} SET owner = NULL, epoch = epoch + 1, is_unclean = 1 WHERE ${
          isFormer("owner")
        }`
        yield* sql`DELETE FROM ${this.members} WHERE ${isFormer("process")}`
        yield* sql`DELETE FROM ${this.processes} WHERE ${isFormer("id")}`
      }
      const { id, serving } = member
      // The row exists if the reply to an earlier COMMIT was lost.
      yield* sql`INSERT INTO ${this.processes} (id, lease_until, beat) VALUES (${id}, ${now} + ${this.leaseMillis}, 0)
        ON CONFLICT (id) DO UPDATE SET lease_until = excluded.lease_until`
      for (const consumer of serving) yield* this.joinConsumer(id, consumer)
    }))
  }

  /** Does nothing for a process whose lease was taken away: when it joins again, it says what it serves. */
  private joinConsumer(process: string, consumer: string): Sql<unknown> {
    return this.sql`INSERT INTO ${this.members} (process, consumer)
      SELECT id, ${consumer} FROM ${this.processes} WHERE id = ${process} ON CONFLICT DO NOTHING`
  }

  /** Renews the lease, and reads what a process has to look at regularly. One statement, since it runs all the time. */
  beat(process: string, known: Known | undefined): Sql<Beat> {
    const { sql } = this
    interface Raw {
      readonly renewed: Big
      readonly generation: Big
      readonly head: Big | null
      readonly expired: Big
      readonly processes: Big
      readonly is_continued: number | boolean
      readonly beats: string | null
    }
    const beatOf = (raw: Raw | undefined): Beat => ({
      isRenewed: raw !== undefined && Number(raw.renewed) > 0,
      generation: Number(raw?.generation ?? 0),
      head: Number(raw?.head ?? 0),
      hasExpired: Number(raw?.expired ?? 0) > 0,
      processes: Number(raw?.processes ?? 1),
      isContinued: raw === undefined || Boolean(raw.is_continued),
      beats: new Map(Object.entries(JSON.parse(raw?.beats ?? "{}") as Record<string, number>))
    })
    return this.isPostgres
      ? Effect.flatMap(this.now, (now) =>
        Effect.map(
          sql<Raw>`WITH renewed AS (
              UPDATE ${this.processes} SET lease_until = ${now} + ${this.leaseMillis}
              WHERE id = ${process} AND lease_until > ${now} RETURNING 1
            )
            SELECT (SELECT count(*) FROM renewed)::int AS renewed, generation,
              (SELECT MAX(seq) FROM ${this.events}) AS head,
              (SELECT count(*) FROM ${this.processes} WHERE lease_until <= ${now} AND id <> ${process})::int AS expired,
              (SELECT count(*) FROM ${this.processes})::int AS processes,
              ${this.follows(known)} AS is_continued
            FROM ${this.state}`,
          ([raw]) => beatOf(raw)
        ))
      : Effect.map(
        sql<Raw>`UPDATE ${this.processes} SET beat = beat + 1 WHERE id = ${process}
          RETURNING 1 AS renewed,
            (SELECT generation FROM ${this.state}) AS generation,
            (SELECT MAX(seq) FROM ${this.events}) AS head,
            0 AS expired,
            (SELECT COUNT(*) FROM ${this.processes}) AS processes,
            1 AS is_continued,
            (SELECT json_group_object(id, beat) FROM ${this.processes}) AS beats`,
        ([raw]) => beatOf(raw)
      )
  }

  /** What a process looks at when another has committed something. */
  readonly peek: Sql<{ readonly generation: number; readonly head: number }> = Effect.suspend(() =>
    Effect.map(
      this.sql<{ readonly generation: Big; readonly head: Big | null }>`SELECT generation,
          (SELECT MAX(seq) FROM ${this.events}) AS head FROM ${this.state}`,
      ([row]) => ({ generation: Number(row?.generation ?? 0), head: Number(row?.head ?? 0) })
    )
  )

  /** SQLite: the file of the database, or `undefined` where it is in memory. */
  readonly file: Sql<string | undefined> = Effect.suspend(() =>
    Effect.map(
      this.sql<{ readonly name: string; readonly file: string | null }>`PRAGMA database_list`,
      (rows) => rows.find(({ name }) => name === "main")?.file || undefined
    )
  )

  /** SQLite: a number that is another after every commit of another connection. */
  readonly dataVersion: Sql<number> = Effect.suspend(() =>
    Effect.map(
      this.sql<{ readonly data_version: Big }>`PRAGMA data_version`,
      ([row]) => Number(row?.data_version ?? 0)
    )
  )

  /** Tells the other processes to look, and locks the row of the state: changes come one after the other. */
  private readonly changeGeneration: Sql<unknown> = Effect.suspend(() =>
    this.sql`UPDATE ${this.state} SET generation = generation + 1`
  )

  /** Locks the row of the state, and changes nothing. SQLite has one writer anyway. */
  private readonly lockState: Sql<void> = Effect.suspend(() =>
    this.isPostgres ? Effect.asVoid(this.sql`SELECT 1 FROM ${this.state} FOR UPDATE`) : Effect.void
  )

  /**
   * Frees what dead processes owned. On PostgreSQL the server's clock says who is dead. On SQLite `expired` does: it has the
   * counters that have not moved for a whole lease.
   */
  private bury(expired: ReadonlyMap<string, number>): Sql<void> {
    const { sql } = this
    return Effect.gen({ self: this }, function*() {
      let dead: ReadonlyArray<string>
      if (this.isPostgres) {
        const now = yield* this.now
        // A renewal that came first is seen here: PostgreSQL looks at a row again once it has its lock.
        const rows = yield* sql<{ readonly id: string }>`SELECT id FROM ${this.processes}
          WHERE lease_until <= ${now} FOR UPDATE SKIP LOCKED`
        dead = rows.map(({ id }) => id)
      } else {
        const rows = yield* sql<{ readonly id: string; readonly beat: number }>`SELECT id, beat FROM ${this.processes}`
        dead = rows.filter(({ beat, id }) => expired.get(id) === beat).map(({ id }) => id)
      }
      if (dead.length === 0) return
      // A locked row is in use by a transaction that has not ended yet. It is freed by a later look.
      yield* this.isPostgres
        ? sql`UPDATE ${this.positions} SET owner = NULL, epoch = epoch + 1, is_unclean = 1
            WHERE (consumer, part) IN (
              SELECT consumer, part FROM ${this.positions} WHERE ${sql.in("owner", dead)} FOR UPDATE SKIP LOCKED)`
        : sql`UPDATE ${this.positions} SET owner = NULL, epoch = epoch + 1, is_unclean = 1
            WHERE ${sql.in("owner", dead)}`
      yield* sql`DELETE FROM ${this.members} WHERE ${sql.in("process", dead)}`
      yield* sql`DELETE FROM ${this.processes} WHERE ${sql.in("id", dead)}
        AND NOT EXISTS (SELECT 1 FROM ${this.positions} WHERE owner = ${this.processes}.id)`
      yield* this.changeGeneration
    })
  }

  // ---------------------------------------------------------------------------
  // Consumers and their partitions
  // ---------------------------------------------------------------------------

  consumer(name: string): Sql<ConsumerRow | undefined> {
    return Effect.map(
      this.sql<RawConsumer>`SELECT name, kinds, ordering, partitions, replaced_by FROM ${this.consumers}
        WHERE name = ${name}`,
      ([row]) => row === undefined ? undefined : consumerRow(row)
    )
  }

  /** What some consumers are registered for, and the generation of the same snapshot. */
  readConsumers(
    names: ReadonlyArray<string>
  ): Sql<{ readonly rows: ReadonlyArray<ConsumerRow>; readonly generation: number }> {
    const { sql } = this
    return Effect.map(
      sql<RawConsumer & { readonly generation: Big }>`SELECT name, kinds, ordering, partitions, replaced_by,
          (SELECT generation FROM ${this.state}) AS generation
        FROM ${this.consumers} WHERE ${sql.in("name", names)}`,
      (rows) => ({
        rows: rows.map(consumerRow),
        generation: Number(rows[0]?.generation ?? 0)
      })
    )
  }

  /**
   * Registers a consumer, or brings its row up to date, and adds this process to those that serve it. `decide` gets the row
   * that is there, where a kind that is new to it starts, and whether some process serves it; what it returns is stored.
   *
   * A kind that is new to a consumer starts behind everything that any process can have read before this is committed. What
   * is read later comes with a newer generation, which tells of the kind. So a process that serves the consumer without the
   * kind has passed over nothing that comes behind the kind's start.
   */
  register<E>(
    member: Member,
    name: string,
    kindsOf: ReadonlyArray<string>,
    replaces: string | undefined,
    horizon: number,
    expired: ReadonlyMap<string, number>,
    refuse: (why: string) => Effect.Effect<never, E>,
    decide: (
      row: ConsumerRow | undefined,
      start: number,
      isServed: Sql<boolean>
    ) => Effect.Effect<ConsumerRow, E | SqlError.SqlError>
  ): Effect.Effect<ConsumerRow, E | SqlError.SqlError> {
    const { sql } = this
    return this.transact(Effect.gen({ self: this }, function*() {
      yield* this.changeGeneration
      if (replaces !== undefined) yield* this.replace(replaces, name, expired, refuse)
      const found = yield* this.consumer(name)
      const start = found === undefined
        // The log may have gone back since it was read.
        ? Math.min(horizon, yield* this.head)
        : kindsOf.every((kind) => found.kinds[kind] !== undefined)
        ? horizon
        : Math.max(horizon, yield* this.endOfLog(name))
      const row = yield* decide(found, start, this.isServed(name, expired, member.id))
      const now = yield* this.now
      const kinds = JSON.stringify(row.kinds)
      if (found === undefined) {
        yield* sql`INSERT INTO ${this.consumers} (name, kinds, ordering, partitions, seen_at)
          VALUES (${name}, ${kinds}, ${row.ordering}, ${row.partitions}, ${now})`
        const pos = Math.min(...Object.values(row.kinds))
        for (let part = 0; part < row.partitions; part++) {
          yield* sql`INSERT INTO ${this.positions} (consumer, part, pos, epoch, is_unclean)
            VALUES (${name}, ${part}, ${pos}, 0, 0)`
        }
      } else {
        if (row.ordering === "all" && found.ordering !== "all") yield* this.unite(found, refuse)
        else if (row.partitions !== found.partitions) yield* this.split(found, row.partitions)
        yield* sql`UPDATE ${this.consumers} SET kinds = ${kinds}, ordering = ${row.ordering},
          partitions = ${row.partitions}, seen_at = ${now} WHERE name = ${name}`
      }
      yield* this.joinConsumer(member.id, name)
      return row
    }))
  }

  /** True where any other process than `except` serves a consumer, or still owns one of its partitions. */
  private isServed(consumer: string, expired: ReadonlyMap<string, number>, except = ""): Sql<boolean> {
    return Effect.andThen(
      this.bury(expired),
      Effect.map(
        this.sql`SELECT 1 AS served FROM ${this.members} WHERE consumer = ${consumer} AND process <> ${except}
          UNION ALL SELECT 1 FROM ${this.positions} WHERE consumer = ${consumer} AND owner <> ${except}`,
        (rows) => rows.length > 0
      )
    )
  }

  /** Splits each partition into several. Nobody owns any of them. */
  private split({ name: consumer, ordering, partitions: from }: ConsumerRow, to: number): Sql<void> {
    const { sql } = this
    return Effect.gen({ self: this }, function*() {
      // With order "all" what is tried again is in front of the position; otherwise the position has moved past it.
      const [parked] = yield* sql<{ readonly seq: Big | null }>`SELECT MAX(seq) AS seq FROM ${this.parked}
        WHERE consumer = ${consumer}`
      const least = ordering === "all" ? Number(parked?.seq ?? 0) : 0
      yield* sql`UPDATE ${this.positions} SET epoch = epoch + 1, pos = CASE WHEN pos < ${least} THEN ${least} ELSE pos END
        WHERE consumer = ${consumer}`
      for (let part = from; part < to; part++) {
        yield* sql`INSERT INTO ${this.positions} (consumer, part, pos, epoch, is_unclean)
          SELECT consumer, ${part}, pos, epoch, is_unclean FROM ${this.positions}
          WHERE consumer = ${consumer} AND part = ${part % from}`
      }
      yield* sql`UPDATE ${this.parked} SET part = (
          SELECT e.slot % ${to} FROM ${this.events} e WHERE e.seq = ${this.parked}.seq
        ) WHERE consumer = ${consumer}`
    })
  }

  /**
   * Unites all partitions, which nobody owns, in one that begins where the furthest was. What the others had not handled is
   * parked, and so comes first.
   */
  private unite<E>(
    { kinds, name, partitions }: ConsumerRow,
    refuse: (why: string) => Effect.Effect<never, E>
  ): Effect.Effect<void, E | SqlError.SqlError> {
    const { sql } = this
    return Effect.gen({ self: this }, function*() {
      // A parked event may be ahead of the furthest position: then all in front of that event is parked as well.
      const [furthest] = yield* sql<{ readonly pos: Big; readonly parked: Big | null }>`SELECT MAX(pos) AS pos,
          (SELECT MAX(seq) FROM ${this.parked} WHERE consumer = ${name}) AS parked
        FROM ${this.positions} WHERE consumer = ${name}`
      const pos = Math.max(Number(furthest!.pos), Number(furthest!.parked ?? 0))
      const own = sql.or(Object.entries(kinds).map(([kind, start]) => sql`(e.kind = ${kind} AND e.seq > ${start})`))
      yield* sql`INSERT INTO ${this.parked} (consumer, seq, part, key_hash, state, attempts, due_at)
        SELECT p.consumer, e.seq, 0, e.key_hash, 'waiting', 0, 0
        FROM ${this.positions} p JOIN ${this.events} e ON e.slot % ${partitions} = p.part AND e.seq > p.pos
        WHERE p.consumer = ${name} AND e.seq <= ${pos} AND ${own}
          AND NOT EXISTS (SELECT 1 FROM ${this.parked} d WHERE d.consumer = p.consumer AND d.seq = e.seq)`
      const [open] = yield* sql<{ readonly count: Big }>`SELECT COUNT(*) AS count FROM ${this.parked}
        WHERE consumer = ${name} AND state <> 'dead'`
      if (Number(open!.count) > parkedLimit) {
        return yield* refuse(
          `${open!.count} of its events wait for others or were not handled by all partitions, and its order can be ` +
            `changed to "all" once they are at most ${parkedLimit}`
        )
      }
      yield* sql`UPDATE ${this.parked} SET part = 0 WHERE consumer = ${name}`
      yield* sql`UPDATE ${this.positions} SET pos = ${pos},
          epoch = 1 + (SELECT MAX(epoch) FROM ${this.positions} p WHERE p.consumer = ${name}),
          is_unclean = (SELECT MAX(is_unclean) FROM ${this.positions} p WHERE p.consumer = ${name})
        WHERE consumer = ${name} AND part = 0`
      yield* sql`DELETE FROM ${this.positions} WHERE consumer = ${name} AND part > 0`
      return undefined
    })
  }

  /**
   * The end of the log, which does not move before this transaction ends. The lock waits for all transactions that have
   * published, and publishers wait for it. They must not wait for long: behind a transaction that stays open the lock times
   * out, which is a collision.
   */
  private endOfLog(consumer: string): Sql<number> {
    const { sql } = this
    return Effect.gen({ self: this }, function*() {
      if (this.isPostgres) {
        yield* sql`SELECT set_config('lock_timeout', '200ms', true)`
        yield* sql`LOCK TABLE ${this.events} IN SHARE MODE`
      }
      // Retention may have deleted all events.
      const [furthest] = yield* sql<{ readonly pos: Big | null }>`SELECT MAX(pos) AS pos FROM ${this.positions}
        WHERE consumer = ${consumer}`
      return Math.max(Number(furthest?.pos ?? 0), yield* this.head)
    })
  }

  /** Gives all that an old name has to a new one, and leaves a tombstone. */
  private replace<E>(
    old: string,
    name: string,
    expired: ReadonlyMap<string, number>,
    refuse: (why: string) => Effect.Effect<never, E>
  ): Effect.Effect<void, E | SqlError.SqlError> {
    const { sql } = this
    return Effect.gen({ self: this }, function*() {
      const row = yield* this.consumer(old)
      if (row === undefined || row.replacedBy === name) return undefined
      if (row.replacedBy !== null) return yield* refuse(`${old} was replaced by ${row.replacedBy} already`)
      if ((yield* this.consumer(name)) !== undefined) {
        return yield* refuse(`it has positions of its own, so it cannot replace ${old}`)
      }
      yield* this.bury(expired)
      const served = yield* sql`SELECT 1 AS served FROM ${this.members} WHERE consumer = ${old}`
      if (served.length > 0) return yield* refuse(`${old}, which it replaces, is still served by another process`)
      yield* sql`INSERT INTO ${this.consumers} (name, kinds, ordering, partitions, seen_at)
        SELECT ${name}, kinds, ordering, partitions, seen_at FROM ${this.consumers} WHERE name = ${old}`
      yield* sql`UPDATE ${this.positions} SET consumer = ${name} WHERE consumer = ${old}`
      yield* sql`UPDATE ${this.parked} SET consumer = ${name} WHERE consumer = ${old}`
      yield* sql`UPDATE ${this.consumers} SET replaced_by = ${name} WHERE name = ${old}`
      return undefined
    })
  }

  /**
   * Looks at the owners of partitions, and takes those that `choose` returns. It gets a consumer's partitions and the number
   * of processes that serve it. Returns what was taken, and the id under which it was.
   */
  rebalance(
    member: Member,
    expired: ReadonlyMap<string, number>,
    choose: (
      name: string,
      consumer: ConsumerRow | undefined,
      generation: number,
      positions: ReadonlyArray<PositionRow>,
      members: number
    ) => ReadonlyArray<number>
  ): Sql<{ readonly process: string; readonly taken: ReadonlyArray<Taken> }> {
    const { sql } = this
    return this.transact(Effect.gen({ self: this }, function*() {
      yield* this.lockState
      yield* this.bury(expired)
      const { id: process, serving: names } = member
      const taken: Array<Taken> = []
      if (names.length === 0) return { process, taken }
      const now = yield* this.now
      // Without a lease of its own a process takes nothing.
      const [alive] = yield* (this.isPostgres
        ? sql`SELECT 1 AS alive FROM ${this.processes} WHERE id = ${process} AND lease_until > ${now}`
        : sql`SELECT 1 AS alive FROM ${this.processes} WHERE id = ${process}`)
      if (alive === undefined) return { process, taken }
      const positions = (yield* sql<RawPosition>`SELECT consumer, part, pos, owner, epoch, is_unclean
        FROM ${this.positions} WHERE ${sql.in("consumer", names)} ORDER BY consumer, part`).map(positionRow)
      const members = new Map(
        (yield* sql<{ readonly consumer: string; readonly members: Big }>`SELECT consumer, COUNT(*) AS members
          FROM ${this.members} WHERE ${sql.in("consumer", names)} GROUP BY consumer`)
          .map((row) => [row.consumer, Number(row.members)])
      )
      const { generation, rows } = yield* this.readConsumers(names)
      for (const consumer of names) {
        const chosen = choose(
          consumer,
          rows.find(({ name }) => name === consumer),
          generation,
          positions.filter((position) => position.consumer === consumer),
          members.get(consumer) ?? 1
        )
        if (chosen.length === 0) continue
        const locked = this.isPostgres
          ? sql`(consumer, part) IN (SELECT consumer, part FROM ${this.positions}
              WHERE consumer = ${consumer} AND ${sql.in("part", chosen)} AND (owner IS NULL OR owner = ${process})
              FOR UPDATE SKIP LOCKED)`
          : sql`consumer = ${consumer} AND ${sql.in("part", chosen)} AND (owner IS NULL OR owner = ${process})`
        const claimed = (yield* sql<RawPosition>`UPDATE ${this.positions} SET owner = ${process}, epoch = epoch + 1
          WHERE ${locked} RETURNING consumer, part, pos, owner, epoch, is_unclean`).map(positionRow)
        if (claimed.length === 0) continue
        const parts = claimed.map(({ part }) => part)
        const parked = yield* this.readParked(consumer, parts)
        const head = yield* this.head
        for (const position of claimed) {
          taken.push({ position, head, parked: parked.filter(({ part }) => part === position.part) })
        }
      }
      return { process, taken }
    }))
  }

  /** The highest number that is visible. */
  private readonly head: Sql<number> = Effect.suspend(() =>
    Effect.map(
      this.sql<{ readonly head: Big | null }>`SELECT MAX(seq) AS head FROM ${this.events}`,
      ([row]) => Number(row?.head ?? 0)
    )
  )

  /**
   * Marks an event as handled, in the transaction of its handler. False where this process does not own the partition any
   * more, or its position is another than `from`.
   */
  mark(
    process: string,
    known: Known | undefined,
    from: number,
    to: Move,
    unparked: number | undefined
  ): Sql<boolean> {
    const { sql } = this
    return Effect.gen({ self: this }, function*() {
      if (unparked !== undefined) {
        yield* sql`DELETE FROM ${this.parked} WHERE consumer = ${to.consumer} AND seq = ${unparked}`
      }
      const rows = yield* sql`UPDATE ${this.positions} SET pos = ${to.pos}, is_unclean = ${to.isUnclean ? 1 : 0}
        WHERE consumer = ${to.consumer} AND part = ${to.part} AND owner = ${process} AND epoch = ${to.epoch}
          AND pos = ${from} AND ${this.follows(known)} RETURNING 1 AS marked`
      return rows.length > 0
    })
  }

  /** What some partitions have parked. */
  readParked(consumer: string, parts: ReadonlyArray<number>): Sql<ReadonlyArray<ParkedRow>> {
    const { sql } = this
    return Effect.flatMap(this.now, (now) =>
      Effect.map(
        sql<RawParked>`SELECT seq, part, key_hash, state, attempts, due_at - ${now} AS due_in, cause
          FROM ${this.parked} WHERE consumer = ${consumer} AND ${sql.in("part", parts)} ORDER BY seq`,
        (rows) => rows.map(parkedRow)
      ))
  }

  /**
   * Moves positions, parks and unparks, for the partitions that this process owns, and returns these. A position only moves
   * forwards: the transaction of a handler may have moved it meanwhile.
   */
  settle(
    process: string,
    known: Known | undefined,
    moves: ReadonlyArray<Move>,
    parks: ReadonlyArray<Park>,
    unparks: ReadonlyArray<Unpark>
  ): Sql<ReadonlyArray<{ readonly consumer: string; readonly part: number; readonly epoch: number }>> {
    const { sql } = this
    const owned = (rows: ReadonlyArray<{ consumer: string; part: number; epoch: Big }>) =>
      rows.map(({ consumer, epoch, part }) => ({ consumer, part, epoch: Number(epoch) }))
    const changes = parks.length > 0 || unparks.length > 0
    if (this.isPostgres) {
      return Effect.flatMap(this.now, (now) => {
        const input = sql`json_to_recordset(${JSON.stringify(moves)}::json)
          AS i(consumer text, part int, epoch bigint, pos bigint, "isUnclean" boolean)`
        const moved =
          sql`UPDATE ${this.positions} p SET pos = GREATEST(p.pos, i.pos), is_unclean = i."isUnclean"::int FROM ${input}
          WHERE p.consumer = i.consumer AND p.part = i.part AND p.owner = ${process} AND p.epoch = i.epoch
            AND ${this.follows(known)}
          RETURNING p.consumer, p.part, p.epoch`
        if (!changes) return Effect.map(moved as Statement.Statement<any>, owned)
        return Effect.map(
          sql<any>`WITH moved AS (${moved}),
            parked AS (
              INSERT INTO ${this.parked} (consumer, seq, part, key_hash, state, attempts, due_at, cause, failed_at)
              SELECT i.consumer, i.seq, i.part, i."keyHash", i.state, i.attempts, ${now} + i."dueIn", i.cause,
                CASE WHEN i.cause IS NULL THEN NULL ELSE ${now} END
              FROM json_to_recordset(${JSON.stringify(parks)}::json)
                AS i(consumer text, seq bigint, part int, "keyHash" text, state text, attempts int, "dueIn" bigint,
                  cause text)
              JOIN moved m ON m.consumer = i.consumer AND m.part = i.part
              ON CONFLICT (consumer, seq) DO UPDATE SET state = excluded.state, attempts = excluded.attempts,
                due_at = excluded.due_at, cause = excluded.cause, failed_at = excluded.failed_at
            ),
            unparked AS (
              DELETE FROM ${this.parked} d USING json_to_recordset(${JSON.stringify(unparks)}::json)
                AS i(consumer text, seq bigint, part int), moved m
              WHERE m.consumer = i.consumer AND m.part = i.part AND d.consumer = i.consumer AND d.seq = i.seq
            )
            SELECT consumer, part, epoch FROM moved`,
          owned
        )
      })
    }
    const moved = sql<
      any
    >`UPDATE ${this.positions} AS p SET pos = MAX(p.pos, i.value ->> 'pos'), is_unclean = i.value ->> 'isUnclean'
      FROM json_each(${JSON.stringify(moves)}) AS i
      WHERE p.consumer = i.value ->> 'consumer' AND p.part = i.value ->> 'part' AND p.owner = ${process}
        AND p.epoch = i.value ->> 'epoch'
      RETURNING consumer, part, epoch`
    if (!changes) return Effect.map(moved, owned)
    return this.transact(Effect.gen({ self: this }, function*() {
      const now = yield* this.now
      const rows = owned(yield* moved)
      const isOwned = ({ consumer, part }: { consumer: string; part: number }) =>
        rows.some((row) => row.consumer === consumer && row.part === part)
      const kept = parks.filter(isOwned)
      if (kept.length > 0) {
        yield* sql`INSERT INTO ${this.parked}
          (consumer, seq, part, key_hash, state, attempts, due_at, cause, failed_at)
          SELECT value ->> 'consumer', value ->> 'seq', value ->> 'part', value ->> 'keyHash', value ->> 'state',
            value ->> 'attempts', ${now} + (value ->> 'dueIn'), value ->> 'cause',
            CASE WHEN value ->> 'cause' IS NULL THEN NULL ELSE ${now} END
          FROM json_each(${JSON.stringify(kept)}) WHERE true
          ON CONFLICT (consumer, seq) DO UPDATE SET state = excluded.state, attempts = excluded.attempts,
            due_at = excluded.due_at, cause = excluded.cause, failed_at = excluded.failed_at`
      }
      const gone = unparks.filter(isOwned)
      if (gone.length > 0) {
        yield* sql`DELETE FROM ${this.parked} WHERE (consumer, seq) IN (
          SELECT value ->> 'consumer', value ->> 'seq' FROM json_each(${JSON.stringify(gone)}))`
      }
      return rows
    }))
  }

  /** The requeued events of some consumers. */
  readRequeued(consumers: ReadonlyArray<string>): Sql<ReadonlyArray<ParkedRow & { readonly consumer: string }>> {
    const { sql } = this
    return Effect.map(
      sql<
        RawParked & { readonly consumer: string }
      >`SELECT consumer, seq, part, key_hash, state, attempts, 0 AS due_in, cause
        FROM ${this.parked} WHERE ${sql.in("consumer", consumers)} AND state = 'requeued' ORDER BY seq`,
      (rows) => rows.map((row) => ({ ...parkedRow(row), consumer: row.consumer }))
    )
  }

  /** Those of a consumer's parked events, by number, that are still there. */
  stillParked(consumer: string, numbers: ReadonlyArray<number>): Sql<ReadonlySet<number>> {
    const { sql } = this
    return Effect.map(
      sql<{ readonly seq: Big }>`SELECT seq FROM ${this.parked} WHERE consumer = ${consumer} AND ${
        sql.in("seq", numbers)
      }`,
      (rows) => new Set(rows.map(({ seq }) => Number(seq)))
    )
  }

  // ---------------------------------------------------------------------------
  // Operating
  // ---------------------------------------------------------------------------

  /** The last events as they are stored, the newest first. */
  last(limit: number): Sql<ReadonlyArray<string>> {
    const { sql } = this
    return Effect.map(
      sql<{ readonly payload: string }>`SELECT CAST(payload AS text) AS payload
        FROM ${this.events} ORDER BY seq DESC LIMIT ${limit}`,
      (rows) => rows.map(({ payload }) => payload)
    )
  }

  /** Dead letters behind one, by consumer and number. */
  deadLetters(
    consumer: string | undefined,
    after: { readonly consumer: string; readonly seq: number },
    limit: number
  ): Sql<ReadonlyArray<DeadRow>> {
    const { sql } = this
    interface Raw extends RawRow {
      readonly consumer: string
      readonly attempts: number
      readonly cause: string | null
      readonly failed_at: Big
    }
    return Effect.map(
      sql<Raw>`SELECT p.consumer, p.attempts, p.cause, p.failed_at, e.seq, e.kind, e.id, e.slot, e.key_hash,
          CAST(e.payload AS text) AS payload, e.trace, e.published_at
        FROM ${this.parked} p JOIN ${this.events} e ON e.seq = p.seq
        WHERE p.state = 'dead' AND (p.consumer, p.seq) > (${after.consumer}, ${after.seq})
          ${consumer === undefined ? sql`` : sql`AND p.consumer = ${consumer}`}
        ORDER BY p.consumer, p.seq LIMIT ${limit}`,
      (rows) =>
        rows.map((row) => ({
          ...logRow(row),
          consumer: row.consumer,
          attempts: row.attempts,
          cause: row.cause,
          failedAt: Number(row.failed_at)
        }))
    )
  }

  private chosen(keys: ReadonlyArray<DeadKey>): Statement.Fragment {
    const { sql } = this
    const input = JSON.stringify(keys)
    return this.isPostgres
      ? sql`state = 'dead' AND (consumer, seq) IN (SELECT i.consumer, e.seq
          FROM json_to_recordset(${input}::json) AS i(consumer text, kind text, id text)
          JOIN ${this.events} e ON e.kind = i.kind AND e.id = i.id)`
      : sql`state = 'dead' AND (consumer, seq) IN (SELECT i.value ->> 'consumer', e.seq
          FROM json_each(${input}) AS i
          JOIN ${this.events} e ON e.kind = i.value ->> 'kind' AND e.id = i.value ->> 'id')`
  }

  /** Dead letters are to be tried again, from the first attempt on. Returns how many there were. */
  requeue(keys: ReadonlyArray<DeadKey>): Sql<number> {
    const { sql } = this
    return this.transact(Effect.gen({ self: this }, function*() {
      yield* this.changeGeneration
      const rows = yield* sql`UPDATE ${this.parked} SET state = 'requeued', attempts = 0, due_at = 0
        WHERE ${this.chosen(keys)} RETURNING 1 AS requeued`
      return rows.length
    }))
  }

  /** Dead letters are to be forgotten. Returns how many there were. */
  discard(keys: ReadonlyArray<DeadKey>): Sql<number> {
    const { sql } = this
    return this.transact(Effect.gen({ self: this }, function*() {
      yield* this.changeGeneration
      const rows = yield* sql`DELETE FROM ${this.parked} WHERE ${this.chosen(keys)} RETURNING 1 AS discarded`
      return rows.length
    }))
  }

  /** Forgets a consumer. False where a process serves it, or has served it in the last so many milliseconds. */
  remove(name: string, expired: ReadonlyMap<string, number>, unservedMillis: number): Sql<boolean> {
    const { sql } = this
    return this.transact(Effect.gen({ self: this }, function*() {
      yield* this.changeGeneration
      if (yield* this.isServed(name, expired)) return false
      const now = yield* this.now
      const seen = yield* sql`SELECT 1 AS seen FROM ${this.consumers}
        WHERE name = ${name} AND seen_at > ${now} - ${unservedMillis}`
      if (unservedMillis > 0 && seen.length > 0) return false
      yield* sql`DELETE FROM ${this.parked} WHERE consumer = ${name}`
      yield* sql`DELETE FROM ${this.positions} WHERE consumer = ${name}`
      yield* sql`DELETE FROM ${this.consumers} WHERE name = ${name} OR replaced_by = ${name}`
      return true
    }))
  }

  /** How every consumer is doing. */
  readonly standings: Sql<ReadonlyArray<Standing>> = Effect.suspend(() => {
    const { sql } = this
    return Effect.gen({ self: this }, function*() {
      const names = yield* sql<
        { readonly name: string; readonly seen_at: Big }
      >`SELECT name, seen_at FROM ${this.consumers}
        WHERE replaced_by IS NULL ORDER BY name`
      const standings: Array<Standing> = []
      for (const { name, seen_at } of names) {
        const row = yield* this.consumer(name)
        if (row === undefined) continue
        const behind = Object.entries(row.kinds).map(([kind, start]) => sql`(e.kind = ${kind} AND e.seq > ${start})`)
        const now = yield* this.now
        const [lag] = yield* sql<
          { readonly lag: Big; readonly oldest: Big | null; readonly age: Big | null }
        >`SELECT COUNT(*) AS lag, MIN(e.published_at) AS oldest, ${now} - MIN(e.published_at) AS age
          FROM ${this.positions} p JOIN ${this.events} e ON e.seq > p.pos AND e.slot % ${row.partitions} = p.part
          WHERE p.consumer = ${name} AND ${sql.or(behind)}`
        const parked = yield* sql<{ readonly state: ParkedState; readonly count: Big }>`SELECT state, COUNT(*) AS count
          FROM ${this.parked} WHERE consumer = ${name} GROUP BY state`
        const owners = yield* sql<{ readonly owner: string; readonly count: Big }>`SELECT owner, COUNT(*) AS count
          FROM ${this.positions} WHERE consumer = ${name} AND owner IS NOT NULL GROUP BY owner`
        standings.push({
          ...row,
          lag: Number(lag?.lag ?? 0),
          oldest: lag === undefined || lag.oldest === null ? undefined : Number(lag.oldest),
          ageMillis: Math.max(0, Number(lag?.age ?? 0)),
          parked: Object.fromEntries(parked.map(({ count, state }) => [state, Number(count)])),
          owners: Object.fromEntries(owners.map(({ count, owner }) => [owner, Number(count)])),
          seenAt: Number(seen_at)
        })
      }
      return standings
    })
  })

  /** Says that consumers are served. */
  see(names: ReadonlyArray<string>): Sql<void> {
    const { sql } = this
    return names.length === 0 ?
      Effect.void :
      Effect.flatMap(
        this.now,
        (now) => Effect.asVoid(sql`UPDATE ${this.consumers} SET seen_at = ${now} WHERE ${sql.in("name", names)}`)
      )
  }

  /** Consumers that no process serves, and for how long, in milliseconds. */
  readonly unserved: Sql<ReadonlyArray<{ readonly name: string; readonly millis: number }>> = Effect.suspend(() =>
    Effect.flatMap(this.now, (now) =>
      Effect.map(
        this.sql<{ readonly name: string; readonly millis: Big }>`SELECT name, ${now} - seen_at AS millis
          FROM ${this.consumers} c WHERE replaced_by IS NULL
            AND NOT EXISTS (SELECT 1 FROM ${this.members} m WHERE m.consumer = c.name)`,
        (rows) => rows.map(({ millis, name }) => ({ name, millis: Number(millis) }))
      ))
  )

  /**
   * Deletes some of what every consumer has handled, nobody has parked, and was published so long ago. Returns how many
   * events that were.
   */
  sweep(horizon: number, retentionMillis: number, limit: number): Sql<number> {
    const { sql } = this
    return Effect.flatMap(this.now, (now) =>
      Effect.map(
        sql`DELETE FROM ${this.events} WHERE seq IN (
            SELECT e.seq FROM ${this.events} e
            WHERE e.seq <= (SELECT COALESCE(MIN(pos), ${horizon}) FROM ${this.positions}) AND e.seq <= ${horizon}
              AND e.published_at < ${now} - ${retentionMillis}
              AND NOT EXISTS (SELECT 1 FROM ${this.parked} p WHERE p.seq = e.seq)
            ORDER BY e.seq LIMIT ${limit}
          ) RETURNING 1 AS deleted`,
        (rows) => rows.length
      ))
  }

  /** Gives partitions up, in good order. */
  release(process: string, consumer: string, parts: ReadonlyArray<number>): Sql<void> {
    const { sql } = this
    return this.transact(Effect.gen({ self: this }, function*() {
      yield* this.changeGeneration
      yield* sql`UPDATE ${this.positions} SET owner = NULL, epoch = epoch + 1
        WHERE consumer = ${consumer} AND owner = ${process} AND ${sql.in("part", parts)}`
    }))
  }

  /** Takes a process off the consumers that it has left, and gives their partitions up. Returns which these are. */
  leave(member: Member): Sql<ReadonlyArray<string>> {
    const { sql } = this
    return this.transact(Effect.gen({ self: this }, function*() {
      yield* this.changeGeneration
      const { id, left } = member
      yield* sql`UPDATE ${this.positions} SET owner = NULL, epoch = epoch + 1
        WHERE ${sql.in("consumer", left)} AND owner = ${id}`
      yield* sql`DELETE FROM ${this.members} WHERE process = ${id} AND ${sql.in("consumer", left)}`
      yield* this.see(left)
      return left
    }))
  }

  /** Takes a process off, which serves nothing any more. */
  quit(process: string): Sql<void> {
    const { sql } = this
    return this.transact(Effect.gen({ self: this }, function*() {
      yield* this.changeGeneration
      yield* sql`DELETE FROM ${this.members} WHERE process = ${process}`
      yield* sql`UPDATE ${this.positions} SET owner = NULL, epoch = epoch + 1 WHERE owner = ${process}`
      yield* sql`DELETE FROM ${this.processes} WHERE id = ${process}`
    }))
  }

  /**
   * PostgreSQL: calls back for each notification, until the scope closes. It holds a connection. A client that cannot
   * listen, say behind a pooler of transactions, looks now and then. So does one whose only connection that would be.
   */
  listen(
    channel: string,
    onNotification: (payload: string) => void,
    forever: (listening: Effect.Effect<never, unknown>) => Effect.Effect<never>
  ): Effect.Effect<void, never, Scope.Scope> {
    const { client } = this
    if (!canListen(client)) return Effect.void
    if (client.config?.maxConnections === 1) {
      return Effect.logWarning(
        "The pool has one connection, so the outbox cannot listen, and reads the log at every pollInterval; " +
          "give PgClient a maxConnections of at least 3"
      )
    }
    const listening = Effect.scoped(Effect.flatMap(client.listen(channel), (notifications) => {
      // What was committed while nobody listened.
      onNotification("")
      return Effect.forever(Effect.map(Queue.take(notifications), ({ payload }) => onNotification(payload)))
    }))
    return Effect.asVoid(Effect.forkScoped(forever(listening)))
  }

  /** PostgreSQL: tells the processes that listen. */
  notify(channel: string, payload: string): Sql<void> {
    return Effect.asVoid(this.sql`SELECT pg_notify(${channel}, ${payload})`)
  }
}
