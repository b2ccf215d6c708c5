/**
 * The response times of a host, as a histogram. It is small enough to be kept for each day, and can be added to others.
 * Each bucket is a fifth wider than the one before. So a value that is read from it is within about a tenth of the
 * measured one.
 */

/** How many response times are in each bucket. */
export type Histogram = Map<number, number>

const growth = Math.log(1.2)
/** The middle of bucket 0, in milliseconds. Anything quicker is in it, too. */
const smallest = 0.01

const bucketOf = (millis: number): number => Math.max(0, Math.round(Math.log(millis / smallest) / growth))

const millisOf = (bucket: number): number => Number((smallest * Math.exp(bucket * growth)).toPrecision(3))

/** Adds response times, in milliseconds. */
export const add = (histogram: Histogram, millis: Iterable<number>): void => {
  for (const time of millis) {
    const bucket = bucketOf(time)
    histogram.set(bucket, (histogram.get(bucket) ?? 0) + 1)
  }
}

/** Returns the sum of histograms. */
export const sum = (histograms: Iterable<Histogram>): Histogram => {
  const all: Histogram = new Map()
  for (const histogram of histograms) {
    for (const [bucket, count] of histogram) all.set(bucket, (all.get(bucket) ?? 0) + count)
  }
  return all
}

/** How many response times it has. */
export const count = (histogram: Histogram): number => {
  let answers = 0
  for (const count of histogram.values()) answers += count
  return answers
}

/**
 * Returns the percentile, in milliseconds (nearest rank): so many percent of the response times are no longer.
 * `undefined` if there are none.
 */
export const percentile = (histogram: Histogram, percent: number): number | undefined => {
  const rank = Math.max(1, Math.ceil(count(histogram) * percent / 100))
  let below = 0
  for (const [bucket, count] of [...histogram].toSorted(([a], [b]) => a - b)) {
    below += count
    if (below >= rank) return millisOf(bucket)
  }
  return undefined
}

/** Encodes it as text: the first bucket, then the counts of that and of each later one. */
export const encode = (histogram: Histogram): string => {
  const first = Math.min(...histogram.keys())
  const counts: Array<string> = []
  for (let bucket = first; bucket <= Math.max(...histogram.keys()); bucket++) {
    counts.push(histogram.get(bucket)?.toString(36) ?? "")
  }
  return histogram.size === 0 ? "" : `${first.toString(36)}:${counts.join()}`
}

/** Decodes a text. */
export const decode = (text: string): Histogram => {
  const [first = "", counts = ""] = text.split(":")
  const histogram: Histogram = new Map()
  for (const [n, count] of counts.split(",").entries()) {
    if (count !== "") histogram.set(parseInt(first, 36) + n, parseInt(count, 36))
  }
  return histogram
}
