/**
 * The storage that one would write first: a stock `PubSub` for each subscription, of its buffer size and with its overflow
 * policy, and counters beside it. Publishing offers the event to one subscription after the other, and decides at once
 * what becomes of it. It has the operations of `internal/storage.ts`, which has to do the same, only faster.
 */
import { Effect, Exit, Option, PubSub, Scope } from "effect"
import { type CursorOptions, Empty, type Lost } from "../../src/internal/storage.ts"

/** The buffer of one subscription, with its counters. */
export class PlainCursor<K, A> {
  isOpen = true
  dropped = 0
  taken = 0
  discarded = 0
  private lost: Lost<A> | undefined = undefined
  readonly kinds: ReadonlySet<K>
  private readonly where: ReadonlyArray<readonly [field: string, wanted: ReadonlyMap<unknown, true>]>
  private readonly isSliding: boolean
  /** Everything that was offered. */
  private readonly items: Array<A> = []
  private readonly pubsub: PubSub.PubSub<A>
  private readonly subscription: PubSub.Subscription<A>
  private readonly scope = Scope.makeUnsafe()

  constructor({ bufferSize, kinds, overflow, where = {} }: CursorOptions<K>) {
    this.kinds = new Set(kinds)
    this.where = Object.entries(where).map(([field, value]) => [field, new Map([[value, true]])])
    this.isSliding = overflow === "sliding"
    this.pubsub = Effect.runSync(this.isSliding ? PubSub.sliding<A>(bufferSize) : PubSub.dropping<A>(bufferSize))
    this.subscription = Effect.runSync(Scope.provide(PubSub.subscribe(this.pubsub), this.scope))
  }

  get offered(): number {
    return this.items.length
  }

  get delivered(): number {
    return this.offered - this.dropped
  }

  get pending(): number {
    return Option.getOrElse(PubSub.remainingUnsafe(this.subscription), () => 0)
  }

  get isEnded(): boolean {
    return !this.isOpen && this.pending === 0
  }

  receives(kind: K, event: object): boolean {
    return this.isOpen && this.matches(kind, event)
  }

  matches(kind: K, event: object): boolean {
    return this.kinds.has(kind) && this.where.every(([field, wanted]) => wanted.has(Reflect.get(event, field)))
  }

  offer(item: A): void {
    this.items.push(item)
    if (PubSub.publishUnsafe(this.pubsub, item)) return
    if (this.isSliding) Effect.runSync(PubSub.publish(this.pubsub, item))
    // What leaves a sliding buffer, taken or evicted, is always its oldest item.
    const lost = this.isSliding ? this.items[this.taken + this.dropped]! : item
    this.dropped++
    this.lost = { dropped: (this.lost?.dropped ?? 0) + 1, first: this.lost?.first ?? lost, last: lost }
  }

  collectLosses(): Lost<A> | undefined {
    const { lost } = this
    this.lost = undefined
    return lost
  }

  poll(): A | Empty {
    const [item = Empty] = this.pollUpTo(1)
    return item
  }

  pollUpTo(count: number): Array<A> {
    if (this.isEnded) return []
    const items = Effect.runSync(PubSub.takeUpTo(this.subscription, count))
    this.taken += items.length
    return items
  }

  closeIntake(): void {
    this.isOpen = false
  }

  leave(): void {
    this.closeIntake()
  }

  close(): void {
    this.closeIntake()
    this.discarded += this.pending
    Effect.runSync(Scope.close(this.scope, Exit.void))
  }
}

/** All subscriptions, and everything that was ever published. */
export class PlainStorage<K extends string, A> {
  private readonly replay: number
  private readonly cursors: Array<PlainCursor<K, A>> = []
  private readonly events: Array<{ readonly kind: K; readonly item: A; readonly isMatched: boolean }> = []

  private readonly eventOf: (item: A) => object

  constructor(replay: number, eventOf: (item: A) => object) {
    this.replay = replay
    this.eventOf = eventOf
  }

  publish(kind: K, item: A): void {
    const matching = this.cursors.filter((cursor) => cursor.receives(kind, this.eventOf(item)))
    for (const cursor of matching) cursor.offer(item)
    this.events.push({ kind, item, isMatched: matching.length > 0 })
  }

  published(kind: K): number {
    return this.events.filter((event) => event.kind === kind).length
  }

  unmatched(kind: K): number {
    return this.events.filter((event) => event.kind === kind && !event.isMatched).length
  }

  subscribe(options: CursorOptions<K>): PlainCursor<K, A> {
    const cursor = new PlainCursor<K, A>(options)
    for (const item of this.last(cursor, options.replay)) cursor.offer(item)
    this.cursors.push(cursor)
    return cursor
  }

  private last(cursor: PlainCursor<K, A>, count: number): Array<A> {
    if (count === 0) return []
    const kept = new Set(
      Array.from(cursor.kinds).flatMap((kind) => this.events.filter((event) => event.kind === kind).slice(-this.replay))
    )
    return this.events
      .filter((event) => kept.has(event) && cursor.matches(event.kind, this.eventOf(event.item)))
      .slice(-count)
      .map(({ item }) => item)
  }
}
