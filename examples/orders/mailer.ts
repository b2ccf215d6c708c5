/**
 * Tells customers of their orders. A mail is a file in a folder, which stands for a mail service.
 *
 * Nobody can send a mail and write down that it was sent in one step: a process that is killed between the two sends it again.
 * So each mail has an id that is the same then, and the service takes a mail of one id once, as the "idempotency keys" of
 * services for mails and payments are for. A table of sent ids would not help here: it is the second of the two steps.
 */
import { Outbox } from "@openwatch/event-bus-sql"
import { Effect, FileSystem, Layer, Schedule } from "effect"
import { type OrderPlaced, type OrderShipped, ShopOutbox } from "./shop.ts"

const subject = { OrderPlaced: "We have your order", OrderShipped: "Your order is on its way" } as const

/** Hands a mail over. It is there as a whole or not at all, and once for each id. */
const send = Effect.fnUntraced(function*(mailbox: string, id: string, mail: string) {
  const fs = yield* FileSystem.FileSystem
  yield* fs.writeFileString(`${mailbox}/${id}.part`, mail)
  yield* fs.rename(`${mailbox}/${id}.part`, `${mailbox}/${id}.mail`)
})

const notify = Effect.fnUntraced(function*(mailbox: string, event: OrderPlaced | OrderShipped, id: string) {
  const { _tag, customer, item, orderId } = event
  // An address that does not exist will not exist a second later: a dead letter, for somebody to look at.
  if (customer.endsWith(".invalid")) yield* Outbox.giveUp(new Error(`no mail for ${customer}`))
  yield* send(mailbox, `${_tag}-${id}`, `To: ${customer}\nSubject: ${subject[_tag]}: ${orderId}\n\n${item}\n`)
})

/** The service is away: for as long as it takes, which is almost three hours here. */
const retry = Schedule.min([Schedule.exponential("50 millis"), Schedule.spaced("1 second")])

export const mailer = (mailbox: string) =>
  Layer.effectDiscard(Effect.gen(function*() {
    const outbox = yield* ShopOutbox
    yield* outbox.on(["OrderPlaced", "OrderShipped"], (event, { id }) => notify(mailbox, event, id), {
      consumer: "mailer",
      order: "key",
      retry,
      maxAttempts: 10_000,
      drain: "5 seconds"
    })
  }))
