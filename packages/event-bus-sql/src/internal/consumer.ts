/**
 * A consumer in this process: it reads for its partitions, and runs its handler.
 */
import type { EventBus } from "@openwatch/event-bus"
import {
  Cause,
  Clock,
  Context,
  DateTime,
  Duration,
  Effect,
  Exit,
  type Fiber,
  Latch,
  Option,
  type Schedule,
  Tracer
} from "effect"
import * as Headers from "effect/http/Headers"
import * as HttpTraceContext from "effect/http/HttpTraceContext"
import type { Delivered, Delivery } from "../Outbox.ts"
import { retryCollisions } from "./collisions.ts"
import type { ConsumerRow, Database, LogRow, Taken } from "./database.ts"
import type { Log } from "./log.ts"
import type { Tally } from "./metrics.ts"
import { describe, isCollision, isOutage } from "./outage.ts"
import { type Entry, type Host, type Order, Partition } from "./partition.ts"
import { retryPause } from "./retryPause.ts"
import { inTurn, Signal } from "./signal.ts"
import { EndedItsProcess, Fenced, GiveUp, PartlyFailed, RetryAfter, TimedOut, Undecodable } from "./verdict.ts"

const pageSize = 500

/** How often the position of a consumer is written that meets only events of other kinds. */
const touchMillis = 10_000

/** For how long handlers may be started one after the other before all else has its turn, in milliseconds. */
const turnMillis = 10

/** The longest pause, in milliseconds, before a partition is taken again after a handler whose outcome is unknown. */
const longestUnsure = 5_000

export interface BatchSettings {
  readonly max: number
  readonly withinMillis: number
}

/** What `on` was given, checked. */
export interface ConsumerSettings {
  readonly name: string
  readonly kinds: ReadonlyArray<string>
  readonly order: Order
  readonly concurrency: number
  readonly retry: Schedule.Schedule<unknown, number>
  readonly maxAttempts: number
  readonly timeoutMillis: number
  readonly holdsBehindDead: boolean
  readonly isTransactional: boolean
  readonly drain: Duration.Duration | undefined
  readonly tally: Tally
  /** The handler gets several events at a time. */
  readonly batch: BatchSettings | undefined
  readonly handleBatch: (items: ReadonlyArray<Delivered<EventBus.AnyEvent>>) => Effect.Effect<unknown, unknown>
  readonly handle: (event: EventBus.AnyEvent, delivery: Delivery) => Effect.Effect<unknown, unknown>
}

/** What the process does for its consumers. */
export interface Engine {
  readonly name: string
  readonly database: Database
  readonly log: Log
  /** Under which this process has its lease. */
  readonly id: string
  readonly decode: (row: LogRow) => EventBus.AnyEvent
  /** Runs an effect on the database until it succeeds. */
  readonly persist: <A>(effect: Effect.Effect<A, unknown>) => Effect.Effect<A>
  readonly onDirty: () => void
  /** The owners of partitions have to be looked at again. */
  readonly onUnsure: () => void
  /** Something has ended: who waits for the process to be idle looks again. */
  readonly onProgress: () => void
}

type Outcome =
  | { readonly _tag: "Handled" }
  | {
    readonly _tag: "Failed"
    readonly cause: Cause.Cause<unknown>
    readonly isDead: boolean
    readonly pause: number
    /** The log line that is still to be written. */
    readonly report: Effect.Effect<void>
  }
  /** Nobody knows whether it was committed: the partition has to be read again. */
  | { readonly _tag: "Unsure" }
  /** This process does not serve its kind. It was parked by one that does. */
  | { readonly _tag: "Unserved" }
  /** Its kind was retired after it was parked. */
  | { readonly _tag: "Retired" }
  /** It was rolled back with its batch, and is handled alone next. */
  | { readonly _tag: "Undone" }

/** A handler that runs, and what it was given. */
class Run {
  readonly entries: ReadonlyArray<Entry>
  readonly startedAt: number
  isTimedOut = false
  fiber: Fiber.Fiber<unknown, unknown> | undefined = undefined

  constructor(entries: ReadonlyArray<Entry>, startedAt: number) {
    this.entries = entries
    this.startedAt = startedAt
  }
}

