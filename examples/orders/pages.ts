/** Pages of customers that follow an order, by server-sent events. */
import { EventBus } from "@openwatch/event-bus"
import { Effect, Layer, Schema, Stream } from "effect"
import { Sse } from "effect/encoding"
import { HttpRouter, HttpServerResponse } from "effect/http"
import { SqlClient } from "effect/sql"
import { OrderId, ShopBus } from "./shop.ts"

/** A bus of its own, so that all pages can be ended and nothing else. */
export class PagesBus extends EventBus.Service<PagesBus>()("orders/PagesBus", { events: ShopBus.events }) {}

const statusOf = { OrderPlaced: "placed", OrderPaid: "paid", OrderShipped: "shipped" } as const

const frame = (status: string) => Sse.encoder.write({ _tag: "Event", event: "message", id: undefined, data: status })

export const pages = HttpRouter.use(Effect.fnUntraced(function*(router) {
  const bus = yield* PagesBus
  const sql = yield* SqlClient.SqlClient
  yield* router.add(
    "GET",
    "/orders/:orderId",
    Effect.gen(function*() {
      const { orderId } = yield* HttpRouter.schemaPathParams(Schema.Struct({ orderId: OrderId }))
      // First what changes, then what is: a page that asked the other way round could miss a change in between.
      const page = yield* bus.subscribe({ kinds: bus.kinds, where: { orderId }, name: "page", bufferSize: 8 })
      const now = yield* sql<{ readonly status: string }>`SELECT status FROM orders WHERE id = ${orderId}`
      const frames = Stream.concat(
        Stream.fromIterable(now.map(({ status }) => status)),
        Stream.map(page.stream, ({ _tag }) => statusOf[_tag])
      ).pipe(
        Stream.takeUntil((status) => status === "shipped"),
        Stream.map(frame),
        Stream.prepend([": welcome\n\n"]), // the browser is answered at once, not with the first change
        Stream.encodeText
      )
      return HttpServerResponse.stream(frames, { contentType: "text/event-stream" })
    })
  )
}))

/** Built after the server, so closed before it: a server that stops waits for pages that are open. */
export const endPages = Layer.effectDiscard(Effect.gen(function*() {
  const bus = yield* PagesBus
  yield* Effect.addFinalizer(() => bus.shutdown)
}))
