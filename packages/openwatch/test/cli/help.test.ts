import { assert, it } from "@effect/vitest"
import { Effect } from "effect"
import { spawnSync } from "node:child_process"
import { mkdtempDisposableSync, readdirSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { load } from "../../src/cli/openwatch.ts"

const bin = join(import.meta.dirname, "../../bin/openwatch.js")

/** Prints the modules that a process has loaded on its standard error. */
const trace = "data:text/javascript," + encodeURIComponent(
  `import module from "node:module"
  import { writeSync } from "node:fs"
  const loaded = []
  module.registerHooks({ load: (url, context, next) => (loaded.push(url), next(url, context)) })
  process.on("exit", () => writeSync(2, loaded.join("\\n")))`
)

const help = (env: Readonly<Record<string, string>>, ...options: ReadonlyArray<string>) =>
  spawnSync(process.execPath, [...options, bin, "--help"], {
    encoding: "utf8",
    env: { PATH: process.env["PATH"], ...env }
  })

it.effect("openwatch --help says of each command what the command says of itself", () =>
  Effect.gen(function*() {
    const said = (isLoaded: boolean) =>
      Effect.map(load(() => isLoaded), ({ subcommands }) =>
        subcommands.flatMap(({ commands }) =>
          commands.map(({ description, name, shortDescription }) => [name, shortDescription ?? description])
        ))
    const loaded = yield* said(true)
    assert.isAtLeast(loaded.length, 4)
    assert.deepStrictEqual(yield* said(false), loaded)
  }), 60_000)

it("openwatch --help loads none of what the commands need", () => {
  const { status, stderr, stdout } = help({}, "--import", trace)
  assert.strictEqual(status, 0)
  assert.match(stdout, /^  run  +Watch the fleet and send alerts$/m)
  const loaded = stderr.split("\n")
  assert.isTrue(loaded.some((url) => url.endsWith("/src/cli/openwatch.ts")), stderr)
  const ours = loaded.filter((url) =>
    /\/packages\/(?!openwatch\/(?:bin|src\/main|src\/cli\/(?:openwatch|Logging|Progress)\.|package))/.test(url)
  )
  assert.deepStrictEqual(ours, [])
  assert.deepStrictEqual(
    loaded.filter((url) => /\/effect\/dist\/(?:index|sql\/)|node:sqlite|sql-pg|undici/.test(url)),
    []
  )
}, 60_000)

it("what was compiled is kept where the user has such things, and nowhere without such a place", () => {
  using folder = mkdtempDisposableSync(join(tmpdir(), "cache-"))
  assert.strictEqual(help({ TMPDIR: folder.path }).status, 0)
  assert.deepStrictEqual(readdirSync(folder.path), [])
  assert.strictEqual(help({ HOME: folder.path }).status, 0)
  assert.deepStrictEqual(readdirSync(join(folder.path, ".cache")), ["openwatch"])
  assert.strictEqual(help({ HOME: "/nowhere", CACHE_DIRECTORY: join(folder.path, "system") }).status, 0)
  assert.deepStrictEqual(readdirSync(join(folder.path, "system")), ["openwatch"])
}, 60_000)
