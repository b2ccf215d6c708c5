/**
 * A shop with durable events: orders come in over HTTP, are paid, shipped, mailed and kept.
 *
 *     npx node examples/orders/main.ts
 *     curl localhost:3000/orders -H content-type:application/json -d '{ "customer": "ada@example.org", "item": "a lamp" }'
 *     curl localhost:3000/orders/ORDER-ID   # follows the order until it is shipped
 *     curl localhost:3000/metrics
 *     open http://localhost:3000/inspector/ # who is how far, and what was given up
 *
 * It keeps its files in `.orders`; PORT and FOLDER say otherwise. An order and its event are stored in one transaction. From there
 * each part goes on by itself, behind where it had stopped: end the shop by Ctrl-C, or kill it (`kill -9`) at any moment, and
 * start it again. Each order that was accepted is paid, shipped and kept once, and mailed once.
 */
import { NodeHttpServer, NodeRuntime, NodeServices } from "@effect/platform-node"
import { Inspector } from "@openwatch/inspector"
import { Cause, Config, Effect, Exit, FileSystem, Layer, Runtime } from "effect"
import { HttpRouter } from "effect/http"
import { PrometheusMetrics } from "effect/observability"
import { createServer } from "node:http"
import { checkout } from "./checkout.ts"
import { ledger } from "./ledger.ts"
import { mailer } from "./mailer.ts"
import { endPages, pages, PagesBus } from "./pages.ts"
import { payments } from "./payments.ts"
import { ShopBus, ShopOutbox, storage } from "./shop.ts"
import { warehouse } from "./warehouse.ts"

const inspector = Layer.unwrap(
  Effect.map(ShopOutbox, (outbox) => Inspector.layer(ShopBus, { prefix: "/inspector", outboxes: [outbox] }))
)

const site = HttpRouter.serve(Layer.mergeAll(checkout, pages, inspector, PrometheusMetrics.layerHttp()), {
  disableLogger: true
})

/** It listens before the routes are there: until then, and after they are gone, whoever asks is told to come back. */
const makeServer = () => {
  const server = createServer()
  return server.on("request", (_, response) => {
    if (server.listenerCount("request") === 1) response.writeHead(503, { "retry-after": "1" }).end()
  })
}

const app = Effect.gen(function*() {
  const port = yield* Config.Int("PORT").pipe(Config.withDefault(3000))
  const folder = yield* Config.String("FOLDER").pipe(Config.withDefault(".orders"))
  const mailbox = yield* Config.String("MAILBOX").pipe(Config.withDefault(`${folder}/mailbox`))
  const fs = yield* FileSystem.FileSystem
  yield* fs.makeDirectory(`${folder}/mailbox`, { recursive: true })

  // No order is taken before all are there who do something for it: a consumer that is new begins with the present.
  return endPages.pipe(
    Layer.provide(site),
    Layer.provide(NodeHttpServer.layer(makeServer, { port, host: "127.0.0.1", gracefulShutdownTimeout: "1 second" })),
    Layer.provide(Layer.mergeAll(payments, warehouse, mailer(mailbox), ledger)),
    Layer.provide(PagesBus.layerFrom(ShopBus)),
    Layer.provide(storage(`${folder}/shop.sqlite`)),
    Layer.provide(ShopBus.layer)
  )
})

/** A signal is how it ends, and no failure: 0 instead of Effect's 130. */
const teardown: Runtime.Teardown = (exit, onExit) =>
  Exit.isFailure(exit) && Cause.hasInterruptsOnly(exit.cause) ? onExit(0) : Runtime.defaultTeardown(exit, onExit)

Layer.launch(Layer.unwrap(app)).pipe(
  Effect.provide(NodeServices.layer),
  NodeRuntime.runMain({ teardown })
)
