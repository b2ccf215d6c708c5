/**
 * What a module exports, as a reader of its documentation wants it: each declaration as TypeScript without what only the
 * implementation needs, and its doc comment as Markdown.
 *
 * It is read from the sources, which show types as they were written. A function whose type was left to the compiler is
 * shown as the compiler emitted it.
 */
import { dirname, join } from "node:path/posix"
import { type Node, parseSync } from "oxc-parser"

/** A way to read a file. */
export type Read = (path: string) => string

export interface Member {
  readonly name: string
  readonly signature: string
  readonly doc: string
}

export interface Declaration {
  readonly signature: string
  readonly doc: string
  /** The members that have a doc comment of their own, and those beside them. */
  readonly members: ReadonlyArray<Member>
}

/** A file, and a name in it. `*` is the whole module. */
export interface Place {
  readonly path: string
  readonly name: string
}

export const isWholeModule = (found: Declaration | Place): found is Place => "name" in found && found.name === "*"

export interface Module {
  /** The comment at the top of the file. */
  readonly doc: string
  /** By the name that importers see: what it declares, or where else that is declared. */
  readonly exports: ReadonlyMap<string, Declaration | Place>
}

const nameOf = (node: Node): string =>
  node.type === "Identifier" ? node.name : node.type === "Literal" ? String(node.value) : "?"

/** The text of a doc comment without its frame. */
const docOf = (comment: string): string =>
  comment.slice(1).replaceAll(/^\s*\* ?/gm, "").replace(/^@module$/m, "").trim()

/** The declarations that the compiler emitted for a source, whose types are all written out. */
const emittedPath = (path: string): string => path.replace("/src/", "/dist/").replace(/\.ts$/, ".d.ts")

