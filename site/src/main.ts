/**
 * Builds the site, or serves it: `node site/src/main.ts [build | dev | preview]`. Further arguments go to VitePress, such as
 * `--base /openwatch/` for a site that is not at the root of its host.
 *
 * VitePress and what it needs is installed on the first run, into this folder.
 */
import { spawnSync } from "node:child_process"
import { copyFileSync, existsSync, globSync, mkdirSync, readFileSync, rmSync, watch, writeFileSync } from "node:fs"
import { dirname, join } from "node:path"
import { install } from "../../release/install.ts"
import { type Page, repositoryPages, withoutTags } from "./pages.ts"
import { referencePages } from "./reference.ts"

const root = join(import.meta.dirname, "../..")
const site = join(root, "site")
const staged = join(site, "dist/pages")

const run = (command: string, args: ReadonlyArray<string>, cwd: string): void => {
  const { status } = spawnSync(command, args, { cwd, stdio: "inherit" })
  if (status !== 0) process.exit(status ?? 1)
}

const write = (page: Page): void => {
  const file = join(staged, page.path)
  const text = withoutTags(page.text)
  // What has not changed is left alone, so that a server of pages reloads only what has.
  if (existsSync(file) && readFileSync(file, "utf8") === text) return
  mkdirSync(dirname(file), { recursive: true })
  writeFileSync(file, text)
}

const stage = (): void => {
  const { images, pages } = repositoryPages(root)
  for (const page of [...pages, ...referencePages(root)]) write(page)
  for (const image of images) {
    mkdirSync(dirname(join(staged, image)), { recursive: true })
    copyFileSync(join(root, image), join(staged, image))
  }
}

const [command = "build", ...rest] = process.argv.slice(2)
install(site, "--ignore-scripts")
rmSync(staged, { recursive: true, force: true })
// The reference shows the types that the compiler found where the sources leave them out.
const packages = globSync("packages/*/tsconfig.json", { cwd: root })
run(process.execPath, [join(root, "node_modules/typescript/bin/tsc"), "--build", ...packages], root)
stage()
if (command === "dev") {
  for (const folder of ["docs", "packages"]) watch(join(root, folder), { recursive: true }, stage)
}
run(process.execPath, [join(site, "node_modules/vitepress/bin/vitepress.js"), command, site, ...rest], root)
