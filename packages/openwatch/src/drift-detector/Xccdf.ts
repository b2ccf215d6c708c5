/**
 * Reads result files as OpenSCAP, SCC and others write them: XCCDF (`oscap xccdf eval --results`), with its `TestResult` in
 * a `Benchmark` or alone, and ARF (`--results-arf`), which holds it among its reports. A file may have several, as `oscap
 * xccdf remediate` writes them: each is a scan. XCCDF 1.1 and 1.2 differ in their namespace alone as far as this goes, so
 * elements are told by their local names, whatever their prefix.
 *
 * The files come from the hosts that are watched, so they are not trusted: a document type is refused, and with it every
 * entity; size, depth, and how much is kept are bounded, and texts are cleaned. A file is read as a stream, and only its
 * results are kept.
 */
import { DateTime, Effect, FileSystem, Option, Schema, Stream } from "effect"
import type { PlatformError } from "effect"
import * as CliError from "effect/cli/CliError"
import * as Xml from "effect/encoding/Xml"
import { clean } from "../events/PlainText.ts"
import * as ResultText from "./ResultText.ts"
import { hasZone, scannedAt } from "./Scan.ts"
import type { Rule, Scan, Severity } from "./Scan.ts"

/** A file could not be read as the result of a scan. Its message names the file. */
export class ScanFileError extends Schema.TaggedError<ScanFileError>()("ScanFileError", {
  /** The file, as it was given. */
  file: Schema.String,
  problem: Schema.String,
  /**
   * Whether the same file may be readable later. If so, something is wrong with this machine, and not with the file.
   */
  isForNow: Schema.Boolean
}) {
  override get message(): string {
    return clean(`scan ${this.file}: ${this.problem}`)
  }

  override get [CliError.userMessage](): string {
    return this.message
  }
}

/**
 * How large a file may be, in bytes, packed and unpacked: 64 MiB. The largest files that OpenSCAP is known to write are
 * a fifth of it.
 */
export const sizeLimit = 64 * 1024 * 1024

/** How many rules a scan may have. The largest benchmarks have a few thousand. */
export const ruleLimit = 50_000

/** How many scans a file may have. A remediation has two. */
export const scanLimit = 100

const addressLimit = 1_000

/** A title is cut off after so many characters. */
const titleLimit = 200

/** An id, a name, an address or a time may have so many characters. */
const textLimit = 1_024

/** What is wrong with a document that can be read as XML. */
class NotAScan extends Error {}

/** How a `result` counts (NISTIR 7275r4 table 26). */
const outcomes: ReadonlyMap<string, "passed" | "failed" | "not counted"> = new Map([
  ["pass", "passed"],
  ["fixed", "passed"],
  ["fail", "failed"],
  ["error", "failed"],
  ["unknown", "failed"],
  ["notapplicable", "not counted"],
  ["notchecked", "not counted"],
  ["notselected", "not counted"],
  ["informational", "not counted"]
])

const severityOf: ReadonlyMap<string, Severity> = new Map([
  ["critical", "critical"],
  ["high", "high"],
  ["medium", "medium"],
  ["low", "low"],
  ["unknown", "low"],
  ["info", "low"]
])

/** A rule with such a role is no part of the score (NISTIR 7275r4 section 6.4.4.2). */
const unscoredRoles = new Set(["unscored", "unchecked"])

const rootNames = ["Benchmark", "TestResult", "asset-report-collection"]

const localName = (name: string): string => name.slice(name.indexOf(":") + 1)

const list = (values: Iterable<string>): string => [...values].join(", ")

/** What can be shown of a text that a stranger wrote. */
const quoted = (text: string): string => JSON.stringify(text.length > 60 ? `${text.slice(0, 60)}…` : text)

/**
 * Strings of the decoder share memory with the chunk that they were read from. What is kept is copied, so that a few ids do
 * not keep the whole file.
 */
const copied = (text: string): string => clean(Buffer.from(text).toString())

/** A text that is kept whole or not at all. */
const kept = (text: string, what: string): string => {
  if (text.length > textLimit) {
    throw new NotAScan(`${what} is ${text.length} characters long; at most ${textLimit} are read`)
  }
  return copied(text)
}

/** A `TestResult` while it is read. */
class Result {
  /** The depth of its element. */
  readonly depth: number
  readonly testResultId: string
  readonly startTime: string
  readonly endTime: string
  readonly addresses: Array<string> = []
  readonly rules = new Map<string, Rule>()
  name = ""
  benchmark: string
  profile = ""

  constructor(depth: number, enclosingBenchmark: string, attributes: Readonly<Record<string, string>>) {
    this.depth = depth
    this.benchmark = enclosingBenchmark
    this.testResultId = kept(attributes["id"] ?? "", "the TestResult's id")
    this.startTime = kept(attributes["start-time"] ?? "", "the start time")
    this.endTime = kept(attributes["end-time"] ?? "", "the end time")
    if (this.endTime === "") {
      throw new NotAScan("its TestResult has no end-time, by which one scan is told from the next")
    }
  }

