/**
 * Bad input: what is refused, and what the message says. Everything here is a mistake in a program, so it is a defect.
 */
import { Duration, Option, type Schema, SchemaAST } from "effect"
import type { EventSchema, EventSchemas, KindsOf } from "../EventBus.ts"

const quote = (value: unknown): string => {
  if (typeof value === "string") return JSON.stringify(value)
  try {
    return String(value)
  } catch {
    return `a value of type ${typeof value}`
  }
}

export const list = (values: ReadonlyArray<string>): string => values.map(quote).join(", ")

export const refuse = (bus: string, what: string): never => {
  throw new TypeError(`EventBus ${quote(bus)}: ${what}`)
}

/** The kinds of a set of events. */
export const kindsOf = <Events extends EventSchemas>(bus: string, events: Events): KindsOf<Events> => {
  const kinds: Array<string> = []
  for (const event of events) {
    const { ast } = (event as Partial<EventSchema> | undefined)?.fields?._tag ?? {}
    const tag = ast?._tag === "Literal" ? ast.literal : undefined
    if (typeof tag !== "string") {
      return refuse(bus, `events[${kinds.length}] has no literal _tag; declare each event with Schema.TaggedClass`)
    }
    if (kinds.includes(tag)) refuse(bus, `events has two events with the _tag ${quote(tag)}; each must have its own`)
    kinds.push(tag)
  }
  return kinds as unknown as KindsOf<Events>
}

export const requirePositiveInteger = (bus: string, option: string, value: number): number =>
  Number.isSafeInteger(value) && value > 0
    ? value
    : refuse(bus, `${option} must be a positive integer, but is ${quote(value)}`)

export const requireCount = (bus: string, option: string, value: number, atMost: number, why: string): number =>
  Number.isSafeInteger(value) && value >= 0 && value <= atMost
    ? value
    : refuse(bus, `${option} must be an integer from 0 to ${atMost}${why}, but is ${quote(value)}`)

export const requireDrain = (bus: string, drain: Duration.Input | undefined): Duration.Duration | undefined =>
  drain === undefined ? undefined : Option.getOrElse(
    Duration.fromInput(drain),
    () => refuse(bus, `drain must be a duration such as "5 seconds", but is ${quote(drain)}`)
  )

export const requireOverflow = (bus: string, value: string): "dropping" | "sliding" =>
  value === "dropping" || value === "sliding"
    ? value
    : refuse(bus, `overflow must be "dropping" or "sliding", but is ${quote(value)}`)

export const requireKinds = (
  bus: string,
  allowed: ReadonlyArray<string>,
  kinds: ReadonlyArray<string>
): ReadonlyArray<string> => {
  if (!Array.isArray(kinds)) refuse(bus, `kinds must be an array of kinds, but is ${quote(kinds)}`)
  for (const kind of kinds) {
    if (!allowed.includes(kind)) refuse(bus, `kinds names ${quote(kind)}; the kinds are ${list(allowed)}`)
  }
  return Array.from(new Set(kinds))
}

const isScalar = (ast: SchemaAST.AST): boolean => {
  switch (ast._tag) {
    case "String":
    case "Number":
    case "Boolean":
    case "TemplateLiteral":
    case "Enum":
      return true
    case "Literal":
      return typeof ast.literal !== "bigint"
    case "Union":
      return ast.types.every(isScalar)
    case "Suspend":
      return isScalar(ast.thunk())
    default:
      return false
  }
}

/** The fields that all of the events have, with a string, a number or a boolean in them. */
const keyable = (events: EventSchemas): ReadonlyArray<string> =>
  Object.keys(events[0]?.fields ?? {}).filter((field) =>
    field !== "_tag" && events.every(({ fields }) => {
      const schema = Object.hasOwn(fields, field) ? (fields as Schema.Struct.Fields)[field] : undefined
      if (schema === undefined) return false
      const type = SchemaAST.toType(schema.ast)
      return !SchemaAST.isOptional(type) && isScalar(type)
    })
  )

const isValue = (value: unknown): value is string | number | boolean =>
  ["string", "number", "boolean"].includes(typeof value)

/** `where` of a subscription to these events, read once. */
export const requireWhere = (
  bus: string,
  events: EventSchemas,
  where: Readonly<Record<string, unknown>>
): Readonly<Record<string, string | number | boolean>> => {
  if (typeof where !== "object" || where === null) {
    refuse(bus, `where must be an object of fields and their values, but is ${quote(where)}`)
  }
  const allowed = keyable(events)
  const entries = Object.entries(where).map(([field, value]) => {
    if (!allowed.includes(field)) {
      refuse(
        bus,
        `where names ${quote(field)}; ${
          allowed.length === 0
            ? "the events have no field in common that holds a string, a number or a boolean"
            : `the fields that all of the events have, and that hold a string, a number or a boolean, are ${
              list(allowed)
            }`
        }`
      )
    }
    if (!isValue(value)) {
      return refuse(bus, `where.${field} must be a string, a number or a boolean, but is ${quote(value)}`)
    }
    return [field, value] as const
  })
  return Object.freeze(Object.fromEntries(entries))
}

/** The `_tag` of what is published, whatever that is. It is read once. */
export const readKind = (bus: string, event: unknown): unknown => {
  if (typeof event !== "object" || event === null) return undefined
  try {
    return (event as { readonly _tag?: unknown })._tag
  } catch (cause) {
    throw unreadable(bus, "its _tag", cause)
  }
}

export const unreadable = (bus: string, what: string, cause: unknown): TypeError =>
  new TypeError(`EventBus ${quote(bus)}: what was published cannot be read: ${what} throws`, { cause })

export const refuseKind = (bus: string, allowed: ReadonlyArray<string>, kind: unknown): never =>
  refuse(
    bus,
    kind === undefined
      ? `what was published is no event: it has no _tag; the kinds are ${list(allowed)}`
      : `cannot publish an event with the _tag ${quote(kind)}; the kinds are ${list(allowed)}`
  )
