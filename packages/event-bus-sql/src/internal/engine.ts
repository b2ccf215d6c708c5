/**
 * What runs in the background of an outbox in one process: it renews the lease, reads the log, writes positions for all
 * consumers, and takes or gives up partitions.
 */
import type { EventBus } from "@openwatch/event-bus"
import { type Context, Duration, Effect, type Scope, Semaphore } from "effect"
import { uuidV4Unsafe } from "effect/crypto/SecureRandom"
import type * as SqlError from "effect/sql/SqlError"
import { retryCollisions } from "./collisions.ts"
import { Consumer, type ConsumerSettings, type Engine as ConsumerEngine } from "./consumer.ts"
import type { ConsumerRow, Database, LogRow, Member, Move, Park, PositionRow, Unpark } from "./database.ts"
import { watchCommits } from "./fileWatch.ts"
import { Log } from "./log.ts"
import { monotonicMillis, type Outages, waitOut } from "./outages.ts"
import type { Partition } from "./partition.ts"
import { inTurn, Signal } from "./signal.ts"
import { Silence } from "./silence.ts"

export interface EngineSettings {
  readonly name: string
  /** What was committed is published on the bus. */
  readonly isLive: boolean
  readonly pollMillis: number
  readonly leaseMillis: number
  readonly retentionMillis: number
  /** A consumer that nobody has served for so long is removed. */
  readonly expiryMillis: number
  /** No other process has this name while this one runs. */
  readonly process: string | undefined
  /** What the process knows of the outages of the database. */
  readonly outages: Outages
  /** The channel on which processes tell each other of commits. */
  readonly channel: string
}

/** In a notification: the owners of partitions have changed. */
const changed = "changed"

/** How often old events are deleted. */
const housekeepingInterval = "5 minutes"

/** How many events are deleted at a time. */
const sweepSize = 1_000

const dayMillis = 86_400_000

/** What an outbox does for itself, many times a second, is no trace that anybody looks for. */
const untraced = Effect.withTracerEnabled(false)

export class Engine implements ConsumerEngine, Member {
  readonly name: string
  readonly database: Database
  readonly log: Log
  readonly decode: (row: LogRow) => EventBus.AnyEvent
  readonly consumers = new Map<string, Consumer>()
  /** Those that are being registered. The database may know of them before this process does. */
  private readonly registering = new Set<string>()
  /** Those that it does not serve any more, although the database may still say so. */
  private readonly leaving = new Set<string>()
  private readonly settings: EngineSettings
  private readonly onEvents: (rows: ReadonlyArray<LogRow>) => void
  private readonly read = new Signal()
  private readonly dirty = new Signal()
  private readonly unsure = new Signal()
  private readonly tell = new Signal()
  /** PostgreSQL: whether it still replies. */
  private readonly silence: Silence
  id: string
  private generation = -1
  /** The kinds of the consumers were read in this generation or later. */
  private learnedGeneration = -1
  private processes = 1
  private hasChanged = false
  private isRebalancing = false
  private isUnsure = false
  /** The last look was not enough: a transaction held a partition, or what became of a dead letter was not clear yet. */
  private isShort = false
  /** A look at dead letters met one whose last change is not written yet. */
  private isBeforeWriting = false
  private isReading = false
  /** Until then, by the monotonic clock, nobody else takes what this process owns. */
  private validUntil = 0
  /** SQLite: the counters of the other processes, and since when they have not moved. */
  private readonly beats = new Map<string, { readonly beat: number; readonly since: number }>()
  private warnedAt = -Infinity
  private idleWaiters: Array<() => void> = []
  /**
   * Taking partitions and giving them up exclude each other. A partition is given up in memory first, in the database
   * second. Whoever looked for partitions in between would find it unused, and take it back.
   */
  private readonly turn = Semaphore.makeUnsafe(1)

