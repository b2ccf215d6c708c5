/**
 * An outbox beside the bus of the tests, and a server that shows both.
 */
import { Outbox } from "@openwatch/event-bus-sql"
import * as NodeSqlite from "@openwatch/event-bus-sql/NodeSqlite"
import type { Inspector } from "@openwatch/inspector"
import { Effect, Layer } from "effect"
import { server, TestBus } from "./fixture.ts"

export class TestOutbox extends Outbox.Service<TestOutbox>()("test/Outbox", {
  bus: TestBus,
  keys: { Ping: ({ text }) => text }
}) {}

const database = () => Layer.fresh(NodeSqlite.layer(":memory:"))

export const durableServer = (options?: Inspector.Options, listen?: { readonly host: string }) =>
  Layer.unwrap(Effect.map(TestOutbox, (outbox) => server({ ...options, outboxes: [outbox] }, listen))).pipe(
    Layer.provideMerge(Layer.orDie(TestOutbox.layer)),
    Layer.provideMerge(TestBus.layer),
    Layer.provideMerge(Layer.orDie(database()))
  )

/** A consumer that gives up every event until it is mended, and the texts that it has handled. */
export const serveBroken = (consumer: string, options?: Partial<Outbox.ConsumerOptions<never>>) =>
  Effect.gen(function*() {
    const outbox = yield* TestOutbox
    const state = { isMended: false, handled: [] as Array<string> }
    yield* outbox.on("Ping", ({ text }) => {
      if (!state.isMended) return Outbox.giveUp(new Error(`no way to handle ${text}`))
      state.handled.push(text)
      return Effect.void
    }, { consumer, ...options })
    return state
  })
