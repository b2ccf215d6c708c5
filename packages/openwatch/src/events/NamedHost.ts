import { Schema } from "effect"
import { PlainText } from "./PlainText.ts"

/** A host as people know it. Events carry it, so that whoever reads one needs no inventory. */
export const NamedHost = Schema.Struct({
  name: PlainText,
  /** Where it is probed, `address:port`. Absent for a host that is known from scans alone. */
  address: Schema.optionalKey(PlainText)
})

/** A host as people know it. */
export type NamedHost = typeof NamedHost.Type

/** In words: `name (address:port)`, or the name alone. */
export const describe = ({ address, name }: NamedHost): string => address === undefined ? name : `${name} (${address})`
