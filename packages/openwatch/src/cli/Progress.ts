/**
 * How far a long command is: one line on standard error that is written again and again, if that is a terminal.
 * Otherwise nothing is written.
 */

let isShown = false
let lastAt = -Infinity

/** The least time between two writes, in milliseconds. Nobody sees more. */
const pause = 100

/** Removes the line, before something else is written and at the end. */
export const clear = (): void => {
  if (!isShown) return
  isShown = false
  process.stderr.write("\r\u001b[K")
}

/** Shows how far it is, unless that was shown a moment ago. */
export const show = (text: () => string): void => {
  if (!process.stderr.isTTY) return
  const now = performance.now()
  if (now - lastAt < pause) return
  lastAt = now
  isShown = true
  process.stderr.write(`\r\u001b[K${text()}`)
}
