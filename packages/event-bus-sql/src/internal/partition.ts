/**
 * One partition of a consumer in the process that owns it: the events that were read and not yet handled, which of them may
 * run, and what has to be written. Synchronous; `consumer.ts` runs the handlers, and `engine.ts` writes.
 */
import type { LogRow, Move, Park, ParkedRow, ParkedState, Taken, Unpark } from "./database.ts"

/** How many events a partition reads ahead of its position. */
export const window = 500

/** About how many bytes these may take. */
const windowBytes = 4_000_000

/** How many events may be parked in a partition. Then it waits. */
export const parkedLimit = 10_000

/** How the events of a consumer follow one another. */
export type Order = "all" | "key" | "none"

export class Entry {
  readonly partition: Partition
  readonly seq: number
  readonly keyHash: string
  /** Entries of one chain run one after the other. */
  readonly chain: string
  /** May be missing for a parked event, which is read again when it runs. */
  row: LogRow | undefined
  /** About how many its event takes, from when it was read on. */
  bytes = 0
  attempts = 0
  /** The position may move past it: it is handled, or parked. */
  isPassed = false
  isParked = false
  isRequeued = false
  /** A dead letter that others wait behind. */
  isDead = false
  /** Its next attempt is counted in `attempts`, and written. */
  isAttemptSaved = false
  /** A handler has it. */
  isTaken = false
  /** With `transactional`: its transaction has marked it as handled, and may not have committed yet. */
  isMarked = false
  isCommitted = false
  /** It was in a batch that failed, and runs alone from then on. */
  isAlone = false

  constructor(partition: Partition, seq: number, keyHash: string, chain: string, row: LogRow | undefined) {
    this.partition = partition
    this.seq = seq
    this.keyHash = keyHash
    this.chain = chain
    this.row = row
  }
}

/** What the rest of the process does for a partition. */
export interface Host {
  readonly consumer: string
  readonly order: Order
  readonly holdsBehindDead: boolean
  readonly isTransactional: boolean
  /** Something is ready to run. */
  readonly onReady: () => void
  /** Something has to be written. */
  readonly onDirty: () => void
  /** Calls back after so many milliseconds, unless the partition is dropped. */
  readonly after: (partition: Partition, millis: number, run: () => void) => void
}

export class Partition {
  readonly host: Host
  readonly part: number
  readonly epoch: number
  /** The position in the database. */
  storedPos: number
  /** Everything up to here was read. */
  readPos: number
  /** This process does not own it any more. */
  isDropped = false
  /** It is being given up: what runs may end, nothing new starts. */
  isLeaving = false
  /** The number of an event whose kind this process does not serve. The partition is given up in front of it. */
  blockedAt: number | undefined = undefined
  running = 0
  readonly ready: Array<Entry> = []
  isDirty = false
  isSettling = false
  /** How many are read and neither taken nor parked. */
  private waiting = 0
  private order: Array<Entry> = []
  private orderHead = 0
  /** About how many bytes the events of `order` take that are not passed. */
  private bytes = 0
  private readonly chains = new Map<string, Array<Entry>>()
  /** What has a row in the table of parked events, or will have, by number. `undefined`: a dead letter that holds nobody. */
  private readonly parked = new Map<number, Entry | undefined>()
  private parks = new Map<number, Park>()
  /** Those of them that are being written. */
  private settling: ReadonlyMap<number, Park> = new Map()
  private unparks = new Map<number, Unpark>()
  /** Events that a former owner had parked, and that were handled before the log was read up to them. */
  private readonly handledAhead = new Set<number>()
  /** Entries that wait until their attempt is written. */
  private saving: Array<Entry> = []
  /** After the death of a former owner events run one by one, each attempt written first, up to this number. */
  private readonly carefulUpTo: number
  private carefulLeft: number

  constructor(host: Host, taken: Taken) {
    this.host = host
    const { position } = taken
    this.part = position.part
    this.epoch = position.epoch
    this.storedPos = position.pos
    this.readPos = position.pos
    this.carefulUpTo = position.isUnclean ? taken.head : 0
    this.carefulLeft = position.isUnclean ? window : 0
    for (const row of taken.parked) this.load(row)
  }

