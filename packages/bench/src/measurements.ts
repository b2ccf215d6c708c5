/**
 * What a workload returns, and how much it is to measure.
 */

/** One table: contenders against cases. */
export interface Table {
  /** Names the table in the targets and in the JSON. */
  readonly id: string
  readonly title: string
  readonly unit: "nanoseconds" | "bytes" | "events" | "events/s"
  readonly columns: ReadonlyArray<string>
  /** What a value is compared with: that of the first row (the default), or that of the first column. */
  readonly comparedWith?: "row" | "column"
  readonly rows: ReadonlyArray<Row>
  readonly note?: string
}

export interface Row {
  readonly name: string
  /** See `Contender.isFloor`. */
  readonly isFloor: boolean
  /** One for each column; `undefined` where the case makes no sense for this row, or would take too long. */
  readonly values: ReadonlyArray<number | undefined>
}

/** How long to measure. More of it makes better numbers, not other ones. */
export interface Effort {
  /** Processes that measure the same, one after the other; the median counts. Some are unlucky with their compiled code. */
  readonly processes: number
  readonly rounds: number
  /** How long one thing runs in one round, in milliseconds. */
  readonly taskMillis: number
  /** How long it runs before that, for its code to be compiled, in milliseconds. */
  readonly warmUpMillis: number
  /** Single calls that are timed for a percentile. */
  readonly calls: number
  /** How long the calls of a peer may take for its percentile, in milliseconds. */
  readonly tailMillis: number
  /** Subscriptions at most, where it takes time to have many. */
  readonly largest: number
  /** Events published to see what stays in memory. */
  readonly events: number
  /** How often to look at what stays there. */
  readonly looks: number
  /** Idle subscriptions made to see what one weighs. */
  readonly subscriptions: number
}

export const full: Effort = {
  processes: 3,
  rounds: 12,
  taskMillis: 15,
  warmUpMillis: 200,
  calls: 200_000,
  tailMillis: 10_000,
  largest: 10_000,
  events: 1_000_000,
  looks: 8,
  subscriptions: 10_000
}

/** Ends within a minute. */
export const quick: Effort = {
  processes: 1,
  rounds: 12,
  taskMillis: 3,
  warmUpMillis: 40,
  calls: 50_000,
  tailMillis: 100,
  largest: 1000,
  events: 100_000,
  looks: 1,
  subscriptions: 2_000
}

export interface Workload {
  readonly name: string
  readonly run: (effort: Effort) => Promise<ReadonlyArray<Table>>
}

export const formatCount = (count: number): string => count.toLocaleString("en")
