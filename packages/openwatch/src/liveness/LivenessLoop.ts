/**
 * The liveness loop: probes every host of the inventory again and again, and publishes a `HeartbeatPulse` when a host's
 * reachability changes.
 *
 * A probe that changes nothing publishes nothing. One host is never probed twice at once, and no more than
 * `maxInFlight` probes run at a time. A probe that fails for want of something on this machine (see `Probe.LocalFault`)
 * says nothing about its host: it is logged, and tried again soon. All time is read from `Clock`, and an interruption
 * closes every connection at once.
 */
import {
  Clock,
  DateTime,
  Duration,
  Effect,
  FiberMap,
  PartitionedSemaphore,
  Random,
  Result,
  Schedule,
  Schema,
  Stream
} from "effect"
import * as CliError from "effect/cli/CliError"
import { HeartbeatPulse } from "../events/HeartbeatPulse.ts"
import type { HostId } from "../events/HostId.ts"
import { SystemEventBus } from "../events/SystemEventBus.ts"
import type { Host } from "../inventory/Host.ts"
import { describeSqlError } from "../storage/describeSqlError.ts"
import type { HostStates, ProbeRecord, Verdict } from "../storage/HostStates.ts"
import { Probe } from "./Probe.ts"
import * as Reachability from "./Reachability.ts"

