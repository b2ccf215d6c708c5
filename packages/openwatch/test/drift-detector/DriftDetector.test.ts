import { NodeServices } from "@effect/platform-node"
import { assert, describe, it } from "@effect/vitest"
import {
  Drift,
  type DriftDetected,
  DriftDetector,
  Host,
  hostIdFromName,
  Outbox,
  Scan,
  ScanFolder,
  Scans,
  SystemEventBus,
  TargetHosts,
  Xccdf
} from "@openwatch/openwatch"
import { DateTime, Effect, Fiber, FileSystem, Layer, Logger, Path, Result, type Scope, Stream } from "effect"
import { ChildProcess } from "effect/process"
import * as SqlClient from "effect/sql/SqlClient"
import { TestClock } from "effect/testing"
import { spawn } from "node:child_process"
import { existsSync, readFileSync } from "node:fs"
import { fileURLToPath } from "node:url"
import { gunzipSync } from "node:zlib"
import { base, drifted, file, layer, rule, rules, stored, testResult } from "./fixture.ts"

const full = fileURLToPath(new URL("../../../../../shared/data/xccdf/base-full.xml.gz", import.meta.url))
if (!existsSync(full)) console.log(`${full} is not there: the test of the whole result file is skipped`)
const bin = fileURLToPath(new URL("../../bin/openwatch.js", import.meta.url))

const options: DriftDetector.Options = { hostOf: TargetHosts.make([]) }

type Services = Scope.Scope | Scans.Scans | SystemEventBus | SqlClient.SqlClient | NodeServices.NodeServices

const provided = <A, E>(test: Effect.Effect<A, E, Services>) => Effect.provide(test, layer)

const importText = (text: string, custom?: Partial<DriftDetector.Options>) =>
  Effect.flatMap(file(text), (path) => DriftDetector.importFile(path, { ...options, ...custom }))

const read = (text: string | Uint8Array) => Effect.flatMap(file(text), Xccdf.readFile)

const scoreOf = (scan: Scan.Scan) => Scan.score(Scan.outcomeOf(scan))

/** Why a file is refused; its name, which every message has, is cut off. */
const problemOf = (text: string | Uint8Array) =>
  Effect.gen(function*() {
    const path = yield* file(text)
    const error = yield* Effect.flip(DriftDetector.importFile(path, options))
    assert.isTrue(error.message.startsWith(`scan ${path}: `), error.message)
    return error.message.slice(`scan ${path}: `.length)
  })

const drifts = Effect.flatMap(SystemEventBus, (bus) => bus.subscribe({ kinds: ["DriftDetected"] }))

const published = (subscription: { readonly takeUpTo: (n: number) => Effect.Effect<Array<DriftDetected>, unknown> }) =>
  Effect.orDie(subscription.takeUpTo(100))

const storedScans = Effect.flatMap(
  SqlClient.SqlClient,
  (sql) => sql<{ scan_id: string; score: number; outcome: string | null }>`SELECT * FROM scans ORDER BY seq`
)

const none = { critical: 0, high: 0, medium: 0, low: 0 }

const drift = (before: string, after: string, thresholds?: Drift.Thresholds) =>
  Effect.gen(function*() {
    const subscription = yield* drifts
    yield* importText(testResult({ body: before }), { thresholds })
    yield* importText(testResult({ body: after }), { thresholds })
    return yield* published(subscription)
  })