  // ---------------------------------------------------------------------------
  // Reading
  // ---------------------------------------------------------------------------

  get isCareful(): boolean {
    return this.carefulLeft > 0
  }

  get hasRoom(): boolean {
    if (this.isDropped || this.isLeaving || this.blockedAt !== undefined) return false
    if (!this.isFull) return true
    this.trim()
    return !this.isFull
  }

  private get isFull(): boolean {
    return this.order.length - this.orderHead >= window || this.bytes >= windowBytes
  }

  /** True where so few are left to be taken that it is time to read on. A batch wants as many as there can be. */
  isHungry(isForBatches: boolean): boolean {
    return isForBatches || this.waiting < window / 2
  }

  /** The next event of the partition, in the order of the log. */
  offer(row: LogRow): void {
    this.readPos = row.seq
    if (this.handledAhead.delete(row.seq)) return
    if (this.parked.has(row.seq)) {
      const entry = this.parked.get(row.seq)
      if (entry !== undefined && !entry.isPassed) {
        entry.row = row
        this.append(entry, row)
        this.host.onReady()
      }
      return
    }
    const entry = new Entry(this, row.seq, row.keyHash, this.chainOf(row.seq, row.keyHash), row)
    this.append(entry, row)
    this.waiting++
    const chain = this.chains.get(entry.chain)
    if (chain === undefined) {
      this.chains.set(entry.chain, [entry])
      this.enqueue(entry)
    } else {
      chain.push(entry)
      if (chain[0]!.isParked) this.parkBehind(chain)
    }
  }

  private append(entry: Entry, { payload }: LogRow): void {
    entry.bytes = payload.length
    this.bytes += payload.length
    this.order.push(entry)
  }

  private chainOf(seq: number, keyHash: string): string {
    return this.host.order === "all" ? "" : this.host.order === "key" ? keyHash : String(seq)
  }

  private load(row: ParkedRow): void {
    if (row.state === "dead" && !this.host.holdsBehindDead) {
      this.parked.set(row.seq, undefined)
      return
    }
    const isRequeued = row.state === "requeued"
    // A requeued event runs out of its place, unless all behind it has waited for it.
    const chainName = isRequeued && !this.host.holdsBehindDead ? `#${row.seq}` : this.chainOf(row.seq, row.keyHash)
    const entry = new Entry(this, row.seq, row.keyHash, chainName, undefined)
    entry.attempts = row.attempts
    entry.isParked = true
    entry.isRequeued = isRequeued
    entry.isDead = row.state === "dead"
    // With `order: "all"` an event that is tried again holds the position back. If the order was another when it was parked,
    // the position may have moved past it already.
    entry.isPassed = this.host.order !== "all" || entry.isDead || isRequeued || row.seq <= this.storedPos
    this.parked.set(row.seq, entry)
    const chain = this.chains.get(chainName)
    if (chain !== undefined) {
      chain.push(entry)
      return
    }
    this.chains.set(chainName, [entry])
    if (!entry.isDead) this.enqueueIn(entry, row.dueIn)
  }

  private enqueueIn(entry: Entry, millis: number): void {
    if (millis <= 0) this.enqueue(entry)
    else this.host.after(this, millis, () => this.enqueue(entry))
  }

  private enqueue(entry: Entry): void {
    this.ready.push(entry)
    this.host.onReady()
  }

  // ---------------------------------------------------------------------------
  // Running
  // ---------------------------------------------------------------------------

  /**
   * Takes the next entry that may run now. Entries whose attempt has to be written first are kept back until then. `isMore`:
   * it joins a batch.
   */
  next(isMore = false): Entry | undefined {
    if (this.isCareful && this.passedPos >= this.carefulUpTo && this.running === 0) this.endCare()
    while (!this.isDropped && !this.isLeaving && this.ready.length > 0) {
      if (this.running > 0 && (this.host.isTransactional || this.isCareful)) return undefined
      // A transaction compares the position before it moves it, so nothing else may be moving it.
      if (this.host.isTransactional && (this.isDirty || this.isSettling)) return undefined
      if (this.isCareful && this.saving.length > 0) return undefined
      const index = this.host.isTransactional || this.isCareful ? this.lowestReady() : 0
      const entry = this.ready[index]!
      // A transaction writes a position and nothing else, so it can only run what comes next.
      if (this.host.isTransactional && !(entry.isPassed ? entry.seq <= this.storedPos : this.isNextToPass(entry))) {
        // Perhaps only a position has to be written before it can run.
        if (entry.isPassed) this.touch()
        return undefined
      }
      this.ready.splice(index, 1)
      if (!entry.isAttemptSaved && (entry.isParked || (this.isCareful && entry.seq <= this.carefulUpTo))) {
        this.saveAttempt(entry)
        continue
      }
      if (isMore && this.runsAlone(entry)) {
        this.ready.splice(index, 0, entry)
        return undefined
      }
      this.take(entry)
      return entry
    }
    return undefined
  }

