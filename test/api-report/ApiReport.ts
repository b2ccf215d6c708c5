/**
 * The public surface of a package as text: every declaration that its users can reach from what it exports, without
 * comments, and nothing else. It is read from the declarations that users get (`dist/*.d.ts`).
 *
 * What is exported under a name is reached, and so is whatever the types of it refer to in the same package, exported or
 * not: a change of either is a change for users.
 */
import { dirname, join, normalize } from "node:path/posix"
import { type Node, parseSync, Visitor } from "oxc-parser"

/** A way to read a file of declarations. */
export type Read = (path: string) => string

/** One place where a module names something of another: an import, or an export of what is elsewhere. */
interface Link {
  /** The name in this module; for an export, the name that users see. */
  readonly name: string
  /** The name in the other module. `*` is the whole module. */
  readonly imported: string
  readonly from: string
  readonly text: string
}

interface Declaration {
  readonly name: string
  readonly isExported: boolean
  readonly text: string
  /** The names that it refers to. */
  readonly references: ReadonlySet<string>
  /** What it refers to by `import("…")`. */
  readonly links: ReadonlyArray<Pick<Link, "imported" | "from">>
}

interface Module {
  readonly declarations: ReadonlyArray<Declaration>
  readonly imports: ReadonlyArray<Link>
  readonly exports: ReadonlyArray<Link>
  /** Local names that are exported in a list, by the name that users see. */
  readonly exportedLocals: ReadonlyMap<string, string>
}

const nameOf = (node: Node): string =>
  node.type === "Identifier" ? node.name : node.type === "Literal" ? String(node.value) : "?"

/** The first name of `A.B.C`. */
const leftmost = (node: Node): string | undefined =>
  node.type === "Identifier"
    ? node.name
    : node.type === "TSQualifiedName"
    ? leftmost(node.left)
    : node.type === "MemberExpression"
    ? leftmost(node.object)
    : undefined

const namesOf = (declaration: Node): ReadonlyArray<string> =>
  declaration.type === "VariableDeclaration"
    ? declaration.declarations.map(({ id }) => nameOf(id))
    : "id" in declaration && declaration.id !== null
    ? [nameOf(declaration.id)]
    : []

const readModule = (path: string, code: string): Module => {
  const { comments, errors, program } = parseSync(path, code)
  if (errors.length > 0) throw new Error(`${path}: ${errors[0]!.message}`)

  /** The members of each union. The compiler emits them in an order that depends on what it looked at first. */
  const unions: Array<{ readonly start: number; readonly end: number; readonly types: ReadonlyArray<Node> }> = []
  new Visitor({ TSUnionType: (union) => void unions.push(union) }).visit(program)

  const withoutComments = (start: number, end: number): string => {
    let text = ""
    let at = start
    for (const comment of comments) {
      if (comment.start < at || comment.end > end) continue
      text += code.slice(at, comment.start)
      at = comment.end
    }
    return text + code.slice(at, end)
  }

  const textIn = (start: number, end: number): string => {
    let text = ""
    let at = start
    // The outer ones come before those inside of them.
    for (const union of unions) {
      if (union.start < at || union.end > end) continue
      text += withoutComments(at, union.start)
      text += union.types.map((type) => textIn(type.start, type.end)).toSorted().join(" | ")
      at = union.end
    }
    return text + withoutComments(at, end)
  }

  const textOf = (start: number, end: number): string =>
    textIn(start, end).split("\n").map((line) => line.trimEnd()).filter((line) => line !== "").join("\n")

  const declarations: Array<Declaration> = []
  const imports: Array<Link> = []
  const exports: Array<Link> = []
  const exportedLocals = new Map<string, string>()

  const declare = (declaration: Node, statement: Node, isExported: boolean): void => {
    const references = new Set<string>()
    const links: Array<Pick<Link, "imported" | "from">> = []
    const refer = (node: Node): void => {
      const name = leftmost(node)
      if (name !== undefined) references.add(name)
    }
    new Visitor({
      TSTypeReference: ({ typeName }) => refer(typeName),
      TSTypeQuery: ({ exprName }) => refer(exprName),
      TSInterfaceHeritage: ({ expression }) => refer(expression),
      TSClassImplements: ({ expression }) => refer(expression),
      ClassDeclaration: ({ superClass }) => superClass === null ? undefined : refer(superClass),
      TSPropertySignature: ({ computed, key }) => computed ? refer(key) : undefined,
      TSMethodSignature: ({ computed, key }) => computed ? refer(key) : undefined,
      PropertyDefinition: ({ computed, key }) => computed ? refer(key) : undefined,
      MethodDefinition: ({ computed, key }) => computed ? refer(key) : undefined,
      TSImportType: ({ qualifier, source }) => {
        links.push({ from: source.value, imported: qualifier === null ? "*" : leftmost(qualifier) ?? "*" })
      }
    }).visit({ ...program, body: [statement] } as typeof program)
    const text = textOf(statement.start, statement.end)
    for (const name of namesOf(declaration)) declarations.push({ name, isExported, text, references, links })
  }

  for (const statement of program.body) {
    if (statement.type === "ImportDeclaration") {
      const from = statement.source.value
      for (const specifier of statement.specifiers) {
        const name = specifier.local.name
        const imported = specifier.type === "ImportSpecifier"
          ? nameOf(specifier.imported)
          : specifier.type === "ImportDefaultSpecifier"
          ? "default"
          : "*"
        const shown = imported === "*"
          ? `* as ${name}`
          : imported === name
          ? `{ ${name} }`
          : `{ ${imported} as ${name} }`
        imports.push({ name, imported, from, text: `import ${shown} from ${JSON.stringify(from)}` })
      }
    } else if (statement.type === "ExportAllDeclaration") {
      const from = statement.source.value
      const name = statement.exported === null ? "*" : nameOf(statement.exported)
      exports.push({
        name,
        imported: "*",
        from,
        text: `export * ${name === "*" ? "" : `as ${name} `}from ${JSON.stringify(from)}`
      })
    } else if (statement.type === "ExportNamedDeclaration" && statement.source !== null) {
      const from = statement.source.value
      for (const specifier of statement.specifiers) {
        const [imported, name] = [nameOf(specifier.local), nameOf(specifier.exported)]
        const isType = statement.exportKind === "type" || specifier.exportKind === "type"
        const shown = `${isType ? "type " : ""}${imported === name ? name : `${imported} as ${name}`}`
        exports.push({ name, imported, from, text: `export { ${shown} } from ${JSON.stringify(from)}` })
      }
    } else if (statement.type === "ExportNamedDeclaration") {
      for (const { exported, local } of statement.specifiers) exportedLocals.set(nameOf(exported), nameOf(local))
      if (statement.declaration !== null) declare(statement.declaration, statement, true)
    } else if (statement.type === "ExportDefaultDeclaration") {
      throw new Error(`${path}: there is a default export; the packages here have none`)
    } else declare(statement, statement, false)
  }
  return { declarations, imports, exports, exportedLocals }
}

