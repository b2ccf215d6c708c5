/**
 * A channel as a consumer of the alerts: it sends each alert that is for it, in order for each host, whatever is killed in
 * between. `Sending` says what becomes of what fails, `Groups` what is sent together.
 */
import { Outage, Outbox } from "@openwatch/event-bus-sql"
import { Clock, DateTime, Duration, Effect, References } from "effect"
import { type Attempted, DeliveryStore, type Told } from "../alert-store/DeliveryStore.ts"
import { type AlertChannel, ChannelError } from "./AlertChannel.ts"
import { type AlertChanged, AlertOutbox } from "./AlertOutbox.ts"
import * as Groups from "./Groups.ts"
import * as Sending from "./Sending.ts"
import { holds } from "./Suppression.ts"

const prefix = "channel/"

/** The name under which the position of a channel is kept. */
export const consumerOf = (channel: string): string => `${prefix}${channel}`

/** Whether a consumer is a channel. */
export const isChannel = (consumer: string): boolean => consumer.startsWith(prefix)

/** How many alerts, of several hosts, a channel is sent at a time. */
const concurrency = 4

/**
 * Serves a channel until the scope closes. Returns what sends at once what waits to be sent together with others, for when
 * the process is to end.
 */
export const serve = Effect.fnUntraced(function*(
  channel: AlertChannel,
  options: { readonly retryFor: Duration.Duration; readonly onFailure: Effect.Effect<void> }
) {
  const { grouping, name } = channel
  const outbox = yield* AlertOutbox
  const store = yield* DeliveryStore
  const level = yield* References.MinimumLogLevel
  const sending = yield* Sending.make(name, options)
  const groups = grouping === undefined ? undefined : yield* Groups.make(name, grouping, sending)

  // That somebody looks after an alert is no delivery.
  const record = (told: Sending.Told, attempted: Attempted) =>
    told._tag === "AlertChanged" ? Effect.void : Outage.untilItPasses(store.recordAttempt([told], name, attempted))

  /** Tries once; fails as the consumer is to go on. */
  const send = Effect.fnUntraced(function*(
    told: Sending.Told,
    dueSince: number,
    attempts: number,
    once: () => Effect.Effect<void, ChannelError>
  ) {
    const failure = yield* sending.attempt(once)
    if (failure === undefined) {
      yield* record(told, { state: "delivered" })
      return yield* sending.succeeded
    }
    const isOver = sending.isOver(failure, dueSince, yield* Clock.currentTimeMillis)
    yield* record(told, { state: isOver ? "given_up" : "pending", lastError: failure.message })
    yield* sending.failed({ failure, attempts, overdue: isOver ? [told] : [], others: isOver ? [] : [told] })
    return yield* isOver
      ? Outbox.giveUp(failure)
      : Outbox.retryAfter(yield* Sending.pauseAfter(attempts, failure), failure)
  })

  const deliver = Effect.fnUntraced(function*(told: Told, { attempt, isRequeued, publishedAt }: Outbox.Delivery) {
    const once = told._tag === "AlertRaised" ? () => channel.send(told.alert) : channel.sendEnding?.bind(channel, told)
    if (once === undefined) return
    // What was sent and not marked is known here, unless the process died in between.
    const due = yield* Outage.untilItPasses(
      store.due(told, name, { publishedAt, isRequeued: isRequeued && attempt === 1 })
    )
    if (due?.state === "given_up") {
      yield* Outbox.giveUp(new ChannelError({ message: due.lastError ?? "it was given up", isRetryable: false }))
    }
    if (due?.state !== "pending") return
    if (yield* Outage.untilItPasses(holds(told, name))) return
    yield* groups === undefined ? send(told, due.dueSince, attempt, once) : groups.add(told)
  })

  const deliverChange = Effect.fnUntraced(function*(changed: AlertChanged, { attempt, publishedAt }: Outbox.Delivery) {
    const once = channel.sendChange?.bind(channel, changed)
    if (once === undefined || !(yield* Outage.untilItPasses(store.isStill(changed)))) return
    yield* send(changed, DateTime.toEpochMillis(publishedAt), attempt, once)
  })

  yield* outbox.on(["AlertRaised", "AlertEnded", "AlertChanged"], (event, delivery) => {
    if (!event.channels.includes(name)) return Effect.void
    const delivering = event._tag === "AlertChanged" ? deliverChange(event, delivery) : deliver(event, delivery)
    return Effect.provideService(delivering, References.MinimumLogLevel, level)
  }, {
    consumer: consumerOf(name),
    // Who an event is for is part of it, so a channel that is new gets nothing that is old.
    from: "beginning",
    order: "key",
    concurrency,
    // How often and how long, each failure says for itself.
    maxAttempts: Number.MAX_SAFE_INTEGER,
    timeout: Duration.infinity
  }).pipe(
    // What the consumer says of each failure is for programmers; an operator is told above.
    Effect.provideService(References.MinimumLogLevel, "None")
  )
  if (groups === undefined) {
    // What has waited since the channel sent several together is told again, to be sent by itself.
    yield* Outage.untilItPasses(store.gathered(name)).pipe(
      Effect.map((left) => left.map(({ told }) => told)),
      Effect.flatMap((left) => left.length === 0 ? Effect.void : Outage.untilItPasses(outbox.publishAll(left))),
      Effect.ignoreCause({ log: "Error" }),
      Effect.forkScoped
    )
  }
  return { settle: groups?.settle ?? Effect.void }
})