export class Consumer implements Host {
  readonly settings: ConsumerSettings
  readonly partitions = new Map<number, Partition>()
  /** Partitions that this process will not take, and the positions at which it met a kind that it does not serve. */
  readonly blocked = new Map<number, number>()
  /** Partitions that were dropped, and how many of their handlers still run. */
  readonly lingering = new Map<number, number>()
  readonly feed = new Signal()
  isClosing = false
  readonly isClosed = Latch.makeUnsafe()
  /** The kinds that the consumer is registered for, by any process, and the numbers behind which they start. */
  kinds: ReadonlyMap<string, number>
  private generation = -1
  private partitionCount: number
  running = 0
  private isReading = false
  private isPumping = false
  private isResting = false
  private readonly engine: Engine
  private readonly context: Context.Context<never>
  private readonly fork: (effect: Effect.Effect<unknown, unknown>) => Fiber.Fiber<unknown, unknown>
  private readonly clock: Clock.Clock
  private readonly runs = new Set<Run>()
  private readonly timers = new Set<Fiber.Fiber<unknown, unknown>>()
  private isWatching = false
  /** The time of `within` is up: a batch may start that is not full. */
  private isBatchDue = false
  private isBatchTimed = false
  private onIdle: (() => void) | undefined = undefined
  private lastPart = 0
  /** How many outcomes in a row were unknown. */
  private unsureCount = 0
  /** How many partitions wait for a pause to be over, and are not taken before. */
  private pausing = 0
  private touchedAt = 0

  constructor(
    engine: Engine,
    settings: ConsumerSettings,
    kinds: ReadonlyMap<string, number>,
    partitionCount: number,
    context: Context.Context<never>
  ) {
    this.engine = engine
    this.settings = settings
    this.kinds = kinds
    this.partitionCount = partitionCount
    this.context = Context.omit(Tracer.ParentSpan)(context)
    this.fork = Effect.runForkWith(this.context)
    this.clock = Context.get(context, Clock.Clock)
  }

  get consumer(): string {
    return this.settings.name
  }

  get order(): Order {
    return this.settings.order
  }

  get holdsBehindDead(): boolean {
    return this.settings.holdsBehindDead
  }

  get isTransactional(): boolean {
    return this.settings.isTransactional
  }

  // ---------------------------------------------------------------------------
  // Partitions
  // ---------------------------------------------------------------------------

  take(taken: Taken): void {
    const partition = new Partition(this, taken)
    this.partitions.set(partition.part, partition)
    this.feed.raise()
    this.onReady()
  }

  /** Forgets a partition that is no longer this process's own, and interrupts its handlers. */
  drop(partition: Partition): void {
    if (partition.isDropped) return
    partition.isDropped = true
    this.partitions.delete(partition.part)
    if (partition.running > 0) {
      this.lingering.set(partition.part, (this.lingering.get(partition.part) ?? 0) + partition.running)
    }
    for (const { entries, fiber } of this.runs) {
      if (entries.some((entry) => entry.partition === partition)) fiber?.interruptUnsafe()
    }
    this.engine.onProgress()
  }

  dropAll(): void {
    for (const partition of Array.from(this.partitions.values())) this.drop(partition)
  }

  /** What the consumer's row says as of a generation. Another version of the application may have changed it. */
  learn(row: ConsumerRow, generation: number): void {
    // An older reply may arrive after a newer one.
    if (generation < this.generation) return
    this.generation = generation
    const known = this.kinds
    this.kinds = new Map(Object.entries(row.kinds))
    const isChanged = known.size !== this.kinds.size || Array.from(known.keys()).some((kind) => !this.kinds.has(kind))
    if (isChanged || this.partitionCount !== row.partitions) this.blocked.clear()
    this.partitionCount = row.partitions
  }

  /** Gives some partitions up, so that other processes can have them. */
  leave(count: number): void {
    let left = count
    for (const partition of this.partitions.values()) {
      if (left === 0) break
      if (partition.isLeaving) continue
      partition.isLeaving = true
      left--
    }
    this.engine.onDirty()
  }

  /** Now and then writes positions that only moved past events of other kinds. */
  tick(now: number): void {
    if (now - this.touchedAt < touchMillis) return
    this.touchedAt = now
    for (const partition of this.partitions.values()) partition.touch()
  }

