/**
 * The outboxes that an inspector shows. However many pages are open, each database is asked at most once in two
 * seconds.
 */
import { DateTime, Duration, Effect, Stream } from "effect"
import { type DeadLetterState, OutboxNotFound, type OutboxState, OutboxUnavailable } from "../InspectorApi.ts"
import type { OutboxLetterKey, OutboxView } from "../OutboxView.ts"

/** How long what was read is good for others who ask. */
const goodFor = "2 seconds"

/** How long a database may take. */
const patience = "4 seconds"

/** How many dead letters are listed. */
export const lettersAtMost = 100

/** How many dead letters are requeued or discarded by one statement. */
const changedAtOnce = 100

/** How much of an event or a cause is listed, in characters. */
const textAtMost = 10_000

const cut = (text: string): string => text.length <= textAtMost ? text : `${text.slice(0, textAtMost)}…`

/** Which dead letters are meant: one, or all of a consumer that had died at a time. */
export interface Choice {
  readonly outbox: string
  readonly consumer: string
  readonly letter: { readonly kind: string; readonly id: string } | undefined
  readonly diedUntil: DateTime.Utc
}

export interface Outboxes {
  readonly states: Effect.Effect<ReadonlyArray<typeof OutboxState.Type>>
  readonly deadLetters: (
    outbox: string,
    consumer: string | undefined
  ) => Effect.Effect<
    { readonly at: DateTime.Utc; readonly letters: ReadonlyArray<typeof DeadLetterState.Type> },
    OutboxNotFound | OutboxUnavailable
  >
  readonly change: (
    what: "requeue" | "discard",
    choice: Choice
  ) => Effect.Effect<number, OutboxNotFound | OutboxUnavailable>
}

export const make = Effect.fnUntraced(function*(views: ReadonlyArray<OutboxView>): Effect.fn.Return<Outboxes> {
  const shown = new Map<
    string,
    readonly [view: OutboxView, state: Effect.Effect<typeof OutboxState.Type>, isStale: Effect.Effect<void>]
  >()
  for (const view of views) {
    const read = Effect.gen(function*() {
      const { consumers, problem } = yield* view.consumers.pipe(
        Effect.map((consumers) => ({ consumers, problem: null })),
        Effect.timeoutOrElse({
          duration: patience,
          orElse: () => Effect.fail({ message: `The database does not respond within ${patience}` })
        }),
        Effect.catch(({ message }) => Effect.succeed({ consumers: [], problem: message }))
      )
      return {
        name: view.name,
        at: yield* DateTime.now,
        problem,
        consumers: consumers.map((
          { dead, held, kinds, lag, lastSeenAt, name, order, owners, partitions, retrying }
        ) => ({
          name,
          kinds,
          order,
          partitions,
          lag: { events: lag.events, seconds: Duration.toSeconds(lag.age) },
          retrying,
          held,
          dead,
          owners,
          lastSeenAt
        }))
      }
    })
    const [state, isStale] = yield* Effect.cachedInvalidateWithTTL(read, goodFor)
    shown.set(view.name, [view, state, isStale])
  }

  const find = (name: string) => {
    const found = shown.get(name)
    return found === undefined
      ? Effect.fail(new OutboxNotFound({ message: `No outbox has the name ${JSON.stringify(name)}` }))
      : Effect.succeed(found)
  }

  const unavailable = ({ message }: { readonly message: string }) => new OutboxUnavailable({ message })

  return {
    states: Effect.forEach(Array.from(shown.values()), ([, state]) => state, { concurrency: "unbounded" }),
    deadLetters: Effect.fnUntraced(function*(outbox, consumer) {
      const [view] = yield* find(outbox)
      const at = yield* DateTime.now
      const letters = yield* view.deadLetters({ consumer }).pipe(
        Stream.take(lettersAtMost),
        Stream.runCollect,
        Effect.mapError(unavailable),
        Effect.timeoutOrElse({
          duration: patience,
          orElse: () => Effect.fail(unavailable({ message: `The database does not respond within ${patience}` }))
        })
      )
      return {
        at,
        letters: letters.map(({ attempts, cause, consumer, diedAt, id, json, kind, publishedAt }) => ({
          consumer,
          kind,
          id,
          json: cut(json),
          cause: cut(cause),
          attempts,
          publishedAt,
          diedAt
        }))
      }
    }),
    change: Effect.fnUntraced(function*(what, { consumer, diedUntil, letter, outbox }) {
      const [view, , isStale] = yield* find(outbox)
      const change = (letters: ReadonlyArray<OutboxLetterKey>) => view[what](letters)
      const until = DateTime.toEpochMillis(diedUntil)
      const changing = letter === undefined
        ? view.deadLetters({ consumer }).pipe(
          // What died since then has been seen by nobody.
          Stream.filter(({ diedAt }) => DateTime.toEpochMillis(diedAt) <= until),
          Stream.grouped(changedAtOnce),
          Stream.mapEffect(change),
          Stream.runFold(() => 0, (sum, count) => sum + count)
        )
        : change([{ consumer, ...letter }])
      const count = yield* Effect.mapError(changing, unavailable)
      yield* isStale
      yield* Effect.logInfo(
        `${count} dead letters of ${consumer} were ${what === "requeue" ? "requeued" : "discarded"}`,
        { outbox }
      )
      return count
    })
  }
})
