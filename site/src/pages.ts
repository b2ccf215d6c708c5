/**
 * The pages of the site, made of the Markdown files of the repository: each where a reader of the site looks for it, with
 * links that lead from there to the same targets.
 */
import { existsSync, globSync, readFileSync } from "node:fs"
import { basename, dirname, extname, join, normalize, relative } from "node:path/posix"

/** A page of the site: its path from the root of the site, and its Markdown. */
export interface Page {
  readonly path: string
  readonly text: string
}

/** Where the page of a Markdown file is. */
const pagePathOf = (file: string): string => {
  if (file === "README.md") return "index.md"
  if (file === "docs/README.md") return "contents.md"
  const [, name] = /^packages\/([^/]+)\/README\.md$/.exec(file) ?? []
  if (name !== undefined) return `packages/${name}.md`
  return file.replace(/^docs\//, "").replace(/[A-Z]+\.md$/, (name) => name.toLowerCase())
}

const isImage = (file: string): boolean => [".webp", ".png", ".svg"].includes(extname(file))

/** The anchor of a heading, as GitHub makes it: so that links to it work on both. */
export const anchorOf = (heading: string): string =>
  heading.trim().toLowerCase().replaceAll(/[^\p{Letter}\p{Number} _-]/gu, "").replaceAll(" ", "-")

/** Applies the change to everything but blocks of code. */
const outsideCode = (text: string, change: (text: string) => string): string =>
  text.split(/(^```[^]*?^```$)/m).map((part) => part.startsWith("```") ? part : change(part)).join("")

/** Text that looks like a tag or a template, as a type parameter does, as the text that it is: VitePress reads pages as templates. */
export const withoutTags = (text: string): string =>
  outsideCode(
    text,
    (part) =>
      part.split(/(`+[^`]*`+)/).map((part) =>
        part.startsWith("`")
          ? part.replaceAll("\n", " ")
          : part.replaceAll(/<(?!https?:)/g, "&lt;").replaceAll("{{", "&lbrace;&lbrace;")
      ).join("")
  )

/** The pages, and the images that they show. */
export const repositoryPages = (root: string): {
  readonly pages: ReadonlyArray<Page>
  readonly images: ReadonlySet<string>
} => {
  const files = globSync(["*.md", "docs/**/*.md", "packages/*/*.md"], { cwd: root })
  const sources = new Set<string>()
  const images = new Set<string>()

  /** Where on the site a file or folder of the repository is shown, if it is. */
  const shownAt = (target: string): string | undefined => {
    if (files.includes(target)) return pagePathOf(target)
    if (files.includes(join(target, "README.md"))) return pagePathOf(join(target, "README.md"))
    if (isImage(target)) {
      images.add(target)
      return target
    }
    if (extname(target) === "" && basename(target) !== "LICENSE") return undefined
    sources.add(target)
    return `source/${target}.md`
  }

  const withLinks = (file: string, text: string): string =>
    outsideCode(
      text,
      (part) =>
        part.replaceAll(/(!?)\[([^\]]*)\]\(([^)\s]+)\)/g, (whole, mark: string, label: string, link: string) => {
          if (/^([a-z]+:|#)/.test(link)) return whole
          const [path, anchor] = link.split("#") as [string, string | undefined]
          const target = normalize(join(dirname(file), path)).replace(/\/$/, "")
          if (!existsSync(join(root, target))) throw new Error(`${file}: there is no ${target}`)
          const page = shownAt(target)
          // A folder that has no page of its own is named.
          if (page === undefined) return label
          const from = dirname(pagePathOf(file))
          const to = relative(from, page)
          return `${mark}[${label}](${to.startsWith(".") ? to : `./${to}`}${anchor === undefined ? "" : `#${anchor}`})`
        })
    )

  const pages = files.map((file) => ({
    path: pagePathOf(file),
    text: withLinks(file, readFileSync(join(root, file), "utf8"))
  }))
  for (const file of sources) {
    const code = readFileSync(join(root, file), "utf8").trimEnd()
    pages.push({
      path: `source/${file}.md`,
      text: `---\nsearch: false\noutline: false\n---\n\n# ${file}\n\n\`\`\`${extname(file).slice(1)}\n${code}\n\`\`\`\n`
    })
  }
  return { pages, images }
}

/** A group of pages in the contents. */
export interface Group {
  readonly title: string
  readonly pages: ReadonlyArray<{ readonly title: string; readonly path: string }>
}

/** The pages in the order in which they are to be read: what docs/README.md lists before its index. */
export const readingOrder = (contents: string): ReadonlyArray<Group> =>
  contents.split(/^## Index$/m)[0]!.split(/^## /m).slice(1).flatMap((section) => {
    const pages = Array.from(
      section.matchAll(/^(?:\||-|\d+\.) *\[([^\]]+)\]\(([^)#]+)\)/gm),
      ([, title, path]) => ({ title: title!.replaceAll("`", ""), path: path! })
    )
    return pages.length === 0 ? [] : [{ title: section.split("\n", 1)[0]!, pages }]
  })
