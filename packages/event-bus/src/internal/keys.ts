/**
 * What a keyed subscription asks for: fields of an event, and the values that they must have.
 *
 * A `where` is data, so that publishing runs nobody's code, and so that it can be looked up: however many keyed
 * subscriptions there are, an event is matched by one look-up for each *set of fields* in use. Values are equal as the
 * keys of a `Map` are.
 */

/** A `where` in a form in which two that mean the same are the same. */
export interface Key {
  /** In alphabetical order. */
  readonly fields: ReadonlyArray<string>
  /** In the order of the fields. */
  readonly values: ReadonlyArray<unknown>
}

/** The key of a `where`; there is none where no field is named, which every event matches. */
export const keyOf = (where: Readonly<Record<string, unknown>> | undefined): Key | undefined => {
  if (where === undefined) return undefined
  const fields = Object.keys(where).toSorted()
  return fields.length === 0 ? undefined : { fields, values: fields.map((field) => where[field]) }
}

/** True for an event that has all the values. */
export const matches = ({ fields, values }: Key, event: object): boolean =>
  fields.every((field, i) => isEqual((event as Record<string, unknown>)[field], values[i]))

/** As the keys of a `Map`: `NaN` is equal to itself. */
const isEqual = (a: unknown, b: unknown): boolean => a === b || (Number.isNaN(a) && Number.isNaN(b))

/** What has the same values: most often there is one, and a list would be two objects more to look at in each publish. */
export type Found<T extends object> = T | ReadonlyArray<T>

/** A map for each value of the first field, in it one for each value of the second, and so on. */
type Level<T extends object> = Map<unknown, Level<T> | Found<T>>

/** Things by the values of one set of fields. */
export class Index<T extends object> {
  readonly fields: ReadonlyArray<string>
  private readonly root: Level<T> = new Map()

  constructor(fields: ReadonlyArray<string>) {
    this.fields = fields
  }

  get isEmpty(): boolean {
    return this.root.size === 0
  }

  /** What was added with the values that the event has. */
  find(event: object): Found<T> | undefined {
    const { fields } = this
    let found: Level<T> | Found<T> | undefined = this.root
    for (let i = 0; i < fields.length; i++) {
      found = (found as Level<T>).get((event as Record<string, unknown>)[fields[i]!])
      if (found === undefined) return undefined
    }
    return found as Found<T>
  }

  /** What was added with the values. */
  at(values: ReadonlyArray<unknown>): Found<T> | undefined {
    let found: Level<T> | Found<T> | undefined = this.root
    for (const value of values) found = (found as Level<T> | undefined)?.get(value)
    return found as Found<T> | undefined
  }

  add(values: ReadonlyArray<unknown>, thing: T): void {
    const last = values.length - 1
    let level = this.root
    for (let i = 0; i < last; i++) {
      let next = level.get(values[i]) as Level<T> | undefined
      if (next === undefined) level.set(values[i], next = new Map())
      level = next
    }
    const found = level.get(values[last]) as Found<T> | undefined
    level.set(values[last], found === undefined ? thing : [...asList(found), thing])
  }

  remove(values: ReadonlyArray<unknown>, thing: T): void {
    remove(this.root, values, 0, thing)
  }
}

/** Takes the thing out, and every level that is empty then. */
const remove = <T extends object>(level: Level<T>, values: ReadonlyArray<unknown>, depth: number, thing: T): void => {
  const value = values[depth]
  const found = level.get(value)!
  if (depth < values.length - 1) {
    const next = found as Level<T>
    remove(next, values, depth + 1, thing)
    if (next.size === 0) level.delete(value)
    return
  }
  const [first, ...others] = asList(found as Found<T>).filter((other) => other !== thing)
  if (first === undefined) level.delete(value)
  else level.set(value, others.length === 0 ? first : [first, ...others])
}

export const asList = <T extends object>(found: Found<T> | undefined): ReadonlyArray<T> =>
  found === undefined ? [] : Array.isArray(found) ? found : [found as T]
