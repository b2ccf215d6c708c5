/**
 * Which host of the inventory a scan is of.
 *
 * A scan names its target as the scanner saw it from inside. It is, in this order:
 *
 * 1. the host with that name;
 * 2. the host whose address is that name, or one of the addresses that the scanner found. Loopback and link-local
 *    addresses tell nothing, since every machine has them, and so does an address that several hosts share;
 * 3. a host that the inventory does not have, with the id that its name gives (see `hostIdFromName`): the same one that
 *    it will have once it is put into the inventory under that name.
 *
 * Names are compared without regard to case (RFC 4343), addresses by their value, however they are written.
 */
import { Result } from "effect"
import * as NetHost from "effect/net/Host"
import * as NetAddress from "effect/net/NetAddress"
import type { HostId } from "../events/HostId.ts"
import { type Host, hostIdFromName } from "../inventory/Host.ts"
import type { ScanTarget } from "./Scan.ts"

/** The host that was scanned. */
export interface TargetHost {
  readonly id: HostId
  /** Its name in the inventory, or else as the scan has it. */
  readonly name: string
  /** Where it is probed, `address:port`; `undefined` for a host that the inventory does not have. */
  readonly address: string | undefined
  readonly isInInventory: boolean
}

/** Every machine has these. */
const isEverywhere = (address: NetAddress.IpAddress): boolean =>
  NetAddress.isLoopback(address) || NetAddress.isLinkLocal(address) || NetAddress.isUnspecified(address)

/** Returns one key for all ways to write an address. `undefined` if the address does not distinguish hosts. */
const keyOf = (address: string): string | undefined => {
  const parsed = NetHost.hostFromString(address)
  if (Result.isFailure(parsed)) return undefined
  const host = parsed.success
  if (typeof host === "string") return host === "localhost" ? undefined : host.replace(/\.$/, "")
  if (NetAddress.isScopedIpv6Literal(host) || isEverywhere(host)) return undefined
  return NetAddress.formatIp(host)
}

/** Makes the function that finds the host of a target among these hosts. */
export const make = (hosts: ReadonlyArray<Host>): (target: ScanTarget) => TargetHost => {
  const byName = new Map<string, Host>()
  const byAddress = new Map<string, Host | "shared">()
  for (const host of hosts) {
    // Names that differ in case alone are several hosts; the first is as good as any.
    const name = host.name.toLowerCase()
    if (!byName.has(name)) byName.set(name, host)
    const key = keyOf(host.address)
    if (key !== undefined) byAddress.set(key, byAddress.has(key) ? "shared" : host)
  }

  const findByAddress = ({ addresses, name }: ScanTarget): Host | undefined => {
    for (const address of [name, ...addresses]) {
      const key = keyOf(address)
      const host = key === undefined ? undefined : byAddress.get(key)
      if (host !== undefined && host !== "shared") return host
    }
    return undefined
  }

  return (target) => {
    const host = byName.get(target.name.toLowerCase()) ?? findByAddress(target)
    return host === undefined
      ? { id: hostIdFromName(target.name), name: target.name, address: undefined, isInInventory: false }
      : { id: host.id, name: host.name, address: host.endpoint, isInInventory: true }
  }
}
