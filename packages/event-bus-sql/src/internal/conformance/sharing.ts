import { Context, Effect, Exit, Scope } from "effect"
import { expect, numbers, paid, placed, type Process, Shop, situation, until, wordOf } from "./stage.ts"

const topic = "Several processes"

const serve = (services: Process, log: Array<string>, kinds: ReadonlyArray<"Placed" | "Paid"> = ["Placed", "Paid"]) =>
  Context.get(services, Shop).on(kinds, (event) => Effect.sync(() => log.push(wordOf(event))), {
    consumer: "ledger",
    order: "key"
  })

const shares = (services: Process) =>
  Effect.map(Context.get(services, Shop).consumers, ([ledger]) => Object.values(ledger!.owners).join())

export const sharing = [
  situation(
    topic,
    "they share the events of a consumer, each is handled once, and one that stops hands over",
    (stage) =>
      Effect.gen(function*() {
        const [a, b]: [Array<string>, Array<string>] = [[], []]
        const first = yield* stage.process
        const scope = yield* Scope.make()
        const second = yield* Scope.provide(stage.process, scope)
        yield* serve(first, a)
        yield* Scope.provide(serve(second, b), scope)
        yield* until(Effect.map(shares(first), (counts) => counts === "8,8"))
        const shop = Context.get(first, Shop)
        yield* shop.publishAll([...numbers(50).map(placed), ...numbers(50).map(paid)])
        yield* until(Effect.sync(() => a.length + b.length >= 100))
        yield* expect("handled", new Set([...a, ...b]).size, 100)
        yield* expect("by both", a.length > 0 && b.length > 0, true)
        for (const log of [a, b]) {
          for (const order of numbers(50).filter((order) => log.includes(`Placed ${order}`))) {
            yield* expect(`the order of ${order}`, log.indexOf(`Placed ${order}`) < log.indexOf(`Paid ${order}`), true)
          }
        }
        yield* Scope.close(scope, Exit.void)
        yield* until(Effect.map(shares(first), (counts) => counts === "16"))
        yield* shop.publish(placed("after"))
        yield* until(Effect.sync(() => a.includes("Placed after")))
      })
  ),

  situation(
    topic,
    "what one publishes is on the bus of the other, and is handled there",
    (stage) =>
      Effect.gen(function*() {
        const log: Array<string> = []
        const first = yield* stage.process
        const second = yield* stage.process
        yield* serve(second, log)
        yield* Context.get(first, Shop).publish(placed("1"))
        yield* until(Effect.sync(() => log.length >= 1))
      })
  ),

  situation(
    topic,
    "one that does not serve a kind leaves the consumer's events to those that do, in order",
    (stage) =>
      Effect.gen(function*() {
        const log: Array<string> = []
        const old = yield* stage.process
        const fresh = yield* stage.process
        yield* serve(old, log, ["Placed"])
        yield* Effect.scoped(serve(fresh, log))
        yield* Context.get(old, Shop).publishAll([placed("1"), paid("1"), placed("1")])
        yield* until(Effect.map(shares(old), (counts) => counts === "15"))
        yield* expect("handled by the old one", log, ["Placed 1"])
        yield* serve(fresh, log)
        yield* until(Effect.sync(() => log.length >= 3))
        yield* expect("handled", log, ["Placed 1", "Paid 1", "Placed 1"])
      })
  )
]
