/**
 * The counters of buses and subscriptions as Effect metrics: read when somebody scrapes them, not written before.
 *
 * A registry knows a series by its name and attributes, and a second registration of one identity replaces the first.
 * So whatever shares an identity reports as one *group*: the sum over its open members and over what the closed ones
 * came to, until the last of them is closed.
 */
import { Context, Metric } from "effect"

type Attributes = Readonly<Record<string, string>>

/** One series of a group: how it is named, and how a member's share of it is read. */
export interface Series<Member> {
  readonly id: string
  readonly description: string
  /** A total only grows and outlives the member; the others go up and down and end with it. */
  readonly isTotal: boolean
  readonly read: (member: Member) => number
}

class Group<Member> {
  private readonly members = new Set<Member>()
  private readonly series: ReadonlyArray<Series<Member>>
  private readonly closed: Array<number>
  private readonly registrations: ReadonlyArray<Metric.Registration>
  private readonly onEmpty: () => void

  constructor(
    context: Context.Context<never>,
    attributes: Attributes,
    series: ReadonlyArray<Series<Member>>,
    onEmpty: () => void
  ) {
    this.series = series
    this.onEmpty = onEmpty
    this.closed = series.map(() => 0)
    const ignore = (): void => {}
    this.registrations = series.map(({ description, id, isTotal }, index) => {
      const options = { description, attributes }
      return isTotal
        ? Metric.registerUnsafe(Metric.counter(id, { ...options, incremental: true }), context, {
          get: () => ({ count: this.sum(index), incremental: true }),
          update: ignore,
          modify: ignore
        })
        : Metric.registerUnsafe(Metric.gauge(id, options), context, {
          get: () => ({ value: this.sum(index) }),
          update: ignore,
          modify: ignore
        })
    })
  }

  add(member: Member): void {
    this.members.add(member)
  }

  close(member: Member): void {
    if (!this.members.delete(member)) return
    this.series.forEach((series, index) => {
      if (series.isTotal) this.closed[index]! += series.read(member)
    })
    if (this.members.size > 0) return
    for (const registration of this.registrations) registration.remove()
    this.onEmpty()
  }

  private sum(index: number): number {
    const { read } = this.series[index]!
    let sum = this.closed[index]!
    for (const member of this.members) sum += read(member)
    return sum
  }
}

const groups = new WeakMap<object, Map<string, Group<any>>>()

/**
 * Reports the member until the answer is called. What has the same attributes must have the same series.
 */
export const report = <Member>(
  context: Context.Context<never>,
  member: Member,
  attributes: Attributes,
  series: ReadonlyArray<Series<Member>>
): () => void => {
  const registry = Context.get(context, Metric.MetricRegistry)
  let ofRegistry = groups.get(registry)
  if (ofRegistry === undefined) groups.set(registry, ofRegistry = new Map())
  const inRegistry = ofRegistry
  const key = JSON.stringify([attributes, Context.get(context, Metric.CurrentMetricAttributes)])
  let group: Group<Member> | undefined = inRegistry.get(key)
  if (group === undefined) {
    inRegistry.set(key, group = new Group(context, attributes, series, () => inRegistry.delete(key)))
  }
  const joined = group
  joined.add(member)
  return () => joined.close(member)
}
