import { assert, describe, layer } from "@effect/vitest"
import { Outbox } from "@openwatch/event-bus-sql"
import {
  Cause,
  Context,
  DateTime,
  Deferred,
  Effect,
  Exit,
  Fiber,
  Latch,
  Layer,
  Option,
  Queue,
  Ref,
  Schedule,
  Scope,
  Stream,
  Tracer
} from "effect"
import { SqlClient } from "effect/sql"
import { TestClock } from "effect/testing"
import {
  collector,
  inShop,
  type OrderPaid,
  type OrderPlaced,
  paid,
  Place,
  placed,
  places,
  processes,
  ShopBus,
  ShopOutbox
} from "./shop.ts"

const orders = (events: ReadonlyArray<OrderPlaced | OrderPaid>) => events.map(({ order }) => order)

/** Retried at once. */
const atOnce = Schedule.spaced(0)

for (const place of places) {
  describe.skipIf(place.isSkipped)(`consumers, on ${place.name}`, () => {
    layer(place.layer, { timeout: "60 seconds", excludeTestServices: place.isPostgres })((it) => {
      describe("where they start", () => {
        it.effect("a new consumer gets what is published from now on", () =>
          inShop(Effect.gen(function*() {
            const outbox = yield* ShopOutbox
            yield* outbox.publish(placed("before"))
            const { handler, take } = yield* collector<OrderPlaced>()
            yield* outbox.on("OrderPlaced", handler, { consumer: "mailer" })
            yield* outbox.publish(placed("after"))
            assert.strictEqual((yield* take).order, "after")
          })))

        it.effect("from the beginning it gets everything that is kept", () =>
          inShop(Effect.gen(function*() {
            const outbox = yield* ShopOutbox
            const events = Array.from({ length: 1_200 }, (_, i) => placed(String(i)))
            yield* outbox.publishAll(events)
            const { handler, takeN } = yield* collector<OrderPlaced>()
            yield* outbox.on("OrderPlaced", handler, { consumer: "mailer", from: "beginning" })
            assert.deepStrictEqual(yield* takeN(1_200), events)
          })))

        it.effect("from a time it gets what was published then or later", () =>
          inShop(Effect.gen(function*() {
            const outbox = yield* ShopOutbox
            const sql = yield* SqlClient.SqlClient
            yield* outbox.publishAll([placed("1"), placed("2"), placed("3")])
            const events = sql(`${outbox.tablePrefix}events`)
            yield* sql`UPDATE ${events} SET published_at = 1000 * seq`
            const { handler, takeN } = yield* collector<OrderPlaced>()
            yield* outbox.on("OrderPlaced", handler, { consumer: "mailer", from: DateTime.makeUnsafe(2_000) })
            assert.deepStrictEqual(orders(yield* takeN(2)), ["2", "3"])
          })))

        it.effect("a kind that is added starts when it is added", () =>
          Effect.gen(function*() {
            const { inProcess } = yield* processes
            const { handler, takeN } = yield* collector<OrderPlaced | OrderPaid>()
            yield* inProcess(Effect.gen(function*() {
              const outbox = yield* ShopOutbox
              yield* outbox.on("OrderPlaced", handler, { consumer: "ledger" })
              yield* outbox.publishAll([placed("1"), paid("1", 5)])
              yield* outbox.awaitIdle
            }))
            yield* inProcess(Effect.gen(function*() {
              const outbox = yield* ShopOutbox
              yield* outbox.publish(placed("2"))
              yield* outbox.on(["OrderPlaced", "OrderPaid"], handler, { consumer: "ledger" })
              yield* outbox.publish(paid("2", 5))
              assert.deepStrictEqual(yield* takeN(3), [placed("1"), placed("2"), paid("2", 5)])
            }))
          }))

        it.effect("a consumer goes on where it stopped, in another process", () =>
          Effect.gen(function*() {
            const { inProcess } = yield* processes
            const { handler, isEmpty, takeN } = yield* collector<OrderPlaced>()
            const serve = Effect.gen(function*() {
              const outbox = yield* ShopOutbox
              yield* outbox.on("OrderPlaced", handler, { consumer: "mailer" })
              return outbox
            })
            yield* inProcess(
              Effect.flatMap(serve, (outbox) => Effect.andThen(outbox.publish(placed("1")), outbox.awaitIdle))
            )
            yield* inProcess(Effect.flatMap(ShopOutbox, (outbox) => outbox.publish(placed("while nobody served"))))
            yield* inProcess(Effect.flatMap(serve, (outbox) => outbox.awaitIdle))
            assert.deepStrictEqual(orders(yield* takeN(2)), ["1", "while nobody served"])
            assert.isTrue(yield* isEmpty)
          }))
      })

      describe("each on its own", () => {
        it.effect("every consumer gets every event", () =>
          inShop(Effect.gen(function*() {
            const outbox = yield* ShopOutbox
            const names = ["a", "b", "c"]
            const collectors = yield* Effect.forEach(names, () => collector<OrderPlaced>())
            for (const [i, consumer] of names.entries()) {
              yield* outbox.on("OrderPlaced", collectors[i]!.handler, { consumer })
            }
            yield* outbox.publishAll([placed("1"), placed("2")])
            for (const { takeN } of collectors) assert.deepStrictEqual(orders(yield* takeN(2)), ["1", "2"])
          })))

        it.effect("what was handled in a partition that somebody else has taken meanwhile is not written", () =>
          inShop(Effect.gen(function*() {
            const outbox = yield* ShopOutbox
            const sql = yield* SqlClient.SqlClient
            let runs = 0
            yield* outbox.on("OrderPlaced", () =>
              Effect.gen(function*() {
                runs++
                // As a process does that takes it over.
                if (runs === 1) yield* sql`UPDATE ${sql(`${outbox.tablePrefix}positions`)} SET epoch = epoch + 1`
              }), { consumer: "mailer" })
            yield* outbox.publish(placed("1"))
            yield* outbox.awaitIdle
            assert.strictEqual(runs, 2)
          })))

        it.effect("one that never ends holds no other up", () =>
          inShop(Effect.gen(function*() {
            const outbox = yield* ShopOutbox
            yield* outbox.on("OrderPlaced", () => Effect.never, { consumer: "stuck" })
            const { handler, takeN } = yield* collector<OrderPlaced>()
            yield* outbox.on("OrderPlaced", handler, { consumer: "mailer" })
            yield* outbox.publishAll([placed("1"), placed("2")])
            assert.deepStrictEqual(orders(yield* takeN(2)), ["1", "2"])
          })))
      })

      describe("order", () => {
        it.effect("with order all one event is handled after the other", () =>
          inShop(Effect.gen(function*() {
            const outbox = yield* ShopOutbox
            const log: Array<string> = []
            yield* outbox.on(
              "OrderPlaced",
              ({ order }) =>
                Effect.gen(function*() {
                  log.push(`${order} begins`)
                  yield* Effect.yieldNow
                  log.push(`${order} ends`)
                }),
              { consumer: "mailer" }
            )
            yield* outbox.publishAll([placed("1"), placed("2")])
            yield* outbox.awaitIdle
            assert.deepStrictEqual(log, ["1 begins", "1 ends", "2 begins", "2 ends"])
          })))

        /** A consumer with `order: "key"`, what it has begun, and what the events of the order "slow" wait for. */
        const orderedByKey = Effect.fnUntraced(function*(outbox: ShopOutbox["Service"]) {
          const begun = yield* Queue.unbounded<string>()
          const mayEnd = yield* Latch.make()
          yield* outbox.on(
            ["OrderPlaced", "OrderPaid"],
            (event) =>
              Effect.andThen(
                Queue.offer(begun, `${event._tag} ${event.order}`),
                event.order === "slow" ? mayEnd.await : Effect.void
              ),
            { consumer: "ledger", order: "key" }
          )
          return { begun, mayEnd }
        })

        it.effect("with order key an event waits for those of its key only", () =>
          inShop(Effect.gen(function*() {
            const outbox = yield* ShopOutbox
            const { begun, mayEnd } = yield* orderedByKey(outbox)
            yield* outbox.publishAll([placed("slow"), paid("slow", 1), placed("quick"), paid("quick", 2)])
            assert.sameMembers(yield* Queue.takeN(begun, 3), [
              "OrderPlaced slow",
              "OrderPlaced quick",
              "OrderPaid quick"
            ])
            yield* mayEnd.open
            assert.strictEqual(yield* Queue.take(begun), "OrderPaid slow")
          })))

        it.effect("one function may be the key of events of all kinds", () =>
          inShop(
            Effect.gen(function*() {
              class OneKeyOutbox extends Outbox.Service<OneKeyOutbox>()("shop/OneKeyOutbox", {
                bus: ShopBus,
                keys: ({ order }) => order
              }) {}
              const tablePrefix = yield* Effect.flatMap(Place, ({ nextPrefix }) => nextPrefix)
              const services = yield* Layer.build(OneKeyOutbox.layerWith({ tablePrefix }))
              const outbox = Context.get(services, OneKeyOutbox)
              const { begun, mayEnd } = yield* orderedByKey(outbox)
              yield* outbox.publishAll([placed("slow"), paid("slow", 1), paid("quick", 2)])
              assert.sameMembers(yield* Queue.takeN(begun, 2), ["OrderPlaced slow", "OrderPaid quick"])
              yield* mayEnd.open
              assert.strictEqual(yield* Queue.take(begun), "OrderPaid slow")
            }).pipe(Effect.scoped)
          ))

        it.effect("with order none nothing waits, up to the concurrency", () =>
          inShop(Effect.gen(function*() {
            const outbox = yield* ShopOutbox
            const begun = yield* Queue.unbounded<string>()
            const mayEnd = yield* Latch.make()
            yield* outbox.on(
              "OrderPlaced",
              ({ order }) => Effect.andThen(Queue.offer(begun, order), mayEnd.await),
              { consumer: "mailer", order: "none", concurrency: 3 }
            )
            yield* outbox.publishAll(Array.from({ length: 10 }, (_, i) => placed(String(i))))
            yield* Queue.takeN(begun, 3)
            assert.strictEqual(yield* Queue.size(begun), 0)
            yield* mayEnd.open
            yield* outbox.awaitIdle
            assert.strictEqual(yield* Queue.size(begun), 7)
          })))
      })

      describe("failures", () => {
        it.effect("an event that fails is tried again, and what comes behind it waits", () =>
          inShop(Effect.gen(function*() {
            const outbox = yield* ShopOutbox
            const attempts: Array<string> = []
            yield* outbox.on(
              "OrderPlaced",
              ({ order }, { attempt }) => {
                attempts.push(`${order} ${attempt}`)
                return order === "bad" && attempt < 3 ? Effect.fail("no") : Effect.void
              },
              { consumer: "mailer", retry: atOnce }
            )
            yield* outbox.publishAll([placed("bad"), placed("good")])
            yield* outbox.awaitIdle
            assert.deepStrictEqual(attempts, ["bad 1", "bad 2", "bad 3", "good 1"])
          })))

        it.effect("with order key what fails holds those of its key back, and no others", () =>
          inShop(Effect.gen(function*() {
            const outbox = yield* ShopOutbox
            const handled = yield* Queue.unbounded<string>()
            const mayPass = yield* Ref.make(false)
            yield* outbox.on(
              ["OrderPlaced", "OrderPaid"],
              (event) =>
                Effect.gen(function*() {
                  if (event.order === "bad" && !(yield* Ref.get(mayPass))) return yield* Effect.fail("no")
                  yield* Queue.offer(handled, `${event._tag} ${event.order}`)
                  if (event._tag === "OrderPaid" && event.order === "good") yield* Ref.set(mayPass, true)
                  return undefined
                }),
              { consumer: "ledger", order: "key", retry: atOnce, maxAttempts: 1_000_000 }
            )
            yield* outbox.publishAll([placed("bad"), paid("bad", 1), placed("good"), paid("good", 1)])
            assert.deepStrictEqual(yield* Queue.takeN(handled, 4), [
              "OrderPlaced good",
              "OrderPaid good",
              "OrderPlaced bad",
              "OrderPaid bad"
            ])
          })))

        it.effect("with order none what fails holds nothing back", () =>
          inShop(Effect.gen(function*() {
            const outbox = yield* ShopOutbox
            const handled: Array<string> = []
            yield* outbox.on(
              "OrderPlaced",
              ({ order }, { attempt }) => {
                if (order === "bad" && attempt === 1) return Effect.fail("no")
                handled.push(order)
                return Effect.void
              },
              { consumer: "mailer", order: "none", concurrency: 1, retry: atOnce }
            )
            yield* outbox.publishAll([placed("bad"), placed("good")])
            yield* outbox.awaitIdle
            assert.deepStrictEqual(handled, ["good", "bad"])
          })))

        it.effect("after maxAttempts an event is given up, and the next is handled", () =>
          inShop(Effect.gen(function*() {
            const outbox = yield* ShopOutbox
            const attempts: Array<string> = []
            yield* outbox.on(
              "OrderPlaced",
              ({ order }, { attempt }) => {
                attempts.push(`${order} ${attempt}`)
                return order === "bad" ? Effect.fail("no") : Effect.void
              },
              { consumer: "mailer", retry: atOnce, maxAttempts: 3 }
            )
            yield* outbox.publishAll([placed("bad"), placed("good")])
            yield* outbox.awaitIdle
            assert.deepStrictEqual(attempts, ["bad 1", "bad 2", "bad 3", "good 1"])
          })))

        it.effect("a handler that gives up is not tried again", () =>
          inShop(Effect.gen(function*() {
            const outbox = yield* ShopOutbox
            const attempts: Array<number> = []
            yield* outbox.on("OrderPlaced", (_, { attempt }) => {
              attempts.push(attempt)
              return Outbox.giveUp("never will")
            }, { consumer: "mailer" })
            yield* outbox.publish(placed("1"))
            yield* outbox.awaitIdle
            assert.deepStrictEqual(attempts, [1])
          })))

        it.effect("a handler that says when is tried again then", () =>
          inShop(Effect.gen(function*() {
            const outbox = yield* ShopOutbox
            const second = yield* Deferred.make<void>()
            yield* outbox.on(
              "OrderPlaced",
              (_, { attempt }) => attempt === 1 ? Outbox.retryAfter(0, "busy") : Deferred.succeed(second, void 0),
              { consumer: "mailer", retry: Schedule.spaced("1 day") }
            )
            yield* outbox.publish(placed("1"))
            yield* Deferred.await(second)
          })))

        it.effect("a handler that dies, throws or interrupts itself has failed", () =>
          inShop(Effect.gen(function*() {
            const outbox = yield* ShopOutbox
            const attempts: Array<number> = []
            yield* outbox.on("OrderPlaced", (_, { attempt }) => {
              attempts.push(attempt)
              if (attempt === 1) return Effect.die("dead")
              if (attempt === 2) throw new Error("thrown")
              if (attempt === 3) return Effect.interrupt
              return Effect.void
            }, { consumer: "mailer", retry: atOnce })
            yield* outbox.publish(placed("1"))
            yield* outbox.awaitIdle
            assert.deepStrictEqual(attempts, [1, 2, 3, 4])
          })))

        it.effect("a handler that takes longer than its time-out is interrupted, which is a failed attempt", () =>
          inShop(Effect.gen(function*() {
            const outbox = yield* ShopOutbox
            const begun = yield* Deferred.make<void>()
            const second = yield* Deferred.make<number>()
            let isInterrupted = false
            yield* outbox.on(
              "OrderPlaced",
              (_, { attempt }) =>
                attempt > 1 ? Deferred.succeed(second, attempt) : Effect.onInterrupt(
                  Effect.andThen(Deferred.succeed(begun, void 0), Effect.never),
                  () => Effect.sync(() => (isInterrupted = true))
                ),
              { consumer: "mailer", timeout: "30 millis", retry: atOnce }
            )
            yield* outbox.publish(placed("1"))
            yield* Deferred.await(begun)
            if (!place.isPostgres) yield* TestClock.adjust("31 millis")
            assert.strictEqual(yield* Deferred.await(second), 2)
            assert.isTrue(isInterrupted)
          })))

        it.effect("what a handler acquires is released when it has ended", () =>
          inShop(Effect.gen(function*() {
            const outbox = yield* ShopOutbox
            const log: Array<string> = []
            yield* outbox.on("OrderPlaced", ({ order }) =>
              Effect.acquireRelease(
                Effect.sync(() => log.push(`${order} acquires`)),
                () => Effect.sync(() => log.push(`${order} releases`))
              ), { consumer: "mailer" })
            yield* outbox.publishAll([placed("1"), placed("2")])
            yield* outbox.awaitIdle
            assert.deepStrictEqual(log, ["1 acquires", "1 releases", "2 acquires", "2 releases"])
          })))

        it.effect("an event that does not decode has failed, and is kept as a dead letter", () =>
          Effect.gen(function*() {
            const { inProcess } = yield* processes
            yield* inProcess(Effect.gen(function*() {
              const outbox = yield* ShopOutbox
              const sql = yield* SqlClient.SqlClient
              yield* Effect.scoped(outbox.on("OrderPlaced", () => Effect.void, { consumer: "mailer" }))
              yield* outbox.publish(placed("1"))
              yield* sql`UPDATE ${sql(`${outbox.tablePrefix}events`)} SET payload = '{"_tag":"OrderPlaced","order":1}'`
            }))
            // One that has not read the event before it was changed.
            yield* inProcess(Effect.gen(function*() {
              const outbox = yield* ShopOutbox
              yield* outbox.on("OrderPlaced", () => Effect.void, { consumer: "mailer", retry: atOnce, maxAttempts: 2 })
              yield* outbox.awaitIdle
              const [letter] = yield* Stream.runCollect(outbox.deadLetters())
              assert.deepInclude(letter, { attempts: 2, event: undefined, json: `{"_tag":"OrderPlaced","order":1}` })
              assert.include(letter!.cause, `The event of kind "OrderPlaced" does not decode`)
            }))
          }))

        it.effect("a handler's span links to the span of the publisher", () =>
          inShop(Effect.gen(function*() {
            const outbox = yield* ShopOutbox
            const handled = yield* Deferred.make<Tracer.Span>()
            yield* outbox.on(
              "OrderPlaced",
              () => Effect.flatMap(Effect.orDie(Effect.currentSpan), (span) => Deferred.succeed(handled, span)),
              { consumer: "mailer" }
            )
            const publisher = yield* Effect.withSpan(
              Effect.tap(Effect.orDie(Effect.currentSpan), () => outbox.publish(placed("1"))),
              "checkout"
            )
            const span = yield* Deferred.await(handled)
            assert.strictEqual(span.name, "process OrderPlaced")
            assert.deepStrictEqual(
              span.links.map(({ span: { spanId, traceId } }) => ({ spanId, traceId })),
              [{ spanId: publisher.spanId, traceId: publisher.traceId }]
            )
          })))

        it.effect("what an outbox does by itself is not traced, and the transaction of a handler is part of its span", () => {
          const spans: Array<string> = []
          const tracer = Tracer.make({
            span: (options) => {
              const { parent } = options
              const inside = Option.isSome(parent) && parent.value._tag === "Span" ? ` in ${parent.value.name}` : ""
              spans.push(`${options.name}${inside}`)
              return new Tracer.NativeSpan(options)
            }
          })
          return inShop(Effect.gen(function*() {
            const outbox = yield* ShopOutbox
            const { handler, take } = yield* collector<OrderPlaced>()
            yield* outbox.on("OrderPlaced", handler, { consumer: "mailer", transactional: true })
            spans.length = 0
            yield* Effect.withSpan(outbox.publish(placed("1")), "checkout")
            yield* take
            yield* outbox.awaitIdle
            const outer = spans.filter((span) => !/^(?:sqlite|postgres) in (?:checkout|sql\.transaction)$/.test(span))
            assert.deepStrictEqual(outer, ["checkout", "process OrderPlaced", "sql.transaction in process OrderPlaced"])
          })).pipe(Effect.withTracer(tracer))
        })

        it.effect("attempts are counted on over a restart", () =>
          Effect.gen(function*() {
            const { inProcess } = yield* processes
            const attempts: Array<number> = []
            const serve = Effect.gen(function*() {
              const outbox = yield* ShopOutbox
              yield* outbox.on("OrderPlaced", (_, { attempt }) => {
                attempts.push(attempt)
                return attempts.length < 3 ? Outbox.retryAfter(attempts.length === 1 ? 0 : "1 hour", "no") : Effect.void
              }, { consumer: "mailer" })
              return outbox
            })
            yield* inProcess(Effect.gen(function*() {
              const outbox = yield* serve
              yield* outbox.publish(placed("1"))
              yield* outbox.awaitIdle
              const sql = yield* SqlClient.SqlClient
              yield* sql`UPDATE ${sql(`${outbox.tablePrefix}parked`)} SET due_at = 0`
            }))
            yield* inProcess(Effect.flatMap(serve, (outbox) => outbox.awaitIdle))
            assert.deepStrictEqual(attempts, [1, 2, 3])
          }))

        it.effect("an interrupted handler, as by a deploy, has not used up an attempt", () =>
          Effect.gen(function*() {
            const { inProcess } = yield* processes
            const attempts = yield* Queue.unbounded<number>()
            const serve = (handling: Effect.Effect<void>) =>
              Effect.gen(function*() {
                const outbox = yield* ShopOutbox
                yield* outbox.on(
                  "OrderPlaced",
                  (_, { attempt }) => Effect.andThen(Queue.offer(attempts, attempt), handling),
                  { consumer: "mailer" }
                )
                return outbox
              })
            yield* inProcess(Effect.gen(function*() {
              const outbox = yield* serve(Effect.never)
              yield* outbox.publish(placed("1"))
              assert.strictEqual(yield* Queue.take(attempts), 1)
            }))
            yield* inProcess(Effect.flatMap(serve(Effect.void), () => Queue.take(attempts))).pipe(
              Effect.map((attempt) => assert.strictEqual(attempt, 1))
            )
          }))

        it.effect("with drain a handler may end when the scope closes", () =>
          inShop(Effect.gen(function*() {
            const outbox = yield* ShopOutbox
            const begun = yield* Deferred.make<void>()
            const mayEnd = yield* Latch.make()
            let isDone = false
            const scope = yield* Scope.make()
            yield* outbox.on(
              "OrderPlaced",
              () =>
                Effect.gen(function*() {
                  yield* Deferred.succeed(begun, void 0)
                  yield* mayEnd.await
                  isDone = true
                }),
              { consumer: "mailer", drain: "1 hour" }
            ).pipe(Scope.provide(scope))
            yield* outbox.publish(placed("1"))
            yield* Deferred.await(begun)
            const closing = yield* Effect.forkChild(Scope.close(scope, Exit.void), { startImmediately: true })
            yield* mayEnd.open
            yield* Fiber.join(closing)
            assert.isTrue(isDone)
          })))
      })

      describe("transactional", () => {
        it.effect("what the handler writes is there exactly when the event is marked", () =>
          inShop(Effect.gen(function*() {
            const outbox = yield* ShopOutbox
            const sql = yield* SqlClient.SqlClient
            const mails = sql(`${outbox.tablePrefix}mails`)
            yield* sql`CREATE TABLE ${mails} (order_id TEXT)`
            yield* outbox.on(
              "OrderPlaced",
              ({ order }, { attempt }) =>
                Effect.andThen(
                  sql`INSERT INTO ${mails} (order_id) VALUES (${order})`,
                  attempt === 1 ? Effect.fail("after writing") : Effect.void
                ),
              { consumer: "mailer", transactional: true, retry: atOnce }
            )
            yield* outbox.publishAll([placed("1"), placed("2")])
            yield* outbox.awaitIdle
            assert.deepStrictEqual((yield* sql`SELECT order_id FROM ${mails} ORDER BY order_id`).map((row) => row), [
              { order_id: "1" },
              { order_id: "2" }
            ])
          })))

        it.effect("a partition that somebody else has taken meanwhile is not marked, and nothing is written", () =>
          inShop(Effect.gen(function*() {
            const outbox = yield* ShopOutbox
            const sql = yield* SqlClient.SqlClient
            const mails = sql(`${outbox.tablePrefix}mails`)
            const positions = sql(`${outbox.tablePrefix}positions`)
            yield* sql`CREATE TABLE ${mails} (order_id TEXT)`
            let runs = 0
            yield* outbox.on(
              "OrderPlaced",
              ({ order }) =>
                Effect.gen(function*() {
                  runs++
                  yield* sql`INSERT INTO ${mails} (order_id) VALUES (${order})`
                  // As a process does that takes it over.
                  if (runs === 1) {
                    const context = yield* Effect.context()
                    const elsewhere = sql`UPDATE ${positions} SET epoch = epoch + 1`
                    yield* place.isPostgres
                      ? Effect.provideContext(elsewhere, Context.omit(sql.transactionService)(context) as never)
                      : elsewhere
                  }
                }),
              { consumer: "mailer", transactional: true }
            )
            yield* outbox.publish(placed("1"))
            yield* outbox.awaitIdle
            assert.strictEqual(runs, 2)
            assert.strictEqual((yield* sql`SELECT order_id FROM ${mails}`).length, 1)
          })))

        it.effect("with order key, what fails is parked and others go on, each written once", () =>
          inShop(Effect.gen(function*() {
            const outbox = yield* ShopOutbox
            const sql = yield* SqlClient.SqlClient
            const mails = sql(`${outbox.tablePrefix}mails`)
            yield* sql`CREATE TABLE ${mails} (seq INTEGER, order_id TEXT)`
            let seq = 0
            yield* outbox.on(
              ["OrderPlaced", "OrderPaid"],
              (event, { attempt }) =>
                Effect.andThen(
                  sql`INSERT INTO ${mails} (seq, order_id) VALUES (${++seq}, ${`${event._tag} ${event.order}`})`,
                  event._tag === "OrderPlaced" && Number(event.order) % 3 === 0 && attempt < 3
                    ? Effect.fail("no")
                    : Effect.void
                ),
              { consumer: "mailer", transactional: true, order: "key", retry: atOnce }
            )
            const numbers = Array.from({ length: 12 }, (_, i) => String(i))
            yield* outbox.publishAll([...numbers.map(placed), ...numbers.map((order) => paid(order, 1))])
            yield* outbox.awaitIdle
            const written = (yield* sql<{ order_id: string }>`SELECT order_id FROM ${mails} ORDER BY seq`)
              .map((row) => row.order_id)
            assert.strictEqual(written.length, 24)
            assert.strictEqual(new Set(written).size, 24)
            for (const number of numbers) {
              assert.isBelow(written.indexOf(`OrderPlaced ${number}`), written.indexOf(`OrderPaid ${number}`))
            }
          })))
      })

      describe("bad input", () => {
        for (
          const [options, message] of [
            [{ consumer: "" }, "consumer must be a name"],
            [{ consumer: "half \ud83d" }, "consumer must be a name"],
            [{ consumer: "a", order: "random" }, `order must be one of "all", "key", "none", but is "random"`],
            [{ consumer: "a", concurrency: 2 }, `concurrency must be 1 with order "all"`],
            [
              { consumer: "a", maxAtempts: 3 },
              `consumer "a": on has no option "maxAtempts"; the options are "consumer", "from",`
            ],
            [
              { consumer: "a", batch: { max: 10, witin: "1 second" } },
              `consumer "a": batch has no option "witin"; the options are "max", "within"`
            ],
            [{ consumer: "a", maxAttempts: 0 }, "maxAttempts must be a positive integer, but is 0"],
            [{ consumer: "a", from: "yesterday" }, `from must be "now", "beginning" or a DateTime`],
            [
              { consumer: "a", timeout: "soon" },
              `Outbox "test/ShopOutbox": consumer "a": timeout must be a duration above 0 such as "5 seconds", but is "soon"`
            ],
            [{ consumer: "a", retry: "1 second" }, `retry must be a schedule such as Schedule.spaced("5 seconds")`]
          ] as const
        ) {
          it.effect(`${JSON.stringify(options)} is a defect`, () =>
            inShop(Effect.gen(function*() {
              const outbox = yield* ShopOutbox
              const exit = yield* Effect.exit(outbox.on("OrderPlaced", () => Effect.void, options as never))
              assert.include(Cause.pretty((exit as Exit.Failure<never, unknown>).cause), message)
            })))
        }

        it.effect("a handler that is no function is a defect", () =>
          inShop(Effect.gen(function*() {
            const outbox = yield* ShopOutbox
            const exit = yield* Effect.exit(outbox.on("OrderPlaced", "mail" as never, { consumer: "mailer" }))
            assert.include(
              Cause.pretty((exit as Exit.Failure<never, unknown>).cause),
              `consumer "mailer": its handler must be a function, but is "mail"`
            )
          })))

        it.effect("a drain of 0 is none, as on the bus", () =>
          inShop(Effect.gen(function*() {
            const outbox = yield* ShopOutbox
            const { name } = yield* outbox.on("OrderPlaced", () => Effect.void, { consumer: "mailer", drain: 0 })
            assert.strictEqual(name, "mailer")
          })))

        it.effect("a name that is served in this process already is a defect", () =>
          inShop(Effect.gen(function*() {
            const outbox = yield* ShopOutbox
            yield* outbox.on("OrderPlaced", () => Effect.void, { consumer: "mailer" })
            const exit = yield* Effect.exit(outbox.on("OrderPlaced", () => Effect.void, { consumer: "mailer" }))
            assert.include(
              Cause.pretty((exit as Exit.Failure<never, unknown>).cause),
              `consumer "mailer" is served in this process already`
            )
          })))

        it.effect("on in a transaction is a defect", () =>
          inShop(Effect.gen(function*() {
            const outbox = yield* ShopOutbox
            const sql = yield* SqlClient.SqlClient
            const exit = yield* Effect.exit(
              sql.withTransaction(outbox.on("OrderPlaced", () => Effect.void, { consumer: "mailer" }))
            )
            assert.include(Cause.pretty((exit as Exit.Failure<never, unknown>).cause), "on was called in a transaction")
          })))

        it.effect("awaitIdle in a transaction is a defect, and nothing is handled that is rolled back", () =>
          inShop(Effect.gen(function*() {
            const outbox = yield* ShopOutbox
            const sql = yield* SqlClient.SqlClient
            const { handler, take } = yield* collector<OrderPlaced>()
            yield* outbox.on("OrderPlaced", handler, { consumer: "mailer" })
            const exit = yield* Effect.exit(
              sql.withTransaction(Effect.andThen(outbox.publish(placed("rolled back")), outbox.awaitIdle))
            )
            assert.include(
              Cause.pretty((exit as Exit.Failure<never, unknown>).cause),
              "awaitIdle was called in a transaction"
            )
            yield* outbox.publish(placed("kept"))
            assert.strictEqual((yield* take).order, "kept")
          })))
      })
    })
  })
}
