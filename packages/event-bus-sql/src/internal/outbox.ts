/**
 * The outbox behind its interface: publishing, registering, and the two lanes.
 */
import type { EventBus } from "@openwatch/event-bus"
import { Cause, Context, DateTime, Duration, Effect, Option, Schema, type Scope, Stream, Tracer } from "effect"
import { uuidV7Unsafe } from "effect/crypto/SecureRandom"
import * as Migrator from "effect/sql/Migrator"
import * as SqlClient from "effect/sql/SqlClient"
import { CurrentOutages } from "../Outage.ts"
import type {
  ConsumerOptions,
  ConsumerSnapshot,
  DeadLetter,
  DeadLetterKey,
  Keys,
  Options,
  Outbox,
  PublishOptions
} from "../Outbox.ts"
import { retryCollisions } from "./collisions.ts"
import { type ConsumerRow, Database, type DeadRow, type LogRow, type NewRow } from "./database.ts"
import { Engine } from "./engine.ts"
import { groupCommit } from "./groupCommit.ts"
import { keyHash, slotOf } from "./keyHash.ts"
import { Metrics } from "./metrics.ts"
import { describe, isPassing } from "./outage.ts"
import { OutboxError } from "./outboxError.ts"
import { isStorable, list, quote, refuse, requireConsumer, requireSettings } from "./settings.ts"
import { migrations, tablesVersion } from "./tables.ts"

type AnyEvent = EventBus.AnyEvent

/** What an outbox stands on. */
export interface Parts {
  readonly name: string
  readonly bus: EventBus.EventBus<any>
  readonly sql: SqlClient.SqlClient
  readonly json: Schema.Constraint
  readonly keys: Keys<any>
}

const failed = (what: string) => (cause: Cause.Cause<unknown>): Effect.Effect<never, OutboxError> => {
  if (Cause.hasInterruptsOnly(cause)) return Effect.failCause(cause as Cause.Cause<never>)
  const own = cause.reasons.find(Cause.isFailReason)?.error
  if (own instanceof OutboxError) return Effect.fail(own)
  return Effect.fail(
    new OutboxError({
      reason: "database",
      message: `${what}: ${describe(cause)}`,
      isRetryable: isPassing(cause),
      cause: Cause.squash(cause)
    })
  )
}

/** How many dead letters are read at a time. */
const letterPage = 100

/** What `withTransaction` keeps of the innermost transaction, of whichever client. Effect exports no name for it. */
const CurrentTransaction = Context.Reference<Context.Key<any, object> | undefined>(
  "effect/sql/CurrentTransactionService",
  { defaultValue: () => undefined }
)

const migrate = (name: string, database: Database, prefix: string): Effect.Effect<void, OutboxError> =>
  Effect.gen(function*() {
    const { sql, tables } = database
    yield* Migrator.make({})({ loader: Migrator.fromRecord(migrations(prefix)), table: tables.migrations })
    const [found] = yield* sql<{ readonly version: number }>`SELECT MAX(migration_id) AS version
      FROM ${sql(tables.migrations)}`
    if (found !== undefined && found.version > tablesVersion) {
      return yield* new OutboxError({
        reason: "tables",
        message:
          `Outbox ${quote(name)}: the tables ${prefix}* are of version ${found.version}, and this package knows ` +
          `version ${tablesVersion}; use the version that made them, or a newer one`,
        isRetryable: false
      })
    }
    if (database.isPostgres && (yield* database.sequenceCache) !== 1) {
      return yield* new OutboxError({
        reason: "tables",
        message:
          `Outbox ${quote(name)}: the sequence of ${tables.events}.seq must have CACHE 1, or numbers are not given ` +
          `out in order; ALTER TABLE ${tables.events} ALTER COLUMN seq SET CACHE 1`,
        isRetryable: false
      })
    }
    return undefined
  }).pipe(
    Effect.asVoid,
    retryCollisions,
    Effect.provideService(SqlClient.SqlClient, database.client),
    Effect.catchCause(failed(`Outbox ${quote(name)}: its tables cannot be brought up to date`))
  )

