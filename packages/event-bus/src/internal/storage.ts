/**
 * The storage of a bus: what is kept between `publish` and `take`.
 *
 * Subscriptions to the same set of kinds (and with the same `where`) share a `Lane`: an append-only log, a linked list of
 * chunks. Publishing appends one reference to each lane that carries the kind, however many subscriptions read it. A
 * subscription is a `Cursor`: a position in the log. Its overflow policy decides which of the events behind that position
 * its buffer accepts. It decides late, when somebody looks (*settling*). Between two takes the number of waiting events
 * only grows, so the decision is the same as one at every publish.
 *
 * ```text
 *          chunk 0              chunk 1              chunk 2
 *  lane    [e0 e1 e2 e3] ─────> [e4 e5 e6 e7] ─────> [e8 e9 .  . ]
 *                 ^                      ^                  ^
 *                 cursor A               cursor B           head
 * ```
 *
 * Nothing points backwards: a chunk that every cursor has left is garbage. One that a lane's only cursor has read to its
 * end is written again. So that a cursor which nobody reads does not hold the log, each append settles one cursor of its
 * lane, in turn, whenever one of them may be full.
 *
 * Lanes without a `where` are in the list of each of their kinds. Those with one are in an index: an event is looked up
 * once for each set of fields in use, and never compared with one `where` after the other.
 *
 * Everything here is synchronous and runs no effects: `schedule` is the only way out.
 */
import { MutableList } from "effect"
import { asList, type Fields, type Found, Index, type Key, keyOf, matches } from "./keys.ts"

/** What `poll` returns when nothing is waiting: what Effect's `PubSub` expects then. */
export const Empty: typeof MutableList.Empty = MutableList.Empty
export type Empty = MutableList.Empty

/** Told that something was lost. It is told again only after the losses have been collected. */
export interface LossListener {
  readonly onLoss: () => void
}

/** What was lost: how many, and the first and the last of them. */
export interface Lost<A> {
  readonly dropped: number
  readonly first: A
  readonly last: A
}

/** The lengths of the chunks of a lane. The first is small: a lane for one page of many gets few events. */
const firstChunkLength = 8
const lastChunkLength = 256

/** Somebody who waits for some number of events, at most a full buffer, or for the end of the cursor. */
export interface Waiter {
  readonly count: number
  readonly run: () => void
}

interface Chunk<A> {
  /** Position in the log of the first item. */
  start: number
  /** All of its slots, made at once: growing an array bit by bit costs more than the rest of a publish. */
  readonly items: Array<A>
  next: Chunk<A> | undefined
}

/** Never added to: whoever comes first makes a list. */
const none: Array<never> = []

/** A log begins with a chunk without slots: the first one that has some is made for the first event. */
const makeChunk = <A>(start: number, items: Array<A> = none): Chunk<A> => ({ start, items, next: undefined })

/** What a cursor that reads no more points at, so that it holds no part of the log. */
const nothing: Chunk<never> = makeChunk(0)

/** Takes out the item at `index`. The last one moves there, and is returned. */
const removeAt = <T>(items: Array<T>, index: number): T => {
  const last = items.pop()!
  if (index < items.length) items[index] = last
  return last
}

/** What a lane needs of its storage. */
interface Host<A> {
  readonly schedule: (task: () => void) => void
  /** Called when nobody reads the lane any more. */
  readonly remove: (lane: Lane<A>) => void
}

/** The log that all subscriptions to one set of kinds, with one `where`, read. */
class Lane<A> {
  /** Events appended so far: the position of the next one. */
  head = 0
  /** The slots of the last chunk, kept here: with thousands of lanes, each object that a publish reads costs. */
  private slots: Array<A> = none
  /** How many of them are used. */
  private used = 0
  /** No cursor is settled until the log is longer than this: none has lost anything, or all were settled not long ago. */
  private calmUntil = 0
  private waiting: Array<Cursor<A>> = none
  tail: Chunk<A> = makeChunk(0)
  cursors: Array<Cursor<A>> = none
  /** In alphabetical order. */
  readonly kinds: ReadonlyArray<string>
  readonly key: Key | undefined
  readonly isObserver: boolean
  readonly host: Host<A>
  private isWakeScheduled = false
  /** A cursor that accepts no more events may still read the last chunk. */
  private isTailHeld = false
  private nextToSettle = 0
  /** What `calmUntil` will be once all are settled: the least `fullAt` of those that were settled in this round. */
  private nextCalmUntil = 0
  private wake: (() => void) | undefined = undefined

