/**
 * What a keyed subscription asks for: fields of an event, and the values that they must have.
 *
 * A `where` is data, so that publishing runs nobody's code, and so that it can be looked up: however many keyed
 * subscriptions there are, an event is matched by one look-up for each *set of fields* in use. Values are equal as the
 * keys of a `Map` are.
 */

/** What has fields: a `where`, or an event. */
export type Fields = Readonly<Record<string, unknown>>

/** A `where` with the fields that it names. */
export interface Key {
  /** In alphabetical order. */
  readonly fields: ReadonlyArray<string>
  readonly where: Fields
}

/** The key of a `where`; there is none where no field is named, which every event matches. */
export const keyOf = (where: Fields = {}): Key | undefined => {
  const fields = Object.keys(where).toSorted()
  return fields.length === 0 ? undefined : { fields, where }
}

/** True for an event that has all the values. */
export const matches = ({ fields, where }: Key, event: Fields): boolean =>
  fields.every((field) => isEqual(event[field], where[field]))

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
  find(event: Fields): Found<T> | undefined {
    const { fields } = this
    let found: Level<T> | Found<T> | undefined = this.root
    for (let i = 0; i < fields.length; i++) {
      found = (found as Level<T>).get(event[fields[i]!])
      if (found === undefined) return undefined
    }
    return found as Found<T>
  }

  add(where: Fields, thing: T): void {
    this.change(where, (things) => [...things, thing])
  }

  remove(where: Fields, thing: T): void {
    this.change(where, (things) => things.filter((other) => other !== thing))
  }

  /** Changes what was added with the values. A level is made where one is missing, and goes when it is empty. */
  private change(
    where: Fields,
    change: (things: ReadonlyArray<T>) => ReadonlyArray<T>,
    level: Level<T> = this.root,
    [field, ...deeper]: ReadonlyArray<string> = this.fields
  ): void {
    const value = where[field!]
    const found = level.get(value)
    if (deeper.length > 0) {
      const next = found as Level<T> | undefined ?? new Map()
      this.change(where, change, next, deeper)
      if (next.size > 0) level.set(value, next)
      else level.delete(value)
      return
    }
    const things = change(asList(found as Found<T> | undefined))
    if (things.length > 0) level.set(value, things.length === 1 ? things[0]! : things)
    else level.delete(value)
  }
}

export const asList = <T extends object>(found: Found<T> | undefined): ReadonlyArray<T> =>
  found === undefined ? [] : Array.isArray(found) ? found : [found as T]
