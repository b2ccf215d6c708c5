import { NodeServices } from "@effect/platform-node"
import { assert, describe, it } from "@effect/vitest"
import {
  Drift,
  type DriftDetected,
  DriftDetector,
  Host,
  hostIdFromName,
  Scan,
  ScanFolder,
  Scans,
  SystemEventBus,
  SystemOutbox,
  TargetHosts,
  Xccdf
} from "@openwatch/openwatch"
import { DateTime, Effect, Fiber, FileSystem, Logger, Path, PlatformError, Result, type Scope, Stream } from "effect"
import { ChildProcess } from "effect/process"
import * as SqlClient from "effect/sql/SqlClient"
import { TestClock } from "effect/testing"
import { execFile, spawn } from "node:child_process"
import { existsSync, readFileSync } from "node:fs"
import { fileURLToPath } from "node:url"
import { gunzipSync, gzipSync } from "node:zlib"
import * as Command from "../cli/command.ts"
import { base, drifted, file, layer, rule, rules, stored, testResult } from "./fixture.ts"

const full = fileURLToPath(new URL("../../../../../shared/data/xccdf/base-full.xml.gz", import.meta.url))
if (!existsSync(full)) console.log(`${full} is not there: the test of the whole result file is skipped`)

const options: DriftDetector.Options = { hostOf: TargetHosts.make([]) }

type Services =
  | Scope.Scope
  | Scans.Scans
  | SystemEventBus
  | SystemOutbox
  | SqlClient.SqlClient
  | NodeServices.NodeServices

const bzip2 = (text: string | Uint8Array) =>
  new Promise<Buffer>((resolve, reject) => {
    const child = execFile("bzip2", { encoding: "buffer", maxBuffer: 2 ** 26 }, (error, stdout) =>
      error === null ? resolve(stdout) : reject(error))
    child.stdin!.end(text)
  })

/** The real scans ended in November 2026. */
const now = Date.UTC(2026, 11, 1)

const provided = <A, E>(test: Effect.Effect<A, E, Services>) =>
  Effect.andThen(TestClock.setTime(now), Effect.provide(test, layer))

const importOne = (path: string, custom?: Partial<DriftDetector.Options>) =>
  Effect.map(DriftDetector.importFile(path, { ...options, ...custom }), ([first]) => first)

const importText = (text: string, custom?: Partial<DriftDetector.Options>) =>
  Effect.flatMap(file(text), (path) => importOne(path, custom))

const read = (text: string | Uint8Array) => Effect.map(Effect.flatMap(file(text), Xccdf.readFile), ([scan]) => scan)

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
  Effect.andThen(
    Effect.flatMap(SystemOutbox, (outbox) => outbox.awaitIdle),
    Effect.orDie(subscription.takeUpTo(100))
  )

