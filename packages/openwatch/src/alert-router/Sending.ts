/**
 * Sending by one channel: one attempt, what a failure means, and what an operator is told of it.
 *
 * What fails is tried again with growing pauses, for a day by default. What a receiver refuses as wrong is given up at
 * once. Many alerts meet the same fault. So one line of the log says that a channel takes nothing, and one that it does
 * again.
 */
import { Cause, Duration, Effect, Random } from "effect"
import type { Told as Delivered } from "../alert-store/DeliveryStore.ts"
import { counted } from "../events/counted.ts"
import { ChannelError } from "./AlertChannel.ts"
import type { AlertChanged } from "./AlertOutbox.ts"
import { FailingChannels } from "./FailingChannels.ts"

/** For how long a channel is tried for one alert by default. */
export const defaultRetryFor: Duration.Duration = Duration.hours(24)

/** One attempt to send may take this long. */
export const sendTimeout = Duration.seconds(10)

const firstPause = 1_000
const longestPause = 600_000

/** The longest pause, even if a receiver asks for a longer one. */
const longestRetryAfter = Duration.hours(1)

/** What a channel is told. */
export type Told = Delivered | AlertChanged

/** What was not delivered by an attempt. */
export interface Failed {
  readonly failure: ChannelError
  /** What is given up. */
  readonly overdue: ReadonlyArray<Told>
  /** What is tried again. */
  readonly others: ReadonlyArray<Told>
  /** How many there were so far. */
  readonly attempts: number
}

/** How one channel sends. */
export interface Sending {
  /** Sends once. Returns why it has failed, if it has. */
  readonly attempt: (sending: () => Effect.Effect<void, ChannelError>) => Effect.Effect<ChannelError | undefined>
  /** Whether what is due since then is given up now that it has failed: in milliseconds since 1970. */
  readonly isOver: (failure: ChannelError, dueSince: number, now: number) => boolean
  /** To be called when something was delivered. Logs it, if nothing was before. */
  readonly succeeded: Effect.Effect<void>
  /** To be called with what was not delivered. Logs it. */
  readonly failed: (failed: Failed) => Effect.Effect<void>
}

/** The pause after so many attempts: doubling, a fifth more or less so that none keep step, and as long as was asked for. */
export const pauseAfter = (attempts: number, { retryAfter }: ChannelError): Effect.Effect<Duration.Duration> =>
  Effect.map(Random.nextBetween(0.8, 1.2), (factor) =>
    Duration.max(
      Duration.millis(Math.round(Math.min(firstPause * 2 ** Math.min(attempts - 1, 30), longestPause) * factor)),
      Duration.min(retryAfter ?? Duration.zero, longestRetryAfter)
    ))

const describe = (told: ReadonlyArray<Told>): string => {
  const [first, ...others] = told
  if (first === undefined || others.length > 0) return `${told.length} alerts are`
  const { id } = first.alert
  if (first._tag === "AlertChanged") return `That alert ${id} is ${first.to} is`
  return `${first._tag === "AlertRaised" ? "Alert" : "The end of alert"} ${id} is`
}

const they = ({ length }: ReadonlyArray<Told>): string => length === 1 ? "it is" : "they are"

/** Makes how a channel sends. Until the scope closes, `/ready` learns from it whether the channel works. */
export const make = Effect.fnUntraced(function*(
  name: string,
  { onFailure, retryFor }: { readonly retryFor: Duration.Duration; readonly onFailure: Effect.Effect<void> }
) {
  const failing = yield* FailingChannels
  yield* Effect.addFinalizer(() => Effect.sync(() => failing.delete(name)))

  const sending: Sending = {
    attempt: (send) =>
      Effect.suspend(send).pipe(
        Effect.timeoutOrElse({
          duration: sendTimeout,
          orElse: () =>
            Effect.fail(
              new ChannelError({ message: `no end after ${Duration.format(sendTimeout)}`, isRetryable: true })
            )
        }),
        Effect.catchDefect((defect) =>
          Effect.logError(`The channel "${name}" died`, Cause.die(defect)).pipe(
            Effect.andThen(Effect.fail(new ChannelError({ message: "the channel died", isRetryable: false })))
          )
        ),
        Effect.tapError(() => onFailure),
        Effect.match({ onFailure: (error) => error, onSuccess: () => undefined })
      ),

    isOver: ({ isRetryable }, dueSince, now) => !isRetryable || now - dueSince >= Duration.toMillis(retryFor),

    succeeded: Effect.suspend(() =>
      failing.delete(name) ? Effect.logInfo(`The channel "${name}" takes alerts again`) : Effect.void
    ),

    failed: Effect.fnUntraced(function*({ attempts, failure: { message }, others, overdue }) {
      const problem = (told: ReadonlyArray<Told>) => `${describe(told)} not delivered to "${name}": ${message}`
      if (overdue.length > 0) {
        const after = overdue.length === 1 ? ` after ${counted(attempts, "attempt")}` : ""
        yield* Effect.logError(`${problem(overdue)}; ${they(overdue)} given up${after}`)
      }
      if (others.length === 0) return
      const wasFailing = failing.has(name)
      failing.add(name)
      if (!wasFailing) {
        yield* Effect.logWarning(
          `${problem(others)}; ${they(others)} tried again for ${Duration.format(retryFor)}, ` +
            `and so is what comes after ${others.length === 1 ? "it" : "them"}`
        )
      }
    })
  }
  return sending
})
