/**
 * A registry of our own on the loopback: it has what is published to it, and passes on what the public one has.
 */
import { spawn } from "node:child_process"
import { writeFileSync } from "node:fs"
import { createServer } from "node:net"
import type { AddressInfo } from "node:net"
import { join } from "node:path"
import { tool } from "./tools.ts"

export interface Registry {
  readonly url: string
  /** What npm and pnpm have to be told. */
  readonly npmrc: string
  readonly stop: () => void
}

const freePort = (): Promise<number> =>
  new Promise((resolve) => {
    const server = createServer().listen(0, "127.0.0.1", () => {
      const { port } = server.address() as AddressInfo
      server.close(() => resolve(port))
    })
  })

/** Keeps all that it has in the folder. */
export const startRegistry = async (folder: string): Promise<Registry> => {
  const port = await freePort()
  const url = `http://127.0.0.1:${port}/`
  const config = join(folder, "verdaccio.yaml")
  const access = "{ access: $all, publish: $all, unpublish: $all"
  writeFileSync(
    config,
    `storage: ${join(folder, "storage")}
uplinks: { npmjs: { url: "https://registry.npmjs.org/", timeout: 60s, max_fails: 20 } }
packages:
  "@openwatch/*": ${access} }
  "**": ${access}, proxy: npmjs }
log: { type: stdout, format: pretty, level: warn }
`
  )
  const server = spawn(tool("verdaccio"), ["--config", config, "--listen", `127.0.0.1:${port}`], {
    stdio: ["ignore", "inherit", "inherit"]
  })
  let exitCode: number | null | undefined
  server.once("exit", (code) => exitCode = code)
  while (!await isUp(url)) {
    if (exitCode !== undefined) throw new Error(`the registry ended with ${exitCode}`)
  }
  return {
    url,
    // Anybody may publish there, but npm wants to be somebody.
    npmrc: `registry=${url}\n//127.0.0.1:${port}/:_authToken=anybody\n`,
    stop: () => server.kill()
  }
}

const isUp = (url: string): Promise<boolean> =>
  fetch(`${url}-/ping`, { signal: AbortSignal.timeout(1000) }).then((response) => response.ok, () => pause(100))

const pause = (millis: number): Promise<false> => new Promise((resolve) => setTimeout(resolve, millis, false))
