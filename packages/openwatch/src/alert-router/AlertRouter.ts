/**
 * The alert router: turns the events of the bus into alerts, stores each one, and has it sent.
 *
 * An event is handled in one step: its alert is stored, or counted as the repeat of a stored one, together with what it
 * resolves and the deliveries that are due. Only what is stored is sent: each channel has a worker that takes its next
 * pending delivery from the store, so that a restart goes on where the last process stopped, and a slow channel delays
 * nobody else.
 *
 * While the store fails, the event at hand is tried again, with growing pauses, and later events wait in the
 * subscription's buffer. What a full buffer drops the bus counts.
 *
 * When the layer's scope closes, no more events are accepted; those pending are stored and sent for at most ten seconds.
 * What is not sent by then stays pending in the store.
 */
import {
  Cause,
  Clock,
  Context,
  Data,
  Duration,
  Effect,
  Fiber,
  Latch,
  Layer,
  Metric,
  Option,
  Random,
  Schedule
} from "effect"
import { v7 } from "uuid"
import { AlertStore, type AlertStoreError, type PendingDelivery } from "../alert-store/AlertStore.ts"
import { AllEventKinds, SystemEventBus } from "../events/SystemEventBus.ts"
import * as Outage from "../storage/Outage.ts"
import { type Event, fromEvent } from "./Alert.ts"
import { type AlertChannel, AlertChannels, ChannelError, wants } from "./AlertChannel.ts"
import { HostLabel } from "./HostLabel.ts"

/** How the router judges and how long it tries. */
export interface Options {
  /** For how long repeats of an alert are muted: 1 minute to 24 hours, 60 minutes by default. */
  readonly timeToLive?: Duration.Duration | undefined
  /** How many events may wait for the store: 16,384 by default. */
  readonly bufferSize?: number | undefined
  /** How often a channel is tried for one alert before it is given up: 8 by default, which takes about two minutes. */
  readonly maxAttempts?: number | undefined
  /** Run when the router has stopped, with what it has done. */
  readonly onStop?: ((metrics: RouterMetrics) => Effect.Effect<void>) | undefined
}

/** For how long repeats are muted where nothing else is said. */
export const defaultTimeToLive: Duration.Duration = Duration.minutes(60)

/** The shortest and the longest time for which repeats can be muted. */
export const timeToLiveRange = { minimum: Duration.minutes(1), maximum: Duration.hours(24) }

/** How many events may wait for the store where nothing else is said. */
export const defaultBufferSize = 16_384

/** What the router's subscription to the bus is called. */
export const subscriptionName = "alert-router"

const defaultMaxAttempts = 8

/** One attempt to send may take this long. */
const sendTimeout = Duration.seconds(10)

/** Stopping may take this long. */
const stopTimeout = Duration.seconds(10)

/** However long a receiver asks for, it is tried again after this. */
const longestRetryAfter = Duration.hours(1)

/** The time to live is out of range. */
export class InvalidTimeToLive extends Data.TaggedError("InvalidTimeToLive")<{
  readonly timeToLive: Duration.Duration
}> {
  override get message(): string {
    const { maximum, minimum } = timeToLiveRange
    return `the time to live of alerts is ${Duration.format(this.timeToLive)}; expected ${
      Duration.format(minimum)
    } to ` +
      Duration.format(maximum)
  }
}

/** What the router has done since it was made. */
export interface RouterMetrics {
  /** Events taken from the bus. */
  readonly received: number
  /** Alerts stored, and thereby due to the channels that want them. */
  readonly routed: number
  /** Alerts that only repeated a stored one. */
  readonly deduped: number
  /** Failed attempts to store; an event may have several. */
  readonly persistFailed: number
  /** Failed attempts to send, for each channel; an alert may have several. */
  readonly channelFailures: { readonly [channel: string]: number }
}

/** The router, as it can be looked at. */
export class AlertRouter extends Context.Service<AlertRouter, {
  readonly metrics: Effect.Effect<RouterMetrics>
}>()("@openwatch/openwatch/alert-router/AlertRouter") {}