  constructor(host: Host<A>, kinds: ReadonlyArray<string>, key: Key | undefined, isObserver: boolean) {
    this.host = host
    this.kinds = kinds
    this.key = key
    this.isObserver = isObserver
  }

  append(item: A): void {
    if (this.used === this.slots.length) this.extend()
    this.slots[this.used++] = item
    this.head++
    if (this.head > this.calmUntil) this.settleNext()
    if (this.waiting.length > 0) this.scheduleWake()
  }

  join(cursor: Cursor<A>): void {
    cursor.index = this.cursors.length
    // Most keyed lanes have one reader, and what `push` grows has room for sixteen more.
    if (cursor.index === 0) {
      this.cursors = [cursor]
      this.calmUntil = cursor.fullAt
      return
    }
    this.cursors.push(cursor)
    this.calmUntil = Math.min(this.calmUntil, cursor.fullAt)
    this.nextCalmUntil = Math.min(this.nextCalmUntil, cursor.fullAt)
  }

  wait(cursor: Cursor<A>): void {
    if (this.waiting[cursor.waitingIndex] === cursor) return
    cursor.waitingIndex = this.waiting.length
    if (cursor.waitingIndex === 0) this.waiting = [cursor]
    else this.waiting.push(cursor)
  }

  remove(cursor: Cursor<A>): void {
    removeAt(this.cursors, cursor.index).index = cursor.index
    if (this.waiting[cursor.waitingIndex] === cursor) {
      removeAt(this.waiting, cursor.waitingIndex).waitingIndex = cursor.waitingIndex
    }
    this.isTailHeld = true
    if (this.cursors.length > 0) return
    // Who keeps a closed cursor keeps its lane.
    this.tail = makeChunk(this.head)
    this.slots = none
    this.used = 0
    this.host.remove(this)
  }

  /** Each chunk is larger than the one before, so that a lane with few events stays small. */
  private extend(): void {
    const { length } = this.slots
    this.used = 0
    // A lane whose only reader keeps up stays small. Of ten thousand such lanes, more stay in the caches.
    if (length > 0 && !this.isTailHeld && this.cursors.length === 1 && this.cursors[0]!.hasRead(this.tail)) {
      this.tail.start = this.head
      return
    }
    // oxlint-disable-next-line no-new-array -- a length is what is meant
    const slots = new Array<A>(length === 0 ? firstChunkLength : Math.min(length * 4, lastChunkLength))
    const chunk = makeChunk(this.head, slots)
    this.tail.next = chunk
    this.tail = chunk
    this.slots = slots
    this.isTailHeld = false
  }

  private settleNext(): void {
    const { cursors } = this
    // The last one left after the lane was found, and before the append: reading an event may do anything.
    if (cursors.length === 0) return
    // From the last to the first: those that join meanwhile do not put off the others.
    const isFirst = this.nextToSettle === 0 || this.nextToSettle > cursors.length
    if (isFirst) this.nextToSettle = cursors.length
    const cursor = cursors[--this.nextToSettle]!
    cursor.settle()
    this.nextCalmUntil = isFirst ? cursor.fullAt : Math.min(this.nextCalmUntil, cursor.fullAt)
    // One that is full must not have all the others looked at all the time: a rest, half as long as it took.
    if (this.nextToSettle === 0) this.calmUntil = Math.max(this.nextCalmUntil, this.head + (cursors.length >> 1))
  }

  private scheduleWake(): void {
    if (this.isWakeScheduled) return
    this.isWakeScheduled = true
    this.wake ??= () => {
      this.isWakeScheduled = false
      const waking = this.waiting
      this.waiting = none
      for (const cursor of waking) cursor.wake()
    }
    this.host.schedule(this.wake)
  }
}

