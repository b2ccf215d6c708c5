/**
 * How far a long command is: one line on standard error that is written anew, where that is a terminal; elsewhere nothing.
 */

let isShown = false
let lastAt = -Infinity

/** Writing more often costs more than anybody sees, in milliseconds. */
const pause = 100

/** Takes the line away: something else is to be written, or it is over. */
export const clear = (): void => {
  if (!isShown) return
  isShown = false
  process.stderr.write("\r\u001b[K")
}

/** Shows how far it is, unless that was shown just now. */
export const show = (text: () => string): void => {
  if (!process.stderr.isTTY) return
  const now = performance.now()
  if (now - lastAt < pause) return
  lastAt = now
  isShown = true
  process.stderr.write(`\r\u001b[K${text()}`)
}