const metric = (name: string, description: string) =>
  Metric.counter(`openwatch_alert_router_${name}`, { description, incremental: true })

const receivedTotal = metric("received_total", "Events that the alert router took from the bus")
const routedTotal = metric("routed_total", "Alerts stored and routed to channels")
const dedupedTotal = metric("deduped_total", "Alerts that only repeated a stored one")
const persistFailedTotal = metric("persist_failed_total", "Failed attempts to store an alert")
const channelFailuresTotal = metric("channel_failures_total", "Failed attempts to send an alert, by channel")

/** The pause after so many failures: from `base`, doubling up to `cap`, a fifth more or less so that none keep step. */
const backOff = (failures: number, base: Duration.Duration, cap: Duration.Duration): Effect.Effect<Duration.Duration> =>
  Effect.map(
    Random.nextBetween(0.8, 1.2),
    (factor) => {
      const pause = Math.min(Duration.toMillis(base) * 2 ** Math.min(failures - 1, 30), Duration.toMillis(cap))
      return Duration.millis(Math.round(pause * factor))
    }
  )

const sendBackOff = (failures: number) => backOff(failures, Duration.seconds(1), Duration.seconds(60))

/** Goes on trying as long as the store may recover. */
const untilStored = <A>(request: Effect.Effect<A, AlertStoreError>, onFailure?: Effect.Effect<void>) =>
  Outage.untilItPasses(request, ({ isRetryable, message }) => isRetryable ? message : undefined, onFailure)

const send = (channel: AlertChannel, { alert }: PendingDelivery): Effect.Effect<void, ChannelError> =>
  Effect.suspend(() => channel.send(alert)).pipe(
    Effect.timeoutOrElse({
      duration: sendTimeout,
      orElse: () =>
        Effect.fail(new ChannelError({ message: `no end after ${Duration.format(sendTimeout)}`, isRetryable: true }))
    }),
    Effect.catchDefect((defect) =>
      Effect.logError(`The channel "${channel.name}" died`, Cause.die(defect)).pipe(
        Effect.andThen(Effect.fail(new ChannelError({ message: "the channel died", isRetryable: false })))
      )
    )
  )

