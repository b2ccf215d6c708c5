/**
 * The log as this process reads it: once for all of its consumers and the live lane.
 */
import { Effect, Semaphore } from "effect"
import type * as SqlError from "effect/sql/SqlError"
import type { Database, Known, LogRow, TailPage } from "./database.ts"
import { Gaps } from "./gaps.ts"

const pageSize = 1_000

/** About how many bytes are read at a time, of events as large as the last ones. */
const pageBytes = 8_000_000

/** How many of the last events are kept in memory for consumers that keep up. */
const tailSize = 4_000

/** About how many bytes these may take. */
const tailBytes = 16_000_000

/**
 * About how many bytes of the past are kept for consumers that catch up side by side. Those of an application start one after
 * the other, so the first is thousands of events ahead of the last.
 */
const pagesLimit = 16_000_000

/** About what a row takes beside its payload. */
const rowSize = 500

/** How far the horizon may be ahead of the stored one. */
const storeEvery = 10_000

/** All events of these kinds between two numbers. */
interface Page {
  readonly kinds: string
  readonly after: number
  readonly upTo: number
  readonly rows: ReadonlyArray<LogRow>
}

export class Log {
  /** The end of the contiguous prefix of the log, as far as it was read: what comes below is final. */
  horizon = 0
  /** The last event that was read. Whatever is written of what was read is refused once it is not there any more. */
  last: Known | undefined = undefined
  private readonly database: Database
  private readonly learn: (generation: number) => Effect.Effect<void, SqlError.SqlError>
  private readonly onRows: (rows: ReadonlyArray<LogRow>) => void
  private readonly isFollowed: () => boolean
  private readonly onRewound: () => void
  private gaps = new Gaps()
  private readonly turn = Semaphore.makeUnsafe(1)
  /** The last events, and the number that they follow. */
  private tail: Array<LogRow> = []
  private tailStart = 0
  private tailSum = 0
  /** What the events that were read last take, on average. */
  private rowBytes = rowSize
  private storedHorizon = 0
  /** The oldest first. */
  private pages: Array<Page> = []
  private pagesSize = 0
  private readonly pageTurn = Semaphore.makeUnsafe(1)

  /**
   * `learn` runs before rows are taken that were read in a generation; `onRows` gets them. While the log is not followed,
   * only its numbers are read. After `onRewound` what was read does not hold any more.
   */
  constructor(
    database: Database,
    learn: (generation: number) => Effect.Effect<void, SqlError.SqlError>,
    onRows: (rows: ReadonlyArray<LogRow>) => void,
    isFollowed: () => boolean,
    onRewound: () => void
  ) {
    this.database = database
    this.learn = learn
    this.onRows = onRows
    this.isFollowed = isFollowed
    this.onRewound = onRewound
  }

  /** Finds the end of the contiguous prefix of a log that other processes have written. */
  readonly open: Effect.Effect<void, SqlError.SqlError> = Effect.suspend(() => this.opening(() => {}))

  /**
   * Begins anew where the database went back, so that the last event that was read is not there any more. (The same where
   * retention has deleted that event.) Whoever waits for a page has to have it before.
   */
  readonly rewind: Effect.Effect<void, SqlError.SqlError> = Effect.suspend(() => this.turn.withPermit(this.rewinding))

  private readonly rewinding: Effect.Effect<void, SqlError.SqlError> = Effect.suspend(() =>
    this.pageTurn.withPermit(this.opening(this.onRewound))
  )

