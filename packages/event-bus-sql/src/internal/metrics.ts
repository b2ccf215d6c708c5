/**
 * The durable lane as Effect metrics.
 *
 * What this process has done is counted in memory, and read when somebody scrapes it. How far each consumer is behind, only the
 * database knows, and a scrape cannot wait for it. So it is asked in the background while somebody scrapes, and only then: at
 * most every ten seconds, and for at most a twentieth of the time.
 */
import { type Context, Duration, Effect, Metric } from "effect"
import type { ConsumerSnapshot } from "../Outbox.ts"
import { monotonicMillis } from "./outages.ts"
import { Signal } from "./signal.ts"

/** Changed synchronously, by whoever does what is counted. */
export interface Tally {
  handled: number
  failed: number
}

/** The shortest pause between two looks at the database. */
const shortestPause = 10_000

/** How many looks there are after a scrape: enough for an exporter that comes every two minutes. */
const looks = 12

/** What is reported of each consumer that the database knows. */
const standings: ReadonlyArray<readonly [string, string, (standing: ConsumerSnapshot) => number]> = [
  ["event_outbox_lag_events", "Events that the consumer has not moved past", ({ lag }) => lag.events],
  [
    "event_outbox_lag_seconds",
    "Age of the oldest event that the consumer has not moved past",
    ({ lag }) => Duration.toSeconds(lag.age)
  ],
  ["event_outbox_retrying", "Events that failed, and are tried again", ({ retrying }) => retrying],
  ["event_outbox_held", "Events that wait behind one that failed or died", ({ held }) => held],
  ["event_outbox_dead_letters", "Events that the consumer has given up", ({ dead }) => dead],
  ["event_outbox_owners", "Processes that handle its events", ({ owners }) => Object.keys(owners).length]
]

export class Metrics {
  private readonly context: Context.Context<never>
  private readonly outbox: string
  private readonly published = new Map<string, number>()
  private readonly tallies = new Map<string, Tally>()
  private readonly counters: Array<Metric.Registration> = []
  private known: ReadonlyMap<string, ConsumerSnapshot> = new Map()
  private readonly gauges = new Map<string, ReadonlyArray<Metric.Registration>>()
  private readonly scraped = new Signal()

  constructor(context: Context.Context<never>, outbox: string, kinds: ReadonlyArray<string>) {
    this.context = context
    this.outbox = outbox
    for (const kind of kinds) {
      this.count("event_outbox_published_total", "Events stored by this process, and committed", { kind }, () => {
        this.scraped.raise()
        return this.published.get(kind) ?? 0
      })
    }
  }

  /** Events were stored, of these kinds. */
  stored(kinds: ReadonlyArray<string>): void {
    for (const kind of kinds) this.published.set(kind, (this.published.get(kind) ?? 0) + 1)
  }

  /** What this process counts of a consumer. It outlives the consumer, so that a total never falls. */
  tallyOf(consumer: string): Tally {
    const known = this.tallies.get(consumer)
    if (known !== undefined) return known
    const tally = { handled: 0, failed: 0 }
    this.tallies.set(consumer, tally)
    this.count("event_outbox_handled_total", "Events handled by this process", { consumer }, () => tally.handled)
    this.count(
      "event_outbox_failed_attempts_total",
      "Attempts to handle an event that failed in this process",
      { consumer },
      () => tally.failed
    )
    return tally
  }

  /** Keeps what the database knows fresh, while somebody scrapes it. */
  refreshing(consumers: Effect.Effect<ReadonlyArray<ConsumerSnapshot>, unknown>): Effect.Effect<never> {
    const look = Effect.gen({ self: this }, function*() {
      const startedAt = yield* monotonicMillis
      // What was true before the database went away does not say how far behind a consumer is now.
      this.show(yield* Effect.orElseSucceed(consumers, () => []))
      yield* Effect.sleep(Math.max(shortestPause, 19 * ((yield* monotonicMillis) - startedAt)))
    })
    return Effect.forever(Effect.andThen(this.scraped.wait, Effect.repeat(look, { times: looks - 1 })))
  }

  /** Ends all series. */
  close(): void {
    this.show([])
    for (const counter of this.counters) counter.remove()
  }

  private show(snapshots: ReadonlyArray<ConsumerSnapshot>): void {
    this.known = new Map(snapshots.map((snapshot) => [snapshot.name, snapshot]))
    for (const [name, gauges] of this.gauges) {
      if (this.known.has(name)) continue
      for (const gauge of gauges) gauge.remove()
      this.gauges.delete(name)
    }
    for (const name of this.known.keys()) if (!this.gauges.has(name)) this.gauges.set(name, this.gaugesOf(name))
  }

  private gaugesOf(consumer: string): ReadonlyArray<Metric.Registration> {
    const attributes = { outbox: this.outbox, consumer }
    return standings.map(([id, description, read]) =>
      Metric.registerUnsafe(Metric.gauge(id, { description, attributes }), this.context, {
        get: () => ({ value: read(this.known.get(consumer)!) }),
        update: () => {},
        modify: () => {}
      })
    )
  }

  private count(id: string, description: string, labels: Record<string, string>, read: () => number): void {
    const attributes = { outbox: this.outbox, ...labels }
    this.counters.push(
      Metric.registerUnsafe(Metric.counter(id, { description, attributes, incremental: true }), this.context, {
        get: () => ({ count: read(), incremental: true }),
        update: () => {},
        modify: () => {}
      })
    )
  }
}
