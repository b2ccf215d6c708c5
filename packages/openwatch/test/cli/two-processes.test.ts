import { NodeServices } from "@effect/platform-node"
import { assert, describe, it } from "@effect/vitest"
import { jetstream, jetstreamManager } from "@nats-io/jetstream"
import { connect } from "@nats-io/transport-node"
import { eventIdOf, SystemEventBus } from "@openwatch/openwatch"
import {
  Array,
  Console,
  DateTime,
  Effect,
  Exit,
  Fiber,
  FileSystem,
  Random,
  Schedule,
  Schema,
  Scope,
  Stream
} from "effect"
import { ChildProcess } from "effect/process"
import { existsSync } from "node:fs"
import { DatabaseSync } from "node:sqlite"
import { fileURLToPath } from "node:url"
import * as NatsServer from "../../../event-bus-nats/test/NatsServer.ts"
import { environment } from "./command.ts"

const bin = fileURLToPath(new URL("../../bin/openwatch.js", import.meta.url))
const examples = fileURLToPath(new URL("../../../../examples", import.meta.url))

const live = <A, E>(name: string, test: Effect.Effect<A, E, NodeServices.NodeServices | Scope.Scope>) =>
  it.live(name, () => Effect.provide(test, NodeServices.layer), 600_000)

/** Looks until it holds. A test that waits for what never comes ends by its own time limit. */
const eventually = (holds: () => boolean) =>
  Effect.suspend(() => holds() ? Effect.void : Effect.fail("not yet" as const)).pipe(
    Effect.retry(Schedule.spaced("50 millis")),
    Effect.orDie
  )

const linesOf = (stream: Stream.Stream<Uint8Array, unknown>) =>
  stream.pipe(Stream.decodeText(), Stream.splitLines, Stream.orDie)

/** Starts `openwatch run`; ended with the scope. */
const start = (configuration: string, data: string) =>
  Effect.gen(function*() {
    const handle = yield* ChildProcess.make(process.execPath, [bin, "run", configuration, "--data", data], {
      env: { ...environment, NATS_TOKEN: "s3cr3t" },
      extendEnv: false,
      stdin: "ignore"
    })
    const stdout: Array<string> = []
    const read = yield* linesOf(handle.stdout).pipe(
      Stream.runForEach((line) => Effect.sync(() => stdout.push(line))),
      Effect.forkScoped
    )
    const stderr = yield* linesOf(handle.stderr).pipe(Stream.runCollect, Effect.forkScoped)
    const signal = (signal: NodeJS.Signals) => Effect.sync(() => process.kill(Number(handle.pid), signal))
    return {
      /** So far. */
      stdout,
      exitCode: Effect.map(handle.exitCode, Number),
      stderr: Fiber.join(stderr),
      kill: Effect.andThen(signal("SIGKILL"), Effect.exit(handle.exitCode)),
      /** Stops it as an operator would. */
      stop: Effect.gen(function*() {
        yield* signal("SIGTERM")
        assert.strictEqual(Number(yield* handle.exitCode), 0, (yield* Fiber.join(stderr)).slice(-5).join("\n"))
        yield* Fiber.join(read)
      })
    }
  })

/** Rows of a database that a process may be writing, or will make. */
const query = (data: string, sql: string): ReadonlyArray<Record<string, unknown>> => {
  const file = `${data}/openwatch.sqlite`
  if (!existsSync(file)) return []
  // Not to read only: what a killed process leaves has to be recovered first.
  const database = new DatabaseSync(file, { timeout: 5_000 })
  try {
    return database.prepare(sql).all()
  } catch (error) {
    if (error instanceof Error && error.message.startsWith("no such table")) return []
    throw error
  } finally {
    database.close()
  }
}

const count = (data: string, table: string): number =>
  Number(query(data, `SELECT count(*) AS n FROM ${table}`)[0]?.["n"] ?? 0)

/** What tells the events of the test apart: where and when. */
const keyOf = ({ host_id, occurred_at }: Record<string, unknown>) => `${String(host_id)} ${Number(occurred_at)}`

const keyOfText = (json: string) => {
  const { hostId, occurredAt } = Schema.decodeUnknownSync(Schema.fromJsonString(SystemEventBus.EventJson))(json)
  return keyOf({ host_id: hostId, occurred_at: DateTime.toEpochMillis(occurredAt) })
}

/** What of its events a process has not handed on yet: those behind the position of the bridge, and those that it has parked. */
const waitingEvents = `FROM system_events e WHERE e.seq > COALESCE((SELECT MIN(pos) FROM system_positions
  WHERE consumer = 'nats'), 0) OR e.seq IN (SELECT seq FROM system_parked WHERE consumer = 'nats')`