  private opening(onOpen: () => void): Effect.Effect<void, SqlError.SqlError> {
    return Effect.gen({ self: this }, function*() {
      this.gaps = new Gaps()
      const stored = yield* this.database.horizon
      let horizon = stored
      while (true) {
        const { numbers, xmin } = yield* this.database.readNumbers(horizon, undefined, storeEvery)
        if (numbers.length === 0) break
        const { count, isHeldUp } = yield* this.whole(horizon, numbers, xmin)
        if (count > 0) horizon = numbers[count - 1]!
        if (!isHeldUp) continue
        // What holds it up may take long, and everything behind it is read as it becomes whole.
        const again = yield* this.database.readNumbers(horizon, undefined, storeEvery)
        const whole = yield* this.whole(horizon, again.numbers, again.xmin)
        if (whole.count === 0) break
        horizon = again.numbers[whole.count - 1]!
      }
      this.last = yield* this.database.lastUpTo(horizon)
      this.storedHorizon = stored
      this.forgetPages()
      this.beginAt(horizon)
      onOpen()
      yield* this.store
    })
  }

  /** Remembers the horizon for processes that start. */
  readonly store: Effect.Effect<void, SqlError.SqlError> = Effect.suspend(() => {
    const { horizon } = this
    if (horizon === this.storedHorizon) return Effect.void
    return Effect.map(this.database.storeHorizon(horizon, this.last), () => {
      this.storedHorizon = horizon
    })
  })

  /** Reads on. True where a gap is in the way: it has to be looked at again soon. */
  readonly advance: Effect.Effect<boolean, SqlError.SqlError> = this.makeAdvance()

  private makeAdvance(): Effect.Effect<boolean, SqlError.SqlError> {
    return Effect.suspend(() =>
      this.turn.withPermit(Effect.gen({ self: this }, function*() {
        while (true) {
          const isFollowed = this.isFollowed()
          const limit = isFollowed ? this.limit(pageSize) : storeEvery
          const page: TailPage = yield* (isFollowed
            ? this.database.readTail(this.horizon, this.last, limit)
            : this.database.readNumbers(this.horizon, this.last, limit))
          const { generation, isContinued, numbers, rows, xmin } = page
          if (numbers.length === 0) break
          if (!isContinued) {
            yield* this.rewinding
            continue
          }
          yield* this.learn(generation)
          const { count, isHeldUp } = yield* this.whole(this.horizon, numbers, xmin)
          if (count > 0) {
            if (isFollowed) {
              this.weigh(rows)
              this.append(count === rows.length ? rows : rows.slice(0, count))
            } else this.skipTo(numbers[count - 1]!)
          }
          if (isHeldUp) return true
          if (numbers.length < limit) break
        }
        if (this.horizon - this.storedHorizon >= storeEvery) yield* this.store
        return false
      }))
    )
  }

  /** What of a page follows without a gap that may still be filled. */
  private whole(
    after: number,
    numbers: ReadonlyArray<number>,
    xmin: bigint | undefined
  ): Effect.Effect<{ readonly count: number; readonly isHeldUp: boolean }, SqlError.SqlError> {
    if (xmin === undefined || numbers.length === 0) return Effect.succeed({ count: numbers.length, isHeldUp: false })
    const whole = this.gaps.examine(after, numbers, xmin)
    if (!whole.isHeldUp) return Effect.succeed(whole)
    const last = numbers.at(-1)!
    if (!this.gaps.needsBound(xmin, last)) return Effect.succeed(whole)
    return Effect.map(this.database.drawTransactionNumber, (bound) => {
      this.gaps.setBound(bound, last)
      return whole
    })
  }

  /** Moves on without the rows. Whoever comes meanwhile reads them as the past. */
  private skipTo(horizon: number): void {
    this.beginAt(horizon)
    this.onRows([])
  }

  private beginAt(horizon: number): void {
    this.horizon = this.tailStart = horizon
    this.tail = []
    this.tailSum = 0
  }

  private append(rows: ReadonlyArray<LogRow>): void {
    const { id, seq } = rows.at(-1)!
    this.horizon = seq
    this.last = { id, seq }
    for (const row of rows) this.tail.push(row)
    this.tailSum += sumOf(rows)
    if (this.tail.length > 2 * tailSize || this.tailSum > 2 * tailBytes) this.trimTail()
    this.onRows(rows)
  }