const make = Effect.fnUntraced(function*(options: Options | undefined) {
  const bus = yield* SystemEventBus
  const store = yield* AlertStore
  const channels = yield* AlertChannels
  const hostLabel = yield* HostLabel

  const timeToLive = options?.timeToLive ?? defaultTimeToLive
  if (!Duration.between(timeToLive, timeToLiveRange)) return yield* new InvalidTimeToLive({ timeToLive })
  const maxAttempts = options?.maxAttempts ?? defaultMaxAttempts

  const counts = { received: 0, routed: 0, deduped: 0, persistFailed: 0 }
  const channelFailures = new Map(channels.map(({ name }) => [name, 0]))
  const count = (what: keyof typeof counts, total: typeof receivedTotal) =>
    Effect.suspend(() => {
      counts[what]++
      return Metric.update(total, 1)
    })

  let isStopping = false
  const workers = yield* Effect.forEach(
    channels,
    (channel) => Effect.map(Latch.make(true), (hasWork) => ({ channel, hasWork }))
  )
  const wakeWorkers = Effect.sync(() => {
    for (const { hasWork } of workers) hasWork.openUnsafe()
  })

  const deliver = Effect.fnUntraced(function*(channel: AlertChannel, delivery: PendingDelivery) {
    const record = (attempts: number, state: "pending" | "delivered" | "given_up", lastError?: string) =>
      untilStored(
        store.recordAttempt({ alertId: delivery.alert.id, channel: channel.name, state, attempts, lastError })
      )

    for (let attempts = delivery.attempts + 1;; attempts++) {
      const failure = yield* Effect.match(send(channel, delivery), {
        onFailure: (error) => error,
        onSuccess: () => undefined
      })
      if (failure === undefined) return yield* record(attempts, "delivered")
      channelFailures.set(channel.name, (channelFailures.get(channel.name) ?? 0) + 1)
      yield* Metric.update(Metric.withAttributes(channelFailuresTotal, { channel: channel.name }), 1)
      const isGivenUp = !failure.isRetryable || attempts >= maxAttempts
      yield* record(attempts, isGivenUp ? "given_up" : "pending", failure.message)
      if (isGivenUp) {
        return yield* Effect.logError(
          `Alert ${delivery.alert.id} is not delivered to "${channel.name}", given up after ${attempts} attempts: ` +
            failure.message
        )
      }
      const pause = Duration.max(
        yield* sendBackOff(attempts),
        Duration.min(failure.retryAfter ?? Duration.zero, longestRetryAfter)
      )
      yield* Effect.logWarning(
        `Alert ${delivery.alert.id} is not delivered to "${channel.name}": ${failure.message}; trying again in ${
          Duration.format(pause)
        }`
      )
      yield* Effect.sleep(pause)
    }
  })

  const work = Effect.fnUntraced(function*({ channel, hasWork }: (typeof workers)[number]) {
    while (true) {
      // Closed before the store is asked: what is stored meanwhile opens it again.
      hasWork.closeUnsafe()
      const delivery = yield* untilStored(store.nextDelivery(channel.name))
      if (Option.isSome(delivery)) yield* deliver(channel, delivery.value)
      else if (isStopping) return
      else yield* hasWork.await
    }
  })

  const metrics = Effect.sync((): RouterMetrics => ({
    ...counts,
    channelFailures: Object.fromEntries(channelFailures)
  }))
  if (options?.onStop !== undefined) {
    const { onStop } = options
    yield* Effect.addFinalizer(() => Effect.flatMap(metrics, onStop))
  }

  // Finalizers run in reverse: the stop begins, the subscription drains, the workers end, or are ended.
  const fibers = yield* Effect.forEach(workers, (worker) =>
    work(worker).pipe(
      Effect.catchCause((cause) =>
        Cause.hasInterruptsOnly(cause)
          ? Effect.failCause(cause)
          : Effect.logError(`The channel "${worker.channel.name}" stopped; it begins again in 10s`, cause)
      ),
      // Only what ends on its own is over.
      Effect.repeat({ while: () => !isStopping, schedule: Schedule.spaced("10 seconds") }),
      Effect.forkScoped
    ))
  let stopBegan = 0
  yield* Effect.addFinalizer(() =>
    Effect.gen(function*() {
      const spent = (yield* Clock.currentTimeMillis) - stopBegan
      isStopping = true
      yield* wakeWorkers
      yield* Fiber.awaitAll(fibers).pipe(Effect.timeoutOption(Math.max(0, Duration.toMillis(stopTimeout) - spent)))
    })
  )

  const handle = Effect.fnUntraced(function*(event: Event) {
    yield* count("received", receivedTotal)
    const consequence = fromEvent(event, {
      id: v7({ msecs: yield* Clock.currentTimeMillis }),
      hostLabel: hostLabel(event.hostId)
    })
    const { alert } = consequence
    const outcome = yield* untilStored(
      store.submit({
        ...consequence,
        event,
        channels: alert === undefined
          ? []
          : channels.filter((channel) => wants(channel, alert)).map(({ name }) => name),
        timeToLive
      }),
      count("persistFailed", persistFailedTotal)
    )
    if (outcome === "repeat" || outcome === "duplicate") yield* count("deduped", dedupedTotal)
    if (outcome === "stored") yield* count("routed", routedTotal)
    // A duplicate may have been stored by an attempt of which that is not known.
    yield* wakeWorkers
  })

  yield* bus.on(AllEventKinds, handle, {
    name: subscriptionName,
    bufferSize: options?.bufferSize ?? defaultBufferSize,
    drain: stopTimeout
  })
  yield* Effect.addFinalizer(() =>
    Effect.map(Clock.currentTimeMillis, (now) => {
      stopBegan = now
    })
  )

  return AlertRouter.of({ metrics })
})

/** The router, which works until the scope closes. */
export const layer = (
  options?: Options
): Layer.Layer<AlertRouter, InvalidTimeToLive, SystemEventBus | AlertStore | AlertChannels> =>
  Layer.effect(AlertRouter, make(options))
