/**
 * How long a host took to answer, as a histogram: small enough to be kept for each day, and to be added to others.
 *
 * The buckets grow by a fifth each, so what is read from one is within about a tenth of what was measured.
 */

/** How many answers there were in each bucket. */
export type Histogram = Map<number, number>

const growth = Math.log(1.2)
/** In the middle of bucket 0, in milliseconds. Whatever is quicker is in it, too. */
const smallest = 0.01

const bucketOf = (millis: number): number => Math.max(0, Math.round(Math.log(millis / smallest) / growth))

const millisOf = (bucket: number): number => Number((smallest * Math.exp(bucket * growth)).toPrecision(3))

/** Adds answers, each so many milliseconds long. */
export const add = (histogram: Histogram, millis: Iterable<number>): void => {
  for (const time of millis) {
    const bucket = bucketOf(time)
    histogram.set(bucket, (histogram.get(bucket) ?? 0) + 1)
  }
}

/** All of them together. */
export const sum = (histograms: Iterable<Histogram>): Histogram => {
  const all: Histogram = new Map()
  for (const histogram of histograms) {
    for (const [bucket, count] of histogram) all.set(bucket, (all.get(bucket) ?? 0) + count)
  }
  return all
}

/** How many answers there were. */
export const count = (histogram: Histogram): number => {
  let answers = 0
  for (const count of histogram.values()) answers += count
  return answers
}

/** So many percent of the answers took no longer than this, in milliseconds (nearest rank); none where there were none. */
export const percentile = (histogram: Histogram, percent: number): number | undefined => {
  const rank = Math.max(1, Math.ceil(count(histogram) * percent / 100))
  let below = 0
  for (const [bucket, count] of [...histogram].toSorted(([a], [b]) => a - b)) {
    below += count
    if (below >= rank) return millisOf(bucket)
  }
  return undefined
}

/** As text: the first bucket, then how many there were in it and in each one after it. */
export const encode = (histogram: Histogram): string => {
  const first = Math.min(...histogram.keys())
  const counts: Array<string> = []
  for (let bucket = first; bucket <= Math.max(...histogram.keys()); bucket++) {
    counts.push(histogram.get(bucket)?.toString(36) ?? "")
  }
  return histogram.size === 0 ? "" : `${first.toString(36)}:${counts.join()}`
}

/** From text. */
export const decode = (text: string): Histogram => {
  const [first = "", counts = ""] = text.split(":")
  const histogram: Histogram = new Map()
  for (const [n, count] of counts.split(",").entries()) {
    if (count !== "") histogram.set(parseInt(first, 36) + n, parseInt(count, 36))
  }
  return histogram
}
