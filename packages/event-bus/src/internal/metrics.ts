/**
 * The counters of buses and subscriptions as Effect metrics: read when somebody scrapes them, not written before.
 *
 * A registry knows a series by its name and attributes, and a second registration of one identity replaces the first.
 * So whatever shares an identity reports as one *group*: the sum over its open members and over what the closed ones
 * came to, until the last of them is closed. Two copies of this package in one process share the groups.
 */
import { Context, Metric } from "effect"

type Attributes = Readonly<Record<string, string>>

/** One series of a group: how it is named, and how a member's share of it is read. */
export interface Series<Member> {
  readonly id: string
  readonly description: string
  /** A total only grows and outlives the member; the others go up and down and end with it. */
  readonly isTotal: boolean
  /** Of several members the greatest counts, not the sum. */
  readonly isGreatest?: true
  readonly read: (member: Member) => number
}

class Group {
  /** Each member with the series of its own copy of the package, which alone can read it. */
  private readonly members = new Map<unknown, ReadonlyArray<Series<any>>>()
  private readonly closed: Array<number>
  private readonly registrations: ReadonlyArray<Metric.Registration>
  private readonly onEmpty: () => void

  constructor(
    context: Context.Context<never>,
    attributes: Attributes,
    series: ReadonlyArray<Series<any>>,
    onEmpty: () => void
  ) {
    this.onEmpty = onEmpty
    this.closed = series.map(() => 0)
    const ignore = (): void => {}
    this.registrations = series.map(({ description, id, isGreatest, isTotal }, index) => {
      const options = { description, attributes }
      return isTotal
        ? Metric.registerUnsafe(Metric.counter(id, options), context, {
          get: () => ({ count: this.sum(index), incremental: true }),
          update: ignore,
          modify: ignore
        })
        : Metric.registerUnsafe(Metric.gauge(id, options), context, {
          get: () => ({ value: isGreatest === true ? this.greatest(index) : this.sum(index) }),
          update: ignore,
          modify: ignore
        })
    })
  }

  add<Member>(member: Member, series: ReadonlyArray<Series<Member>>): void {
    this.members.set(member, series)
  }

  close(member: unknown): void {
    const series = this.members.get(member)!
    this.members.delete(member)
    series.forEach(({ isTotal, read }, index) => {
      if (isTotal) this.closed[index]! += read(member)
    })
    if (this.members.size > 0) return
    for (const registration of this.registrations) registration.remove()
    this.onEmpty()
  }

  private greatest(index: number): number {
    let greatest = 0
    for (const [member, series] of this.members) greatest = Math.max(greatest, series[index]!.read(member))
    return greatest
  }

  private sum(index: number): number {
    let sum = this.closed[index]!
    for (const [member, series] of this.members) sum += series[index]!.read(member)
    return sum
  }
}

type Groups = WeakMap<object, Map<string, Group>>

/** The groups of each registry. */
const groupsOf = (registry: object): Map<string, Group> => {
  const shared = globalThis as { [groupsKey]?: Groups }
  const all = shared[groupsKey] ??= new WeakMap()
  const groups = all.get(registry) ?? new Map<string, Group>()
  all.set(registry, groups)
  return groups
}

const groupsKey = Symbol.for("@openwatch/event-bus/metrics")

const groupOf = (
  context: Context.Context<never>,
  attributes: Attributes,
  series: ReadonlyArray<Series<any>>
): Group => {
  const groups = groupsOf(Context.get(context, Metric.MetricRegistry))
  // Series that another version of the package names differently are another group.
  const key = JSON.stringify([
    attributes,
    Context.get(context, Metric.CurrentMetricAttributes),
    series.map(({ id }) => id)
  ])
  const group = groups.get(key) ?? new Group(context, attributes, series, () => groups.delete(key))
  groups.set(key, group)
  return group
}

/**
 * Reports the member until the returned function is called. What has the same attributes must have the same series.
 */
export const report = <Member>(
  context: Context.Context<never>,
  member: Member,
  attributes: Attributes,
  series: ReadonlyArray<Series<Member>>
): () => void => {
  // Found elsewhere, so that what is returned does not keep the key: 270 bytes for each subscription.
  const group = groupOf(context, attributes, series)
  group.add(member, series)
  return () => group.close(member)
}
