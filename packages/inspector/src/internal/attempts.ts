/**
 * How often somebody may try a token: ten wrong ones, and then one a second.
 *
 * Whoever tries faster is told to wait, and not whether the token was right. So nothing is learned by trying many at
 * once. Each address has attempts of its own, so nobody keeps others out. One line of the log tells of each address. Of
 * IPv6 whoever has one address has all of its /64 (RFC 4291 section 2.5.4), so these have their attempts together.
 */
import { Clock, Effect } from "effect"
import * as Net from "node:net"

/** So many wrong ones are checked at once. */
const burst = 10

/** After an address was quiet for so long, in milliseconds, its next wrong tokens are logged again. */
const quietFor = 600_000

/** How many addresses, or networks, are remembered. Whoever has more of them has other means anyway. */
const networksAtMost = 1_000

/** Whose attempts those of an address are. */
const networkOf = (address: string): string => {
  if (Net.isIP(address) !== 6 || /^::ffff:[\d.]+$/i.test(address)) return address
  const { hostname } = new URL(`http://[${address.split("%", 1)[0]}]`)
  const [head = [], tail = []] = hostname.slice(1, -1).split("::").map((groups) => groups.split(":").filter(Boolean))
  const zeros = Array<string>(8 - head.length - tail.length).fill("0")
  return [...head, ...zeros, ...tail].slice(0, 4).join(":")
}

interface Tries {
  left: number
  at: number
}

/** What became of an attempt. */
export type Attempt = "right" | "wrong" | "too many"

/** Counts attempts. */
export interface Attempts {
  /** Checks a token for somebody at an address, unless they have tried too many. */
  readonly check: (address: string, isRight: () => boolean) => Effect.Effect<Attempt>
  /** Whether somebody at an address has tried too many. */
  readonly isSlowedDown: (address: string) => Effect.Effect<boolean>
}

/** Makes a counter at which nobody has tried anything yet. */
export const make = (): Attempts => {
  const byNetwork = new Map<string, Tries>()

  const find = (address: string, now: number): Tries => {
    const found = byNetwork.get(networkOf(address))
    if (found === undefined) return { left: burst, at: -Infinity }
    return { left: Math.min(burst, found.left + (now - found.at) / 1_000), at: found.at }
  }

  const millis = Effect.map(Clock.monotonicTimeNanos, (nanos) => Number(nanos) / 1e6)

  return {
    isSlowedDown: (address) => Effect.map(millis, (now) => find(address, now).left < 1),
    check: Effect.fnUntraced(function*(address: string, isRight: () => boolean) {
      const now = yield* millis
      const { at, left } = find(address, now)
      if (left < 1) return "too many"
      if (isRight()) return "right"
      // The last one to have tried is the last one to be forgotten.
      byNetwork.delete(networkOf(address))
      byNetwork.set(networkOf(address), { left: left - 1, at: now })
      if (byNetwork.size > networksAtMost) byNetwork.delete(byNetwork.keys().next().value!)
      if (now - at > quietFor) {
        yield* Effect.logWarning(`A wrong token came from ${address}; where more come, they are slowed down`)
      }
      return "wrong"
    })
  }
}
