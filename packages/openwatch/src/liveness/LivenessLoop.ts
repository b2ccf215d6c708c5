/**
 * The liveness loop: probes every host of the inventory again and again, and publishes a `HeartbeatPulse` when the
 * reachability of a host changes.
 *
 * A probe that changes nothing publishes nothing. A host is never probed twice at the same time. At most `maxInFlight`
 * probes run at a time (`Places` says in which order). A host that has failed is probed again after `retryInterval`,
 * until there is a verdict.
 *
 * A probe that fails because this machine lacks something (`Probe.LocalFault`) says nothing about its host. The host
 * keeps its state, and is probed again soon. One line of the log tells of the fault, and one of its end.
 *
 * All time is read from `Clock`. Pauses are measured by the clock that cannot be set back. An interruption closes every
 * connection at once.
 */
import { Outage } from "@openwatch/event-bus-sql"
import { Clock, DateTime, Duration, Effect, Fiber, FiberMap, Random, Result, Schema, Stream } from "effect"
import * as CliError from "effect/cli/CliError"
import { counted } from "../events/counted.ts"
import { HeartbeatPulse } from "../events/HeartbeatPulse.ts"
import type { HostId } from "../events/HostId.ts"
import { SystemEventBus } from "../events/SystemEventBus.ts"
import type { ProbeSample } from "../host-history/ProbeLog.ts"
import type { Host } from "../inventory/Host.ts"
import * as HostHistory from "../storage/HostHistory.ts"
import type { HostStates, ProbeRecord, ProbeReport, Verdict } from "../storage/HostStates.ts"
import * as Places from "./Places.ts"
import { Probe } from "./Probe.ts"
import { localFaultEndsAfter } from "./ProbeActivity.ts"
import * as Reachability from "./Reachability.ts"

/** How the loop judges hosts, and how much it does at a time. */
export interface Options {
  /** How many failed probes in a row make a host unreachable: 2 by default. */
  readonly failureThreshold?: number | undefined
  /** A host that changes more often than this within an hour is flapping: 4 by default. */
  readonly changesPerHour?: number | undefined
  /** How many probes may run at a time: 64 by default. */
  readonly maxInFlight?: number | undefined
  /**
   * Where verdicts and the schedule are stored. The loop begins with what is stored there. It stores each transition
   * there, which also publishes it. Without it every host is unknown at first, and is probed at once.
   */
  readonly hostStates?: HostStates["Service"] | undefined
}

/** How often a host is probed by default. */
export const defaultInterval: Duration.Duration = Duration.minutes(5)

/** The shortest and the longest interval. */
export const intervalRange = { minimum: Duration.minutes(1), maximum: Duration.hours(1) }

/** How soon a host that has failed is probed again by default. */
export const defaultRetryInterval: Duration.Duration = Duration.seconds(30)

/** What `settle` waits before it probes a host again. */
const retryDelay = Duration.seconds(1)

/** How soon a host is probed again after a fault of this machine. */
const localFaultDelay = Duration.seconds(10)

/** How often `settle` probes a host in vain before it gives up. */
const maxLocalFaults = 10

/** A host that could not be judged for so many intervals is shown as unjudged. That time is no part of its uptime. */
const unjudgedAfter = 3

/** Milliseconds of the clock that cannot be set back. */
const monotonicMillis = Effect.map(Clock.monotonicTimeNanos, (nanos) => Number(nanos) / 1e6)

/** How often the times of probes are stored. If a crash loses one, its host is probed too early, once. */
const flushInterval = Duration.seconds(5)

/**
 * Returns how long after the start of a host's nth probe the next one is due: the interval, up to a fifth more or less.
 * It is always the same for the same host and n. It differs between hosts, so that they are not all probed at once.
 */
export const jittered = (interval: Duration.Duration, hostId: HostId, n: number): Effect.Effect<Duration.Duration> =>
  Random.nextBetween(0.8, 1.2).pipe(
    Random.withSeed(`${hostId}/${n}`),
    Effect.map((factor) => Duration.millis(Math.round(Duration.toMillis(interval) * factor)))
  )

/** The interval is out of range. */
export class InvalidInterval extends Schema.TaggedError<InvalidInterval>()("InvalidInterval", {
  message: Schema.String
}) {}

const inRange = (interval: Duration.Duration): Effect.Effect<Duration.Duration, InvalidInterval> =>
  Duration.between(interval, intervalRange)
    ? Effect.succeed(interval)
    : Effect.fail(
      new InvalidInterval({
        message: `the interval is ${Duration.format(interval)}; expected ${Duration.format(intervalRange.minimum)} to ${
          Duration.format(intervalRange.maximum)
        }`
      })
    )

