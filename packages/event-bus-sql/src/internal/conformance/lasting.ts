import { Context, Effect, Latch } from "effect"
import * as Statement from "effect/sql/Statement"
import { TestClock } from "effect/testing"
import * as Outbox from "../../Outbox.ts"
import { expect, numbers, placed, Shop, situation, until } from "./stage.ts"

const topic = "Faults and time"

/** A log of the orders that a consumer is given. */
const serve = (log: Array<string>, then: Effect.Effect<unknown, unknown> = Effect.void) =>
  Effect.flatMap(
    Shop,
    (shop) =>
      shop.on("Placed", ({ order }) => Effect.andThen(Effect.sync(() => log.push(order)), then), { consumer: "ledger" })
  )

/** What a driver says of a connection that is gone: PostgreSQL's `connection_failure`. */
const gone = Object.assign(new Error("the connection is gone"), { code: "08006" })

export const lasting = [
  situation(
    topic,
    "while the database is away publishers are told that trying again may help; then everything goes on",
    (stage) =>
      Effect.gen(function*() {
        let isAway = false
        const failing: Statement.Transformer = (statement) => isAway ? Effect.die(gone) : Effect.succeed(statement)
        const log: Array<string> = []
        yield* Effect.gen(function*() {
          const services = yield* stage.process
          const shop = Context.get(services, Shop)
          yield* Effect.provide(serve(log), services)
          yield* shop.publish(placed("1"))
          yield* until(Effect.sync(() => log.length >= 1))
          isAway = true
          const error = yield* Effect.flip(shop.publish(placed("2"), { id: "2" }))
          yield* expect("the error", [error.reason, error.isRetryable], ["database", true])
          isAway = false
          yield* shop.publish(placed("2"), { id: "2" })
          yield* until(Effect.sync(() => log.includes("2")))
          yield* expect("the orders that were handled", Array.from(new Set(log)), ["1", "2"])
        }).pipe(Effect.provideService(Statement.CurrentTransformer, failing))
      })
  ),

  situation(
    topic,
    "a process whose time stands still past its lease is taken over from, and what it does then changes nothing",
    (stage) =>
      Effect.gen(function*() {
        const [stopped, other]: [Array<string>, Array<string>] = [[], []]
        const mayEnd = yield* Latch.make()
        const options = { pollInterval: "50 millis", lease: "1 second" } as const
        const first = yield* Effect.provide(stage.processWith(options), TestClock.layer())
        yield* Effect.provide(Effect.provide(serve(stopped, mayEnd.await), first), TestClock.layer())
        const second = yield* stage.processWith(options)
        const shop = Context.get(second, Shop)
        yield* shop.publish(placed("0"))
        yield* Context.get(first, Shop).publishAll(numbers(10).slice(1).map(placed))
        yield* until(Effect.sync(() => stopped.length >= 1))
        yield* Effect.provide(serve(other), second)
        yield* until(Effect.sync(() => other.length >= 10))
        yield* mayEnd.open
        yield* until(Effect.map(shop.consumers, ([ledger]) => ledger!.lag.events === 0))
        yield* expect("handled by the process that was stopped", stopped[0], "0")
        yield* expect("handled by the other", other, numbers(10))
      })
  ),

  situation(
    topic,
    "what every consumer has handled is deleted after its time; what is dead or not handled stays",
    (stage) =>
      Effect.gen(function*() {
        const shop = Context.get(
          yield* stage.processWith({ retention: "1 milli", pollInterval: "1 minute", lease: "10 minutes" }),
          Shop
        )
        const kept = Effect.map(shop.last(10), (events) => events.map(({ order }) => order))
        const sweepUntil = (expected: ReadonlyArray<string>) =>
          Effect.repeat(Effect.andThen(TestClock.adjust("6 minutes"), kept), {
            until: (orders) => orders.join() === expected.join()
          })
        yield* shop.on("Placed", ({ order }) => order === "bad" ? Outbox.giveUp("no") : Effect.void, {
          consumer: "mailer"
        })
        yield* shop.publishAll([placed("bad"), placed("good")])
        yield* shop.awaitIdle
        yield* Effect.scoped(shop.on("Placed", () => Effect.void, { consumer: "away" }))
        yield* shop.publish(placed("for the one that is away"))
        yield* shop.awaitIdle
        yield* sweepUntil(["bad", "for the one that is away"])
        yield* shop.removeConsumer("away")
        yield* sweepUntil(["bad"])
      }).pipe(Effect.provide(TestClock.layer()))
  )
]