  readonly after = (partition: Partition, millis: number, run: () => void): void => {
    this.time(Effect.andThen(
      Effect.sleep(millis),
      Effect.sync(() => {
        if (!partition.isDropped) run()
      })
    ))
  }

  /** Runs an effect that sleeps. It is interrupted with the consumer: a timer that is left keeps the process alive. */
  private time(timing: Effect.Effect<void>): void {
    const fiber = this.fork(timing)
    this.timers.add(fiber)
    fiber.addObserver(() => this.timers.delete(fiber))
  }

  readonly onDirty = (): void => this.engine.onDirty()

  // ---------------------------------------------------------------------------
  // Reading
  // ---------------------------------------------------------------------------

  /** Reads for the partitions that have room, for ever. */
  readonly reading: Effect.Effect<never> = Effect.suspend(() =>
    Effect.forever(Effect.andThen(this.feed.wait, this.readAll))
  )

  private readonly readAll: Effect.Effect<void> = Effect.gen({ self: this }, function*() {
    while (!this.isClosing) {
      const hungry = this.hungry()
      if (hungry.length === 0) return
      this.isReading = true
      let after = hungry[0]!.readPos
      for (const { readPos } of hungry) if (readPos < after) after = readPos
      // Read before the kinds: a kind that is learned later starts behind this horizon.
      const { horizon } = this.engine.log
      const kinds = Array.from(this.kinds.keys())
      const { rows, upTo } = yield* this.engine.persist(this.engine.log.read(after, horizon, kinds, pageSize))
      this.dispatch(hungry, rows, upTo)
      this.isReading = false
      this.engine.onProgress()
    }
  })

  /**
   * The partitions with room, once one of them is hungry: a page is gone through for all of them, and not for each event
   * that was handled.
   */
  private hungry(): Array<Partition> {
    const open: Array<Partition> = []
    let isHungry = false
    const { horizon } = this.engine.log
    for (const partition of this.partitions.values()) {
      if (!partition.hasRoom || partition.readPos >= horizon) continue
      open.push(partition)
      isHungry ||= partition.isHungry(this.settings.batch !== undefined)
    }
    return isHungry ? open : []
  }

  private dispatch(hungry: ReadonlyArray<Partition>, rows: ReadonlyArray<LogRow>, upTo: number): void {
    const open = new Map<number, Partition>()
    for (const partition of hungry) if (partition.hasRoom) open.set(partition.part, partition)
    // Nothing starts before the whole page is offered: a batch would take its first event alone.
    this.isPumping = true
    for (const row of rows) {
      const part = row.slot % this.partitionCount
      const partition = open.get(part)
      if (partition === undefined || row.seq <= partition.readPos) continue
      if (row.seq <= (this.kinds.get(row.kind) ?? Infinity)) continue
      if (!this.settings.kinds.includes(row.kind)) {
        // Another version of the application serves it.
        partition.readPos = row.seq - 1
        open.delete(part)
        partition.blockedAt = row.seq
        this.engine.onDirty()
        continue
      }
      partition.offer(row)
      if (!partition.hasRoom) open.delete(part)
    }
    for (const partition of open.values()) {
      if (partition.isDropped || partition.readPos >= upTo) continue
      partition.readPos = upTo
      // Only events of other kinds: the position is written once a page is behind it.
      if (upTo - partition.storedPos > pageSize) partition.touch()
    }
    this.isPumping = false
    this.pump()
  }

  // ---------------------------------------------------------------------------
  // Running
  // ---------------------------------------------------------------------------

  readonly onReady = (): void => this.pump()

  private pump(): void {
    // A handler that ends at once calls this again, from inside the loop below.
    if (this.isPumping) return
    this.isPumping = true
    const { batch } = this.settings
    const startedAt = this.now()
    while (!this.isClosing && this.running < this.settings.concurrency) {
      const entries = batch === undefined ? this.nextOne() : this.nextBatch(batch)
      if (entries.length === 0) break
      this.start(entries)
      if (this.now() - startedAt < turnMillis) continue
      this.pumpLater()
      break
    }
    this.isPumping = false
    if (!this.isReading && this.hungry().length > 0) this.feed.raise()
  }

