/**
 * The alert router: makes alerts of events, stores each one, and has it sent.
 *
 * It is a consumer of the stored events, and handles each in one transaction. That stores the alert, or counts it as a
 * repeat of a stored one, ends other alerts, and stores the deliveries that are due. Each channel is a consumer of what
 * becomes of alerts, with a position of its own (see `Deliveries`). So a restart goes on where the last process
 * stopped, and a slow channel delays no other. While the database is away, all of them wait.
 *
 * When the scope of the layer closes, what is due is stored and sent, for at most ten seconds. The next start does the
 * rest.
 */
import type { Outbox } from "@openwatch/event-bus-sql"
import { Clock, Context, Data, DateTime, Duration, Effect, Layer, Metric } from "effect"
import { v7 } from "uuid"
import { AlertStore, type Submitted } from "../alert-store/AlertStore.ts"
import { DeliveryStore } from "../alert-store/DeliveryStore.ts"
import type { HostId } from "../events/HostId.ts"
import { AllEventKinds } from "../events/SystemEventBus.ts"
import { SystemOutbox } from "../events/SystemOutbox.ts"
import { repeatedly } from "../storage/repeatedly.ts"
import { type Event, fromEvent } from "./Alert.ts"
import { AlertChannels, wants } from "./AlertChannel.ts"
import { AlertOutbox } from "./AlertOutbox.ts"
import * as Deliveries from "./Deliveries.ts"
import { HostLabel } from "./HostLabel.ts"
import { HostTags } from "./HostTags.ts"
import * as Sending from "./Sending.ts"
import { tell } from "./Telling.ts"

/** How the router judges and how long it tries. */
export interface Options {
  /** For how long repeats of an alert are muted: 1 minute to 24 hours, 60 minutes by default. */
  readonly timeToLive?: Duration.Duration | undefined
  /** For how long a channel is tried for one alert before it is given up: 24 hours by default. */
  readonly retryFor?: Duration.Duration | undefined
  /** Returns the page of a host. Default: alerts have no link. */
  readonly linkTo?: ((hostId: HostId) => string) | undefined
  /** Runs when the router has stopped, with what it has done. */
  readonly onStop?: ((metrics: RouterMetrics) => Effect.Effect<void>) | undefined
}

/** For how long repeats are muted by default. */
export const defaultTimeToLive: Duration.Duration = Duration.minutes(60)

/** The shortest and the longest time for which repeats can be muted. */
export const timeToLiveRange = { minimum: Duration.minutes(1), maximum: Duration.hours(24) }

/** The shortest and the longest time for which a channel can be tried for one alert. */
export const retryForRange = { minimum: Duration.minutes(1), maximum: Duration.days(30) }

/** The name under which the router's position is kept. */
export const consumerName = "alert-router"

/** Stopping may take this long. */
const stopTimeout = Duration.seconds(10)

/** How often to look for channels that are no longer configured. */
const lookInterval = Duration.hours(1)

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
  /** Events that were handled. */
  readonly received: number
  /** Alerts stored. They are then due to the channels that want them. */
  readonly routed: number
  /** Alerts that only repeated a stored one. */
  readonly deduped: number
  /** Failed attempts to store. An event may have several. */
  readonly persistFailed: number
  /** Failed attempts to send, for each channel. An alert may have several. */
  readonly channelFailures: { readonly [channel: string]: number }
}

/** The router. It can be asked what it has done. */
export class AlertRouter extends Context.Service<AlertRouter, {
  readonly metrics: Effect.Effect<RouterMetrics>
}>()("@openwatch/openwatch/alert-router/AlertRouter") {}

const metric = (name: string, description: string) =>
  Metric.counter(`openwatch_alert_router_${name}`, { description, incremental: true })

const totals = {
  received: metric("received_total", "Events that the alert router handled"),
  routed: metric("routed_total", "Alerts stored and routed to channels"),
  deduped: metric("deduped_total", "Alerts that only repeated a stored one"),
  persistFailed: metric("persist_failed_total", "Failed attempts to store an alert")
}
const channelFailuresTotal = metric("channel_failures_total", "Failed attempts to send an alert, by channel")

