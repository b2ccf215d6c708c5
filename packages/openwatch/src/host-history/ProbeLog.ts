/**
 * Probes of a host as a text that grows at its end: a dozen characters for each.
 *
 * Such a text is appended to where it is stored, by both databases alike, and nobody has to read it first.
 */

/** What a probe has found. */
export interface ProbeSample {
  /** When it began, in milliseconds since 1970. */
  readonly at: number
  /** How long the host took to answer, in milliseconds; `undefined` where it did not. */
  readonly responseTimeMs: number | undefined
}

/** How many characters one has at most: until the year 2059, and up to a quarter of an hour for an answer. */
export const longest = 8 + 1 + 6 + 1

/** As text. Times of answers are kept to a hundredth of a millisecond. */
export const encode = (samples: ReadonlyArray<ProbeSample>): string =>
  samples.map(({ at, responseTimeMs }) =>
    `${Math.round(at).toString(36)}${
      responseTimeMs === undefined ? "" : `:${Math.round(responseTimeMs * 100).toString(36)}`
    },`
  ).join("")

/** From text, in the order of the text. What was stored twice, since nobody knew that it was stored, is there once. */
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
