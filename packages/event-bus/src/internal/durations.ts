/**
 * How long handlers take, as a histogram metric: for those who ask for it, as it is written with every event.
 */
import { Clock, Context, Metric } from "effect"

/** In seconds: those that OpenTelemetry's semantic conventions give for `messaging.process.duration`. */
const boundaries = [0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10]

/** Begins to measure an event. The returned function is called when it has ended. */
export type Durations = () => () => void

export const makeDurations = (context: Context.Context<never>, bus: string, subscription: string): Durations => {
  const clock = Context.get(context, Clock.Clock)
  const histogram = Metric.histogram("event_bus_subscription_handler_duration_seconds", {
    description: "Time from the start of a handler until its event has ended, with all its attempts",
    attributes: { bus, subscription },
    boundaries
  })
  return () => {
    const start = clock.currentTimeNanosUnsafe()
    return () => histogram.updateUnsafe(Number(clock.currentTimeNanosUnsafe() - start) / 1e9, context)
  }
}
