/**
 * What the tarball of a package has that its folder in the repository has not: a README whose links work outside of the
 * repository, the pages that it links to with what their programs import, the licence, and a `package.json` without what only the
 * repository needs.
 */
import { posix } from "node:path"

/** Files of a tarball, by their path in it. */
export type Files = ReadonlyMap<string, string>

export interface Manifest {
  readonly name: string
  readonly exports?: Readonly<Record<string, Readonly<Record<string, string>>>>
  readonly scripts?: Readonly<Record<string, string>>
  readonly devDependencies?: Readonly<Record<string, string>>
}

/** The condition under which the repository runs the sources. No tarball has them. */
const sourceCondition = "@openwatch/source"

/** What a user of the package gets as its `package.json`. */
export const published = ({ devDependencies: _, exports = {}, scripts: __, ...manifest }: Manifest): Manifest => ({
  ...manifest,
  exports: Object.fromEntries(
    Object.entries(exports).map(([entry, conditions]) => [
      entry,
      Object.fromEntries(Object.entries(conditions).filter(([condition]) => condition !== sourceCondition))
    ])
  )
})

/** A link of Markdown: its text, and where it leads in the file's own terms. */
const link = /\[((?:[^[\]]|\[[^\]]*\])*)\]\(([^)\s#]*)(#[^)\s]*)?\)/g

const isRelative = (target: string): boolean => target !== "" && !/^[a-z]+:/.test(target)

/** The files that a page links to, by their path in the repository. */
const linkedFrom = (page: string, text: string): ReadonlyArray<string> =>
  Array.from(text.matchAll(link), ([, , target]) => target!)
    .filter(isRelative)
    .map((target) => posix.join(posix.dirname(page), target))

/** The modules that the programs of a page import, by their path in the repository, but for those that the page shows. */
const importedBy = (page: string, text: string): ReadonlyArray<string> =>
  Array.from(text.matchAll(/ from "\.\/([^/"]+\.ts)"/g), ([, module]) => module!)
    .filter((module) => !text.includes(`\n// ${module}\n`))
    .map((module) => posix.join(posix.dirname(page), module))

/**
 * The documentation of a package: its README, the pages of `docs/` that the README links to, and what their programs import.
 */
export const documentation = (folder: string, read: (path: string) => string): Files => {
  const readme = posix.join(folder, "README.md")
  const pages = linkedFrom(readme, read(readme)).filter((path) => posix.dirname(path) === "docs")
  const modules = pages.flatMap((page) => importedBy(page, read(page)))
  // Where each file of the repository is in the tarball.
  const places = new Map([[readme, "README.md"], ...[...pages, ...modules].map((path) => [path, path] as const)])
  return new Map(
    Array.from(places, ([path, place]) => [
      place,
      path.endsWith(".ts") ?
        read(path) :
        read(path).replace(link, (whole, text: string, target: string, anchor = "") => {
          if (!isRelative(target)) return whole
          const found = posix.join(posix.dirname(path), target)
          const there = places.get(found)
          if (there !== undefined) return `[${text}](${relative(place, there)}${anchor})`
          const [, other] = /^packages\/([^/]+)(?:\/README\.md)?\/?$/.exec(found) ?? []
          // What is not in the tarball is known to the registry, or is only named.
          return other === undefined ? text : `[${text}](https://www.npmjs.com/package/@openwatch/${other})`
        })
    ])
  )
}

const relative = (from: string, to: string): string => {
  const path = posix.relative(posix.dirname(from), to)
  return path.startsWith(".") ? path : `./${path}`
}
