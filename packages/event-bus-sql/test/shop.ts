/**
 * A shop, for tests that each database must pass.
 */
import { NodeServices } from "@effect/platform-node"
import * as PgClient from "@effect/sql-pg/PgClient"
import type { Outbox } from "@openwatch/event-bus-sql"
import * as NodeSqlite from "@openwatch/event-bus-sql/NodeSqlite"
import { Context, Effect, FileSystem, Layer, Queue, Redacted, type Scope } from "effect"
import type { SqlClient } from "effect/sql"
import type * as SqlError from "effect/sql/SqlError"
import { cluster, isSkipped } from "../../../test/servers/Postgres.ts"
import { shop } from "./orders.ts"

export * from "./orders.ts"

/** Makes databases, and clients of them. */
export class Place extends Context.Service<Place, {
  /** A new client of a database. */
  readonly client: Layer.Layer<SqlClient.SqlClient, SqlError.SqlError>
  /** A new database that several clients can open, as processes do. */
  readonly shared: Effect.Effect<Layer.Layer<SqlClient.SqlClient, SqlError.SqlError>, never, Scope.Scope>
  /** The same, without tables of an outbox. */
  readonly empty: Effect.Effect<Layer.Layer<SqlClient.SqlClient, SqlError.SqlError>, never, Scope.Scope>
  /** For each test another, so that its outbox is its own. */
  readonly nextPrefix: Effect.Effect<string>
}>()("test/Place") {}

const prefixes = () => {
  let count = 0
  return Effect.sync(() => `t${++count}_`)
}

/** SQLite: in memory, where every client is a database of its own, or in a file. */
const sqlite = Layer.effect(
  Place,
  Effect.map(FileSystem.FileSystem, (fs) => {
    const shared = Effect.map(
      Effect.orDie(fs.makeTempDirectoryScoped()),
      (folder) => Layer.fresh(NodeSqlite.layer(`${folder}/shop.sqlite`, { busyTimeout: 0 }))
    )
    return { client: NodeSqlite.layer(":memory:"), shared, empty: shared, nextPrefix: prefixes() }
  })
).pipe(Layer.provide(NodeServices.layer))

const postgres = Layer.effect(
  Place,
  Effect.map(cluster, ({ createDatabase, port }) => {
    const clientOf = (database: string) =>
      Layer.fresh(PgClient.layer({ url: Redacted.make(`postgresql://openwatch@127.0.0.1:${port}/${database}`) }))
    const client = clientOf("postgres")
    let count = 0
    const empty = Effect.suspend(() => {
      const name = `empty_${++count}`
      return Effect.as(createDatabase(name), clientOf(name))
    })
    return { client, shared: Effect.succeed(client), empty, nextPrefix: prefixes() }
  })
).pipe(Layer.provide(NodeServices.layer))

/**
 * Both. On SQLite time is that of `TestClock`, which stands still unless a test moves it: nothing there waits for the next
 * poll.
 */
export const places = [
  { name: "SQLite", layer: sqlite, isSkipped: false, isPostgres: false },
  { name: "PostgreSQL", layer: postgres, isSkipped, isPostgres: true }
] as const

/** Runs in a shop whose database is new. */
export const inShop = <A, E, R>(effect: Effect.Effect<A, E, R>, options?: Outbox.Options) =>
  Effect.gen(function*() {
    const { client, nextPrefix } = yield* Place
    return yield* effect.pipe(
      Effect.provide(shop(yield* nextPrefix, options).pipe(Layer.provideMerge(client))),
      Effect.scoped
    )
  })

/** A way to run in one of several processes that share a database: each use is a process with a client and an outbox. */
export const processes = Effect.gen(function*() {
  const { nextPrefix, shared } = yield* Place
  const prefix = yield* nextPrefix
  const client = yield* shared
  return {
    prefix,
    inProcess: <A, E, R>(effect: Effect.Effect<A, E, R>, options?: Outbox.Options) =>
      effect.pipe(
        Effect.provide(shop(prefix, options).pipe(Layer.provideMerge(client))),
        Effect.scoped
      ),
    /** The services of a process that lives as long as the scope. */
    process: (options?: Outbox.Options) => Layer.build(shop(prefix, options).pipe(Layer.provideMerge(client)))
  }
})

/** A handler that puts what it gets into a queue, and the queue. */
export const collector = <A>() =>
  Effect.map(Queue.unbounded<A>(), (queue) => ({
    handler: (event: A) => Queue.offer(queue, event),
    take: Queue.take(queue),
    takeN: (count: number) => Queue.takeN(queue, count),
    isEmpty: Effect.map(Queue.size(queue), (size) => size === 0)
  }))