describe("drift between scans", () => {
  // @spec system-drift-detector
  // @ac AC-01
  it.effect("[system-drift-detector/AC-01] real scans of OpenSCAP give the figures that they should", () =>
    provided(Effect.gen(function*() {
      const subscription = yield* drifts
      const first = yield* DriftDetector.importFile(base, options)
      const second = yield* DriftDetector.importFile(drifted, options)
      assert.strictEqual(first.score.toFixed(2), "90.91")
      assert.strictEqual(second.score.toFixed(2), "77.27")
      assert.strictEqual(first.host.name, "web-01.example.org")
      const [event, ...others] = yield* published(subscription)
      assert.deepStrictEqual(others, [])
      assert.deepInclude(event, {
        hostId: hostIdFromName("web-01.example.org"),
        scanId: second.scanId,
        driftType: "major",
        priorScore: first.score,
        currentScore: second.score,
        becameFailing: { ...none, medium: 3 },
        becamePassing: none
      })
      assert.strictEqual(event?.scoreDelta.toFixed(2), "-13.64")
      assert.strictEqual(DriftDetector.describe(second), "web-01.example.org: score 77.27, major (-13.64 points)")
    })))

  it.effect.skipIf(!existsSync(full))(
    "the file as OpenSCAP writes it, benchmark and all, is the same scan as the trimmed one",
    () =>
      provided(Effect.gen(function*() {
        const whole = yield* file(gunzipSync(readFileSync(full)))
        const trimmed = yield* DriftDetector.importFile(base, options)
        const again = yield* DriftDetector.importFile(whole, options)
        assert.strictEqual(again.outcome, "known")
        assert.strictEqual(again.scanId, trimmed.scanId)
        assert.deepStrictEqual(again.scan, trimmed.scan)
      }))
  )

  // @spec system-drift-detector
  // @ac AC-06
  it.effect("[system-drift-detector/AC-06] thresholds are inclusive", () =>
    provided(Effect.gen(function*() {
      const types = Effect.fnUntraced(function*(before: [number, number], after: [number, number]) {
        const events = yield* drift(rules(...before), rules(...after))
        return events.map(({ driftType }) => driftType)
      })
      assert.deepStrictEqual(yield* types([90, 10], [80, 20]), ["major"])
      yield* clear
      assert.deepStrictEqual(yield* types([900, 100], [801, 199]), ["minor"])
      yield* clear
      assert.deepStrictEqual(yield* types([90, 10], [85, 15]), ["minor"])
      yield* clear
      assert.deepStrictEqual(yield* types([900, 100], [851, 149]), [])
      yield* clear
      assert.deepStrictEqual(yield* types([80, 20], [85, 15]), ["improvement"])
      yield* clear
      assert.deepStrictEqual(yield* types([800, 200], [849, 151]), [])
      yield* clear
      // 7/30 to 4/30 is ten points, and a hair less in floating point.
      assert.isBelow(700 / 30 - 400 / 30, 10)
      assert.deepStrictEqual(yield* types([7, 23], [4, 26]), ["major"])
    })))

  const clear = Effect.flatMap(SqlClient.SqlClient, (sql) => sql`DELETE FROM scans`)

  it.effect("thresholds can be set", () =>
    provided(Effect.gen(function*() {
      const thresholds = { major: 3, minor: 2, improvement: 1 }
      const [event] = yield* drift(rules(90, 10), rules(87, 13), thresholds)
      assert.strictEqual(event?.driftType, "major")
    })))

  // @spec system-drift-detector
  // @ac AC-07
  it("[system-drift-detector/AC-07] thresholds that make no sense are refused", () => {
    const problem = (thresholds: Partial<Drift.Thresholds>) =>
      Result.match(Drift.makeThresholds(thresholds), {
        onFailure: ({ message }) => message,
        onSuccess: () => undefined
      })
    for (const name of ["major", "minor", "improvement"]) {
      for (const points of [0, -1, 100, Number.NaN, Infinity]) {
        assert.strictEqual(
          problem({ [name]: points }),
          `the threshold "${name}" is ${points}; expected more than 0 and less than 100 percentage points`
        )
      }
    }
    assert.strictEqual(
      problem({ major: 4 }),
      "the threshold \"major\" is 4; expected at least \"minor\", which is 5"
    )
    assert.deepStrictEqual(Drift.makeThresholds({ major: 5 }), Result.succeed({ major: 5, minor: 5, improvement: 5 }))
  })

  // @spec system-drift-detector
  // @ac AC-08
  it.effect("[system-drift-detector/AC-08] the first scan is stored, and says nothing", () =>
    provided(Effect.gen(function*() {
      const subscription = yield* drifts
      const { outcome, scanId } = yield* importText(testResult({ body: rules(1, 99) }))
      assert.strictEqual(outcome, "first")
      assert.deepStrictEqual(yield* published(subscription), [])
      assert.deepInclude((yield* storedScans)[0], { scan_id: scanId, score: 1 })
    })))

  // @spec system-drift-detector
  // @ac AC-09
  it.effect("[system-drift-detector/AC-09] each host and profile has a baseline of its own", () =>
    provided(Effect.gen(function*() {
      const subscription = yield* drifts
      yield* importText(testResult({ target: "web-1", profile: "strict", body: rules(9, 1) }))
      yield* importText(testResult({ target: "web-1", profile: "lax", body: rules(5, 5) }))
      yield* importText(testResult({ target: "web-2", profile: "strict", body: rules(1, 9) }))
      assert.deepStrictEqual(yield* published(subscription), [])
      yield* importText(testResult({ target: "web-1", profile: "strict", body: rules(8, 2) }))
      const [event, ...others] = yield* published(subscription)
      assert.deepStrictEqual([event?.priorScore, event?.currentScore], [90, 80])
      assert.deepStrictEqual(others, [])
    })))

  it.effect("the baseline is the last scan, not the first", () =>
    provided(Effect.gen(function*() {
      const subscription = yield* drifts
      yield* importText(testResult({ body: rules(90, 10) }))
      yield* importText(testResult({ body: rules(86, 14) }))
      yield* importText(testResult({ body: rules(82, 18) }))
      assert.deepStrictEqual(yield* published(subscription), [])
      // Only the last one keeps the states of its rules.
      assert.deepStrictEqual((yield* storedScans).map(({ outcome }) => outcome === null), [true, true, false])
    })))

  // @spec system-drift-detector
  // @ac AC-10
  it.effect("[system-drift-detector/AC-10] the same scan read twice is stored and published once", () =>
    provided(Effect.gen(function*() {
      const subscription = yield* drifts
      yield* DriftDetector.importFile(base, options)
      yield* DriftDetector.importFile(drifted, options)
      const copy = yield* file(readFileSync(drifted))
      for (const path of [drifted, copy, base]) {
        assert.strictEqual((yield* DriftDetector.importFile(path, options)).outcome, "known")
      }
      assert.strictEqual((yield* published(subscription)).length, 1)
      assert.strictEqual((yield* storedScans).length, 2)
    })))

  it.effect("a scan is of the time at which it ended: in UTC without a zone, of its import without a time", () =>
    provided(Effect.gen(function*() {
      yield* TestClock.setTime(Date.UTC(2026, 10, 24))
      for (const time of ["2026-11-23T18:00:01+00:00", "2026-11-23T20:00:02+02:00", "2026-11-23T18:00:03", "7"]) {
        yield* importText(testResult({ attributes: `end-time="${time}"` }))
      }
      const scores = yield* (yield* Scans.Scans).scores(hostIdFromName("web-1"))
      assert.deepStrictEqual(scores.map(({ scannedAt }) => DateTime.formatIso(scannedAt)), [
        "2026-11-23T18:00:01.000Z",
        "2026-11-23T18:00:02.000Z",
        "2026-11-23T18:00:03.000Z",
        "2026-11-24T00:00:00.000Z"
      ])
    })))

  it.effect("rules are counted by the severity that they have now, and those without a state before not at all", () =>
    provided(Effect.gen(function*() {
      const [event] = yield* drift(
        [
          rule("a", "pass", "low"),
          rule("b", "pass", "high"),
          rule("c", "fail", "critical"),
          rule("d", "notselected"),
          rule("e", "pass"),
          rule("f", "pass")
        ].join(""),
        [
          rule("a", "fail", "critical"),
          rule("b", "error", "high"),
          rule("c", "fixed", "critical"),
          rule("d", "fail"),
          rule("e", "notapplicable"),
          rule("f", "unknown", "info")
        ].join("")
      )
      assert.deepStrictEqual(event?.becameFailing, { critical: 1, high: 1, medium: 0, low: 1 })
      assert.deepStrictEqual(event?.becamePassing, { ...none, critical: 1 })
      assert.deepStrictEqual([event?.priorScore, event?.currentScore], [80, 20])
    })))
})