  end(titles: ReadonlyMap<string, string>): Scan {
    if (this.name === "") throw new NotAScan("its TestResult has no target: nothing says which host was scanned")
    if (this.rules.size === 0) throw new NotAScan("no rule passed or failed, so there is no score")
    for (const [id, rule] of this.rules) {
      const title = titles.get(id)
      if (title !== undefined) this.rules.set(id, { ...rule, title })
    }
    return {
      testResultId: this.testResultId,
      target: { name: this.name, addresses: this.addresses },
      series: { benchmark: this.benchmark, profile: this.profile },
      startTime: this.startTime,
      endTime: this.endTime,
      rules: this.rules
    }
  }
}

/** Takes the events of one document, in order, and makes scans of them. */
class Reader {
  private depth = 0
  private readonly results: Array<Result> = []
  /** The `TestResult` that is being read. */
  private result: Result | undefined
  /** The benchmark that is being read, which may hold rules and results. */
  private benchmark: { readonly depth: number; readonly id: string } | undefined
  /** The rule of a benchmark that is being read. */
  private definition: { readonly depth: number; readonly id: string } | undefined
  /** What the benchmarks of the file call their rules. */
  private readonly titles = new Map<string, string>()
  /** The element that is being read for its text, without that of elements in it. */
  private reading: { readonly depth: number; text: string } | undefined
  private rule:
    | { readonly id: string; readonly severity: Severity; readonly isScored: boolean; result: string | undefined }
    | undefined

  take(event: Xml.Event): void {
    switch (event._tag) {
      case "StartElement":
        this.depth++
        return this.open(localName(event.name), event.attributes)
      case "EndElement":
        this.close(localName(event.name))
        this.depth--
        return
      case "Text":
        if (this.reading?.depth === this.depth) this.reading.text += event.text
        return
      case "Doctype":
        throw new NotAScan("it has a document type (DOCTYPE), which is refused: result files have none")
    }
  }

  private open(name: string, attributes: Readonly<Record<string, string>>): void {
    if (this.depth === 1 && !rootNames.includes(name)) {
      throw new NotAScan(`not a result file: its root element is ${quoted(name)}, expected one of ${list(rootNames)}`)
    }
    if (this.result === undefined) return this.openOutside(name, attributes)
    const level = this.depth - this.result.depth
    if (level === 1) {
      if (name === "target" || name === "target-address") this.reading = { depth: this.depth, text: "" }
      if (name === "profile") this.result.profile = kept(attributes["idref"] ?? "", "the profile's id")
      if (name === "benchmark" && this.result.benchmark === "") {
        this.result.benchmark = kept(attributes["id"] ?? attributes["href"] ?? "", "the benchmark's id")
      }
      if (name === "rule-result") this.openRule(attributes)
    } else if (level === 2 && name === "result" && this.rule !== undefined) {
      this.reading = { depth: this.depth, text: "" }
    }
  }

  private openOutside(name: string, attributes: Readonly<Record<string, string>>): void {
    const id = attributes["id"] ?? ""
    if (name === "Benchmark") this.benchmark = { depth: this.depth, id: kept(id, "the benchmark's id") }
    if (name === "Rule" && id.length <= textLimit) this.definition = { depth: this.depth, id: copied(id) }
    if (name === "title" && this.definition !== undefined && this.depth === this.definition.depth + 1) {
      this.reading = { depth: this.depth, text: "" }
    }
    if (name !== "TestResult") return
    if (this.results.length === scanLimit) throw new NotAScan(`it has more than ${scanLimit} TestResult elements`)
    this.result = new Result(this.depth, this.benchmark?.id ?? "", attributes)
    this.results.push(this.result)
  }

  private openRule(attributes: Readonly<Record<string, string>>): void {
    const id = kept(attributes["idref"] ?? "", "a rule's id")
    if (id === "") throw new NotAScan("a rule-result has no idref")
    const written = attributes["severity"] ?? "unknown"
    const severity = severityOf.get(written)
    if (severity === undefined) {
      throw new NotAScan(`rule ${id} has the severity ${quoted(written)}; expected one of ${list(severityOf.keys())}`)
    }
    this.rule = { id, severity, isScored: !unscoredRoles.has(attributes["role"] ?? ""), result: undefined }
  }

  private close(name: string): void {
    if (this.reading?.depth === this.depth) {
      const text = this.reading.text.trim()
      this.reading = undefined
      if (this.rule !== undefined) this.rule.result = text
      else if (this.result !== undefined) this.closeTarget(this.result, name, text)
      else if (this.definition !== undefined) this.closeTitle(this.definition.id, text)
    }
    if (this.result !== undefined && this.rule !== undefined && this.depth === this.result.depth + 1) {
      this.closeRule(this.result, this.rule)
    }
    if (this.depth === this.result?.depth) this.result = undefined
    if (this.depth === this.definition?.depth) this.definition = undefined
    if (this.depth === this.benchmark?.depth) this.benchmark = undefined
  }

