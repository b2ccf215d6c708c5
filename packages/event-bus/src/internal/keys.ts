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

const none: ReadonlyArray<never> = []

/** A map for each value of the first field, in it one for each value of the second, and so on; in the last, lists. */
type Level<T> = Map<unknown, Level<T> | Array<T>>

/** Things by the values of one set of fields. */
export class Index<T> {
  readonly fields: ReadonlyArray<string>
  private readonly root: Level<T> = new Map()

  constructor(fields: ReadonlyArray<string>) {
    this.fields = fields
  }

  get isEmpty(): boolean {
    return this.root.size === 0
  }

  /** What was added with the values that the event has. */
  find(event: object): ReadonlyArray<T> {
    const { fields } = this
    let found: Level<T> | Array<T> | undefined = this.root
    for (let i = 0; i < fields.length; i++) {
      found = (found as Level<T>).get((event as Record<string, unknown>)[fields[i]!])
      if (found === undefined) return none
    }
    return found as Array<T>
  }

  /** What was added with the values. */
  at(values: ReadonlyArray<unknown>): ReadonlyArray<T> {
    let found: Level<T> | Array<T> | undefined = this.root
    for (const value of values) found = (found as Level<T> | undefined)?.get(value)
    return found as Array<T> | undefined ?? none
  }

  add(values: ReadonlyArray<unknown>, thing: T): void {
    const last = values.length - 1
    let level = this.root
    for (let i = 0; i < last; i++) {
      let next = level.get(values[i]) as Level<T> | undefined
      if (next === undefined) level.set(values[i], next = new Map())
      level = next
    }
    const things = level.get(values[last]) as Array<T> | undefined
    // Most often it stays the only one, and what `push` grows has room for sixteen more.
    if (things === undefined) level.set(values[last], [thing])
    else things.push(thing)
  }

  remove(values: ReadonlyArray<unknown>, thing: T): void {
    const things = this.at(values) as Array<T>
    things.splice(things.indexOf(thing), 1)
    if (things.length === 0) prune(this.root, values, 0)
  }
}

/** Takes out the empty list at the values, and every level that is empty then. */
const prune = <T>(level: Level<T>, values: ReadonlyArray<unknown>, depth: number): void => {
  if (depth < values.length - 1) {
    const next = level.get(values[depth]) as Level<T>
    prune(next, values, depth + 1)
    if (next.size > 0) return
  }
  level.delete(values[depth])
}
