/**
 * For channels that people read: all that comes within a while is one message.
 *
 * The first alert waits for others for a short time. Later ones wait until the next message is due. What waits is in
 * the store. So a restart sends it. If a message cannot be sent, it is tried again together with what has come since.
 */
import { Outage, type Outbox } from "@openwatch/event-bus-sql"
import { Cause, Clock, Deferred, Duration, Effect, Latch } from "effect"
import { DeliveryStore, type Gathered, type Told } from "../alert-store/DeliveryStore.ts"
import type { ChannelError, Grouping } from "./AlertChannel.ts"
import { AlertOutbox } from "./AlertOutbox.ts"
import { pauseAfter, type Sending } from "./Sending.ts"
import { holds } from "./Suppression.ts"

/** How long it pauses after a defect, which is no failure of the channel. */
const afterFault = "1 minute"

/** The groups of one channel. */
export interface Groups {
  /** Makes what is told wait for its message. */
  readonly add: (told: Told) => Effect.Effect<void>
  /** Sends what waits now, and completes when it is sent or has failed. Nothing waits for others from then on. */
  readonly settle: Effect.Effect<void>
}

/** Sends until the scope closes. */
export const make = Effect.fnUntraced(function*(
  channel: string,
  grouping: Grouping,
  { attempt, failed, isOver, succeeded }: Sending
) {
  const store = yield* DeliveryStore
  const outbox = yield* AlertOutbox
  const [wait, interval] = [Duration.toMillis(grouping.wait), Duration.toMillis(grouping.interval)]
  const changed = yield* Latch.make(false)
  const stopping = yield* Deferred.make<void>()
  const settled = yield* Deferred.make<void>()
  let lastSentAt: number | undefined = undefined
  let failures = 0

  const gathered = Outage.untilItPasses(store.gathered(channel))

  /** How long the first of these has still to wait. If somebody has set the clock back, no longer than usual. */
  const pauseFor = ([first]: ReadonlyArray<Gathered>, now: number): number => {
    const sinceFirst = Math.max(0, now - first!.gatheredAt)
    const sinceLast = lastSentAt === undefined ? Infinity : Math.max(0, now - lastSentAt)
    return Math.max(0, wait - sinceFirst, interval - sinceLast)
  }

  const giveUp = Effect.fnUntraced(function*(overdue: ReadonlyArray<Told>, { message }: ChannelError) {
    if (overdue.length === 0) return
    // The consumer has let them pass. Told again, they are its dead letters: on the page, and to be sent again from there.
    const letters = outbox.publishAll(overdue)
    yield* Outage.untilItPasses(
      store.recordAttempt(overdue, channel, { state: "given_up", lastError: message }, letters)
    )
  })

  /**
   * Sends what waits as one message. Where the receiver takes that for wrong, each half is sent by itself, down to the alerts
   * that are the reason: the others are not lost with them. Returns how long to wait until the rest is tried again, if any is left.
   */
  const send = Effect.fnUntraced(function*(
    waiting: ReadonlyArray<Gathered>
  ): Effect.fn.Return<Duration.Duration | undefined, Outbox.OutboxError, DeliveryStore> {
    const all = waiting.map(({ told }) => told)
    const failure = yield* attempt(() => grouping.send(all))
    if (failure === undefined) {
      yield* Outage.untilItPasses(store.recordAttempt(all, channel, { state: "delivered" }))
      lastSentAt = yield* Clock.currentTimeMillis
      failures = 0
      yield* succeeded
      return undefined
    }
    if (!failure.isRetryable && waiting.length > 1) {
      const half = Math.ceil(waiting.length / 2)
      return (yield* send(waiting.slice(0, half))) ?? (yield* send(waiting.slice(half)))
    }
    failures++
    const now = yield* Clock.currentTimeMillis
    const overdue: Array<Told> = []
    const others: Array<Told> = []
    for (const { dueSince, told } of waiting) {
      if (isOver(failure, dueSince, now)) overdue.push(told)
      else others.push(told)
    }
    if (others.length > 0) {
      yield* Outage.untilItPasses(
        store.recordAttempt(others, channel, { state: "pending", lastError: failure.message })
      )
    }
    yield* giveUp(overdue, failure)
    yield* failed({ failure, overdue, others, attempts: failures })
    return others.length === 0 ? undefined : yield* pauseAfter(failures, failure)
  })

  const unlessStopping = (millis: Duration.Input) => Effect.raceFirst(Effect.sleep(millis), Deferred.await(stopping))

  /** Sends one message, once it is time. Returns whether there may be another. */
  const turn = Effect.gen(function*() {
    yield* Latch.close(changed)
    const first = yield* gathered
    if (first.length === 0) {
      if (Deferred.isDoneUnsafe(stopping)) return false
      yield* Effect.raceFirst(changed.await, Deferred.await(stopping))
      return true
    }
    lastSentAt ??= yield* Outage.untilItPasses(store.lastDeliveredAt(channel))
    const pause = pauseFor(first, yield* Clock.currentTimeMillis)
    if (pause > 0) yield* unlessStopping(pause)
    // What was silenced meanwhile is held back now.
    const waiting = yield* Effect.filter(
      yield* gathered,
      ({ told }) => Effect.map(Outage.untilItPasses(holds(told, channel)), (isHeld) => !isHeld)
    )
    const afterFailure = waiting.length === 0 ? undefined : yield* send(waiting)
    if (afterFailure === undefined) return true
    if (Deferred.isDoneUnsafe(stopping)) return false
    yield* unlessStopping(afterFailure)
    return true
  })

  const work = turn.pipe(
    Effect.catchCause((cause) =>
      Cause.hasInterrupts(cause)
        ? Effect.failCause(cause)
        : Effect.logError(`What is to be sent to "${channel}" cannot be sent`, cause).pipe(
          Effect.andThen(unlessStopping(afterFault)),
          Effect.map(() => !Deferred.isDoneUnsafe(stopping))
        )
    ),
    Effect.repeat({ while: (goesOn) => goesOn })
  )
  yield* work.pipe(Effect.ensuring(Deferred.succeed(settled, undefined)), Effect.forkScoped)

  const groups: Groups = {
    add: (told) => Effect.andThen(Outage.untilItPasses(store.gather(told, channel)), Latch.open(changed)),
    settle: Effect.andThen(Deferred.succeed(stopping, undefined), Deferred.await(settled))
  }
  return groups
})
