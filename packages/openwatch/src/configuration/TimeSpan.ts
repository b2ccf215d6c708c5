/**
 * Lengths of time as people write them: a number and its unit, without a blank, like `90s`, `5m` or `1.5h`.
 */
import { Duration, Option, Schema } from "effect"

const units = { s: Duration.seconds, m: Duration.minutes, h: Duration.hours, d: Duration.days }

/** What a time span looks like, for messages. */
export const expected = "a time span like 90s, 5m or 1h"

/** The length of time that a text names. */
export const parse = (text: string): Option.Option<Duration.Duration> => {
  const match = /^(\d+(?:\.\d+)?)([smhd])$/.exec(text)
  return match === null ? Option.none() : Option.some(units[match[2] as keyof typeof units](Number(match[1])))
}

/** A text that names a length of time. */
export const Text = Schema.String.check(
  Schema.makeFilter((text: string) => Option.isSome(parse(text)), { expected })
)
