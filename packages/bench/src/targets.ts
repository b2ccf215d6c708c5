/**
 * What the bus has to show: ratios of measurements that were made side by side.
 */
import * as Contenders from "./contenders.ts"
import type { Table } from "./measurements.ts"
import * as Nats from "./nats.ts"

export interface Target {
  readonly what: string
  readonly atMost: number
  /** The ratio, or `undefined` when its measurements were not made. */
  readonly measured: number | undefined
}

/** The measured values, by table, row and column. */
type Values = (table: string, row: string, column?: string) => number | undefined

const valuesOf = (tables: ReadonlyArray<Table>): Values => (id, rowName, column) => {
  const table = tables.find((table) => table.id === id)
  const row = table?.rows.find(({ name }) => name === rowName)
  return row?.values[column === undefined ? 0 : table!.columns.indexOf(column)]
}

const over = (value: number | undefined, base: number | undefined): number | undefined =>
  value === undefined || base === undefined ? undefined : value / base

/** The greatest of the ratios that were measured. */
const worst = (ratios: ReadonlyArray<number | undefined>): number | undefined => {
  const measured = ratios.filter((ratio) => ratio !== undefined)
  return measured.length === 0 ? undefined : Math.max(...measured)
}

const least = (values: ReadonlyArray<number | undefined>): number | undefined => {
  const measured = values.filter((value) => value !== undefined)
  return measured.length === 0 ? undefined : Math.min(...measured)
}

/** Twice its buffer and one chunk of the log, the most that a subscription may hold. */
const mostHeld = 2 * Contenders.bufferSize + 256

