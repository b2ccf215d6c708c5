import { assert, describe, it, layer } from "@effect/vitest"
import type { Outbox } from "@openwatch/event-bus-sql"
import { Effect, Fiber, Latch } from "effect"
import { SqlClient } from "effect/sql"
import { Gaps } from "../src/internal/gaps.ts"
import { collector, inShop, type OrderPaid, type OrderPlaced, placed, places, ShopBus, ShopOutbox } from "./shop.ts"

/** Numbers from a seed, the same each time: mulberry32. */
const random = (seed: number) => () => {
  seed = (seed + 0x6d2b79f5) | 0
  let t = Math.imul(seed ^ (seed >>> 15), 1 | seed)
  t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
  return ((t ^ (t >>> 14)) >>> 0) / 4294967296
}

/** PostgreSQL as far as the rule stands on it: transaction numbers, a sequence, and what a snapshot sees. */
class Server {
  nextXid = 100n
  nextSeq = 1
  readonly active = new Map<bigint, Array<number>>()
  readonly committed: Array<number> = []

  get xmin(): bigint {
    let xmin = this.nextXid
    for (const xid of this.active.keys()) if (xid < xmin) xmin = xid
    return xmin
  }

  begin(): bigint {
    const xid = this.nextXid++
    this.active.set(xid, [])
    return xid
  }

  end(xid: bigint, isCommit: boolean): void {
    const numbers = this.active.get(xid)!
    this.active.delete(xid)
    if (isCommit) this.committed.push(...numbers)
  }
}

const follow = (seed: number) => {
  const next = random(seed)
  const server = new Server()
  const gaps = new Gaps()
  const taken: Array<number> = []
  let position = 0

  const read = (isAlone: boolean): boolean => {
    const numbers = server.committed.filter((number) => number > position).toSorted((a, b) => a - b).slice(0, 7)
    const { xmin } = server
    if (numbers.length === 0) return false
    const { count, isHeldUp } = gaps.examine(position, numbers, xmin)
    for (const number of numbers.slice(0, count)) {
      taken.push(number)
      position = number
    }
    // Others go on between the two statements.
    if (!isAlone && next() < 0.5) step()
    if (isHeldUp && gaps.needsBound(xmin, numbers.at(-1)!)) {
      const xid = server.begin()
      server.end(xid, false)
      gaps.setBound(xid, numbers.at(-1)!)
    }
    return true
  }

  const step = (): void => {
    const xids = Array.from(server.active.keys())
    const chosen = xids[Math.floor(next() * xids.length)]
    const dice = next()
    if (chosen === undefined || dice < 0.3) server.begin()
    else if (dice < 0.7) server.active.get(chosen)!.push(server.nextSeq++)
    else server.end(chosen, dice < 0.92)
  }

  for (let i = 0; i < 300; i++) {
    if (next() < 0.3) read(false)
    else step()
  }
  for (const xid of Array.from(server.active.keys())) server.end(xid, next() < 0.8)
  for (let i = 0; i < 1_000 && read(true); i++);
  return { taken, committed: server.committed.toSorted((a, b) => a - b) }
}

describe("the gap rule", () => {
  it("a reader beside transactions that commit in any order takes every event once, in order", () => {
    for (let seed = 0; seed < 2_000; seed++) {
      const { committed, taken } = follow(seed)
      assert.deepStrictEqual(taken, committed, `seed ${seed}`)
    }
  })
})

const postgres = places[1]

/** How many events the writers of the last test publish, those included that are rolled back. */
const events = Number(process.env["GAP_EVENTS"] ?? 10_000)

/** Returns when the log was read to its end: whoever starts a consumer reads it to know where the present is. */
const hasRead = (outbox: Outbox.Outbox<OrderPlaced | OrderPaid>) =>
  Effect.scoped(outbox.on("OrderPaid", () => Effect.void, { consumer: "reader" }))

