/**
 * The places for probes. Only so many probes run at a time. Those that wait get a place in this order:
 *
 * - Second looks, at hosts that have just failed, go first. So a host that dies is known soon, even if thousands are
 *   probed.
 * - Then come first looks.
 * - Hosts that are known to be unreachable take the whole time-out each. So they get at most half of the places.
 */
import { Effect } from "effect"

/** What a place is for. */
export type Purpose = "second look" | "first look" | "unreachable"

/** Gives places. */
export interface Places {
  /** Runs an effect in a place, once there is one. */
  readonly within: (purpose: Purpose) => <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>
}

/** Makes so many places: at least one. */
export const make = (count: number): Places => {
  const forUnreachable = Math.max(1, Math.floor(count / 2))
  // Sets are in the order of coming, and whoever stops waiting is out of them at once.
  const waiting: { readonly [P in Purpose]: Set<() => void> } = {
    "second look": new Set(),
    "first look": new Set(),
    unreachable: new Set()
  }
  const order: ReadonlyArray<Purpose> = ["second look", "first look", "unreachable"]
  let taken = 0
  let takenByUnreachable = 0

  const isFree = (purpose: Purpose) =>
    taken < count && (purpose !== "unreachable" || takenByUnreachable < forUnreachable)

  const occupy = (purpose: Purpose) => {
    taken++
    if (purpose === "unreachable") takenByUnreachable++
  }

  const leave = (purpose: Purpose) => {
    taken--
    if (purpose === "unreachable") takenByUnreachable--
    for (const next of order) {
      const [begin] = waiting[next]
      if (begin === undefined || !isFree(next)) continue
      waiting[next].delete(begin)
      occupy(next)
      return begin()
    }
  }

  const acquire = (purpose: Purpose) =>
    Effect.callback<void>((resume) => {
      if (isFree(purpose) && waiting[purpose].size === 0) {
        occupy(purpose)
        return resume(Effect.void)
      }
      const begin = () => resume(Effect.void)
      waiting[purpose].add(begin)
      return Effect.sync(() => {
        // It may have got its place in the same moment.
        if (!waiting[purpose].delete(begin)) leave(purpose)
      })
    })

  return {
    within: (purpose) => (effect) =>
      Effect.uninterruptibleMask((restore) =>
        Effect.flatMap(
          restore(acquire(purpose)),
          () => Effect.ensuring(restore(effect), Effect.sync(() => leave(purpose)))
        )
      )
  }
}
