import { NodeServices } from "@effect/platform-node"
import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Fiber, FileSystem, Stream } from "effect"
import { ChildProcess } from "effect/process"
import { DatabaseSync } from "node:sqlite"
import { fileURLToPath } from "node:url"

const main = fileURLToPath(new URL("../../examples/orders/main.ts", import.meta.url))

/** Runs the example on a free port, with a folder of its own, until the scope closes. */
const startShop = Effect.gen(function*() {
  const fs = yield* FileSystem.FileSystem
  const folder = yield* fs.makeTempDirectoryScoped()
  const handle = yield* ChildProcess.make(process.execPath, ["--conditions=@openwatch/source", main], {
    env: { PORT: "0", FOLDER: folder, MAILBOX: `${folder}/mail/box` },
    extendEnv: true,
    stdin: "ignore"
  })
  const listening = yield* Deferred.make<string>()
  const draining = yield* Deferred.make<void>()
  const log = yield* handle.all.pipe(
    Stream.decodeText(),
    Stream.splitLines,
    Stream.tap(Effect.fnUntraced(function*(line) {
      const [url] = /http:\/\/\S+/.exec(line) ?? []
      if (url !== undefined) yield* Deferred.succeed(listening, url)
      if (line.includes("A drain still waits")) yield* Deferred.succeed(draining, undefined)
    })),
    Stream.runCollect,
    Effect.ensuring(Deferred.succeed(draining, undefined)),
    Effect.forkScoped
  )
  const url = yield* Deferred.await(listening).pipe(
    Effect.raceFirst(Effect.flatMap(Fiber.join(log), (lines) => Effect.die(lines.join("\n"))))
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
      Effect.map(
        Effect.promise(() => fetch(`${url}/orders/${orderId}`)),
        (response) => Effect.promise(() => response.text())
      ),
    metrics: Effect.promise(() => fetch(`${url}/metrics`).then((response) => response.text())),
    /** The mailer is being closed, and has mails to send; or it has all ended. */
    draining: Deferred.await(draining),
    openMailbox: fs.makeDirectory(`${folder}/mail`),
    terminate: Effect.sync(() => process.kill(handle.pid, "SIGTERM")),
    /** What it logged, once it has ended. */
    ended: Effect.gen(function*() {
      const lines = yield* Fiber.join(log)
      assert.strictEqual(Number(yield* handle.exitCode), 0)
      return lines
    }),
    /** How often each order was mailed as accepted and as shipped, and kept as placed, paid, shipped, or not mailed. */
    counts: Effect.gen(function*() {
      const counts: Record<string, Record<string, number>> = {}
      const count = (orderId: string, what: string) => {
        const order = counts[orderId] ??= {}
        order[what] = (order[what] ?? 0) + 1
      }
      const mails = yield* fs.readFileString(`${folder}/mail/box`)
      for (const [, subject, orderId] of mails.matchAll(/^Subject: (.+): (.+)$/gm)) count(orderId!, subject!)
      const database = new DatabaseSync(`${folder}/ledger.sqlite`, { readOnly: true })
      for (const row of database.prepare("SELECT order_id, kind FROM ledger").all()) {
        count(String(row["order_id"]), String(row["kind"]))
      }
      database.close()
      return counts
    })
  }
})

const kept = { OrderPlaced: 1, OrderPaid: 1, OrderShipped: 1 }
const mailed = { "We have your order": 1, "Your order is on its way": 1 }

describe("examples/orders", () => {
  it.live("orders are paid, shipped, mailed and kept; a page that is open does not hold the end", () =>
    Effect.gen(function*() {
      const shop = yield* startShop
      yield* shop.openMailbox
      const customers = Array.from({ length: 20 }, (_, i) => `customer-${i}@example.org`)
      const orders = yield* Effect.forEach(customers, shop.place, { concurrency: "unbounded" })
      const unreachable = yield* shop.place("ada@nowhere.invalid")
      for (const orderId of [...orders, unreachable]) {
        const page = yield* Effect.flatten(shop.follow(orderId))
        assert.match(page, /data: shipped\n\n$/)
      }
      assert.include(yield* shop.metrics, `event_bus_published_total{bus="orders/ShopBus",kind="OrderShipped"} 21\n`)

      const page = yield* shop.follow("an order that does not come")
      yield* shop.terminate
      assert.strictEqual(yield* page, ": welcome\n\n")
      const log = yield* shop.ended
      assert.strictEqual(log.at(-1), "21 orders, 21 shipped")
      assert.deepStrictEqual(
        yield* shop.counts,
        Object.fromEntries([
          ...orders.map((orderId) => [orderId, { ...kept, ...mailed }]),
          [unreachable, { ...kept, MailFailed: 2 }]
        ])
      )
    }).pipe(Effect.scoped, Effect.provide(NodeServices.layer)))

  it.live("a SIGTERM among orders, with no mail sent yet: each that was accepted is paid, shipped, mailed and kept once", () =>
    Effect.gen(function*() {
      const shop = yield* startShop
      const page = yield* shop.follow("an order that does not come")
      const accepted = [yield* shop.place("ada@example.org")]
      // The mailer comes to it when it is being closed: what it publishes then is kept, too.
      const unreachable = yield* shop.place("ada@nowhere.invalid")
      const order = Effect.gen(function*() {
        accepted.push(yield* shop.place("ada@example.org"))
        if (accepted.length === 100) yield* shop.terminate
      })
      yield* Effect.all(
        Array.from({ length: 4 }, () => Effect.ignore(Effect.forever(order))),
        { concurrency: "unbounded" }
      )
      assert.strictEqual(yield* page, ": welcome\n\n")
      yield* shop.draining
      yield* shop.openMailbox

      const log = yield* shop.ended
      const counts = yield* shop.counts
      const all = Object.keys(counts)
      assert.isAtLeast(accepted.length, 100)
      assert.includeMembers(all, accepted)
      assert.deepStrictEqual(counts, {
        ...Object.fromEntries(all.map((orderId) => [orderId, { ...kept, ...mailed }])),
        [unreachable]: { ...kept, MailFailed: 2 }
      })
      assert.strictEqual(log.at(-1), `${all.length} orders, ${all.length} shipped`)
      assert.notInclude(log.join("\n"), "WARN")
    }).pipe(Effect.scoped, Effect.provide(NodeServices.layer)))
})