describe("reading result files", () => {
  // @spec system-drift-detector
  // @ac AC-02
  it.effect("[system-drift-detector/AC-02] root, namespace and prefix do not matter", () =>
    provided(Effect.gen(function*() {
      const alone = testResult({ addresses: ["192.0.2.1"], body: rules(3, 1) }).replace(
        /<profile/,
        "<title>x</title><profile"
      )
      const prefixed = alone.replaceAll(/<(\/?)(\w)/g, "<$1cdf:$2").replace("xmlns=", "xmlns:cdf=")
      const inBenchmark = `<?xml version="1.0"?>\n<!-- x --><Benchmark xmlns="http://checklists.nist.gov/xccdf/1.2">
        <Rule id="rule-0"><title>A rule</title><result>none</result></Rule>${alone}</Benchmark>`
      const inArf = `<arf:asset-report-collection xmlns:arf="http://scap.nist.gov/schema/asset-reporting-format/1.1">
        <arf:report-requests><arf:report-request><arf:content><Benchmark><target>not-this</target></Benchmark></arf:content>
        </arf:report-request></arf:report-requests>
        <arf:reports><arf:report><arf:content>${prefixed}</arf:content></arf:report></arf:reports>
        </arf:asset-report-collection>`
      const expected = yield* read(alone)
      assert.strictEqual(scoreOf(expected), 75)
      assert.deepStrictEqual(expected.target, { name: "web-1", addresses: ["192.0.2.1"] })
      for (
        const text of [
          prefixed,
          inBenchmark,
          inArf,
          ...[alone, inArf].map((text) => text.replaceAll("xccdf/1.2", "xccdf/1.1"))
        ]
      ) {
        assert.deepStrictEqual(yield* read(text), expected)
      }
    })))

  // @spec system-drift-detector
  // @ac AC-03
  it.effect("[system-drift-detector/AC-03] each result counts as it should", () =>
    provided(Effect.gen(function*() {
      const states = Effect.fnUntraced(function*(results: ReadonlyArray<string>) {
        const scan = yield* read(testResult({ body: results.map((result) => rule(result, result)).join("") }))
        return Scan.outcomeOf(scan)
      })
      assert.deepStrictEqual(
        yield* states([
          "pass",
          "fixed",
          "fail",
          "error",
          "unknown",
          "notapplicable",
          "notchecked",
          "notselected",
          "informational"
        ]),
        { passed: ["pass", "fixed"], failed: ["fail", "error", "unknown"] }
      )
      assert.strictEqual(
        yield* problemOf(testResult({ body: rule("some-rule", "passed") })),
        "rule some-rule has the result \"passed\"; expected one of pass, fixed, fail, error, unknown, notapplicable, " +
          "notchecked, notselected, informational"
      )
      assert.strictEqual(yield* problemOf(testResult({ body: `<rule-result idref="r"/>` })), "rule r has no result")
      assert.strictEqual(
        yield* problemOf(testResult({ body: "<rule-result><result>pass</result></rule-result>" })),
        "a rule-result has no idref"
      )
    })))

  it.effect("a rule with several results passes when all of them do", () =>
    provided(Effect.gen(function*() {
      const body = [rule("a", "pass"), rule("a", "fail"), rule("a", "pass"), rule("b", "pass"), rule("b", "pass")].join(
        ""
      )
      assert.deepStrictEqual(Scan.outcomeOf(yield* read(testResult({ body }))), { passed: ["b"], failed: ["a"] })
    })))

  it.effect("what is written inside a result in other elements is not part of it", () =>
    provided(Effect.gen(function*() {
      const body = `<rule-result idref="a"><result><!-- x -->pa<b>fail</b>ss</result>
        <check><result>fail</result></check></rule-result>`
      assert.deepStrictEqual(Scan.outcomeOf(yield* read(testResult({ body }))), { passed: ["a"], failed: [] })
    })))

  // @spec system-drift-detector
  // @ac AC-04
  it.effect("[system-drift-detector/AC-04] severities are four, and what is unknown is low", () =>
    provided(Effect.gen(function*() {
      const written = ["critical", "high", "medium", "low", "unknown", "info"]
      const body = [
        ...written.map((severity) => rule(severity, "pass", severity)),
        `<rule-result idref="none"><result>pass</result></rule-result>`
      ].join("")
      const scan = yield* read(testResult({ body }))
      assert.deepStrictEqual(
        [...scan.rules.values()].map(({ severity }) => severity),
        ["critical", "high", "medium", "low", "low", "low", "low"]
      )
      assert.strictEqual(
        yield* problemOf(testResult({ body: rule("r", "pass", "severe") })),
        "rule r has the severity \"severe\"; expected one of critical, high, medium, low, unknown, info"
      )
    })))

  // @spec system-drift-detector
  // @ac AC-05
  it.effect("[system-drift-detector/AC-05] where no rule counted there is no score", () =>
    provided(Effect.gen(function*() {
      const body = rule("a", "notapplicable") + rule("b", "notselected")
      const problem = "no rule passed or failed, so there is no score"
      assert.strictEqual(yield* problemOf(testResult({ body })), problem)
      assert.strictEqual(yield* problemOf(testResult({ body: "" })), problem)
      assert.deepStrictEqual(yield* storedScans, [])
    })))

  // @spec system-drift-detector
  // @ac AC-11
  it.effect("[system-drift-detector/AC-11] what is no scan is refused, and nothing is stored", () =>
    provided(Effect.gen(function*() {
      const fs = yield* FileSystem.FileSystem
      const folder = yield* fs.makeTempDirectoryScoped()
      const missing = yield* Effect.flip(DriftDetector.importFile("no/such/scan.xml", options))
      assert.strictEqual(missing.message, "scan no/such/scan.xml: no such file")
      const noFile = yield* Effect.flip(DriftDetector.importFile(folder, options))
      assert.strictEqual(noFile.message, `scan ${folder}: not a file`)

      const whole = readFileSync(base)
      assert.strictEqual(yield* problemOf(""), "the file is empty")
      assert.match(
        yield* problemOf(whole.subarray(0, whole.length - 5)),
        /^not well-formed XML: .* at line \d+, column \d+$/
      )
      assert.match(yield* problemOf(whole.subarray(0, 50_000)), /^not well-formed XML: /)
      assert.match(yield* problemOf("Dear reader"), /^not well-formed XML: text before the root element at line 1/)
      assert.match(yield* problemOf(Buffer.from([0x1f, 0x8b, 8, 0])), /^not well-formed XML: /)
      assert.match(yield* problemOf(Buffer.from("<TestResult/>", "utf16le")), /^not well-formed XML: /)
      assert.strictEqual(
        yield* problemOf("<html><TestResult/></html>"),
        "not a result file: its root element is \"html\", expected one of Benchmark, TestResult, asset-report-collection"
      )
      assert.strictEqual(
        yield* problemOf("<Benchmark><Rule/></Benchmark>"),
        "it has no TestResult: a benchmark, not a result; `oscap xccdf eval --results` writes results"
      )
      assert.strictEqual(
        yield* problemOf(`<Benchmark>${testResult({})}${testResult({})}</Benchmark>`),
        "it has several TestResult elements; expected one, as one scan gives one"
      )
      assert.strictEqual(
        yield* problemOf(testResult({ target: " " })),
        "its TestResult has no target: nothing says which host was scanned"
      )
      assert.strictEqual(
        yield* problemOf(testResult({ attributes: "" })),
        "its TestResult has no end-time, by which one scan is told from the next"
      )
      assert.deepStrictEqual(yield* storedScans, [])
    })))

  // @spec system-drift-detector
  // @ac AC-12
  it.effect("[system-drift-detector/AC-12] a document type is refused", () =>
    provided(Effect.gen(function*() {
      const refused = "it has a document type (DOCTYPE), which is refused: result files have none"
      const scan = testResult({})
      assert.strictEqual(yield* problemOf(`<!DOCTYPE TestResult>${scan}`), refused)
      assert.strictEqual(yield* problemOf(`<!DOCTYPE TestResult SYSTEM "file:///etc/passwd">${scan}`), refused)
      const laughs = Array.from({ length: 9 }, (_, n) => `<!ENTITY lol${n + 1} "${`&lol${n};`.repeat(10)}">`).join("\n")
      const bomb = `<?xml version="1.0"?><!DOCTYPE x [<!ENTITY lol0 "lol">${laughs}]>${
        testResult({ target: "&lol9;" })
      }`
      assert.strictEqual(yield* problemOf(bomb), refused)
      assert.match(yield* problemOf(testResult({ target: "&lol9;" })), /^not well-formed XML: .*lol9/)
    })))

  // @spec system-drift-detector
  // @ac AC-13
  it.live(
    "[system-drift-detector/AC-13] a file may be large, but not too large, and is not kept",
    () =>
      provided(Effect.gen(function*() {
        const fs = yield* FileSystem.FileSystem
        const huge = yield* file("")
        yield* fs.truncate(huge, 100_000_000)
        const error = yield* Effect.flip(DriftDetector.importFile(huge, options))
        assert.strictEqual(error.message, `scan ${huge}: it is 95.4 MiB large; at most 64.0 MiB are read`)

        const ballast = Array.from({ length: 1_000 }, (_, n) => `<Rule id="${n}">${"x".repeat(60_000)}</Rule>`)
        const large = yield* file(`<Benchmark>${ballast.join("")}${testResult({})}</Benchmark>`)
        // A heap of less than the file.
        const handle = yield* ChildProcess.make(
          process.execPath,
          ["--max-old-space-size=64", bin, "scan", "import", large, "--data", yield* fs.makeTempDirectoryScoped()],
          { env: { PATH: process.env["PATH"] }, extendEnv: false, stdin: "ignore", stderr: "inherit" }
        )
        const stdout = yield* handle.stdout.pipe(Stream.decodeText(), Stream.mkString)
        assert.strictEqual(stdout, "web-1: score 50.00, the first scan with this profile\n")
      })),
    60_000
  )

  it.effect("what would be kept without end is refused", () =>
    provided(Effect.gen(function*() {
      const long = "x".repeat(2_000)
      assert.strictEqual(
        yield* problemOf(testResult({ body: rule(long, "pass") })),
        "a rule's id is 2000 characters long; at most 1024 are read"
      )
      assert.strictEqual(
        yield* problemOf(testResult({ target: long })),
        "the target's name is 2000 characters long; at most 1024 are read"
      )
      assert.strictEqual(yield* problemOf(testResult({ body: rules(50_001, 0) })), "it has more than 50000 rules")
      assert.strictEqual(
        yield* problemOf(testResult({ addresses: Array.from({ length: 1_001 }, () => "192.0.2.1") })),
        "it has more than 1000 target-address elements"
      )
    })))
})

