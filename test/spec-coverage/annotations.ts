/**
 * The comment lines `// @spec <id>` and `// @ac AC-01` above a test, which say in the source what its title says in the
 * results. They are read with a parser, since the strings of a test may hold such lines too, and a call may start some
 * lines above the place that its stack trace names (`it.each([…])("title")`).
 */
import { parseSync, Visitor } from "oxc-parser"

export interface Annotation {
  /** The comment as it is written, such as `// @ac AC-01`. */
  readonly text: string
  readonly line: number
}

export interface Annotations {
  readonly all: ReadonlyArray<Annotation>
  /** Those directly above the call at a position, whose line and column count from 1. */
  readonly above: (position: { readonly line: number; readonly column: number }) => ReadonlyArray<Annotation>
}

export const readAnnotations = (path: string, source: string): Annotations => {
  const parsed = parseSync(path, source)
  const comments = parsed.comments.map(({ end, start, type, value }) => ({
    start,
    end,
    annotation: type === "Line" && /^\s*@(spec|ac)\b/.test(value)
      ? { text: `// ${value.trim()}`, line: source.slice(0, start).split("\n").length }
      : undefined
  }))
  const calls: Array<{ readonly start: number; readonly end: number }> = []
  new Visitor({ CallExpression: (call) => void calls.push(call) }).visit(parsed.program)
  const lines = source.split("\n")

  return {
    all: comments.flatMap(({ annotation }) => annotation ?? []),
    above: ({ column, line }) => {
      const offset = lines.slice(0, line - 1).reduce((sum, text) => sum + text.length + 1, column - 1)
      // An outer call is visited before those inside it, so the last one is the innermost.
      let top = calls.findLast(({ end, start }) => start <= offset && offset < end)?.start ?? offset
      const found: Array<Annotation> = []
      for (const { annotation, end, start } of comments.toReversed()) {
        if (end > top) continue
        if (source.slice(end, top).trim() !== "") break
        if (annotation !== undefined) found.unshift(annotation)
        top = start
      }
      return found
    }
  }
}
