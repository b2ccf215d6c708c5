/**
 * What of the page is looked at, and the address of it: back, forward, reload and a link sent to somebody lead to the same.
 *
 * - `#/` is the fleet, `#/?state=unreachable&tag=site=berlin&text=web` those of its hosts, `#/?alerts=web` those of its alerts.
 * - `#/hosts/ID` is one host.
 * - `#/bus` is the bus.
 */
import { useEffect, useState } from "preact/hooks"

/** The states of a host, the worst first. */
export const states = ["unreachable", "unjudged", "unknown", "reachable"] as const

/** What hosts are found by: a state, or that they are in maintenance. */
const conditions = [...states, "maintenance"] as const

/** Which hosts and alerts are looked for. */
export interface Filter {
  readonly state: (typeof conditions)[number] | undefined
  /** `key=value`, as the inventory has it. */
  readonly tag: string | undefined
  readonly text: string
  /** Words of alerts. */
  readonly alerts: string
}

/** What is looked at. */
export type View =
  | { readonly name: "fleet"; readonly filter: Filter }
  | { readonly name: "host"; readonly hostId: string }
  | { readonly name: "bus" }

/** All hosts and alerts. */
export const noFilter: Filter = { state: undefined, tag: undefined, text: "", alerts: "" }

/** Whether hosts are looked for. */
export const isFiltered = ({ state, tag, text }: Filter): boolean =>
  state !== undefined || tag !== undefined || text.trim() !== ""

/** The address of what is looked for. */
export const addressOfFleet = ({ alerts, state, tag, text }: Filter): string => {
  const query = new URLSearchParams()
  if (state !== undefined) query.set("state", state)
  if (tag !== undefined) query.set("tag", tag)
  if (text !== "") query.set("text", text)
  if (alerts !== "") query.set("alerts", alerts)
  return query.size === 0 ? "#/" : `#/?${query}`
}

/** The address of a host. */
export const addressOfHost = (hostId: string): string => `#/hosts/${encodeURIComponent(hostId)}`

/** The address of the bus. */
export const addressOfBus = "#/bus"

const decoded = (part: string): string => {
  try {
    return decodeURIComponent(part)
  } catch {
    // Cut off, or typed by hand.
    return part
  }
}

/** What is at an address: the fleet where it says nothing else. */
export const viewOf = (hash: string): View => {
  const [, path = "", query = ""] = /^#?([^?]*)\??(.*)$/.exec(hash) ?? []
  if (path === "/bus") return { name: "bus" }
  const [, hostId] = /^\/hosts\/([^/]+)$/.exec(path) ?? []
  if (hostId !== undefined) return { name: "host", hostId: decoded(hostId) }
  const found = new URLSearchParams(query)
  const state = conditions.find((state) => state === found.get("state"))
  const text = (name: string) => found.get(name) ?? ""
  return {
    name: "fleet",
    filter: { state, tag: found.get("tag") ?? undefined, text: text("text"), alerts: text("alerts") }
  }
}

/** Changes the address without a step to go back by: one does not go back letter by letter. */
export const replaceAddress = (address: string): void => {
  history.replaceState(null, "", address)
  dispatchEvent(new HashChangeEvent("hashchange"))
}

/** What is looked at now. */
export const useView = (): View => {
  const [view, setView] = useState(() => viewOf(location.hash))
  useEffect(() => {
    const update = () => setView(viewOf(location.hash))
    addEventListener("hashchange", update)
    return () => removeEventListener("hashchange", update)
  }, [])
  return view
}
