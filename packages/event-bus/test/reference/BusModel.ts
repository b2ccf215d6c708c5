/**
 * What a bus is, in arrays: events are numbers, and everything is decided on the spot. A taker that waits is served in
 * the next turn.
 */
import type { EventBus, Overflow, SubscriptionSnapshot } from "@openwatch/event-bus"
import { type Event, isEven } from "./events.ts"

/** What has become of a take: it waits, it has failed with `Cause.Done`, or it has these events. */
export type Outcome = "waits" | "done" | ReadonlyArray<number>

/** A take that waits for `min` events and has at most `max`. */
export class TakeModel {
  outcome: Outcome = "waits"
  readonly min: number
  readonly max: number
  readonly events: Array<number> = []

  constructor(min: number, max: number) {
    this.min = min
    this.max = max
  }
}

export class SubscriptionModel {
  readonly waiting: Array<TakeModel> = []
  readonly bufferSize: number
  private readonly name: string
  private readonly kinds: ReadonlyArray<string>
  private readonly overflow: Overflow
  private readonly where: EventBus.Where<Event> | undefined
  private readonly pending: Array<number> = []
  private isOpen = true
  private offered = 0
  private dropped = 0
  private taken = 0
  private discarded = 0

  constructor(
    name: string,
    kinds: ReadonlyArray<string>,
    bufferSize: number,
    overflow: Overflow,
    where: EventBus.Where<Event> | undefined
  ) {
    this.where = where
    this.name = name
    this.kinds = kinds
    this.bufferSize = bufferSize
    this.overflow = overflow
  }

  get snapshot(): SubscriptionSnapshot {
    return {
      name: this.name,
      kinds: this.kinds,
      ...(this.where === undefined ? {} : { where: this.where }),
      bufferSize: this.bufferSize,
      overflow: this.overflow,
      state: this.isOpen ? "open" : this.isEnded ? "closed" : "draining",
      offered: this.offered,
      delivered: this.offered - this.dropped,
      dropped: this.dropped,
      taken: this.taken,
      pending: this.pending.length,
      discarded: this.discarded,
      running: 0,
      failures: 0
    }
  }

  receives(kind: string, event: number): boolean {
    const { isEven: evenness = isEven(event), n = event } = this.where ?? {}
    return this.isOpen && this.kinds.includes(kind) && n === event && evenness === isEven(event)
  }

  offer(event: number): void {
    this.offered++
    this.pending.push(event)
    if (this.pending.length <= this.bufferSize) return
    this.dropped++
    if (this.overflow === "sliding") this.pending.shift()
    else this.pending.pop()
  }

  take(min: number, max: number): TakeModel {
    const take = new TakeModel(min, max)
    if (max < min) take.outcome = []
    else if (this.isEnded) take.outcome = "done"
    else {
      this.waiting.push(take)
      if (this.waiting.length === 1) this.turn()
    }
    return take
  }

  takeUpTo(max: number): Outcome {
    if (this.isEnded) return "done"
    return this.isOpen && this.waiting.length > 0 ? [] : this.shift(max)
  }

  turn(): void {
    for (let take = this.waiting[0]; take !== undefined; take = this.waiting[0]) {
      const missing = take.min - take.events.length
      // What is larger than the buffer is taken a buffer at a time.
      if (this.isOpen && this.pending.length < Math.min(missing, this.bufferSize)) return
      take.events.push(...this.shift(take.max - take.events.length))
      if (take.events.length < take.min && !this.isEnded) continue
      take.outcome = take.events.length > 0 ? take.events : "done"
      this.waiting.shift()
    }
  }

  closeIntake(): void {
    this.isOpen = false
  }

  close(): void {
    this.isOpen = false
    this.discarded += this.pending.length
    this.pending.length = 0
  }

  private get isEnded(): boolean {
    return !this.isOpen && this.pending.length === 0
  }

  private shift(count: number): ReadonlyArray<number> {
    const events = this.pending.splice(0, count)
    this.taken += events.length
    return events
  }
}

export class BusModel {
  isShutdown = false
  readonly subscriptions: Array<SubscriptionModel> = []
  private readonly publishedByKind: Record<string, number>
  private noSubscribersCount = 0

  constructor(kinds: ReadonlyArray<string>) {
    this.publishedByKind = Object.fromEntries(kinds.map((kind) => [kind, 0]))
  }

  get metrics(): EventBus.Metrics {
    const sum = (counter: "delivered" | "dropped") =>
      this.subscriptions.reduce((sum, { snapshot }) => sum + snapshot[counter], 0)
    return {
      publishedCount: Object.values(this.publishedByKind).reduce((sum, count) => sum + count, 0),
      deliveredCount: sum("delivered"),
      droppedCount: sum("dropped"),
      noSubscribersCount: this.noSubscribersCount,
      publishedByKind: this.publishedByKind
    }
  }

  publish(kind: string, event: number): void {
    if (this.isShutdown) return
    this.publishedByKind[kind]!++
    const receivers = this.subscriptions.filter((subscription) => subscription.receives(kind, event))
    if (receivers.length === 0) this.noSubscribersCount++
    for (const receiver of receivers) receiver.offer(event)
  }

  subscribe(
    name: string,
    kinds: ReadonlyArray<string>,
    bufferSize: number,
    overflow: Overflow,
    where: EventBus.Where<Event> | undefined
  ): SubscriptionModel {
    const subscription = new SubscriptionModel(name, kinds, bufferSize, overflow, where)
    if (this.isShutdown) subscription.close()
    this.subscriptions.push(subscription)
    return subscription
  }

  turn(): void {
    for (const subscription of this.subscriptions) subscription.turn()
  }

  shutdown(): void {
    this.isShutdown = true
    for (const subscription of this.subscriptions) subscription.closeIntake()
  }
}