  private closeTitle(id: string, text: string): void {
    // Its lines are broken as the file has them: that is no more than a blank.
    const title = text.slice(0, titleLimit * 2).replace(/\s+/g, " ")
    if (title === "" || this.titles.has(id) || this.titles.size === ruleLimit) return
    this.titles.set(id, copied(title.length > titleLimit ? `${title.slice(0, titleLimit)}…` : title))
  }

  private closeTarget(result: Result, name: string, text: string): void {
    if (text === "") return
    if (name === "target" && result.name === "") result.name = kept(text, "the target's name")
    if (name === "target-address") {
      if (result.addresses.length === addressLimit) {
        throw new NotAScan(`it has more than ${addressLimit} target-address elements`)
      }
      result.addresses.push(kept(text, "an address of the target"))
    }
  }

  private closeRule({ rules }: Result, { id, isScored, result, severity }: NonNullable<typeof this.rule>): void {
    this.rule = undefined
    if (result === undefined) throw new NotAScan(`rule ${id} has no result`)
    const outcome = outcomes.get(result)
    if (outcome === undefined) {
      throw new NotAScan(`rule ${id} has the result ${quoted(result)}; expected one of ${list(outcomes.keys())}`)
    }
    if (outcome === "not counted" || !isScored) return
    const earlier = rules.get(id)
    if (earlier === undefined && rules.size === ruleLimit) {
      throw new NotAScan(`it has more than ${ruleLimit} rules`)
    }
    // A rule that was checked on several things has a result for each, and passes when all of them do.
    rules.set(id, { severity, passed: outcome === "passed" && (earlier?.passed ?? true) })
  }

  end(): [Scan, ...Array<Scan>] {
    const [first, ...others] = this.results.map((result) => result.end(this.titles))
    if (first === undefined) {
      throw new NotAScan("it has no TestResult: a benchmark, not a result; `oscap xccdf eval --results` writes results")
    }
    return [first, ...others]
  }
}

const describeReadError = (error: PlatformError.PlatformError): string => {
  switch (error.reason._tag) {
    case "NotFound":
      return "no such file"
    case "PermissionDenied":
      return "permission to read it denied"
    default:
      return `cannot be read: ${error.message}`
  }
}

const inMiB = (bytes: number): string => `${(bytes / (1024 * 1024)).toFixed(1)} MiB`

/** How far ahead of now a scan may end, since clocks differ. Without a zone: as much as zones differ. */
const aheadAtMost = { withZone: 3_600_000, withoutZone: 15 * 3_600_000 }

/** Reads the scans in a file, in the order in which they ended. There is at least one. */
export const readFile = Effect.fn("Xccdf.readFile")(function*(file: string) {
  const fs = yield* FileSystem.FileSystem
  const fail = (problem: string) => new ScanFileError({ file, problem, isForNow: false })
  const failToRead = (error: PlatformError.PlatformError) =>
    new ScanFileError({ file, problem: describeReadError(error), isForNow: true })

  const { size, type } = yield* Effect.mapError(fs.stat(file), failToRead)
  // Reading a pipe or a device may never end.
  if (type !== "File") return yield* fail("not a file")
  if (Number(size) === 0) return yield* fail("the file is empty")
  if (Number(size) > sizeLimit) {
    return yield* fail(`it is ${inMiB(Number(size))} large; at most ${inMiB(sizeLimit)} are read`)
  }

  const reader = new Reader()
  const guarded = <A>(read: () => A) =>
    Effect.try({
      try: read,
      catch: (error) => {
        if (error instanceof NotAScan) return fail(error.message)
        throw error
      }
    })
  const start = Buffer.concat(
    yield* Effect.mapError(Stream.runCollect(fs.stream(file, { bytesToRead: 4 })), failToRead)
  )
  yield* fs.stream(file, { chunkSize: 64 * 1024 }).pipe(
    Stream.mapError(failToRead),
    (bytes) => ResultText.decode(bytes, { start, sizeLimit }),
    Stream.pipeThroughChannel(Xml.decode()),
    Stream.runForEachArray((events) =>
      guarded(() => {
        for (const event of events) reader.take(event)
      })
    ),
    Effect.catchTag("XmlError", (error) => Effect.fail(fail(`not well-formed XML: ${error.message}`))),
    Effect.catchTag("NotReadable", (error) => Effect.fail(fail(error.message)))
  )
  const scans = yield* guarded(() => reader.end())

  const now = yield* DateTime.now
  const endOf = (scan: Scan): number => DateTime.toEpochMillis(Option.getOrElse(scannedAt(scan), () => now))
  for (const scan of scans) {
    const ahead = endOf(scan) - DateTime.toEpochMillis(now)
    if (ahead > (hasZone(scan) ? aheadAtMost.withZone : aheadAtMost.withoutZone)) {
      return yield* fail(
        `its scan ended at ${scan.endTime}, which is still to come: the clock of the host or of this machine is wrong`
      )
    }
  }
  const [first, ...others] = scans
  return [first, ...others].toSorted((a, b) => endOf(a) - endOf(b)) as typeof scans
})
