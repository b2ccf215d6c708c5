/**
 * A shop on the bus: orders come in over HTTP, are paid, shipped, mailed and kept.
 *
 *     npx node examples/orders/main.ts
 *     curl localhost:3000/orders -H content-type:application/json -d '{ "customer": "ada@example.org", "item": "a lamp" }'
 *     curl localhost:3000/orders/ORDER-ID   # follows the order until it is shipped
 *     curl localhost:3000/metrics
 *
 * It keeps its files in `.orders`; PORT and FOLDER say otherwise. Each part declares the events that it knows. None knows this file. SIGTERM or Ctrl-C ends all in order: what was accepted is
 * still paid, shipped, mailed and kept.
 */
import { NodeHttpServer, NodeRuntime, NodeServices } from "@effect/platform-node"
import { EventBus } from "@openwatch/event-bus"
import { Cause, Config, Effect, Exit, FileSystem, Layer, Runtime } from "effect"
import { HttpRouter } from "effect/http"
import { PrometheusMetrics } from "effect/observability"
import { createServer } from "node:http"
import { checkout, CheckoutBus } from "./checkout.ts"
import { ledger, LedgerBus } from "./ledger.ts"
import { mailer, MailerBus } from "./mailer.ts"
import { endPages, pages, PagesBus } from "./pages.ts"
import { payments, PaymentsBus } from "./payments.ts"
import { OrderChanged, Tracking, TrackingBus } from "./tracking.ts"
import { warehouse, WarehouseBus } from "./warehouse.ts"

class ShopBus extends EventBus.Service<ShopBus>()("orders/ShopBus", { events: [...LedgerBus.events, OrderChanged] }) {}

/** What each part declared, as a part of the one bus. */
const parts = Layer.mergeAll(
  CheckoutBus.layerFrom(ShopBus),
  PaymentsBus.layerFrom(ShopBus),
  WarehouseBus.layerFrom(ShopBus),
  MailerBus.layerFrom(ShopBus),
  TrackingBus.layerFrom(ShopBus),
  PagesBus.layerFrom(ShopBus),
  LedgerBus.layerFrom(ShopBus)
)

const site = HttpRouter.serve(Layer.mergeAll(checkout, pages, PrometheusMetrics.layerHttp()), { disableLogger: true })

const app = Effect.gen(function*() {
  const port = yield* Config.Int("PORT").pipe(Config.withDefault(3000))
  const folder = yield* Config.String("FOLDER").pipe(Config.withDefault(".orders"))
  const mailbox = yield* Config.String("MAILBOX").pipe(Config.withDefault(`${folder}/mailbox`))
  const fs = yield* FileSystem.FileSystem
  yield* fs.makeDirectory(folder, { recursive: true })

  // Whoever publishes is given those who subscribe. It ends from the top, so each still hears of what those above it finish.
  return endPages.pipe(
    Layer.provide(site),
    Layer.provide(NodeHttpServer.layer(createServer, { port, host: "127.0.0.1", gracefulShutdownTimeout: "1 second" })),
    Layer.provide(payments),
    Layer.provide(warehouse),
    Layer.provide(mailer(mailbox)),
    Layer.provide(ledger(`${folder}/ledger.sqlite`)),
    Layer.provide(Tracking.layer),
    Layer.provide(parts),
    Layer.provide(ShopBus.layerWith({ bufferSize: 100_000, drain: "10 seconds" }))
  )
})

/** A signal is how it ends, and no failure: 0 instead of Effect's 130. */
const teardown: Runtime.Teardown = (exit, onExit) =>
  Exit.isFailure(exit) && Cause.hasInterruptsOnly(exit.cause) ? onExit(0) : Runtime.defaultTeardown(exit, onExit)

Layer.launch(Layer.unwrap(app)).pipe(
  Effect.provide(NodeServices.layer),
  NodeRuntime.runMain({ teardown })
)
