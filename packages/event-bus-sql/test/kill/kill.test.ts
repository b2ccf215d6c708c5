import { NodeServices } from "@effect/platform-node"
import * as PgClient from "@effect/sql-pg/PgClient"
import { assert, describe, it } from "@effect/vitest"
import * as NodeSqlite from "@openwatch/event-bus-sql/NodeSqlite"
import { Effect, FileSystem, Layer, Redacted } from "effect"
import { cluster, isSkipped } from "../../../../test/servers/Postgres.ts"
import { shop } from "../orders.ts"
import { storm } from "./storm.ts"

const kills = Number(process.env["KILLS"] ?? 20)
const perKey = 2 + Math.ceil(kills / 2)

const random = (() => {
  let state = Number(process.env["KILL_SEED"] ?? Date.now() % 1_000_000)
  console.log(`KILL_SEED=${state}`)
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    return state / 2 ** 32
  }
})()

describe("three processes, killed or stopped at random: none lost, none out of order, none written twice", () => {
  it.live("on SQLite", () =>
    Effect.gen(function*() {
      const fs = yield* FileSystem.FileSystem
      const database = `${yield* fs.makeTempDirectoryScoped()}/shop.sqlite`
      const faults = yield* storm({ database, kills, stops: 0, perKey, random }).pipe(
        Effect.provide(shop("kill_").pipe(Layer.provideMerge(NodeSqlite.layer(database, { busyTimeout: 0 }))))
      )
      assert.deepStrictEqual(faults, [])
    }).pipe(Effect.scoped, Effect.provide(NodeServices.layer)), 60_000 + kills * 10_000)

  it.live.skipIf(isSkipped)("on PostgreSQL", () =>
    Effect.gen(function*() {
      const { port } = yield* cluster
      const database = `postgresql://openwatch@127.0.0.1:${port}/postgres`
      const faults = yield* storm({ database, kills, stops: 0, perKey, random }).pipe(
        Effect.provide(shop("kill_").pipe(Layer.provideMerge(PgClient.layer({ url: Redacted.make(database) }))))
      )
      assert.deepStrictEqual(faults, [])
    }).pipe(Effect.scoped, Effect.provide(NodeServices.layer)), 60_000 + kills * 10_000)

  it.live.skipIf(isSkipped)("on PostgreSQL, stopped past their lease", () =>
    Effect.gen(function*() {
      const { port } = yield* cluster
      const database = `postgresql://openwatch@127.0.0.1:${port}/postgres`
      const stops = Math.ceil(kills / 3)
      const faults = yield* storm({ database, kills: 0, stops, perKey, random }).pipe(
        Effect.provide(shop("stop_").pipe(Layer.provideMerge(PgClient.layer({ url: Redacted.make(database) }))))
      )
      assert.deepStrictEqual(faults, [])
    }).pipe(Effect.scoped, Effect.provide(NodeServices.layer)), 60_000 + kills * 10_000)
})
