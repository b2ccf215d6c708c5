/**
 * The span of a handler, after OpenTelemetry's semantic conventions for messaging: https://opentelemetry.io/docs/specs/semconv/messaging/messaging-spans/
 */
import { Cause, Effect, Option, Predicate, type Tracer } from "effect"

/** A kind of events is the destination, a bus what conventions call a broker. */
export const processSpan = <A, E, R>(
  handling: Effect.Effect<A, E, R>,
  kind: string,
  bus: string,
  subscription: string,
  publisher: Tracer.AnySpan
): Effect.Effect<A, E, R> =>
  Effect.withSpan(Effect.tapCause(handling, annotateError), `process ${kind}`, {
    // Nobody asked for the event: it came, and no span of its own says that it was received.
    kind: "consumer",
    links: [{ span: publisher, attributes: {} }],
    attributes: {
      "messaging.system": "event_bus",
      "messaging.operation.name": "process",
      "messaging.operation.type": "process",
      "messaging.destination.name": kind,
      "messaging.destination.subscription.name": subscription,
      "event_bus.name": bus
    }
  })

const annotateError = (cause: Cause.Cause<unknown>): Effect.Effect<void> =>
  Cause.hasInterruptsOnly(cause) ? Effect.void : Effect.annotateCurrentSpan("error.type", errorType(cause))

/** What the convention asks for: predictable, and one of few. `_OTHER` is its word for what has no name. */
const errorType = (cause: Cause.Cause<unknown>): string => {
  try {
    const error = Option.getOrElse(Cause.findErrorOption(cause), () => Cause.squash(cause))
    if (Predicate.hasProperty(error, "_tag") && typeof error._tag === "string") return error._tag
    if (error instanceof Error) return error.name
  } catch {
    // What was thrown cannot be read.
  }
  return "_OTHER"
}
