import { assert, it } from "@effect/vitest"
import { globSync, readFileSync } from "node:fs"
import { join } from "node:path"
import { parseSync, Visitor } from "oxc-parser"

const root = join(import.meta.dirname, "../..")
const packages = join(root, "packages")
const modules = [
  ...["EventBus.ts", "Subscription.ts", "EventBusTest.ts"].map((file) => join(packages, "event-bus/src", file)),
  join(packages, "event-bus-sql/src/Outbox.ts")
]

/** The names of the values that a module exports, and of the members of its interfaces. */
const namesOf = (file: string): ReadonlyArray<string> => {
  const names: Array<string> = []
  new Visitor({
    ExportNamedDeclaration: ({ declaration }) => {
      if (declaration?.type === "VariableDeclaration") {
        for (const { id } of declaration.declarations) if (id.type === "Identifier") names.push(id.name)
      }
      if (declaration?.type !== "TSInterfaceDeclaration") return
      for (const member of declaration.body.body) {
        if (member.type === "TSPropertySignature" && member.key.type === "Identifier") names.push(member.key.name)
      }
    }
  }).visit(parseSync(file, readFileSync(file, "utf8")).program)
  return names
}

/** The metrics, and those of subscriptions by what their names begin with. */
const metrics = globSync("{event-bus,event-bus-sql,openwatch}/src/**/*.ts", { cwd: packages }).flatMap((file) =>
  Array.from(
    readFileSync(join(packages, file), "utf8").matchAll(/"((?:event_(?:bus|outbox)|openwatch(?!_migrations))_\w+)"/g),
    ([, id]) => id!
  )
)

it("whoever knows the name of a part finds it in the index of docs", () => {
  const index = readFileSync(join(root, "docs/README.md"), "utf8")
  const listed = new Set(Array.from(index.matchAll(/`(?:\w+\.)?(\w+)`/g), ([, name]) => name))
  const names = new Set(modules.flatMap(namesOf).concat(metrics))
  // What iterators are made of is JavaScript's.
  for (const name of ["next", "return"]) names.delete(name)
  assert.isAbove(metrics.length, 0)
  assert.deepStrictEqual(Array.from(names).filter((name) => !listed.has(name)), [])
})

it("the contents of docs list every page", () => {
  const contents = readFileSync(join(root, "docs/README.md"), "utf8").split("## Index")[0]!
  const pages = globSync("*.md", { cwd: join(root, "docs") }).filter((page) => page !== "README.md")
  assert.isAbove(pages.length, 0)
  assert.deepStrictEqual(pages.filter((page) => !contents.includes(`(./${page})`)), [])
})
