/**
 * What `--json` prints: an object a line, each with the version of its form. A key may be new in the same version; one that goes, or
 * comes to mean something else, is a new version.
 */

/** The version of all forms. */
export const version = 1

/** A line. */
export const jsonLine = (object: object): string => JSON.stringify({ version, ...object })