  /** Handlers that end at once, as with SQLite, which works on this thread, would keep it from all else. */
  private pumpLater(): void {
    if (this.isResting) return
    this.isResting = true
    this.time(Effect.andThen(
      Effect.yieldNow,
      Effect.sync(() => {
        this.isResting = false
        this.pump()
      })
    ))
  }

  private nextOne(): ReadonlyArray<Entry> {
    const entry = this.nextEntry()
    return entry === undefined ? [] : [entry]
  }

  /** The entries of a batch: a full one, or what there is once its time is up. */
  private nextBatch({ max, withinMillis }: BatchSettings): ReadonlyArray<Entry> {
    let available = 0
    for (const partition of this.partitions.values()) available += partition.availableCount
    if (available === 0) this.isBatchDue = false
    else if (available < max && withinMillis > 0 && !this.isBatchDue) {
      this.timeBatch(withinMillis)
      return []
    }
    const entries: Array<Entry> = []
    const parts = Array.from(this.partitions.keys())
    const first = this.lastPart + 1
    for (let i = 0; i < parts.length && entries.length < max; i++) {
      const part = parts[(first + i) % parts.length]!
      const partition = this.partitions.get(part)!
      if (this.lingering.has(part)) continue
      const some = partition.nextSome(max - entries.length, entries.length > 0)
      if (some.length === 0) continue
      this.lastPart = parts.indexOf(part)
      entries.push(...some)
      // A transaction moves one position.
      if (this.settings.isTransactional || partition.runsAlone(some[0]!)) break
    }
    if (entries.length > 0) this.isBatchDue = false
    return entries
  }

  private timeBatch(millis: number): void {
    if (this.isBatchTimed) return
    this.isBatchTimed = true
    this.time(Effect.andThen(
      Effect.sleep(millis),
      Effect.sync(() => {
        this.isBatchTimed = false
        this.isBatchDue = true
        this.pump()
      })
    ))
  }

  /** The next entry of the partitions in turn. */
  private nextEntry(): Entry | undefined {
    const { size } = this.partitions
    if (size === 1) {
      for (const partition of this.partitions.values()) return this.nextOf(partition)
    }
    const parts = Array.from(this.partitions.keys())
    for (let i = 0; i < size; i++) {
      const part = parts[(this.lastPart + 1 + i) % size]!
      const entry = this.nextOf(this.partitions.get(part)!)
      if (entry !== undefined) {
        this.lastPart = parts.indexOf(part)
        return entry
      }
    }
    return undefined
  }

  private nextOf(partition: Partition): Entry | undefined {
    return this.lingering.has(partition.part) ? undefined : partition.next()
  }

  private start(entries: ReadonlyArray<Entry>): void {
    const run = new Run(entries, this.now())
    this.running++
    this.runs.add(run)
    this.watch()
    this.observe(run, this.settings.batch === undefined ? this.run(entries[0]!) : this.runBatch(entries))
  }

  private observe(run: Run, running: Effect.Effect<Outcome | ReadonlyArray<Outcome>>): void {
    const fiber = this.fork(running)
    run.fiber = fiber
    fiber.addObserver((exit) => this.ended(run, exit as Exit.Exit<Outcome | ReadonlyArray<Outcome>>))
  }

  private now(): number {
    return Number(this.clock.monotonicTimeNanosUnsafe() / 1_000_000n)
  }

  private run(entry: Entry): Effect.Effect<Outcome> {
    const attempt = entry.row === undefined
      ? Effect.flatMap(this.readMissing([entry]), () => this.attempt(entry))
      : this.attempt(entry)
    return Effect.catchCause(attempt, (cause) => this.judge(entry, cause))
  }

  /** Reads the events of entries that were parked. */
  private readMissing(entries: ReadonlyArray<Entry>): Effect.Effect<void> {
    const missing = entries.filter(({ row }) => row === undefined)
    if (missing.length === 0) return Effect.void
    return Effect.map(this.engine.persist(this.engine.database.readRows(missing.map(({ seq }) => seq))), (rows) => {
      const found = new Map(rows.map((row) => [row.seq, row]))
      for (const entry of missing) entry.row = found.get(entry.seq)
    })
  }

  /** The outcome for an entry of a kind that this process does not serve, which has no handler here. */
  private withoutHandler(row: LogRow): Outcome | undefined {
    if (this.settings.kinds.includes(row.kind)) return undefined
    return { _tag: this.kinds.has(row.kind) ? "Unserved" : "Retired" }
  }

