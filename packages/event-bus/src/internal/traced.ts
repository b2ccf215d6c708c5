import type { Tracer } from "effect"
import type { AnyEvent } from "../EventBus.ts"

/** A stored event that was published inside a span. */
export class Traced {
  readonly event: AnyEvent
  readonly span: Tracer.AnySpan

  constructor(event: AnyEvent, span: Tracer.AnySpan) {
    this.event = event
    this.span = span
  }
}

/** What a bus stores: the event itself, unless there is a span to remember. */
export type Stored = AnyEvent | Traced

export const eventOf = (stored: Stored): AnyEvent => stored instanceof Traced ? stored.event : stored