export const targetsOf = (tables: ReadonlyArray<Table>): ReadonlyArray<Target> => {
  const value = valuesOf(tables)
  const columnsOf = (id: string) => tables.find((table) => table.id === id)?.columns ?? []
  const bus = Contenders.bus.name
  const on = Contenders.busHandlers.name
  const each = Contenders.eachPubSub.name
  const eachPubSubHandling = [Contenders.eachPubSubHandlers.name, Contenders.eachPubSubStreams.name]
  const streams = [Contenders.sharedPubSubStreams.name, Contenders.eachPubSubStreams.name]
  const durable = (table: string, column: string, ...peers: ReadonlyArray<string>) => {
    const peer = worst(peers.map((peer) => value(`durable/${table}`, peer, column)))
    return over(peer, value(`durable/${table}`, "outbox", column))
  }
  const steadily = "published one by one and handled, a second"
  const fromFull = "the same out of a full log"
  return [
    {
      what: "the best of graphile-worker, pg-boss and PersistedQueue, published and handled, against the outbox",
      atMost: 0.4,
      measured: durable("postgres", steadily, "graphile-worker", "pg-boss", "PersistedQueue")
    },
    {
      what: "tuned graphile-worker out of a full log, against the outbox",
      atMost: 0.5,
      measured: durable("postgres", fromFull, "graphile-worker")
    },
    {
      what: "five jobs each, the best of the three, published and handled, against five consumers of the outbox",
      atMost: 0.25,
      measured: durable("postgres/5", steadily, "graphile-worker", "pg-boss", "PersistedQueue")
    },
    {
      what: "five jobs each, tuned graphile-worker out of a full log, against five consumers of the outbox",
      atMost: 0.125,
      measured: durable("postgres/5", fromFull, "graphile-worker")
    },
    {
      what: "a durable publish with 100 consumers served elsewhere, against 1",
      atMost: 1.1,
      measured: over(value("durable/publish", "outbox", "100"), value("durable/publish", "outbox", "1"))
    },
    {
      what: "from a durable publish to its handler, p50, against graphile-worker",
      atMost: 0.8,
      measured: over(value("durable/latency", "outbox", "p50"), value("durable/latency", "graphile-worker", "p50"))
    },
    {
      what: "from a durable publish to its handler, p99, against graphile-worker",
      atMost: 1.2,
      measured: over(value("durable/latency", "outbox", "p99"), value("durable/latency", "graphile-worker", "p99"))
    },
    {
      what: "from a durable publish to its handler in another process, p50, against graphile-worker",
      atMost: 1,
      measured: over(
        value("durable/latency-elsewhere", "outbox", "p50"),
        value("durable/latency-elsewhere", "graphile-worker", "p50")
      )
    },
    {
      what: "PersistedQueue on SQLite, published and handled, against the outbox",
      atMost: 0.5,
      measured: durable("sqlite", steadily, "PersistedQueue")
    },
    {
      what: "PersistedQueue on SQLite out of a full log, against the outbox",
      atMost: 0.05,
      measured: durable("sqlite", fromFull, "PersistedQueue")
    },
    {
      what: "publish with 10,000 subscriptions of one lane, against 1",
      atMost: 3,
      measured: over(value("publish/mean", bus, "10,000"), value("publish/mean", bus, "1"))
    },
    {
      what: "publish to 1 that keeps up, against emitter.emit to one listener",
      atMost: 1.75,
      measured: over(value("floor", "bus.publishUnsafe(event)"), value("floor", "emitter.emit(event._tag, event)"))
    },
    {
      what: "publish with 10,000 keyed subscriptions, against 1 keyed",
      atMost: 4,
      measured: over(
        value("keyed/publish", "each event for one subscription", "10,000"),
        value("keyed/publish", "each event for one subscription", "1")
      )
    },
    {
      what: "heap of an idle keyed subscription, against a PubSub for it",
      atMost: 0.15,
      measured: over(value("keyed/idle-heap", "event bus, keyed"), value("keyed/idle-heap", each))
    },
    {
      what: "p99.99 of publish with 10,000 subscriptions, against 1",
      atMost: 3,
      measured: over(value("publish/p99.99", bus, "10,000"), value("publish/p99.99", bus, "1"))
    },
    {
      what: "publish with every tenth subscription stuck, against none (the worst of all sizes and policies)",
      atMost: 1.5,
      measured: worst(
        [bus, Contenders.busSliding.name].flatMap((name) =>
          columnsOf("publish-stuck").map((column) =>
            over(
              value("publish-stuck", `${name}, every tenth stuck`, column),
              value("publish-stuck", `${name}, none stuck`, column)
            )
          )
        )
      )
    },
    {
      what: "a delivery in batches to 1,000 subscribers, against one shared PubSub",
      atMost: 0.35,
      measured: over(value("batches", bus, "1,000"), value("batches", Contenders.sharedPubSub.name, "1,000"))
    },
    {
      what: "a delivery in batches to 1,000 subscribers, against a PubSub for each",
      atMost: 0.1,
      measured: over(value("batches", bus, "1,000"), value("batches", each, "1,000"))
    },
    {
      what: "a delivery in batches, against a PubSub for each (the worst of all sizes)",
      atMost: 1,
      measured: worst(
        columnsOf("batches").map((column) => over(value("batches", bus, column), value("batches", each, column)))
      )
    },
    {
      what: "a delivery to an `on` handler, 10 subscribers, against Stream.fromPubSub + runForEach",
      atMost: 0.08,
      measured: over(value("handlers", on, "10"), least(streams.map((name) => value("handlers", name, "10"))))
    },
    {
      what: "the same, against a bare Effect.whileLoop over the handler",
      atMost: 1.5,
      measured: over(value("handlers", on, "10"), value("handlers", Contenders.whileLoops.name, "10"))
    },
    {
      what: "a delivery to `consume`, 10 subscribers, against Stream.fromPubSub + runForEach",
      atMost: 0.2,
      measured: over(
        value("handlers", Contenders.busConsumers.name, "10"),
        least(streams.map((name) => value("handlers", name, "10")))
      )
    },
    {
      what: "a delivery to a handler, by on or stream, against a PubSub for each (the worst of all sizes)",
      atMost: 1,
      measured: worst([on, Contenders.busStreams.name].flatMap((name) =>
        columnsOf("handlers").map((column) =>
          over(
            value("handlers", name, column),
            least(eachPubSubHandling.map((peer) => value("handlers", peer, column)))
          )
        )
      ))
    },
    {
      what: "publish to the last of 10 and of 100 handlers started, p50, against a PubSub for each",
      atMost: 0.8,
      measured: worst(
        ["10", "100"].map((column) =>
          over(
            value("latency/p50", on, column),
            least(eachPubSubHandling.map((peer) => value("latency/p50", peer, column)))
          )
        )
      )
    },
    {
      what: "yield* bus.publish(event) with no subscriber, against yield* Effect.sync(() => {})",
      atMost: 1.2,
      measured: over(
        value("no-subscriber", "yield* bus.publish(event)"),
        value("no-subscriber", "yield* Effect.sync(() => {})")
      )
    },
    {
      what: "publish to 1,000 distinct sets of kinds, against a PubSub for each",
      atMost: 3,
      measured: over(
        value("many-kinds/publish", bus, "1,000 distinct sets"),
        value("many-kinds/publish", each, "1,000 distinct sets")
      )
    },
    {
      what: "the same with taking it",
      atMost: 3,
      measured: over(
        value("many-kinds/whole", bus, "1,000 distinct sets"),
        value("many-kinds/whole", each, "1,000 distinct sets")
      )
    },
    {
      what: "heap of an idle subscription, against a PubSub for it",
      atMost: 0.08,
      measured: over(value("idle-heap", bus), value("idle-heap", each))
    },
    {
      what: "events held by a stuck or slow subscription, against twice its buffer and a chunk (the worst case)",
      atMost: 1,
      measured: worst(
        ["stuck dropping", "stuck sliding", "slow dropping", "slow sliding"].map((how) =>
          over(value("stuck-heap/events", `${bus}, ${how}`), mostHeld)
        )
      )
    },
    {
      what: "publish at the end of a million events, against the beginning (the worst case)",
      atMost: 1.5,
      measured: worst(
        (tables.find(({ id }) => id === "growth")?.rows ?? []).map(({ values }) => over(values[1], values[0]))
      )
    },
    {
      what: "the bus in a bundle for browsers without Effect, minified and gzipped, against 12 kB",
      atMost: 1,
      measured: over(value("bundle", "event bus", "and gzipped"), 12_000)
    },
    ...(["core", "jetstream"] as const).map((mode) => ({
      what: `an event from bus to bus over NATS, ${mode}, against the bare client (at least 0.8 of its throughput)`,
      atMost: 1.25,
      measured: over(
        value("nats/throughput", Nats.bareClient.name, mode),
        value("nats/throughput", Nats.bridge.name, mode)
      )
    }))
  ]
}

export const isMet = ({ atMost, measured }: Target): boolean => measured !== undefined && measured <= atMost
