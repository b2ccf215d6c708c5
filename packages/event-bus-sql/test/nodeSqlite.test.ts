import { assert, it } from "@effect/vitest"
import * as NodeSqlite from "@openwatch/event-bus-sql/NodeSqlite"
import { Effect, Layer } from "effect"

it.effect("a file that cannot be opened is named", () =>
  Effect.gen(function*() {
    const error = yield* Effect.flip(Effect.scoped(Layer.build(NodeSqlite.layer("/no/such/folder/shop.sqlite"))))
    assert.strictEqual(error.message, "/no/such/folder/shop.sqlite: unable to open database file")
  }))
