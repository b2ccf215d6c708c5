import { NodeServices } from "@effect/platform-node"
import { assert, describe, it, vi } from "@effect/vitest"
import { type ChangedRule, hostIdFromName, type Scans } from "@openwatch/openwatch"
import { DateTime, Effect, FileSystem } from "effect"
import { fileURLToPath } from "node:url"
import { formatTable } from "../../src/cli/scanList.ts"
import { formatComparison, formatScan } from "../../src/cli/scanShow.ts"
import * as Command from "./command.ts"

vi.setConfig({ testTimeout: 120_000 })

const pathOf = (path: string) => fileURLToPath(new URL(path, import.meta.url))
const openwatch = (...args: ReadonlyArray<string>) => Command.run(Command.openwatch(args))

const high: ChangedRule = { id: "rule_root_login", title: "Root cannot log in", severity: "high" }
const medium: ChangedRule = { id: "rule_umask", severity: "medium" }
const low: ChangedRule = { id: "rule_banner", severity: "low" }

const scan = (of: Partial<Scans.ScanReport> = {}): Scans.ScanReport => ({
  scanId: "7f2c9d1e-5b3a-5c1d-8e2f-000000000001",
  hostId: hostIdFromName("web-1"),
  hostName: "web-1",
  series: { benchmark: "", profile: "xccdf_org.example_profile_cis" },
  score: 77.272727,
  scannedAt: DateTime.makeUnsafe("2026-11-26T07:00:00Z"),
  counts: { passed: 17, failed: 2 },
  failing: [high, medium],
  ...of
})

const earlier = scan({
  scanId: "0f6d2c11-9a40-5c1d-8e2f-000000000002",
  score: 90.909090,
  scannedAt: DateTime.makeUnsafe("2026-11-25T07:00:00Z"),
  failing: [medium, low]
})

const utc = DateTime.zoneMakeNamedUnsafe("UTC")

describe("scans in words", () => {
  it("are a line each, cut off where a terminal ends", () => {
    const lines = formatTable([scan(), scan({ hostName: "db.example.org", counts: undefined })], utc)
    assert.deepStrictEqual(lines, [
      "ENDED                   ID              SCORE  FAILED  HOST            SERIES",
      "2026-11-26 07:00+00:00  7f2c9d1e-5b3a   77.27       2  web-1           cis",
      "2026-11-26 07:00+00:00  7f2c9d1e-5b3a   77.27       ?  db.example.org  cis"
    ])
    assert.deepStrictEqual(formatTable([scan()], utc, 24)[1], "2026-11-26 07:00+00:00 …")
  })

  it("have what fails, with id, title and severity", () => {
    assert.deepStrictEqual(formatScan(scan(), utc), [
      "Scan     7f2c9d1e-5b3a-5c1d-8e2f-000000000001",
      `Host     web-1 (${hostIdFromName("web-1")})`,
      "Series   cis (xccdf_org.example_profile_cis)",
      "Ended    2026-11-26 07:00+00:00",
      "Score    77.27 %: 17 rules passed, 2 rules failed",
      "",
      "2 rules fail:",
      "  high      rule_root_login  Root cannot log in",
      "  medium    rule_umask"
    ])
  })

  it("of an earlier version say that the rules were not kept", () => {
    const lines = formatScan(scan({ failing: undefined, counts: undefined }), utc)
    assert.deepStrictEqual(lines.slice(4), [
      "Score    77.27 %",
      "",
      "Which rules failed was not kept by the version that took it in."
    ])
  })

  it("are compared by their scores and the rules that fail", () => {
    assert.deepStrictEqual(formatComparison(scan(), earlier, utc).slice(5), [
      "Against  0f6d2c11-9a40-5c1d-8e2f-000000000002, ended 2026-11-25 07:00+00:00, score 90.91 %",
      "Change   -13.64 points",
      "",
      "Fail, and did not: 1",
      "  high      rule_root_login  Root cannot log in",
      "",
      "Failed, and do not: 1",
      "  low       rule_banner",
      "",
      "Fail in both: 1",
      "  medium    rule_umask"
    ])
  })

  it("of another host or series are said to be", () => {
    const other = scan({ hostId: hostIdFromName("db"), hostName: "db", series: { benchmark: "os", profile: "" } })
    assert.include(
      formatComparison(scan(), other, utc),
      "Note     the other is of another: host db, series os/no profile"
    )
  })
})

describe("openwatch scan", () => {
  it.effect("lists what was taken in and shows and compares it, and says what is wrong with what is not there", () =>
    Effect.gen(function*() {
      const data = `${yield* (yield* FileSystem.FileSystem).makeTempDirectoryScoped()}/data`
      const scans = (...args: ReadonlyArray<string>) => openwatch("scan", ...args, "--data", data)
      const failed = (problem: string, exitCode = 1) => ({ stdout: "", stderr: problem, exitCode })

      assert.strictEqual((yield* scans("list")).exitCode, 1)
      yield* scans("import", pathOf("../xccdf/base.xml"), pathOf("../xccdf/drifted.xml"))
      const listed = yield* scans("list", "--host", "WEB-01.example.org", "--json")
      assert.deepStrictEqual([listed.exitCode, listed.stderr], [0, ""])
      const [drifted, base] = listed.stdout.trimEnd().split("\n").map((line) =>
        JSON.parse(line) as { readonly version: number; readonly scanId: string; readonly failed: number }
      )
      assert.deepStrictEqual([drifted!.version, drifted!.failed, base!.failed], [1, 5, 2])

      const compared = yield* scans("show", drifted!.scanId.slice(0, 13), "--against", base!.scanId, "--json")
      const { against, changes, version } = JSON.parse(compared.stdout) as {
        readonly version: number
        readonly against: { readonly scanId: string }
        readonly changes: { readonly [name: string]: ReadonlyArray<ChangedRule> }
      }
      assert.deepStrictEqual([compared.exitCode, version, against.scanId], [0, 1, base!.scanId])
      assert.deepStrictEqual(
        [changes["failing"]!.length, changes["notFailing"]!.length, changes["both"]!.length],
        [3, 0, 2]
      )

      const hint = "; `openwatch scan list` shows the ids of scans\n"
      assert.deepStrictEqual(
        yield* scans("show", "00000000-0000"),
        failed(`error: no scan has the id 00000000-0000${hint}`)
      )
      assert.deepStrictEqual(
        yield* scans("show", "web"),
        failed(`error: "web" is no id of a scan, nor six characters or more of the beginning of one${hint}`)
      )
      assert.deepStrictEqual(
        yield* scans("list", "--host", "mail"),
        failed("error: no scan is of the host mail; there are scans of: web-01.example.org\n")
      )
      assert.strictEqual((yield* scans("list", "--limit", "0")).exitCode, 2)
    }).pipe(Effect.scoped, Effect.provide(NodeServices.layer)))
})