  constructor(
    database: Database,
    settings: EngineSettings,
    decode: (row: LogRow) => EventBus.AnyEvent,
    onEvents: (rows: ReadonlyArray<LogRow>) => void
  ) {
    this.database = database
    this.settings = settings
    this.silence = new Silence(settings.leaseMillis)
    this.name = settings.name
    this.id = this.newId()
    this.decode = decode
    this.onEvents = onEvents
    this.log = new Log(
      database,
      this.learn,
      (rows) => {
        this.onEvents(rows)
        for (const consumer of this.consumers.values()) consumer.feed.raise()
      },
      () => settings.isLive || this.consumers.size > 0,
      () => {
        for (const consumer of this.consumers.values()) consumer.dropAll()
        this.onUnsure()
      }
    )
  }

  get serving(): ReadonlyArray<string> {
    const served = Array.from(this.consumers.values()).filter(({ isClosing }) => !isClosing)
    return [...served.map(({ settings }) => settings.name), ...this.registering]
  }

  get left(): ReadonlyArray<string> {
    return Array.from(this.leaving)
  }

  /** If the process has a name, its ids begin with this, and so did those of its predecessors of that name. */
  private get idPrefix(): string | undefined {
    const { process } = this.settings
    return process === undefined ? undefined : `${process}/`
  }

  private newId(): string {
    return `${this.idPrefix ?? ""}${uuidV4Unsafe()}`
  }

  // ---------------------------------------------------------------------------
  // Life
  // ---------------------------------------------------------------------------

  /** Joins, and runs until the scope closes. */
  readonly start: Effect.Effect<void, SqlError.SqlError, Scope.Scope> = Effect.gen({ self: this }, function*() {
    yield* untraced(retryCollisions(this.log.open))
    const sentAt = yield* this.now
    yield* untraced(retryCollisions(this.database.join(this, this.idPrefix)))
    this.validUntil = sentAt + this.patience
    yield* Effect.forkScoped(Effect.forever(this.renewing))
    yield* Effect.forkScoped(Effect.forever(this.watching))
    yield* Effect.forkScoped(Effect.forever(this.keepingHouse))
    yield* Effect.forkScoped(Effect.forever(Effect.andThen(this.read.wait, this.advancing)))
    yield* Effect.forkScoped(Effect.forever(Effect.andThen(this.dirty.wait, this.settling)))
    yield* Effect.forkScoped(Effect.forever(Effect.andThen(this.unsure.wait, this.rebalancing)))
    if (this.database.isPostgres) {
      yield* Effect.forkScoped(Effect.forever(Effect.andThen(this.tell.wait, this.telling)))
      yield* this.database.listen(this.settings.channel, (payload) => {
        const [sender, what] = payload.split(" ")
        if (sender === this.id) return
        this.read.raise()
        // Without a payload: it has just begun to listen, and may have missed some.
        if (what === changed || payload === "") this.onUnsure()
      }, this.listening)
    } else {
      yield* watchCommits(this.database, this.persist, this.peeking)
    }
    // Finalizers run in reverse: the fibers above still write what the consumers have handled.
    yield* Effect.addFinalizer(() =>
      Effect.andThen(
        Effect.forEach(Array.from(this.consumers.values()), (consumer) => this.close(consumer), {
          concurrency: "unbounded",
          discard: true
        }),
        this.patiently(
          this.persist(Effect.andThen(this.log.store, Effect.suspend(() => this.database.quit(this.id))))
        )
      )
    )
  })

  private readonly now = monotonicMillis

  /** Handlers are interrupted so long after the last renewal was sent. Shorter than the lease, so that they end before it. */
  private get patience(): number {
    return this.settings.leaseMillis * 0.8
  }

  /**
   * A step of closing. It is waited for, but not long if the database is away already. What is not written then is left to
   * the lease, which ends by itself.
   */
  private patiently(step: Effect.Effect<void>): Effect.Effect<void> {
    return Effect.suspend(() =>
      Effect.asVoid(Effect.timeoutOption(step, this.settings.outages.isAway ? "1 second" : "5 seconds"))
    )
  }

