import { assert, describe, it } from "@effect/vitest"
import { readFileSync } from "node:fs"
import { dirname, join, relative } from "node:path"
import { parseSync, type Program } from "oxc-parser"

const root = join(import.meta.dirname, "../..")

interface Export {
  readonly name: string
  readonly start: number
}

type Statement = Program["body"][number]

const namesOf = (statement: Statement): ReadonlyArray<string> => {
  if (statement.type !== "ExportNamedDeclaration" || statement.declaration === null) return []
  const { declaration } = statement
  if (declaration.type === "VariableDeclaration") {
    return declaration.declarations.map(({ id }) => id.type === "Identifier" ? id.name : "?")
  }
  return "id" in declaration && declaration.id?.type === "Identifier" ? [declaration.id.name] : []
}

/** The exports of a module without a doc comment, and those of the modules that it exports in turn. */
const undocumented = (path: string, wanted?: ReadonlySet<string>): ReadonlyArray<string> => {
  const source = readFileSync(path, "utf8")
  const { comments, program } = parseSync(path, source)
  const isDocumented = (start: number): boolean =>
    comments.some(({ end, type, value }) =>
      type === "Block" && value.startsWith("*") && end <= start && source.slice(end, start).trim() === ""
    )
  const isFileDocumented = source.startsWith("/**")
  const found: Array<string> = isFileDocumented ? [] : [relative(root, path)]
  const add = ({ name, start }: Export): void => {
    if (!isDocumented(start)) found.push(`${relative(root, path)}: ${name}`)
  }
  for (const statement of program.body) {
    if (statement.type === "ExportAllDeclaration") {
      found.push(...undocumented(join(dirname(path), statement.source.value)))
    } else if (statement.type === "ExportNamedDeclaration" && statement.source !== null) {
      const names = statement.specifiers.map(({ local }) => local.type === "Identifier" ? local.name : "?")
      found.push(...undocumented(join(dirname(path), statement.source.value), new Set(names)))
    } else {
      for (const name of namesOf(statement)) {
        if (wanted === undefined || wanted.has(name)) add({ name, start: statement.start })
      }
    }
  }
  return found
}

describe("public modules", () => {
  for (const folder of ["event-bus", "event-bus-conformance"]) {
    const manifest = JSON.parse(readFileSync(join(root, "packages", folder, "package.json"), "utf8"))
    for (const [name, targets] of Object.entries<Record<string, string>>(manifest.exports)) {
      const source = targets["@openwatch/source"]
      if (source === undefined) continue
      it(`every export of ${join(manifest.name, name)} has a doc comment`, () =>
        assert.deepStrictEqual(undocumented(join(root, "packages", folder, source)), []))
    }
  }
})
