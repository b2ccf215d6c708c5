/**
 * Percentiles of single calls. A benchmark library takes one sample from many calls when they are as short as these, and
 * knows nothing of garbage collection: the loop is written out here.
 */
import { type PerformanceEntry, PerformanceObserver } from "node:perf_hooks"
import { setImmediate } from "node:timers/promises"

export interface Calls {
  readonly call: () => unknown
  /** Runs after every `burst` calls, and is not timed. */
  readonly settle: () => void | Promise<void>
  readonly burst: number
  readonly count: number
}

/**
 * The durations of single calls in nanoseconds, without the calls that a garbage collection interrupted, by the runtime's
 * own record of when each began and how long it took.
 */
export const timeCalls = async ({ burst, call, count, settle }: Calls): Promise<Array<number>> => {
  const starts = new Float64Array(count)
  const ends = new Float64Array(count)
  const collections: Array<PerformanceEntry> = []
  const observer = new PerformanceObserver((list) => collections.push(...list.getEntries()))
  observer.observe({ entryTypes: ["gc"] })
  for (let done = 0; done < count;) {
    for (const end = Math.min(done + burst, count); done < end; done++) {
      starts[done] = performance.now()
      call()
      ends[done] = performance.now()
    }
    await settle()
  }
  // Entries arrive in a later turn.
  await setImmediate()
  await setImmediate()
  collections.push(...observer.takeRecords())
  observer.disconnect()
  return withoutCollections(starts, ends, collections.toSorted((a, b) => a.startTime - b.startTime))
}

const withoutCollections = (
  starts: Float64Array,
  ends: Float64Array,
  collections: ReadonlyArray<PerformanceEntry>
): Array<number> => {
  const durations: Array<number> = []
  let next = 0
  for (let i = 0; i < starts.length; i++) {
    while (next < collections.length && collections[next]!.startTime + collections[next]!.duration < starts[i]!) next++
    const isInterrupted = next < collections.length && collections[next]!.startTime <= ends[i]!
    if (!isInterrupted) durations.push((ends[i]! - starts[i]!) * 1e6)
  }
  return durations
}

/** The value below which `share` of the values lie. */
export const quantile = (values: ReadonlyArray<number>, share: number): number => {
  const ascending = Float64Array.from(values).toSorted()
  return ascending[Math.min(ascending.length - 1, Math.floor(ascending.length * share))]!
}