  /** Runs an effect on the database until it succeeds, with growing pauses. It is no part of anybody's trace. */
  readonly persist = <A>(effect: Effect.Effect<A, unknown>): Effect.Effect<A> =>
    this.waitOut(this.database.isPostgres ? this.silence.impatiently(effect) : effect)

  /** PostgreSQL: runs what has no end, again whenever its connection is lost. */
  private readonly listening = (effect: Effect.Effect<never, unknown>): Effect.Effect<never> =>
    this.waitOut(this.silence.impatiently(effect, true))

  private waitOut<A>(effect: Effect.Effect<A, unknown>): Effect.Effect<A> {
    return untraced(waitOut(this.settings.outages, effect, () => true) as Effect.Effect<A>)
  }

  private annotated(logging: Effect.Effect<void>): Effect.Effect<void> {
    return Effect.annotateLogs(logging, { outbox: this.name })
  }

  // ---------------------------------------------------------------------------
  // The lease
  // ---------------------------------------------------------------------------

  private readonly renewing: Effect.Effect<void> = Effect.suspend(() =>
    Effect.andThen(this.renew, Effect.sleep(this.settings.pollMillis))
  )

  private readonly renew: Effect.Effect<void> = Effect.gen({ self: this }, function*() {
    const renewal = Effect.flatMap(
      this.now,
      (sentAt) => Effect.map(this.database.beat(this.id, this.log.last), (beat) => ({ beat, sentAt }))
    )
    const { beat, sentAt } = yield* this.database.isPostgres
      ? Effect.raceFirst(
        this.persist(renewal),
        Effect.forever(
          Effect.andThen(Effect.sleep(this.silence.millis), Effect.map(this.now, (now) => this.silence.suspect(now)))
        )
      )
      : this.persist(renewal)
    if (beat.isRenewed) this.validUntil = sentAt + this.patience
    else yield* this.rejoin
    if (!beat.isContinued) yield* this.persist(this.log.rewind)
    this.processes = beat.processes
    if (beat.head > this.log.horizon) this.read.raise()
    const now = yield* this.now
    this.silence.calm(now)
    if (this.countBeats(beat.beats, now) || beat.hasExpired || beat.generation !== this.generation) {
      this.generation = beat.generation
      this.onUnsure()
    }
    for (const consumer of this.consumers.values()) consumer.tick(now)
  })

  /** The lease has ended, and others may own what this process did. It begins anew, under another id. */
  private readonly rejoin: Effect.Effect<void> = Effect.gen({ self: this }, function*() {
    for (const consumer of this.consumers.values()) consumer.dropAll()
    this.id = this.newId()
    const sentAt = yield* this.now
    yield* this.persist(this.database.join(this, undefined))
    this.validUntil = sentAt + this.patience
    this.onUnsure()
  })

  /** SQLite: true where the counter of another process has not moved for a whole lease. */
  private countBeats(beats: ReadonlyMap<string, number>, now: number): boolean {
    for (const id of this.beats.keys()) if (!beats.has(id)) this.beats.delete(id)
    for (const [id, beat] of beats) {
      if (id !== this.id && this.beats.get(id)?.beat !== beat) this.beats.set(id, { beat, since: now })
    }
    return this.expired(now).size > 0
  }

  private expired(now: number): ReadonlyMap<string, number> {
    const expired = new Map<string, number>()
    for (const [id, { beat, since }] of this.beats) {
      if (now - since >= this.settings.leaseMillis) expired.set(id, beat)
    }
    return expired
  }

  /** Interrupts the handlers of a process that cannot renew its lease, before another may take its events. */
  private readonly watching: Effect.Effect<void> = Effect.gen({ self: this }, function*() {
    const left = this.validUntil - (yield* this.now)
    if (left > 0) yield* Effect.sleep(left)
    else {
      for (const consumer of this.consumers.values()) consumer.dropAll()
      yield* Effect.sleep(this.settings.pollMillis)
      this.onUnsure()
    }
  })

