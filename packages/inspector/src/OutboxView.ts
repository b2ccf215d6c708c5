/**
 * What the inspector needs of an outbox. An `Outbox` of `@openwatch/event-bus-sql` has all of it. This package does not
 * depend on that one.
 */
import type { DateTime, Duration, Effect, Stream } from "effect"

/** The key of a dead letter. */
export interface OutboxLetterKey {
  readonly consumer: string
  readonly kind: string
  readonly id: string
}

/** What the inspector needs of an outbox. */
export interface OutboxView {
  /** Its name on the page and in the API. No two outboxes of an inspector have the same. */
  readonly name: string
  readonly consumers: Effect.Effect<
    ReadonlyArray<{
      readonly name: string
      readonly kinds: ReadonlyArray<string>
      readonly order: "all" | "key" | "none"
      readonly partitions: number
      readonly lag: { readonly events: number; readonly age: Duration.Duration }
      readonly retrying: number
      readonly held: number
      readonly dead: number
      readonly owners: Readonly<Record<string, number>>
      readonly lastSeenAt: DateTime.Utc
    }>,
    { readonly message: string }
  >
  readonly deadLetters: (options?: { readonly consumer?: string | undefined }) => Stream.Stream<
    OutboxLetterKey & {
      readonly json: string
      readonly cause: string
      readonly attempts: number
      readonly publishedAt: DateTime.Utc
      readonly diedAt: DateTime.Utc
    },
    { readonly message: string }
  >
  /** Returns how many of them there were. */
  readonly requeue: (letters: ReadonlyArray<OutboxLetterKey>) => Effect.Effect<number, { readonly message: string }>
  /** Returns how many of them there were. */
  readonly discard: (letters: ReadonlyArray<OutboxLetterKey>) => Effect.Effect<number, { readonly message: string }>
}
