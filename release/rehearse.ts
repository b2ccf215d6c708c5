/**
 * `npm run release:rehearse`: publishes all packages to a registry of its own, as a release does, and does what a stranger does
 * with them: examines each tarball, installs it into an empty folder with npm and with pnpm, checks the types of its README's
 * programs, and runs them. `-- event-bus-nats`: only that package is installed.
 */
import { spawnSync } from "node:child_process"
import { mkdirSync, mkdtempSync, rmSync, statSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { basename, join } from "node:path"
import { readMarkdown } from "../test/documentation/blocks.ts"
import { pack, packages, publish } from "./packages.ts"
import { startRegistry } from "./registry.ts"
import { nodes, root, tool } from "./tools.ts"
import { trials } from "./trials.ts"

const folder = mkdtempSync(join(tmpdir(), "rehearsal-"))
process.once("exit", () => rmSync(folder, { recursive: true, force: true }))

/** The environment of a stranger: nothing of npm's that belongs to this run, and no condition that finds our sources. */
const strangers = Object.fromEntries(
  Object.entries(process.env).filter(([name]) => !/^(npm_|NODE_OPTIONS$|INIT_CWD$)/i.test(name))
)

let npmrc = ""
const environment = (): NodeJS.ProcessEnv => ({ ...strangers, NPM_CONFIG_USERCONFIG: npmrc })

const run = (what: string, cwd: string, command: string, ...args: ReadonlyArray<string>): string => {
  const start = performance.now()
  const { error, status, stderr, stdout } = spawnSync(command, args, {
    cwd,
    env: environment(),
    encoding: "utf8",
    timeout: 300_000
  })
  if (status !== 0) {
    throw new Error(`${what}: ${basename(command)} ${args.join(" ")}: ${error ?? `exit ${status}`}\n${stdout}${stderr}`)
  }
  console.log(`ok  ${what} (${((performance.now() - start) / 1000).toFixed(1)} s)`)
  return stdout
}

/** The most that the tarball of a package may take, in bytes. */
const largest: Readonly<Record<string, number>> = { "@openwatch/event-bus": 90_000 }

const tarballs = packages.map((released) => {
  const { name } = released
  const tarball = pack(released, folder)
  const { size } = statSync(tarball)
  const most = largest[name] ?? Number.POSITIVE_INFINITY
  if (size > most) throw new Error(`${name}: the tarball takes ${size} bytes, ${most} at most are allowed`)
  run(
    `${name} (${(size / 1000).toFixed(1)} kB): publint finds nothing`,
    root,
    tool("publint"),
    "run",
    tarball,
    "--strict"
  )
  run(`${name}: its types are found`, root, tool("attw"), tarball, "--profile", "esm-only")
  return tarball
})

/** What strangers compile with: as strict as we are, and with the declarations of all that they import. */
const tsconfig = (skipLibCheck: boolean) => ({
  compilerOptions: {
    target: "ES2024",
    lib: ["ES2024", "ESNext.Disposable", "DOM"],
    module: "NodeNext",
    types: ["node"],
    strict: true,
    exactOptionalPropertyTypes: true,
    skipLibCheck
  },
  include: ["*.ts"]
})

const registry = await startRegistry(folder)
try {
  npmrc = join(folder, "npmrc")
  writeFileSync(npmrc, registry.npmrc)
  for (const tarball of tarballs) publish(tarball, environment())

  const [only] = process.argv.slice(2)
  for (const { name, oldestNode, path, readme } of packages) {
    if (only !== undefined && basename(path) !== only) continue
    const trial = trials[name]
    const [, install] = /^npm install (.+)$/m.exec(readme) ?? []
    if (trial === undefined || install === undefined) {
      throw new Error(
        `${name}: ${trial === undefined ? "release/trials.ts" : "its README"} does not say how it is tried`
      )
    }
    for (const manager of ["npm", "pnpm"]) {
      const project = join(folder, `${basename(path)}-${manager}`)
      mkdirSync(project)
      writeFileSync(join(project, "package.json"), `{ "name": "stranger", "private": true, "type": "module" }\n`)
      run(
        `${name}: ${manager} installs it`,
        project,
        manager === "npm" ? "npm" : tool("pnpm"),
        "add",
        ...install.split(" ").filter((word) => word !== "" && !word.startsWith("--")),
        ...trial.besides ?? [],
        "typescript@7",
        "@types/node@24"
      )
      const programs = readMarkdown("README.md", readme)
      programs.forEach(({ code }, i) => {
        const isTest = code.includes(`from "@effect/vitest"`)
        writeFileSync(join(project, `program-${i}${isTest ? ".test" : ""}.ts`), code)
      })
      writeFileSync(join(project, "tsconfig.json"), JSON.stringify(tsconfig(trial.skipLibCheck ?? false)))
      if (programs.length > 0) run(`${name}: the types of its README's programs`, project, "node_modules/.bin/tsc")

      const attempt = (what: string, expected: string, command: string, ...args: ReadonlyArray<string>) => {
        const printed = run(`${name}: ${what}`, project, command, ...args)
        if (!printed.includes(expected)) {
          throw new Error(`${name}: ${what}: "${expected}" is not in what it printed:\n${printed}`)
        }
      }
      // What differs between the package managers is where things are, not the Node that looks for them.
      const versions = Array.from(nodes()).filter(([version]) =>
        manager === "npm" ? version >= (trial.oldestNode ?? oldestNode) : version === 24
      )
      for (const [version, node] of versions) {
        for (const { args, expected, what } of trial.commands) {
          attempt(`${what}, Node ${version}`, expected, node, ...args)
        }
      }
      if (manager === "pnpm") continue
      for (const runtime of trial.runtimes ?? []) {
        const { args, expected, what } = trial.commands[0]
        const flags = runtime === "deno" ? ["run", "--allow-all", "--no-lock"] : []
        attempt(`${what}, ${runtime}`, expected, tool(runtime), ...flags, ...args)
      }
      const copies = run(
        `${name}: one copy of the bus`,
        project,
        "npm",
        "ls",
        "@openwatch/event-bus",
        "--all",
        "--parseable"
      )
      if (copies.trim().split("\n").length !== 1) throw new Error(`${name}: several copies of the bus:\n${copies}`)
    }
  }
} finally {
  registry.stop()
}