  // ---------------------------------------------------------------------------
  // The log
  // ---------------------------------------------------------------------------

  /** Something was committed in this process. */
  readonly published = (): void => {
    // The others first: it takes them longer.
    if (this.processes > 1) this.tell.raise()
    this.read.raise()
  }

  /**
   * Brings the kinds of the consumers up to date before rows are taken. Another process may have just registered a kind that
   * this one does not serve, and its events must not be passed over.
   */
  private readonly learn = (generation: number): Effect.Effect<void, SqlError.SqlError> =>
    Effect.suspend(() => {
      if (generation === this.learnedGeneration) return Effect.void
      const names = Array.from(this.consumers.keys())
      if (names.length === 0) return Effect.void
      return Effect.map(this.database.readConsumers(names), (learned) => {
        for (const row of learned.rows) this.consumers.get(row.name)?.learn(row, learned.generation)
        this.learnedGeneration = learned.generation
      })
    })

  private readonly advancing: Effect.Effect<void> = Effect.gen({ self: this }, function*() {
    this.isReading = true
    let pause = 2
    while (yield* this.persist(this.log.advance)) {
      yield* Effect.raceFirst(Effect.sleep(pause), this.read.wait)
      pause = Math.min(2 * pause, this.settings.pollMillis)
    }
    this.isReading = false
    this.onProgress()
  })

  /** Another process has committed something. */
  private readonly peeking: Effect.Effect<void> = Effect.suspend(() =>
    Effect.map(this.persist(this.database.peek), ({ generation, head }) => {
      if (head > this.log.horizon) this.read.raise()
      if (generation !== this.generation) {
        this.generation = generation
        this.onUnsure()
      }
    })
  )

  /** One notification for as many commits as there were while the last one was on its way. */
  private readonly telling: Effect.Effect<void> = Effect.suspend(() => {
    const payload = this.hasChanged ? `${this.id} ${changed}` : this.id
    this.hasChanged = false
    return this.persist(this.database.notify(this.settings.channel, payload))
  })

  /** Tells the others to look at who owns what. */
  private tellChange(): void {
    this.hasChanged = true
    this.tell.raise()
  }

  // ---------------------------------------------------------------------------
  // Writing
  // ---------------------------------------------------------------------------

  readonly onDirty = (): void => this.dirty.raise()

  /** Writes what all consumers have handled, in one statement. */
  private readonly settling: Effect.Effect<void> = Effect.gen({ self: this }, function*() {
    const changed: Array<{
      readonly consumer: Consumer
      readonly partition: Partition
      readonly pos: number
      readonly parks: ReadonlyArray<Park>
    }> = []
    const moves: Array<Move> = []
    const parks: Array<Park> = []
    const unparks: Array<Unpark> = []
    for (const consumer of this.consumers.values()) {
      for (const partition of consumer.partitions.values()) {
        if (!partition.isToBeWritten) continue
        const changes = partition.takeChanges()
        moves.push(changes.move)
        for (const park of changes.parks) parks.push(park)
        for (const unpark of changes.unparks) unparks.push(unpark)
        changed.push({ consumer, partition, pos: changes.move.pos, parks: changes.parks })
      }
    }
    if (changed.length > 0) {
      const { last } = this.log
      const owned = new Set(
        (yield* this.persist(Effect.suspend(() => this.database.settle(this.id, last, moves, parks, unparks)))).map(
          ({ consumer, epoch, part }) => `${part} ${epoch} ${consumer}`
        )
      )
      for (const { consumer, parks, partition, pos } of changed) {
        if (partition.isDropped) continue
        if (owned.has(`${partition.part} ${partition.epoch} ${consumer.settings.name}`)) partition.settled(pos, parks)
        else {
          this.onUnsure()
          consumer.drop(partition)
        }
      }
    }
    // Now it is.
    if (this.isBeforeWriting) this.onUnsure()
    for (const consumer of this.consumers.values()) {
      if (!consumer.isClosing) yield* this.giveUp(consumer)
    }
    this.onProgress()
  })

