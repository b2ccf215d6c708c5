/**
 * A channel as a consumer of the alerts: it sends each alert that is for it, in order for each host, whatever is killed in
 * between.
 *
 * What fails is tried again, with growing pauses, for a day by default. What a receiver refuses as wrong is given up at once.
 * One line of the log tells that a channel takes nothing, and one that it does again: many alerts meet the same fault.
 */
import { Outbox } from "@openwatch/event-bus-sql"
import { Cause, Clock, Duration, Effect, Random, References } from "effect"
import type { AlertStoreError } from "../alert-store/AlertStore.ts"
import { type Attempted, DeliveryStore, type Told } from "../alert-store/DeliveryStore.ts"
import * as Outage from "../storage/Outage.ts"
import { type AlertChannel, ChannelError } from "./AlertChannel.ts"
import { AlertOutbox } from "./AlertOutbox.ts"
import { FailingChannels } from "./FailingChannels.ts"
import { holds } from "./Suppression.ts"

/** For how long a channel is tried for one alert where nothing else is said. */
export const defaultRetryFor: Duration.Duration = Duration.hours(24)

const prefix = "channel/"

/** The name under which the position of a channel is kept. */
export const consumerOf = (channel: string): string => `${prefix}${channel}`

/** Whether a consumer is a channel. */
export const isChannel = (consumer: string): boolean => consumer.startsWith(prefix)

/** One attempt to send may take this long. */
const sendTimeout = Duration.seconds(10)

const firstPause = 1_000
const longestPause = 600_000

/** However long a receiver asks for, it is tried again after this. */
const longestRetryAfter = Duration.hours(1)

/** How many alerts, of several hosts, a channel is sent at a time. */
const concurrency = 4

const untilStored = <A, R>(request: Effect.Effect<A, AlertStoreError, R>): Effect.Effect<A, AlertStoreError, R> =>
  Outage.untilItPasses(request, ({ isRetryable, message }) => isRetryable ? message : undefined)

const describe = (told: Told): string =>
  `${told._tag === "AlertRaised" ? "Alert" : "The end of alert"} ${told.alert.id}`

/** The pause after so many attempts: doubling, a fifth more or less so that none keep step. */
const pauseAfter = (attempts: number): Effect.Effect<Duration.Duration> =>
  Effect.map(
    Random.nextBetween(0.8, 1.2),
    (factor) =>
      Duration.millis(Math.round(Math.min(firstPause * 2 ** Math.min(attempts - 1, 30), longestPause) * factor))
  )

/** Serves a channel until the scope closes. */
export const serve = Effect.fnUntraced(function*(
  channel: AlertChannel,
  options: { readonly retryFor: Duration.Duration; readonly onFailure: Effect.Effect<void> }
) {
  const { name } = channel
  const { onFailure, retryFor } = options
  const outbox = yield* AlertOutbox
  const store = yield* DeliveryStore
  const level = yield* References.MinimumLogLevel
  const failing = yield* FailingChannels
  yield* Effect.addFinalizer(() => Effect.sync(() => failing.delete(name)))

  const attempt = (sending: () => Effect.Effect<void, ChannelError>): Effect.Effect<void, ChannelError> =>
    Effect.suspend(sending).pipe(
      Effect.timeoutOrElse({
        duration: sendTimeout,
        orElse: () =>
          Effect.fail(new ChannelError({ message: `no end after ${Duration.format(sendTimeout)}`, isRetryable: true }))
      }),
      Effect.catchDefect((defect) =>
        Effect.logError(`The channel "${name}" died`, Cause.die(defect)).pipe(
          Effect.andThen(Effect.fail(new ChannelError({ message: "the channel died", isRetryable: false })))
        )
      )
    )

  const record = (told: Told, attempted: Attempted) => untilStored(store.recordAttempt([told], name, attempted))

  /** Tries once; fails as the consumer is to go on. */
  const send = Effect.fnUntraced(function*(
    told: Told,
    dueSince: number,
    attempts: number,
    sending: () => Effect.Effect<void, ChannelError>
  ) {
    const failure = yield* Effect.match(attempt(sending), {
      onFailure: (error) => error,
      onSuccess: () => undefined
    })
    if (failure === undefined) {
      yield* record(told, { state: "delivered" })
      if (failing.delete(name)) yield* Effect.logInfo(`The channel "${name}" takes alerts again`)
      return undefined
    }
    yield* onFailure
    const isOver = !failure.isRetryable || (yield* Clock.currentTimeMillis) - dueSince >= Duration.toMillis(retryFor)
    yield* record(told, { state: isOver ? "given_up" : "pending", lastError: failure.message })
    const problem = `${describe(told)} is not delivered to "${name}": ${failure.message}`
    if (isOver) {
      yield* Effect.logError(`${problem}; it is given up after ${attempts} ${attempts === 1 ? "attempt" : "attempts"}`)
      return yield* Outbox.giveUp(failure)
    }
    const wasFailing = failing.has(name)
    failing.add(name)
    if (!wasFailing) {
      yield* Effect.logWarning(
        `${problem}; it is tried again for ${Duration.format(retryFor)}, and so is what comes after it`
      )
    }
    const pause = Duration.max(
      yield* pauseAfter(attempts),
      Duration.min(failure.retryAfter ?? Duration.zero, longestRetryAfter)
    )
    return yield* Outbox.retryAfter(pause, failure)
  })

  const deliver = Effect.fnUntraced(function*(told: Told, { attempt, isRequeued, publishedAt }: Outbox.Delivery) {
    const sending = told._tag === "AlertRaised"
      ? () => channel.send(told.alert)
      : channel.sendEnding?.bind(channel, told)
    if (sending === undefined) return
    // What was sent and not marked is known here, unless the process died in between.
    const due = yield* untilStored(store.due(told, name, { publishedAt, isRequeued: isRequeued && attempt === 1 }))
    if (due?.state === "given_up") {
      yield* Outbox.giveUp(new ChannelError({ message: due.lastError ?? "it was given up", isRetryable: false }))
    }
    if (due?.state !== "pending") return
    if (told._tag === "AlertRaised" && (yield* untilStored(holds(told.alert, name)))) return
    yield* send(told, due.dueSince, attempt, sending)
  })

  yield* outbox.on(["AlertRaised", "AlertEnded"], (event, delivery) => {
    if (!event.channels.includes(name)) return Effect.void
    return Effect.provideService(deliver(event, delivery), References.MinimumLogLevel, level)
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
})
