/**
 * How far a log is whole.
 *
 * PostgreSQL gives out numbers before it commits: an event may become visible after one with a higher number, and a reader
 * that has gone past would never see it. So readers take what follows without a gap, and a gap is passed only when nothing
 * can fill it any more.
 *
 * Whoever drew the missing number had drawn the number of its transaction before (see the order of the columns in
 * `tables.ts`), and both before the event behind the gap was committed. So a transaction number that is drawn after the
 * gap was seen is higher. Once `xmin`, below which every transaction has ended, has reached it, whoever drew the missing
 * number has committed, and its event is visible in the same snapshot, or it never will be.
 */

/** How far a page of numbers is whole. */
export interface Whole {
  /** How many numbers of the page may be taken. */
  readonly count: number
  /** The number in front of the first gap that is in the way, if there is one. */
  readonly isHeldUp: boolean
}

export class Gaps {
  /** All gaps below this number were seen before `bound` was drawn. */
  private seen = 0
  private bound: bigint | undefined = undefined

  /** A page of numbers that follows `after`, and `xmin` of the same snapshot. */
  examine(after: number, numbers: ReadonlyArray<number>, xmin: bigint): Whole {
    const passable = this.bound !== undefined && xmin >= this.bound ? this.seen : 0
    let last = after
    for (let i = 0; i < numbers.length; i++) {
      const number = numbers[i]!
      if (number !== last + 1 && number > passable) return { count: i, isHeldUp: true }
      last = number
    }
    return { count: numbers.length, isHeldUp: false }
  }

  /** True where no transaction number was drawn yet that would let the gaps below `number` be passed. */
  needsBound(xmin: bigint, number: number): boolean {
    return this.bound === undefined || (number > this.seen && xmin >= this.bound)
  }

  /** A transaction number that was drawn after every gap below `number` had been seen. */
  setBound(bound: bigint, number: number): void {
    this.bound = bound
    this.seen = number
  }
}
