/**
 * (n) What must not be lost: published and handled, by the outbox and by others on the same server or file.
 */
import { NodeServices } from "@effect/platform-node"
import { Effect, FileSystem } from "effect"
import { fork } from "node:child_process"
import { once } from "node:events"
import type { Contender, Lane, Place } from "../durable.ts"
import type { Effort, Row, Table, Workload } from "../measurements.ts"
import { measure as measureTasks, median, type Task } from "../rounds.ts"

/** Publishers that wait for their own event only. */
const publishers = 16

class Count {
  private left = 0
  private resolve: () => void = () => {}

  readonly onHandled = (): void => {
    if (--this.left === 0) this.resolve()
  }

  expect(count: number): Promise<void> {
    this.left = count
    return new Promise((resolve) => {
      this.resolve = resolve
    })
  }
}

interface Rates {
  /** Events a second, published one by one while they are handled. */
  readonly steady: number
  /** Events a second, out of a log that was filled before. */
  readonly full: number
}

const measure = (
  contender: Contender,
  place: Place,
  consumers: number,
  sizes: { readonly steady: number; readonly full: number },
  inFlight: (count: number, width: number, run: (i: number) => Promise<unknown>) => Promise<void>
) =>
  Effect.scoped(Effect.gen(function*() {
    const count = new Count()
    const lane: Lane = yield* contender.open(place, consumers, count.onHandled)
    return yield* Effect.promise(async (): Promise<Rates> => {
      const steadily = async (size: number): Promise<number> => {
        const handled = count.expect(size * consumers)
        const start = performance.now()
        await inFlight(size, publishers, lane.publish)
        await handled
        return (size * 1e3) / (performance.now() - start)
      }
      let stop = await lane.serve()
      await steadily(Math.ceil(sizes.steady / 4))
      const steady = await steadily(sizes.steady)
      await stop()
      await lane.publishAll(0, sizes.full)
      const handled = count.expect(sizes.full * consumers)
      const start = performance.now()
      stop = await lane.serve()
      await handled
      const full = (sizes.full * 1e3) / (performance.now() - start)
      await stop()
      return { steady, full }
    })
  }))

/** The nanoseconds of one publish for each number of consumers that are served elsewhere, measured in turns. */
const publishing = (contender: Contender, place: Effect.Effect<Place>, counts: ReadonlyArray<number>, effort: Effort) =>
  Effect.scoped(Effect.gen(function*() {
    const tasks = yield* Effect.forEach(
      counts,
      (consumers) =>
        Effect.gen(function*() {
          const lane = yield* contender.open(yield* place, consumers, () => {})
          const task: Task = { name: String(consumers), run: () => lane.publish(0), isAsync: true, operations: 1 }
          return task
        })
    )
    return yield* Effect.promise(() => measureTasks(tasks, effort))
  }))

/** Starts a process that handles what this one publishes, and returns what ends it. */
const serveElsewhere = async (
  { name }: Contender,
  place: Place,
  onHandled: (at: bigint) => void
): Promise<() => Promise<unknown>> => {
  const child = fork(new URL("../durableServer.ts", import.meta.url), [name, JSON.stringify(place)])
  const [ready] = await once(child, "message")
  if (ready !== "ready") throw new Error(`${name} handled something before it was published`)
  child.on("message", (at: string) => onHandled(BigInt(at)))
  return () => {
    child.disconnect()
    return once(child, "exit")
  }
}

/** The nanoseconds from publish to handler on an idle system, in this process or in another one. */
const latencies = (contender: Contender, place: Place, calls: number, isElsewhere: boolean) =>
  Effect.scoped(Effect.gen(function*() {
    let onHandled: (at: bigint) => void = () => {}
    const lane = yield* contender.open(place, 1, () => onHandled(process.hrtime.bigint()))
    return yield* Effect.promise(async () => {
      const stop = isElsewhere ? await serveElsewhere(contender, place, (at) => onHandled(at)) : await lane.serve()
      const times: Array<number> = []
      for (let i = 0; i < calls + 20; i++) {
        const handled = new Promise<bigint>((resolve) => {
          onHandled = resolve
        })
        const start = process.hrtime.bigint()
        const published = lane.publish(i)
        times.push(Number(await handled - start))
        await published
        // What follows from the last event is over.
        await new Promise((resolve) => setTimeout(resolve, 2))
      }
      await stop()
      return times.slice(20).toSorted((a, b) => a - b)
    })
  }))

const titles = {
  steady: "published one by one and handled, a second",
  full: "the same out of a full log"
} as const