  private decode(row: LogRow): EventBus.AnyEvent {
    try {
      return this.engine.decode(row)
    } catch (cause) {
      throw new Undecodable({ kind: row.kind, cause })
    }
  }

  private deliveryOf(entry: Entry, row: LogRow): Delivery {
    return {
      id: row.id,
      attempt: entry.attempts + (entry.isAttemptSaved ? 0 : 1),
      publishedAt: DateTime.makeUnsafe(row.publishedAt),
      consumer: this.settings.name,
      isRequeued: entry.isRequeued
    }
  }

  /**
   * True for an event that ended its process in its last attempt: that one was written before it ran, and never got an
   * outcome. The attempt that was written for now is taken back, since it is one more than the event may have.
   */
  private hasEndedItsProcess(entry: Entry): boolean {
    if (!entry.isAttemptSaved || entry.attempts <= this.settings.maxAttempts) return false
    entry.attempts--
    return true
  }

  private attempt(entry: Entry): Effect.Effect<Outcome, unknown> {
    const row = entry.row!
    const outcome = this.withoutHandler(row)
    if (outcome !== undefined) return Effect.succeed(outcome)
    if (this.hasEndedItsProcess(entry)) return Effect.fail(new EndedItsProcess())
    const handling = Effect.suspend(() => this.settings.handle(this.decode(row), this.deliveryOf(entry, row)))
    const whole = this.settings.isTransactional ? this.inTransaction([entry], handling) : handling
    return Effect.as(row.trace === null ? whole : this.traced(`process ${row.kind}`, [row], whole), handled)
  }

  private runBatch(entries: ReadonlyArray<Entry>): Effect.Effect<ReadonlyArray<Outcome>> {
    return Effect.flatMap(this.readMissing(entries), () => {
      const outcomes = new Map<Entry, Outcome>()
      const causes = new Map<Entry, Cause.Cause<unknown>>()
      const rows: Array<LogRow> = []
      const items: Array<Delivered<EventBus.AnyEvent>> = []
      for (const entry of entries) {
        const row = entry.row!
        const outcome = this.withoutHandler(row)
        if (outcome !== undefined) {
          outcomes.set(entry, outcome)
          continue
        }
        if (this.hasEndedItsProcess(entry)) {
          causes.set(entry, Cause.fail(new EndedItsProcess()))
          continue
        }
        let event: EventBus.AnyEvent
        try {
          event = this.decode(row)
        } catch (cause) {
          causes.set(entry, Cause.fail(cause))
          continue
        }
        rows.push(row)
        items.push({
          event,
          delivery: this.deliveryOf(entry, row),
          fail: (cause) =>
            Effect.sync(() => {
              causes.set(entry, Cause.hasInterruptsOnly(cause) ? Cause.die(new Error("It was interrupted")) : cause)
            })
        })
      }
      const { isTransactional } = this.settings
      const isSplit = isTransactional && entries.length > 1
      const undone = entries.map(() => undoneOutcome)
      const conclude = (others: (entry: Entry) => Effect.Effect<Outcome>): Effect.Effect<ReadonlyArray<Outcome>> =>
        Effect.forEach(entries, (entry) => {
          const outcome = outcomes.get(entry)
          const cause = causes.get(entry)
          return outcome !== undefined
            ? Effect.succeed(outcome)
            : cause !== undefined
            ? this.verdict(entry, cause)
            : others(entry)
        })
      // One that fails before its handler would roll the others back: each runs alone.
      if (isSplit && items.length < entries.length) return Effect.succeed(undone)
      if (items.length === 0) return conclude(() => Effect.succeed(handled))
      const handling = Effect.suspend(() => {
        // The transaction may run again.
        if (isTransactional) causes.clear()
        return this.settings.handleBatch(items)
      })
      const whole = isTransactional
        ? this.inTransaction(
          entries,
          Effect.andThen(
            handling,
            Effect.suspend(() => causes.size === 0 ? Effect.void : Effect.fail(new PartlyFailed()))
          )
        )
        : handling
      const isTraced = rows.some(({ trace }) => trace !== null)
      const all = isTraced ? this.traced(`process a batch for ${this.settings.name}`, rows, whole) : whole
      return Effect.matchCauseEffect(all, {
        onSuccess: () => conclude(() => Effect.succeed(handled)),
        onFailure: (cause) => {
          if (Cause.hasInterruptsOnly(cause)) return Effect.failCause(cause as Cause.Cause<never>)
          if (this.isUnsure(cause)) return Effect.succeed(entries.map(() => unsure))
          if (!isSplit) {
            return Effect.andThen(
              this.reportBatch(entries.length, cause),
              conclude((entry) => this.verdict(entry, cause, true))
            )
          }
          return Effect.as(this.reportSplit(entries.length, causes.values().next().value ?? cause), undone)
        }
      })
    })
  }

