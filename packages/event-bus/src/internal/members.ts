/**
 * The subscriptions that were made on one bus, or on one view of it: their sums, their rest, and their end.
 */
import { Effect } from "effect"
import type { SubscriptionImpl } from "./subscription.ts"
import { currentWorker } from "./supervision.ts"

/** What is summed over all subscriptions that ever were. */
export type Summed = "delivered" | "discarded" | "dropped" | "failures" | "pending"

export class Members {
  readonly open = new Set<SubscriptionImpl>()
  /** Those that only look on: in no sum and no list. */
  private readonly observers = new Set<SubscriptionImpl>()
  private readonly idleChecks = new Set<() => void>()
  private readonly closed: Record<Summed, number> = {
    delivered: 0,
    discarded: 0,
    dropped: 0,
    failures: 0,
    pending: 0
  }
  private readonly schedule: (task: () => void) => void
  /** Of a view: those of the bus, or view, that it is a part of. What is made here belongs to them too. */
  private readonly wider: Members | undefined

  constructor(schedule: (task: () => void) => void, wider?: Members) {
    this.schedule = schedule
    this.wider = wider
  }

  add(subscription: SubscriptionImpl): void {
    this.wider?.add(subscription)
    const to = subscription.isObserver ? this.observers : this.open
    to.add(subscription)
  }

  /** All that ends with the bus, or with the view. */
  get all(): Array<SubscriptionImpl> {
    return [...this.open, ...this.observers]
  }

  /** Its counters will not change any more. */
  onClosed(subscription: SubscriptionImpl): void {
    this.wider?.onClosed(subscription)
    if (this.observers.delete(subscription)) return
    this.open.delete(subscription)
    for (const counter of Object.keys(this.closed) as Array<Summed>) this.closed[counter] += read(subscription, counter)
  }

  sum(counter: Summed): number {
    let sum = this.closed[counter]
    for (const subscription of this.open) sum += read(subscription, counter)
    return sum
  }

  /** Closes what `on` and `consume` have left, as by their own scopes, side by side, and waits for it. */
  readonly release: Effect.Effect<void> = Effect.suspend(() => {
    // All begin before the first is waited for. In one fiber: that of a handler, perhaps, which ends the waits when it is
    // interrupted.
    const waits = this.all.map(({ supervision }) => supervision?.releaseUnsafe() ?? Effect.void)
    return Effect.forEach(waits, Effect.exit, { discard: true })
  })

  /** Completes when no subscriber code has anything to do, and no taker waits for an event that is there. */
  readonly awaitIdle: Effect.Effect<void> = Effect.callback((resume) => {
    const current = currentWorker()
    if (current !== undefined) current.idleWaits++
    let isWanted = true
    const check = (): void => {
      if (!isWanted) return
      let isIdle = true
      for (const subscription of this.open) {
        const { cursor, supervision } = subscription
        if (supervision === undefined) {
          // A taker that waits for what is there: its wake-up is scheduled.
          if (cursor.isWakeDue) isIdle = false
        } else if (supervision !== current?.supervision && supervision.isBusy(current !== undefined)) {
          this.idleChecks.add(check)
          return
        }
      }
      if (!isIdle) return this.schedule(check)
      end()
      resume(Effect.void)
    }
    const end = (): void => {
      isWanted = false
      this.idleChecks.delete(check)
      if (current !== undefined) current.idleWaits--
    }
    check()
    // A handler that waits is idle for those who wait already.
    if (current !== undefined) this.onIdle()
    return Effect.sync(() => {
      if (isWanted) end()
    })
  })

  /** Some subscriber code has found nothing to do. */
  onIdle(): void {
    this.wider?.onIdle()
    if (this.idleChecks.size === 0) return
    this.idleChecks.forEach(this.schedule)
    this.idleChecks.clear()
  }
}

const read = ({ cursor, supervision }: SubscriptionImpl, counter: Summed): number =>
  counter === "failures" ? supervision?.failures ?? 0 : cursor[counter]