/** Makes an outbox whose life is that of the scope. */
export const makeOutbox = (
  parts: Parts,
  options: Options
): Effect.Effect<Outbox<any>, OutboxError, Scope.Scope> =>
  Effect.gen(function*() {
    const { bus, name, sql } = parts
    const settings = requireSettings(name, options)
    const database = new Database(sql, settings.tablePrefix, settings.leaseMillis)
    /**
     * What runs on in the background would be part of the transaction, and what is read in one may never be committed: its
     * events would be handled, and passed over by all others.
     */
    const requireNoTransaction = (what: string): Effect.Effect<void> =>
      Effect.map(Effect.context(), (context) => {
        if (Option.isSome(Context.getOption(context, database.transactionService))) {
          refuse(name, `${what}; it reads what others have committed, so do it outside of sql.withTransaction`)
        }
      })
    yield* requireNoTransaction("its layer was built in a transaction")
    yield* migrate(name, database, settings.tablePrefix)
    const metrics = new Metrics(yield* Effect.context(), name, bus.kinds)
    yield* Effect.addFinalizer(() => Effect.sync(() => metrics.close()))

    const encode = Schema.encodeUnknownSync(parts.json as Schema.ConstraintCodec<unknown, unknown>)
    const decode = Schema.decodeUnknownSync(parts.json as Schema.ConstraintCodec<AnyEvent, unknown>)
    const decodeRow = (row: LogRow): AnyEvent => row.event ??= decode(JSON.parse(row.payload))

    const goLive = (rows: ReadonlyArray<LogRow>): void => {
      if (!settings.live) return
      for (const row of rows) {
        // A kind of another version of the application.
        if (!bus.kinds.includes(row.kind)) continue
        let event: AnyEvent
        try {
          event = decodeRow(row)
        } catch {
          // The durable lane tells of it.
          continue
        }
        bus.publishUnsafe(event)
      }
    }

    const engine = new Engine(
      database,
      {
        name,
        isLive: settings.live,
        pollMillis: settings.pollMillis,
        leaseMillis: settings.leaseMillis,
        retentionMillis: settings.retentionMillis,
        expiryMillis: settings.expiryMillis,
        process: settings.process,
        outages: yield* CurrentOutages,
        channel: `${settings.tablePrefix}commits`
      },
      decodeRow,
      goLive
    )
    yield* Effect.catchCause(engine.start, failed(`Outbox ${quote(name)} cannot start`))

    // -------------------------------------------------------------------------

    const rowOf = (event: AnyEvent, id: string, trace: string | null): NewRow => {
      const kind: unknown = event?._tag
      if (typeof kind !== "string" || !bus.kinds.includes(kind)) {
        return refuse(name, `cannot publish an event with the _tag ${quote(kind)}; the kinds are ${list(bus.kinds)}`)
      }
      const keyOf: ((event: AnyEvent) => unknown) | undefined = (parts.keys as Record<string, any>)[kind]
      const key = keyOf === undefined ? `${kind} ${id}` : keyOf(event)
      if (typeof key !== "string") {
        return refuse(name, `keys must return a text, but returned ${quote(key)} for an event of kind ${quote(kind)}`)
      }
      const hash = keyHash(key)
      return { kind, id, slot: slotOf(hash), keyHash: hash, payload: JSON.stringify(encode(event)), trace }
    }

    const requireId = (id: string): string =>
      isStorable(id)
        ? id
        : refuse(
          name,
          `id must be a text that is not blank and holds neither NUL nor half a character, but is ${quote(id)}`
        )

    /**
     * Runs `insert` in the transaction around it, or in one of its own. It returns the kinds of what it has stored. After the
     * commit these are counted, and whoever reads the log is woken.
     */
    const publishing = (
      insert: (trace: string | null, isInTransaction: boolean) => Effect.Effect<ReadonlyArray<string>, unknown>
    ): Effect.Effect<void, OutboxError> =>
      Effect.withFiber((fiber) => {
        const isInTransaction = Option.isSome(Context.getOption(fiber.context, database.transactionService))
        if (!isInTransaction) {
          const other = Context.get(fiber.context, CurrentTransaction)
          if (other !== undefined && Option.isSome(Context.getOption(fiber.context, other as Context.Key<any, any>))) {
            refuse(
              name,
              "publish was called in a transaction of another SqlClient than the outbox's: the event would not be part " +
                "of it; provide the outbox with that client"
            )
          }
        }
        const span = Context.getOption(fiber.context, Tracer.ParentSpan)
        const stored = Effect.andThen(
          insert(Option.isSome(span) ? traceOf(span.value) : null, isInTransaction),
          (kinds) =>
            sql.afterCommit(Effect.sync(() => {
              metrics.stored(kinds)
              engine.published()
            }))
        )
        return Effect.catchCause(
          isInTransaction
            ? stored
            : retryCollisions(stored),
          failed(`Outbox ${quote(name)}: the event was not stored`)
        )
      })

    const store = groupCommit(database)

    const publish = (event: AnyEvent, publishOptions?: PublishOptions): Effect.Effect<void, OutboxError> =>
      publishing((trace, isInTransaction) => {
        const id = publishOptions?.id
        const row = rowOf(event, id === undefined ? uuidV7Unsafe() : requireId(id), trace)
        if (id === undefined && !isInTransaction) return Effect.as(store(row), [row.kind])
        return Effect.flatMap(
          database.insert(row, id !== undefined),
          (isStored): Effect.Effect<ReadonlyArray<string>, unknown> =>
            isStored ?
              Effect.succeed([row.kind]) :
              Effect.flatMap(database.payloadOf(row.kind, row.id), (payload) =>
                payload === undefined || payload === row.payload
                  ? Effect.succeed([])
                  : Effect.fail(
                    new OutboxError({
                      reason: "conflict",
                      message: `Outbox ${quote(name)}: another ${row.kind} was published under the id ${quote(row.id)}`,
                      isRetryable: false
                    })
                  ))
        )
      })

    const publishAll = (events: Iterable<AnyEvent>): Effect.Effect<void, OutboxError> =>
      publishing((trace) => {
        const rows = Array.from(events, (event) => rowOf(event, uuidV7Unsafe(), trace))
        const kinds = rows.map(({ kind }) => kind)
        return rows.length === 0 ? Effect.succeed(kinds) : Effect.as(database.insertAll(rows), kinds)
      })

    // -------------------------------------------------------------------------

    /** The number behind which a new consumer starts. */
    const startOf = (from: ConsumerOptions<any, any>["from"], present: number): Effect.Effect<number, unknown> =>
      from === "beginning"
        ? Effect.succeed(0)
        : from === undefined || from === "now"
        ? Effect.succeed(present)
        : Effect.map(
          database.firstSince(DateTime.toEpochMillis(from)),
          (first) => first === undefined ? present : Math.min(first - 1, present)
        )

    const serving = new Set<string>()

    const on = (
      kinds: string | ReadonlyArray<string>,
      handler: (given: any, delivery: any) => Effect.Effect<unknown, unknown, any>,
      consumerOptions: ConsumerOptions<any, any>
    ): Effect.Effect<{ readonly name: string }, OutboxError, any> =>
      Effect.gen(function*() {
        const checked = requireConsumer(
          name,
          bus.kinds,
          parts.keys,
          typeof kinds === "string" ? [kinds] : kinds,
          consumerOptions
        )
        if (typeof handler !== "function") {
          refuse(name, `consumer ${quote(checked.name)}: its handler must be a function, but is ${quote(handler)}`)
        }
        yield* requireNoTransaction(`consumer ${quote(checked.name)}: on was called in a transaction`)
        const context = yield* Effect.context()
        if (serving.has(checked.name)) {
          refuse(name, `consumer ${quote(checked.name)} is served in this process already; names must differ`)
        }
        serving.add(checked.name)
        let isRefused = false
        yield* Effect.addFinalizer(() => Effect.sync(() => isRefused || serving.delete(checked.name)))

        const refuseToServe = (why: string): Effect.Effect<never, OutboxError> =>
          Effect.fail(
            new OutboxError({
              reason: "consumer",
              message: `Outbox ${quote(name)}: consumer ${quote(checked.name)} cannot be served: ${why}`,
              isRetryable: false
            })
          )
        const retired = consumerOptions.retires ?? []
        const wanted = checked.order === "all" ? 1 : settings.partitions
        const decide = (
          row: ConsumerRow | undefined,
          present: number,
          isServed: Effect.Effect<boolean, unknown>
        ): Effect.Effect<ConsumerRow, any> => {
          if (row === undefined) {
            return Effect.map(startOf(consumerOptions.from, present), (at) => ({
              name: checked.name,
              kinds: Object.fromEntries(checked.kinds.map((kind) => [kind, at])),
              ordering: checked.order,
              partitions: wanted,
              replacedBy: null
            }))
          }
          if (row.replacedBy !== null) return refuseToServe(`it was replaced by ${quote(row.replacedBy)}`)
          const kept = Object.entries(row.kinds).filter(([kind]) => !retired.includes(kind))
          const added = checked.kinds.filter((kind) => row.kinds[kind] === undefined).map((kind) =>
            [kind, present] as const
          )
          const next = { ...row, kinds: Object.fromEntries([...kept, ...added]) }
          // A partition is split, and never put together again but for order "all".
          const partitions = checked.order === "all" ? 1 : Math.max(row.partitions, wanted)
          if (row.ordering === checked.order && row.partitions === partitions) return Effect.succeed(next)
          return Effect.flatMap(isServed, (isServed): Effect.Effect<ConsumerRow, OutboxError> => {
            if (!isServed) return Effect.succeed({ ...next, ordering: checked.order, partitions })
            return row.ordering === checked.order ? Effect.succeed(next) : refuseToServe(
              `another process serves it with order ${quote(row.ordering)}, not ${
                quote(checked.order)
              }; its order is changed when no process serves it any more`
            )
          })
        }

        const refused = Effect.sync(() => {
          isRefused = true
          serving.delete(checked.name)
        })
        yield* Effect.onError(() => refused)(engine.serve(
          {
            ...checked,
            tally: metrics.tallyOf(checked.name),
            handle: (event, delivery) =>
              Effect.scoped(Effect.suspend(() => handler(event, delivery))) as Effect.Effect<unknown, unknown>,
            handleBatch: (items) =>
              Effect.scoped(Effect.suspend(() => handler(items, undefined))) as Effect.Effect<unknown, unknown>
          },
          context,
          consumerOptions.replaces,
          refuseToServe,
          decide
        ))
        return { name: checked.name }
      }).pipe(
        Effect.catchCause((cause) =>
          Cause.hasDies(cause)
            ? Effect.failCause(cause as Cause.Cause<never>)
            : failed(`Outbox ${quote(name)}: the consumer ${quote(consumerOptions.consumer)} cannot be served`)(cause)
        )
      )

    // -------------------------------------------------------------------------

    const operating = <A>(what: string, effect: Effect.Effect<A, unknown>): Effect.Effect<A, OutboxError> =>
      Effect.catchCause(
        retryCollisions(effect),
        failed(`Outbox ${quote(name)}: ${what}`)
      )

    const consumers = Effect.map(
      operating("its consumers cannot be read", database.standings),
      (standings) =>
        standings.map((standing): ConsumerSnapshot => ({
          name: standing.name,
          kinds: Object.keys(standing.kinds),
          order: standing.ordering as ConsumerSnapshot["order"],
          partitions: standing.partitions,
          lag: {
            events: standing.lag,
            oldest: standing.oldest === undefined ? undefined : DateTime.makeUnsafe(standing.oldest),
            age: Duration.millis(standing.ageMillis)
          },
          retrying: (standing.parked.retrying ?? 0) + (standing.parked.requeued ?? 0),
          held: standing.parked.waiting ?? 0,
          dead: standing.parked.dead ?? 0,
          owners: standing.owners,
          lastSeenAt: DateTime.makeUnsafe(standing.seenAt)
        }))
    )
    yield* Effect.forkScoped(Effect.withTracerEnabled(metrics.refreshing(consumers), false))

    const readable = (payload: string): ReadonlyArray<AnyEvent> => {
      try {
        return [decode(JSON.parse(payload))]
      } catch {
        // Of another version of the application.
        return []
      }
    }
    const last = (count: number) =>
      Effect.suspend(() => {
        if (!Number.isSafeInteger(count) || count < 0) {
          refuse(name, `last takes how many events to read, a whole number from 0 up, but got ${quote(count)}`)
        }
        return Effect.map(
          operating("its last events cannot be read", database.last(count)),
          (payloads) => payloads.toReversed().flatMap(readable)
        )
      })

    const letterOf = (row: DeadRow): DeadLetter<any> => {
      let event: AnyEvent | undefined
      try {
        event = decodeRow(row)
      } catch {
        event = undefined
      }
      return {
        consumer: row.consumer,
        kind: row.kind,
        id: row.id,
        event,
        json: row.payload,
        cause: row.cause ?? "",
        attempts: row.attempts,
        publishedAt: DateTime.makeUnsafe(row.publishedAt),
        diedAt: DateTime.makeUnsafe(row.failedAt)
      }
    }

    const deadLetters: Outbox<any>["deadLetters"] = (letterOptions) =>
      Stream.paginate({ consumer: "", seq: 0 }, (after) =>
        Effect.map(
          operating(
            "its dead letters cannot be read",
            database.deadLetters(letterOptions?.consumer, after, letterPage)
          ),
          (rows) => {
            const last = rows.length < letterPage ? undefined : rows.at(-1)
            return [
              rows.map(letterOf),
              last === undefined ? Option.none() : Option.some({ consumer: last.consumer, seq: last.seq })
            ] as const
          }
        ))

    const requeue = (letters: ReadonlyArray<DeadLetterKey>) =>
      operating("dead letters cannot be requeued", engine.changeDead(database.requeue(letters)))

    const discard = (letters: ReadonlyArray<DeadLetterKey>) =>
      operating("dead letters cannot be discarded", engine.changeDead(database.discard(letters)))

    const removeConsumer = (consumer: string) =>
      Effect.flatMap(
        operating(`the consumer ${quote(consumer)} cannot be removed`, engine.remove(consumer)),
        (isRemoved) =>
          isRemoved ? Effect.void : Effect.fail(
            new OutboxError({
              reason: "consumer",
              message: `Outbox ${quote(name)}: the consumer ${
                quote(consumer)
              } cannot be removed while a process serves it`,
              isRetryable: false
            })
          )
      )

    return {
      name,
      tablePrefix: settings.tablePrefix,
      publish,
      publishAll,
      on: on as Outbox<any>["on"],
      last,
      consumers,
      deadLetters,
      requeue,
      discard,
      removeConsumer,
      awaitIdle: Effect.andThen(requireNoTransaction("awaitIdle was called in a transaction"), engine.awaitIdle)
    }
  })

/** The W3C `traceparent` of a span. */
const traceOf = (span: Tracer.AnySpan): string =>
  `00-${span.traceId.padStart(32, "0")}-${span.spanId}-${span.sampled ? "01" : "00"}`
