/**
 * What must hold of a bus at any time.
 */
import type { EventBus, SubscriptionSnapshot } from "@openwatch/event-bus"
import { Effect } from "effect"
import { type Color, liveColors } from "./events.ts"
import { LawBroken, type Subscriber } from "./subscribers.ts"

/** A chunk of the log, in events: what a subscription may hold above twice its buffer. */
const chunk = 256

interface Sums {
  offered: number
  delivered: number
  dropped: number
}

/** Watches one bus. Between two calls of `check`, what was scheduled must have had its turns. */
export class Laws {
  published = 0
  private readonly bus: EventBus.EventBus<Color>
  /** What those came to who have left. */
  private readonly gone: Sums = { offered: 0, delivered: 0, dropped: 0 }
  /** Eager subscribers that had events pending at the last check, with what they had taken then. */
  private lagging = new Map<Subscriber, number>()

  constructor(bus: EventBus.EventBus<Color>) {
    this.bus = bus
  }

  /** Of one that has left: its counters are final, and count for the bus for ever. */
  readonly left = (subscriber: Subscriber): Effect.Effect<void> =>
    Effect.map(subscriber.snapshot, (snapshot) => {
      this.checkCounters(subscriber.name, snapshot)
      if (snapshot.state !== "closed" || snapshot.pending > 0) {
        throw new LawBroken(`${subscriber.name} has left, but is ${snapshot.state} with ${snapshot.pending} pending`)
      }
      add(this.gone, snapshot)
    })

  readonly check = (subscribers: Iterable<Subscriber>): Effect.Effect<void> =>
    Effect.gen({ self: this }, function*() {
      const sums = { ...this.gone }
      const lagging = new Map<Subscriber, number>()
      for (const subscriber of subscribers) {
        const snapshot = yield* subscriber.snapshot
        this.checkCounters(subscriber.name, snapshot)
        this.checkWaiting(subscriber, snapshot)
        if (subscriber.isEager && snapshot.pending > 0 && snapshot.running === 0) {
          lagging.set(subscriber, snapshot.taken)
        }
        add(sums, snapshot)
      }
      this.lagging = lagging
      const metrics = yield* this.bus.metrics
      expectEqual("events published", metrics.publishedCount, this.published)
      expectEqual("events delivered over all subscriptions", metrics.deliveredCount, sums.delivered)
      expectEqual("events dropped over all subscriptions", metrics.droppedCount, sums.dropped)
    })

  /** Nothing but buffers holds events: at most twice the buffer and a chunk for each subscription, and the replayed. */
  readonly checkHeld = (replayed: number): Effect.Effect<void> =>
    Effect.suspend(() => {
      // Counted first: asking for the subscriptions settles them.
      const live = liveColors()
      return Effect.map(this.bus.subscriptions, (snapshots) => {
        const most = snapshots.reduce((sum, { bufferSize }) => sum + 2 * bufferSize + chunk, replayed)
        if (live > most) throw new LawBroken(`${live} events are held, but buffers and log may hold ${most}`)
      })
    })

  private checkCounters(name: string, snapshot: SubscriptionSnapshot): void {
    const { bufferSize, delivered, discarded, dropped, offered, pending, taken } = snapshot
    if (offered !== delivered + dropped || delivered !== taken + pending + discarded || pending > bufferSize) {
      throw new LawBroken(`the counters of ${name} do not add up: ${JSON.stringify(snapshot)}`)
    }
  }

  private checkWaiting(subscriber: Subscriber, { pending, taken }: SubscriptionSnapshot): void {
    const seen = subscriber.seen()
    const isWaiting = subscriber.waits.length > 0 && subscriber.waits.every((count) => count > 0)
    if (seen > taken || (isWaiting && seen < taken)) {
      throw new LawBroken(`${subscriber.name} got ${seen} events, but its subscription counts ${taken} as taken`)
    }
    for (const count of subscriber.waits) {
      if (count > 0 && pending >= count) {
        throw new LawBroken(`${subscriber.name} was not woken: it waits for ${count}, and ${pending} are pending`)
      }
    }
    if (pending > 0 && this.lagging.get(subscriber) === taken) {
      throw new LawBroken(
        `${subscriber.name} was not woken: ${pending} are pending, and it took none since the last look`
      )
    }
  }
}

const add = (sums: Sums, { delivered, dropped, offered }: SubscriptionSnapshot): void => {
  sums.offered += offered
  sums.delivered += delivered
  sums.dropped += dropped
}

const expectEqual = (what: string, counted: number, expected: number): void => {
  if (counted !== expected) throw new LawBroken(`the bus counts ${counted} ${what}, but there were ${expected}`)
}