  private traced<A, E>(
    name: string,
    rows: ReadonlyArray<LogRow>,
    handling: Effect.Effect<A, E>
  ): Effect.Effect<A, E> {
    const links: Array<Tracer.SpanLink> = []
    for (const { trace } of rows) {
      if (trace === null) continue
      const publisher = HttpTraceContext.w3c(Headers.fromRecordUnsafe({ traceparent: trace }))
      if (Option.isSome(publisher)) links.push({ span: publisher.value, attributes: {} })
    }
    return Effect.withSpan(handling, name, {
      root: true,
      kind: "consumer",
      links,
      attributes: {
        "outbox.name": this.engine.name,
        "outbox.consumer": this.settings.name,
        "outbox.event_id": rows.length === 1 ? rows[0]!.id : rows.map(({ id }) => id)
      }
    })
  }

  /** Runs a handler and marks its entries as handled, in one transaction. The last entry is the furthest. */
  private inTransaction(
    entries: ReadonlyArray<Entry>,
    handling: Effect.Effect<unknown, unknown>
  ): Effect.Effect<void, unknown> {
    const { database } = this.engine
    const entry = entries.at(-1)!
    const { partition } = entry
    const { last } = this.engine.log
    const from = partition.storedPos
    const to = partition.moveOver(entry)
    const mark = (isMarked: boolean): void => {
      for (const entry of entries) entry.isMarked = isMarked
    }
    // If this is interrupted during the COMMIT, only this tells that the COMMIT took place.
    const committed = database.client.afterCommit(Effect.sync(() => {
      for (const entry of entries) entry.isCommitted = true
      partition.storedPos = to.pos
    }))
    // SQLite has one connection. A row of events would keep it from all others, so those that wait for it come first.
    const turn = database.isPostgres ? Effect.void : Effect.yieldNow
    return retryCollisions(Effect.flatMap(turn, () => {
      mark(false)
      return database.transact(Effect.andThen(
        handling,
        // The last statement: it fails if another process has taken the partition over.
        Effect.flatMap(
          Effect.tap(
            database.mark(this.engine.id, last, from, to, entry.isParked ? entry.seq : undefined),
            () => Effect.sync(() => mark(true))
          ),
          (isMarked) => isMarked ? committed : Effect.fail(new Fenced())
        )
      ))
    }))
  }

  /** Collisions and outages are no attempts. After a lost reply to a COMMIT only the stored position knows the outcome. */
  private isUnsure(cause: Cause.Cause<unknown>): boolean {
    if (!this.settings.isTransactional) return false
    const isFenced = cause.reasons.some((reason) => Cause.isFailReason(reason) && reason.error instanceof Fenced)
    return isFenced || isCollision(cause) || isOutage(cause)
  }

  /** Decides on a failure, and logs it: another attempt after a pause, or none. */
  private judge(entry: Entry, cause: Cause.Cause<unknown>): Effect.Effect<Outcome> {
    return Effect.flatMap(
      this.verdict(entry, cause),
      (outcome): Effect.Effect<Outcome> =>
        outcome._tag === "Failed"
          ? Effect.as(outcome.report, { ...outcome, report: Effect.void })
          : Effect.succeed(outcome)
    )
  }