// @spec system-drift-detector
// @ac AC-14
it.effect("[system-drift-detector/AC-14] a scan's host is found by name, then by address, then by the id of the name", () =>
  Effect.sync(() => {
    const host = (name: string, address: string) =>
      new Host({ id: hostIdFromName(`id of ${name}`), name, address, port: 22 })
    const hostOf = TargetHosts.make([
      host("web-1", "192.0.2.1"),
      host("web-2", "192.0.2.2"),
      host("v6", "2001:DB8::1"),
      host("by-name", "db.example.org"),
      host("this-machine", "127.0.0.1"),
      host("this-machine-v6", "::1"),
      host("neighbour", "fe80::1"),
      host("shared-1", "192.0.2.9"),
      host("shared-2", "192.0.2.9")
    ])
    const found = (name: string, ...addresses: ReadonlyArray<string>) => {
      const { id, isInInventory, name: found } = hostOf({ name, addresses })
      assert.strictEqual(id, isInInventory ? hostIdFromName(`id of ${found}`) : hostIdFromName(name))
      return isInInventory ? found : `not ${found}`
    }
    assert.strictEqual(found("web-2", "192.0.2.1"), "web-2")
    assert.strictEqual(found("WEB-1"), "web-1")
    assert.strictEqual(found("other", "127.0.0.1", "192.0.2.1"), "web-1")
    assert.strictEqual(found("other", "2001:db8:0:0:0:0:0:1"), "v6")
    assert.strictEqual(found("DB.example.org."), "by-name")
    assert.strictEqual(found("192.0.2.2"), "web-2")
    assert.strictEqual(found("other", "127.0.0.1", "::1", "fe80::1"), "not other")
    assert.strictEqual(found("other", "192.0.2.9"), "not other")
    assert.strictEqual(found("other", "no address"), "not other")
  }))