const storedScans = Effect.flatMap(
  SqlClient.SqlClient,
  (sql) => sql<{ scan_id: string; score: number }>`SELECT * FROM scans ORDER BY seq`
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
  it.effect(
    "[system-drift-detector/AC-01] real scans of OpenSCAP give the figures that they should",
    () =>
      provided(Effect.gen(function*() {
        const subscription = yield* drifts
        const first = yield* importOne(base)
        const second = yield* importOne(drifted)
        assert.strictEqual(first.score.toFixed(2), "90.91")
        assert.strictEqual(second.score.toFixed(2), "77.27")
        assert.strictEqual(first.host.name, "web-01.example.org")
        const [event, ...others] = yield* published(subscription)
        assert.deepStrictEqual(others, [])
        assert.deepInclude(event, {
          hostId: hostIdFromName("web-01.example.org"),
          host: { name: "web-01.example.org" },
          scanId: second.scanId,
          driftType: "major",
          priorScore: first.score,
          currentScore: second.score,
          becameFailing: { ...none, medium: 3 },
          becamePassing: none
        })
        assert.strictEqual(event?.scoreDelta.toFixed(2), "-13.64")
        assert.strictEqual(
          DriftDetector.describe(second),
          "web-01.example.org, DEBIAN-11/anssi_np_nt28_high: score 77.27, major (-13.64 points)"
        )
      }))
  )

  it.effect.skipIf(!existsSync(full))(
    "the file as OpenSCAP writes it, benchmark and all, is the same scan as the trimmed one, with titles",
    () =>
      provided(Effect.gen(function*() {
        const whole = yield* file(gunzipSync(readFileSync(full)))
        const trimmed = yield* importOne(base)
        const again = yield* importOne(whole)
        assert.strictEqual(again.outcome, "known")
        assert.strictEqual(again.scanId, trimmed.scanId)
        // The titles of rules stand in the benchmark alone.
        const untitled = new Map(
          Array.from(again.scan.rules, ([id, { title, ...rule }]) => {
            assert.isString(title)
            return [id, rule] as const
          })
        )
        assert.deepStrictEqual({ ...again.scan, rules: untitled }, trimmed.scan)
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

  const clear = Effect.flatMap(SqlClient.SqlClient, (sql) => sql`DELETE FROM series`)

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
      for (const points of [0, -1, 100.1, Number.NaN, Infinity]) {
        assert.strictEqual(
          problem({ [name]: points }),
          `the threshold "${name}" is ${points}; expected more than 0 and at most 100 percentage points`
        )
      }
    }
    assert.strictEqual(
      problem({ major: 4 }),
      "the threshold \"major\" is 4; expected at least \"minor\", which is 5"
    )
    assert.deepStrictEqual(Drift.makeThresholds({ major: 5 }), Result.succeed({ major: 5, minor: 5, improvement: 5 }))
    assert.isTrue(Result.isSuccess(Drift.makeThresholds({ major: 100 })))
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

  /** What became of scans of these scores, in percent, of one series, each an hour after the one before it. */
  const sequence = (scores: ReadonlyArray<readonly [pass: number, fail: number]>) =>
    Effect.gen(function*() {
      const told: Array<string> = []
      for (const [hour, body] of scores.entries()) {
        const end = DateTime.formatIso(DateTime.makeUnsafe(Date.UTC(2026, 10, 1, hour)))
        const { outcome } = yield* importText(
          testResult({ body: rules(...body), attributes: `end-time="${end}"` })
        )
        if (typeof outcome === "string") told.push(outcome)
        else told.push(outcome.isBack ? "back" : outcome.type)
      }
      return told
    })

  // @spec system-drift-detector
  // @ac AC-20
  it.effect("[system-drift-detector/AC-20] small steps are told once they add up, and each further fall again", () =>
    provided(Effect.gen(function*() {
      const falling = [[200, 0], [191, 9], [182, 18], [173, 27], [164, 36], [155, 45]] as const
      assert.deepStrictEqual(yield* sequence(falling), ["first", "stable", "minor", "stable", "minor", "stable"])
    })))

  // @spec system-drift-detector
  // @ac AC-21
  it.effect("[system-drift-detector/AC-21] a fall is over when the score is back where it fell from, in whatever steps, and the next is told again", () =>
    provided(Effect.gen(function*() {
      const scores = [[20, 2], [17, 5], [18, 4], [19, 3], [20, 2], [17, 5]] as const
      assert.deepStrictEqual(yield* sequence(scores), ["first", "major", "stable", "back", "stable", "major"])
    })))

  it.effect("a rise that stops short of where the score fell from is told, and is not the end of it", () =>
    provided(Effect.gen(function*() {
      const scores = [[90, 10], [60, 40], [66, 34], [84, 16], [85, 15], [86, 14]] as const
      assert.deepStrictEqual(
        yield* sequence(scores),
        ["first", "major", "improvement", "improvement", "stable", "back"]
      )
    })))

  it.effect("one that became better slowly is told, once it adds up", () =>
    provided(Effect.gen(function*() {
      const scores = [[80, 20], [83, 17], [85, 15], [88, 12], [83, 17], [80, 20]] as const
      assert.deepStrictEqual(
        yield* sequence(scores),
        ["first", "stable", "improvement", "stable", "minor", "stable"]
      )
    })))

  // @spec system-drift-detector
  // @ac AC-22
  it.effect("[system-drift-detector/AC-22] scans count by when they ended: one that comes late is kept for the history alone", () =>
    provided(Effect.gen(function*() {
      const subscription = yield* drifts
      const scans: ReadonlyArray<readonly [day: number, pass: number]> = [[10, 95], [11, 95], [9, 60], [12, 94]]
      const outcomes: Array<unknown> = []
      for (const [day, pass] of scans) {
        const attributes = `end-time="2026-01-${String(day).padStart(2, "0")}T01:00:00Z"`
        const { outcome } = yield* importText(testResult({ attributes, body: rules(pass, 100 - pass) }))
        outcomes.push(typeof outcome === "string" ? outcome : outcome.type)
      }
      assert.deepStrictEqual(outcomes, ["first", "stable", "history", "stable"])
      assert.deepStrictEqual(yield* published(subscription), [])
      const scores = yield* (yield* Scans.Scans).scores(hostIdFromName("web-1"))
      assert.deepStrictEqual(scores.map(({ score }) => score), [60, 95, 95, 94])
    })))

  it.effect("scans by two benchmarks with one profile are two series, and the event names host, series and rules", () =>
    provided(Effect.gen(function*() {
      const subscription = yield* drifts
      const scan = (benchmark: string, pass: number, day: number) =>
        `<Benchmark id="${benchmark}">
        <Group id="g"><Rule id="rule-4"><title>No empty\n  passwords\u202e</title></Rule></Group>
        ${testResult({ attributes: `end-time="2026-01-0${day}T00:00:00Z"`, body: rules(pass, 10 - pass) })}</Benchmark>`
      const hostOf = TargetHosts.make([
        new Host({ id: hostIdFromName("w"), name: "w", address: "web-1", port: 2222 })
      ])
      for (const day of [1, 2]) {
        yield* importText(scan("os", 9, day), { hostOf })
        yield* importText(scan("web", 4, day), { hostOf })
      }
      assert.deepStrictEqual(yield* published(subscription), [])
      yield* importText(scan("os", 4, 3), { hostOf })
      const [event] = yield* published(subscription)
      assert.deepStrictEqual(event?.host, { name: "w", address: "web-1:2222" })
      assert.deepStrictEqual(event?.series, { benchmark: "os", profile: "strict" })
      assert.strictEqual(event?.rules?.becameFailing.length, 5)
      assert.deepStrictEqual(event?.rules?.becameFailing[0], {
        id: "rule-4",
        title: "No empty passwords\ufffd",
        severity: "medium"
      })
    })))

  it.effect("at most 100 rules are named, the most severe first, and all are counted", () =>
    provided(Effect.gen(function*() {
      const body = (result: string) =>
        Array.from({ length: 150 }, (_, n) => rule(`r${n}`, result, n === 149 ? "high" : "low")).join("") +
        rule("other", "pass")
      const [event] = yield* drift(body("pass"), body("fail"))
      assert.strictEqual(event?.rules?.becameFailing.length, 100)
      assert.strictEqual(event?.rules?.becameFailing[0]?.id, "r149")
      assert.deepStrictEqual(event?.becameFailing, { ...none, high: 1, low: 149 })
    })))

  it.effect("with the id and the times of a scan that is known, another content is another scan", () =>
    provided(Effect.gen(function*() {
      const attributes = `start-time="2026-01-01T00:00:00Z" end-time="2026-01-01T00:01:00Z"`
      assert.strictEqual((yield* importText(testResult({ attributes, body: rules(9, 1) }))).outcome, "first")
      const { outcome } = yield* importText(testResult({ attributes, body: rules(5, 5) }))
      assert.strictEqual(typeof outcome === "string" ? outcome : outcome.type, "major")
      const renamed = testResult({ attributes, body: rules(5, 5) }).replace("id=\"result\"", "id=\"other\"")
      assert.strictEqual((yield* importText(renamed)).outcome, "known")
    })))

  // @spec system-drift-detector
  // @ac AC-10
  it.effect("[system-drift-detector/AC-10] the same scan read twice is stored and published once", () =>
    provided(Effect.gen(function*() {
      const subscription = yield* drifts
      yield* importOne(base)
      yield* importOne(drifted)
      const copy = yield* file(readFileSync(drifted))
      for (const path of [drifted, copy, base]) {
        assert.strictEqual((yield* importOne(path)).outcome, "known")
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
        <Rule id="rule-0"><result>none</result></Rule>${alone}</Benchmark>`
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

  // @spec system-drift-detector
  // @ac AC-23
  it.effect("[system-drift-detector/AC-23] a file may be packed, and in another encoding", () =>
    provided(Effect.gen(function*() {
      const declared = (encoding: string) =>
        `<?xml version="1.0" encoding="${encoding}"?>\n${
          testResult({ target: "wéb", attributes: `end-time="2026-01-01T00:00:00Z"` })
        }`
      const expected = yield* read(declared("UTF-8"))
      assert.strictEqual(expected.target.name, "wéb")
      const utf16 = Buffer.from(declared("UTF-16"), "utf16le")
      const big = Buffer.from(`\ufeff${declared("UTF-16")}`, "utf16le").swap16()
      const packed = yield* Effect.promise(() => bzip2(declared("UTF-8")))
      for (
        const bytes of [
          gzipSync(declared("UTF-8")),
          packed,
          Buffer.concat([Buffer.from([0xff, 0xfe]), utf16]),
          utf16,
          big,
          gzipSync(big),
          Buffer.from(declared("ISO-8859-1"), "latin1"),
          Buffer.from(`\ufeff${declared("utf-8")}`)
        ]
      ) {
        assert.deepStrictEqual(yield* read(bytes), expected)
      }
    })))

  it.effect("what a small file unpacks to is bounded", () =>
    provided(Effect.gen(function*() {
      const problem = "once it is unpacked it is larger than 64.0 MiB, which is as much as is read"
      const blanks = Buffer.from(`<Benchmark>${`<Rule>${" ".repeat(9_000_000)}</Rule>`.repeat(8)}</Benchmark>`)
      assert.strictEqual(yield* problemOf(gzipSync(blanks)), problem)
      assert.strictEqual(yield* problemOf(yield* Effect.promise(() => bzip2(blanks))), problem)
    })), 120_000)

  // @spec system-drift-detector
  // @ac AC-24
  it.effect("[system-drift-detector/AC-24] each TestResult of a file is a scan, and they come in the order of their end", () =>
    provided(Effect.gen(function*() {
      const at = (hour: number, pass: number) =>
        testResult({ attributes: `end-time="2026-01-01T0${hour}:00:00Z"`, body: rules(pass, 10 - pass) })
      const path = yield* file(`<Benchmark id="os">${at(2, 9)}${at(1, 5)}</Benchmark>`)
      const imported = yield* DriftDetector.importFile(path, options)
      assert.deepStrictEqual(
        imported.map(({ outcome, score }) => [score, typeof outcome === "string" ? outcome : outcome.type]),
        [[50, "first"], [90, "improvement"]]
      )
    })))

  it.effect("what is wrong with one TestResult refuses the file, and nothing of it is stored", () =>
    provided(Effect.gen(function*() {
      assert.strictEqual(
        yield* problemOf(`<Benchmark>${testResult({})}${testResult({ body: "" })}</Benchmark>`),
        "no rule passed or failed, so there is no score"
      )
      assert.deepStrictEqual(yield* storedScans, [])
    })))

  it.effect("a rule that is not scored counts for nothing", () =>
    provided(Effect.gen(function*() {
      const body = rules(9, 1) + ["unscored", "unchecked"].map((role) =>
        `<rule-result idref="${role}" role="${role}"><result>fail</result></rule-result>`
      ).join("") + `<rule-result idref="full" role="full"><result>fail</result></rule-result>`
      const scan = yield* read(testResult({ body }))
      assert.deepStrictEqual(Scan.outcomeOf(scan).failed, ["rule-9", "full"])
    })))

  it.effect("where a scan ended without a zone, its clock may be ahead by as much as zones differ", () =>
    provided(Effect.gen(function*() {
      yield* importText(testResult({ attributes: `end-time="2026-12-01T14:00:00"` }))
      assert.include(yield* problemOf(testResult({ attributes: `end-time="2026-12-01T16:00:00"` })), "still to come")
    })))

  // @spec system-drift-detector
  // @ac AC-26
  it.effect("[system-drift-detector/AC-26] what strangers wrote reaches no output as it is", () =>
    provided(Effect.gen(function*() {
      const forged = "web-1&#10;2026-11-25 22:00:00  info      db-7 is reachable again&#x202e;&#x85;"
      const imported = yield* importText(
        testResult({ target: forged, profile: "strict&#13;&#10;x", body: rule("a&#10;b", "pass") })
      )
      const printed = DriftDetector.describe(imported) + JSON.stringify(imported.host) +
        [...imported.scan.rules.keys()].join("")
      assert.notMatch(printed, /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/u)
      assert.notMatch(
        yield* problemOf(testResult({ target: forged, body: rule("a&#10;b", "no&#x202e;ne") })),
        /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/u
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
      assert.strictEqual(
        yield* problemOf(Buffer.from([0x1f, 0x8b, 8, 0])),
        "not readable as gzip: unexpected end of file"
      )
      assert.match(yield* problemOf(Buffer.from("BZh9 and no more")), /^not readable as bzip2: /)
      assert.match(
        yield* problemOf(gzipSync(whole).subarray(0, 5_000)),
        /^not readable as gzip: unexpected end of file/
      )
      assert.match(
        yield* problemOf(Buffer.concat([Buffer.from("<Benchmark>"), Buffer.from([0xff])])),
        /^not well-formed XML: /
      )
      assert.strictEqual(
        yield* problemOf(Buffer.from([0xff, 0xfe, 0x3c, 0, 0, 0xd8, 0x3c, 0])),
        "not valid as utf-16le"
      )
      assert.strictEqual(
        yield* problemOf(`<?xml version="1.0" encoding="EBCDIC"?>${testResult({})}`),
        "its encoding is \"EBCDIC\"; expected UTF-8, UTF-16 or ISO-8859-1"
      )
      assert.strictEqual(
        yield* problemOf("<html><TestResult/></html>"),
        "not a result file: its root element is \"html\", expected one of Benchmark, TestResult, asset-report-collection"
      )
      assert.strictEqual(
        yield* problemOf("<Benchmark><Rule/></Benchmark>"),
        "it has no TestResult: a benchmark, not a result; `oscap xccdf eval --results` writes results"
      )
      assert.strictEqual(
        yield* problemOf(testResult({ attributes: `end-time="2026-12-01T01:00:01Z"` })),
        "its scan ended at 2026-12-01T01:00:01Z, which is still to come: the clock of the host or of this machine is wrong"
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
      Effect.gen(function*() {
        const fs = yield* FileSystem.FileSystem
        const huge = yield* file("")
        yield* fs.truncate(huge, 100_000_000)
        const error = yield* Effect.flip(DriftDetector.importFile(huge, options))
        assert.strictEqual(error.message, `scan ${huge}: it is 95.4 MiB large; at most 64.0 MiB are read`)

        const ballast = Array.from({ length: 1_100 }, (_, n) => `<Rule id="${n}">${"x".repeat(60_000)}</Rule>`)
        const large = yield* file(`<Benchmark>${ballast.join("")}${testResult({})}</Benchmark>`)
        // A heap that has no room for the file beside the program.
        const handle = yield* ChildProcess.make(
          process.execPath,
          [
            "--max-old-space-size=80",
            Command.bin,
            "scan",
            "import",
            large,
            "--data",
            yield* fs.makeTempDirectoryScoped()
          ],
          { env: { PATH: process.env["PATH"] }, extendEnv: false, stdin: "ignore", stderr: "inherit" }
        )
        const stdout = yield* handle.stdout.pipe(Stream.decodeText(), Stream.mkString)
        assert.strictEqual(stdout, "web-1, strict: score 50.00, the first scan with this profile\n")
      }).pipe(Effect.provide(layer)),
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
    "[system-drift-detector/AC-15] a drift that was stored when the process was killed is handled after the next start",
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
          const outbox = yield* SystemOutbox
          const events: Array<DriftDetected> = []
          const handler = (event: DriftDetected) => Effect.sync(() => events.push(event))
          yield* outbox.on("DriftDetected", handler, { consumer: "test", from: "beginning" })
          yield* outbox.awaitIdle
          assert.deepStrictEqual(events.map(({ driftType }) => driftType), ["major"])
          // It is stored: to read the file again would not have found it again.
          assert.strictEqual((yield* importOne(drifted)).outcome, "known")
        }).pipe(Effect.scoped, Effect.provide(stored(folder)))
      }).pipe(Effect.scoped, Effect.provide(NodeServices.layer)),
    60_000
  )

  // @spec system-drift-detector
  // @ac AC-16
  it.effect("[system-drift-detector/AC-16] a scan that cannot be stored publishes nothing", () =>
    provided(Effect.gen(function*() {
      const sql = yield* SqlClient.SqlClient
      const subscription = yield* drifts
      yield* importOne(base)
      yield* sql`ALTER TABLE system_events RENAME TO out_of_order`
      assert.strictEqual((yield* Effect.flip(importOne(drifted)))._tag, "SqlError")
      assert.deepStrictEqual(yield* Effect.orDie(subscription.takeUpTo(100)), [])
      assert.strictEqual((yield* storedScans).length, 1)
      yield* sql`ALTER TABLE out_of_order RENAME TO system_events`
      yield* importOne(drifted)
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
      look: yield* Effect.map(
        ScanFolder.make(folder),
        ({ look }) => Effect.map(look, (files) => files.map((file) => path.basename(file)))
      ),
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

  it.effect("packed files are taken, and so is one that came while the clock was set back", () =>
    provided(Effect.gen(function*() {
      const { look, write } = yield* folder
      yield* write("a.xml.gz", "x", 1)
      yield* write("b.XML.BZ2", "x", 2)
      yield* write("c.gz", "x", 3)
      assert.deepStrictEqual(yield* look, [])
      // Two hours back; what is measured is the time that passes.
      yield* TestClock.setTime(now - 7_200_000)
      yield* TestClock.adjust("2 seconds")
      assert.deepStrictEqual(yield* look, ["a.xml.gz", "b.XML.BZ2"])
    })))

  // @spec system-drift-detector
  // @ac AC-25
  it.effect("[system-drift-detector/AC-25] a file that cannot be read for now is said once, and taken in once it can", () => {
    const messages: Array<string> = []
    const logged = Logger.layer([Logger.make(({ message }) => {
      messages.push(String(message))
    })])
    return provided(Effect.gen(function*() {
      const fs = yield* FileSystem.FileSystem
      const { folder: path, write } = yield* folder
      yield* write("1\n.xml", testResult({}), 1)
      // As for a user who is not root, whom no mode keeps out.
      let isDenied = true
      const denying: FileSystem.FileSystem = {
        ...fs,
        stream: (path, options) =>
          isDenied
            ? Stream.fail(PlatformError.systemError({ _tag: "PermissionDenied", module: "FileSystem", method: "open" }))
            : fs.stream(path, options)
      }
      const fiber = yield* Effect.forkChild(
        DriftDetector.watch(path, options).pipe(Effect.provideService(FileSystem.FileSystem, denying))
      )
      const until = Effect.fnUntraced(function*(condition: () => boolean) {
        while (!condition()) {
          yield* TestClock.adjust("1 second")
          yield* Effect.promise(() => new Promise((resolve) => setImmediate(resolve)))
        }
      })
      yield* until(() => messages.length > 0)
      for (let second = 0; second < 10; second++) {
        yield* TestClock.adjust("1 second")
        yield* Effect.promise(() => new Promise((resolve) => setTimeout(resolve, 5)))
      }
      assert.deepStrictEqual(messages, [
        `scan ${path}/1\ufffd.xml: permission to read it denied; it is tried again`
      ])
      isDenied = false
      yield* until(() => messages.length > 1)
      yield* Fiber.interrupt(fiber)
      assert.strictEqual(
        messages[1],
        `Scan ${path}/1\ufffd.xml of web-1, strict: score 50.00, the first scan with this profile`
      )
    })).pipe(Effect.provide(logged))
  })

  it.effect("a folder that cannot be read is said once, and read when it can", () => {
    const messages: Array<string> = []
    const logged = Logger.layer([Logger.make(({ logLevel, message }) => {
      messages.push(`${logLevel} ${String(message)}`)
    })])
    return provided(Effect.gen(function*() {
      const fs = yield* FileSystem.FileSystem
      const parent = yield* fs.makeTempDirectoryScoped()
      const path = `${parent}/scans`
      const { look } = yield* ScanFolder.make(path)
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
      assert.strictEqual(
        messages[1],
        `Scan ${path}/2.xml of web-1, strict: score 90.00, the first scan with this profile`
      )
      assert.include(messages[2], `scan ${path}/3.xml: not well-formed XML`)
    })).pipe(Effect.provide(logged))
  })
})

describe("scan import", () => {
  const run = (...args: ReadonlyArray<string>) => Command.run(Command.openwatch(["scan", "import", ...args]))

  const data = Effect.flatMap(FileSystem.FileSystem, (fs) => fs.makeTempDirectoryScoped())

  // @spec system-drift-detector
  // @ac AC-19
  it.live(
    "[system-drift-detector/AC-19] takes in file after file, and says which it could not",
    () =>
      Effect.gen(function*() {
        const folder = yield* data
        const bad = yield* file("<Benchmark>")
        const label = "web-01.example.org, DEBIAN-11/anssi_np_nt28_high"
        // In the order of their end, whatever the order of the command line.
        const mixed = yield* run(drifted, bad, "no/such.xml", base, "--data", folder)
        assert.strictEqual(
          mixed.stdout,
          `${label}: score 90.91, the first scan with this profile\n${label}: score 77.27, major (-13.64 points)\n`
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
          stdout: `${label}: score 77.27, known already\n`,
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
