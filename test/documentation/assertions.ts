/**
 * The assertions of a block: `expression // => value`, also `const name = expression // => value`, as effect's own
 * documentation has them. They are woven into the code, line by line, so that what a tool says of a line is true of the
 * documentation.
 */
import { parseSync, Visitor } from "oxc-parser"

export interface Woven {
  readonly code: string
  /** The lines of the assertions, from 1. */
  readonly lines: ReadonlyArray<number>
}

interface Edit {
  readonly start: number
  readonly end: number
  readonly text: string
}

/** The code with its assertions as calls of `$equal`, imported from a module. */
export const weave = (code: string, module: string): Woven => {
  const { comments, program } = parseSync("block.ts", code)
  const asserted: Array<{ readonly start: number; readonly end: number; readonly subject: string }> = []
  new Visitor({
    ExpressionStatement: ({ end, expression, start }) => {
      asserted.push({ start, end, subject: code.slice(expression.start, expression.end) })
    },
    VariableDeclaration: ({ declarations, end }) => {
      const [declaration] = declarations
      if (declarations.length === 1 && declaration?.id.type === "Identifier") {
        asserted.push({ start: end, end, subject: declaration.id.name })
      }
    }
  }).visit(program)

  const lines: Array<number> = []
  const edits: Array<Edit> = []
  for (const { end, start, type, value } of comments) {
    const [, expected] = type === "Line" ? /^ => (.+)$/.exec(value) ?? [] : []
    if (expected === undefined) continue
    const line = code.slice(0, start).split("\n").length
    const statement = asserted.find((candidate) =>
      /^[ \t]*$/.test(code.slice(candidate.end, start)) && candidate.end <= start
    )
    if (statement === undefined) {
      throw new Error(`line ${line}: "// =>${value.slice(3)}" must follow an expression or a constant on the same line`)
    }
    lines.push(line)
    const separator = statement.start === statement.end ? "; " : ""
    edits.push({ start: statement.start, end, text: `${separator}$equal(${statement.subject}, ${expected}, ${line})` })
  }

  const woven = edits.toSorted((a, b) => b.start - a.start).reduce(
    (text, { end, start, text: replacement }) => text.slice(0, start) + replacement + text.slice(end),
    code
  )
  return { code: `${woven}\nimport { $equal } from ${JSON.stringify(module)}; void $equal\n`, lines }
}
