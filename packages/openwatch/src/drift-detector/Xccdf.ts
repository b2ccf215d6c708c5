/**
 * Reads result files as OpenSCAP writes them: XCCDF (`oscap xccdf eval --results`), with its `TestResult` in a `Benchmark`
 * or alone, and ARF (`--results-arf`), which holds one among its reports. XCCDF 1.1 and 1.2 differ in their namespace
 * alone as far as this goes, so elements are told by their local names, whatever their prefix.
 *
 * The files come from the hosts that are watched, so they are not trusted: a document type is refused, and with it every
 * entity; size, depth, and how much is kept are bounded. A file is read as a stream, and only its results are kept.
 */
import { Effect, FileSystem, Schema, Stream } from "effect"
import type { PlatformError } from "effect"
import * as CliError from "effect/cli/CliError"
import * as Xml from "effect/encoding/Xml"
import type { Rule, Scan, Severity } from "./Scan.ts"

/** A file could not be read as the result of one scan. Its message names the file. */
export class ScanFileError extends Schema.TaggedError<ScanFileError>()("ScanFileError", {
  /** The file, as it was given. */
  file: Schema.String,
  problem: Schema.String
}) {
  override get message(): string {
    return `scan ${this.file}: ${this.problem}`
  }

  override get [CliError.userMessage](): string {
    return this.message
  }
}

/** A file may be so large, in bytes: 64 MiB. The largest that OpenSCAP is known to write are a fifth of it. */
export const sizeLimit = 64 * 1024 * 1024

/** A scan may have so many rules: the largest benchmarks have a few thousand. */
export const ruleLimit = 50_000

const addressLimit = 1_000

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

const rootNames = ["Benchmark", "TestResult", "asset-report-collection"]

const localName = (name: string): string => name.slice(name.indexOf(":") + 1)

const list = (values: Iterable<string>): string => [...values].join(", ")

/** Of a text that a stranger wrote, what can be shown. */
const quoted = (text: string): string => JSON.stringify(text.length > 60 ? `${text.slice(0, 60)}…` : text)

/**
 * Strings of the decoder share memory with the chunk that they were read from. What is kept is copied, so that a few ids do
 * not keep the whole file.
 */
const copied = (text: string, what: string): string => {
  if (text.length > textLimit) {
    throw new NotAScan(`${what} is ${text.length} characters long; at most ${textLimit} are read`)
  }
  return Buffer.from(text).toString()
}

/** Takes the events of one document, in order, and makes a scan of them. */
class Reader {
  private depth = 0
  private results = 0
  /** The depth of the `TestResult` that is being read; 0 outside. */
  private resultDepth = 0
  /** The element that is being read for its text, without that of elements in it. */
  private reading: { readonly depth: number; text: string } | undefined
  private rule: { readonly id: string; readonly severity: Severity; result: string | undefined } | undefined

