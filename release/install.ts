/**
 * Dependencies that `npm ci` in the repository leaves out, since few need them: those of the site and of releases.
 */
import { execFileSync } from "node:child_process"
import { existsSync, readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"

/** Installs what the folder's lock file says, if that is not what is there. */
export const install = (folder: string, ...flags: ReadonlyArray<string>): void => {
  const lock = readFileSync(join(folder, "package-lock.json"), "utf8")
  const installed = join(folder, "node_modules/.installed.json")
  if (existsSync(installed) && readFileSync(installed, "utf8") === lock) return
  execFileSync("npm", ["ci", "--no-audit", "--no-fund", ...flags], { cwd: folder, stdio: "inherit" })
  writeFileSync(installed, lock)
}
