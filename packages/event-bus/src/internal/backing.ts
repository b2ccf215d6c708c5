/**
 * A subscription of the bus as Effect's `PubSub` sees it.
 *
 * The takes of `PubSub` (`take`, `takeAll`, `takeUpTo`, `Stream.fromSubscription`) read a `BackingSubscription`, and queue up
 * in a list of their own where it is empty. Here the backing subscription is the cursor that the bus's own takes read. Each of
 * its takers waits in the cursor's queue as well, so that all takers stand in one line.
 */
import { Deferred, Effect, Latch, MutableList, MutableRef, Option, Pipeable, type PubSub } from "effect"
import type { AnyEvent } from "../EventBus.ts"
import { type Cursor, Empty, type Waiter } from "./storage.ts"
import type { Stored } from "./traced.ts"

/** Takers of `PubSub` that wait. */
export type Pollers = MutableList.MutableList<Deferred.Deferred<AnyEvent>>

/** The event that `PubSub.end` was called with. */
export type Ended = MutableRef.MutableRef<Option.Option<AnyEvent>>

/** Replayed events are in the buffer, with the others. */
export const noReplayWindow: PubSub.PubSub.ReplayWindow<never> = {
  remaining: 0,
  take: () => undefined,
  takeN: () => [],
  takeAll: () => [],
  close: () => {}
}

/** What a `Backing` reads: a subscription of the bus. */
export interface Readable {
  readonly cursor: Cursor<Stored>
  readonly poll: () => AnyEvent | Empty
  /** `poll`, after which `finish` must be called. */
  readonly pollUnfinished: () => AnyEvent | Empty
  readonly pollUpTo: (n: number) => Array<AnyEvent>
  readonly closeUnsafe: () => void
  readonly drainUnsafe: () => void
  readonly finish: () => void
}

/** The cursor of a subscription, and what waits in its queue for takers of `PubSub`. */
export class Backing implements PubSub.PubSub.BackingSubscription<AnyEvent>, Waiter {
  readonly count = 1
  private readonly subscription: Readable
  private readonly ended: Ended
  private readonly onClosed: ((self: Backing) => void) | undefined
  private pollers: Pollers | undefined = undefined
  /** How often it waits in the cursor's queue: once for each taker, also for those that were interrupted. */
  private waiting = 0

  constructor(subscription: Readable, ended: Ended, onClosed?: (self: Backing) => void) {
    this.subscription = subscription
    this.ended = ended
    this.onClosed = onClosed
  }

  isEmpty(): boolean {
    return this.size() === 0
  }

  size(): number {
    return this.subscription.cursor.pending
  }

  poll(): AnyEvent | Empty {
    return this.isBehindOthers() ? Empty : this.subscription.poll()
  }

  pollUpTo(n: number): Array<AnyEvent> {
    return this.isBehindOthers() ? [] : this.subscription.pollUpTo(n)
  }

  unsubscribe(): void {
    this.subscription.closeUnsafe()
    this.onClosed?.(this)
  }

  /** `PubSub.end` was called: what is pending can still be taken, then comes the final event. */
  end(): void {
    this.subscription.drainUnsafe()
  }

  /** Called when `PubSub` has added a taker to these. */
  await(pollers: Pollers): void {
    this.pollers = pollers
    this.waiting++
    this.subscription.cursor.wait(this)
  }

  /** Completes the first taker. */
  run(): void {
    this.waiting--
    const poller = MutableList.take(this.pollers!)
    if (poller === Empty) return
    const event = this.subscription.pollUnfinished()
    if (event === Empty) {
      const { current } = this.ended
      Deferred.doneUnsafe(poller, Option.isSome(current) ? Effect.succeed(current.value) : Effect.interrupt)
    } else {
      Deferred.doneUnsafe(poller, Effect.succeed(event))
      // Not before: `PubSub.takeAll` looks for more first, and forgets this one if there is an end instead.
      this.subscription.finish()
    }
  }

  /** Takers of `PubSub` that are interrupted leave its list and tell nobody. */
  forgetInterrupted(): void {
    for (; this.waiting > 0 && this.waiting > this.pollers!.length; this.waiting--) {
      this.subscription.cursor.cancel(this)
    }
  }

  private isBehindOthers(): boolean {
    this.forgetInterrupted()
    const { cursor } = this.subscription
    return cursor.isOpen && cursor.isAwaited
  }
}

/** A subscription of the bus ends when its own buffer is empty, not with its `PubSub`: see `Backing.run`. */
const notEnded: Ended = MutableRef.make(Option.none())

const variance = { _A: (event: any) => event }

/** What only the takes of `PubSub` need. */
type Takes = Pick<PubSub.Subscription<AnyEvent>, "pollers" | "shutdownHook" | "shutdownFlag"> & {
  readonly subscription: Backing
}

/** What makes a subscription of the bus a `PubSub.Subscription`. What its takes need is made when they first ask for it. */
export abstract class PubSubSubscription implements PubSub.Subscription<AnyEvent>, Readable {
  abstract readonly cursor: Cursor<Stored>
  protected abstract readonly host: {
    readonly hub: PubSub.PubSub<AnyEvent>
    readonly schedule: (task: () => void) => void
  }
  private own: Takes | undefined = undefined

  abstract poll(): AnyEvent | Empty
  abstract pollUnfinished(): AnyEvent | Empty
  abstract pollUpTo(n: number): Array<AnyEvent>
  abstract closeUnsafe(): void
  abstract drainUnsafe(): void
  abstract finish(): void

  get "~effect/PubSub/Subscription"() {
    return variance
  }

  get pubsub() {
    return this.host.hub.pubsub
  }

  get subscribers() {
    return this.host.hub.subscribers
  }

  get strategy() {
    return this.host.hub.strategy
  }

  get replayWindow() {
    return noReplayWindow
  }

  get ended() {
    return notEnded
  }

  get subscription() {
    return this.takes.subscription
  }

  get pollers() {
    return this.takes.pollers
  }

  get shutdownHook() {
    return this.takes.shutdownHook
  }

  get shutdownFlag() {
    return this.takes.shutdownFlag
  }

  pipe(): any {
    return Pipeable.pipeArguments(this, arguments)
  }

  /** Somebody waits already. */
  protected get isAwaited(): boolean {
    this.own?.subscription.forgetInterrupted()
    return this.cursor.isAwaited
  }

  /** From now on the takes of `PubSub` are interrupted, as those of a `PubSub` that is shut down. */
  protected endTakes(): void {
    if (this.own === undefined) return
    const { shutdownFlag, shutdownHook } = this.own
    MutableRef.set(shutdownFlag, true)
    this.host.schedule(() => shutdownHook.openUnsafe())
  }

  private get takes(): Takes {
    const { isEnded } = this.cursor
    return this.own ??= {
      subscription: new Backing(this, notEnded),
      pollers: MutableList.make(),
      shutdownHook: Latch.makeUnsafe(isEnded),
      shutdownFlag: MutableRef.make(isEnded)
    }
  }
}