describe("storing comes before publishing", () => {
  // @spec system-drift-detector
  // @ac AC-15
  it.live(
    "[system-drift-detector/AC-15] a drift that was stored when the process was killed is published at the next start",
    () =>
      Effect.gen(function*() {
        const fs = yield* FileSystem.FileSystem
        const folder = yield* fs.makeTempDirectoryScoped()
        const program = fileURLToPath(new URL("dieBeforePublishing.ts", import.meta.url))
        const signal = yield* Effect.callback<string | null>((resume) => {
          const child = spawn(process.execPath, ["-C", "@openwatch/source", program, folder], { stdio: "inherit" })
          child.on("exit", (_, signal) => resume(Effect.succeed(signal)))
        })
        assert.strictEqual(signal, "SIGKILL")

        yield* Effect.gen(function*() {
          const subscription = yield* drifts
          assert.strictEqual(yield* Outbox.republish(10), 1)
          const [event, ...others] = yield* published(subscription)
          assert.strictEqual(event?.driftType, "major")
          assert.deepStrictEqual(others, [])
          // It is stored: to read the file again would not have found it again.
          assert.strictEqual((yield* DriftDetector.importFile(drifted, options)).outcome, "known")
        }).pipe(
          Effect.provide(Layer.mergeAll(Outbox.layer, SystemEventBus.layer).pipe(Layer.provideMerge(stored(folder))))
        )
      }).pipe(Effect.scoped, Effect.provide(NodeServices.layer)),
    60_000
  )

  // @spec system-drift-detector
  // @ac AC-16
  it.effect("[system-drift-detector/AC-16] a scan that cannot be stored publishes nothing", () =>
    provided(Effect.gen(function*() {
      const sql = yield* SqlClient.SqlClient
      const subscription = yield* drifts
      yield* DriftDetector.importFile(base, options)
      yield* sql`ALTER TABLE unannounced_events RENAME TO out_of_order`
      assert.strictEqual((yield* Effect.flip(DriftDetector.importFile(drifted, options)))._tag, "SqlError")
      assert.deepStrictEqual(yield* published(subscription), [])
      assert.strictEqual((yield* storedScans).length, 1)
      yield* sql`ALTER TABLE out_of_order RENAME TO unannounced_events`
      yield* DriftDetector.importFile(drifted, options)
      assert.strictEqual((yield* published(subscription)).length, 1)
    })))
})

