import type { Random } from "effect"

/**
 * Chance that is the same for the same seed: Mulberry32, whose state is one number. Thousands of runs begin with a new one, for
 * which `Random.withSeed` takes too long.
 */
export const seeded = (seed: number): Random.Random => {
  let state = seed | 0
  const nextDoubleUnsafe = (): number => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
  return {
    nextDoubleUnsafe,
    nextIntUnsafe: () =>
      Math.floor(nextDoubleUnsafe() * (Number.MAX_SAFE_INTEGER - Number.MIN_SAFE_INTEGER + 1)) + Number.MIN_SAFE_INTEGER
  }
}