/** The place of one subscription in its lane, with its buffer and its counters. */
export class Cursor<A> {
  readonly capacity: number
  readonly isSliding: boolean
  /** While open, events are offered; afterwards what is pending can still be taken. */
  isOpen = true
  taken = 0
  discarded = 0
  losses: LossListener | undefined = undefined
  /** Index in `lane.cursors`; meaningless once closed. */
  index = 0
  /** Index in the lane's list of cursors that wait; meaningless when this one is not there. */
  waitingIndex = 0
  private readonly lane: Lane<A>
  private readonly joined: number
  private readonly replayed: number
  /** Position at which the intake was closed. */
  private limit = 0
  private position: number
  private chunk: Chunk<A>
  /** Accepted events that are older than `position`: replayed ones, and those a full `dropping` buffer kept. */
  private backlog: Array<A>
  private backlogStart = 0
  private backlogCount: number
  private lost = 0
  /** Of `lost`, what was collected already. */
  private collected = 0
  private firstLost: A | undefined = undefined
  private lastLost: A | undefined = undefined
  private waiters: Array<Waiter> = none

  constructor(lane: Lane<A>, capacity: number, isSliding: boolean, replayed: Array<A>) {
    this.lane = lane
    this.capacity = capacity
    this.isSliding = isSliding
    this.joined = this.position = lane.head
    this.chunk = lane.tail
    this.backlog = replayed
    this.backlogCount = this.replayed = replayed.length
    lane.join(this)
  }

  /** Events that matched while the subscription was open: `delivered + dropped`. */
  get offered(): number {
    return this.replayed + this.end - this.joined
  }

  /** Events that the full buffer rejected or evicted. */
  get dropped(): number {
    this.settle()
    return this.lost
  }

  /** Events accepted into the buffer and not evicted from it: `taken + pending + discarded`. */
  get delivered(): number {
    this.settle()
    return this.offered - this.lost
  }

  /** Events accepted and waiting to be taken. */
  get pending(): number {
    this.settle()
    return this.unsettled
  }

  /** The event that waits longest to be taken. */
  get oldest(): A | Empty {
    this.settle()
    if (this.backlogCount > 0) return this.backlog[this.backlogStart]!
    return this.position === this.end ? Empty : this.current()
  }

  /** Nothing is pending, and nothing will be. */
  get isEnded(): boolean {
    return !this.isOpen && this.unsettled === 0
  }

  get isAwaited(): boolean {
    return this.waiters.length > 0
  }

  /** The first waiter has what it waits for, and is about to be woken. */
  get isWakeDue(): boolean {
    return this.isAwaited && (this.unsettled >= this.waiters[0]!.count || !this.isOpen)
  }

  /** How long the log may get before an event is lost, if none is taken. While open, taking only adds to it. */
  get fullAt(): number {
    return this.position + this.capacity - this.backlogCount
  }

  private get end(): number {
    return this.isOpen ? this.lane.head : this.limit
  }

  private get unsettled(): number {
    return this.backlogCount + this.end - this.position
  }

  /** True once it needs nothing of the chunk any more, which is the last one. */
  hasRead(chunk: Chunk<A>): boolean {
    return this.chunk === chunk && this.position === this.lane.head
  }

  /** What was lost since the last time. */
  collectLosses(): Lost<A> | undefined {
    this.settle()
    const dropped = this.lost - this.collected
    if (dropped === 0) return undefined
    const lost = { dropped, first: this.firstLost!, last: this.lastLost! }
    this.collected = this.lost
    this.firstLost = this.lastLost = undefined
    return lost
  }

  /** Decides which events since the last time are accepted, and counts the others as dropped. */
  settle(): void {
    const excess = this.unsettled - this.capacity
    if (excess <= 0) return
    if (this.isSliding) this.evict(excess)
    else this.reject(excess)
  }

  poll(): A | Empty {
    this.settle()
    if (this.backlogCount > 0) {
      this.taken++
      return this.shiftBacklog()
    }
    if (this.position === this.end) return Empty
    this.taken++
    return this.next()
  }

