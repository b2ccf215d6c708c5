/**
 * The tools of releases. They are large: whoever needs one installs all of them, about 900 MB.
 */
import { spawn } from "node:child_process"
import { join } from "node:path"
import { install } from "./install.ts"

export const root = join(import.meta.dirname, "..")

const installed = join(import.meta.dirname, "node_modules")

/** Where a tool's executable is. */
export const tool = (name: string): string => {
  install(import.meta.dirname)
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
