/**
 * The ways of handling what must not be lost that are measured beside each other, behind one face. All of them store in the
 * same server, or the same kind of file.
 */
import * as PgClient from "@effect/sql-pg/PgClient"
import { EventBus } from "@openwatch/event-bus"
import { Outbox } from "@openwatch/event-bus-sql"
import * as NodeSqlite from "@openwatch/event-bus-sql/NodeSqlite"
import { Context, DateTime, Effect, Exit, Fiber, Layer, Redacted, Schema, Scope } from "effect"
import { PersistedQueue } from "effect/persistence"
import type { SqlClient, SqlError } from "effect/sql"
import { Logger, makeWorkerUtils, run } from "graphile-worker"
import { PgBoss } from "pg-boss"

/** An event as applications have them. */
export class Pulse extends Schema.TaggedClass<Pulse>()("Pulse", {
  n: Schema.Int,
  host: Schema.String,
  status: Schema.Literals(["up", "down"]),
  latencyMillis: Schema.Number,
  occurredAt: Schema.DateTimeUtc
}) {}

class Kept extends Schema.TaggedClass<Kept>()("Kept", { occurredAt: Schema.DateTimeUtc }) {}

const occurredAt = DateTime.makeUnsafe("2026-03-04T05:06:07.089Z")

const pulse = (n: number): Pulse =>
  new Pulse({ n, host: `web-${n % 100}.example.org`, status: "up", latencyMillis: 12.5, occurredAt })

const encode = Schema.encodeSync(Schema.toCodecJson(Pulse))
const decode = Schema.decodeUnknownSync(Schema.toCodecJson(Pulse))

/** Where to store. The `id` is part of the names of all tables: for each that is measured another. */
export type Place =
  & { readonly id: number }
  & (
    | { readonly _tag: "Postgres"; readonly url: string }
    | { readonly _tag: "Sqlite"; readonly file: string }
  )

const clientOf = (place: Place): Layer.Layer<SqlClient.SqlClient, SqlError.SqlError> =>
  place._tag === "Postgres"
    ? PgClient.layer({ url: Redacted.make(place.url), maxConnections: 20 })
    : NodeSqlite.layer(place.file)

/** A way that is set up, with so many consumers of each event. */
export interface Lane {
  /** Publishes event `n`, in a statement or transaction of its own. */
  readonly publish: (n: number) => Promise<unknown>
  /** Publishes many, as fast as it can. */
  readonly publishAll: (from: number, to: number) => Promise<unknown>
  /** Handles from now on, also what is there already, until what it returns is called. */
  readonly serve: () => Promise<() => Promise<unknown>>
}

export interface Contender {
  readonly name: string
  /** `onHandled` is called for each event and consumer. */
  readonly open: (
    place: Place,
    consumers: number,
    onHandled: (n: number) => void
  ) => Effect.Effect<Lane, unknown, Scope.Scope>
}

class Bus extends EventBus.Service<Bus>()("bench/Bus", { events: [Pulse, Kept] }) {}

class BenchOutbox
  extends Outbox.Service<BenchOutbox>()("bench/Outbox", { bus: Bus, keys: { Pulse: ({ host }) => host } })
{}

const names = (consumers: number) => Array.from({ length: consumers }, (_, i) => `consumer-${i}`)

/** The outbox: events of one host in order, hosts side by side. */
export const outbox: Contender = {
  name: "outbox",
  open: (place, consumers, onHandled) =>
    Effect.gen(function*() {
      const services = yield* Layer.build(
        BenchOutbox.layerWith({ tablePrefix: `bench${place.id}_`, live: false }).pipe(
          Layer.provide([Bus.layer, clientOf(place)])
        )
      )
      const outbox = Context.get(services, BenchOutbox)
      const on = (consumer: string) =>
        outbox.on("Pulse", ({ n }) => Effect.sync(() => onHandled(n)), { consumer, order: "key" })
      // Known from now on, so that they handle what is published before they are served.
      for (const consumer of names(consumers)) yield* Effect.scoped(on(consumer))
      return {
        publish: (n) => Effect.runPromise(outbox.publish(pulse(n))),
        publishAll: (from, to) =>
          Effect.runPromise(outbox.publishAll(Array.from({ length: to - from }, (_, i) => pulse(from + i)))),
        serve: async () => {
          const scope = Scope.makeUnsafe()
          for (const consumer of names(consumers)) await Effect.runPromise(Scope.provide(on(consumer), scope))
          return () => Effect.runPromise(Scope.close(scope, Exit.void))
        }
      }
    })
}