/** How the loop judges and how much it does at a time. */
export interface Options {
  /** How many failed probes in a row make a host unreachable: 2 by default. */
  readonly failureThreshold?: number | undefined
  /** How many probes may run at a time: 64 by default. */
  readonly maxInFlight?: number | undefined
  /**
   * Where verdicts and the schedule outlast the process: the loop goes on from what is stored there, and stores each
   * transition before it publishes it. Without it every host is unknown at first, and probed at once.
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

/** How soon a host is probed again after this machine could not. */
const localFaultDelay = Duration.seconds(10)

/** How often `settle` probes a host in vain before it gives up. */
const maxLocalFaults = 10

/** How often it is said that this machine could not probe. */
const localFaultLogInterval = Duration.seconds(60)

/** How often the times of probes are stored: one that a crash loses costs a probe that comes early. */
const flushInterval = Duration.seconds(5)

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

/** Some hosts could not be judged, since this machine could not probe them. */
export class HostsNotProbed extends Schema.TaggedError<HostsNotProbed>()("HostsNotProbed", {
  names: Schema.NonEmptyArray(Schema.String),
  /** Why the last of them was not. */
  problem: Schema.String
}) {
  override get message(): string {
    const [first, ...others] = this.names
    return `${first}${others.length === 0 ? "" : ` and ${others.length} more`} not probed: ${this.problem}`
  }

  override get [CliError.userMessage](): string {
    return this.message
  }
}

/** What a probe has shown. */
interface Checked {
  readonly reachability: Reachability.Reachability
  /** How long the probe took. */
  readonly elapsed: Duration.Duration
  /** Why this machine could not probe; then `reachability` is what it was. */
  readonly localFault: string | undefined
}

/**
 * Makes the effect that probes a host once, as soon as it has a place among the probes in flight, and publishes the change
 * of verdict if there is one.
 */
const makeCheck = Effect.fnUntraced(function*(options: Options | undefined) {
  const bus = yield* SystemEventBus
  const { probe } = yield* Probe
  const failureThreshold = options?.failureThreshold ?? 2
  // `Semaphore` walks all who wait whenever a permit comes back: with 10,000 hosts that took 2.6 s, this one 0.4 s.
  const inFlight = yield* PartitionedSemaphore.make<HostId>({ permits: options?.maxInFlight ?? 64 })

  // All hosts meet the same fault: one line now and then tells of it.
  let faults = 0
  let nextLogAt = -Infinity
  const logLocalFault = Effect.fnUntraced(function*(host: Host, problem: string) {
    faults++
    const now = yield* Clock.currentTimeMillis
    if (now < nextLogAt) return
    nextLogAt = now + Duration.toMillis(localFaultLogInterval)
    const others = faults === 1 ? "" : `, nor ${faults - 1} before`
    faults = 0
    yield* Effect.logWarning(`${host.name} (${host.endpoint}) was not probed${others}: ${problem}`)
  })

  return Effect.fnUntraced(function*(host: Host, prior: Reachability.Reachability) {
    // The yield lets an interruption of the whole loop reach those who wait, one after the other, before any of them
    // starts a probe with the permit of the one interrupted before it.
    const [elapsed, result] = yield* Effect.yieldNow.pipe(
      Effect.andThen(probe(host).pipe(Effect.result, Effect.timed)),
      inFlight.withPermit(host.id)
    )
    const answered = Result.isSuccess(result)
    if (!answered && result.failure.reason._tag === "LocalFault") {
      const localFault = result.failure.message
      yield* logLocalFault(host, localFault)
      const unchecked: Checked = { reachability: prior, elapsed, localFault }
      return unchecked
    }
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
    const checked: Checked = { reachability, elapsed, localFault: undefined }
    return checked
  })
})

/** What the loop knows of a host, also while the inventory does not have it. */
interface Watched {
  host: Host
  reachability: Reachability.Reachability
  /** How many probes there have been. */
  probes: number
  /** When the last one began, in milliseconds. */
  probedAt: number
  /** When the next one is due, in milliseconds. */
  dueAt: number
}

const recordOf = ({ host, probedAt, probes, reachability }: Watched): ProbeRecord => ({
  hostId: host.id,
  endpoint: host.endpoint,
  probes,
  failures: reachability.failures,
  probedAt
})

/** Stores the last probes of hosts now and then, and when the scope closes. */
const makeSchedule = Effect.fnUntraced(function*(hostStates: HostStates["Service"] | undefined) {
  if (hostStates === undefined) {
    return { verdicts: new Map<HostId, Verdict>(), probes: new Map<HostId, ProbeRecord>(), probed: () => {} }
  }
  const changed = new Set<Watched>()
  const flush = Effect.suspend(() => {
    const batch = [...changed]
    changed.clear()
    return batch.length === 0 ? Effect.void : hostStates.recordProbes(batch.map(recordOf)).pipe(
      Effect.catch((error) => {
        for (const watched of batch) changed.add(watched)
        return Effect.logWarning(`The times of ${batch.length} probes are not stored: ${describeSqlError(error)}`)
      })
    )
  })
  const schedule = {
    verdicts: yield* hostStates.verdicts,
    probes: yield* hostStates.probes,
    probed: (watched: Watched) => void changed.add(watched)
  }
  yield* Effect.addFinalizer(() => flush)
  yield* flush.pipe(Effect.delay(flushInterval), Effect.forever, Effect.forkScoped)
  return schedule
})

/**
 * Probes every host every interval, for ever.
 *
 * The interval is 5 minutes by default; one outside 1 minute to 1 hour is clamped, with a log line. `changes` are later
 * inventories: hosts that come are probed at once, those that go no more, and one whose address or port changes is probed
 * there at once, with the verdict that it had. A host is the same as long as its id is.
 */
export const watch = Effect.fnUntraced(function*(
  hosts: ReadonlyArray<Host>,
  options?: Options & {
    readonly interval?: Duration.Duration | undefined
    readonly changes?: Stream.Stream<ReadonlyArray<Host>> | undefined
  }
) {
  const check = yield* makeCheck(options)
  const interval = yield* clampInterval(options?.interval ?? defaultInterval)
  const schedule = yield* makeSchedule(options?.hostStates)
  const known = new Map<HostId, Watched>()
  const fibers = yield* FiberMap.make<HostId>()

  const dueAfter = (probedAt: number, hostId: HostId, probes: number) =>
    Effect.map(jittered(interval, hostId, probes), (pause) => probedAt + Duration.toMillis(pause))

  const resume = Effect.fnUntraced(function*(host: Host, now: number) {
    const { failures = 0, probedAt = now, probes = 0, endpoint } = schedule.probes.get(host.id) ?? {}
    // What a clock that went wrong has stored must not put a probe off for longer than ever.
    const isDueNow = endpoint !== host.endpoint || probedAt > now
    const watched: Watched = {
      host,
      reachability: Reachability.fromStored(schedule.verdicts.get(host.id)?.reachable, failures),
      probes,
      probedAt,
      dueAt: isDueNow ? now : yield* dueAfter(probedAt, host.id, probes - 1)
    }
    known.set(host.id, watched)
    return watched
  })

  const watchHost = Effect.fnUntraced(function*(watched: Watched) {
    for (;;) {
      const pause = watched.dueAt - (yield* Clock.currentTimeMillis)
      if (pause > 0) yield* Effect.sleep(pause)
      const { elapsed, localFault, reachability } = yield* check(watched.host, watched.reachability)
      const now = yield* Clock.currentTimeMillis
      if (localFault !== undefined) {
        watched.dueAt = now + Duration.toMillis(localFaultDelay)
        continue
      }
      watched.reachability = reachability
      watched.probedAt = now - Math.round(Duration.toMillis(elapsed))
      watched.dueAt = yield* dueAfter(watched.probedAt, watched.host.id, watched.probes++)
      schedule.probed(watched)
    }
  })

  const begin = (watched: Watched) =>
    FiberMap.run(fibers, watched.host.id, watchHost(watched), { startImmediately: false })

  /** Makes these the hosts that are watched. */
  const take = Effect.fnUntraced(function*(hosts: ReadonlyArray<Host>) {
    const now = yield* Clock.currentTimeMillis
    const gone = new Set(Array.from(fibers, ([hostId]) => hostId))
    const counts = { come: 0, go: 0, move: 0, stay: 0 }
    for (const host of hosts) {
      const isWatched = gone.delete(host.id)
      const watched = known.get(host.id) ?? (yield* resume(host, now))
      const isMoved = watched.host.endpoint !== host.endpoint
      watched.host = host
      if (isMoved) {
        // The probe in flight is of the old address.
        yield* FiberMap.remove(fibers, host.id)
        watched.dueAt = now
      }
      if (!isWatched || isMoved) yield* begin(watched)
      counts[!isWatched ? "come" : isMoved ? "move" : "stay"]++
    }
    counts.go = gone.size
    yield* Effect.forEach(gone, (hostId) => FiberMap.remove(fibers, hostId), { discard: true })
    return counts
  })

  const takeChange = (hosts: ReadonlyArray<Host>) =>
    Effect.flatMap(take(hosts), ({ come, go, move }) =>
      come + go + move === 0 ? Effect.void : Effect.logInfo(
        `The inventory has changed: ${come} hosts are new, ${go} are gone, ${move} have another address; ` +
          `${hosts.length} are watched`
      ))

  yield* take(hosts)
  return yield* Effect.raceFirst(
    Effect.andThen(FiberMap.join(fibers), Effect.never),
    (options?.changes ?? Stream.never).pipe(Stream.runForEach(takeChange), Effect.andThen(Effect.never))
  )
}, Effect.scoped)

/**
 * Probes every host until its verdict is settled: once where it answers, and again a second later, until the failures
 * are enough to call it unreachable, where it does not. Fails, when the others are settled, with the hosts that this
 * machine could not probe.
 */
export const settle = Effect.fnUntraced(function*(hosts: ReadonlyArray<Host>, options?: Options) {
  const check = yield* makeCheck(options)
  const notProbed: Array<string> = []
  let problem = ""

  const settleHost = Effect.fnUntraced(function*(host: Host) {
    let faults = 0
    let { localFault, reachability } = yield* check(host, Reachability.unknown)
    while (localFault !== undefined || !Reachability.isSettled(reachability)) {
      if (localFault !== undefined && ++faults === maxLocalFaults) {
        notProbed.push(host.name)
        problem = localFault
        return
      }
      yield* Effect.sleep(retryDelay)
      const checked = yield* check(host, reachability)
      reachability = checked.reachability
      localFault = checked.localFault
    }
  })

  yield* Effect.forEach(hosts, settleHost, { concurrency: "unbounded", discard: true })
  const [first, ...others] = notProbed
  if (first !== undefined) yield* new HostsNotProbed({ names: [first, ...others], problem })
})
