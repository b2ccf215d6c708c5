import type { Tracer } from "effect"
import type { AnyEvent } from "../EventBus.ts"

/** A stored event that was published inside a span. */
export class Traced {
  readonly event: AnyEvent
  readonly #span: Tracer.AnySpan

  constructor(event: AnyEvent, span: Tracer.AnySpan) {
    this.event = event
    this.#span = span
  }

  get span(): Tracer.AnySpan {
    return this.#span
  }

  /** Does not touch the event: `instanceof` asks a Proxy for its prototype, and a revoked one throws. */
  static is(stored: Stored): stored is Traced {
    return #span in stored
  }
}

/** What a bus stores: the event itself, unless there is a span to remember. */
export type Stored = AnyEvent | Traced

export const eventOf = (stored: Stored): AnyEvent => Traced.is(stored) ? stored.event : stored

/** A field of an event, or undefined where the event can no longer be read: a revoked Proxy, a getter that throws. */
export const readLate = <K extends keyof AnyEvent>(event: AnyEvent, field: K): AnyEvent[K] | undefined => {
  try {
    return event[field]
  } catch {
    return undefined
  }
}
