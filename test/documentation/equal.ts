/** What an assertion of the documentation calls. */
import { deepStrictEqual } from "node:assert/strict"

const reached = new Set<number>()

/** Fails unless both are equal, and remembers that the assertion was reached. */
export const $equal = (actual: unknown, expected: unknown, line: number): void => {
  reached.add(line)
  deepStrictEqual(actual, expected)
}

/** The lines of the assertions reached since the last call. */
export const takeReached = (): ReadonlySet<number> => {
  const lines = new Set(reached)
  reached.clear()
  return lines
}