  private take(entry: Entry): void {
    if (!entry.isParked) this.waiting--
    entry.isTaken = true
    this.running++
  }

  /** About how many a batch could take now. */
  get availableCount(): number {
    return Math.max(this.waiting, this.ready.length)
  }

  /**
   * True for an entry that runs in a batch of its own: it may fail again, or end its process again, and would take the
   * others with it.
   */
  runsAlone(entry: Entry): boolean {
    return entry.isParked || entry.isAlone || this.isCareful
  }

  /** Takes entries for a batch, those of one chain in order. `isMore`: the batch has some already. */
  nextSome(limit: number, isMore: boolean): Array<Entry> {
    const some: Array<Entry> = []
    while (some.length < limit) {
      const entry = this.next(isMore || some.length > 0)
      if (entry === undefined) break
      some.push(entry)
      if (this.runsAlone(entry)) break
      this.extend(some, this.host.isTransactional ? this.order : this.chains.get(entry.chain)!, limit)
      if (this.host.isTransactional) break
    }
    return some.toSorted((a, b) => a.seq - b.seq)
  }

  /** Adds the entries of a list that follow, up to the first that may not run with them. */
  private extend(some: Array<Entry>, list: ReadonlyArray<Entry>, limit: number): void {
    const last = some.at(-1)!
    const chains = new Set([last.chain])
    for (let i = list.indexOf(last) + 1; i < list.length && some.length < limit; i++) {
      const entry = list[i]!
      if (entry.isPassed) continue
      const isFirst = this.isFirst(entry)
      if (entry.isTaken || this.runsAlone(entry) || !(isFirst || chains.has(entry.chain))) return
      if (isFirst) this.ready.splice(this.ready.indexOf(entry), 1)
      chains.add(entry.chain)
      this.take(entry)
      some.push(entry)
    }
  }

  /** True for the first of a chain. */
  isFirst(entry: Entry): boolean {
    return this.chains.get(entry.chain)![0] === entry
  }

  /** Puts an entry back that was taken and has no outcome. */
  undo(entry: Entry): void {
    this.interrupted(entry)
    entry.isTaken = false
    if (!entry.isParked) this.waiting++
    if (this.isFirst(entry) && !entry.isDead) this.ready.unshift(entry)
  }

  private lowestReady(): number {
    let lowest = 0
    for (let i = 1; i < this.ready.length; i++) if (this.ready[i]!.seq < this.ready[lowest]!.seq) lowest = i
    return lowest
  }

  private isNextToPass(entry: Entry): boolean {
    this.trim()
    return this.order[this.orderHead] === entry
  }

  /** Has an attempt written before it runs, so that it counts even if it ends the process. */
  private saveAttempt(entry: Entry): void {
    entry.attempts++
    this.park(entry, entry.isRequeued ? "requeued" : "retrying", 0, null)
    this.saving.push(entry)
    const chain = this.chains.get(entry.chain)!
    this.parkBehind(chain)
  }

  /** It was handled. `isStored`: its own transaction has written that. */
  succeed(entry: Entry, isStored: boolean): void {
    entry.isPassed = true
    entry.isTaken = false
    if (entry.seq > this.readPos) this.handledAhead.add(entry.seq)
    if (entry.isParked) {
      this.parked.delete(entry.seq)
      this.parks.delete(entry.seq)
      if (!isStored) this.unparks.set(entry.seq, this.unparkOf(entry.seq))
    }
    if (!isStored) this.dirty()
    else if (this.blockedAt !== undefined) this.host.onDirty()
    this.countCareful(entry)
    this.follow(entry)
  }

