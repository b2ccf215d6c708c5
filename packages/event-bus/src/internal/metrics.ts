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

/** Reports a member until the returned function is called. */
type Group = <Member>(member: Member, series: ReadonlyArray<Series<Member>>) => () => void

const makeGroup = (
  context: Context.Context<never>,
  attributes: Attributes,
  series: ReadonlyArray<Series<any>>,
  onEmpty: () => void
): Group => {
  /** Each member with the series of its own copy of the package, which alone can read it. */
  const members = new Map<unknown, ReadonlyArray<Series<any>>>()
  const closed = series.map(() => 0)
  const ignore = (): void => {}
  const registrations = series.map(({ description, id, isGreatest, isTotal }, index) => {
    const value = (): number => {
      let value = closed[index]!
      for (const [member, series] of members) {
        const share = series[index]!.read(member)
        value = isGreatest === true ? Math.max(value, share) : value + share
      }
      return value
    }
    const metric: Metric.Metric<any, any> = (isTotal ? Metric.counter : Metric.gauge)(id, { description, attributes })
    return Metric.registerUnsafe(metric, context, {
      get: () => isTotal ? { count: value(), incremental: true } : { value: value() },
      update: ignore,
      modify: ignore
    })
  })
  return (member, series) => {
    members.set(member, series)
    return () => {
      members.delete(member)
      series.forEach(({ isTotal, read }, index) => {
        if (isTotal) closed[index]! += read(member)
      })
      if (members.size > 0) return
      for (const registration of registrations) registration.remove()
      onEmpty()
    }
  }
}

/** The groups of a registry are kept on it, where another copy of the package finds them. */
const groupsKey = Symbol.for("@openwatch/event-bus/metrics")

const groupOf = (
  context: Context.Context<never>,
  attributes: Attributes,
  series: ReadonlyArray<Series<any>>
): Group => {
  const registry: object & { [groupsKey]?: Map<string, Group> } = Context.get(context, Metric.MetricRegistry)
  const groups = registry[groupsKey] ??= new Map()
  // Merged and sorted, as the registry does it. Series that another version of the package names differently are another
  // group.
  const merged = { ...attributes, ...Context.get(context, Metric.CurrentMetricAttributes) }
  const key = JSON.stringify(merged, Object.keys(merged).toSorted()) + series.map(({ id }) => id)
  const group = groups.get(key) ?? makeGroup(context, attributes, series, () => groups.delete(key))
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
): () => void =>
  // Found elsewhere, so that what is returned does not keep the key: 270 bytes for each subscription.
  groupOf(context, attributes, series)(member, series)
