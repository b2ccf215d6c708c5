/**
 * The liveness loop: probes every host of the inventory again and again, and publishes a `HeartbeatPulse` when a host's
 * reachability changes.
 *
 * A probe that changes nothing publishes nothing. One host is never probed twice at once, and no more than
 * `maxInFlight` probes run at a time. All time is read from `Clock`, and an interruption closes every connection at once.
 */
import { DateTime, Duration, Effect, PartitionedSemaphore, Random, Result, Schedule } from "effect"
import { HeartbeatPulse } from "../events/HeartbeatPulse.ts"
import type { HostId } from "../events/HostId.ts"
import { SystemEventBus } from "../events/SystemEventBus.ts"
import type { Host } from "../inventory/Host.ts"
import { describeSqlError } from "../storage/describeSqlError.ts"
import type { HostStates } from "../storage/HostStates.ts"
import { Probe } from "./Probe.ts"
import * as Reachability from "./Reachability.ts"

/** How the loop judges and how much it does at a time. */
export interface Options {
  /** How many failed probes in a row make a host unreachable: 2 by default. */
  readonly failureThreshold?: number | undefined
  /** How many probes may run at a time: 64 by default. */
  readonly maxInFlight?: number | undefined
  /**
   * Where verdicts outlast the process: the loop begins with what is stored there, and stores each transition before it
   * publishes it. Without it every host is unknown at first.
   */
  readonly hostStates?: HostStates["Service"] | undefined
}

/** How often a host is probed where nothing else is said. */
export const defaultInterval: Duration.Duration = Duration.minutes(5)

/** A host is not probed more often than this. */
export const minimumInterval: Duration.Duration = Duration.minutes(1)

/** A host is not probed less often than this. */
export const maximumInterval: Duration.Duration = Duration.hours(1)

/** What `settle` waits before it probes a host again. */
const retryDelay = Duration.seconds(1)

/**
 * How long after the start of a host's nth probe the next one is due: the interval, up to a fifth more or less. It is
 * always the same for one host and n, and differs between hosts, so that a fleet is not probed in step.
 */
export const jittered = (interval: Duration.Duration, hostId: HostId, n: number): Effect.Effect<Duration.Duration> =>
  Random.nextBetween(0.8, 1.2).pipe(
    Random.withSeed(`${hostId}/${n}`),
    Effect.map((factor) => Duration.millis(Math.round(Duration.toMillis(interval) * factor)))
  )

const clampInterval = Effect.fnUntraced(function*(interval: Duration.Duration) {
  const clamped = Duration.clamp(interval, { minimum: minimumInterval, maximum: maximumInterval })
  if (!Duration.equals(clamped, interval)) {
    yield* Effect.logWarning(
      `The interval of ${Duration.format(interval)} is outside ${Duration.format(minimumInterval)} to ${
        Duration.format(maximumInterval)
      }; hosts are probed every ${Duration.format(clamped)}`
    )
  }
  return clamped
})

/** To a hundredth of a millisecond: what is finer is noise. */
const roundedMillis = (duration: Duration.Duration): number => Math.round(Duration.toMillis(duration) * 100) / 100

/** Goes on trying: a transition that is not stored is not published either, but it is not forgotten. */
const store = (hostStates: HostStates["Service"], pulse: HeartbeatPulse) =>
  hostStates.record(pulse).pipe(
    Effect.tapError((error) =>
      Effect.logWarning(`The state of host ${pulse.hostId} is not stored: ${describeSqlError(error)}`)
    ),
    Effect.retry(Schedule.min([Schedule.exponential("100 millis"), Schedule.spaced("10 seconds")])),
    Effect.orDie
  )

/**
 * Makes the effect that probes a host once, as soon as it has a place among the probes in flight, publishes the change
 * of verdict if there is one, and says what is known of the host then and how long its probe took.
 */
const makeCheck = Effect.fnUntraced(function*(options: Options | undefined) {
  const bus = yield* SystemEventBus
  const { probe } = yield* Probe
  const failureThreshold = options?.failureThreshold ?? 2
  // `Semaphore` walks all who wait whenever a permit comes back: with 10,000 hosts that took 2.6 s, this one 0.4 s.
  const inFlight = yield* PartitionedSemaphore.make<HostId>({ permits: options?.maxInFlight ?? 64 })

  return Effect.fnUntraced(function*(host: Host, prior: Reachability.Reachability) {
    // The yield lets an interruption of the whole loop reach those who wait, one after the other, before any of them
    // starts a probe with the permit of the one interrupted before it.
    const [elapsed, result] = yield* Effect.yieldNow.pipe(
      Effect.andThen(probe(host).pipe(Effect.result, Effect.timed)),
      inFlight.withPermit(host.id)
    )
    const answered = Result.isSuccess(result)
    const [reachability, transition] = Reachability.afterProbe(prior, answered, failureThreshold)
    if (!answered) {
      // An event says that a host does not answer, only the log says why.
      const log = transition === undefined ? Effect.logDebug : Effect.logInfo
      yield* log(`${host.name} (${host.endpoint}) did not answer: ${result.failure.message}`)
    }
    if (transition !== undefined) {
      const pulse = new HeartbeatPulse({
        hostId: host.id,
        reachable: transition.reachable,
        priorReachable: transition.priorReachable,
        responseTimeMs: answered ? roundedMillis(elapsed) : 0,
        occurredAt: yield* DateTime.now
      })
      if (options?.hostStates !== undefined) yield* store(options.hostStates, pulse)
      yield* bus.publish(pulse)
    }
    return { reachability, elapsed }
  })
})

/**
 * Probes every host every interval, for ever.
 *
 * The interval is 5 minutes by default; one outside 1 minute to 1 hour is clamped, with a log line.
 */
export const watch = Effect.fnUntraced(function*(
  hosts: ReadonlyArray<Host>,
  options?: Options & { readonly interval?: Duration.Duration | undefined }
) {
  const check = yield* makeCheck(options)
  const interval = yield* clampInterval(options?.interval ?? defaultInterval)
  const stored = options?.hostStates === undefined ? new Map<HostId, boolean>() : yield* options.hostStates.reachable

  const watchHost = Effect.fnUntraced(function*(host: Host) {
    let prior = Reachability.fromStored(stored.get(host.id))
    for (let n = 0;; n++) {
      const { elapsed, reachability } = yield* check(host, prior)
      prior = reachability
      const pause = yield* jittered(interval, host.id, n)
      yield* Effect.sleep(Duration.subtract(pause, elapsed))
    }
  })

  return yield* Effect.forEach(hosts, watchHost, { concurrency: "unbounded", discard: true })
})

/**
 * Probes every host until its verdict is settled: once where it answers, and again a second later, until the failures
 * are enough to call it unreachable, where it does not.
 */
export const settle = Effect.fnUntraced(function*(hosts: ReadonlyArray<Host>, options?: Options) {
  const check = yield* makeCheck(options)

  const settleHost = Effect.fnUntraced(function*(host: Host) {
    let { reachability } = yield* check(host, Reachability.unknown)
    while (!Reachability.isSettled(reachability)) {
      yield* Effect.sleep(retryDelay)
      reachability = (yield* check(host, reachability)).reachability
    }
  })

  yield* Effect.forEach(hosts, settleHost, { concurrency: "unbounded", discard: true })
})
