/** Tells customers of their orders. A mail is appended to a mailbox file, which stands for a mail server. */
import { EventBus } from "@openwatch/event-bus"
import { Cause, Data, Effect, FileSystem, Layer, type PlatformError, Schedule, Schema } from "effect"
import { order, OrderPlaced } from "./checkout.ts"
import { OrderShipped } from "./warehouse.ts"

export class MailFailed extends Schema.TaggedClass<MailFailed>()("MailFailed", { ...order, reason: Schema.String }) {}

export class MailerBus extends EventBus.Service<MailerBus>()("orders/MailerBus", {
  events: [OrderPlaced, OrderShipped, MailFailed]
}) {}

class NoSuchAddress extends Data.TaggedError("NoSuchAddress")<{ readonly message: string }> {}

const send = Effect.fnUntraced(function*(mailbox: string, event: OrderPlaced | OrderShipped) {
  if (event.customer.endsWith(".invalid")) return yield* new NoSuchAddress({ message: `no mail for ${event.customer}` })
  const fs = yield* FileSystem.FileSystem
  const subject = event._tag === "OrderPlaced" ? "We have your order" : "Your order is on its way"
  const mail = `To: ${event.customer}\nSubject: ${subject}: ${event.orderId}\n\n${event.item}\n\n`
  return yield* fs.writeFileString(mailbox, mail, { flag: "a" })
})

/** An address that does not exist will not exist a second later. All else is tried again for a minute. */
const retry = Schedule.min([Schedule.exponential("50 millis"), Schedule.spaced("1 second")]).pipe(
  Schedule.upTo({ duration: "1 minute" }),
  Schedule.setInputType<NoSuchAddress | PlatformError.PlatformError>(),
  Schedule.while(({ input }) => input._tag !== "NoSuchAddress")
)

export const mailer = (mailbox: string) =>
  Layer.effectDiscard(Effect.gen(function*() {
    const bus = yield* MailerBus
    yield* bus.on(["OrderPlaced", "OrderShipped"], (event) => send(mailbox, event), {
      name: "mailer",
      retry,
      onFailure: ({ customer, item, orderId }, cause) =>
        bus.publish(new MailFailed({ customer, item, orderId, reason: String(Cause.squash(cause)) }))
    })
  }))
