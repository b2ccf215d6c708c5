import { Context, Effect } from "effect"
import * as SqlClient from "effect/sql/SqlClient"
import { expect, paid, placed, Shop, situation, until, wordOf } from "./stage.ts"

const topic = "Publishing"

/** A consumer, and what it has handled. */
const watch = Effect.gen(function*() {
  const log: Array<string> = []
  const shop = yield* Shop
  yield* shop.on(["Placed", "Paid"], (event) => Effect.sync(() => log.push(wordOf(event))), { consumer: "watcher" })
  return log
})

export const publishing = [
  situation(
    topic,
    "an event exists exactly when its transaction does, savepoints included",
    ({ inProcess }) =>
      inProcess(Effect.gen(function*() {
        const shop = yield* Shop
        const sql = yield* SqlClient.SqlClient
        const log = yield* watch
        const rolledBack = (order: string) =>
          Effect.exit(sql.withTransaction(Effect.andThen(shop.publish(placed(order)), Effect.fail("no"))))
        yield* rolledBack("rolled back")
        yield* sql.withTransaction(Effect.gen(function*() {
          yield* shop.publish(placed("1"))
          yield* rolledBack("rolled back to a savepoint")
          yield* shop.publish(placed("2"))
        }))
        yield* shop.awaitIdle
        yield* expect("handled", log, ["Placed 1", "Placed 2"])
      }))
  ),

  situation(
    topic,
    "an event published again under its id is stored once, and other content is a conflict",
    ({ inProcess }) =>
      inProcess(Effect.gen(function*() {
        const shop = yield* Shop
        const log = yield* watch
        yield* shop.publish(placed("1"), { id: "one" })
        yield* shop.publish(placed("1"), { id: "one" })
        const error = yield* Effect.flip(shop.publish(placed("2"), { id: "one" }))
        yield* expect("the reason", error.reason, "conflict")
        yield* shop.publish(paid("1"), { id: "one" })
        yield* shop.awaitIdle
        yield* expect("handled", log, ["Placed 1", "Paid 1"])
      }))
  ),

  situation(
    topic,
    "what is hard to store is stored: NUL, quotes, emoji, half of one",
    ({ inProcess }) =>
      inProcess(Effect.gen(function*() {
        const shop = yield* Shop
        const log = yield* watch
        const hard = ["a\u0000b", "it's \"quoted\" \\ $1 ?", "🛒", "\ud800", ""]
        for (const order of hard) yield* shop.publish(placed(order))
        yield* shop.publishAll(hard.map(placed))
        yield* shop.awaitIdle
        yield* expect("handled", log, [...hard, ...hard].map((order) => `Placed ${order}`))
      }))
  ),

  situation(
    topic,
    "ten writers in two processes, some of whom roll back: nothing is lost, each in order",
    (stage) =>
      Effect.gen(function*() {
        const processes = [yield* stage.process, yield* stage.process]
        const log = yield* Effect.provide(watch, processes[0]!)
        const write = (writer: number) => {
          const services = processes[writer % 2]!
          const shop = Context.get(services, Shop)
          const sql = Context.get(services, SqlClient.SqlClient)
          return Effect.forEach(Array.from({ length: 30 }, (_, i) => i), (i) => {
            const publish = Effect.retry(shop.publish(placed(`${writer} ${i}`)), {
              while: ({ isRetryable }) => isRetryable
            })
            return i % 10 === writer
              ? Effect.exit(sql.withTransaction(Effect.andThen(publish, Effect.fail("no"))))
              : publish
          }, { discard: true })
        }
        yield* Effect.forEach(Array.from({ length: 10 }, (_, i) => i), write, { concurrency: 10, discard: true })
        yield* until(Effect.sync(() => log.length >= 270))
        for (let writer = 0; writer < 10; writer++) {
          const own = log.filter((word) => word.startsWith(`Placed ${writer} `)).map((word) =>
            Number(word.split(" ")[2])
          )
          const expected = Array.from({ length: 30 }, (_, i) => i).filter((i) => i % 10 !== writer)
          yield* expect(`the events of writer ${writer}`, own, expected)
        }
      })
  )
]
