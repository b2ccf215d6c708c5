/**
 * (k) From one event bus to another over a NATS server, beside the bare client that does the same by hand.
 */
import { Effect, Exit, Scope } from "effect"
import { setTimeout } from "node:timers/promises"
import type { Effort, Row, Table, Workload } from "../measurements.ts"
import type { Contender, Link, Mode, Pulse } from "../nats.ts"
import { measure, median, type Task } from "../rounds.ts"
import { quantile } from "../singleCalls.ts"

const modes: ReadonlyArray<Mode> = ["core", "jetstream"]

const note =
  `One process has both ends, another is the server. The bare client sends the same CloudEvents, 512 at a time. ` +
  `Before the next 512 it awaits a flush (core), or every acknowledgement (JetStream). It receives by a callback, ` +
  `asks for 512 messages ahead, and acknowledges each. Streams are on disk. "bare client" reads the attributes, ` +
  `and encodes and decodes with the Schema, as the bridge does. "unchecked" reads no attributes, and uses ` +
  `JSON.stringify and JSON.parse.`

/** Events of one round where they are sent one by one. */
const singles = 200

/** Notices when what was sent has been handled at the other end. */
class Receipts {
  /** When each event was handled, by its number. */
  readonly times: Array<number> = []
  private missing = 0
  private onSettled: () => void = () => {}

  readonly onHandled = (n: number): void => {
    this.times[n] = performance.now()
    if (--this.missing === 0) this.onSettled()
  }

  /** Completes when as many have been handled from now on. */
  expect(count: number): Promise<void> {
    this.missing = count
    return new Promise((resolve) => {
      this.onSettled = resolve
    })
  }
}

interface Opened {
  readonly contender: Contender
  readonly mode: Mode
  readonly link: Link
  readonly receipts: Receipts
}

/** The nanoseconds of one event when many are published at once. */
const throughput = (
  opened: ReadonlyArray<Opened>,
  events: ReadonlyArray<Pulse>,
  effort: Effort
): Promise<ReadonlyArray<number>> =>
  measure(
    opened.map(({ contender, link, receipts }): Task => ({
      name: contender.name,
      operations: events.length,
      isAsync: true,
      run: () => {
        const handled = receipts.expect(events.length)
        return Promise.race([handled, link.send(events).then(() => handled)])
      }
    })),
    // One run takes as long as a round of the other workloads, and the whole client has to be compiled.
    { ...effort, taskMillis: 80, warmUpMillis: 10 * effort.warmUpMillis }
  )

/**
 * The nanoseconds from publish to handled, of one event a millisecond, round by round: a server that gets no processor for a
 * while delays all events of that while, and must spoil one round only.
 */
const latencies = async (
  opened: ReadonlyArray<Opened>,
  events: ReadonlyArray<Pulse>,
  rounds: number
): Promise<ReadonlyArray<ReadonlyArray<ReadonlyArray<number>>>> => {
  const durations = opened.map((): Array<ReadonlyArray<number>> => [])
  for (let round = 0; round < rounds; round++) {
    for (const [i, { link, receipts }] of opened.entries()) {
      const starts: Array<number> = []
      const sends: Array<Promise<unknown>> = []
      const handled = receipts.expect(events.length)
      for (const event of events) {
        starts.push(performance.now())
        // Not awaited here: who waits for a server that is late sends less while it is late.
        sends.push(link.send([event]))
        await setTimeout(1)
      }
      await Promise.all([handled, ...sends])
      durations[i]!.push(starts.map((start, n) => (receipts.times[n]! - start) * 1e6))
    }
  }
  return durations
}

export const nats: Workload = {
  name: "nats",
  run: async (effort) => {
    // Imported here: the processes of the other workloads are to have nothing of it. It says so when there is no server.
    const NatsServer = await import("../../../event-bus-nats/test/NatsServer.ts")
    if (!NatsServer.isInstalled) return []
    const Nats = await import("../nats.ts")
    const contenders = [Nats.bareClient, Nats.bareUnchecked, Nats.bridge, Nats.bridgeHandledBy]
    const opened: Array<Opened> = []
    const opening = Effect.gen(function*() {
      const server = yield* NatsServer.make()
      for (const contender of contenders) {
        for (const mode of modes) {
          if (contender === Nats.bridgeHandledBy && mode === "core") continue
          const receipts = new Receipts()
          const subject = `link-${opened.length}`
          const link = yield* contender.open(mode, { server: server.url, subject, onHandled: receipts.onHandled })
          opened.push({ contender, mode, link, receipts })
        }
      }
    })
    const scope = Scope.makeUnsafe()
    try {
      await Effect.runPromise(Scope.provide(opening, scope))
      const burst = Array.from({ length: Nats.burst }, (_, n) => Nats.pulse(n))
      const nanos = await throughput(opened, burst, effort)
      const durations = await latencies(opened, burst.slice(0, singles), Math.ceil(effort.calls / 100 / singles))
      const rows = (valueOf: (i: number) => number): ReadonlyArray<Row> =>
        contenders.map((contender) => ({
          name: contender.name,
          isFloor: false,
          values: modes.map((mode) => {
            const i = opened.findIndex((it) => it.contender === contender && it.mode === mode)
            return i === -1 ? undefined : valueOf(i)
          })
        }))
      const latency = (id: string, share: number): Table => ({
        id: `nats/${id}`,
        title: `(k) Over NATS, one event a millisecond, from publish to handled: ${id}`,
        unit: "nanoseconds",
        columns: modes,
        rows: rows((i) => median(durations[i]!.map((round) => quantile(round, share))))
      })
      return [
        {
          id: "nats/throughput",
          title: "(k) Over NATS, bursts of 2,048 events, from publish to handled: events a second",
          unit: "events/s",
          columns: modes,
          rows: rows((i) => 1e9 / nanos[i]!),
          note
        },
        latency("p50", 0.5),
        latency("p99", 0.99)
      ]
    } finally {
      await Effect.runPromise(Scope.close(scope, Exit.void))
    }
  }
}