const make = Effect.fnUntraced(function*(options: Options | undefined) {
  const events = yield* SystemOutbox
  const alerts = yield* AlertOutbox
  const store = yield* AlertStore
  const deliveries = yield* DeliveryStore
  const channels = yield* AlertChannels
  const hostLabel = yield* HostLabel
  const hostTags = yield* HostTags

  const timeToLive = options?.timeToLive ?? defaultTimeToLive
  if (!Duration.between(timeToLive, timeToLiveRange)) return yield* new InvalidTimeToLive({ timeToLive })
  const retryFor = options?.retryFor ?? Sending.defaultRetryFor

  const counts = { received: 0, routed: 0, deduped: 0, persistFailed: 0 }
  const channelFailures = new Map(channels.map(({ name }) => [name, 0]))
  const count = (what: keyof typeof totals) =>
    Effect.suspend(() => {
      counts[what]++
      return Metric.update(totals[what], 1)
    })

  const metrics = Effect.sync((): RouterMetrics => ({
    ...counts,
    channelFailures: Object.fromEntries(channelFailures)
  }))
  if (options?.onStop !== undefined) {
    const { onStop } = options
    yield* Effect.addFinalizer(() => Effect.flatMap(metrics, onStop))
  }

  const served: Array<Effect.Success<ReturnType<typeof Deliveries.serve>>> = []
  for (const channel of channels) {
    const { name } = channel
    const onFailure = Effect.suspend(() => {
      channelFailures.set(name, (channelFailures.get(name) ?? 0) + 1)
      return Metric.update(Metric.withAttributes(channelFailuresTotal, { channel: name }), 1)
    })
    served.push(yield* Deliveries.serve(channel, { retryFor, onFailure }))
  }

  /** Gives up what is due to channels that are no longer configured, and then removes their positions. */
  const forgetOthers = Effect.gen(function*() {
    const names = channels.map(({ name }) => name)
    const until = DateTime.subtractDuration(yield* DateTime.now, retryFor)
    yield* deliveries.giveUpOthers(names, until)
    for (const { lastSeenAt, name } of yield* alerts.consumers) {
      if (!Deliveries.isChannel(name) || names.some((own) => Deliveries.consumerOf(own) === name)) continue
      if (DateTime.isLessThanOrEqualTo(lastSeenAt, until)) yield* alerts.removeConsumer(name)
    }
  })
  yield* Effect.forkScoped(repeatedly(forgetOthers, lookInterval))

  const handle = Effect.fnUntraced(function*(event: Event) {
    const consequence = fromEvent(event, {
      id: v7({ msecs: yield* Clock.currentTimeMillis }),
      hostLabel: hostLabel(event.hostId),
      hostTags: hostTags(event.hostId),
      link: options?.linkTo?.(event.hostId)
    })
    const { alert } = consequence
    const wanting = alert === undefined ? [] : channels.filter((channel) => wants(channel, alert))
    const { ended, outcome, raised } = yield* store.submit({
      ...consequence,
      event,
      channels: wanting.map(({ name }) => name),
      timeToLive
    })
    // One message tells of both: the alert, and that it ends another.
    const told = raised && { toldBy: raised.alert.id, channels: [] }
    yield* tell({
      raised: raised === undefined ? [] : [raised],
      ended: ended.map((each) => Object.assign({}, each, told)),
      changed: []
    }, event.occurredAt)
    return outcome
  })

  const route = ({ event }: Outbox.Delivered<Event>) => Effect.tapError(handle(event), () => count("persistFailed"))
  const counted = (outcome: Submitted["outcome"]) =>
    Effect.andThen(
      count("received"),
      outcome === "none" ? Effect.void : count(outcome === "stored" ? "routed" : "deduped")
    )

  yield* events.on(AllEventKinds, (batch) =>
    // Counted once all of them are stored: where one fails, the others come again.
    Effect.flatMap(Effect.forEach(batch, route), Effect.forEach(counted, { discard: true })), {
    consumer: consumerName,
    from: "beginning",
    order: "key",
    concurrency: 1,
    transactional: true,
    batch: { max: 50 },
    timeout: "30 seconds",
    // Whatever keeps the database from storing an alert passes, or somebody mends it.
    maxAttempts: Number.MAX_SAFE_INTEGER
  })
  // The first to run: what is due is stored, then sent.
  yield* Effect.addFinalizer(() =>
    events.awaitIdle.pipe(
      Effect.andThen(alerts.awaitIdle),
      Effect.andThen(Effect.forEach(served, ({ settle }) => settle, { concurrency: "unbounded" })),
      Effect.timeoutOption(stopTimeout)
    )
  )

  return AlertRouter.of({ metrics })
})

/** Runs the router until the scope closes. */
export const layer = (
  options?: Options
): Layer.Layer<
  AlertRouter,
  InvalidTimeToLive | Outbox.OutboxError,
  SystemOutbox | AlertOutbox | AlertStore | DeliveryStore | AlertChannels
> => Layer.effect(AlertRouter, make(options))
