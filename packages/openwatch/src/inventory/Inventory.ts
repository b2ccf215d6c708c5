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
 *     tags: { site: berlin, role: web }
 * ```
 *
 * `port` is 22 where it is not given. A host without an `id` has one derived from its name (see `hostIdFromName`), so to
 * rename such a host is to watch another; give it an `id` to keep its identity. Its `tags` are on each of its alerts.
 */
import { Effect, FileSystem, Option, Result, Schedule, Schema, SchemaTransformation, Stream } from "effect"
import { CliError } from "effect/cli"
import * as NetHost from "effect/net/Host"
import { AllAlertTags } from "../alert-router/Alert.ts"
import * as YamlFile from "../configuration/YamlFile.ts"
import { HostId } from "../events/HostId.ts"
import { clean } from "../events/PlainText.ts"
import { Host, hostIdFromName } from "./Host.ts"

/** The hosts that a file names, in the order of the file. There is at least one. No two have the same name or id. */
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
  problems: Schema.NonEmptyArray(Schema.String),
  /**
   * Whether the same file may be readable later. If so, something is wrong with this machine, and not with the file.
   */
  isForNow: Schema.Boolean
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

// A name ends up in terminals and logs, where a control character or a line separator could forge a line.
const HostName = Schema.String.check(
  Schema.isPattern(/^[^\s\p{C}](?:[^\p{C}\p{Zl}\p{Zp}]*[^\s\p{C}])?$/u, {
    expected: "a text without control characters or blanks around it (5 and true need quotes)"
  })
)

const HostAddress = Schema.String.check(
  // Names in other scripts and the zones of IPv6 may have characters that are not shown.
  Schema.makeFilter(
    (address: string) => Result.isSuccess(NetHost.hostFromString(address)) && clean(address) === address,
    {
      expected: "an IP address or a host name (a port goes into `port`)"
    }
  )
)

const HostPort = Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 65_535 }, { expected: "a port, 1 to 65535" }))

const GivenHostId = Schema.String.pipe(
  Schema.decodeTo(
    Schema.String.check(Schema.isUUID(undefined, { expected: "a UUID" })),
    SchemaTransformation.toLowerCase()
  ),
  Schema.decodeTo(HostId)
)

// What stands in for a host on a command line, `site=berlin`, has to be told apart from the name of one.
const TagName = Schema.String.check(
  Schema.isPattern(/^[A-Za-z0-9_][A-Za-z0-9_.-]*$/),
  Schema.makeFilter((name: string) => !AllAlertTags.some((tag) => tag === name))
)

const HostTags = Schema.Record(TagName, HostName).annotate({
  message: "Expected a mapping of names to texts, like { site: berlin }",
  messageUnexpectedKey: "Expected the name of a tag, of letters, digits, `_`, `.` and `-`, other than " +
    `${AllAlertTags.join(", ")}, which alerts have by themselves`
})

const HostEntry = Schema.Struct({
  name: HostName,
  address: HostAddress,
  port: HostPort.pipe(Schema.withDecodingDefaultKey(Effect.succeed(22))),
  id: Schema.optionalKey(GivenHostId),
  tags: Schema.optionalKey(HostTags)
}).annotate({
  message: "Expected a host: a mapping with the keys `name` and `address`, and perhaps `port`, `id` and `tags`",
  messageUnexpectedKey: "Unknown key: a host has `name`, `address`, `port`, `id` and `tags`"
})

const InventoryFile = Schema.Struct({
  hosts: Schema.Array(HostEntry).annotate({ message: "Expected a list of hosts" }).check(
    Schema.isNonEmpty({ message: "Expected at least one host" })
  )
}).annotate({
  message: "Expected a mapping with the key `hosts`",
  messageUnexpectedKey: "Unknown key: an inventory has `hosts` and nothing else"
})

const decodeFile = YamlFile.decode(InventoryFile, { expected: "a mapping with the key `hosts`", reportInput: true })

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
  const failWith = (problems: YamlFile.Problems) => Result.fail(new InventoryError({ file, problems, isForNow: false }))

  const decoded = decodeFile(text)
  if (Result.isFailure(decoded)) return failWith(decoded.failure)

  const hosts = decoded.success.hosts.map(({ address, id, name, port, tags }) =>
    new Host({ id: id ?? hostIdFromName(name), name, address, port, ...(tags === undefined ? {} : { tags }) })
  )
  const [duplicate, ...others] = findDuplicates(hosts)
  return duplicate === undefined ? Result.succeed({ file, hosts }) : failWith([duplicate, ...others])
}

/** Reads an inventory from its file. */
export const load = Effect.fn("Inventory.load")(function*(file: string) {
  const text = yield* YamlFile.readText(file).pipe(
    Effect.mapError(({ isForNow, problem }) => new InventoryError({ file, problems: [problem], isForNow }))
  )
  return yield* Effect.fromResult(parse(file, text))
})

/** The hosts of the inventory in a file; none where there is no file. */
export const hostsOf = (file: string | undefined) =>
  file === undefined ? Effect.succeed<ReadonlyArray<Host>>([]) : Effect.map(load(file), ({ hosts }) => hosts)

/** How often to look whether a file has changed. */
const lookInterval = "2 seconds"

/** Differs once the file has changed. */
const signatureOf = Effect.fnUntraced(function*(file: string) {
  const fs = yield* FileSystem.FileSystem
  return Option.match(yield* Effect.option(fs.stat(file)), {
    onNone: () => "none",
    onSome: ({ ino, mtime, size }) => `${size}/${Option.getOrUndefined(mtime)?.getTime()}/${Option.getOrUndefined(ino)}`
  })
})

/**
 * Returns a stream of the inventory in a file: as it is now, and after each change of the file. The stream never ends.
 *
 * If an edit has broken the file, the error is logged, and nothing comes until the file is mended. If the file cannot
 * be read for now, that is logged once, and it is read as soon as it can be.
 *
 * The file is looked at every two seconds. So a file that is replaced, linked or mounted is noticed as well. It is read
 * when two looks have found it the same, so that it is not read half written.
 */
export const follow = Effect.fnUntraced(function*(file: string) {
  const fs = yield* FileSystem.FileSystem
  return Stream.suspend(() => {
    let taken: string | undefined
    let last: string | undefined
    let said = ""
    const say = (error: InventoryError) => {
      if (error.isForNow) taken = undefined
      if (error.isForNow && error.message === said) return Effect.void
      said = error.message
      return Effect.logError(`${error.message}; the hosts stay as they were`)
    }
    const look = Effect.gen(function*() {
      const before = last
      last = yield* signatureOf(file)
      if (last !== before || last === taken) return []
      taken = last
      return yield* load(file).pipe(
        Effect.map((inventory) => {
          said = ""
          return [inventory]
        }),
        Effect.catch((error) => Effect.as(say(error), []))
      )
    })
    return Stream.flattenIterable(Stream.fromEffectSchedule(look, Schedule.spaced(lookInterval)))
  }).pipe(Stream.provideService(FileSystem.FileSystem, fs))
})
