/**
 * The inventory: which hosts are watched. It is a YAML file that people edit, so reading it says everything that is wrong
 * with it, at once, and where.
 *
 * ```yaml
 * hosts:
 *   - name: web-1
 *     address: 10.0.0.11
 *   - name: web-2
 *     address: web-2.example.org
 *     port: 2222
 *     id: 0192d3a4-8f00-7cc0-9a51-3f6b8e0c1d2e
 * ```
 *
 * `port` is 22 where it is not given. A host without an `id` has one derived from its name (see `hostIdFromName`), so to
 * rename such a host is to watch another; give it an `id` to keep its identity.
 */
import { Effect, FileSystem, Result, Schema, SchemaIssue, SchemaTransformation } from "effect"
import type { PlatformError } from "effect"
import { CliError } from "effect/cli"
import * as Yaml from "effect/encoding/Yaml"
import * as NetHost from "effect/net/Host"
import { HostId } from "../events/HostId.ts"
import { Host, hostIdFromName } from "./Host.ts"

/** The hosts that one file names, in its order: at least one, no two with the same name or the same id. */
export interface Inventory {
  /** The file, as it was given. */
  readonly file: string
  readonly hosts: ReadonlyArray<Host>
}

/**
 * An inventory could not be read: there is no such file, it is not YAML, or it does not say what an inventory says.
 * Its message names the file and each problem.
 */
export class InventoryError extends Schema.TaggedError<InventoryError>()("InventoryError", {
  /** The file, as it was given. */
  file: Schema.String,
  /** What is wrong, each with its place in the file where it has one: never empty. */
  problems: Schema.NonEmptyArray(Schema.String)
}) {
  override get message(): string {
    return this.problems.length === 1
      ? `inventory ${this.file}: ${this.problems[0]}`
      : [`inventory ${this.file} has ${this.problems.length} errors:`, ...this.problems].join("\n  ")
  }

  override get [CliError.userMessage](): string {
    return this.message
  }
}

// A name ends up in terminals and logs, where a control character could forge a line.
const HostName = Schema.String.check(
  Schema.isPattern(/^[^\s\p{C}](?:[^\p{C}]*[^\s\p{C}])?$/u, {
    expected: "a name without control characters or blanks around it"
  })
)

const HostAddress = Schema.String.check(
  Schema.makeFilter((address: string) => Result.isSuccess(NetHost.hostFromString(address)), {
    expected: "an IP address or a host name (a port goes into `port`)"
  })
)

const HostPort = Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 65_535 }, { expected: "a port, 1 to 65535" }))

const GivenHostId = Schema.String.pipe(
  Schema.decodeTo(
    Schema.String.check(Schema.isUUID(undefined, { expected: "a UUID" })),
    SchemaTransformation.toLowerCase()
  ),
  Schema.decodeTo(HostId)
)

const HostEntry = Schema.Struct({
  name: HostName,
  address: HostAddress,
  port: HostPort.pipe(Schema.withDecodingDefaultKey(Effect.succeed(22))),
  id: Schema.optionalKey(GivenHostId)
}).annotate({
  message: "Expected a host: a mapping with the keys `name` and `address`, and perhaps `port` and `id`",
  messageUnexpectedKey: "Unknown key: a host has `name`, `address`, `port` and `id`"
})

const InventoryFile = Schema.Struct({
  hosts: Schema.Array(HostEntry).annotate({ message: "Expected a list of hosts" }).check(
    Schema.isNonEmpty({ message: "Expected at least one host" })
  )
}).annotate({
  message: "Expected a mapping with the key `hosts`",
  messageUnexpectedKey: "Unknown key: an inventory has `hosts` and nothing else"
})

const decodeFile = Schema.decodeUnknownResult(InventoryFile, {
  errors: "all",
  onExcessProperty: "error",
  reportInput: true
})

const formatIssues = SchemaIssue.makeFormatterStandardSchemaV1({
  leafHook: (issue) => issue._tag === "MissingKey" ? "Missing" : SchemaIssue.defaultLeafHook(issue)
})

const formatPath = (path: ReadonlyArray<PropertyKey>): string =>
  path.reduce<string>(
    (at, key) => typeof key === "number" ? `${at}[${key}]` : at === "" ? String(key) : `${at}.${String(key)}`,
    ""
  )

const problemsOf = (issue: SchemaIssue.Issue): Array<string> =>
  formatIssues(issue).issues.map(({ message, path }) =>
    path === undefined || path.length === 0 ? message : `${formatPath(path as ReadonlyArray<PropertyKey>)}: ${message}`
  )

const parseYaml = (text: string): Result.Result<unknown, string> =>
  Result.try({ try: () => Yaml.parse(text), catch: (error) => error instanceof Error ? error.message : String(error) })

/**
 * The parser names the line of most errors, but not of one in a quoted string or a flow collection. That line is where
 * the text, read only up to there, starts to fail.
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

const findDuplicates = (hosts: ReadonlyArray<Host>): Array<string> => {
  const byName = new Map<string, number>()
  const byId = new Map<HostId, number>()
  const problems: Array<string> = []
  for (const [index, { id, name }] of hosts.entries()) {
    const sameName = byName.get(name)
    const sameId = byId.get(id)
    if (sameName !== undefined) {
      problems.push(`hosts[${index}].name: ${JSON.stringify(name)} is already the name of hosts[${sameName}]`)
    } else if (sameId !== undefined) {
      problems.push(`hosts[${index}].id: ${id} is already the id of hosts[${sameId}]`)
    }
    if (sameName === undefined) byName.set(name, index)
    if (sameId === undefined) byId.set(id, index)
  }
  return problems
}

/**
 * Reads an inventory from the text of its file. `file` is only named in errors.
 */
export const parse = (file: string, text: string): Result.Result<Inventory, InventoryError> => {
  const failWith = (problem: string, ...others: ReadonlyArray<string>) =>
    Result.fail(new InventoryError({ file, problems: [problem, ...others] }))

  const document = parseYaml(text)
  if (Result.isFailure(document)) return failWith(`not readable as YAML: ${nameLine(text, document.failure)}`)
  if (document.success === null) return failWith("the file is empty: expected a mapping with the key `hosts`")

  const decoded = decodeFile(document.success)
  if (Result.isFailure(decoded)) {
    const [problem, ...others] = problemsOf(decoded.failure.issue)
    return failWith(problem ?? "not an inventory", ...others)
  }

  const hosts = decoded.success.hosts.map(({ address, id, name, port }) =>
    new Host({ id: id ?? hostIdFromName(name), name, address, port })
  )
  const [duplicate, ...others] = findDuplicates(hosts)
  return duplicate === undefined ? Result.succeed({ file, hosts }) : failWith(duplicate, ...others)
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

/** Reads an inventory from its file. */
export const load = Effect.fn("Inventory.load")(function*(file: string) {
  const fs = yield* FileSystem.FileSystem
  const text = yield* fs.readFileString(file).pipe(
    Effect.mapError((error) => new InventoryError({ file, problems: [describeReadError(error)] }))
  )
  return yield* Effect.fromResult(parse(file, text))
})
