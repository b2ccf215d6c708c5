/**
 * The site as VitePress builds it. Its pages are put into `dist/pages` before: see `src/main.ts`.
 */
import { globSync, readFileSync } from "node:fs"
import { basename, join } from "node:path"
import { anchorOf, readingOrder } from "../src/pages.ts"

const pages = join(import.meta.dirname, "../dist/pages")

const guides = readingOrder(readFileSync(join(pages, "contents.md"), "utf8")).map(({ pages, title }) => ({
  text: title,
  items: pages.map(({ path, title }) => ({ text: title, link: path.replace(/^\.\//, "/") }))
}))

const reference = globSync("reference/*/", { cwd: pages }).toSorted().map((folder) => ({
  text: basename(folder),
  link: `/${folder}/`,
  collapsed: basename(folder) === "openwatch",
  items: globSync(`${folder}/*.md`, { cwd: pages }).map((path) => basename(path, ".md"))
    .filter((name) => name !== "index").toSorted()
    .map((name) => ({ text: name, link: `/${folder}/${name}` }))
}))

export default {
  title: "OpenWatch",
  description: "A typed, in-process event bus for Effect, and OpenWatch, the fleet monitor built on it",
  lang: "en",
  srcDir: "dist/pages",
  outDir: "dist/site",
  cacheDir: "dist/cache",
  metaChunk: true,
  // The index of the search is one chunk, which is loaded by who searches.
  vite: { build: { chunkSizeWarningLimit: 4096 } },
  markdown: { anchor: { slugify: anchorOf } },
  themeConfig: {
    outline: [2, 3],
    search: {
      provider: "local",
      options: {
        miniSearch: {
          searchOptions: {
            combineWith: "AND",
            // Who searches wants to use the bus, more often than to know how it is built. VitePress moves this function to the
            // browser, so it stands by itself.
            boostDocument: (id: string) =>
              /architecture|^\/(contributing|changelog|contents|reference\/(openwatch|event-bus-conformance))/.test(id)
                ? 0.2
                : id.startsWith("/reference/")
                ? 0.8
                : 1
          }
        }
      }
    },
    nav: [
      { text: "Getting started", link: "/getting-started" },
      { text: "All pages", link: "/contents" },
      { text: "API", link: "/reference/" },
      { text: "Changelog", link: "/changelog" }
    ],
    sidebar: { "/reference/": reference, "/": guides }
  }
}