  /** It failed, and is to be tried again after a pause. */
  retry(entry: Entry, pause: number, cause: string): void {
    this.park(entry, entry.isRequeued ? "requeued" : "retrying", pause, cause)
    entry.isTaken = false
    this.parkBehind(this.chains.get(entry.chain)!)
    this.countCareful(entry)
    this.enqueueIn(entry, pause)
  }

  /** It is given up. */
  die(entry: Entry, cause: string): void {
    entry.isPassed = true
    this.park(entry, "dead", 0, cause)
    entry.isTaken = false
    this.countCareful(entry)
    if (this.host.holdsBehindDead) {
      entry.isDead = true
      entry.isRequeued = false
      this.parkBehind(this.chains.get(entry.chain)!)
      return
    }
    this.parked.set(entry.seq, undefined)
    this.follow(entry)
  }

  /** It was interrupted, which is no attempt. */
  interrupted(entry: Entry): void {
    if (!entry.isAttemptSaved) return
    entry.isAttemptSaved = false
    entry.attempts--
    this.park(entry, entry.isRequeued ? "requeued" : "retrying", 0, null)
  }

  /** Lets the next of its chain run. */
  private follow(entry: Entry): void {
    const chain = this.chains.get(entry.chain)!
    chain.shift()
    const next = chain[0]
    if (next === undefined) this.chains.delete(entry.chain)
    else if (!next.isDead && !next.isTaken) this.enqueue(next)
  }

  private countCareful(entry: Entry): void {
    if (this.carefulLeft === 0 || entry.isRequeued) return
    if (this.carefulLeft === 1) this.endCare()
    else this.carefulLeft--
  }

  private endCare(): void {
    this.carefulLeft = 0
    this.dirty()
  }

  // ---------------------------------------------------------------------------
  // Parking
  // ---------------------------------------------------------------------------

  private park(entry: Entry, state: ParkedState, dueIn: number, cause: string | null): void {
    if (!entry.isParked && !entry.isTaken) this.waiting--
    entry.isParked = true
    entry.isAttemptSaved = false
    // With `order: "all"` the position itself waits; the row keeps attempts and due time.
    if (this.host.order !== "all") entry.isPassed = true
    if (entry.isPassed) entry.row = undefined
    this.parked.set(entry.seq, entry)
    this.parks.set(entry.seq, {
      consumer: this.host.consumer,
      part: this.part,
      epoch: this.epoch,
      seq: entry.seq,
      keyHash: entry.keyHash,
      state,
      attempts: entry.attempts,
      dueIn,
      cause
    })
    this.dirty()
  }

  /** Parks what waits behind the first of a chain, so that the position does not wait for it. */
  private parkBehind(chain: ReadonlyArray<Entry>): void {
    if (this.host.order === "all") return
    for (let i = 1; i < chain.length && this.parked.size < parkedLimit; i++) {
      const entry = chain[i]!
      if (!entry.isParked) this.park(entry, "waiting", 0, null)
    }
  }

  private unparkOf(seq: number): Unpark {
    return { consumer: this.host.consumer, part: this.part, epoch: this.epoch, seq }
  }

  /** True while the database does not have the last change of a parked event. */
  private isUnwritten(seq: number): boolean {
    return this.parks.has(seq) || this.settling.has(seq)
  }

  /** Takes a dead letter that was requeued. False while a change of it is unwritten: the row may be older than that. */
  requeue(row: ParkedRow): boolean {
    if (this.isUnwritten(row.seq)) return false
    if (!this.parked.has(row.seq)) return true
    const entry = this.parked.get(row.seq)
    if (entry === undefined) {
      this.parked.delete(row.seq)
      this.load(row)
    } else if (entry.isDead) {
      entry.isDead = false
      entry.isRequeued = true
      entry.attempts = row.attempts
      this.enqueue(entry)
    }
    return true
  }

  /** Forgets a dead letter that was discarded. It no longer holds others back. */
  discard(seq: number): void {
    const entry = this.parked.get(seq)
    this.parked.delete(seq)
    if (entry !== undefined) this.follow(entry)
  }

