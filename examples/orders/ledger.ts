/** Keeps the events in SQLite, many at a time. */
import { EventBus } from "@openwatch/event-bus"
import { Effect, Layer, Schedule, Schema, Stream } from "effect"
import { DatabaseSync } from "node:sqlite"
import { OrderPlaced } from "./checkout.ts"
import { MailFailed } from "./mailer.ts"
import { OrderPaid } from "./payments.ts"
import { OrderShipped } from "./warehouse.ts"

export class LedgerBus extends EventBus.Service<LedgerBus>()("orders/LedgerBus", {
  events: [OrderPlaced, OrderPaid, OrderShipped, MailFailed]
}) {}

const encode = Schema.encodeSync(Schema.Array(LedgerBus.EventJson))

/** Another process reads it, the disk is full: for as long as it takes. */
const untilItWorks = Schedule.min([Schedule.exponential("10 millis"), Schedule.spaced("1 second")])

export const ledger = (file: string) =>
  Layer.effectDiscard(Effect.gen(function*() {
    const bus = yield* LedgerBus
    const database = yield* Effect.acquireRelease(
      Effect.sync(() => new DatabaseSync(file)),
      (database) => Effect.sync(() => database.close())
    )
    database.exec("CREATE TABLE IF NOT EXISTS ledger (kind TEXT NOT NULL, order_id TEXT NOT NULL, event TEXT NOT NULL)")
    const insert = database.prepare(
      "INSERT INTO ledger SELECT value->>'_tag', value->>'orderId', value FROM json_each(?)"
    )
    yield* bus.consume(LedgerBus.kinds, (events) =>
      events.pipe(
        Stream.groupedWithin(100, "200 millis"),
        Stream.runForEach((batch) =>
          // Retried here, since a body that fails has lost its batch.
          Effect.retry(Effect.try(() => insert.run(JSON.stringify(encode(batch)))), untilItWorks)
        )
      ), { name: "ledger" })
  }))