  /** Gives up the partitions that are leaving and have nothing left to run or to write. */
  private giveUp(consumer: Consumer): Effect.Effect<void> {
    const leaving = (): ReadonlyArray<Partition> =>
      Array.from(consumer.partitions.values()).filter((partition) => partition.leavesNow() && partition.withdraw())
    const release = Effect.suspend(() => {
      const left = leaving()
      if (left.length === 0) return Effect.void
      for (const partition of left) {
        if (partition.blockedAt !== undefined) consumer.blocked.set(partition.part, partition.storedPos)
        consumer.drop(partition)
      }
      const parts = left.map(({ part }) => part)
      return Effect.map(this.persist(this.database.release(this.id, consumer.settings.name, parts)), () => {
        this.tellChange()
      })
    })
    return Effect.suspend(() => leaving().length === 0 ? Effect.void : this.turn.withPermit(release))
  }

  // ---------------------------------------------------------------------------
  // Who owns what
  // ---------------------------------------------------------------------------

  readonly onUnsure = (): void => {
    this.isUnsure = true
    this.unsure.raise()
  }

  private readonly rebalancing: Effect.Effect<void> = Effect.suspend(() =>
    this.turn.withPermit(Effect.andThen(this.signOff, this.rebalance))
  )

  /** Tells the database which consumers this process no longer serves. */
  private readonly signOff: Effect.Effect<void> = Effect.suspend(() =>
    this.leaving.size === 0 ? Effect.void : Effect.map(this.persist(this.database.leave(this)), (left) => {
      for (const name of left) this.leaving.delete(name)
      this.tellChange()
    })
  )

  private readonly rebalance: Effect.Effect<void> = Effect.gen({ self: this }, function*() {
    this.isUnsure = false
    this.isBeforeWriting = false
    this.isRebalancing = true
    let wanted = 0
    const expired = this.expired(yield* this.now)
    let outdated: Array<{ readonly consumer: Consumer; readonly why: string }> = []
    const { process, taken } = yield* this.persist(Effect.suspend(() => {
      wanted = 0
      outdated = []
      return this.database.rebalance(this, expired, (name, row, generation, positions, members) => {
        const consumer = this.consumers.get(name)
        if (consumer === undefined || consumer.isClosing) return []
        if (row === undefined || row.replacedBy !== null || row.ordering !== consumer.order) {
          const why = row === undefined
            ? "it was removed"
            : row.replacedBy !== null
            ? `it was replaced by "${row.replacedBy}"`
            : `another has served it with another order than "${consumer.order}"`
          outdated.push({ consumer, why })
          return []
        }
        consumer.learn(row, generation)
        const chosen = this.choose(consumer, positions, members)
        wanted += chosen.length
        return chosen
      })
    }))
    for (const { consumer, why } of outdated) {
      yield* this.annotated(Effect.logError(
        `The consumer "${consumer.settings.name}" is not served here any more: while this process had no lease, ${why}`
      ))
      yield* Effect.forkDetach(this.close(consumer))
    }
    // The lease may have ended since.
    const isOwner = process === this.id && (yield* this.now) < this.validUntil
    for (const one of isOwner ? taken : []) {
      const consumer = this.consumers.get(one.position.consumer)
      if (consumer !== undefined && !consumer.isClosing) consumer.take(one)
    }
    const isSeen = yield* this.lookAtDead
    this.isRebalancing = false
    // A transaction held something, or has yet to write it.
    this.isShort = !isOwner || taken.length < wanted || !isSeen
    if (this.isShort) yield* Effect.forkDetach(Effect.andThen(Effect.sleep(100), Effect.sync(this.onUnsure)))
    this.onProgress()
  })

