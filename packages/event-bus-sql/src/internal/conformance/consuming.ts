import { DateTime, Effect, Schedule } from "effect"
import * as SqlClient from "effect/sql/SqlClient"
import { expect, numbers, paid, placed, Shop, situation, soon, until, wordOf } from "./stage.ts"

const topic = "Consumers"

const ordered = (order: "all" | "key") =>
  situation(
    topic,
    `with order "${order}" an event that fails holds back what it should, and no more`,
    ({ inProcess }) =>
      inProcess(Effect.gen(function*() {
        const shop = yield* Shop
        const log: Array<string> = []
        yield* shop.on(["Placed", "Paid"], (event, { attempt }) => {
          if (event._tag === "Placed" && event.order === "3" && attempt < 4) return Effect.fail("no")
          return Effect.sync(() => log.push(wordOf(event)))
        }, { consumer: "ledger", order, retry: Schedule.spaced("100 millis") })
        const events = [...numbers(10).map(placed), ...numbers(10).map(paid)]
        yield* shop.publishAll(events)
        yield* until(Effect.sync(() => log.length >= 20))
        if (order === "all") yield* expect("handled", log, events.map(wordOf))
        else {
          yield* expect("of its key", log.filter((word) => word.endsWith(" 3")), ["Placed 3", "Paid 3"])
          yield* expect("the last two", log.slice(-2), ["Placed 3", "Paid 3"])
        }
      }))
  )

export const consuming = [
  situation(
    topic,
    "a new consumer starts now, at the beginning, or at a time, and goes on where it stopped",
    ({ inProcess }) =>
      Effect.gen(function*() {
        const logs: Record<string, Array<string>> = { now: [], beginning: [], time: [] }
        const serve = (from: "now" | "beginning" | DateTime.Utc, consumer: string) =>
          Effect.flatMap(
            Shop,
            (shop) =>
              shop.on("Placed", (event) => Effect.sync(() => logs[consumer]!.push(event.order)), { consumer, from })
          )
        const serveAll = Effect.gen(function*() {
          yield* serve("now", "now")
          yield* serve("beginning", "beginning")
          yield* serve(DateTime.makeUnsafe(Date.now() - 86_400_000), "time")
        })
        yield* inProcess(Effect.flatMap(Shop, (shop) => shop.publish(placed("1"))))
        yield* inProcess(Effect.andThen(serveAll, Effect.flatMap(Shop, (shop) => shop.awaitIdle)))
        yield* inProcess(Effect.flatMap(Shop, (shop) => shop.publish(placed("2"))))
        yield* inProcess(Effect.andThen(serveAll, Effect.flatMap(Shop, (shop) => shop.awaitIdle)))
        yield* expect("from now", logs["now"], ["2"])
        yield* expect("from the beginning", logs["beginning"], ["1", "2"])
        yield* expect("from a time", logs["time"], ["1", "2"])
      })
  ),

  situation(
    topic,
    "every consumer gets every event, and one that never ends holds no other up",
    ({ inProcess }) =>
      inProcess(Effect.gen(function*() {
        const shop = yield* Shop
        const logs: ReadonlyArray<Array<string>> = [[], [], []]
        for (const [i, log] of logs.entries()) {
          yield* shop.on("Placed", ({ order }) => Effect.sync(() => log.push(order)), { consumer: `consumer ${i}` })
        }
        yield* shop.publishAll(numbers(50).map(placed))
        yield* shop.awaitIdle
        for (const log of logs) yield* expect("handled", log, numbers(50))
      }))
  ),

  ordered("all"),
  ordered("key"),

  situation(
    topic,
    "what a transactional handler writes is there once for each event, whatever fails after it",
    ({ inProcess }) =>
      inProcess(Effect.gen(function*() {
        const shop = yield* Shop
        const sql = yield* SqlClient.SqlClient
        yield* sql`CREATE TABLE conformance_mails (order_id VARCHAR(20))`
        yield* shop.on("Placed", ({ order }, { attempt }) =>
          Effect.andThen(
            sql`INSERT INTO conformance_mails (order_id) VALUES (${order})`,
            attempt === 1 && Number(order) % 3 === 0 ? Effect.fail("after writing") : Effect.void
          ), { consumer: "mailer", order: "key", transactional: true, retry: soon })
        yield* shop.publishAll(numbers(20).map(placed))
        yield* until(Effect.map(shop.consumers, ([mailer]) => mailer!.lag.events === 0 && mailer!.retrying === 0))
        const rows = yield* sql<{ order_id: string }>`SELECT order_id FROM conformance_mails`
        yield* expect("written", rows.map(({ order_id }) => order_id).toSorted(), numbers(20).toSorted())
      }))
  )
]