export const durable: Workload = {
  name: "durable",
  run: async (effort) => {
    // Imported here: the processes of the other workloads are to have nothing of it.
    const Durable = await import("../durable.ts")
    const Postgres = await import("../../../../test/servers/Postgres.ts")
    const isQuick = effort.processes === 1
    const rounds = isQuick ? 1 : 3
    const sizes = isQuick ? { steady: 1_000, full: 3_000 } : { steady: 6_000, full: 20_000 }
    const onPostgres = Durable.contenders
    const onSqlite = [Durable.outbox, Durable.persistedQueue]

    const compare = (
      id: string,
      where: string,
      contenders: ReadonlyArray<Contender>,
      consumers: number,
      place: Effect.Effect<Place>
    ) =>
      Effect.gen(function*() {
        const measured: Array<Array<Rates>> = contenders.map(() => [])
        for (let round = 0; round < rounds; round++) {
          for (const [i, contender] of contenders.entries()) {
            // Persisted queues take a statement and more for each; a tenth says as much.
            const share = contender === Durable.persistedQueue ? 10 : 1
            const size = { steady: Math.ceil(sizes.steady / share), full: Math.ceil(sizes.full / share) }
            measured[i]!.push(yield* measure(contender, yield* place, consumers, size, Durable.inFlight))
          }
        }
        return {
          id: `durable/${id}`,
          title: `Durable events on ${where}, ${
            consumers === 1 ? "one consumer" : `${consumers} consumers of each event`
          }`,
          unit: "events/s",
          columns: Object.values(titles),
          rows: contenders.map(({ name }, i): Row => ({
            name,
            isFloor: false,
            values: [median(measured[i]!.map(({ steady }) => steady)), median(measured[i]!.map(({ full }) => full))]
          })),
          note
        } satisfies Table
      })

    const program = Effect.gen(function*() {
      const fs = yield* FileSystem.FileSystem
      const folder = yield* fs.makeTempDirectoryScoped()
      let ids = 0
      const file = Effect.sync((): Place => ({ _tag: "Sqlite", file: `${folder}/${++ids}.sqlite`, id: ids }))
      const tables: Array<Table> = []
      if (!Postgres.isSkipped) {
        const { port } = yield* Postgres.cluster
        const url = `postgresql://openwatch@127.0.0.1:${port}/postgres`
        const place = Effect.sync((): Place => ({ _tag: "Postgres", url, id: ++ids }))
        tables.push(yield* compare("postgres", "PostgreSQL", onPostgres, 1, place))
        tables.push(yield* compare("postgres/5", "PostgreSQL", onPostgres, 5, place))
        const counts = [1, 100]
        const values = yield* publishing(Durable.outbox, place, counts, { ...effort, taskMillis: 50 })
        tables.push({
          id: "durable/publish",
          title: "One publish on PostgreSQL, with so many consumers that are served elsewhere",
          unit: "nanoseconds",
          columns: counts.map(String),
          comparedWith: "column",
          rows: [{ name: "outbox", isFloor: false, values }]
        })
        for (
          const [id, where] of [["latency", "in one process"], ["latency-elsewhere", "in another process"]] as const
        ) {
          const rows: Array<Row> = []
          for (const contender of onPostgres) {
            const times = yield* latencies(contender, yield* place, isQuick ? 100 : 1_000, id === "latency-elsewhere")
            rows.push({
              name: contender.name,
              isFloor: false,
              values: [times[Math.floor(times.length / 2)], times[Math.floor(times.length * 0.99)]]
            })
          }
          tables.push({
            id: `durable/${id}`,
            title: `From publish to handler ${where} on an idle system, PostgreSQL`,
            unit: "nanoseconds",
            columns: ["p50", "p99"],
            rows
          })
        }
      }
      tables.push(yield* compare("sqlite", "SQLite", onSqlite, 1, file))
      return tables
    })
    return Effect.runPromise(program.pipe(Effect.scoped, Effect.provide(NodeServices.layer)))
  }
}

const note =
  `One process publishes from ${publishers} places at once, and handles. Each event is published by a call of its own; ` +
  `the outbox stores those of one moment by one statement. The PostgreSQL server was started for this, and does not ` +
  `fsync; SQLite does, to the disk. The peers store a job or an element for each consumer. graphile-worker has 24 ` +
  `jobs at a time and a local queue of 500, and completes in batches. pg-boss takes 200 at a time, and listens. ` +
  `PersistedQueue has 10 takers for each queue, and looks every 10 ms.`
