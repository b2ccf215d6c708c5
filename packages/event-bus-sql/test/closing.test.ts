import { assert, it } from "@effect/vitest"
import { Outage } from "@openwatch/event-bus-sql"
import * as NodeSqlite from "@openwatch/event-bus-sql/NodeSqlite"
import { Context, Effect, Exit, Fiber, Layer, Logger, Scope } from "effect"
import { Statement } from "effect/sql"
import { TestClock } from "effect/testing"
import { placed, shop, ShopOutbox } from "./orders.ts"

/** What a driver says of a connection that is gone: PostgreSQL's `connection_failure`. */
const gone = Object.assign(new Error("the connection is gone"), { code: "08006" })

it.effect("closing does not wait long for a database that is away", () => {
  let isAway = false
  const failing: Statement.Transformer = (statement) => isAway ? Effect.die(gone) : Effect.succeed(statement)
  return Effect.gen(function*() {
    const scope = yield* Scope.make()
    const services = yield* Layer.buildWithScope(
      shop("closing_").pipe(Layer.provideMerge(NodeSqlite.layer(":memory:"))),
      scope
    )
    const outbox = Context.get(services, ShopOutbox)
    yield* Scope.provide(
      outbox.on("OrderPlaced", () => Effect.sync(() => isAway = true), { consumer: "mailer" }),
      scope
    )
    yield* outbox.publish(placed("1"))
    yield* TestClock.adjust("1 second")
    assert.isTrue((yield* Outage.CurrentOutages).isAway)
    const closing = yield* Effect.forkChild(Scope.close(scope, Exit.void))
    yield* TestClock.adjust("3 seconds")
    assert.isDefined(closing.pollUnsafe())
    yield* Fiber.join(closing)
  }).pipe(
    Effect.provideService(Statement.CurrentTransformer, failing),
    Effect.provideServiceEffect(Outage.CurrentOutages, Outage.none),
    Effect.provide(Logger.layer([]))
  )
})
