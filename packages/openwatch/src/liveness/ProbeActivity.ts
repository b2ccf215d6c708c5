/**
 * What the probes of this process do: how long they took, for metrics, and whether they go on, for `/ready`.
 */
import { Clock, Context, Duration, Effect, Layer, Metric, Result } from "effect"
import { Probe, type ProbeError } from "./Probe.ts"

/** What probes have been doing. */
export class ProbeActivity extends Context.Service<ProbeActivity, {
  /**
   * Why hosts are not judged now. `undefined` if they are. If no probe has ended for longer than `patience`, that is a
   * reason.
   */
  readonly problem: (patience: Duration.Duration) => Effect.Effect<string | undefined>
}>()("@openwatch/openwatch/liveness/ProbeActivity") {}

/** A fault of this machine is over once there was none for so long, in milliseconds. */
export const localFaultEndsAfter = 60_000

const millis = Effect.map(Clock.monotonicTimeNanos, (nanos) => Number(nanos) / 1e6)

const outcomes = ["answered", "failed", "void"] as const

const seconds = (outcome: (typeof outcomes)[number]) =>
  Metric.histogram("openwatch_probe_seconds", {
    description:
      "How long probes took: of hosts that answered, of those that did not, and void for a fault of this machine",
    attributes: { outcome },
    boundaries: [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10]
  })

/** Provides the same probe, and follows what it does. */
export const layer: Layer.Layer<Probe | ProbeActivity, never, Probe> = Layer.effectContext(Effect.gen(function*() {
  const { probe, resolve } = yield* Probe
  const durations = { answered: seconds("answered"), failed: seconds("failed"), void: seconds("void") }
  let endedAt = yield* millis
  let faultAt = -Infinity
  let fault = ""

  const isVoid = (error: ProbeError) => error.reason._tag === "LocalFault"
  const noteFault = (error: ProbeError) =>
    isVoid(error)
      ? Effect.map(millis, (now) => {
        faultAt = now
        fault = error.message
      })
      : Effect.void

  return Context.make(
    Probe,
    Probe.of({
      resolve: (name) => Effect.tapError(resolve(name), noteFault),
      probe: (target) =>
        Effect.gen(function*() {
          const [elapsed, result] = yield* Effect.timed(Effect.result(probe(target)))
          endedAt = yield* millis
          const outcome = Result.isSuccess(result) ? "answered" : isVoid(result.failure) ? "void" : "failed"
          yield* Metric.update(durations[outcome], Duration.toSeconds(elapsed))
          return yield* Effect.fromResult(result)
        }).pipe(Effect.tapError(noteFault))
    })
  ).pipe(Context.add(
    ProbeActivity,
    ProbeActivity.of({
      problem: (patience) =>
        Effect.map(millis, (now) => {
          if (now - faultAt < localFaultEndsAfter) return fault
          return now - endedAt > Duration.toMillis(patience)
            ? `no host was probed for ${Duration.format(Duration.minutes(Math.floor((now - endedAt) / 60_000)))}`
            : undefined
        })
    })
  ))
}))
