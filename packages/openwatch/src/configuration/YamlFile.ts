/**
 * A YAML file that people edit, decoded by a schema. All that is wrong with it is reported at once, each problem with
 * its place.
 */
import { Effect, FileSystem, Result, Schema, SchemaIssue } from "effect"
import type { PlatformError, SchemaAST } from "effect"
import * as Yaml from "effect/encoding/Yaml"

/** At least one. */
export type Problems = readonly [string, ...Array<string>]

/** What the last check of a type expects: `5` where a time span is expected is told that, and not that it is no text. */
const expectedByCheck = ({ checks }: SchemaAST.AST): string | undefined => {
  const expected = checks?.at(-1)?.annotations?.["expected"]
  return typeof expected === "string" ? expected : undefined
}

const formatIssues = SchemaIssue.makeFormatterStandardSchemaV1({
  leafHook: (issue) => {
    if (issue._tag === "MissingKey") return "Missing"
    const message = SchemaIssue.defaultLeafHook(issue)
    const expected = issue._tag === "InvalidType" ? expectedByCheck(issue.ast) : undefined
    return expected === undefined
      ? message
      : message.replace(/^Expected (?:string|number)(?=, got |$)/, () => `Expected ${expected}`)
  }
})

/** How people who edit files call what schemas expect. */
const phrases: Readonly<Record<string, string>> = {
  string: "a text",
  number: "a number",
  boolean: "true or false",
  array: "a list",
  object: "a mapping",
  "an integer": "a whole number",
  "a finite number": "a number",
  "a value with a length of at least 1": "a text that is not empty"
}

const alternatives = /^"[^"]*"(?: \| "[^"]*")+$/

/** A message in the words of those who edit files. */
const inPlainWords = (message: string): string => {
  const [whole, expected, got = ""] = /^Expected (.*?)(, got .*)?$/s.exec(message) ?? []
  if (whole === undefined || expected === undefined) return message
  const phrase = alternatives.test(expected)
    ? `one of ${expected.replaceAll("\"", "").replaceAll(" | ", ", ")}`
    : phrases[expected] ?? expected
  return `Expected ${phrase}${got}`
}

const formatPath = (path: ReadonlyArray<PropertyKey>): string =>
  path.reduce<string>(
    (at, key) => typeof key === "number" ? `${at}[${key}]` : at === "" ? String(key) : `${at}.${String(key)}`,
    ""
  )

const problemsOf = (issue: SchemaIssue.Issue): Array<string> =>
  formatIssues(issue).issues.map(({ message, path }) => {
    const problem = inPlainWords(message)
    return path === undefined || path.length === 0
      ? problem
      : `${formatPath(path as ReadonlyArray<PropertyKey>)}: ${problem}`
  })

const parseYaml = (text: string): Result.Result<unknown, string> =>
  Result.try({ try: () => Yaml.parse(text), catch: (error) => error instanceof Error ? error.message : String(error) })

/**
 * Adds the line of an error that the parser does not name, as of one in a quoted string or a flow collection. It is the
 * first line up to which the text cannot be parsed.
 */
const nameLine = (text: string, problem: string): string => {
  if (/ at line \d+$/.test(problem)) return problem
  const lines = text.split(/\r\n?|\n/)
  let parsed = 0
  let failed = lines.length
  while (failed - parsed > 1) {
    const middle = (parsed + failed) >>> 1
    if (Result.isSuccess(parseYaml(lines.slice(0, middle).join("\n")))) parsed = middle
    else failed = middle
  }
  return `${problem}, near line ${failed}`
}

/**
 * Decodes the text of a file with a schema for a mapping. `expected` says what the mapping is, for an empty file.
 * `reportInput` shows values that are wrong; not for files that hold secrets.
 */
export const decode = <A>(
  schema: Schema.ConstraintDecoder<A>,
  options: { readonly expected: string; readonly reportInput: boolean }
) => {
  const decodeValue = Schema.decodeUnknownResult(schema, {
    errors: "all",
    onExcessProperty: "error",
    reportInput: options.reportInput
  })
  return (text: string): Result.Result<A, Problems> => {
    const document = parseYaml(text)
    if (Result.isFailure(document)) return Result.fail([`not readable as YAML: ${nameLine(text, document.failure)}`])
    if (document.success === null) return Result.fail([`the file is empty: expected ${options.expected}`])
    return Result.mapError(decodeValue(document.success), ({ issue }): Problems => {
      const [problem, ...others] = problemsOf(issue)
      return [problem ?? `expected ${options.expected}`, ...others]
    })
  }
}

const describeReadError = (error: PlatformError.PlatformError): string => {
  switch (error.reason._tag) {
    case "NotFound":
      return "no such file"
    case "PermissionDenied":
      return "permission to read it denied"
    case "BadResource":
      return "not a file"
    default:
      return `cannot be read: ${error.message}`
  }
}

/** Why a file cannot be read. */
export interface Unreadable {
  readonly problem: string
  /**
   * Whether the same file may be readable later. If so, something is wrong with this machine, and not with the file.
   */
  readonly isForNow: boolean
}

/** The text of a file, or why it cannot be read. */
export const readText = (file: string): Effect.Effect<string, Unreadable, FileSystem.FileSystem> =>
  Effect.flatMap(FileSystem.FileSystem, (fs) => fs.readFile(file)).pipe(
    Effect.mapError((error) => ({
      problem: describeReadError(error),
      isForNow: error.reason._tag !== "NotFound" && error.reason._tag !== "BadResource"
    })),
    Effect.flatMap((bytes) =>
      Effect.try({
        try: () => new TextDecoder("utf-8", { fatal: true }).decode(bytes),
        catch: () => ({ problem: "not a text in UTF-8", isForNow: false })
      })
    )
  )