  /** Decides on a failure. Its log line is written later, when it is known that the failure counts. */
  private verdict(entry: Entry, cause: Cause.Cause<unknown>, isReported = false): Effect.Effect<Outcome> {
    if (Cause.hasInterruptsOnly(cause)) return Effect.failCause(cause as Cause.Cause<never>)
    if (this.isUnsure(cause)) return Effect.succeed(unsure)
    const { settings } = this
    const attempts = entry.attempts + (entry.isAttemptSaved ? 0 : 1)
    const failure = cause.reasons.find(Cause.isFailReason)?.error
    const isDead = failure instanceof GiveUp || attempts >= settings.maxAttempts
    const pause = isDead
      ? Effect.succeed(0)
      : failure instanceof RetryAfter
      ? Effect.succeed(Math.ceil(Duration.toMillis(failure.delay)))
      : retryPause(settings.retry, attempts)
    return Effect.map(pause, (pause): Outcome => ({
      _tag: "Failed",
      cause,
      isDead,
      pause,
      report: isReported && !isDead ? Effect.void : this.report(entry, attempts, cause, isDead, pause)
    }))
  }

  private reportBatch(count: number, cause: Cause.Cause<unknown>): Effect.Effect<void> {
    return Effect.annotateLogs(
      Effect.logWarning(count === 1 ? "An event was not handled" : `A batch of ${count} events was not handled`, cause),
      { outbox: this.engine.name, consumer: this.settings.name }
    )
  }

  private reportSplit(count: number, cause: Cause.Cause<unknown>): Effect.Effect<void> {
    return Effect.annotateLogs(
      Effect.logWarning(`A batch of ${count} events was rolled back, and they are handled one by one`, cause),
      { outbox: this.engine.name, consumer: this.settings.name }
    )
  }

  private report(
    entry: Entry,
    attempt: number,
    cause: Cause.Cause<unknown>,
    isDead: boolean,
    pause: number
  ): Effect.Effect<void> {
    const logging = isDead
      ? Effect.logError("An event is given up: it is a dead letter", cause)
      : Effect.logWarning(
        `An event was not handled, and is tried again in ${Duration.format(Duration.millis(pause))}`,
        cause
      )
    return Effect.annotateLogs(logging, {
      outbox: this.engine.name,
      consumer: this.settings.name,
      kind: entry.row?.kind,
      id: entry.row?.id,
      attempt
    })
  }

  private ended(run: Run, exit: Exit.Exit<Outcome | ReadonlyArray<Outcome>>): void {
    const { entries } = run
    const isDropped = entries.some(({ partition }) => partition.isDropped)
    const isCommitted = entries[0]!.isCommitted
    // It was interrupted during the COMMIT, and nobody knows whether that took place.
    const isInDoubt = !isCommitted && entries[0]!.isMarked && Exit.isFailure(exit)
    if (Exit.isFailure(exit) && !isCommitted && !isInDoubt && !isDropped && (run.isTimedOut || !this.isClosing)) {
      // A handler that interrupts itself has not handled the event.
      const cause = run.isTimedOut
        ? Cause.fail(new TimedOut({ millis: this.settings.timeoutMillis }))
        : Cause.die(new Error("The handler interrupted itself"))
      run.isTimedOut = false
      this.observe(
        run,
        this.settings.batch === undefined
          ? this.judge(entries[0]!, cause)
          : this.settings.isTransactional && entries.length > 1
          ? Effect.as(this.reportSplit(entries.length, cause), entries.map(() => undoneOutcome))
          : Effect.andThen(
            this.reportBatch(entries.length, cause),
            Effect.forEach(entries, (entry) => this.verdict(entry, cause, true))
          )
      )
      return
    }
    run.fiber = undefined
    this.running--
    this.runs.delete(run)
    const outcomes = isCommitted ? handled : isInDoubt ? unsure : Exit.isSuccess(exit) ? exit.value : undefined
    for (let i = 0; i < entries.length; i++) {
      const entry = entries[i]!
      const { partition } = entry
      partition.running--
      const outcome = outcomes === undefined || "_tag" in outcomes ? outcomes : outcomes[i]
      if (outcome?._tag === "Undone") entry.isAlone = true
      if (partition.isDropped) this.lingered(partition.part)
      else if (outcome !== undefined && partition.isFirst(entry)) this.conclude(entry, outcome)
      // It was interrupted, or an entry in front of it in its chain was not handled.
      else partition.undo(entry)
      if (partition.isToBeWritten) this.engine.onDirty()
    }
    if (this.running === 0) this.onIdle?.()
    this.pump()
    this.engine.onProgress()
  }