  pollUpTo(count: number): Array<A> {
    this.settle()
    const held: Array<A> = []
    while (held.length < count && this.backlogCount > 0) held.push(this.shiftBacklog())
    const read = this.read(Math.min(count - held.length, this.end - this.position))
    const items = held.length === 0 ? read : read.length === 0 ? held : held.concat(read)
    this.taken += items.length
    return items
  }

  /**
   * Runs the waiter in a later turn of the scheduler, once as many events as it asks for are pending or no more will come.
   * Waiters run in the order in which they came.
   */
  wait(waiter: Waiter): void {
    if (this.waiters === none) this.waiters = []
    this.waiters.push(waiter)
    if (this.isOpen) this.lane.wait(this)
    if (this.isWakeDue) this.scheduleWake()
  }

  /** Takes back a waiter that has not run. */
  cancel(waiter: Waiter): void {
    const index = this.waiters.indexOf(waiter)
    if (index < 0) return
    this.waiters.splice(index, 1)
    // Whoever is first now may wait for less, which is there already.
    if (this.isWakeDue) this.scheduleWake()
  }

  /** Runs waiters for as long as there is what they wait for. */
  wake(): void {
    const { waiters } = this
    while (this.isWakeDue) {
      // Most often there is one, and `shift` costs as much as half of what it runs.
      const first = waiters.length === 1 ? waiters.pop()! : waiters.shift()!
      try {
        first.run()
      } catch (error) {
        // What a taker's continuation throws must not reach the other takers: it has a turn of its own.
        this.lane.host.schedule(() => {
          throw error
        })
      }
    }
    if (waiters.length > 0 && this.isOpen) this.lane.wait(this)
  }

  /** Accepts no more events. What is pending stays in the log. */
  closeIntake(): void {
    if (!this.isOpen) return
    this.settle()
    this.limit = this.lane.head
    this.isOpen = false
    this.lane.remove(this)
    if (this.isAwaited) this.scheduleWake()
  }

  /** Accepts no more events, and copies what is pending, so that the log is not held for it. */
  leave(): void {
    this.closeIntake()
    this.keep(this.limit - this.position)
    this.chunk = nothing
  }

  /** Accepts no more events, and gives up what is pending. */
  close(): void {
    this.closeIntake()
    this.discarded += this.unsettled
    this.position = this.limit
    this.backlog = []
    this.backlogStart = 0
    this.backlogCount = 0
    this.chunk = nothing
  }

  private scheduleWake(): void {
    this.lane.host.schedule(() => this.wake())
  }

  /** The event of the log at the position, perhaps some chunks further on. There is one. */
  private current(): A {
    let chunk = this.chunk
    if (this.position - chunk.start >= chunk.items.length) {
      do chunk = chunk.next!
      while (this.position - chunk.start >= chunk.items.length)
      this.chunk = chunk
    }
    return chunk.items[this.position - chunk.start]!
  }

  private next(): A {
    const item = this.current()
    this.position++
    return item
  }

  /** The next `count` events of the log; there are as many. */
  private read(count: number): Array<A> {
    const slices: Array<Array<A>> = []
    while (count > 0) {
      if (this.position - this.chunk.start === this.chunk.items.length) this.chunk = this.chunk.next!
      const { items, start } = this.chunk
      const from = this.position - start
      const slice = items.slice(from, Math.min(from + count, items.length))
      this.position += slice.length
      count -= slice.length
      slices.push(slice)
    }
    if (slices.length === 1) return slices[0]!
    // A call takes only so many arguments.
    return slices.length < 1000 ? ([] as Array<A>).concat(...slices) : slices.flat()
  }

  private shiftBacklog(): A {
    const item = this.backlog[this.backlogStart]!
    // The slot must not keep the event alive.
    this.backlog[this.backlogStart++] = undefined as A
    if (--this.backlogCount === 0) {
      this.backlog = []
      this.backlogStart = 0
    }
    return item
  }

  /** Moves the next `count` events from the log to the backlog. */
  private keep(count: number): void {
    if (count === 0) return
    // The slots before `backlogStart` are used up: there are never more of them than events.
    if (this.backlogStart > this.backlogCount) {
      this.backlog = this.backlog.slice(this.backlogStart)
      this.backlogStart = 0
    }
    for (const item of this.read(count)) this.backlog.push(item)
    this.backlogCount += count
  }

