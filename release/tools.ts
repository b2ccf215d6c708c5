/**
 * The tools of releases. They are many and large, so `npm ci` in the repository leaves them out, and who needs one installs all.
 */
import { execFileSync, spawn } from "node:child_process"
import { existsSync } from "node:fs"
import { join } from "node:path"

export const root = join(import.meta.dirname, "..")

const installed = join(import.meta.dirname, "node_modules")

/** Where a tool's executable is. */
export const tool = (name: string): string => {
  if (!existsSync(join(installed, ".package-lock.json"))) {
    console.log("Installing the tools of releases (about 900 MB, once)")
    execFileSync("npm", ["ci"], { cwd: import.meta.dirname, stdio: "inherit" })
  }
  return join(installed, ".bin", name)
}

/** Every version of Node that the packages are for, by its number. This one runs. */
export const nodes = (): ReadonlyMap<number, string> => {
  tool("node")
  return new Map([
    [20, join(installed, "node-20/bin/node")],
    [22, join(installed, "node-22/bin/node")],
    [24, process.execPath],
    [26, join(installed, "node-26/bin/node")]
  ])
}

// As a program: `node release/tools.ts changeset …`.
if (import.meta.main) {
  const [name = "", ...args] = process.argv.slice(2)
  spawn(tool(name), args, { cwd: root, stdio: "inherit" }).on("exit", (code) => process.exit(code ?? 1))
}