  private testResultId = ""
  private startTime = ""
  private endTime = ""
  private profile = ""
  private name = ""
  private readonly addresses: Array<string> = []
  private readonly rules = new Map<string, Rule>()

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
    if (this.resultDepth === 0) {
      if (name === "TestResult") this.openResult(attributes)
      return
    }
    const level = this.depth - this.resultDepth
    if (level === 1) {
      if (name === "target" || name === "target-address") this.reading = { depth: this.depth, text: "" }
      if (name === "profile") this.profile = copied(attributes["idref"] ?? "", "the profile's id")
      if (name === "rule-result") this.openRule(attributes)
    } else if (level === 2 && name === "result" && this.rule !== undefined) {
      this.reading = { depth: this.depth, text: "" }
    }
  }

  private openResult(attributes: Readonly<Record<string, string>>): void {
    if (++this.results > 1) {
      throw new NotAScan("it has several TestResult elements; expected one, as one scan gives one")
    }
    this.resultDepth = this.depth
    this.testResultId = copied(attributes["id"] ?? "", "the TestResult's id")
    this.startTime = copied(attributes["start-time"] ?? "", "the start time")
    this.endTime = copied(attributes["end-time"] ?? "", "the end time")
    if (this.endTime === "") {
      throw new NotAScan("its TestResult has no end-time, by which one scan is told from the next")
    }
  }

  private openRule(attributes: Readonly<Record<string, string>>): void {
    const id = copied(attributes["idref"] ?? "", "a rule's id")
    if (id === "") throw new NotAScan("a rule-result has no idref")
    const written = attributes["severity"] ?? "unknown"
    const severity = severityOf.get(written)
    if (severity === undefined) {
      throw new NotAScan(`rule ${id} has the severity ${quoted(written)}; expected one of ${list(severityOf.keys())}`)
    }
    this.rule = { id, severity, result: undefined }
  }

  private close(name: string): void {
    if (this.reading?.depth === this.depth) {
      const text = this.reading.text.trim()
      this.reading = undefined
      if (this.rule === undefined) this.closeTarget(name, text)
      else this.rule.result = text
    }
    if (this.rule !== undefined && this.depth === this.resultDepth + 1) this.closeRule(this.rule)
    if (this.depth === this.resultDepth) this.resultDepth = 0
  }

  private closeTarget(name: string, text: string): void {
    if (text === "") return
    if (name === "target" && this.name === "") this.name = copied(text, "the target's name")
    if (name === "target-address") {
      if (this.addresses.length === addressLimit) {
        throw new NotAScan(`it has more than ${addressLimit} target-address elements`)
      }
      this.addresses.push(copied(text, "an address of the target"))
    }
  }

  private closeRule({ id, result, severity }: NonNullable<typeof this.rule>): void {
    this.rule = undefined
    if (result === undefined) throw new NotAScan(`rule ${id} has no result`)
    const outcome = outcomes.get(result)
    if (outcome === undefined) {
      throw new NotAScan(`rule ${id} has the result ${quoted(result)}; expected one of ${list(outcomes.keys())}`)
    }
    if (outcome === "not counted") return
    const earlier = this.rules.get(id)
    if (earlier === undefined && this.rules.size === ruleLimit) {
      throw new NotAScan(`it has more than ${ruleLimit} rules`)
    }
    // A rule that was checked on several things has a result for each, and passes when all of them do.
    this.rules.set(id, { severity, passed: outcome === "passed" && (earlier?.passed ?? true) })
  }

  end(): Scan {
    if (this.results === 0) {
      throw new NotAScan("it has no TestResult: a benchmark, not a result; `oscap xccdf eval --results` writes results")
    }
    if (this.name === "") throw new NotAScan("its TestResult has no target: nothing says which host was scanned")
    if (this.rules.size === 0) throw new NotAScan("no rule passed or failed, so there is no score")
    return {
      testResultId: this.testResultId,
      target: { name: this.name, addresses: this.addresses },
      profile: this.profile,
      startTime: this.startTime,
      endTime: this.endTime,
      rules: this.rules
    }
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

/** Reads the scan in a file. */
export const readFile = Effect.fn("Xccdf.readFile")(function*(file: string) {
  const fs = yield* FileSystem.FileSystem
  const fail = (problem: string) => new ScanFileError({ file, problem })
  const tooLarge = (size: number) => fail(`it is ${inMiB(size)} large; at most ${inMiB(sizeLimit)} are read`)

  const { size, type } = yield* Effect.mapError(fs.stat(file), (error) => fail(describeReadError(error)))
  // Reading a pipe or a device may never end.
  if (type !== "File") return yield* fail("not a file")
  if (Number(size) === 0) return yield* fail("the file is empty")
  if (Number(size) > sizeLimit) return yield* tooLarge(Number(size))

  const reader = new Reader()
  const guarded = <A>(read: () => A) =>
    Effect.try({
      try: read,
      catch: (error) => {
        if (error instanceof NotAScan) return fail(error.message)
        throw error
      }
    })
  let bytes = 0
  yield* fs.stream(file, { chunkSize: 64 * 1024 }).pipe(
    Stream.mapError((error) => fail(describeReadError(error))),
    Stream.tap((chunk) => {
      bytes += chunk.length
      // It may have grown since.
      return bytes > sizeLimit ? Effect.fail(tooLarge(bytes)) : Effect.void
    }),
    Stream.pipeThroughChannel(Xml.decode()),
    Stream.runForEachArray((events) =>
      guarded(() => {
        for (const event of events) reader.take(event)
      })
    ),
    Effect.catchTag("XmlError", (error) => Effect.fail(fail(`not well-formed XML: ${error.message}`)))
  )
  return yield* guarded(() => reader.end())
})
