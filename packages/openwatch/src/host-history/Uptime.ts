/**
 * For how much of some time a host was reachable. Time in which nobody could judge it does not count: OpenWatch did not
 * run, or its machine had no network.
 */

/** A time in which a host was judged without a gap, and was in one state. */
export interface Span {
  /** In milliseconds since 1970. */
  readonly since: number
  readonly until: number
  readonly reachable: boolean
}

/** What is known of a host within some time, in milliseconds. */
export interface Uptime {
  readonly reachable: number
  readonly unreachable: number
}

/** The uptime within the last so many milliseconds. */
export const within = (spans: ReadonlyArray<Span>, now: number, last: number): Uptime => {
  const uptime = { reachable: 0, unreachable: 0 }
  for (const { reachable, since, until } of spans) {
    const time = Math.min(until, now) - Math.max(since, now - last)
    if (time > 0) uptime[reachable ? "reachable" : "unreachable"] += time
  }
  return uptime
}

/** In percent of the time in which it was judged. `undefined` if it was not judged. */
export const percent = ({ reachable, unreachable }: Uptime): number | undefined =>
  reachable + unreachable === 0 ? undefined : reachable * 100 / (reachable + unreachable)
