import { NodeServices } from "@effect/platform-node"
import { assert, describe, it } from "@effect/vitest"
import { Effect, FileSystem, type Scope } from "effect"
import { spawnSync } from "node:child_process"
import { join } from "node:path"
import * as OpenWatch from "../live-page/openwatchRun.ts"
import { environment } from "./command.ts"

const bin = join(import.meta.dirname, "../../bin/openwatch.js")

/** Runs a command to its end. */
const openwatch = (cwd: string, args: ReadonlyArray<string>, variables: Readonly<Record<string, string>> = {}) => {
  const env = { ...environment, ...variables }
  const { status, stderr, stdout } = spawnSync(process.execPath, [bin, ...args], { cwd, env, encoding: "utf8" })
  return { status, stderr, stdout }
}

const live = <A, E>(name: string, test: Effect.Effect<A, E, NodeServices.NodeServices | Scope.Scope>) =>
  it.live(name, () => Effect.provide(test, NodeServices.layer), 120_000)

const emptyFolder = Effect.flatMap(FileSystem.FileSystem, (fs) => fs.makeTempDirectoryScoped())

describe("openwatch init", () => {
  live(
    "writes files that config check accepts and run starts with, and no second time",
    Effect.gen(function*() {
      const fs = yield* FileSystem.FileSystem
      const folder = yield* emptyFolder
      const made = openwatch(folder, ["init"])
      assert.strictEqual(made.status, 0, made.stderr)
      assert.match(made.stdout, /^  openwatch run openwatch\.yaml$/m)
      assert.deepStrictEqual((yield* fs.readDirectory(folder)).toSorted(), ["hosts.yaml", "openwatch.yaml"])

      assert.deepStrictEqual(openwatch(folder, ["config", "check"]), {
        status: 0,
        stderr: "",
        stdout:
          "openwatch.yaml is right:\n  1 host in hosts.yaml\n  no folder of scans\n  alerts go to 1 channel: console\n" +
          "  the live page is at 127.0.0.1, port 7420, for this machine\n"
      })
      assert.deepStrictEqual(openwatch(folder, ["init"]), {
        status: 1,
        stderr: "error: openwatch.yaml is there already; nothing was written\n",
        stdout: ""
      })

      yield* fs.writeFileString(`${folder}/openwatch.yaml`, "\nhttp: { port: 0 }\n", { flag: "a" })
      const { stop, url } = yield* OpenWatch.start(folder)
      assert.match(yield* url, /^http:/)
      assert.strictEqual(yield* stop, 0)
    })
  )

  live(
    "writes none of the files where one is there",
    Effect.gen(function*() {
      const fs = yield* FileSystem.FileSystem
      const folder = yield* emptyFolder
      yield* fs.makeDirectory(`${folder}/etc`)
      yield* fs.writeFileString(`${folder}/etc/hosts.yaml`, "mine")
      const { status, stderr } = openwatch(folder, ["init", "etc"])
      assert.strictEqual(status, 1)
      assert.strictEqual(stderr, "error: etc/hosts.yaml is there already; nothing was written\n")
      assert.deepStrictEqual(yield* fs.readDirectory(`${folder}/etc`), ["hosts.yaml"])
    })
  )
})