const countWaiting = (data: string): number =>
  Number(query(data, `SELECT count(*) AS n ${waitingEvents}`)[0]?.["n"] ?? 0)

/** What a process that probes has noticed, and which of that the server has acknowledged to it, as far as it knows. */
const noticedBy = (data: string) => {
  const noticed = query(data, "SELECT host_id, occurred_at FROM host_states").map(keyOf)
  const waiting = query(data, `SELECT e.payload ${waitingEvents}`).map(({ payload }) => keyOfText(String(payload)))
  const isWaiting = new Set(waiting)
  return { acknowledged: noticed.filter((key) => !isWaiting.has(key)), waiting }
}

/** The stream between the two, while the server is there. */
const streamOf = (server: NatsServer.NatsServer) =>
  Effect.gen(function*() {
    const nats = yield* Effect.acquireRelease(
      Effect.promise(() => connect({ servers: server.url })),
      (nats) => Effect.promise(() => nats.close())
    )
    const manager = yield* Effect.promise(() => jetstreamManager(nats))
    return {
      /** Waits until all that is in it is acknowledged. */
      isDone: Effect.tryPromise(() => manager.consumers.info("OPENWATCH", "source=alerts")).pipe(
        Effect.filterOrFail(({ num_ack_pending, num_pending }) => num_ack_pending + num_pending === 0),
        Effect.retry(Schedule.spaced("50 millis")),
        Effect.orDie
      ),
      messages: Effect.promise(async () => {
        const { state } = await manager.streams.info("OPENWATCH")
        const messages: Array<{ readonly id: string; readonly key: string; readonly isItself: boolean }> = []
        const consumer = await jetstream(nats).consumers.get("OPENWATCH")
        while (messages.length < state.messages) {
          for await (const message of await consumer.fetch({ max_messages: state.messages - messages.length })) {
            const text = message.string()
            const event = Schema.decodeUnknownSync(Schema.fromJsonString(SystemEventBus.EventJson))(text)
            const id = message.headers!.get("ce-id")
            messages.push({ id, key: keyOfText(text), isItself: id === `${event._tag}/${eventIdOf(event)}` })
          }
        }
        return messages
      })
    }
  })

/** A process that is started again in its own scope. */
const restartable = (configuration: string, data: string) =>
  Effect.gen(function*() {
    let running: { readonly scope: Scope.Closeable; readonly process: Effect.Success<ReturnType<typeof start>> }
    const begin = Effect.gen(function*() {
      const scope = yield* Scope.make()
      running = { scope, process: yield* Scope.provide(start(configuration, data), scope) }
    })
    yield* begin
    yield* Effect.addFinalizer((exit) => Scope.close(running.scope, exit))
    return {
      begin,
      kill: Effect.suspend(() =>
        Effect.andThen(running.process.kill, Effect.exit(Scope.close(running.scope, Exit.void)))
      ),
      stop: Effect.suspend(() => running.process.stop),
      lastLine: Effect.sync(() => running.process.stdout.at(-1) ?? "")
    }
  })

