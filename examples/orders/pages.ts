/** Pages of customers that follow an order, by server-sent events. */
import { EventBus } from "@openwatch/event-bus"
import { Effect, Layer, Schema, Stream } from "effect"
import { Sse } from "effect/encoding"
import { HttpRouter, HttpServerResponse } from "effect/http"
import { OrderId } from "./checkout.ts"
import { OrderChanged, Tracking } from "./tracking.ts"

/** A bus of its own, so that all pages can be ended and nothing else. */
export class PagesBus extends EventBus.Service<PagesBus>()("orders/PagesBus", { events: [OrderChanged] }) {}

const frame = (change: OrderChanged) =>
  Sse.encoder.write({ _tag: "Event", event: "message", id: undefined, data: change.status })

export const pages = HttpRouter.use(Effect.fnUntraced(function*(router) {
  const bus = yield* PagesBus
  const orders = yield* Tracking
  yield* router.add(
    "GET",
    "/orders/:orderId",
    Effect.gen(function*() {
      const { orderId } = yield* HttpRouter.schemaPathParams(Schema.Struct({ orderId: OrderId }))
      const page = yield* bus.subscribe({ kinds: ["OrderChanged"], where: { orderId }, name: "page", bufferSize: 8 })
      const now = orders.get(orderId)
      const frames = Stream.concat(Stream.fromIterable(now === undefined ? [] : [now]), page.stream).pipe(
        Stream.takeUntil(({ status }) => status === "shipped"),
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
