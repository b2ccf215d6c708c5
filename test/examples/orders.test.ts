import { NodeServices } from "@effect/platform-node"
import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Fiber, FileSystem, Schedule, Stream } from "effect"
import { ChildProcess } from "effect/process"
import { DatabaseSync } from "node:sqlite"
import { fileURLToPath } from "node:url"

const main = fileURLToPath(new URL("../../examples/orders/main.ts", import.meta.url))

const aLittleLater = Schedule.spaced("50 millis")

/** A folder in which a shop keeps its files, and what is found in it. */
const makeFolder = Effect.gen(function*() {
  const fs = yield* FileSystem.FileSystem
  const folder = yield* fs.makeTempDirectoryScoped()
  const mailbox = `${folder}/mail/box`
  const query = (statement: string) =>
    Effect.sync(() => {
      const database = new DatabaseSync(`${folder}/shop.sqlite`, { readOnly: true, timeout: 5_000 })
      try {
        return database.prepare(statement).all()
      } finally {
        database.close()
      }
    })
  const mails = Effect.map(
    Effect.orElseSucceed(fs.readDirectory(mailbox), () => []),
    (names) => names.filter((name) => name.endsWith(".mail"))
  )
  return {
    folder,
    mailbox,
    openMailbox: fs.makeDirectory(mailbox, { recursive: true }),
    mails,
    /** The orders that the shop has. */
    orders: Effect.map(query("SELECT id FROM orders"), (rows) => rows.map(({ id }) => String(id))),
    /** How often each order was mailed as accepted and as shipped, and kept as placed, paid and shipped. */
    counts: Effect.gen(function*() {
      const counts: Record<string, Record<string, number>> = {}
      const count = (orderId: string, what: string) => {
        const order = counts[orderId] ??= {}
        order[what] = (order[what] ?? 0) + 1
      }
      for (const name of yield* mails) {
        const mail = yield* fs.readFileString(`${mailbox}/${name}`)
        const [, subject, orderId] = /^Subject: (.+): (.+)$/m.exec(mail)!
        count(orderId!, subject!)
      }
      for (const row of yield* query("SELECT order_id, kind FROM ledger")) {
        count(String(row["order_id"]), String(row["kind"]))
      }
      return counts
    })
  }
})

/** Runs the example on a free port, until the scope closes. */
const startShop = Effect.fnUntraced(function*({ folder, mailbox }: { folder: string; mailbox: string }) {
  const handle = yield* ChildProcess.make(process.execPath, ["--conditions=@openwatch/source", main], {
    env: { PORT: "0", FOLDER: folder, MAILBOX: mailbox },
    extendEnv: true,
    stdin: "ignore"
  })
  const listening = yield* Deferred.make<string>()
  const log = yield* handle.all.pipe(
    Stream.decodeText(),
    Stream.splitLines,
    Stream.tap(Effect.fnUntraced(function*(line) {
      const [url] = /http:\/\/\S+/.exec(line) ?? []
      if (url !== undefined) yield* Deferred.succeed(listening, url)
    })),
    Stream.runCollect,
    Effect.forkScoped
  )
  const url = yield* Deferred.await(listening).pipe(
    Effect.raceFirst(Effect.flatMap(Fiber.join(log), (lines) => Effect.die(lines.join("\n"))))
  )
  const get = (path: string) => Effect.promise(() => fetch(`${url}${path}`))
  const consumers = Effect.map(
    Effect.flatMap(get("/inspector/api/outboxes"), (response) => Effect.promise(() => response.json())),
    ([outbox]: any) =>
      outbox.consumers as ReadonlyArray<
        { readonly name: string; readonly lag: { readonly events: number }; retrying: number; dead: number }
      >
  )
  return {
    /** The id of the order, once it is accepted; it fails when nobody listens any more. */
    place: (customer: string) =>
      Effect.tryPromise(async () => {
        const headers = { "content-type": "application/json" }
        const body = JSON.stringify({ customer, item: "a lamp" })
        const response = await fetch(`${url}/orders`, { method: "POST", headers, body })
        assert.strictEqual(response.status, 202)
        return (await response.json() as { readonly orderId: string }).orderId
      }),
    /** A page that follows an order is open; all that it will have shown when it ends. */
    follow: (orderId: string) =>
      Effect.map(get(`/orders/${orderId}`), (response) => Effect.promise(() => response.text())),
    metrics: Effect.flatMap(get("/metrics"), (response) => Effect.promise(() => response.text())),
    /** Nothing is left to be done, but for dead letters; how many of these each consumer has. */
    done: Effect.map(
      Effect.repeat(consumers, {
        until: (all) => all.every(({ lag, retrying }) => lag.events === 0 && retrying === 0),
        schedule: aLittleLater
      }),
      (all) => Object.fromEntries(all.map(({ dead, name }) => [name, dead]))
    ),
    terminate: Effect.sync(() => process.kill(handle.pid, "SIGTERM")),
    kill: Effect.andThen(
      Effect.sync(() => process.kill(handle.pid, "SIGKILL")),
      Effect.ignore(handle.exitCode)
    ),
    /** What it logged, once it has ended. */
    ended: Effect.gen(function*() {
      const lines = yield* Fiber.join(log)
      assert.strictEqual(Number(yield* handle.exitCode), 0)
      return lines
    })
  }
})

