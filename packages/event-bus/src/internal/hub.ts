/**
 * The hub: an Effect `PubSub` whose storage is the lanes, and whose takers are woken by the scheduler.
 *
 * `PubSub.make` takes a storage (`Atomic`) and a way to wake takers (`Strategy`) of one's own. The bus has one such `PubSub`, and
 * publishes and shuts down through it. `Atomic.subscribe` takes no options, so whoever subscribes with Effect's own functions
 * does it through a *view*: a second `PubSub` over the same storage, for some kinds, with a buffer size and a policy.
 */
import { Effect, type Latch, MutableRef, Option, PubSub } from "effect"
import type { AnyEvent } from "../EventBus.ts"
import { Backing, type Ended, noReplayWindow, type Pollers, type Readable } from "./backing.ts"

type Atomic = PubSub.PubSub.Atomic<AnyEvent>

/** What becomes of what is published. */
export interface Accepting {
  /** Returns false once the bus is shut down. Throws where the event is not one of these. */
  readonly accept: (event: AnyEvent) => boolean
  /** Accepts all of them or, where it throws, none. */
  readonly acceptAll: (events: Iterable<AnyEvent>) => boolean
}

/** What becomes of what is published on a `PubSub`, and who subscribes to it. */
export interface Intake extends Accepting {
  readonly capacity: number
  readonly subscribe: () => Readable
}

class LaneAtomic implements Atomic {
  readonly capacity: number
  readonly publish: (event: AnyEvent) => boolean
  private readonly intake: Intake
  private readonly ended: Ended
  private readonly subscriptions = new Set<Backing>()

  constructor(intake: Intake, ended: Ended) {
    this.intake = intake
    this.ended = ended
    this.capacity = intake.capacity
    this.publish = intake.accept
  }

  isEmpty(): boolean {
    return this.size() === 0
  }

  isFull(): boolean {
    return this.size() === this.capacity
  }

  /** What the subscription that is furthest behind has pending. */
  size(): number {
    let size = 0
    for (const subscription of this.subscriptions) size = Math.max(size, subscription.size())
    return size
  }

  publishAll(events: Iterable<AnyEvent>): Array<AnyEvent> {
    return this.intake.acceptAll(events) ? [] : Array.from(events)
  }

  /** Each subscription makes room in its own buffer. */
  slide(): void {}

  subscribe(): Backing {
    const backing = new Backing(this.intake.subscribe(), this.ended, (closed) => this.subscriptions.delete(closed))
    this.subscriptions.add(backing)
    if (Option.isSome(this.ended.current)) backing.end()
    return backing
  }

  replayWindow(): PubSub.PubSub.ReplayWindow<AnyEvent> {
    return noReplayWindow
  }

  /** `PubSub.end` was called. */
  end(): void {
    for (const subscription of this.subscriptions) subscription.end()
  }
}

/** Completes nobody inside `publish`: the lanes know who waits, and schedule it. Nobody waits to publish. */
class Scheduling implements PubSub.PubSub.Strategy<AnyEvent> {
  readonly shutdown: Effect.Effect<void>

  constructor(shutdown: Effect.Effect<void>) {
    this.shutdown = shutdown
  }

  /** Refused is only what comes after the bus is shut down. */
  handleSurplus(): Effect.Effect<boolean> {
    return Effect.succeed(false)
  }

  onPubSubEmptySpaceUnsafe(): void {}

  completePollersUnsafe(
    _: Atomic,
    subscribers: PubSub.PubSub.Subscribers<AnyEvent>,
    subscription: PubSub.PubSub.BackingSubscription<AnyEvent>,
    pollers: Pollers
  ): void {
    // `PubSub.end` completes at once whom it finds there, even where events are pending.
    subscribers.delete(subscription)
    ;(subscription as Backing).await(pollers)
  }

  completeSubscribersUnsafe(): void {}
}

const makePubSub = (atomic: Atomic, shutdown: Effect.Effect<void>): PubSub.PubSub<AnyEvent> =>
  Effect.runSync(PubSub.make({ atomicPubSub: () => atomic, strategy: () => new Scheduling(shutdown) }))

/** The `PubSub` that a bus publishes through. `shutdown` closes the intakes of its subscriptions. */
export const makeHub = (intake: Intake, shutdown: Effect.Effect<void>): PubSub.PubSub<AnyEvent> =>
  makePubSub(new LaneAtomic(intake, MutableRef.make(Option.none())), shutdown)

/** A `PubSub` over the storage of a bus, to be subscribed to. It is shut down by itself, or with the bus. */
export const makeView = (intake: Intake, busShutdown: Effect.Effect<void>): PubSub.PubSub<AnyEvent> => {
  const ended = makeEnded(() => atomic.end())
  const atomic = new LaneAtomic(intake, ended)
  const pubsub = makePubSub(atomic, Effect.void)
  const either = Effect.raceFirst(pubsub.shutdownHook.await, busShutdown)
  const shutdownHook: Latch.Latch = Object.create(pubsub.shutdownHook, { await: { value: either } })
  // Not for the hub, where each publish would read it: that costs as much as the rest of a publish.
  return Object.assign(pubsub, { ended, shutdownHook })
}

/** `PubSub.end` tells only those who wait in `subscribers`, where nobody is: it is noticed where it leaves its mark. */
const makeEnded = (onEnd: () => void): Ended => {
  let current = Option.none<AnyEvent>()
  return Object.defineProperty(MutableRef.make(current), "current", {
    get: () => current,
    set: (ended) => {
      current = ended
      onEnd()
    }
  })
}