/** Effect's persisted queue: a queue for each consumer. */
export const persistedQueue: Contender = {
  name: "PersistedQueue",
  open: (place, consumers, onHandled) =>
    Effect.gen(function*() {
      const services = yield* Layer.build(
        PersistedQueue.layer.pipe(
          Layer.provide(PersistedQueue.layerStoreSql({ tableName: `queue${place.id}`, pollInterval: "10 millis" })),
          Layer.provide(clientOf(place))
        )
      )
      const queues = yield* Effect.forEach(names(consumers), (name) =>
        Effect.provide(PersistedQueue.make({ name, schema: Pulse }), services))
      const publish = (n: number) =>
        Effect.runPromise(Effect.forEach(queues, (queue) =>
          queue.offer(pulse(n)), { discard: true }))
      return {
        publish,
        publishAll: (from, to) => inFlight(to - from, 16, (i) => publish(from + i)),
        serve: async () => {
          const fibers = queues.flatMap((queue) =>
            Array.from({ length: 10 }, () =>
              Effect.runFork(Effect.forever(queue.take(({ n }) =>
                Effect.sync(() => onHandled(n))
              ))))
          )
          return () => Effect.runPromise(Fiber.interruptAll(fibers))
        }
      }
    })
}

/** graphile-worker, tuned as its documentation says for throughput: a job for each consumer. */
export const graphileWorker: Contender = {
  name: "graphile-worker",
  open: (place, consumers, onHandled) =>
    Effect.gen(function*() {
      if (place._tag !== "Postgres") return yield* Effect.die(new Error("graphile-worker needs PostgreSQL"))
      const logger = new Logger(() => () => {})
      const schema = `graphile${place.id}`
      const options = { connectionString: place.url, schema, logger, noHandleSignals: true }
      const utils = yield* Effect.acquireRelease(
        Effect.promise(() => makeWorkerUtils(options)),
        (utils) => Effect.promise(async () => utils.release())
      )
      yield* Effect.promise(() => utils.migrate())
      const tasks = names(consumers)
      return {
        publish: (n) => Promise.all(tasks.map((task) => utils.addJob(task, encode(pulse(n))))),
        publishAll: (from, to) =>
          utils.addJobs(tasks.flatMap((identifier) =>
            Array.from({ length: to - from }, (_, i) => ({ identifier, payload: encode(pulse(from + i)) }))
          )),
        serve: async () => {
          const runner = await run({
            ...options,
            taskList: Object.fromEntries(
              tasks.map((task) => [task, (payload: unknown) => {
                onHandled(decode(payload).n)
              }])
            ),
            preset: {
              worker: {
                concurrentJobs: 24,
                maxPoolSize: 20,
                localQueue: { size: 500 },
                completeJobBatchDelay: 0,
                failJobBatchDelay: 0
              }
            }
          })
          return () =>
            runner.stop()
        }
      }
    })
}

/** pg-boss: a queue for each consumer. */
export const pgBoss: Contender = {
  name: "pg-boss",
  open: (place, consumers, onHandled) =>
    Effect.gen(function*() {
      if (place._tag !== "Postgres") return yield* Effect.die(new Error("pg-boss needs PostgreSQL"))
      const boss = yield* Effect.acquireRelease(
        Effect.promise(async () => {
          const boss = new PgBoss({
            connectionString: place.url,
            schema: `boss${place.id}`,
            max: 20,
            useListenNotify: true
          })
          boss.on("error", () => {})
          await boss.start()
          for (const name of names(consumers)) await boss.createQueue(name, { notify: true })
          return boss
        }),
        (boss) => Effect.promise(() => boss.stop({ graceful: false }))
      )
      return {
        publish: (n) => Promise.all(names(consumers).map((name) => boss.send(name, encode(pulse(n)) as object))),
        publishAll: async (from, to) => {
          for (const name of names(consumers)) {
            for (let at = from; at < to; at += 1_000) {
              const size = Math.min(1_000, to - at)
              await boss.insert(
                name,
                Array.from({ length: size }, (_, i) => ({ data: encode(pulse(at + i)) as object }))
              )
            }
          }
        },
        serve: async () => {
          for (const name of names(consumers)) {
            await boss.work(
              name,
              { batchSize: 200, burstWhenBatchFull: true, pollingIntervalSeconds: 0.5 },
              async (jobs) => {
                for (const { data } of jobs) onHandled(decode(data).n)
              }
            )
          }
          return async () => {
            for (const name of names(consumers)) await boss.offWork(name)
          }
        }
      }
    })
}

export const contenders: ReadonlyArray<Contender> = [outbox, graphileWorker, pgBoss, persistedQueue]

/** Does so many things, so many at a time. */
export const inFlight = async (count: number, width: number, run: (i: number) => Promise<unknown>): Promise<void> => {
  let next = 0
  const worker = async (): Promise<void> => {
    while (next < count) await run(next++)
  }
  await Promise.all(Array.from({ length: width }, worker))
}