describe("the watched folder", () => {
  const folder = Effect.gen(function*() {
    const fs = yield* FileSystem.FileSystem
    const path = yield* Path.Path
    const folder = yield* fs.makeTempDirectoryScoped()
    return {
      folder,
      look: yield* Effect.map(ScanFolder.make(folder), Effect.map((files) => files.map((file) => path.basename(file)))),
      write: (name: string, text: string, changedAt: number) =>
        Effect.andThen(
          fs.writeFileString(path.join(folder, name), text),
          fs.utimes(path.join(folder, name), changedAt, changedAt)
        ),
      rename: (from: string, to: string) => fs.rename(path.join(folder, from), path.join(folder, to)),
      remove: (name: string) => fs.remove(path.join(folder, name))
    }
  })

  // @spec system-drift-detector
  // @ac AC-17
  it.effect("[system-drift-detector/AC-17] a file is taken once it has been the same for two seconds", () =>
    provided(Effect.gen(function*() {
      const { look, write } = yield* folder
      yield* write("a.xml", "<a", 1)
      assert.deepStrictEqual(yield* look, [])
      yield* TestClock.adjust("1 second")
      yield* write("a.xml", "<a>", 2)
      assert.deepStrictEqual(yield* look, [])
      yield* TestClock.adjust("1 second")
      // As long as before.
      yield* write("a.xml", "<b>", 3)
      assert.deepStrictEqual(yield* look, [])
      yield* TestClock.adjust("1999 millis")
      assert.deepStrictEqual(yield* look, [])
      yield* TestClock.adjust("1 millis")
      assert.deepStrictEqual(yield* look, ["a.xml"])
      yield* TestClock.adjust("1 hour")
      assert.deepStrictEqual(yield* look, [])
      yield* write("a.xml", "<c>", 4)
      yield* TestClock.adjust("30 seconds")
      assert.deepStrictEqual(yield* look, [])
      yield* TestClock.adjust("2 seconds")
      assert.deepStrictEqual(yield* look, ["a.xml"])
    })))

  it.effect("files come oldest first; those with other names, hidden ones and folders do not come", () =>
    provided(Effect.gen(function*() {
      const fs = yield* FileSystem.FileSystem
      const { folder: path, look, rename, write } = yield* folder
      yield* write("b.xml", "x", 1)
      yield* write("a.XML", "x", 2)
      yield* write("c.xml", "x", 2)
      yield* write("c.xml.part", "x", 3)
      yield* write(".d.xml", "x", 4)
      yield* fs.makeDirectory(`${path}/folder.xml`)
      yield* look
      yield* TestClock.adjust("2 seconds")
      assert.deepStrictEqual(yield* look, ["b.xml", "a.XML", "c.xml"])
      yield* rename("c.xml.part", "e.xml")
      yield* look
      yield* TestClock.adjust("2 seconds")
      assert.deepStrictEqual(yield* look, ["e.xml"])
    })))

  it.effect("a folder that cannot be read is said once, and read when it can", () => {
    const messages: Array<string> = []
    const logged = Logger.layer([Logger.make(({ logLevel, message }) => {
      messages.push(`${logLevel} ${String(message)}`)
    })])
    return provided(Effect.gen(function*() {
      const fs = yield* FileSystem.FileSystem
      const parent = yield* fs.makeTempDirectoryScoped()
      const path = `${parent}/scans`
      const look = yield* ScanFolder.make(path)
      assert.deepStrictEqual(yield* look, [])
      assert.deepStrictEqual(yield* look, [])
      yield* fs.makeDirectory(path)
      assert.deepStrictEqual(yield* look, [])
      assert.strictEqual(messages.length, 2)
      assert.match(messages[0]!, new RegExp(`^Error The folder of scans ${path} cannot be read: `))
      assert.strictEqual(messages[1], `Info The folder of scans ${path} can be read again`)
    })).pipe(Effect.provide(logged))
  })

  // @spec system-drift-detector
  // @ac AC-18
  it.effect("[system-drift-detector/AC-18] the watcher goes on after a file that cannot be read", () => {
    const messages: Array<string> = []
    const logged = Logger.layer([Logger.make(({ message }) => {
      messages.push(String(message))
    })])
    return provided(Effect.gen(function*() {
      const { folder: path, write } = yield* folder
      const subscription = yield* drifts
      yield* write("1.xml", "<!DOCTYPE x><x/>", 1)
      yield* write("2.xml", testResult({ body: rules(9, 1) }), 2)
      yield* write("3.xml", "<Benchmark>", 3)
      yield* write("4.xml", testResult({ body: rules(1, 9) }), 4)
      const fiber = yield* Effect.forkChild(DriftDetector.watch(path, options))
      // Reading is real: the clock moves on until the event is there.
      const event = yield* Effect.forkChild(subscription.take)
      while (event.pollUnsafe() === undefined) {
        yield* TestClock.adjust("1 second")
        yield* Effect.promise(() => new Promise((resolve) => setImmediate(resolve)))
      }
      assert.strictEqual((yield* Fiber.join(event)).driftType, "major")
      yield* Fiber.interrupt(fiber)
      assert.include(messages[0], `scan ${path}/1.xml: it has a document type`)
      assert.strictEqual(messages[1], `Scan ${path}/2.xml of web-1: score 90.00, the first scan with this profile`)
      assert.include(messages[2], `scan ${path}/3.xml: not well-formed XML`)
    })).pipe(Effect.provide(logged))
  })
})