export const readModule = (path: string, read: Read): Module => {
  const code = read(path)
  const { comments, errors, program } = parseSync(path, code)
  if (errors.length > 0) throw new Error(`${path}: ${errors[0]!.message}`)
  const docs = comments.filter(({ type, value }) => type === "Block" && value.startsWith("*"))
  const resolve = (specifier: string): string => join(dirname(path), specifier)
  const textOf = ({ end, start }: { readonly start: number; readonly end: number }): string => code.slice(start, end)
  /** The same without the indentation that it has in its file. */
  const outdented = ({ end, start }: { readonly start: number; readonly end: number }): string => {
    const indentation = /^ */.exec(code.slice(code.lastIndexOf("\n", start) + 1))![0]
    return code.slice(start, end).replaceAll(`\n${indentation}`, "\n").trim()
  }
  const docBefore = ({ start }: Node): string => {
    const doc = docs.findLast(({ end }) => end <= start && code.slice(end, start).trim() === "")
    return doc === undefined ? "" : docOf(doc.value)
  }

  /** The type of a function whose parameters and result have types: the function without defaults and body. */
  const functionType = (node: Node): string | undefined => {
    if (node.type !== "ArrowFunctionExpression") return undefined
    const result = node.returnType == null ? functionType(node.body) : textOf(node.returnType.typeAnnotation)
    if (result === undefined) return undefined
    const open = code.indexOf("(", node.typeParameters?.end ?? node.start)
    let parameters = ""
    let at = open
    for (const parameter of node.params) {
      parameters += code.slice(at, parameter.start) + (parameter.type === "AssignmentPattern"
        ? textOf(parameter.left).replace(":", "?:")
        : textOf(parameter))
      at = parameter.end
    }
    parameters += code.slice(at, code.indexOf(")", at) + 1)
    return `${node.typeParameters == null ? "" : textOf(node.typeParameters)}${parameters} => ${result}`
  }

  const variable = (id: Node, init: Node | null): string => {
    if (init === null || ("typeAnnotation" in id && id.typeAnnotation != null)) return textOf(id)
    const type = functionType(init)
    if (type !== undefined) return `${nameOf(id)}: ${type}`
    const value = textOf(init)
    return value.includes("=>") || value.includes("function") ? emitted(nameOf(id)) : `${nameOf(id)} = ${value}`
  }

  let compiled: Module | undefined
  const emitted = (name: string): string => {
    if (path.endsWith(".d.ts")) throw new Error(`${path}: "${name}" has no type`)
    compiled ??= readModule(emittedPath(path), read)
    const declaration = compiled.exports.get(name)
    if (declaration === undefined || !("signature" in declaration)) {
      throw new Error(`${emittedPath(path)} has no "${name}": "npm run check:types" makes it anew`)
    }
    return declaration.signature.replace(/^const /, "")
  }

  const declarationsOf = (node: Node, doc: string): ReadonlyArray<readonly [string, Declaration]> => {
    const declare = (name: string, signature: string, members: ReadonlyArray<Member> = []) =>
      [name, { signature, doc, members }] as const
    switch (node.type) {
      case "VariableDeclaration":
        return node.declarations.map(({ id, init }) => declare(nameOf(id), `const ${variable(id, init)}`))
      case "TSInterfaceDeclaration": {
        const members = node.body.body.flatMap((member) =>
          (member.type === "TSPropertySignature" || member.type === "TSMethodSignature") &&
            member.key.type === "Identifier"
            ? [{ name: member.key.name, signature: outdented(member), doc: docBefore(member) }]
            : []
        )
        return members.every(({ doc }) => doc === "")
          ? [declare(node.id.name, textOf(node))]
          : [declare(node.id.name, code.slice(node.start, node.body.start).trim(), members)]
      }
      case "ClassDeclaration": {
        // What is declared inside of the parentheses, the fields of an event say, is part of what it extends.
        const members = node.body.body.flatMap((member) =>
          member.type === "PropertyDefinition" && member.accessibility == null && docBefore(member) !== ""
            ? [{
              name: nameOf(member.key),
              signature: outdented({ start: member.start, end: member.value?.start ?? member.end }).replace(
                /\s*=$/,
                ""
              ),
              doc: docBefore(member)
            }]
            : []
        )
        return node.id === null ? [] : [declare(node.id.name, code.slice(node.start, node.body.start).trim(), members)]
      }
      case "TSTypeAliasDeclaration":
      case "FunctionDeclaration":
        return node.id === null ? [] : [declare(node.id.name, textOf(node))]
      default:
        return []
    }
  }

  const exports = new Map<string, Declaration | Place>()
  const imports = new Map<string, Place>()
  for (const statement of program.body) {
    if (statement.type === "ImportDeclaration") {
      for (const specifier of statement.specifiers) {
        const name = specifier.type === "ImportSpecifier" ? nameOf(specifier.imported) : "*"
        imports.set(specifier.local.name, { path: resolve(statement.source.value), name })
      }
    } else if (statement.type === "ExportAllDeclaration") {
      if (statement.exported === null) throw new Error(`${path}: an "export *" needs a name to be documented under`)
      exports.set(nameOf(statement.exported), { path: resolve(statement.source.value), name: "*" })
    } else if (statement.type === "ExportNamedDeclaration" && statement.declaration === null) {
      for (const { exported, local } of statement.specifiers) {
        const found = statement.source === null
          ? imports.get(nameOf(local))
          : { path: resolve(statement.source.value), name: nameOf(local) }
        if (found === undefined) throw new Error(`${path}: export "${nameOf(local)}" where it is declared`)
        exports.set(nameOf(exported), found)
      }
    } else if (statement.type === "ExportNamedDeclaration") {
      const declared = declarationsOf(statement.declaration!, docBefore(statement))
      for (const [name, declaration] of declared) exports.set(name, declaration)
    }
  }
  const [first] = docs
  const isAtTop = first !== undefined && code.slice(0, first.start).trim() === ""
  return { doc: isAtTop ? docOf(first.value) : "", exports }
}
