/**
 * The packages that are released, and how each becomes a tarball and goes to a registry.
 */
import { execFileSync } from "node:child_process"
import { globSync, readFileSync } from "node:fs"
import { dirname, join } from "node:path"
import { root } from "./tools.ts"

export interface Package {
  readonly name: string
  readonly version: string
  /** Its folder, from the root of the repository. */
  readonly path: string
  /** The oldest Node that it is for. */
  readonly oldestNode: number
  readonly readme: string
}

interface Manifest {
  readonly name: string
  readonly version: string
  readonly private?: boolean
  readonly engines: { readonly node: string }
}

export const packages: ReadonlyArray<Package> = globSync("packages/*/package.json", { cwd: root }).toSorted().flatMap(
  (file) => {
    const path = dirname(file)
    const read = (name: string): string => readFileSync(join(root, path, name), "utf8")
    const manifest: Manifest = JSON.parse(read("package.json"))
    if (manifest.private === true) return []
    const { engines, name, version } = manifest
    return [{ name, version, path, oldestNode: Number(/\d+/.exec(engines.node)![0]), readme: read("README.md") }]
  }
)

/** Returns the tarball, in the folder. One at a time: packing builds, and what it builds others refer to. */
export const pack = ({ path }: Package, folder: string): string => {
  const [packed] = JSON.parse(
    execFileSync("npm", ["pack", "--json", "--loglevel=error", "--pack-destination", folder], {
      cwd: join(root, path),
      encoding: "utf8"
    })
  ) as ReadonlyArray<{ readonly filename: string }>
  return join(folder, packed!.filename)
}

/** Publishes the tarball to the registry of the environment. */
export const publish = (tarball: string, env: NodeJS.ProcessEnv = process.env): void => {
  execFileSync("npm", ["publish", tarball, "--loglevel=error"], {
    cwd: root,
    env,
    stdio: ["ignore", "ignore", "inherit"]
  })
}
