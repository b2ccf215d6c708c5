/**
 * Processes that handle orders and are killed at random, and what must be true of it in the end.
 */
import { Effect, type Scope } from "effect"
import { SqlClient } from "effect/sql"
import { spawn } from "node:child_process"
import { once } from "node:events"
import { join } from "node:path"
import { paid, ShopOutbox } from "../orders.ts"

const keys = 20

interface Worker {
  readonly kill: Effect.Effect<void>
  readonly stop: Effect.Effect<void>
  readonly goOn: Effect.Effect<void>
}

/** Starts a process; ended with the scope, or by the signal given to `kill`. */
const worker = (
  database: string,
  prefix: string
): Effect.Effect<Worker, never, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.sync(() => {
      const child = spawn(process.execPath, [
        "--conditions=@openwatch/source",
        "--disable-warning=ExperimentalWarning",
        join(import.meta.dirname, "worker.ts"),
        database,
        prefix
      ], {
        stdio: ["ignore", "inherit", "inherit"]
      })
      return {
        stop: Effect.sync(() => {
          child.kill("SIGSTOP")
        }),
        goOn: Effect.sync(() => {
          child.kill("SIGCONT")
        }),
        kill: Effect.promise(async () => {
          if (child.exitCode !== null || child.signalCode !== null) return
          const exited = once(child, "exit")
          child.kill("SIGKILL")
          await exited
        })
      }
    }),
    ({ kill }) => kill
  )

interface Row {
  readonly order_id: string
  readonly cents: number
}

/** What is wrong with what a consumer wrote: an order's payments must be 0, 1, 2 and so on. */
const faultsOf = (
  table: string,
  rows: ReadonlyArray<Row>,
  perKey: number,
  isOnce: boolean
): ReadonlyArray<string> => {
  const faults: Array<string> = []
  const next = new Map<string, number>()
  for (const { cents, order_id } of rows) {
    const expected = next.get(order_id) ?? 0
    if (cents === expected) next.set(order_id, expected + 1)
    else if (cents > expected) faults.push(`${table}: ${order_id} has ${cents} before ${expected}`)
    else if (isOnce) faults.push(`${table}: ${order_id} has ${cents} twice`)
  }
  for (let key = 0; key < keys; key++) {
    const count = next.get(`order ${key}`) ?? 0
    if (count !== perKey) faults.push(`${table}: order ${key} has ${count} of ${perKey}`)
  }
  return faults
}

/**
 * Publishes while three processes handle, kills one of them so many times, each time after some progress, and returns what
 * is wrong in the end.
 */
export const storm = (options: {
  readonly database: string
  /** How often a process is killed. */
  readonly kills: number
  /** How often one is stopped past its lease, and goes on. */
  readonly stops: number
  readonly perKey: number
  /** From 0 up to 1. */
  readonly random: () => number
}) =>
  Effect.gen(function*() {
    const outbox = yield* ShopOutbox
    const sql = yield* SqlClient.SqlClient
    const isPostgres = sql.onDialectOrElse({ pg: () => true, orElse: () => false })
    const { tablePrefix } = outbox
    const sequence = isPostgres
      ? "BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY"
      : "INTEGER PRIMARY KEY AUTOINCREMENT"
    const tables = ["seen", "written", "listed"] as const
    for (const table of tables) {
      yield* sql`CREATE TABLE ${sql(`${tablePrefix}${table}`)}
        (seq ${sql.literal(sequence)}, order_id TEXT NOT NULL, cents INTEGER NOT NULL)`
    }
    // Known before anything is published.
    for (const consumer of tables) {
      yield* Effect.scoped(
        outbox.on("OrderPaid", () => Effect.never, { consumer, order: consumer === "listed" ? "all" : "key" })
      )
    }
    const total = keys * options.perKey
    const count = (table: string) =>
      Effect.map(
        sql<{ count: number | string }>`SELECT COUNT(DISTINCT order_id || ' ' || cents) AS count
          FROM ${sql(`${tablePrefix}${table}`)}`,
        ([row]) => Number(row!.count)
      )
    /** What the consumer that is furthest behind has handled. */
    const handled = Effect.map(Effect.forEach(tables, count), (counts) => Math.min(...counts))
    const handledAtLeast = (least: number) =>
      Effect.repeat(Effect.andThen(Effect.sleep(100), handled), { until: (count) => count >= least })

    let published = 0
    const publishing = Effect.gen(function*() {
      for (let cents = 0; cents < options.perKey; cents++) {
        for (let key = 0; key < keys; key++) {
          const event = paid(`order ${key}`, cents)
          const id = `${key} ${cents}`
          // A rollback leaves a gap behind.
          if (published % 50 === 7) {
            yield* Effect.exit(sql.withTransaction(Effect.andThen(outbox.publish(event, { id }), Effect.fail("no"))))
          }
          yield* Effect.retry(outbox.publish(event, { id }), { while: ({ isRetryable }) => isRetryable })
          published++
        }
      }
    })

    const killing = Effect.gen(function*() {
      const workers = yield* Effect.forEach([1, 2, 3], () => worker(options.database, tablePrefix))
      const strikes = options.kills + options.stops
      for (let strike = 1; strike <= strikes; strike++) {
        const step = total / (strikes + 1)
        yield* handledAtLeast(Math.floor(step * (strike - 1 + options.random())))
        const victim = Math.floor(options.random() * workers.length)
        if (strike <= options.kills) {
          yield* workers[victim]!.kill
          workers[victim] = yield* worker(options.database, tablePrefix)
        } else {
          yield* workers[victim]!.stop
          // The others take over what it had.
          yield* handledAtLeast(Math.ceil(step * strike))
          yield* workers[victim]!.goOn
        }
      }
      yield* handledAtLeast(total)
    })

    const startedAt = performance.now()
    yield* Effect.scoped(Effect.all([publishing, killing], { concurrency: "unbounded", discard: true }))
    const faults: Array<string> = []
    for (const table of tables) {
      const rows = yield* sql<Row>`SELECT order_id, cents FROM ${sql(`${tablePrefix}${table}`)} ORDER BY seq`
      // A process that was stopped may act late where no transaction holds it back: no order is promised there.
      const ordered = table === "seen" && options.stops > 0
        ? rows.toSorted((a, b) => a.cents - b.cents)
        : rows
      faults.push(...faultsOf(table, ordered, options.perKey, table !== "seen"))
    }
    const seconds = Math.round((performance.now() - startedAt) / 1_000)
    console.log(
      `kills: ${isPostgres ? "PostgreSQL" : "SQLite"}, ${options.kills} kills and ${options.stops} stops, ` +
        `${total} events for each of ${tables.length} consumers, in ${seconds} s: ${faults.length} faults`
    )
    return faults
  })
