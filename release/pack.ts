/**
 * Runs before and after `npm pack` and `npm publish` of a package, in its folder. Before: builds it, and puts in place what its
 * tarball has besides. After: takes that away again.
 */
import { execFileSync } from "node:child_process"
import { cpSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { basename, dirname, join, relative } from "node:path"
import { documentation, type Manifest, published } from "./Tarball.ts"

const root = join(import.meta.dirname, "..")
const folder = process.cwd()
const path = relative(root, folder).replaceAll("\\", "/")
/** What the repository has, while the package's folder has what the tarball gets. */
const kept = join(root, "node_modules/.cache/pack", basename(folder))
const replaced = ["README.md", "package.json"]
const added = ["LICENSE", "docs"]

const restore = (): void => {
  if (!existsSync(kept)) return
  for (const file of replaced) cpSync(join(kept, file), join(folder, file))
  for (const file of added) rmSync(join(folder, file), { recursive: true, force: true })
  rmSync(kept, { recursive: true })
}

const run = (command: string, ...args: ReadonlyArray<string>): void => {
  execFileSync(join(root, "node_modules/.bin", command), args, { cwd: folder, stdio: ["ignore", 2, 2] })
}

const write = (file: string, content: string): void => {
  mkdirSync(dirname(join(folder, file)), { recursive: true })
  writeFileSync(join(folder, file), content)
}

const prepare = (manifest: Manifest): void => {
  // What it refers to, and the types of all.
  run("tsc", "--build")
  rmSync(join(folder, "dist"), { recursive: true })
  const once = ["--project", ".", "--composite", "false", "--incremental", "false", "--sourceMap", "false"]
  // Comments are for readers of the types. In the code they would double what is downloaded.
  run("tsc", ...once, "--declarationMap", "false")
  run("tsc", ...once, "--declarationMap", "false", "--declaration", "false", "--removeComments")
  if (manifest.scripts?.["build"] !== undefined) {
    execFileSync("npm", ["run", "build"], { cwd: folder, stdio: ["ignore", 2, 2] })
  }
  mkdirSync(kept, { recursive: true })
  for (const file of replaced) cpSync(join(folder, file), join(kept, file))
  const files = documentation(path, (file) => readFileSync(join(root, file), "utf8"))
  for (const [file, content] of files) write(file, content)
  write("package.json", `${JSON.stringify(published(manifest), undefined, 2)}\n`)
  cpSync(join(root, "LICENSE"), join(folder, "LICENSE"))
}

// A pack that was broken off has left its files.
restore()
if (process.argv[2] === "before") {
  try {
    prepare(JSON.parse(readFileSync(join(folder, "package.json"), "utf8")))
  } catch (error) {
    restore()
    throw error
  }
}
