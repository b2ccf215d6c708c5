import { type HeartbeatPulse, Host, hostIdFromName, Probe, SystemEventBus } from "@openwatch/openwatch"
import { Clock, DateTime, type Duration, Effect, Layer, Logger } from "effect"

export const host = (name: string): Host => new Host({ id: hostIdFromName(name), name, address: name, port: 22 })

/** What a scripted probe does: whether it answers, and after how long. */
export interface Step {
  readonly answers: boolean
  readonly after?: Duration.Input
  /** Why it does not; refused where nothing is said. */
  readonly reason?: Probe.Reason
}

export const up: Step = { answers: true }
export const down: Step = { answers: false }

/**
 * A probe that follows a script for each host, whose last step goes on for ever, and notes what it was asked.
 */
export const scripted = (script: (address: string) => ReadonlyArray<Step>) => {
  const startedAt = new Map<string, Array<number>>()
  const running = new Map<string, number>()
  const most = { ofOneHost: 0, atATime: 0 }
  let interrupted = 0
  const layer = Layer.succeed(Probe.Probe, {
    resolve: (name) => Effect.succeed([name]),
    probe: Effect.fnUntraced(function*({ addresses: [address = ""] }) {
      const times = startedAt.get(address) ?? []
      startedAt.set(address, times)
      const steps = script(address)
      const step = steps[Math.min(times.length, steps.length - 1)]!
      times.push(yield* Clock.currentTimeMillis)

      running.set(address, (running.get(address) ?? 0) + 1)
      most.ofOneHost = Math.max(most.ofOneHost, running.get(address)!)
      most.atATime = Math.max(most.atATime, [...running.values()].reduce((sum, count) => sum + count))
      yield* Effect.sleep(step.after ?? 0).pipe(
        Effect.onInterrupt(() => Effect.sync(() => interrupted++)),
        Effect.ensuring(Effect.sync(() => running.set(address, running.get(address)! - 1)))
      )
      if (!step.answers) return yield* new Probe.ProbeError({ reason: step.reason ?? new Probe.ConnectionRefused() })
      return { note: undefined }
    })
  })
  return {
    layer,
    most,
    startedAt: (address: string): ReadonlyArray<number> => startedAt.get(address) ?? [],
    probedHosts: () => startedAt.size,
    interrupted: () => interrupted
  }
}

/** What was logged at these levels, as messages. */
export const capturedLogs = () => {
  const messages: Array<string> = []
  const layer = Logger.layer([Logger.make(({ logLevel, message }) => {
    messages.push(`${logLevel} ${String(message)}`)
  })])
  return { messages, layer }
}

/** Forks it and lets it run until it waits for time: `TestClock` waits for what a sleep sets off, not for this. */
export const started = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
  Effect.forkChild(effect).pipe(Effect.tap(Effect.repeat(Effect.yieldNow, { times: 100 })))

export const subscribed = Effect.flatMap(
  SystemEventBus,
  (bus) => bus.subscribe({ kinds: ["HeartbeatPulse"], bufferSize: 100_000 })
)

/** Each pulse as the host's name, its verdict before and after, and the second in which it fell. */
export const summaries = (hosts: ReadonlyArray<Host>, pulses: ReadonlyArray<HeartbeatPulse>) =>
  pulses.map(({ hostId, occurredAt, priorReachable, reachable }) => ({
    host: hosts.find(({ id }) => id === hostId)?.name,
    change: [priorReachable, reachable],
    second: Math.floor(DateTime.toEpochMillis(occurredAt) / 1_000)
  }))

export const quiet = Logger.layer([])