  /** Full, newest lost: the accepted events move to the backlog, so that the log is not held for their sake. */
  private reject(excess: number): void {
    this.keep(this.lane.head - this.position - excess)
    this.firstLost ??= this.current()
    const tail = this.lane.tail
    this.chunk = tail
    this.position = this.lane.head
    this.lose(excess, tail.items[this.lane.head - 1 - tail.start]!)
  }

  /** Full, oldest lost: the position moves on. */
  private evict(excess: number): void {
    let last: A | undefined
    let count = excess
    while (count > 0 && this.backlogCount > 0) {
      last = this.shiftBacklog()
      this.firstLost ??= last
      count--
    }
    if (count > 0) {
      this.firstLost ??= this.current()
      this.position += count - 1
      last = this.next()
    }
    this.lose(excess, last!)
  }

  /** A stuck subscription loses all the time: nothing but this cursor is touched until the losses are collected. */
  private lose(dropped: number, last: A): void {
    const isFirst = this.lost === this.collected
    this.lost += dropped
    this.lastLost = last
    if (isFirst) this.losses?.onLoss()
  }
}

/** Returns true if one of the lanes is not an observer's. */
const appendTo = <A>(lanes: Found<Lane<A>>, item: A): boolean => {
  if (lanes instanceof Lane) {
    lanes.append(item)
    return !lanes.isObserver
  }
  for (const lane of lanes) lane.append(item)
  return lanes.some((lane) => !lane.isObserver)
}

/** Where the events of one kind go. */
export interface Route<A> {
  readonly kind: string
  /** Events of the kind that were published. */
  published: number
  /** Those of them that matched no subscription. */
  unmatched: number
  /** Those that receive all events of the kind. */
  readonly lanes: Array<Lane<A>>
  /** How many of these are not observers'. */
  listening: number
  /** Those that receive some of them, by what they ask for: an index for each set of fields. */
  readonly indexes: Array<Index<Lane<A>>>
  /** A ring of the last `replay` events, each with its number in the order of all. */
  readonly history: Array<{ readonly sequence: number; readonly item: A }>
}

/** What a cursor is made with. */
export interface CursorOptions<K> {
  /** Each once. */
  readonly kinds: ReadonlyArray<K>
  /** The values that fields of an event must have. All events of the kinds must have these fields. */
  readonly where?: Fields | undefined
  /** Events that may be pending at most. */
  readonly bufferSize: number
  readonly overflow: "dropping" | "sliding"
  /** How many of the last events come first. */
  readonly replay: number
  /** Whether an event that nobody else receives is unmatched all the same. */
  readonly isObserver?: boolean
}

/** Lanes, and which events go to which. */
export class Storage<K extends string, A> implements Host<A> {
  readonly schedule: (task: () => void) => void
  private readonly eventOf: (item: A) => Fields
  /** By kind. */
  readonly routes = new Map<string, Route<A>>()
  private readonly replay: number
  private sequence = 0
  private lastKind: string | undefined = undefined
  private lastRoute: Route<A> | undefined = undefined

  constructor(
    kinds: ReadonlyArray<K>,
    replay: number,
    schedule: (task: () => void) => void,
    /** What has the fields that a `where` names. */
    eventOf: (item: A) => object
  ) {
    this.replay = replay
    this.schedule = schedule
    this.eventOf = eventOf as (item: A) => Fields
    for (const kind of kinds) {
      this.routes.set(kind, { kind, published: 0, unmatched: 0, lanes: [], listening: 0, indexes: [], history: [] })
    }
  }

  /** The route of a kind, if it is of the set. */
  route(kind: string): Route<A> | undefined {
    // Events of a kind come in runs, and the look-up costs as much as all the rest of a publish.
    if (kind === this.lastKind) return this.lastRoute
    this.lastKind = kind
    this.lastRoute = this.routes.get(kind)
    return this.lastRoute
  }