/** Rounds to a hundredth of a millisecond. Smaller differences are noise. */
const roundedMillis = (duration: Duration.Duration): number => Math.round(Duration.toMillis(duration) * 100) / 100

/** How long what is being stored may take to come to its end when it is interrupted: the loop ends within 2 seconds. */
const longestFinish = Duration.seconds(1)

/** Interrupted, it is waited for, so that it is known whether it was stored. */
const finished = <A, E, R>(store: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
  Effect.uninterruptibleMask((restore) =>
    Effect.flatMap(Effect.forkChild(store, { startImmediately: true }), (fiber) =>
      Effect.onInterrupt(
        restore(Fiber.join(fiber)),
        () => Effect.timeoutOption(Effect.interruptible(Fiber.await(fiber)), longestFinish)
      ))
  )

/** Some hosts could not be judged, since this machine could not probe them. */
export class HostsNotProbed extends Schema.TaggedError<HostsNotProbed>()("HostsNotProbed", {
  names: Schema.NonEmptyArray(Schema.String),
  /** Why the last of them could not be probed. */
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

/** A host, and what its probes have shown so far. */
interface Judged {
  readonly host: Host
  reachability: Reachability.Reachability
}

/** What there is to say of a probe besides. */
interface Checked {
  /** How long it took. */
  readonly elapsed: Duration.Duration
  /** Why this machine could not probe. If it is given, the reachability is as before. */
  readonly localFault: string | undefined
}

/** Logs once that this machine cannot probe, and once that it can again, since all hosts meet the same fault. */
const makeFaultLog = () => {
  let isFaulty = false
  let faults = 0
  let lastAt = 0
  return {
    failed: Effect.fnUntraced(function*(host: Host, problem: string) {
      faults++
      lastAt = yield* monotonicMillis
      if (isFaulty) return
      isFaulty = true
      yield* Effect.logWarning(
        `${host.name} (${host.endpoint}) was not probed: ${problem}; hosts that cannot be judged keep their states`
      )
    }),
    worked: Effect.fnUntraced(function*() {
      if (!isFaulty || (yield* monotonicMillis) - lastAt < localFaultEndsAfter) return
      const count = faults
      isFaulty = false
      faults = 0
      yield* Effect.logInfo(`This machine can probe again; ${counted(count, "probe was", "probes were")} void`)
    })
  }
}

/**
 * Makes the effect that probes a host once, as soon as there is a place for the probe. It sets what the probe has shown.
 * If the verdict changes, it publishes that first.
 */
const makeCheck = Effect.fnUntraced(function*(options: Options | undefined) {
  const bus = yield* SystemEventBus
  const { probe, resolve } = yield* Probe
  const judgement: Reachability.Judgement = {
    failureThreshold: options?.failureThreshold ?? Reachability.defaultJudgement.failureThreshold,
    changesPerHour: options?.changesPerHour ?? Reachability.defaultJudgement.changesPerHour
  }
  const places = Places.make(options?.maxInFlight ?? 64)
  const faultLog = makeFaultLog()

  const purposeOf = ({ failures, verdict }: Reachability.Reachability): Places.Purpose =>
    verdict === "unreachable" ? "unreachable" : failures > 0 ? "second look" : "first look"

  return Effect.fnUntraced(function*(judged: Judged, knownUntil?: number) {
    const { host, reachability: prior } = judged
    const within = places.within(purposeOf(prior))
    const [elapsed, result] = yield* resolve(host.address).pipe(
      Effect.flatMap((addresses) => {
        // The yield lets an interruption of the whole loop reach those who wait, one after the other, before any of them
        // starts a probe in the place of the one interrupted before it.
        const inPlace = Effect.andThen(Effect.yieldNow, Effect.timed(probe({ addresses, port: host.port })))
        return within(inPlace)
      }),
      Effect.matchEffect({
        onFailure: (error) => Effect.succeed([Duration.zero, Result.fail(error)] as const),
        onSuccess: ([elapsed, answer]) => Effect.succeed([elapsed, Result.succeed(answer)] as const)
      })
    )
    if (Result.isFailure(result) && result.failure.reason._tag === "LocalFault") {
      yield* faultLog.failed(host, result.failure.message)
      const unchecked: Checked = { elapsed, localFault: result.failure.message }
      return unchecked
    }
    yield* faultLog.worked()
    const answered = Result.isSuccess(result)
    const [reachability, transition] = Reachability.afterProbe(prior, answered, yield* monotonicMillis, judgement)
    if (!answered) {
      const log = transition === undefined ? Effect.logDebug : Effect.logInfo
      yield* log(`${host.name} (${host.endpoint}) did not answer: ${result.failure.message}`)
    } else if (result.success.note !== undefined) {
      yield* Effect.logDebug(`${host.name} (${host.endpoint}) answered: ${result.success.note}`)
    }
    const learn = Effect.sync(() => {
      judged.reachability = reachability
    })
    if (transition === undefined) yield* learn
    else {
      const { change, isTold, priorReachable, reachable } = transition
      const pulse = new HeartbeatPulse({
        hostId: host.id,
        reachable,
        priorReachable,
        responseTimeMs: answered ? roundedMillis(elapsed) : 0,
        change,
        ...(answered ? {} : { reason: { code: result.failure.reason._tag, text: result.failure.message } }),
        host: { name: host.name, address: host.endpoint },
        occurredAt: yield* DateTime.now
      })
      const store = options?.hostStates?.record(pulse, isTold, knownUntil) ??
        (isTold ? bus.publish(pulse) : Effect.void)
      // A host that moves meanwhile goes on from what is stored.
      yield* Outage.untilItPasses(finished(Effect.andThen(store, learn)))
    }
    const checked: Checked = { elapsed, localFault: undefined }
    return checked
  })
})

/** What the loop knows of a host, also while the inventory does not have it. */
interface Watched extends Judged {
  host: Host
  /** How many probes there have been. */
  probes: number
  /** When the last one began, in milliseconds since 1970. */
  probedAt: number
  /** When the next one is due, in milliseconds of a clock that cannot be set back. */
  dueAt: number
  /** When the last probe began that was not void, by the same clock. */
  judgedAt: number
  isJudged: boolean
  /** Since when it was judged without a gap, in milliseconds since 1970. */
  judgedSince: number | undefined
  /** The probes that are not stored yet. */
  samples: Array<ProbeSample>
}

const reportOf = ({ host, isJudged, judgedSince, probedAt, probes, reachability, samples }: Watched): ProbeReport => ({
  hostId: host.id,
  endpoint: host.endpoint,
  probes,
  failures: reachability.failures,
  probedAt,
  isJudged,
  judgedSince,
  samples: [...samples]
})

/** Stores the last probes of hosts now and then, and when the scope closes. */
const makeSchedule = Effect.fnUntraced(function*(hostStates: HostStates["Service"] | undefined) {
  if (hostStates === undefined) {
    return {
      verdicts: new Map<HostId, Verdict>(),
      probes: new Map<HostId, ProbeRecord>(),
      probed: () => {},
      forget: () => {}
    }
  }
  const changed = new Set<Watched>()
  const flush = Effect.suspend(() => {
    const batch = [...changed]
    changed.clear()
    if (batch.length === 0) return Effect.void
    const reports = batch.map(reportOf)
    const stored = () => {
      for (const [n, { samples }] of reports.entries()) batch[n]!.samples.splice(0, samples.length)
    }
    return hostStates.recordProbes(reports).pipe(
      Outage.noted,
      Effect.tap(() => Effect.sync(stored)),
      Effect.catch(() =>
        Effect.sync(() => {
          for (const watched of batch) changed.add(watched)
        })
      )
    )
  })
  const verdicts = new Map(yield* Outage.untilItPasses(hostStates.verdicts))
  const schedule = {
    verdicts,
    probes: yield* Outage.untilItPasses(hostStates.probes),
    probed: (watched: Watched) => void changed.add(watched),
    /** As what is stored of a host that is gone is forgotten. */
    forget: (hostId: HostId) => void verdicts.delete(hostId)
  }
  yield* Effect.addFinalizer(() => flush)
  yield* flush.pipe(Effect.delay(flushInterval), Effect.forever, Effect.forkScoped)
  return schedule
})

/**
 * Probes every host once in each interval, for ever.
 *
 * The interval is 5 minutes by default. One outside 1 minute to 1 hour is an error. `changes` are later inventories. A
 * new host is probed at once, and one that is gone is probed no more. If the address or port of a host changes, it
 * keeps its verdict and is probed there at once. A host with the same id is the same host. With `hostStates`, a renamed
 * host is recognized too (see `HostStates.takeInventory`).
 */
export const watch = Effect.fnUntraced(function*(
  hosts: ReadonlyArray<Host>,
  options?: Options & {
    readonly interval?: Duration.Duration | undefined
    /** How soon a host that has failed is looked at again, until there is a verdict: 30 seconds by default. */
    readonly retryInterval?: Duration.Duration | undefined
    readonly changes?: Stream.Stream<ReadonlyArray<Host>> | undefined
  }
) {
  const check = yield* makeCheck(options)
  const interval = yield* inRange(options?.interval ?? defaultInterval)
  const retryInterval = Duration.toMillis(
    Duration.min(options?.retryInterval ?? defaultRetryInterval, Duration.times(interval, 0.8))
  )
  const longestUnjudged = unjudgedAfter * Duration.toMillis(interval)
  const hostStates = options?.hostStates

  /** The hosts that have another id now, by the id that they had. */
  const renamedIn = (hosts: ReadonlyArray<Host>) =>
    hostStates === undefined
      ? Effect.succeed<ReadonlyMap<HostId, HostId>>(new Map())
      : Outage.untilItPasses(hostStates.takeInventory(hosts))
  yield* renamedIn(hosts)

  const schedule = yield* makeSchedule(hostStates)
  const known = new Map<HostId, Watched>()
  const fibers = yield* FiberMap.make<HostId>()

  /** How long after the start of its last probe a host's next one is due. */
  const pauseAfter = (hostId: HostId, probes: number) =>
    Effect.map(jittered(interval, hostId, probes), Duration.toMillis)

  const resume = Effect.fnUntraced(function*(host: Host, now: number) {
    const wallNow = yield* Clock.currentTimeMillis
    const { failures = 0, probedAt = wallNow, probes = 0, endpoint, judgedSince } = schedule.probes.get(host.id) ?? {}
    const verdict = schedule.verdicts.get(host.id)
    const reachability = Reachability.fromStored(
      verdict === undefined ? undefined : {
        reachable: verdict.reachable,
        since: now - Math.max(0, wallNow - DateTime.toEpochMillis(verdict.since)),
        isFlapping: verdict.isFlapping
      },
      failures
    )
    const pause = Reachability.isSettled(reachability) ? yield* pauseAfter(host.id, probes - 1) : retryInterval
    // What a clock that went wrong has stored must not put a probe off for longer than ever.
    const isDueNow = endpoint !== host.endpoint || probedAt > wallNow
    const watched: Watched = {
      host,
      reachability,
      probes,
      probedAt,
      dueAt: isDueNow ? now : now + probedAt + pause - wallNow,
      judgedAt: now,
      isJudged: true,
      judgedSince,
      samples: []
    }
    known.set(host.id, watched)
    return watched
  })

  const watchHost = Effect.fnUntraced(function*(watched: Watched) {
    for (;;) {
      const pause = watched.dueAt - (yield* monotonicMillis)
      if (pause > 0) yield* Effect.sleep(pause)
      const sinceLast = (yield* Clock.currentTimeMillis) - watched.probedAt
      const isJudgedAgain = watched.judgedSince === undefined || sinceLast < 0 || sinceLast > longestUnjudged
      const { elapsed, localFault } = yield* check(watched, isJudgedAgain ? watched.probedAt : undefined)
      const now = yield* monotonicMillis
      if (localFault !== undefined) {
        watched.dueAt = now + Duration.toMillis(localFaultDelay)
        if (watched.isJudged && now - watched.judgedAt > longestUnjudged) {
          watched.isJudged = false
          schedule.probed(watched)
        }
        continue
      }
      const took = Math.round(Duration.toMillis(elapsed))
      watched.isJudged = true
      watched.judgedAt = now - took
      watched.probedAt = (yield* Clock.currentTimeMillis) - took
      if (isJudgedAgain) watched.judgedSince = watched.probedAt
      const responseTimeMs = watched.reachability.failures > 0 ? undefined : roundedMillis(elapsed)
      watched.samples.push({ at: watched.probedAt, responseTimeMs })
      // While the database is away they add up.
      if (watched.samples.length > HostHistory.keptProbes) watched.samples.shift()
      const n = watched.probes++
      watched.dueAt = watched.judgedAt +
        (Reachability.isSettled(watched.reachability) ? yield* pauseAfter(watched.host.id, n) : retryInterval)
      schedule.probed(watched)
    }
  })

  const begin = (watched: Watched) =>
    FiberMap.run(fibers, watched.host.id, watchHost(watched), { startImmediately: false })

  /** Makes these the hosts that are watched. */
  const take = Effect.fnUntraced(function*(
    hosts: ReadonlyArray<Host>,
    renames: Effect.Effect<ReadonlyMap<HostId, HostId>>
  ) {
    const gone = new Set(Array.from(fibers, ([hostId]) => hostId))
    for (const { id } of hosts) gone.delete(id)
    // First, since a verdict that is being stored is one of a host that is still there.
    yield* Effect.forEach(gone, (hostId) => FiberMap.remove(fibers, hostId), {
      concurrency: "unbounded",
      discard: true
    })
    const renamed = yield* renames
    const now = yield* monotonicMillis
    for (const [from, to] of renamed) {
      const watched = known.get(from)
      if (watched === undefined) continue
      gone.delete(from)
      known.delete(from)
      known.set(to, watched)
    }
    const counts = { come: 0, go: 0, move: 0, rename: renamed.size, stay: 0 }
    const names = new Set(renamed.values())
    for (const host of hosts) {
      const isWatched = FiberMap.hasUnsafe(fibers, host.id)
      const watched = known.get(host.id) ?? (yield* resume(host, now))
      const isMoved = watched.host.endpoint !== host.endpoint
      watched.host = host
      if (isMoved) {
        // The probe in flight is of the old address.
        yield* FiberMap.remove(fibers, host.id)
        watched.dueAt = now
      }
      if (!isWatched || isMoved) yield* begin(watched)
      if (!names.has(host.id)) counts[!isWatched ? "come" : isMoved ? "move" : "stay"]++
    }
    counts.go = gone.size
    for (const hostId of gone) {
      const watched = known.get(hostId)
      const { isFlapping, verdict } = watched?.reachability ?? Reachability.unknown
      if (watched !== undefined) Object.assign(watched, { judgedSince: undefined, samples: [] })
      // Its alerts are over. Should it come back, what it is then is news.
      if (verdict === "unreachable" || isFlapping) {
        known.delete(hostId)
        schedule.forget(hostId)
      }
    }
    return counts
  })

  const takeChange = Effect.fnUntraced(function*(hosts: ReadonlyArray<Host>) {
    const { come, go, move, rename } = yield* take(hosts, renamedIn(hosts))
    if (come + go + move + rename === 0) return
    yield* Effect.logInfo(
      `The inventory has changed: ${counted(come, "host is new", "hosts are new")}, ${
        counted(go, "is gone", "are gone")
      }, ` +
        `${counted(move, "has another address", "have another address")}, ` +
        `${counted(rename, "has another name", "have another name")}; ${
          counted(hosts.length, "is watched", "are watched")
        }`
    )
  })

  yield* take(hosts, Effect.succeed(new Map()))
  return yield* Effect.raceFirst(
    Effect.andThen(FiberMap.join(fibers), Effect.never),
    (options?.changes ?? Stream.never).pipe(Stream.runForEach(takeChange), Effect.andThen(Effect.never))
  )
}, Effect.scoped)

/**
 * Probes every host until its verdict is settled. A host that answers is probed once. One that does not is probed again
 * after a second, until it has failed often enough to be unreachable. Returns the unreachable hosts. If this machine
 * could not probe some hosts, it fails with these, once the others are settled.
 */
export const settle = Effect.fnUntraced(function*(
  hosts: ReadonlyArray<Host>,
  options?: Options & {
    /** Called after each verdict, with how many hosts have one. */
    readonly onProgress?: ((settled: number) => void) | undefined
  }
) {
  const check = yield* makeCheck(options)
  const notProbed: Array<string> = []
  const unreachable: Array<Host> = []
  let settled = 0
  let problem = ""

  const settleHost = Effect.fnUntraced(function*(host: Host) {
    const judged: Judged = { host, reachability: Reachability.unknown }
    let faults = 0
    let { localFault } = yield* check(judged)
    while (localFault !== undefined || !Reachability.isSettled(judged.reachability)) {
      if (localFault !== undefined && ++faults === maxLocalFaults) {
        notProbed.push(host.name)
        problem = localFault
        return
      }
      yield* Effect.sleep(retryDelay)
      localFault = (yield* check(judged)).localFault
    }
    if (judged.reachability.verdict === "unreachable") unreachable.push(host)
    options?.onProgress?.(++settled)
  })

  yield* Effect.forEach(hosts, settleHost, { concurrency: "unbounded", discard: true })
  const [first, ...others] = notProbed
  if (first !== undefined) yield* new HostsNotProbed({ names: [first, ...others], problem })
  return unreachable
})
