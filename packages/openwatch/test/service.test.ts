import { assert, describe, it } from "@effect/vitest"
import { spawnSync } from "node:child_process"
import { readFileSync } from "node:fs"
import { join } from "node:path"

const root = join(import.meta.dirname, "..")
const unit = join(root, "openwatch.service")

const isMissing = spawnSync("systemd-analyze", ["--version"]).error !== undefined
const isSkipped = isMissing && (process.env["CI"] ?? "") === ""
if (isSkipped) console.log("systemd-analyze is not installed: tests of openwatch.service are skipped (Debian: systemd)")

/** What systemd says, with its exit status. */
const analyze = (...args: ReadonlyArray<string>) => {
  const { error, status, stderr, stdout } = spawnSync("systemd-analyze", args, { encoding: "utf8" })
  if (error !== undefined) throw error
  return `${status} ${stdout}${stderr}`
}

describe.skipIf(isSkipped)("the unit of systemd", () => {
  it("is one that systemd understands", () => {
    assert.strictEqual(analyze("verify", "--man=no", unit), "0 ")
  })

  it("can do little harm: its exposure is at most 1.9 of 10", () => {
    assert.match(analyze("security", "--offline=true", "--no-pager", "--threshold=19", unit), /^0 /)
  })
})

describe("the commands of the unit", () => {
  const commands = Array.from(
    readFileSync(unit, "utf8").matchAll(/^Exec\w+=\/usr\/bin\/env openwatch (.*)$/gm),
    ([, words]) => words!.split(" ")
  )

  it("are two that there are, with flags that there are", () => {
    assert.strictEqual(commands.length, 2)
    for (const words of commands) {
      const { status, stderr } = spawnSync(process.execPath, [join(root, "bin/openwatch.js"), ...words], {
        encoding: "utf8",
        env: { PATH: process.env["PATH"], STATE_DIRECTORY: "/nowhere" }
      })
      // A wrong command line would be told first, with the status 2.
      assert.match(stderr, /^error: configuration \/etc\/openwatch\/openwatch\.yaml: /)
      assert.strictEqual(status, 1)
    }
  })
}, 60_000)