  /**
   * The lanes whose `where` the event matches. Apart from `publish`, and before it: an event is somebody else's object, and
   * if reading it throws, nothing of it (or of its batch) is published.
   */
  match({ indexes }: Route<A>, item: A): Found<Lane<A>> | undefined {
    const event = this.eventOf(item)
    let found: Found<Lane<A>> | undefined
    for (const index of indexes) {
      const more = index.find(event)
      if (more !== undefined) found = found === undefined ? more : [...asList(found), ...asList(more)]
    }
    return found
  }

  /** Appends to the lanes that receive all events of the kind, and to those that `match` has found. */
  publish(route: Route<A>, item: A, keyed: Found<Lane<A>> | undefined): void {
    route.published++
    const { lanes } = route
    for (let i = 0; i < lanes.length; i++) lanes[i]!.append(item)
    const isMatched = keyed !== undefined && appendTo(keyed, item)
    if (!isMatched && route.listening === 0) route.unmatched++
    if (this.replay > 0) this.remember(route, item)
  }

  private remember(route: Route<A>, item: A): void {
    route.history[(route.published - 1) % this.replay] = { sequence: this.sequence++, item }
  }

  subscribe(options: CursorOptions<K>): Cursor<A> {
    const kinds = options.kinds.toSorted()
    const key = keyOf(options.where)
    // First, as it reads events: they are somebody else's objects, and may throw.
    const replayed = this.last(kinds, key, options.replay)
    const isObserver = options.isObserver === true
    return new Cursor(this.laneOf(kinds, key, isObserver), options.bufferSize, options.overflow === "sliding", replayed)
  }

  /** A lane that nobody reads is not written. */
  remove(lane: Lane<A>): void {
    const { isObserver, key, kinds } = lane
    for (const kind of kinds) {
      const route = this.routes.get(kind)!
      const { indexes, lanes } = route
      if (key === undefined) {
        lanes.splice(lanes.indexOf(lane), 1)
        if (!isObserver) route.listening--
      } else {
        const index = indexOf(indexes, key)!
        index.remove(key.where, lane)
        if (index.isEmpty) indexes.splice(indexes.indexOf(index), 1)
      }
    }
  }

  /** Observers have lanes of their own, so that a route can count the others. */
  private laneOf(kinds: ReadonlyArray<K>, key: Key | undefined, isObserver: boolean): Lane<A> {
    const routes = kinds.map((kind) => this.routes.get(kind)!)
    const [first] = routes
    const sameWhere = key === undefined
      ? first?.lanes ?? []
      : asList(first && indexOf(first.indexes, key)?.find(key.where))
    const existing = sameWhere.find((lane) => lane.isObserver === isObserver && isSame(lane.kinds, kinds))
    if (existing !== undefined) return existing
    // A lane of no kinds is never written to.
    if (key === undefined || first === undefined) {
      const lane = new Lane<A>(this, kinds, undefined, isObserver)
      for (const route of routes) {
        route.lanes.push(lane)
        if (!isObserver) route.listening++
      }
      return lane
    }
    const indexes = routes.map(({ indexes }) => {
      const index = indexOf(indexes, key) ?? new Index<Lane<A>>(key.fields)
      if (index.isEmpty) indexes.push(index)
      return index
    })
    // The fields are those of the index: one array for ten thousand lanes.
    const lane = new Lane<A>(this, kinds, { fields: indexes[0]!.fields, where: key.where }, isObserver)
    for (const index of indexes) index.add(key.where, lane)
    return lane
  }

  private last(kinds: ReadonlyArray<K>, key: Key | undefined, count: number): Array<A> {
    if (count === 0) return []
    return kinds
      .flatMap((kind) => this.routes.get(kind)!.history)
      .filter(({ item }) => key === undefined || matches(key, this.eventOf(item)))
      .toSorted((a, b) => a.sequence - b.sequence)
      .slice(-count)
      .map((entry) => entry.item)
  }
}

const isSame = (a: ReadonlyArray<string>, b: ReadonlyArray<string>): boolean =>
  a.length === b.length && a.every((name, i) => name === b[i])

/** The index of the set of fields, if there is one. */
const indexOf = <A>(indexes: ReadonlyArray<Index<Lane<A>>>, key: Key): Index<Lane<A>> | undefined =>
  indexes.find(({ fields }) => isSame(fields, key.fields))
