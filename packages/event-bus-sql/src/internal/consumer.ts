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
  Option,
  type Schedule,
  Tracer
} from "effect"
import * as Headers from "effect/http/Headers"
import * as HttpTraceContext from "effect/http/HttpTraceContext"
import type { Delivery } from "../Outbox.ts"
import { retryCollisions } from "./collisions.ts"
import type { ConsumerRow, Database, LogRow, Taken } from "./database.ts"
import type { Log } from "./log.ts"
import type { Tally } from "./metrics.ts"
import { describe, isCollision, isOutage } from "./outage.ts"
import { type Entry, type Host, type Order, Partition } from "./partition.ts"
import { retryPause } from "./retryPause.ts"
import { inTurn, Signal } from "./signal.ts"
import { Fenced, GiveUp, RetryAfter, TimedOut, Undecodable } from "./verdict.ts"

const pageSize = 500

/** How often the position moves of a consumer that meets no event of its own. */
const touchMillis = 10_000

/** The longest pause after which a partition is taken again of whose events nothing is known, in milliseconds. */
const longestUnsure = 5_000

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
  readonly handle: (event: EventBus.AnyEvent, delivery: Delivery) => Effect.Effect<unknown, unknown>
}

/** What the process does for its consumers. */
export interface Engine {
  readonly name: string
  readonly database: Database
  readonly log: Log
  /** The id under which this process has its lease. */
  readonly processId: () => string
  readonly decode: (row: LogRow) => EventBus.AnyEvent
  /** Runs an effect on the database until it succeeds. */
  readonly persist: <A>(effect: Effect.Effect<A, unknown>) => Effect.Effect<A>
  readonly onDirty: () => void
  /** Who owns what has to be looked at again. */
  readonly onUnsure: () => void
  /** Something has ended. */
  readonly onProgress: () => void
}

type Outcome =
  | { readonly _tag: "Handled" }
  | { readonly _tag: "Failed"; readonly cause: Cause.Cause<unknown>; readonly isDead: boolean; readonly pause: number }
  /** Nothing is known of it: the partition has to be read again. */
  | { readonly _tag: "Unsure" }
  /** It was parked by a process that serves its kind, which this one does not. */
  | { readonly _tag: "Unserved" }
  /** It was parked, and its kind has been retired since. */
  | { readonly _tag: "Retired" }

