/**
 * What `--json` prints: an object a line, each with the version of its form. A key may be new in the same version; one that goes, or
 * comes to mean something else, is a new version.
 */

import * as Flag from "effect/cli/Flag"

/** `--json`, which prints what the description says. */
export const json = (description: string) =>
  Flag.Boolean("json").pipe(Flag.withoutNegation, Flag.withDescription(description), Flag.withDefault(false))

/** The version of all forms. */
export const version = 1

/** A line. */
export const jsonLine = (object: object): string => JSON.stringify({ version, ...object })
