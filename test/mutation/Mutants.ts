/**
 * The mutants of a source: copies with one small fault each, of the kinds that people make. Types have none.
 */
import { type Node, parseSync, Visitor } from "oxc-parser"

/** One fault: the text from `start` to `end` becomes another. */
export interface Mutant {
  readonly start: number
  readonly end: number
  readonly replacement: string
  /** From 1. */
  readonly line: number
  readonly what: string
}

const comparisons: Record<string, string> = {
  "<": "<=",
  "<=": "<",
  ">": ">=",
  ">=": ">",
  "===": "!==",
  "!==": "===",
  "+": "-",
  "-": "+",
  "*": "/",
  "/": "*"
}
const assignments: Record<string, string> = { "+=": "-=", "-=": "+=", "??=": "=", "||=": "=" }

/** All mutants of the source, in the order of the text. */
export const mutantsOf = (path: string, source: string): ReadonlyArray<Mutant> => {
  const mutants: Array<Mutant> = []
  const add = (start: number, end: number, replacement: string, what: string): void => {
    mutants.push({ start, end, replacement, what, line: source.slice(0, start).split("\n").length })
  }
  const text = ({ end, start }: { readonly start: number; readonly end: number }): string => source.slice(start, end)
  const become = (node: Node, replacement: string): void =>
    add(node.start, node.end, replacement, `${text(node)} -> ${replacement}`)
  const decide = (test: Node | null): void => {
    if (test === null) return
    become(test, "true")
    become(test, "false")
  }
  const { program } = parseSync(path, source)
  const types = new Set<number>()
  new Visitor({
    BinaryExpression: (node) => {
      const other = comparisons[node.operator]
      if (other === undefined) return
      // Text is only ever added.
      if (node.operator === "+" && /["`]/.test(text(node))) return
      become(node, `${text(node.left)} ${other} ${text(node.right)}`)
    },
    LogicalExpression: (node) => {
      if (node.operator === "??") return become(node, text(node.left))
      become(node, `(${text(node.left)} ${node.operator === "&&" ? "||" : "&&"} ${text(node.right)})`)
    },
    UnaryExpression: (node) => {
      if (node.operator === "!") become(node, `(${text(node.argument)})`)
    },
    UpdateExpression: (node) => {
      const other = node.operator === "++" ? "--" : "++"
      become(node, node.prefix ? other + text(node.argument) : text(node.argument) + other)
    },
    AssignmentExpression: (node) => {
      const other = assignments[node.operator]
      if (other !== undefined) become(node, `${text(node.left)} ${other} ${text(node.right)}`)
    },
    IfStatement: ({ test }) => decide(test),
    ConditionalExpression: ({ test }) => decide(test),
    WhileStatement: ({ test }) => become(test, "false"),
    TSLiteralType: ({ literal }) => void types.add(literal.start),
    Literal: (node) => {
      if (types.has(node.start)) return
      if (typeof node.value === "boolean") become(node, String(!node.value))
      if (typeof node.value === "number") become(node, String(node.value + 1))
    },
    ChainExpression: (node) => {
      if (text(node).includes("?.")) become(node, text(node).replace("?.(", "(").replace("?.", "."))
    },
    ExpressionStatement: (node) => {
      if (/^(super|"use)/.test(text(node))) return
      add(node.start, node.end, ";", `without ${text(node).split("\n")[0]}`)
    },
    ReturnStatement: (node) => {
      if (node.argument === null) add(node.start, node.end, ";", "without return")
    }
  }).visit(program)
  return mutants.toSorted((a, b) => a.start - b.start)
}
