/**
 * A series: the scans of one host, by one benchmark, with one profile. Only these can be compared. Two profiles check
 * different things, and so do two benchmarks.
 */
import { Schema } from "effect"
import { PlainText } from "./PlainText.ts"

/** What a host was scanned for. */
export const Series = Schema.Struct({
  /** The benchmark's id, or where it came from. Empty if the result does not say. */
  benchmark: PlainText,
  /** The profile's id. Empty if none was chosen. */
  profile: PlainText
})

/** What a host was scanned for. */
export type Series = typeof Series.Type

/** A series of a host as one text: the third part of the key of its alerts. */
export const keyOf = ({ benchmark, profile }: Series): string => `${benchmark}/${profile}`

// XCCDF 1.2 ids are `xccdf_<namespace>_<kind>_<name>` (NISTIR 7275r4 section 6.2.3): only the last part tells people something.
const shortened = (id: string, kind: "benchmark" | "profile"): string =>
  id.replace(new RegExp(`^xccdf_[^_]+_${kind}_`), "")

/** In words, as short as can be: `DEBIAN-11/cis`. */
export const describe = ({ benchmark, profile }: Series): string =>
  [
    ...(benchmark === "" ? [] : [shortened(benchmark, "benchmark")]),
    profile === "" ? "no profile" : shortened(profile, "profile")
  ].join("/")
