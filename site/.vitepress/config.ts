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

/** One publisher, three subscribers. */
const icon =
  `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32" fill="none" stroke="#3451b2" stroke-width="2.5">
<path d="M8 16 24 6M8 16h16M8 16l16 10"/><g fill="#3451b2"><circle cx="7" cy="16" r="4"/><circle cx="25" cy="6" r="3"/>
<circle cx="25" cy="16" r="3"/><circle cx="25" cy="26" r="3"/></g></svg>`

export default {
  title: "OpenWatch",
  description: "A typed, in-process event bus for Effect, and OpenWatch, the fleet monitor built on it",
  lang: "en",
  srcDir: "dist/pages",
  outDir: "dist/site",
  cacheDir: "dist/cache",
  metaChunk: true,
  // In the page itself: a browser asks for /favicon.ico otherwise, which a site below another path does not have.
  head: [["link", { rel: "icon", href: `data:image/svg+xml,${encodeURIComponent(icon)}` }]],
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
            // Whoever types a whole question is looking for its other words.
            processTerm: (term: string) => {
              const word = term.toLowerCase()
              return /^(a|an|are|can|do|does|how|i|is|it|my|see|the|to|what|when|where|which)$/.test(word) ? null : word
            },
            // Who searches wants to use the bus, more often than to know how it is built or how fast it is. VitePress moves both functions to the
            // browser, so each stands by itself.
            boostDocument: (id: string) =>
              /architecture|^\/(benchmarks|contributing|changelog|contents|reference\/(openwatch|event-bus-conformance))/
                  .test(id)
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
