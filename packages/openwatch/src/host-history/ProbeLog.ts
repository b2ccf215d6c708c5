/**
 * The probes of a host as a text: a dozen characters for each, appended at its end. Both databases can append to a text
 * that is stored, without reading it first.
 */

/** What a probe has found. */
export interface ProbeSample {
  /** When it began, in milliseconds since 1970. */
  readonly at: number
  /** How long the host took to answer, in milliseconds. `undefined` if it did not. */
  readonly responseTimeMs: number | undefined
}

/**
 * How many characters a probe takes at most, until the year 2059 and for response times of up to a quarter of an hour.
 */
export const longest = 8 + 1 + 6 + 1

/** Encodes probes as text. Response times are kept to a hundredth of a millisecond. */
export const encode = (samples: ReadonlyArray<ProbeSample>): string =>
  samples.map(({ at, responseTimeMs }) =>
    `${Math.round(at).toString(36)}${
      responseTimeMs === undefined ? "" : `:${Math.round(responseTimeMs * 100).toString(36)}`
    },`
  ).join("")

/**
 * Decodes a text, in its order. A probe that was stored twice, since it was not known that it was stored, is there
 * once.
 */
export const decode = (text: string): ReadonlyArray<ProbeSample> => {
  const samples = new Map<number, ProbeSample>()
  for (const entry of text.split(",")) {
    if (entry === "") continue
    const [at = "", hundredths] = entry.split(":")
    const time = parseInt(at, 36)
    samples.set(time, {
      at: time,
      responseTimeMs: hundredths === undefined ? undefined : parseInt(hundredths, 36) / 100
    })
  }
  return [...samples.values()]
}
