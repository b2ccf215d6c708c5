/**
 * What a handler can say of its own failure.
 */
import { Cause, Data, type Duration } from "effect"
import { describe } from "./outage.ts"

/** The event is not to be tried again. */
export class GiveUp extends Data.TaggedError("GiveUp")<{ readonly cause: unknown }> {
  override get message(): string {
    return describe(Cause.fail(this.cause))
  }
}

/** The event is to be tried again after a pause of the handler's choosing. */
export class RetryAfter extends Data.TaggedError("RetryAfter")<{
  readonly delay: Duration.Duration
  readonly cause: unknown
}> {
  override get message(): string {
    return describe(Cause.fail(this.cause))
  }
}

/** The handler took longer than its time-out. */
export class TimedOut extends Data.TaggedError("TimedOut")<{ readonly millis: number }> {
  override get message(): string {
    return `The handler took longer than ${this.millis} ms`
  }
}

/** Its process died, or lost its lease, with the event in hand, in its last attempt. What it was, nobody has written down. */
export class EndedItsProcess extends Data.TaggedError("EndedItsProcess")<{}> {
  override get message(): string {
    return "The process died, or lost its lease, while it handled the event, in the last attempt"
  }
}

/** The event cannot be read by this version of the application. */
export class Undecodable extends Data.TaggedError("Undecodable")<{ readonly kind: string; readonly cause: unknown }> {
  override get message(): string {
    return `The event of kind "${this.kind}" does not decode: ${describe(Cause.fail(this.cause))}`
  }
}

/** A transactional handler's event was not marked: another process has the partition, or has moved it. */
export class Fenced extends Data.TaggedError("Fenced")<{}> {}

/** Some events of a batch were not handled, so that its transaction is rolled back. */
export class PartlyFailed extends Data.TaggedError("PartlyFailed")<{}> {}
