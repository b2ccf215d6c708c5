/**
 * The code blocks of the documentation: those fenced as `ts` in Markdown files and in the doc comments of sources.
 *
 * A block is a whole module, checked and run. ` ```ts no-run: <why> ` marks one that is only checked.
 */
import { parseSync } from "oxc-parser"

export interface Block {
  /** The file, from the root of the repository. */
  readonly path: string
  /** Where its first line of code is, from 1. */
  readonly line: number
  readonly code: string
  /** Why it is not run. */
  readonly noRun: string | undefined
}

const fence = /^\s*(```+)(.*)$/

const readLines = (path: string, lines: ReadonlyArray<string>, firstLine: number): ReadonlyArray<Block> => {
  const blocks: Array<Block> = []
  let open: { readonly marks: string; readonly language: string; readonly start: number } | undefined
  lines.forEach((line, index) => {
    const [, marks, rest = ""] = fence.exec(line) ?? []
    if (marks === undefined) return
    if (open === undefined) {
      open = { marks, language: rest.trim(), start: index + 1 }
      return
    }
    if (rest.trim() !== "" || marks.length < open.marks.length) return
    const { language, start } = open
    open = undefined
    if (!/^ts\b/.test(language)) return
    const at = `${path}:${firstLine + start - 1}`
    const [, why] = /^ts no-run: (.+)$/.exec(language) ?? []
    if (language !== "ts" && why === undefined) {
      throw new Error(`${at}: a block is fenced as "ts" or "ts no-run: <why>", but this one as "${language}"`)
    }
    blocks.push({ path, line: firstLine + start, code: lines.slice(start, index).join("\n"), noRun: why })
  })
  if (open !== undefined) throw new Error(`${path}:${firstLine + open.start - 1}: this fence is never closed`)
  return blocks
}

/** The blocks of a Markdown file. */
export const readMarkdown = (path: string, text: string): ReadonlyArray<Block> => readLines(path, text.split("\n"), 1)

/** The blocks of the doc comments of a source. */
export const readSource = (path: string, source: string): ReadonlyArray<Block> =>
  parseSync(path, source).comments
    .filter(({ type, value }) => type === "Block" && value.startsWith("*"))
    .flatMap(({ start, value }) =>
      readLines(
        path,
        value.split("\n").map((line) => line.replace(/^\s*\* ?/, "")),
        source.slice(0, start).split("\n").length
      )
    )