  /** Lets go of the oldest of the last events, down to half of what there may be. */
  private trimTail(): void {
    let first = this.tail.length
    let sum = 0
    while (first > 0 && this.tail.length - first < tailSize && sum < tailBytes) sum += sizeOf(this.tail[--first]!)
    this.tail = this.tail.slice(first)
    this.tailSum = sum
    this.tailStart = this.tail[0]!.seq - 1
  }

  private weigh(rows: ReadonlyArray<LogRow>): void {
    if (rows.length > 0) this.rowBytes = sumOf(rows) / rows.length
  }

  /** How many events to read at a time: as many, or fewer where they are large. */
  private limit(most: number): number {
    return Math.max(1, Math.min(most, Math.floor(pageBytes / this.rowBytes)))
  }

  /**
   * Some of the events of these kinds behind a number and up to another, in order, and how far that goes: to the number
   * returned nothing else is there. `horizon` is that of the time at which the kinds were known.
   */
  readonly read = (
    after: number,
    horizon: number,
    kinds: ReadonlyArray<string>,
    most: number
  ): Effect.Effect<{ readonly rows: ReadonlyArray<LogRow>; readonly upTo: number }, SqlError.SqlError> =>
    Effect.suspend(() => {
      const limit = this.limit(most)
      if (after >= this.tailStart) {
        const rows: Array<LogRow> = []
        for (let i = indexBehind(this.tail, after); i < this.tail.length; i++) {
          const row = this.tail[i]!
          if (row.seq > horizon) break
          if (rows.length === limit) return Effect.succeed({ rows, upTo: rows.at(-1)!.seq })
          if (kinds.includes(row.kind)) rows.push(row)
        }
        return Effect.succeed({ rows, upTo: horizon })
      }
      return this.pageTurn.withPermit(this.readPage(after, horizon, kinds, limit))
    })

  /** A page of the past. A full one is final, so that others who catch up there need not read and decode it again. */
  private readPage(
    after: number,
    horizon: number,
    kinds: ReadonlyArray<string>,
    limit: number
  ): Effect.Effect<{ readonly rows: ReadonlyArray<LogRow>; readonly upTo: number }, SqlError.SqlError> {
    return Effect.suspend(() => {
      const key = JSON.stringify(kinds)
      const known = this.pages.find((page) =>
        page.kinds === key && page.after <= after && after < page.upTo && page.upTo <= horizon
      )
      if (known !== undefined) {
        return Effect.succeed({ rows: known.rows.slice(indexBehind(known.rows, after)), upTo: known.upTo })
      }
      return Effect.map(this.database.readKinds(after, horizon, kinds, limit), (rows) => {
        this.weigh(rows)
        if (rows.length < limit) return { rows, upTo: horizon }
        const page: Page = { kinds: key, after, upTo: rows.at(-1)!.seq, rows }
        this.pages.push(page)
        this.pagesSize += sumOf(rows)
        while (this.pagesSize > pagesLimit) this.pagesSize -= sumOf(this.pages.shift()!.rows)
        return page
      })
    })
  }

  /** Lets go of the past: nobody may catch up any more, and events may have been deleted since it was read. */
  forgetPages(): void {
    this.pages = []
    this.pagesSize = 0
  }
}

/** The index of the first event behind a number. */
const indexBehind = (rows: ReadonlyArray<LogRow>, after: number): number => {
  let low = 0
  let high = rows.length
  while (low < high) {
    const middle = (low + high) >>> 1
    if (rows[middle]!.seq <= after) low = middle + 1
    else high = middle
  }
  return low
}

/** About how many bytes an event takes. */
const sizeOf = ({ payload }: LogRow): number => rowSize + payload.length

const sumOf = (rows: ReadonlyArray<LogRow>): number => rows.reduce((sum, row) => sum + sizeOf(row), 0)