describe("scan import", () => {
  const run = (...args: ReadonlyArray<string>) =>
    Effect.gen(function*() {
      const handle = yield* ChildProcess.make(process.execPath, [bin, "scan", "import", ...args], {
        env: { PATH: process.env["PATH"] },
        extendEnv: false,
        stdin: "ignore"
      })
      const text = (stream: Stream.Stream<Uint8Array, unknown>) =>
        stream.pipe(Stream.decodeText(), Stream.mkString, Effect.orDie)
      const [stdout, stderr, exitCode] = yield* Effect.all(
        [text(handle.stdout), text(handle.stderr), handle.exitCode],
        {
          concurrency: "unbounded"
        }
      )
      return { stdout, stderr, exitCode: Number(exitCode) }
    }).pipe(Effect.scoped)

  const data = Effect.flatMap(FileSystem.FileSystem, (fs) => fs.makeTempDirectoryScoped())

  // @spec system-drift-detector
  // @ac AC-19
  it.live(
    "[system-drift-detector/AC-19] takes in file after file, and says which it could not",
    () =>
      Effect.gen(function*() {
        const folder = yield* data
        const bad = yield* file("<Benchmark>")
        const mixed = yield* run(base, bad, "no/such.xml", drifted, "--data", folder)
        assert.strictEqual(
          mixed.stdout,
          "web-01.example.org: score 90.91, the first scan with this profile\n" +
            "web-01.example.org: score 77.27, major (-13.64 points)\n"
        )
        const errors = mixed.stderr.split("\n")
        assert.include(errors[0], `error: scan ${bad}: not well-formed XML: `)
        assert.deepStrictEqual(errors.slice(1), [
          "error: scan no/such.xml: no such file",
          "error: 2 of 4 files could not be taken in",
          ""
        ])
        assert.strictEqual(mixed.exitCode, 1)

        const again = yield* run(drifted, "--data", folder)
        assert.deepStrictEqual(again, {
          stdout: "web-01.example.org: score 77.27, known already\n",
          stderr: "",
          exitCode: 0
        })
      }).pipe(Effect.scoped, Effect.provide(NodeServices.layer)),
    60_000
  )

  it.live(
    "finds hosts in the inventory of a configuration, uses its thresholds, and prints JSON",
    () =>
      Effect.gen(function*() {
        const fs = yield* FileSystem.FileSystem
        const folder = yield* data
        yield* fs.writeFileString(`${folder}/hosts.yaml`, "hosts: [{ name: web, address: 192.0.2.10 }]\n")
        yield* fs.writeFileString(`${folder}/openwatch.yaml`, "inventory: hosts.yaml\ndrift: { major: 20 }\n")
        const { exitCode, stderr, stdout } = yield* run(
          base,
          drifted,
          "--json",
          "--config",
          `${folder}/openwatch.yaml`,
          "--data",
          folder
        )
        assert.strictEqual(stderr, "")
        assert.strictEqual(exitCode, 0)
        const [first, second] = stdout.trim().split("\n").map((line) => JSON.parse(line))
        assert.deepInclude(first, {
          file: base,
          host: "web",
          hostId: hostIdFromName("web"),
          outcome: "first",
          drift: null
        })
        assert.deepInclude(second, { outcome: "minor" })
        assert.deepInclude(second.drift, { priorScore: first.score, currentScore: second.score })
      }).pipe(Effect.scoped, Effect.provide(NodeServices.layer)),
    60_000
  )

  it.live("refuses thresholds that make no sense", () =>
    Effect.gen(function*() {
      const configuration = yield* file("inventory: hosts.yaml\ndrift: { major: 4, improvement: 5 }\n")
      const { exitCode, stderr } = yield* run(base, "--config", configuration)
      assert.strictEqual(
        stderr,
        `error: configuration ${configuration}: drift: the threshold "major" is 4; expected at least "minor", which is 5\n`
      )
      assert.strictEqual(exitCode, 1)
    }).pipe(Effect.scoped, Effect.provide(NodeServices.layer)), 60_000)
})