  /** The dead letters that hold others back and are stored, so that anybody may requeue or discard them. */
  get holding(): ReadonlyArray<number> {
    const numbers: Array<number> = []
    for (const [first] of this.chains.values()) {
      const { isDead, seq } = first!
      if (isDead && !this.isUnwritten(seq)) numbers.push(seq)
    }
    return numbers
  }

  // ---------------------------------------------------------------------------
  // Writing
  // ---------------------------------------------------------------------------

  private dirty(): void {
    this.isDirty = true
    this.host.onDirty()
  }

  /** Has the position written, if it has moved. */
  touch(): void {
    if (!this.isDropped && this.passedPos > this.storedPos) this.dirty()
  }

  private trim(): void {
    while (this.orderHead < this.order.length && this.order[this.orderHead]!.isPassed) {
      this.bytes -= this.order[this.orderHead++]!.bytes
    }
    if (this.orderHead === this.order.length) {
      this.order = []
      this.orderHead = 0
    } else if (this.orderHead > window) {
      this.order = this.order.slice(this.orderHead)
      this.orderHead = 0
    }
  }

  /** Everything up to here is handled or parked. */
  get passedPos(): number {
    this.trim()
    const first = this.order[this.orderHead]
    if (first === undefined) return this.readPos
    // What lies in front of the first is of other partitions or kinds.
    return Math.max(this.storedPos, first.seq - 1)
  }

  /** True where something may be written now: while a transactional handler runs, its transaction moves the position. */
  get isToBeWritten(): boolean {
    return this.isDirty && !(this.host.isTransactional && this.running > 0)
  }

  /** Takes what has to be written. */
  takeChanges(): { readonly move: Move; readonly parks: ReadonlyArray<Park>; readonly unparks: ReadonlyArray<Unpark> } {
    const changes = {
      move: {
        consumer: this.host.consumer,
        part: this.part,
        epoch: this.epoch,
        pos: this.passedPos,
        isUnclean: this.isCareful
      },
      parks: Array.from(this.parks.values()),
      unparks: Array.from(this.unparks.values())
    }
    this.settling = this.parks
    this.parks = new Map()
    this.unparks = new Map()
    this.isDirty = false
    this.isSettling = true
    return changes
  }

  /** It was written. */
  settled(pos: number, parks: ReadonlyArray<Park>): void {
    this.isSettling = false
    this.settling = new Map()
    this.storedPos = Math.max(this.storedPos, pos)
    if (this.saving.length > 0) {
      const written = new Set(parks.map(({ seq }) => seq))
      const saved = this.saving.filter(({ seq }) => written.has(seq))
      this.saving = this.saving.filter(({ seq }) => !written.has(seq))
      for (const entry of saved) {
        entry.isAttemptSaved = true
        this.ready.unshift(entry)
      }
    }
    if (this.ready.length > 0) this.host.onReady()
  }

  /** True where it is to be given up, and everything in front of that point is passed. */
  leavesNow(): boolean {
    this.trim()
    if (this.blockedAt !== undefined && this.order.length === 0) this.isLeaving = true
    return this.isLeaving
  }

  /**
   * Takes back attempts that were written and did not run. True where nothing runs and nothing is left to be written, so
   * that the partition may be given up.
   */
  withdraw(): boolean {
    for (const entry of this.ready) this.interrupted(entry)
    return this.running === 0 && this.saving.length === 0 && !this.isDirty && !this.isSettling
  }

  /** The move that a transactional handler's transaction makes: past its entry. */
  moveOver(entry: Entry): Move {
    // What has been parked since the entry was taken is not written yet, and the position must not move past it.
    const passed = this.isDirty ? this.storedPos : this.passedPos
    const pos = entry.isPassed ? passed : entry.seq
    return {
      consumer: this.host.consumer,
      part: this.part,
      epoch: this.epoch,
      pos: Math.max(this.storedPos, pos),
      isUnclean: this.isCareful
    }
  }

  /** Nothing is due, and nothing has to be written. */
  get isIdle(): boolean {
    this.trim()
    return this.running === 0 && this.ready.length === 0 && this.saving.length === 0 && !this.isDirty &&
      !this.isSettling
  }

  get parkedCount(): number {
    return this.parked.size
  }
}
