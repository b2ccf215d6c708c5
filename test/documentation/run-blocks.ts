/**
 * A process of its own that runs blocks, one after the other: its parent sends the file of a block and the lines of its
 * assertions, and is told what went wrong, or nothing.
 */
import { pathToFileURL } from "node:url"
import { inspect } from "node:util"
import { takeReached } from "./equal.ts"

const run = async (file: string, lines: ReadonlyArray<number>): Promise<string> => {
  takeReached()
  try {
    await import(pathToFileURL(file).href)
  } catch (error) {
    return inspect(error)
  }
  const reached = takeReached()
  const missed = lines.filter((line) => !reached.has(line))
  return missed.map((line) => `${file}:${line}: this assertion was never reached`).join("\n")
}

process.on("message", (message: { readonly file: string; readonly lines: ReadonlyArray<number> }) => {
  void run(message.file, message.lines).then((fault) => process.send?.(fault))
})
