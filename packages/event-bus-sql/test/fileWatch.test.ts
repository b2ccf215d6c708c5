import { NodeServices } from "@effect/platform-node"
import { assert, describe, it, layer } from "@effect/vitest"
import * as NodeSqlite from "@openwatch/event-bus-sql/NodeSqlite"
import { Context, Effect, FileSystem, Layer, Queue } from "effect"
import { SqlClient } from "effect/sql"
import { execFile } from "node:child_process"
import { join } from "node:path"
import { placed, places, processes, shop, ShopBus, ShopOutbox } from "./shop.ts"

/** No process polls in the time of a test. */
const slow = { pollInterval: "1 hour", lease: "3 hours" } as const

const publishElsewhere = (file: string, prefix: string, order: string) =>
  Effect.callback<void>((resume) => {
    const script = join(import.meta.dirname, "publisher.ts")
    const node = ["--conditions=@openwatch/source", "--disable-warning=ExperimentalWarning"]
    execFile(process.execPath, [...node, script, file, prefix, order], (error, _, stderr) => {
      resume(error === null ? Effect.void : Effect.die(new Error(stderr)))
    })
  })

describe("SQLite: what another process commits is seen without a poll", () => {
  layer(places[0].layer)((it) => {
    it.effect("an event is published on the bus, and handled", () =>
      Effect.gen(function*() {
        const { process } = yield* processes
        const serving = yield* process(slow)
        const publishing = yield* process(slow)
        const handled = yield* Queue.unbounded<string>()
        const subscription = yield* Context.get(serving, ShopBus).subscribe({ kinds: ["OrderPlaced"] })
        const outbox = Context.get(serving, ShopOutbox)
        yield* outbox.on("OrderPlaced", ({ order }) => Queue.offer(handled, order), { consumer: "mailer" })
        for (const order of ["1", "2", "3"]) {
          yield* Context.get(publishing, ShopOutbox).publish(placed(order))
          assert.strictEqual(yield* Queue.take(handled), order)
          assert.deepStrictEqual(yield* subscription.take, placed(order))
        }
      }))

    it.effect("an event whose transaction stays open after it was written is seen when it has committed", () =>
      Effect.gen(function*() {
        const { process } = yield* processes
        const serving = yield* process(slow)
        const publishing = yield* process(slow)
        const handled = yield* Queue.unbounded<string>()
        yield* Context.get(serving, ShopOutbox).on("OrderPlaced", ({ order }) => Queue.offer(handled, order), {
          consumer: "mailer"
        })
        const sql = Context.get(publishing, SqlClient.SqlClient)
        const { publish } = Context.get(publishing, ShopOutbox)
        yield* publish(placed("1"))
        assert.strictEqual(yield* Queue.take(handled), "1")
        // What does not fit the cache of pages is written to the file before the commit.
        yield* sql.withTransaction(Effect.gen(function*() {
          yield* publish(placed("2"))
          yield* sql`PRAGMA cache_size = 1`
          yield* sql`CREATE TABLE large (text TEXT)`
          yield* sql`INSERT INTO large VALUES (${"x".repeat(1_000_000)})`
        }))
        assert.strictEqual(yield* Queue.take(handled), "2")
      }))

    it.effect("partitions are shared, and handed over", () =>
      Effect.gen(function*() {
        const { process } = yield* processes
        const a = Context.get(yield* process(slow), ShopOutbox)
        const b = Context.get(yield* process(slow), ShopOutbox)
        const handled = yield* Queue.unbounded<string>()
        const serve = (by: string, outbox: typeof a) =>
          outbox.on("OrderPlaced", () => Queue.offer(handled, by), { consumer: "mailer", order: "none" })
        yield* serve("a", a)
        yield* Effect.scoped(Effect.gen(function*() {
          yield* serve("b", b)
          const owners = Effect.map(a.consumers, ([mailer]) => Object.values(mailer!.owners))
          // The turns of `a` come when the operating system has told it, whatever time it is.
          const elsewhere = Effect.promise(() => new Promise((resolve) => setImmediate(resolve)))
          yield* Effect.repeat(Effect.andThen(elsewhere, owners), { until: (counts) => counts.join() === "8,8" })
        }))
        yield* a.publishAll(Array.from({ length: 50 }, (_, i) => placed(String(i))))
        assert.deepStrictEqual(new Set(yield* Queue.takeN(handled, 50)), new Set(["a"]))
      }))
  })

  it.effect("from a process of the operating system", () =>
    Effect.gen(function*() {
      const file = `${yield* (yield* FileSystem.FileSystem).makeTempDirectoryScoped()}/shop.sqlite`
      const services = yield* Layer.build(
        shop("watch_", slow).pipe(Layer.provideMerge(NodeSqlite.layer(file, { busyTimeout: 0 })))
      )
      const handled = yield* Queue.unbounded<string>()
      const outbox = Context.get(services, ShopOutbox)
      yield* outbox.on("OrderPlaced", ({ order }) => Queue.offer(handled, order), { consumer: "mailer" })
      yield* publishElsewhere(file, "watch_", "1")
      assert.strictEqual(yield* Queue.take(handled), "1")
    }).pipe(Effect.scoped, Effect.provide(NodeServices.layer)))
})