  private conclude(entry: Entry, outcome: Outcome): void {
    const { partition } = entry
    if (outcome._tag !== "Unsure") this.unsureCount = 0
    if (outcome._tag === "Handled") {
      this.settings.tally.handled++
      partition.succeed(entry, this.settings.isTransactional)
      return
    }
    if (outcome._tag === "Retired") {
      partition.succeed(entry, false)
      return
    }
    if (outcome._tag === "Undone") {
      partition.undo(entry)
      return
    }
    if (outcome._tag === "Unserved") {
      partition.interrupted(entry)
      partition.blockedAt = entry.seq
      partition.isLeaving = true
      this.engine.onDirty()
      return
    }
    if (outcome._tag === "Unsure") {
      // The partition is taken again at once, then after growing pauses: a full disk may take a claim and nothing else.
      const pause = this.unsureCount === 0 ? 0 : Math.min(longestUnsure, 25 * 2 ** Math.min(this.unsureCount, 20))
      this.unsureCount++
      // Before the drop: in between the process would look idle.
      if (pause === 0) this.engine.onUnsure()
      this.drop(partition)
      if (pause > 0) {
        // A partition that lingers is not taken.
        this.lingering.set(partition.part, (this.lingering.get(partition.part) ?? 0) + 1)
        this.pausing++
        this.time(Effect.andThen(
          Effect.sleep(pause),
          Effect.sync(() => {
            this.pausing--
            this.lingered(partition.part)
          })
        ))
      }
      return
    }
    this.settings.tally.failed++
    if (outcome.report !== Effect.void) this.fork(outcome.report)
    if (!entry.isAttemptSaved) entry.attempts++
    // PostgreSQL stores no NUL, and no half of a surrogate pair, as where a message was cut in the middle of an emoji.
    const cause = describe(outcome.cause).replaceAll("\0", "").toWellFormed()
    if (outcome.isDead) partition.die(entry, cause)
    else partition.retry(entry, outcome.pause, cause)
  }

  private lingered(part: number): void {
    const left = (this.lingering.get(part) ?? 1) - 1
    if (left > 0) this.lingering.set(part, left)
    else {
      this.lingering.delete(part)
      this.engine.onUnsure()
    }
  }

  // ---------------------------------------------------------------------------
  // Time-outs
  // ---------------------------------------------------------------------------

  /** One timer for all handlers: whoever started first is the first whose time is up. */
  private watch(): void {
    if (this.isWatching || !Number.isFinite(this.settings.timeoutMillis)) return
    this.isWatching = true
    this.time(this.watching(this.settings.timeoutMillis))
  }

  private watching(millis: number): Effect.Effect<void> {
    return Effect.flatMap(Effect.sleep(millis), () => {
      const now = this.now()
      for (const run of this.runs) {
        const left = run.startedAt + this.settings.timeoutMillis - now
        if (left > 0) return this.watching(left)
        if (run.isTimedOut) continue
        run.isTimedOut = true
        run.fiber?.interruptUnsafe()
      }
      this.isWatching = false
      return Effect.void
    })
  }

  // ---------------------------------------------------------------------------
  // Closing
  // ---------------------------------------------------------------------------

  /** Starts nothing more, and waits for the handlers for as long as `drain` says. Then interrupts them. */
  readonly close: Effect.Effect<void> = Effect.suspend(() => {
    const interrupt = Effect.sync(() => {
      for (const { fiber } of this.runs) fiber?.interruptUnsafe()
    })
    const idle = inTurn((resume) => {
      if (this.running === 0) resume()
      else this.onIdle = resume
      return undefined
    })
    const endTimers = Effect.sync(() => {
      for (const timer of this.timers) timer.interruptUnsafe()
    })
    const { drain } = this.settings
    const ended = Effect.andThen(interrupt, idle)
    return Effect.andThen(
      drain === undefined ? ended : Effect.andThen(Effect.timeoutOption(idle, drain), ended),
      endTimers
    )
  })

  get isIdle(): boolean {
    if (this.running > 0 || this.pausing > 0 || this.isReading || this.hungry().length > 0) return false
    for (const partition of this.partitions.values()) if (!partition.isIdle) return false
    return true
  }
}

const handled: Outcome = { _tag: "Handled" }
const unsure: Outcome = { _tag: "Unsure" }
const undoneOutcome: Outcome = { _tag: "Undone" }