/**
 * The surface that users reach through the entry points of a package, which are given by what users import.
 *
 * **Gotchas**
 *
 * The order of declarations, that of the members of a union, and comments are no part of it.
 */
export const apiReport = (entries: ReadonlyMap<string, string>, read: Read): string => {
  const modules = new Map<string, Module>()
  const reached = new Map<string, Set<string>>()
  /** The lines of each module, by what they are about. */
  const lines = new Map<string, Map<string, string>>()

  const moduleAt = (path: string): Module => {
    let module = modules.get(path)
    if (module === undefined) modules.set(path, module = readModule(path, read(path)))
    return module
  }

  const follow = (path: string, { from, imported }: Pick<Link, "imported" | "from">): void => {
    if (!from.startsWith(".")) return
    reach(normalize(join(dirname(path), from)).replace(/\.[jt]s$/, ".d.ts"), imported)
  }

  const include = (path: string, key: string, text: string): void => {
    let ofModule = lines.get(path)
    if (ofModule === undefined) lines.set(path, ofModule = new Map())
    ofModule.set(key, text)
  }

  /** What is called so inside the module. */
  const refer = (path: string, name: string): boolean => {
    const seen = reached.get(path) ?? new Set()
    reached.set(path, seen)
    const isNew = !seen.has(name)
    seen.add(name)
    const { declarations, imports } = moduleAt(path)
    let isThere = false
    declarations.forEach((declaration, index) => {
      if (declaration.name !== name) return
      isThere = true
      if (!isNew) return
      include(path, `2 ${name} ${String(index).padStart(5, "0")}`, declaration.text)
      // What is neither declared nor imported here is TypeScript's, or a type parameter.
      for (const reference of declaration.references) refer(path, reference)
      for (const link of declaration.links) follow(path, link)
    })
    for (const link of imports) {
      if (link.name !== name) continue
      isThere = true
      if (!isNew) continue
      include(path, `0 ${link.text}`, link.text)
      follow(path, link)
    }
    return isThere
  }

  /** What is called so outside of the module. */
  const reach = (path: string, name: string): void => {
    const { declarations, exportedLocals, exports } = moduleAt(path)
    if (name === "*") {
      for (const declaration of declarations) if (declaration.isExported) refer(path, declaration.name)
      for (const exported of exportedLocals.keys()) reach(path, exported)
    }
    let isThere = name === "*"
    for (const link of exports) {
      if (name !== "*" && link.name !== "*" && link.name !== name) continue
      include(path, `1 ${link.text}`, link.text)
      // Of a module that is exported without a name, all is exported.
      follow(path, link)
      isThere = true
    }
    const local = exportedLocals.get(name)
    if (local !== undefined) {
      if (local !== name) include(path, `1 ${name}`, `export { ${local} as ${name} }`)
      refer(path, local)
      isThere = true
    }
    if (name !== "*" && refer(path, name)) isThere = true
    if (!isThere) throw new Error(`${path}: there is no export ${JSON.stringify(name)}`)
  }

  for (const path of entries.values()) reach(path, "*")
  const sections = Array.from(lines, ([path, ofModule]) => {
    const entry = Array.from(entries).find(([, entryPath]) => entryPath === path)?.[0]
    const texts = Array.from(ofModule).toSorted(([a], [b]) => a < b ? -1 : 1).map(([, text]) => text)
    return { order: entry === undefined ? `1 ${path}` : `0 ${entry}`, title: entry ?? path, texts }
  })
  return sections.toSorted((a, b) => a.order < b.order ? -1 : 1)
    .map(({ texts, title }) => [`=== ${title}`, ...new Set(texts)].join("\n"))
    .join("\n\n") + "\n"
}