  /** Finds out which dead letters were requeued or discarded, in any process. False if that is not clear for some. */
  private readonly lookAtDead: Effect.Effect<boolean> = Effect.gen({ self: this }, function*() {
    const names = Array.from(this.consumers.keys())
    if (names.length === 0) return true
    for (const row of yield* this.persist(this.database.readRequeued(names))) {
      if (this.consumers.get(row.consumer)?.partitions.get(row.part)?.requeue(row) === false) {
        this.isBeforeWriting = true
      }
    }
    for (const [name, consumer] of this.consumers) {
      if (!consumer.holdsBehindDead) continue
      for (const partition of Array.from(consumer.partitions.values())) {
        const { holding } = partition
        if (holding.length === 0) continue
        const left = yield* this.persist(this.database.stillParked(name, holding))
        if (partition.isDropped) continue
        for (const seq of holding) if (!left.has(seq)) partition.discard(seq)
      }
    }
    return !this.isBeforeWriting
  })

  private choose(
    consumer: Consumer,
    positions: ReadonlyArray<PositionRow>,
    members: number
  ): ReadonlyArray<number> {
    const share = Math.ceil(positions.length / members)
    const mine: Array<number> = []
    const free: Array<number> = []
    let owned = 0
    for (const { epoch, owner, part, pos } of positions) {
      const held = consumer.partitions.get(part)
      if (held !== undefined && (owner !== this.id || epoch !== held.epoch)) consumer.drop(held)
      const isHeld = consumer.partitions.has(part)
      if (isHeld && !consumer.partitions.get(part)!.isLeaving) owned++
      if (isHeld || consumer.lingering.has(part) || consumer.blocked.get(part) === pos) continue
      consumer.blocked.delete(part)
      if (owner === this.id) mine.push(part)
      else if (owner === null) free.push(part)
    }
    const surplus = owned + mine.length - share
    if (surplus > 0) consumer.leave(surplus)
    return mine.concat(free.slice(0, Math.max(0, share - owned - mine.length)))
  }

  /** Starts to serve a consumer. */
  serve<E>(
    settings: ConsumerSettings,
    context: Context.Context<never>,
    replaces: string | undefined,
    refuse: (why: string) => Effect.Effect<never, E>,
    decide: (
      row: ConsumerRow | undefined,
      start: number,
      isServed: Effect.Effect<boolean, SqlError.SqlError>
    ) => Effect.Effect<ConsumerRow, E | SqlError.SqlError>
  ): Effect.Effect<Consumer, E | SqlError.SqlError, Scope.Scope> {
    return Effect.uninterruptibleMask((restore) =>
      Effect.gen({ self: this }, function*() {
        // The present is where the log ends now, not where it was last read.
        yield* restore(retryCollisions(this.log.advance))
        const expired = this.expired(yield* this.now)
        const { name } = settings
        this.registering.add(name)
        this.leaving.delete(name)
        const register = retryCollisions(this.database.register(
          this,
          name,
          settings.kinds,
          replaces,
          this.log.horizon,
          expired,
          refuse,
          decide
        ))
        // The registration may have been committed, although it failed or was interrupted.
        const forget = Effect.sync(() => {
          this.registering.delete(name)
          this.leaving.add(name)
          this.onUnsure()
        })
        const row = yield* Effect.onError(restore(register), () => forget)
        const consumer = new Consumer(this, settings, new Map(Object.entries(row.kinds)), row.partitions, context)
        this.consumers.set(name, consumer)
        this.registering.delete(name)
        yield* Effect.addFinalizer(() => this.close(consumer))
        yield* Effect.forkScoped(Effect.interruptible(consumer.reading))
        yield* Effect.onInterrupt(restore(this.rebalancing), () => this.close(consumer))
        this.tellChange()
        return consumer
      })
    )
  }

  /** Changes dead letters, and has those processes look at them that own their partitions. */
  changeDead(change: Effect.Effect<number, SqlError.SqlError>): Effect.Effect<number, SqlError.SqlError> {
    return Effect.tap(change, () =>
      Effect.sync(() => {
        this.onUnsure()
        this.tellChange()
      }))
  }

  /** Forgets a consumer. False where a process serves it. */
  remove(name: string): Effect.Effect<boolean, SqlError.SqlError> {
    return Effect.flatMap(this.now, (now) => this.database.remove(name, this.expired(now), 0))
  }

