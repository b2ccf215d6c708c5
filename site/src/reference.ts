/**
 * The API reference: a page for each module that a package exports, and one for each package.
 */
import { globSync, readFileSync } from "node:fs"
import { dirname, join } from "node:path/posix"
import { type Declaration, isWholeModule, type Module, readModule } from "./declarations.ts"
import type { Page } from "./pages.ts"

interface Documented {
  readonly path: string
  readonly title: string
  /** What is said before the declarations. */
  readonly intro: string
  readonly declarations: ReadonlyMap<string, Declaration>
}

const fenced = (code: string): string => `\`\`\`ts\n${code}\n\`\`\``

const firstSentence = (doc: string): string => doc.split("\n\n")[0]!.replaceAll("\n", " ")

const anchorOf = (title: string): string => title.toLowerCase().replaceAll(".", "")

/** The pages of all packages that have exports. */
export const referencePages = (root: string): ReadonlyArray<Page> => {
  const read = (path: string): string => readFileSync(join(root, path), "utf8")
  const modules = new Map<string, Module>()
  const moduleAt = (path: string): Module => {
    const module = modules.get(path) ?? readModule(path, read)
    modules.set(path, module)
    return module
  }
  const declarationAt = (path: string, name: string): Declaration => {
    const found = moduleAt(path).exports.get(name)
    if (found !== undefined) return "signature" in found ? found : declarationAt(found.path, found.name)
    throw new Error(`${path}: there is no export "${name}"`)
  }
  /** What a module exports that is no module itself. */
  const declarationsAt = (path: string): ReadonlyMap<string, Declaration> =>
    new Map(
      Array.from(moduleAt(path).exports).filter(([, found]) => !isWholeModule(found))
        .map(([name]) => [name, declarationAt(path, name)])
    )

  const pages: Array<Documented> = []
  const packages: Array<string> = []
  for (const packageFolder of globSync("packages/*", { cwd: root }).toSorted()) {
    const manifest: {
      readonly name: string
      readonly description: string
      readonly exports?: Record<string, { readonly "@openwatch/source"?: string }>
    } = JSON.parse(read(join(packageFolder, "package.json")))
    if (manifest.exports === undefined) continue
    const folder = `reference/${manifest.name.split("/")[1]}`
    const ownDeclarations = new Map<string, Declaration>()
    const ownModules: Array<string> = []
    const addModule = (title: string, path: string, importing: string): void => {
      const { doc } = moduleAt(path)
      pages.push({
        path: `${folder}/${title}.md`,
        title,
        intro: `${fenced(importing)}\n\n${doc}`,
        declarations: declarationsAt(path)
      })
      ownModules.push(`- [${title}](./${title}.md): ${firstSentence(doc)}`)
    }
    for (const [entry, { "@openwatch/source": source }] of Object.entries(manifest.exports)) {
      if (source === undefined) continue
      const path = join(packageFolder, source)
      const from = `${manifest.name}${entry.slice(1)}`
      const spaces = Array.from(moduleAt(path).exports).flatMap(([name, found]) =>
        isWholeModule(found) ? [{ name, path: found.path }] : []
      )
      for (const { name, path } of spaces) addModule(name, path, `import { ${name} } from "${from}"`)
      if (spaces.length === 0 && entry !== ".") {
        const name = entry.slice("./".length)
        addModule(name, path, `import * as ${name} from "${from}"`)
      } else {
        for (const [name, declaration] of declarationsAt(path)) ownDeclarations.set(name, declaration)
      }
    }
    pages.push({
      path: `${folder}/index.md`,
      title: manifest.name,
      intro: `${manifest.description}.\n\n${ownModules.join("\n")}`,
      declarations: ownDeclarations
    })
    packages.push(`- [${manifest.name}](${folder.replace("reference", ".")}/index.md): ${manifest.description}`)
  }

  /** Where each page, declaration and member is. */
  const places = new Map<string, string>()
  for (const { declarations, path, title } of pages) {
    const scope = path.endsWith("/index.md") ? "" : `${title}.`
    places.set(`${dirname(path)} ${title}`, path)
    for (const [name, { members }] of declarations) {
      for (const heading of [name, ...members.map((member) => `${name}.${member.name}`)]) {
        places.set(`${dirname(path)} ${scope}${heading}`, `${path}#${anchorOf(heading)}`)
      }
    }
  }
  const withLinks = ({ path, title }: Documented, doc: string): string =>
    doc.replaceAll(/\{@link ([\w.]+)\}/g, (_, name: string) => {
      const place = places.get(`${dirname(path)} ${title}.${name}`) ?? places.get(`${dirname(path)} ${name}`)
      if (place === undefined) throw new Error(`${path}: {@link ${name}} names nothing that is documented`)
      return `[\`${name}\`](../../${place})`
    })

  const textOf = (page: Documented): string => {
    const parts = [`# ${page.title}`, withLinks(page, page.intro)]
    for (const [name, { doc, members, signature }] of page.declarations) {
      parts.push(`## ${name}`, fenced(signature), withLinks(page, doc))
      for (const member of members) {
        parts.push(`### ${name}.${member.name}`, fenced(member.signature), withLinks(page, member.doc))
      }
    }
    return parts.filter((part) => part !== "").join("\n\n") + "\n"
  }
  return [
    { path: "reference/index.md", text: `# API reference\n\n${packages.join("\n")}\n` },
    ...pages.map((page) => ({ path: page.path, text: textOf(page) }))
  ]
}
