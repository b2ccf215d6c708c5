/**
 * What `--json` prints: one object on each line, with the `version` of its form. A new key does not change the version.
 * A key that is removed, or gets another meaning, does.
 */

import * as Flag from "effect/cli/Flag"

/** `--json`, which prints what the description says. */
export const json = (description: string) =>
  Flag.Boolean("json").pipe(Flag.withoutNegation, Flag.withDescription(description), Flag.withDefault(false))

/** The version of all forms. */
export const version = 1

/** A line. */
export const jsonLine = (object: object): string => JSON.stringify({ version, ...object })