describe("openwatch config check", () => {
  live(
    "names all that is wrong with its place and what is expected",
    Effect.gen(function*() {
      const fs = yield* FileSystem.FileSystem
      const folder = yield* emptyFolder
      yield* fs.writeFileString(
        `${folder}/openwatch.yaml`,
        "inventory: hosts.yaml\nliveness: { interval: 5 }\nchannels: [{ type: pigeon }]\n"
      )
      const { status, stderr, stdout } = openwatch(folder, ["config", "check"])
      assert.strictEqual(status, 1)
      assert.strictEqual(stdout, "")
      assert.match(stderr, /^error: configuration openwatch\.yaml has 2 errors:\n/)
      assert.include(stderr, "\n  liveness.interval: Expected a time span from 1m to 1h, got 5\n")
      assert.include(stderr, "\n  channels[0].type: Expected one of console, ")
    })
  )

  live(
    "looks at the inventory and for the secrets, too",
    Effect.gen(function*() {
      const fs = yield* FileSystem.FileSystem
      const folder = yield* emptyFolder
      yield* fs.writeFileString(
        `${folder}/openwatch.yaml`,
        "inventory: hosts.yaml\nchannels: [{ type: slack, url_env: SLACK }]\n"
      )
      assert.match(
        openwatch(folder, ["config", "check"]).stderr,
        /channels\[0\]\.url_env: the environment variable SLACK is not set\n$/
      )
      const { status, stderr } = openwatch(folder, ["config", "check"], { SLACK: "https://hooks.example.org/x" })
      assert.strictEqual(status, 1)
      assert.strictEqual(stderr, "error: inventory hosts.yaml: no such file\n")
    })
  )

  live(
    "says that a folder of scans is not there yet, and that no channel is",
    Effect.gen(function*() {
      const fs = yield* FileSystem.FileSystem
      const folder = yield* emptyFolder
      yield* fs.writeFileString(`${folder}/hosts.yaml`, "hosts: [{ name: a, address: a }]\n")
      yield* fs.writeFileString(`${folder}/openwatch.yaml`, "inventory: hosts.yaml\nscans: later\nchannels: []\n")
      const said = () => openwatch(folder, ["config", "check"]).stdout
      assert.include(
        said(),
        "\n  scans from the folder later, once it is there\n  alerts are stored, and sent nowhere\n"
      )
      yield* fs.makeDirectory(`${folder}/later`)
      assert.include(said(), "\n  scans from the folder later\n")
    })
  )

  live(
    "says that a maintenance is over, as run does when it starts",
    Effect.gen(function*() {
      const fs = yield* FileSystem.FileSystem
      const folder = yield* emptyFolder
      yield* fs.writeFileString(`${folder}/hosts.yaml`, "hosts: [{ name: a, address: 127.0.0.1, port: 1 }]\n")
      yield* fs.writeFileString(
        `${folder}/openwatch.yaml`,
        "inventory: hosts.yaml\nhttp: { port: 0 }\nmaintenance: [{ hosts: [a], once: 2020-12-01 22:00, for: 2h }]\n"
      )
      const { status, stdout } = openwatch(folder, ["config", "check"])
      assert.strictEqual(status, 0)
      assert.include(stdout, "\nnote: maintenance[0].once: it is over, and does not come again\n")
      const { stderr, stop, url } = yield* OpenWatch.start(folder)
      yield* url
      assert.strictEqual(yield* stop, 0)
      assert.include((yield* stderr).join("\n"), "maintenance[0].once: it is over, and does not come again")
    })
  )
})

/** Root may read everything, unless it puts that right away. */
const withoutRights = process.getuid?.() === 0 ? ["setpriv", "--bounding-set=-dac_override,-dac_read_search"] : []
const mayReadAll = spawnSync(withoutRights[0] ?? "true", [...withoutRights.slice(1), "true"]).status !== 0
if (mayReadAll) {
  // oxlint-disable-next-line no-console
  console.log(
    "root cannot give up rights here: the test of a data folder of another user is skipped (setpriv, CAP_SETPCAP)"
  )
}

describe.skipIf(mayReadAll)("a data folder that is not for the user", () => {
  const command = [...withoutRights, process.execPath, bin]

  const unprivileged = (folder: string, words: ReadonlyArray<string>) => {
    const [file, ...prefix] = command
    return spawnSync(file!, [...prefix, ...words], {
      cwd: folder,
      env: { PATH: process.env["PATH"] },
      encoding: "utf8"
    })
  }

  live(
    "is no folder where nothing is stored: the error says what is to be permitted",
    Effect.gen(function*() {
      const fs = yield* FileSystem.FileSystem
      const folder = yield* emptyFolder
      openwatch(folder, ["init"])
      const file = `.openwatch/openwatch.sqlite`
      yield* fs.makeDirectory(`${folder}/.openwatch`, { mode: 0o700 })
      yield* fs.writeFileString(`${folder}/${file}`, "")
      const expected = (place: string) =>
        `error: data folder ./.openwatch: permission denied: whoever runs this has to be able to read and write ${place}\n`
      // As one that root has put back from a backup.
      yield* fs.chmod(`${folder}/${file}`, 0o400)
      assert.strictEqual(unprivileged(folder, ["run", "openwatch.yaml", "--port", "0"]).stderr, expected(file))
      assert.strictEqual(unprivileged(folder, ["alerts", "list"]).stderr, expected(file))
      // As that of another user.
      yield* fs.chmod(`${folder}/.openwatch`, 0)
      assert.strictEqual(unprivileged(folder, ["alerts", "list"]).stderr, expected(file))
      yield* fs.chmod(`${folder}/.openwatch`, 0o700)
    })
  )
})

describe("openwatch backup", () => {
  live(
    "says how PostgreSQL is copied, and what there is no copy of",
    Effect.gen(function*() {
      const folder = yield* emptyFolder
      const url = "postgresql://openwatch:pa55word@db.example.org/fleet"
      const postgres = openwatch(folder, ["backup", "copy"], { DATABASE_URL: url })
      assert.strictEqual(postgres.status, 1)
      assert.match(postgres.stderr, /^error: PostgreSQL database "fleet" on db\.example\.org:5432: .*pg_dump/)
      assert.notInclude(postgres.stderr, "pa55word")
      const none = openwatch(folder, ["backup", "copy"])
      assert.strictEqual(none.status, 1)
      assert.match(none.stderr, /nothing is stored there/)
    })
  )
})