describe.skipIf(postgres.isSkipped)("gaps, on PostgreSQL", () => {
  layer(postgres.layer, { timeout: "60 seconds", excludeTestServices: true })((it) => {
    it.effect("an event that becomes visible after a later one is handled, and before it", () =>
      inShop(Effect.gen(function*() {
        const outbox = yield* ShopOutbox
        const sql = yield* SqlClient.SqlClient
        const { handler, takeN } = yield* collector<OrderPlaced>()
        yield* outbox.on("OrderPlaced", handler, { consumer: "mailer" })
        const isDrawn = yield* Latch.make()
        const mayCommit = yield* Latch.make()
        const slow = yield* Effect.forkChild(sql.withTransaction(Effect.gen(function*() {
          yield* outbox.publish(placed("first"))
          yield* isDrawn.open
          yield* mayCommit.await
        })))
        yield* isDrawn.await
        yield* outbox.publish(placed("second"))
        yield* hasRead(outbox)
        yield* mayCommit.open
        yield* Fiber.join(slow)
        assert.deepStrictEqual((yield* takeN(2)).map(({ order }) => order), ["first", "second"])
      })))

    it.effect("nothing behind a gap is taken as long as somebody may fill it", () =>
      inShop(Effect.gen(function*() {
        const outbox = yield* ShopOutbox
        const bus = yield* ShopBus
        const sql = yield* SqlClient.SqlClient
        const isDrawn = yield* Latch.make()
        const mayCommit = yield* Latch.make()
        const slow = yield* Effect.forkChild(sql.withTransaction(Effect.gen(function*() {
          yield* outbox.publish(placed("first"))
          yield* isDrawn.open
          yield* mayCommit.await
        })))
        yield* isDrawn.await
        yield* outbox.publish(placed("second"))
        yield* hasRead(outbox)
        yield* hasRead(outbox)
        assert.strictEqual((yield* bus.metrics).publishedCount, 0)
        yield* mayCommit.open
        yield* Fiber.join(slow)
        yield* outbox.awaitIdle
        assert.strictEqual((yield* bus.metrics).publishedCount, 2)
      })))

    it.effect("the gap that a publish leaves which was rolled back is passed", () =>
      inShop(Effect.gen(function*() {
        const outbox = yield* ShopOutbox
        const sql = yield* SqlClient.SqlClient
        const { handler, take } = yield* collector<OrderPlaced>()
        yield* outbox.on("OrderPlaced", handler, { consumer: "mailer" })
        yield* Effect.exit(sql.withTransaction(Effect.andThen(outbox.publish(placed("1")), Effect.fail("no"))))
        yield* outbox.publish(placed("2"))
        assert.strictEqual((yield* take).order, "2")
      })))

    it.effect(
      "ten writers at once, some of whom roll back: nothing is lost, all is in the order of the log",
      () =>
        inShop(Effect.gen(function*() {
          const outbox = yield* ShopOutbox
          const bus = yield* ShopBus
          const sql = yield* SqlClient.SqlClient
          const { handler, takeN } = yield* collector<OrderPlaced>()
          yield* outbox.on("OrderPlaced", handler, { consumer: "mailer" })
          const subscription = yield* bus.subscribe({ kinds: ["OrderPlaced"], bufferSize: events })
          const startedAt = performance.now()
          const write = (writer: number) =>
            Effect.forEach(Array.from({ length: events / 10 }, (_, i) => i), (i) => {
              const publish = outbox.publish(placed(`${writer}-${i}`))
              return i % 10 === writer
                ? Effect.exit(sql.withTransaction(Effect.andThen(publish, Effect.fail("no"))))
                : i % 3 === 0
                ? sql.withTransaction(Effect.andThen(publish, Effect.yieldNow))
                : publish
            }, { discard: true })
          yield* Effect.forEach(Array.from({ length: 10 }, (_, i) => i), write, { concurrency: 10, discard: true })
          yield* outbox.awaitIdle
          const kept = 0.9 * events
          const handled = yield* takeN(kept)
          const seconds = Math.round((performance.now() - startedAt) / 1_000)
          console.log(`gaps: ${kept} events of ten writers, ${events - kept} rolled back, in ${seconds} s: none lost`)
          const live = []
          for (let i = 0; i < kept; i++) live.push(yield* subscription.take)
          assert.deepStrictEqual(live, handled)
          assert.strictEqual(new Set(handled.map(({ order }) => order)).size, kept)
          for (let writer = 0; writer < 10; writer++) {
            const own = handled.map(({ order }) => order.split("-").map(Number)).filter(([by]) => by === writer)
            assert.deepStrictEqual(own.map(([, i]) => i), own.map(([, i]) => i).toSorted((a, b) => a! - b!))
          }
        })),
      60_000 + events * 10
    )
  })
})
