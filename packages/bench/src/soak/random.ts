/**
 * Chance that can be repeated: mulberry32, a small generator with a good spread.
 * https://gist.github.com/tommyettinger/46a874533244883189143505d203312c
 */
export class Random {
  private state: number

  constructor(seed: number) {
    this.state = seed
  }

  /** From 0 to below 1. */
  next(): number {
    this.state = (this.state + 0x6d2b79f5) | 0
    let mixed = Math.imul(this.state ^ (this.state >>> 15), 1 | this.state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }

  /** A whole number from 0 to below `n`. */
  below(n: number): number {
    return Math.floor(this.next() * n)
  }

  oneOf<A>(choices: ReadonlyArray<A>): A {
    return choices[this.below(choices.length)]!
  }
}
