import { Effect, Stream } from "effect"
import * as Outbox from "../../Outbox.ts"
import { expect, paid, placed, Shop, situation, soon, until, wordOf } from "./stage.ts"

const topic = "Failures"

const letters = Effect.flatMap(Shop, (shop) => Stream.runCollect(shop.deadLetters()))

export const failing = [
  situation(
    topic,
    "a poison event is a dead letter after its attempts, and is requeued or discarded",
    ({ inProcess }) =>
      inProcess(Effect.gen(function*() {
        const shop = yield* Shop
        const log: Array<string> = []
        let isMended = false
        yield* shop.on("Placed", ({ order }, { attempt, isRequeued }) => {
          log.push(`${order} ${attempt}${isRequeued ? " requeued" : ""}`)
          return order === "good" || isMended ? Effect.void : Effect.fail("no")
        }, { consumer: "ledger", retry: soon, maxAttempts: 2 })
        yield* shop.publishAll([placed("bad"), placed("worse"), placed("good")])
        yield* until(Effect.sync(() => log.includes("good 1")))
        yield* shop.awaitIdle
        yield* expect("attempts", log, ["bad 1", "bad 2", "worse 1", "worse 2", "good 1"])
        const [bad, worse] = yield* letters
        yield* expect("dead", [bad?.event?.order, worse?.event?.order, bad?.attempts], ["bad", "worse", 2])
        isMended = true
        yield* expect("requeued", yield* shop.requeue([bad!]), 1)
        yield* expect("discarded", yield* shop.discard([worse!]), 1)
        yield* until(Effect.sync(() => log.includes("bad 1 requeued")))
        yield* until(Effect.map(letters, (letters) => letters.length === 0))
      }))
  ),

  situation(
    topic,
    "attempts and pauses outlive the process, and an interruption is no attempt",
    ({ inProcess }) =>
      Effect.gen(function*() {
        const attempts: Array<number> = []
        /** Serves in a process of its own until there is one more attempt, which is returned. */
        const next = (
          handling: Effect.Effect<unknown, unknown>,
          first: Effect.Effect<unknown, unknown, Shop> = Effect.void
        ) =>
          inProcess(Effect.gen(function*() {
            const shop = yield* Shop
            const before = attempts.length
            yield* shop.on("Placed", (_, { attempt }) =>
              Effect.suspend(() => {
                attempts.push(attempt)
                return handling
              }), { consumer: "mailer" })
            yield* first
            yield* until(Effect.sync(() => attempts.length > before))
            return attempts.at(-1)!
          }))
        const publish = Effect.flatMap(Shop, (shop) => shop.publish(placed("1")))
        yield* next(Outbox.retryAfter("300 millis", "no"), publish)
        const interrupted = yield* next(Effect.never)
        yield* expect("an attempt after a restart is not the first", interrupted > 1, true)
        yield* expect("the attempt after one that was interrupted", yield* next(Effect.void), interrupted)
      })
  ),

  situation(
    topic,
    "with afterDeath \"hold\" what comes behind a dead letter of its key waits, also over a restart",
    ({ inProcess }) =>
      Effect.gen(function*() {
        const log: Array<string> = []
        const serve = Effect.flatMap(Shop, (shop) =>
          shop.on(["Placed", "Paid"], (event) => {
            if (event._tag === "Placed" && event.order === "bad") return Outbox.giveUp("no")
            return Effect.sync(() => log.push(wordOf(event)))
          }, { consumer: "ledger", order: "key", afterDeath: "hold" }))
        yield* inProcess(Effect.gen(function*() {
          const shop = yield* Shop
          yield* serve
          yield* shop.publishAll([placed("bad"), paid("bad"), placed("good"), paid("good")])
          yield* shop.awaitIdle
        }))
        yield* expect("not held", log, ["Placed good", "Paid good"])
        yield* inProcess(Effect.gen(function*() {
          const shop = yield* Shop
          yield* serve
          yield* shop.awaitIdle
          yield* expect("still not held", log.length, 2)
          yield* shop.discard(yield* letters)
          yield* until(Effect.sync(() => log.includes("Paid bad")))
        }))
      })
  )
]