const kept = { OrderPlaced: 1, OrderPaid: 1, OrderShipped: 1 }
const mailed = { "We have your order": 1, "Your order is on its way": 1 }

describe("examples/orders", () => {
  it.live("orders are paid, shipped, mailed and kept; a page that is open does not hold the end", () =>
    Effect.gen(function*() {
      const place = yield* makeFolder
      yield* place.openMailbox
      const shop = yield* startShop(place)
      const customers = Array.from({ length: 20 }, (_, i) => `customer-${i}@example.org`)
      const orders = yield* Effect.forEach(customers, shop.place, { concurrency: "unbounded" })
      const unreachable = yield* shop.place("ada@nowhere.invalid")
      for (const orderId of [...orders, unreachable]) {
        const page = yield* Effect.flatten(shop.follow(orderId))
        assert.match(page, /data: shipped\n\n$/)
      }
      assert.deepStrictEqual(yield* shop.done, { ledger: 0, mailer: 2, payments: 0, warehouse: 0 })
      const metrics = yield* shop.metrics
      assert.include(metrics, `event_bus_published_total{bus="orders/ShopBus",kind="OrderShipped"} 21\n`)
      assert.include(metrics, `event_outbox_handled_total{outbox="orders/ShopOutbox",consumer="mailer"} 40\n`)

      const page = yield* shop.follow("an order that does not come")
      yield* shop.terminate
      assert.strictEqual(yield* page, ": welcome\n\n")
      yield* shop.ended
      assert.deepStrictEqual(
        yield* place.counts,
        Object.fromEntries([
          ...orders.map((orderId) => [orderId, { ...kept, ...mailed }]),
          [unreachable, kept]
        ])
      )
    }).pipe(Effect.scoped, Effect.provide(NodeServices.layer)))

  it.live("a SIGTERM among orders, with no mail sent yet: the next start pays, ships, mails and keeps each once", () =>
    Effect.gen(function*() {
      const place = yield* makeFolder
      const accepted: Array<string> = []
      yield* Effect.scoped(Effect.gen(function*() {
        const shop = yield* startShop(place)
        const order = Effect.gen(function*() {
          accepted.push(yield* shop.place("ada@example.org"))
          if (accepted.length === 100) yield* shop.terminate
        })
        yield* Effect.all(
          Array.from({ length: 4 }, () => Effect.ignore(Effect.forever(order))),
          { concurrency: "unbounded" }
        )
        yield* shop.ended
      }))
      assert.deepStrictEqual(yield* place.mails, [])

      yield* place.openMailbox
      const shop = yield* startShop(place)
      yield* shop.done
      const orders = yield* place.orders
      assert.isAtLeast(accepted.length, 100)
      assert.includeMembers(orders, accepted)
      assert.deepStrictEqual(
        yield* place.counts,
        Object.fromEntries(orders.map((orderId) => [orderId, { ...kept, ...mailed }]))
      )
    }).pipe(Effect.scoped, Effect.provide(NodeServices.layer)))

  it.live("killed at any time, each order is paid, shipped, mailed and kept once", () =>
    Effect.gen(function*() {
      const place = yield* makeFolder
      yield* place.openMailbox
      const accepted: Array<string> = []
      const until = (holds: Effect.Effect<boolean>) =>
        Effect.repeat(holds, { until: (holds) => holds, schedule: Schedule.spaced(1) })
      /** Returns once there are so many more orders, or mails, than when the shop started. */
      const ordersMore = (count: number) =>
        Effect.suspend(() => {
          const { length } = accepted
          return until(Effect.sync(() => accepted.length >= length + count))
        })
      const mailsMore = (count: number) =>
        Effect.flatMap(
          place.mails,
          ({ length }) => until(Effect.map(place.mails, (mails) => mails.length >= length + count))
        )
      for (const isTime of [ordersMore(3), mailsMore(1), mailsMore(50)]) {
        yield* Effect.scoped(Effect.gen(function*() {
          const shop = yield* startShop(place)
          const order = Effect.map(shop.place("ada@example.org"), (orderId) => accepted.push(orderId))
          const ordering = yield* Effect.forkChild(Effect.all(
            Array.from({ length: 4 }, () => Effect.ignore(Effect.repeat(order, { times: 9 }))),
            { concurrency: "unbounded" }
          ))
          yield* isTime
          yield* shop.kill
          yield* Fiber.join(ordering)
        }))
      }

      const shop = yield* startShop(place)
      yield* shop.done
      const orders = yield* place.orders
      assert.includeMembers(orders, accepted)
      assert.deepStrictEqual(
        yield* place.counts,
        Object.fromEntries(orders.map((orderId) => [orderId, { ...kept, ...mailed }]))
      )
    }).pipe(Effect.scoped, Effect.provide(NodeServices.layer)), 180_000)
})