describe.skipIf(!NatsServer.isInstalled)("two processes, one that probes and one that raises alerts", () => {
  live(
    "a server and both processes killed in a burst: each event that the server acknowledged is exactly one alert",
    Effect.gen(function*() {
      const seed = process.env["SEED"] ?? `${Date.now()}`
      yield* Effect.gen(function*() {
        const hosts = 6_000
        const fs = yield* FileSystem.FileSystem
        const folder = yield* fs.makeTempDirectoryScoped()
        const server = yield* NatsServer.make()
        // Nothing listens there: each host is unreachable at once.
        const entries = Array.makeBy(hosts, (n) => `  - { name: host-${n}, address: 127.0.0.1, port: 1 }\n`)
        yield* fs.writeFileString(`${folder}/hosts.yaml`, `hosts:\n${entries.join("")}`)
        const nats = `servers: ["${server.url}"], stream: { max_age: 1d }`
        const kinds = "[HeartbeatPulse, DriftDetected]"
        yield* fs.writeFileString(
          `${folder}/probes.yaml`,
          `inventory: hosts.yaml\nliveness: { failure_threshold: 1 }\nalerts: false\nhttp: false\n` +
            `nats: { ${nats}, source: probes, export: ${kinds} }\n`
        )
        yield* fs.writeFileString(
          `${folder}/alerts.yaml`,
          `liveness: false\nchannels: []\nhttp: false\nnats: { ${nats}, source: alerts, import: ${kinds} }\n`
        )
        const probesData = `${folder}/probes`
        const alertsData = `${folder}/alerts`

        const alerts = yield* restartable(`${folder}/alerts.yaml`, alertsData)
        const probes = yield* restartable(`${folder}/probes.yaml`, probesData)
        const between = (from: number, to: number) => Random.nextIntBetween(hosts * from, hosts * to)
        const moments = {
          server: [yield* between(0.1, 0.4), yield* between(0.5, 0.9)],
          // Early enough for it to be killed in the middle, however late that is seen.
          probes: yield* between(0.1, 0.4),
          alerts: [yield* between(0.05, 0.4), yield* between(0.45, 0.9)]
        }
        const noticed = () => count(probesData, "host_states")
        const sent = () => noticed() - countWaiting(probesData)
        const raised = () => count(alertsData, "alerts")

        const [, atKill] = yield* Effect.all([
          Effect.forEach(
            moments.server,
            (moment) =>
              eventually(() => sent() >= moment).pipe(Effect.andThen(server.kill), Effect.andThen(server.start()))
          ),
          Effect.gen(function*() {
            yield* eventually(() => noticed() >= moments.probes)
            yield* probes.kill
            const atKill = noticedBy(probesData)
            yield* probes.begin
            return atKill
          }),
          Effect.forEach(
            moments.alerts,
            (moment) =>
              eventually(() => raised() >= moment).pipe(Effect.andThen(alerts.kill), Effect.andThen(alerts.begin))
          )
        ], { concurrency: "unbounded" })

        yield* eventually(() => sent() === hosts)
        yield* probes.stop
        const stream = yield* streamOf(server)
        yield* stream.isDone
        // What came in is stored. Now it is handled, too.
        yield* eventually(() => raised() === hosts)
        yield* alerts.stop

        const messages = yield* stream.messages
        const rows = query(alertsData, "SELECT host_id, occurred_at, type, repeats FROM alerts")
        yield* Console.log(
          `seed ${seed}: killed when ${JSON.stringify(moments)}; of ${
            atKill.acknowledged.length + atKill.waiting.length
          } events ` +
            `noticed when the probing process was killed, ${atKill.acknowledged.length} were acknowledged and ` +
            `${atKill.waiting.length} were not yet; in the end: ${messages.length} in the stream, ${rows.length} alerts; ` +
            `${yield* probes.lastLine}; ${yield* alerts.lastLine}`
        )

        // The kills were in the middle.
        assert.isAbove(atKill.acknowledged.length, 0)
        assert.isBelow(atKill.acknowledged.length + atKill.waiting.length, hosts)

        const raisedFor = Map.groupBy(rows, keyOf)
        const alertsOf = (keys: ReadonlyArray<string>) => keys.map((key) => raisedFor.get(key)?.length ?? 0)
        const isNotOne = (n: number) => n !== 1
        assert.deepStrictEqual(alertsOf(atKill.acknowledged).filter(isNotOne), [])
        // All that the server has, whether or not the process learnt of it.
        assert.deepStrictEqual(alertsOf(messages.map(({ key }) => key)).filter(isNotOne), [])
        assert.strictEqual(new Set(messages.map(({ id }) => id)).size, messages.length)
        assert.deepStrictEqual(messages.filter(({ isItself }) => !isItself), [])
        // What was not acknowledged was sent by the next start, so nothing at all is missing, or there twice.
        assert.strictEqual(rows.length, hosts)
        assert.strictEqual(new Set(rows.map(({ host_id }) => host_id)).size, hosts)
        assert.deepStrictEqual(rows.filter(({ repeats, type }) => type !== "host_unreachable" || repeats !== 0), [])
      }).pipe(
        Random.withSeed(seed),
        Effect.tapCause(() => Effect.logError(`The seed was ${seed}`))
      )
    })
  )

  live(
    "the example of examples/two-processes: the one raises an alert for what the other notices, and calls the host by name",
    Effect.gen(function*() {
      const fs = yield* FileSystem.FileSystem
      const folder = yield* fs.makeTempDirectoryScoped()
      const server = yield* NatsServer.make()
      yield* fs.makeDirectory(`${folder}/two-processes`)
      // On a port where no other test listens either.
      const hosts = yield* fs.readFileString(`${examples}/hosts.yaml`)
      yield* fs.writeFileString(`${folder}/hosts.yaml`, hosts.replaceAll(/port: \d+/g, "port: 1"))
      for (const name of ["probes.yaml", "alerts.yaml"]) {
        const text = yield* fs.readFileString(`${examples}/two-processes/${name}`)
        assert.include(text, "nats://127.0.0.1:4222")
        yield* fs.writeFileString(
          `${folder}/two-processes/${name}`,
          text.replace("nats://127.0.0.1:4222", server.url).replace(/port: \d+/, "port: 0")
        )
      }
      const alerts = yield* start(`${folder}/two-processes/alerts.yaml`, `${folder}/alerts`)
      const probes = yield* start(`${folder}/two-processes/probes.yaml`, `${folder}/probes`)
      yield* eventually(() => alerts.stdout.length === 3)
      assert.strictEqual(alerts.stdout.filter((line) => /nobody-home .* is unreachable/.test(line)).length, 1)
      yield* probes.stop
      assert.deepStrictEqual(probes.stdout, ["NATS: 3 sent, 0 not sent; 0 taken in, 0 rejected"])
      yield* alerts.stop
      assert.deepStrictEqual(alerts.stdout.slice(-2), [
        "NATS: 0 sent, 0 not sent; 3 taken in, 0 rejected",
        "3 events published, 0 dropped; 3 received, 3 alerts routed, 0 deduplicated; failures: 0 to store, 0 to console"
      ])
    })
  )

  live(
    "what could not be sent when it was stopped is sent when it is started again",
    Effect.gen(function*() {
      const fs = yield* FileSystem.FileSystem
      const folder = yield* fs.makeTempDirectoryScoped()
      const server = yield* NatsServer.make({ isStarted: false })
      yield* fs.writeFileString(`${folder}/hosts.yaml`, "hosts: [{ name: web, address: 127.0.0.1, port: 1 }]\n")
      yield* fs.writeFileString(
        `${folder}/probes.yaml`,
        "inventory: hosts.yaml\nliveness: { failure_threshold: 1 }\nalerts: false\nhttp: false\n" +
          `nats: { servers: ["${server.url}"], source: probes, export: [HeartbeatPulse, DriftDetected] }\n`
      )
      const data = `${folder}/data`
      const first = yield* start(`${folder}/probes.yaml`, data)
      yield* eventually(() => count(data, "host_states") === 1)
      yield* first.stop
      assert.deepStrictEqual(first.stdout, [
        "NATS: 0 sent, 1 not sent (the next run sends them); 0 taken in, 0 rejected"
      ])
      yield* server.start()
      const second = yield* start(`${folder}/probes.yaml`, data)
      yield* eventually(() => countWaiting(data) === 0)
      yield* second.stop
      assert.deepStrictEqual(second.stdout, ["NATS: 1 sent, 0 not sent; 0 taken in, 0 rejected"])
    })
  )

  live(
    "a token of the environment lets it in and is never shown; a stream that is not as it says ends it, and says why",
    Effect.gen(function*() {
      const fs = yield* FileSystem.FileSystem
      const folder = yield* fs.makeTempDirectoryScoped()
      const server = yield* NatsServer.make({ config: "authorization { token: s3cr3t }" })
      const configure = (source: string, maxAge: string) =>
        fs.writeFileString(
          `${folder}/${source}.yaml`,
          `liveness: false\nhttp: false\nnats: { servers: ["${server.url}"], source: ${source}, token_env: NATS_TOKEN, ` +
            `import: [DriftDetected], stream: { max_age: ${maxAge} } }\n`
        )
      yield* configure("first", "7d")
      yield* configure("second", "1d")
      const first = yield* start(`${folder}/first.yaml`, `${folder}/first`)
      const nats = yield* Effect.acquireRelease(
        Effect.promise(() => connect({ servers: server.url, token: "s3cr3t" })),
        (nats) => Effect.promise(() => nats.close())
      )
      const manager = yield* Effect.promise(() => jetstreamManager(nats))
      yield* Effect.tryPromise(() => manager.consumers.info("OPENWATCH", "source=first")).pipe(
        Effect.retry(Schedule.spaced("50 millis")),
        Effect.orDie
      )
      const second = yield* start(`${folder}/second.yaml`, `${folder}/second`)
      assert.strictEqual(yield* second.exitCode, 1)
      const log = (yield* second.stderr).join("\n")
      assert.include(
        log,
        `configuration ${folder}/second.yaml: nats: the stream "OPENWATCH" is not as the options say: its max_age is ` +
          "604800 s, not 86400 s."
      )
      assert.strictEqual(log.split("\n").filter((line) => line.includes("at ")).length, 0, log)
      yield* first.stop
      assert.notInclude([log, ...(yield* first.stderr), ...first.stdout].join("\n"), "s3cr3t")
    })
  )
})