  // ---------------------------------------------------------------------------
  // Housekeeping
  // ---------------------------------------------------------------------------

  private readonly keepingHouse: Effect.Effect<void> = Effect.gen({ self: this }, function*() {
    yield* Effect.sleep(housekeepingInterval)
    this.log.forgetPages()
    yield* this.persist(this.database.see(Array.from(this.consumers.keys())))
    // Before events are deleted: a process that starts would take the hole for a gap that may still be filled.
    yield* this.persist(this.log.store)
    const { retentionMillis } = this.settings
    if (Number.isFinite(retentionMillis)) {
      const sweep = Effect.suspend(() => this.database.sweep(this.log.horizon, retentionMillis, sweepSize))
      while ((yield* this.persist(sweep)) === sweepSize);
    }
    const { expiryMillis } = this.settings
    const now = yield* this.now
    const isDayOver = now - this.warnedAt >= dayMillis
    if (!isDayOver && !Number.isFinite(expiryMillis)) return
    if (isDayOver) this.warnedAt = now
    for (const { millis, name } of yield* this.persist(this.database.unserved)) {
      if (millis >= expiryMillis) {
        if (yield* this.persist(this.database.remove(name, this.expired(now), expiryMillis))) {
          yield* this.annotated(Effect.logWarning(
            `The consumer "${name}" was removed, with its dead letters: no process has served it for ${
              Duration.format(Duration.millis(millis))
            }`
          ))
        }
        continue
      }
      if (!isDayOver || millis < dayMillis) continue
      yield* this.annotated(Effect.logWarning(
        `No process has served the consumer "${name}" for ${
          Duration.format(Duration.millis(millis))
        }, and the log is kept ` +
          "for it; if it is not needed any more, remove it with removeConsumer"
      ))
    }
  })

  /** Ends serving a consumer. A second call waits for the first. */
  private close(consumer: Consumer): Effect.Effect<void> {
    return Effect.suspend(() => {
      if (consumer.isClosing) return consumer.isClosed.await
      consumer.isClosing = true
      const writing = inTurn((resume) => {
        const look = (): void => {
          let isDone = true
          for (const partition of consumer.partitions.values()) if (!partition.withdraw()) isDone = false
          if (isDone) resume()
          else this.idleWaiters.push(look)
        }
        look()
        return undefined
      })
      return consumer.close.pipe(
        Effect.andThen(this.patiently(writing)),
        Effect.andThen(Effect.suspend(() => {
          consumer.dropAll()
          this.consumers.delete(consumer.settings.name)
          this.leaving.add(consumer.settings.name)
          return this.patiently(this.signOff)
        })),
        Effect.andThen(Effect.sync(() => {
          // It took too long, and is tried again when the database can be used.
          if (this.leaving.size > 0) this.onUnsure()
        })),
        Effect.ensuring(consumer.isClosed.open)
      )
    })
  }

  // ---------------------------------------------------------------------------
  // Idleness
  // ---------------------------------------------------------------------------

  readonly onProgress = (): void => {
    if (this.idleWaiters.length === 0) return
    const waiters = this.idleWaiters
    this.idleWaiters = []
    for (const waiter of waiters) waiter()
  }

  private get isIdle(): boolean {
    if (this.isReading || this.isRebalancing || this.isUnsure || this.isShort) return false
    for (const consumer of this.consumers.values()) if (!consumer.isIdle) return false
    return true
  }

  /** Returns when the consumers of this process have nothing due of all that is visible now. */
  readonly awaitIdle: Effect.Effect<void> = Effect.gen({ self: this }, function*() {
    while (yield* this.persist(this.log.advance)) yield* Effect.sleep(Duration.millis(5))
    yield* inTurn((resume) => {
      const look = (): void => {
        if (this.isIdle) resume()
        else this.idleWaiters.push(look)
      }
      look()
      return undefined
    })
  })
}
