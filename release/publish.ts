/**
 * `npm run release`: publishes every package whose version the registry does not have yet.
 */
import { spawnSync } from "node:child_process"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { pack, packages, publish } from "./packages.ts"

const folder = mkdtempSync(join(tmpdir(), "release-"))
try {
  // All are packed before the first is published: a fault in one must not leave half a release.
  const unpublished = packages.filter(({ name, version }) =>
    spawnSync("npm", ["view", `${name}@${version}`, "version"], { encoding: "utf8" }).stdout.trim() !== version
  )
  const tarballs = unpublished.map((released) => pack(released, folder))
  for (const [i, { name, version }] of unpublished.entries()) {
    publish(tarballs[i]!)
    console.log(`published ${name} ${version}`)
  }
  if (unpublished.length === 0) console.log("the registry has all versions already")
} finally {
  rmSync(folder, { recursive: true })
}