export class Consumer implements Host {
  readonly settings: ConsumerSettings
  readonly partitions = new Map<number, Partition>()
  /** Partitions that this process will not take: the position at which it met a kind that it does not serve. */
  readonly blocked = new Map<number, number>()
  /** How many handlers of a partition that was dropped still run. */
  readonly lingering = new Map<number, number>()
  readonly feed = new Signal()
  isClosing = false
  /** The kinds that the consumer is registered for, wherever it is served, and where they start. */
  kinds: ReadonlyMap<string, number>
  private generation = -1
  private readonly partitionCount: number
  running = 0
  private isReading = false
  private isPumping = false
  private readonly engine: Engine
  private readonly context: Context.Context<never>
  private readonly fork: (effect: Effect.Effect<unknown, unknown>) => Fiber.Fiber<unknown, unknown>
  private readonly clock: Clock.Clock
  private readonly runningEntries = new Set<Entry>()
  private readonly timers = new Set<Fiber.Fiber<unknown, unknown>>()
  private isWatching = false
  private onIdle: (() => void) | undefined = undefined
  private lastPart = 0
  /** How often in a row nothing was known of what a handler did. */
  private unsureCount = 0
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
    for (const entry of this.runningEntries) if (entry.partition === partition) entry.fiber?.interruptUnsafe()
    this.engine.onProgress()
  }

  dropAll(): void {
    for (const partition of Array.from(this.partitions.values())) this.drop(partition)
  }

  /** What the consumer's row says as of a generation. Another version of the application may have changed it. */
  learn(row: ConsumerRow, generation: number): void {
    // Two statements may return in another order than the one in which they were sent.
    if (generation < this.generation) return
    this.generation = generation
    const known = this.kinds
    this.kinds = new Map(Object.entries(row.kinds))
    const isChanged = known.size !== this.kinds.size || Array.from(known.keys()).some((kind) => !this.kinds.has(kind))
    if (isChanged) this.blocked.clear()
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

  /** Moves positions that have moved past events of other kinds, now and then. */
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

  /** Runs what waits for a time. It ends with the consumer: a timer that is left would keep the process from ending. */
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
      // Kinds that are learned from now on start behind this horizon.
      const { horizon } = this.engine.log
      const kinds = Array.from(this.kinds.keys())
      const { rows, upTo } = yield* this.engine.persist(this.engine.log.read(after, horizon, kinds, pageSize))
      this.dispatch(hungry, rows, upTo)
      this.isReading = false
      this.engine.onProgress()
    }
  })

  private hungry(): Array<Partition> {
    const hungry: Array<Partition> = []
    const { horizon } = this.engine.log
    for (const partition of this.partitions.values()) {
      if (partition.wantsEvents && partition.readPos < horizon) hungry.push(partition)
    }
    return hungry
  }

  private dispatch(hungry: ReadonlyArray<Partition>, rows: ReadonlyArray<LogRow>, upTo: number): void {
    const open = new Map<number, Partition>()
    for (const partition of hungry) if (partition.wantsEvents) open.set(partition.part, partition)
    for (const row of rows) {
      const part = row.slot % this.partitionCount
      const partition = open.get(part)
      if (partition === undefined || row.seq <= partition.readPos) continue
      if (row.seq <= (this.kinds.get(row.kind) ?? Infinity)) continue
      if (!this.settings.kinds.includes(row.kind)) {
        // Somebody else's, of another version of the application.
        partition.readPos = row.seq - 1
        open.delete(part)
        this.block(partition, row.seq)
        continue
      }
      partition.offer(row)
      if (!partition.wantsEvents) open.delete(part)
    }
    for (const partition of open.values()) {
      if (partition.isDropped || partition.readPos >= upTo) continue
      partition.readPos = upTo
      // The position of a consumer that meets no event of its own moves now and then.
      if (upTo - partition.storedPos > pageSize) partition.touch()
    }
    this.pump()
  }

  /** Gives a partition up that has met an event of a kind that this process does not serve. */
  private block(partition: Partition, seq: number): void {
    partition.blockedAt = seq
    partition.isLeaving = true
    this.engine.onDirty()
  }

  // ---------------------------------------------------------------------------
  // Running
  // ---------------------------------------------------------------------------

  readonly onReady = (): void => this.pump()

  private pump(): void {
    // A handler that ends at once would call it again from inside.
    if (this.isPumping) return
    this.isPumping = true
    while (!this.isClosing && this.running < this.settings.concurrency) {
      const entry = this.nextEntry()
      if (entry === undefined) break
      this.start(entry)
    }
    this.isPumping = false
    if (!this.isReading && this.hungry().length > 0) this.feed.raise()
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

  private start(entry: Entry): void {
    this.running++
    entry.startedAt = this.now()
    this.runningEntries.add(entry)
    this.watch()
    this.observe(entry, this.run(entry))
  }

  private observe(entry: Entry, running: Effect.Effect<Outcome>): void {
    const fiber = this.fork(running)
    entry.fiber = fiber
    fiber.addObserver((exit) => this.ended(entry, exit as Exit.Exit<Outcome>))
  }

  private now(): number {
    return Number(this.clock.monotonicTimeNanosUnsafe() / 1_000_000n)
  }

  private run(entry: Entry): Effect.Effect<Outcome> {
    const attempt = entry.row === undefined
      ? Effect.flatMap(
        this.engine.persist(this.engine.database.readRows([entry.seq])),
        ([row]): Effect.Effect<Outcome, unknown> => {
          entry.row = row
          if (!this.settings.kinds.includes(row!.kind)) {
            return Effect.succeed({ _tag: this.kinds.has(row!.kind) ? "Unserved" : "Retired" })
          }
          return this.attempt(entry)
        }
      )
      : this.attempt(entry)
    return Effect.catchCause(attempt, (cause) => this.judge(entry, cause))
  }

  private attempt(entry: Entry): Effect.Effect<Outcome, unknown> {
    const row = entry.row!
    const handling = Effect.suspend(() => {
      let event: EventBus.AnyEvent
      try {
        event = this.engine.decode(row)
      } catch (cause) {
        return Effect.fail(new Undecodable({ kind: row.kind, cause }))
      }
      return this.settings.handle(event, {
        id: row.id,
        attempt: entry.attempts + (entry.isAttemptSaved ? 0 : 1),
        publishedAt: DateTime.makeUnsafe(row.publishedAt),
        consumer: this.settings.name,
        isRequeued: entry.isRequeued
      })
    })
    const traced = row.trace === null ? handling : this.traced(row, row.trace, handling)
    return Effect.as(this.settings.isTransactional ? this.inTransaction(entry, traced) : traced, handled)
  }

  private traced<A, E>(row: LogRow, trace: string, handling: Effect.Effect<A, E>): Effect.Effect<A, E> {
    const publisher = HttpTraceContext.w3c(Headers.fromRecordUnsafe({ traceparent: trace }))
    return Effect.withSpan(handling, `process ${row.kind}`, {
      root: true,
      kind: "consumer",
      links: Option.isSome(publisher) ? [{ span: publisher.value, attributes: {} }] : [],
      attributes: { "outbox.name": this.engine.name, "outbox.consumer": this.settings.name, "outbox.event_id": row.id }
    })
  }

  private inTransaction(entry: Entry, handling: Effect.Effect<unknown, unknown>): Effect.Effect<void, unknown> {
    const { database } = this.engine
    const { partition } = entry
    const from = partition.storedPos
    const to = partition.moveOver(entry)
    return Effect.map(
      retryCollisions(database.transact(Effect.andThen(
        handling,
        // The last statement: whoever took the partition over meanwhile is not overtaken.
        Effect.flatMap(
          database.mark(this.engine.processId(), from, to, entry.isParked ? entry.seq : undefined),
          (isMarked) => isMarked ? Effect.void : Effect.fail(new Fenced())
        )
      ))),
      () => {
        partition.storedPos = to.pos
      }
    )
  }

  /** What a failure means: another attempt, after which pause, or none. */
  private judge(entry: Entry, cause: Cause.Cause<unknown>): Effect.Effect<Outcome> {
    if (Cause.hasInterruptsOnly(cause)) return Effect.failCause(cause as Cause.Cause<never>)
    const { settings } = this
    if (settings.isTransactional) {
      // Collisions and outages are no attempts. Whether a COMMIT whose answer was lost took place, the position says.
      const isFenced = cause.reasons.some((reason) => Cause.isFailReason(reason) && reason.error instanceof Fenced)
      if (isFenced || isCollision(cause) || isOutage(cause)) return Effect.succeed({ _tag: "Unsure" })
    }
    const attempts = entry.attempts + (entry.isAttemptSaved ? 0 : 1)
    const verdict = cause.reasons.find(Cause.isFailReason)?.error
    const isDead = verdict instanceof GiveUp || attempts >= settings.maxAttempts
    const pause = isDead
      ? Effect.succeed(0)
      : verdict instanceof RetryAfter
      ? Effect.succeed(Math.ceil(Duration.toMillis(verdict.delay)))
      : retryPause(settings.retry, attempts)
    return Effect.flatMap(
      pause,
      (pause) =>
        Effect.as(this.report(entry, attempts, cause, isDead, pause), { _tag: "Failed", cause, isDead, pause } as const)
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

  private ended(entry: Entry, exit: Exit.Exit<Outcome>): void {
    const { partition } = entry
    if (Exit.isFailure(exit) && !partition.isDropped && (entry.isTimedOut || !this.isClosing)) {
      // A handler that interrupts itself has not handled the event.
      const cause = entry.isTimedOut
        ? Cause.fail(new TimedOut({ millis: this.settings.timeoutMillis }))
        : Cause.die(new Error("The handler interrupted itself"))
      entry.isTimedOut = false
      this.observe(entry, this.judge(entry, cause))
      return
    }
    entry.fiber = undefined
    this.running--
    this.runningEntries.delete(entry)
    partition.running--
    if (partition.isDropped) this.lingered(partition.part)
    else if (Exit.isSuccess(exit)) this.conclude(entry, exit.value)
    else partition.interrupted(entry)
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
    if (outcome._tag === "Unserved") {
      partition.interrupted(entry)
      this.block(partition, entry.seq)
      return
    }
    if (outcome._tag === "Unsure") {
      // At once, then after growing pauses: a disk that is full takes the small writes of a claim, and no others.
      const pause = this.unsureCount === 0 ? 0 : Math.min(longestUnsure, 25 * 2 ** Math.min(this.unsureCount, 20))
      this.unsureCount++
      // Before it is dropped: nobody may take the process for idle in between.
      if (pause === 0) this.engine.onUnsure()
      this.drop(partition)
      if (pause > 0) {
        // Not to be taken before that.
        this.lingering.set(partition.part, (this.lingering.get(partition.part) ?? 0) + 1)
        this.time(Effect.andThen(Effect.sleep(pause), Effect.sync(() => this.lingered(partition.part))))
      }
      return
    }
    this.settings.tally.failed++
    if (!entry.isAttemptSaved) entry.attempts++
    const cause = describe(outcome.cause).replaceAll("\0", "")
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

  /** One timer for all handlers: they started in the order in which their time is up. */
  private watch(): void {
    if (this.isWatching || !Number.isFinite(this.settings.timeoutMillis)) return
    this.isWatching = true
    this.time(this.watching(this.settings.timeoutMillis))
  }

  private watching(millis: number): Effect.Effect<void> {
    return Effect.flatMap(Effect.sleep(millis), () => {
      const now = this.now()
      for (const entry of this.runningEntries) {
        const left = entry.startedAt + this.settings.timeoutMillis - now
        if (left > 0) return this.watching(left)
        if (entry.isTimedOut) continue
        entry.isTimedOut = true
        entry.fiber?.interruptUnsafe()
      }
      this.isWatching = false
      return Effect.void
    })
  }

  // ---------------------------------------------------------------------------
  // Closing
  // ---------------------------------------------------------------------------

  /** Starts nothing more, and ends when no handler runs: at once, or after as long as they are given. */
  readonly close: Effect.Effect<void> = Effect.suspend(() => {
    this.isClosing = true
    const interrupt = Effect.sync(() => {
      for (const { fiber } of this.runningEntries) fiber?.interruptUnsafe()
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
    if (this.running > 0 || this.isReading || this.hungry().length > 0) return false
    for (const partition of this.partitions.values()) if (!partition.isIdle) return false
    return true
  }
}

const handled: Outcome = { _tag: "Handled" }
